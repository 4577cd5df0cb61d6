/**
 * Trajectories as the JSON of the original CLLM code (hao-ai-lab/Consistency_LLM): one list, one record per block, so
 * one can collect here and train there, or the reverse. A record's `prompt_ids` and `teacher_output_ids` are batches of
 * one and hold everything before the block, and that with the block; `prompt_ids_len` is the length of the first
 * block's prompt. Model and settings have no place in it. Knows no tokenizer.
 */
import * as z from "zod";
import { jsonItems } from "../data/json-items.ts";
import { commonPrefix } from "../decode/prefix.ts";
import { CllmError } from "../error.ts";
import { writeWhole } from "../files/write-whole.ts";
import { check } from "../generate/check.ts";
import { contradiction } from "./store.ts";
import type { CollectedCompletion } from "./types.ts";

/** The original's record. Lists of ids come in one to three pairs of brackets. */
interface OriginalRecord {
  readonly data_id: string;
  readonly jacobian_itr_id: string;
  readonly prompt_ids_len: readonly number[];
  readonly prompt_ids: readonly (readonly number[])[];
  readonly answer_trajectory_ids: readonly (readonly number[])[];
  readonly labels_ids?: readonly (readonly number[])[];
  readonly teacher_output_ids: readonly (readonly number[])[];
  /** Prompt and whole completion, which its cleaning adds and its trainer wants. */
  readonly complete_teacher_output_ids: readonly number[];
}

/** Writes the records of the completions, whole or not at all. `labels_ids` is the prompt and the label after it. */
export async function writeOriginalJson(
  path: string,
  completions: Iterable<CollectedCompletion> | AsyncIterable<CollectedCompletion>,
): Promise<void> {
  await writeWhole(path, async (handle) => {
    let separator = "[";
    for await (const completion of completions) {
      for (const record of originalRecords(completion)) {
        await handle.appendFile(`${separator}\n${JSON.stringify(record)}`);
        separator = ",";
      }
    }
    await handle.appendFile(separator === "[" ? "[]\n" : "\n]\n");
  });
}

function* originalRecords({ dataId, promptIds, completionIds, blocks, labelIds }: CollectedCompletion) {
  let before: readonly number[] = [...promptIds];
  for (const [index, points] of blocks.entries()) {
    const after = [...before, ...points.at(-1)!];
    const record: OriginalRecord = {
      data_id: dataId,
      jacobian_itr_id: `itr_${index}`,
      prompt_ids_len: [promptIds.length],
      prompt_ids: [before],
      answer_trajectory_ids: points.map((point) => [...point]),
      ...(labelIds !== null && { labels_ids: [[...promptIds, ...labelIds]] }),
      teacher_output_ids: [after],
      complete_teacher_output_ids: [...promptIds, ...completionIds],
    };
    yield record;
    before = after;
  }
}

export interface OriginalOptions {
  /** Ids that end a completion: what the original writes after the first of them is cut off. Default: none. */
  readonly stopIds?: ReadonlySet<number>;
  /** Ids must be smaller. Default: any. */
  readonly vocabSize?: number;
}

export interface OriginalFile {
  readonly completions: readonly CollectedCompletion[];
  /** Tokens of the longest block. */
  readonly blockSize: number;
  /** Records that were left out, because a record before them in their completion is missing or has its end. */
  readonly leftOut: number;
}

const idsSchema: z.ZodType<number[]> = z.preprocess(
  (value) => {
    let ids = value;
    while (Array.isArray(ids) && ids.length === 1 && Array.isArray(ids[0])) ids = ids[0]; // a batch of one
    return ids;
  },
  z.array(
    z
      .int()
      .min(0)
      .max(2 ** 31 - 1),
  ),
);

/** Other keys are ignored: the original's versions differ in them. */
const recordSchema = z.object({
  data_id: z.union([z.string(), z.int().transform(String)]),
  jacobian_itr_id: z.string().regex(/^itr_\d{1,9}$/, 'of the form "itr_0"'),
  prompt_ids_len: z.preprocess((value) => (typeof value === "number" ? [value] : value), idsSchema).optional(),
  prompt_ids: idsSchema,
  answer_trajectory_ids: z.array(idsSchema).min(1),
  labels_ids: idsSchema.nullish(),
  teacher_output_ids: idsSchema,
});
type Entry = z.output<typeof recordSchema>;

