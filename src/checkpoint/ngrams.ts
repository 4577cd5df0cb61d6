/**
 * `ngrams.safetensors`: counts of what followed the n-grams of a model's answers, as the entries of one tensor, `ngrams.v1`, U32 `(n, 4)`.
 * Written, read and checked here. Knows neither how they are counted nor what they are good for.
 */
import { join } from "node:path";
import { CllmError } from "../error.ts";
import type { Folder } from "../files/folder.ts";
import { writeWhole } from "../files/write-whole.ts";
import { readSafetensorsHeader } from "./huggingface/safetensors.ts";

export const NGRAMS = "ngrams.safetensors";
const TENSOR = "ngrams.v1"; // of other hashes or lengths it gets another name
const WORDS = 4; // of an entry: hash, tokens that followed, the commonest with its votes, its rival with its votes
const MOST_BYTES = 2 ** 31;
const MOST_TOTAL = 2 ** 16 - 1;

/** Entries as `NgramCounts` gives them, and where they are from. */
export interface StoredNgrams {
  /** The file, for people. */
  readonly path: string;
  readonly table: Uint32Array;
}

/**
 * The counts in a folder; null where it has no such file. Throws `bad-file` for a damaged one, `unsupported` for that of another version.
 *
 * @example const ngrams = await readNgramsIn(diskFolder("adapters/gsm8k-draft"));
 */
export async function readNgramsIn(folder: Folder): Promise<StoredNgrams | null> {
  if (!(await folder.has(NGRAMS))) return null;
  const file = await folder.open(NGRAMS);
  try {
    const tensors = await readSafetensorsHeader(file);
    const [tensor] = tensors;
    if (tensors.length !== 1 || tensor?.name !== TENSOR) {
      const message = `${file.path} does not hold the tensor ${TENSOR} alone`;
      throw new CllmError(
        "unsupported",
        `${message}, as this version of cllm writes it: make it again with cllm ngrams`,
      );
    }
    const bad = (problem: string): CllmError =>
      new CllmError("bad-file", `${file.path}: ${problem}; make it again with cllm ngrams`);
    const { dtype, shape, offset, byteLength } = tensor;
    if (dtype !== "U32" || shape.length !== 2 || shape[1] !== WORDS)
      throw bad(`its tensor is ${dtype} [${shape}] in place of U32 [n,${WORDS}]`);
    if (byteLength > MOST_BYTES) throw bad(`it has ${byteLength} bytes; the limit is ${MOST_BYTES}`);
    const table = new Uint32Array(byteLength / 4);
    new Uint8Array(table.buffer).set(await file.read(offset, byteLength));
    for (let [at, last] = [0, 0]; at < table.length; last = table[at]!, at += WORDS) {
      const total = table[at + 1]!;
      if (table[at]! > last && total > 0 && total <= MOST_TOTAL && (table[at + 2]! & 255) > 0) continue;
      throw bad(`entry ${at / WORDS} is none, or out of order: ${table.subarray(at, at + WORDS).join(", ")}`);
    }
    return { path: file.path, table };
  } finally {
    await file.close();
  }
}

/** Throws `bad-weights` where an id is none of the vocabulary's: they were counted for another model. */
export function requireIds({ path, table }: StoredNgrams, vocabSize: number): void {
  for (let at = 0; at < table.length; at++) {
    const id = table[at]! >>> 8;
    if (at % WORDS < 2 || id < vocabSize) continue;
    const message = `${path} has token id ${id}, but the model has ${vocabSize}`;
    throw new CllmError("bad-weights", `${message}; give the n-grams of this model's answers`);
  }
}

/**
 * Writes the counts of `NgramCounts.table` into a folder; the file appears whole or not at all. Throws `disk`.
 *
 * @example
 * const counts = new NgramCounts(1e6);
 * countAnswer(counts, prompt, Int32Array.of(1, 2, 3));
 * await writeNgrams("./known", counts.table());
 */
export async function writeNgrams(folder: string, table: Uint32Array): Promise<void> {
  const tensor = { dtype: "U32", shape: [table.length / WORDS, WORDS], data_offsets: [0, table.byteLength] };
  const text = JSON.stringify({ [TENSOR]: tensor });
  const header = new TextEncoder().encode(text.padEnd(8 * Math.ceil(text.length / 8)));
  const begin = new Uint8Array(8 + header.length);
  new DataView(begin.buffer).setBigUint64(0, BigInt(header.length), true);
  begin.set(header, 8);
  const bytes = begin.length + table.byteLength;
  await writeWhole(
    join(folder, NGRAMS),
    async (file) => {
      await file.appendFile(begin);
      await file.appendFile(new Uint8Array(table.buffer, table.byteOffset, table.byteLength));
    },
    { bytes },
  );
}
