/**
 * Shards of a collection to the one file that a run without shards writes, byte for byte: the same completions in the same order
 * through the same tally and writer. Shards that do not belong together are refused before anything is written. Knows no model.
 */
import { CllmError } from "../error.ts";
import { requireNamed } from "../files/shards.ts";
import type { DropReason } from "./clean.ts";
import { requireIdentity } from "./identity.ts";
import { type CollectionInfo, type CollectionReport, differences } from "./info.ts";
import { writeOriginalJson } from "./original-json.ts";
import { readTrajectories, readTrajectoryInfo, writeTrajectories } from "./store.ts";
import { createTally, type Tally } from "./tally.ts";
import type { CollectedCompletion } from "./types.ts";

export interface MergedCollection {
  readonly info: CollectionInfo;
  readonly report: CollectionReport;
}

/**
 * Joins all shards of a collection, in their order. Throws `bad-file` for a file that is no shard or not the one that its name
 * says, `usage` for shards of other settings, `bad-input` for those of another model.
 *
 * @example
 * const { report } = await mergeCollection("faq.parquet", await findShards("faq.parquet", [".parquet"]));
 * console.log(report.kept);
 */
export async function mergeCollection(output: string, shards: readonly string[]): Promise<MergedCollection> {
  const { format, ...whole } = await wholeOf(output, shards);
  const tally = createTally(whole);
  const completions = joined(shards, tally);
  if (format === "parquet") await writeTrajectories(output, whole, completions, tally.report);
  else await writeOriginalJson(output, completions);
  return { info: whole, report: tally.report() };
}

/** What the shards say of the whole, all of them the same. */
async function wholeOf(output: string, shards: readonly string[]) {
  let first: Awaited<ReturnType<typeof readTrajectoryInfo>> | null = null;
  for (const path of shards) {
    const found = await readTrajectoryInfo(path);
    const { shard } = found;
    if (shard === undefined) throw new CllmError("bad-file", `${path} is no shard: move it away, and run the shard`);
    requireNamed(path, shard);
    first ??= found;
    requireIdentity(path, found.model, { ...first.model, name: undefined });
    const [different] = differences({ ...found, shard: { ...shard, index: 1 } }, { ...first, shard: first.shard! });
    if (different === undefined) continue;
    const next = `run it again with those of ${shards[0]}`;
    throw new CllmError(
      "usage",
      `${path} was collected with other settings than the first shard (${different}); ${next}`,
    );
  }
  if (first === null) throw new CllmError("not-found", `${output} has no shards; run the command with --shard`);
  return { model: first.model, settings: first.settings, format: first.shard!.format };
}

async function* joined(shards: readonly string[], tally: Tally): AsyncGenerator<CollectedCompletion, void, void> {
  for (const path of shards) {
    const { completions, report } = await readTrajectories(path, { shards: true });
    for (const [reason, count] of Object.entries(report.dropped)) tally.drop(reason as DropReason, count);
    for (const completion of completions) yield tally.keep(completion);
  }
}