/**
 * Reads a file of the original. Its records become completions again: those of one `data_id`, in the order of their
 * `jacobian_itr_id`, up to the first that is missing, for its cleaning drops single records. What it augmented stays among
 * the points; points that repeat another are dropped. Throws `bad-file` with the record's number.
 */
export async function readOriginalJson(path: string, options: OriginalOptions = {}): Promise<OriginalFile> {
  const byId = new Map<string, Map<number, Entry>>();
  let index = 0;
  for await (const item of jsonItems(path)) {
    const what = `${path}, record ${index++}`;
    const record = check(recordSchema, item, { what, code: "bad-file", nameOf: (key) => `${what}: ${key}` });
    checkRecord(record, what, options);
    const records = byId.get(record.data_id) ?? new Map<number, Entry>();
    byId.set(record.data_id, records.set(Number(record.jacobian_itr_id.slice(4)), record));
  }
  if (index === 0) throw new CllmError("bad-file", `${path} holds no records: collect some`);
  const completions = [...byId].map(([dataId, records]) => toCompletion(dataId, records, options.stopIds ?? new Set()));
  const used = completions.reduce((sum, { blocks }) => sum + blocks.length, 0);
  const blockSize = completions.reduce((most, { blocks }) => Math.max(most, blocks[0]?.at(-1)?.length ?? 0), 0);
  const whole = completions.filter(({ blocks }) => blocks.length > 0);
  for (const completion of whole) {
    const reason = contradiction(completion, blockSize);
    if (reason !== null) throw new CllmError("bad-file", `${path}, ${completion.dataId}: ${reason}; collect it again`);
  }
  return { completions: whole, blockSize, leftOut: index - used };
}

function checkRecord(record: Entry, what: string, { vocabSize = 2 ** 31 }: OriginalOptions): void {
  const wrong = (reason: string): CllmError => new CllmError("bad-file", `${what}: ${reason}; collect it again`);
  const { prompt_ids, answer_trajectory_ids, teacher_output_ids, labels_ids } = record;
  if (prompt_ids.length === 0) throw wrong("prompt_ids is empty");
  const fixedPoint = answer_trajectory_ids.at(-1)!;
  if (fixedPoint.length === 0) throw wrong("the points of answer_trajectory_ids are empty");
  if (answer_trajectory_ids.some(({ length }) => length !== fixedPoint.length)) {
    throw wrong("the points of answer_trajectory_ids differ in length");
  }
  const whole = [...prompt_ids, ...fixedPoint];
  if (whole.length !== teacher_output_ids.length || whole.some((id, i) => id !== teacher_output_ids[i])) {
    throw wrong("teacher_output_ids is not prompt_ids and the last point");
  }
  for (const ids of [prompt_ids, ...answer_trajectory_ids, labels_ids ?? []]) {
    const foreign = ids.find((id) => id >= vocabSize);
    if (foreign !== undefined) throw wrong(`id ${foreign} is outside the vocabulary of ${vocabSize}`);
  }
}

function toCompletion(dataId: string, records: Map<number, Entry>, stopIds: ReadonlySet<number>): CollectedCompletion {
  const first = records.get(0);
  const promptIds = Int32Array.from(first?.prompt_ids ?? []);
  const blocks: Int32Array[][] = [];
  let ended = false;
  for (let record = first; record !== undefined && !ended; record = records.get(blocks.length)) {
    const fixedPoint = record.answer_trajectory_ids.at(-1)!;
    const stop = fixedPoint.findIndex((id) => stopIds.has(id));
    ended = stop >= 0;
    blocks.push(distinct(record.answer_trajectory_ids, ended ? stop + 1 : fixedPoint.length));
  }
  const completionIds = Int32Array.from(blocks.flatMap((points) => [...points.at(-1)!]));
  const labels = first?.labels_ids ?? null;
  return { dataId, promptIds, completionIds, blocks, labelIds: labels && afterPrompt(labels, promptIds) };
}

/** Points cut to `length`, each once, at its last place, so that the fixed point stays last. */
function distinct(points: readonly (readonly number[])[], length: number): Int32Array[] {
  const cut = points.map((point) => Int32Array.from(point.slice(0, length)));
  const keys = cut.map((point) => point.join());
  return cut.filter((_, i) => keys.lastIndexOf(keys[i]!) === i);
}

/** The label without the prompt that the original puts before it; as it is where there is none. */
function afterPrompt(labels: readonly number[], promptIds: Int32Array): Int32Array {
  const ids = Int32Array.from(labels);
  return commonPrefix(ids, promptIds) === promptIds.length ? ids.slice(promptIds.length) : ids;
}
