/**
 * Shards of an evaluation to the one file of answers that a run without shards writes, byte for byte, and the passes beside it.
 * Shards that do not belong together are refused before anything is written. Knows no model and no grader.
 */
import { basename, dirname, join } from "node:path";
import { CllmError } from "../error.ts";
import { parseJson } from "../files/json.ts";
import { requireNamed, type Shard, shardOfName, shardPath, shardRange } from "../files/shards.ts";
import { wholeLines } from "../files/whole-lines.ts";
import { writeWhole } from "../files/write-whole.ts";
import { headerOf, readPasses, START, type StoredSettings, settingDifferences } from "./answers-file.ts";
import { decodeRecord, type EvaluationRecord, encodePasses } from "./records.ts";
import { PASSES } from "./run.ts";

/** A shard's file as it was read. */
interface ReadShard {
  readonly settings: StoredSettings;
  readonly shard: Shard;
  readonly records: readonly { readonly line: string; readonly record: EvaluationRecord }[];
}

export interface MergedEvaluation {
  readonly questions: number;
  readonly answers: number;
}

/**
 * Joins all shards of an evaluation, in their order. The files of passes stand beside those of answers.
 * Throws `bad-file` for what is no shard, is damaged or is not the one that its name says; `usage` for shards of other settings.
 *
 * @example
 * const shards = await findShards("runs/gsm8k/answers.jsonl", [".jsonl"]);
 * const { answers } = await mergeEvaluation("runs/gsm8k/answers.jsonl", shards);
 */
export async function mergeEvaluation(output: string, shards: readonly string[]): Promise<MergedEvaluation> {
  const read: ReadShard[] = [];
  for (const path of shards) read.push(await readShard(path));
  const [first] = read;
  if (first === undefined) throw new CllmError("not-found", `${output} has no shards; run the command with --shard`);
  for (const [i, { settings, shard, records }] of read.entries()) {
    const [different] = settingDifferences(settings, first.settings);
    if (different !== undefined) {
      const next = `run it again with those of ${shards[0]}`;
      throw new CllmError(
        "usage",
        `${shards[i]} was made with other settings than the first shard (${different}); ${next}`,
      );
    }
    requireAll(shards[i]!, settings, shard, records);
  }
  const { shard: _, ...settings } = first.settings as StoredSettings & { readonly shard: Shard };
  const models = (settings["models"] as readonly { readonly name: string }[]).map(({ name }) => name);
  const records = read.flatMap((each) => each.records);
  const answers = records.filter(({ record }) => record.kind === "answer");
  const traces = models.flatMap((model) =>
    records.filter(({ record }) => record.kind === "trajectory" && record.model === model),
  );
  await writeLines(join(dirname(output), PASSES), passesOf(records.map(({ record }) => record)));
  await writeLines(output, [headerOf(settings), ...[...answers, ...traces].map(({ line }) => line)]);
  return { questions: settings["questions"] as number, answers: answers.length };
}

function* passesOf(records: readonly EvaluationRecord[]): Generator<string, void, void> {
  for (const record of records) if (record.kind === "answer") yield encodePasses(record);
}

async function readShard(path: string): Promise<ReadShard> {
  const shard = shardOfName(path)!;
  const { passes } = await readPasses(shardPath(join(dirname(path), PASSES), shard));
  let settings: (StoredSettings & { readonly shard?: Shard }) | null = null;
  const records: { line: string; record: EvaluationRecord }[] = [];
  let number = 0;
  for await (const { text: line } of wholeLines(path)) {
    const where = `${path}:${++number}`;
    const value = parseJson(line, where, { next: "run the shard again" });
    if (number === 1) {
      if (line.startsWith(START)) settings = (value as { settings: StoredSettings }).settings;
      if (settings?.shard === undefined) {
        throw new CllmError("bad-file", `${path} is no shard of an evaluation; move it away, and run the shard`);
      }
      requireNamed(path, settings.shard);
      continue;
    }
    const record = decodeRecord(value, where, ({ contender, question }) =>
      passes.get(JSON.stringify([contender, question])),
    );
    records.push({ line, record });
  }
  if (settings === null) throw new CllmError("bad-file", `${path} is empty: run the shard again`);
  // The number of the shard is its own; all else is the same in all of them.
  return { settings: { ...settings, shard: { ...settings.shard, index: 0 } }, shard, records };
}

/** Throws `bad-file` where a question has no answer, or two. */
function requireAll(path: string, settings: StoredSettings, shard: Shard, records: ReadShard["records"]): void {
  const [begin, end] = shardRange(settings["questions"] as number, shard);
  const keys = records.map(({ record }) =>
    JSON.stringify([record.kind, "contender" in record ? record.contender : record.model, record.question]),
  );
  const answers = records.filter(({ record }) => record.kind === "answer").length;
  const due = (end - begin) * (settings["contenders"] as readonly string[]).length;
  if (answers === due && new Set(keys).size === keys.length) return;
  throw new CllmError(
    "bad-file",
    `${basename(path)} has ${answers} answers, and ${due} are due, each once; run the shard again`,
  );
}

async function writeLines(path: string, lines: Iterable<string>): Promise<void> {
  await writeWhole(path, async (handle) => {
    for (const line of lines) await handle.appendFile(`${line}\n`);
  });
}
