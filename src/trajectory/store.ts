/**
 * Trajectories as Parquet: one record per completion, token ids as lists, and model, settings, seed and report in the
 * file's key-value metadata. A file's claims about itself are checked when it is read. Knows nothing of how it was
 * collected.
 */
import { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { parquetBuffer } from "../data/parquet-buffer.ts";
import { CllmError } from "../error.ts";
import { type BinaryFile, openBinaryFile } from "../files/binary-file.ts";
import { shardText } from "../files/shards.ts";
import { writeWhole } from "../files/write-whole.ts";
import { type ExpectedIdentity, requireIdentity } from "./identity.ts";
import {
  type CollectionInfo,
  type CollectionReport,
  decodeInfo,
  decodeReport,
  encodeInfo,
  encodeReport,
} from "./info.ts";
import { isSealed, sealed } from "./seal.ts";
import type { CollectedCompletion } from "./types.ts";

export interface TrajectoryFile extends CollectionInfo {
  readonly report: CollectionReport;
  readonly completions: readonly CollectedCompletion[];
}

/** The keys in the file's metadata. */
const INFO_KEY = "cllm.trajectories";
const REPORT_KEY = "cllm.report";

const GROUP_RECORDS = 256;
const LEVELS = { prompt_ids: 1, completion_ids: 1, blocks: 3, label_ids: 1 };

const list = (name: string, depth: number, optional = false): object[] =>
  depth === 0
    ? [{ name, type: "INT32", repetition_type: "REQUIRED" }]
    : [
        { name, converted_type: "LIST", num_children: 1, repetition_type: optional ? "OPTIONAL" : "REQUIRED" },
        { name: "list", num_children: 1, repetition_type: "REPEATED" },
        ...list("element", depth - 1),
      ];

const SCHEMA = [
  { name: "root", num_children: 5 },
  { name: "data_id", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "REQUIRED" },
  ...Object.entries(LEVELS).flatMap(([name, depth]) => list(name, depth, name === "label_ids")),
] as ConstructorParameters<typeof ParquetWriter>[0]["schema"];

/**
 * Writes the file whole or not at all; the same arguments give the same bytes. The report is asked for when the last
 * completion has been taken.
 *
 * @example
 * const { completions, info } = await openTrajectories("faq.parquet");
 * await writeTrajectories("first.parquet", info!, completions.slice(0, 100), () => report);
 */
export async function writeTrajectories(
  path: string,
  info: CollectionInfo,
  completions: Iterable<CollectedCompletion> | AsyncIterable<CollectedCompletion>,
  report: () => CollectionReport,
): Promise<void> {
  const writer = new ByteWriter();
  const parquet = new ParquetWriter({ writer, schema: SCHEMA, createdBy: "cllm" });
  let group: CollectedCompletion[] = [];
  const flush = (): void => {
    parquet.write({
      columnData: [
        { name: "data_id", data: group.map(({ dataId }) => dataId) },
        { name: "prompt_ids", data: group.map(({ promptIds }) => [...promptIds]) },
        { name: "completion_ids", data: group.map(({ completionIds }) => [...completionIds]) },
        {
          name: "blocks",
          data: group.map(({ blocks }) => blocks.map((points) => points.map((point) => [...point]))),
        },
        { name: "label_ids", data: group.map(({ labelIds }) => (labelIds === null ? null : [...labelIds])) },
      ],
    });
    group = [];
  };
  for await (const completion of completions) {
    group.push(completion);
    if (group.length === GROUP_RECORDS) flush();
  }
  if (group.length > 0) flush();
  parquet.kvMetadata = [
    { key: INFO_KEY, value: encodeInfo(info) },
    { key: REPORT_KEY, value: encodeReport(report()) },
  ];
  parquet.finish();
  await writeWhole(path, async (handle) => {
    for (const part of sealed(writer.getBytes())) await handle.appendFile(part);
  });
}

/** What the file says about itself, without its records. Throws `bad-file` where it is none of ours. */
export async function readTrajectoryInfo(
  path: string,
): Promise<CollectionInfo & { readonly report: CollectionReport }> {
  const file = await openBinaryFile(path);
  try {
    return (await open(file)).info;
  } finally {
    await file.close();
  }
}

/**
 * Reads a trajectory file. Throws `bad-input` where it is not of the expected model or tokenizer, `bad-file` where it is
 * damaged, contradicts itself or is no trajectory file. A shard is only read where `shards` says so: it is a part, and not augmented.
 */
export async function readTrajectories(
  path: string,
  { expect = {}, shards = false }: { readonly expect?: ExpectedIdentity; readonly shards?: boolean } = {},
): Promise<TrajectoryFile> {
  const file = await openBinaryFile(path);
  try {
    return await readAll(file, expect, shards);
  } finally {
    await file.close();
  }
}

async function readAll(opened: BinaryFile, expect: ExpectedIdentity, shards: boolean): Promise<TrajectoryFile> {
  const { path } = opened;
  const { file, metadata, info } = await open(opened);
  requireIdentity(path, info.model, expect);
  if (info.shard !== undefined && !shards) {
    throw new CllmError(
      "bad-input",
      `${path} is ${shardText(info.shard)}: join all of them with cllm merge, and use the whole`,
    );
  }
  const completions: CollectedCompletion[] = [];
  let rowStart = 0;
  for (const { num_rows } of metadata.row_groups) {
    const rowEnd = rowStart + Number(num_rows);
    const records = await readable(path, () => parquetReadObjects({ file, metadata, rowStart, rowEnd }));
    for (const record of records) completions.push(toCompletion(record, `${path}, record ${completions.length}`, info));
    rowStart = rowEnd;
  }
  if (completions.length !== info.report.kept) {
    throw damaged(path, `it has ${completions.length} records and says that it has ${info.report.kept}`);
  }
  return { ...info, completions };
}

async function open(opened: BinaryFile) {
  const { path } = opened;
  if (!(await isSealed(opened))) {
    throw new CllmError(
      "bad-file",
      `${path} is no trajectory file of cllm, or was changed or cut since it was written: make one with cllm collect`,
    );
  }
  const file = parquetBuffer(opened);
  const metadata = await readable(path, () => parquetMetadataAsync(file));
  const value = (key: string): string => {
    const found = metadata.key_value_metadata?.find((entry) => entry.key === key)?.value;
    if (found !== undefined) return found;
    throw damaged(path, `its metadata has no ${key}`);
  };
  const info = {
    ...decodeInfo(value(INFO_KEY), `${path}: ${INFO_KEY}`),
    report: decodeReport(value(REPORT_KEY), `${path}: ${REPORT_KEY}`),
  };
  return { file, metadata, info };
}

/** The reader's own errors, as one of ours. */
async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw damaged(path, error instanceof Error ? error.message : String(error), error);
  }
}

