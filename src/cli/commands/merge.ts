/**
 * `cllm merge`: the shards of a collection, an evaluation or a batch to the one file of a run without shards. What kind they are
 * is read from them; the joining itself is in the rooms that write them.
 */
import { statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { extname, join } from "node:path";
import * as z from "zod";
import { mergeEvaluation } from "../../eval/merge.ts";
import { ANSWERS, PASSES } from "../../eval/run.ts";
import { openBinaryFile } from "../../files/binary-file.ts";
import { namesIn, openWorkFolder, type RemoteOptions, splitPath } from "../../files/remote.ts";
import { isS3 } from "../../files/s3.ts";
import { findShards, shardOfName } from "../../files/shards.ts";
import { isBatchShard, mergeBatch } from "../../serve/batch-run.ts";
import { mergeCollection } from "../../trajectory/merge.ts";
import { type Command, defineCommand } from "../command.ts";

interface MergeSettings {
  readonly output: string;
}

/** What was joined, as the command's JSON. */
interface Merged {
  readonly kind: "collection" | "evaluation" | "batch";
  readonly output: string;
  readonly shards: number;
  /** Completions, answers or lines. */
  readonly records: number;
}

export const merge: Command = defineCommand<MergeSettings>({
  name: "merge",
  summary: "Join the shards of collect, eval or batch to one file",
  details:
    "The argument is the file that a run without --shard would have written, or the folder of an evaluation. Its shards stand " +
    "beside it, such as faq-00003-of-00008.parquet. The joined file is byte for byte that of one run. Missing and doubled shards " +
    "and those of other settings are refused. After an evaluation, cllm eval without --shard writes the report.",
  fields: {
    output: z
      .string()
      .min(1)
      .meta({ description: "the file to write, or an evaluation's folder; or s3://", placeholder: "file" }),
  },
  argument: "output",
  argumentOnly: true,
  examples: [
    ["cllm merge faq.parquet", "what cllm collect --out faq.parquet --shard i/8 wrote"],
    ["cllm merge runs/gsm8k", "what cllm eval gsm8k --out runs/gsm8k --shard i/8 wrote"],
    ["cllm merge answers.jsonl", "what cllm batch -o answers.jsonl --shard i/8 wrote"],
  ],
  async run({ output }, terminal) {
    const merged = await mergeAny(output, { signal: terminal.signal, note: terminal.note });
    if (terminal.json) terminal.write(`${JSON.stringify(merged)}\n`);
    else terminal.write(`joined ${merged.shards} shards: ${merged.records} records\nwrote ${merged.output}\n`);
  },
});

async function mergeAny(given: string, remote: RemoteOptions): Promise<Merged> {
  const isFolder = isS3(given) ? extname(given) === "" : statSync(given, { throwIfNoEntry: false })?.isDirectory();
  const output = isFolder ? `${given.replace(/\/+$/, "")}/${ANSWERS}` : given;
  const { folder, name } = splitPath(output);
  const present = isS3(output) ? (await namesIn(folder, remote)).filter((each) => shardOfName(each) !== null) : [];
  await using work = await openWorkFolder(folder, { growing: [], whole: [name, PASSES, ...present] }, remote);
  const merged = await mergeHere(join(work.folder, name));
  for (const each of present) await rm(join(work.folder, each)); // they are in the store already
  await work.finish();
  return { ...merged, output };
}

async function mergeHere(output: string): Promise<Omit<Merged, "output">> {
  const own = extname(output);
  const shards = await findShards(output, own === ".json" ? [".parquet"] : [own]);
  const start = await beginning(shards[0]!);
  if (start.startsWith("PAR1")) {
    const { report } = await mergeCollection(output, shards);
    return { kind: "collection", shards: shards.length, records: report.kept };
  }
  if (isBatchShard(start)) {
    const { answers } = await mergeBatch(output, shards);
    return { kind: "batch", shards: shards.length, records: answers };
  }
  const { answers } = await mergeEvaluation(output, shards);
  return { kind: "evaluation", shards: shards.length, records: answers };
}

/** The first bytes of a file, as text. */
async function beginning(path: string): Promise<string> {
  const file = await openBinaryFile(path);
  try {
    return Buffer.from(await file.read(0, Math.min(file.size, 16))).toString("latin1");
  } finally {
    await file.close();
  }
}