function damaged(path: string, reason: string, cause?: unknown): CllmError {
  return new CllmError("bad-file", `${path} cannot be read as trajectories: ${reason}; collect again`, { cause });
}

function toCompletion(record: Record<string, unknown>, what: string, info: CollectionInfo): CollectedCompletion {
  const { data_id, prompt_ids, completion_ids, blocks, label_ids } = record;
  const ids = (value: unknown, name: string): Int32Array => toIds(value, info.model.vocabSize, `${what}: ${name}`);
  if (typeof data_id !== "string") throw damaged(what, "data_id is no text");
  if (!Array.isArray(blocks)) throw damaged(what, "blocks is no list");
  const completion = {
    dataId: data_id,
    promptIds: ids(prompt_ids, "prompt_ids"),
    completionIds: ids(completion_ids, "completion_ids"),
    blocks: blocks.map((points) => {
      if (!Array.isArray(points)) throw damaged(what, "a block is no list of points");
      return points.map((point) => ids(point, "blocks"));
    }),
    labelIds: label_ids === null || label_ids === undefined ? null : ids(label_ids, "label_ids"),
  };
  const reason = contradiction(completion, info.settings.blockSize);
  if (reason !== null) throw damaged(what, reason);
  return completion;
}

/** What is wrong with a completion; null where it is what its type promises. */
export function contradiction(
  { promptIds, completionIds, blocks }: CollectedCompletion,
  blockSize: number,
): string | null {
  if (promptIds.length === 0) return "the prompt is empty";
  if (blocks.length !== Math.ceil(completionIds.length / blockSize)) {
    return `${completionIds.length} tokens are not ${blocks.length} blocks of ${blockSize}`;
  }
  for (const [block, points] of blocks.entries()) {
    const expected = completionIds.subarray(block * blockSize, (block + 1) * blockSize);
    if (points.some(({ length }) => length !== expected.length)) return `a point of block ${block} has another length`;
    const fixedPoint = points.at(-1);
    if (fixedPoint === undefined || fixedPoint.some((id, i) => id !== expected[i])) {
      return `the last point of block ${block} is not the completion's`;
    }
  }
  return null;
}

/** A list of token ids, checked. */
export function toIds(value: unknown, vocabSize: number, what: string): Int32Array {
  if (!Array.isArray(value) && !(value instanceof Int32Array)) throw damaged(what, "it is no list of token ids");
  return Int32Array.from(value as ArrayLike<unknown>, (id) => {
    if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabSize) return id as number;
    throw damaged(what, `${JSON.stringify(id) ?? String(id)} is no id of a vocabulary of ${vocabSize}`);
  });
}
