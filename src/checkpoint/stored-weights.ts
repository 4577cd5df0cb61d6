/**
 * `Weights` over tensors that lie somewhere in open files: positioned reads of a few megabytes, decoded into the result,
 * so that no tensor is in memory twice. Knows codecs and rows, not how a file describes its tensors.
 */
import { CllmError } from "../error.ts";
import type { BinaryFile } from "../files/binary-file.ts";
import { nearMisses } from "../files/near-miss.ts";
import type { Weights } from "../model/weights.ts";
import type { Codec } from "./codec.ts";

/** Where a tensor lies. The reader of the file has checked that shape, type, offset and file size agree. */
export interface StoredTensor {
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly dtype: string;
  /** Null where the type cannot be read: the tensor is listed, but reading it is `unsupported`. */
  readonly codec: Codec | null;
  readonly file: BinaryFile;
  readonly offset: number;
  readonly byteLength: number;
  /** Size of the heads within which rows are interleaved (GGUF's Llama queries and keys); absent where they are not. */
  readonly interleavedHeadSize?: number;
  /** What is added to every element that is read. Default: nothing. */
  readonly added?: number;
  /** What elements are multiplied by: one number for so many rows and columns of the matrix. Default: nothing. */
  readonly scales?: { readonly tensor: StoredTensor; readonly rows: number; readonly columns: number };
}

/** A stored tensor as plain data, by which another thread reads it. */
export interface TensorEntry extends Omit<StoredTensor, "codec" | "file" | "scales"> {
  /** The codec's name. */
  readonly codec: string | null;
  readonly file: Pick<BinaryFile, "path" | "size">;
  readonly scales?: { readonly tensor: TensorEntry; readonly rows: number; readonly columns: number };
}

function entryOf({ codec, file, scales, ...plain }: StoredTensor): TensorEntry {
  return {
    ...plain,
    codec: codec?.name ?? null,
    file: { path: file.path, size: file.size },
    ...(scales && { scales: { ...scales, tensor: entryOf(scales.tensor) } }),
  };
}

const CHUNK_BYTES = 4 << 20;
/** Elements of the blocks that matrices can be multiplied in. */
const BLOCK = 32;

/** Numbers of the largest array that is used again: larger ones would hold memory that a thread needs for others. */
const MOST_RECYCLED = 2 ** 24;

/** Arrays of numbers, new or used before. */
class Arrays {
  #given: Float32Array[] | null = null; // null until something is to be used again
  readonly #free = new Map<number, Float32Array[]>(); // by length

  take(length: number): Float32Array {
    const taken = this.#free.get(length)?.pop() ?? new Float32Array(length);
    if (length <= MOST_RECYCLED) this.#given?.push(taken);
    return taken;
  }

  /** All that were taken are free. What was free and was not taken is forgotten. */
  recycle(): void {
    this.#free.clear();
    for (const array of this.#given ?? [])
      this.#free.set(array.length, [...(this.#free.get(array.length) ?? []), array]);
    this.#given = [];
  }
}

/** What weights were made of. */
const TENSORS = new WeakMap<Weights, readonly StoredTensor[]>();

/** All tensors of weights that lie in files, as plain data; see `openEntries`. Throws `TypeError` for other weights. */
export function entriesOf(weights: Weights): readonly TensorEntry[] {
  const tensors = TENSORS.get(weights);
  if (tensors === undefined) throw new TypeError("weights that lie in no files have no entries");
  return tensors.map(entryOf);
}

/** Tensors by name, in order. `close` closes their files. Throws `bad-file` where a name comes twice. */
export function storedWeights(tensors: readonly StoredTensor[], close: () => Promise<void>): Weights {
  const byName = new Map<string, StoredTensor>();
  for (const tensor of tensors) {
    if (byName.has(tensor.name)) {
      const message = `${tensor.file.path} has the tensor ${tensor.name} twice`;
      throw new CllmError("bad-file", `${message}; convert or fetch it again`);
    }
    byName.set(tensor.name, tensor);
  }
  const find = (name: string): StoredTensor => {
    const tensor = byName.get(name);
    if (tensor) return tensor;
    const near = nearMisses(name, byName.keys());
    const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : "it may be of another family";
    throw new CllmError("bad-weights", `there is no tensor ${name} among the checkpoint's ${byName.size}; ${hint}`);
  };
  const arrays = new Arrays();
  const weights: Weights = {
    recycle: () => arrays.recycle(),
    byteLength: tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0),
    names: () => [...byName.keys()],
    has: (name) => byName.has(name),
    shape: (name) => find(name).shape,
    dtype: (name) => find(name).dtype,
    async read(name, from = 0, to) {
      const tensor = find(name);
      const rows = tensor.shape[0] ?? 1;
      const end = to ?? rows;
      if (!Number.isInteger(from) || !Number.isInteger(end) || from < 0 || end < from || end > rows) {
        throw new CllmError("bad-input", `rows [${from}, ${end}) of ${name} were asked for; it has ${rows} rows`);
      }
      const columns = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
      const values = tensor.interleavedHeadSize
        ? await readInterleaved(tensor, tensor.interleavedHeadSize, columns, from, end, arrays)
        : await readElements(tensor, from * columns, end * columns, arrays);
      await multiplyByScales(values, tensor, from, columns);
      const { added } = tensor;
      if (added !== undefined) for (let i = 0; i < values.length; i++) values[i] = values[i]! + added;
      checkFinite(values, tensor, from * columns, columns);
      return values;
    },
    blocks(name) {
      const tensor = find(name);
      const { codec, shape } = tensor;
      if (!codec?.blocks || shape.length !== 2 || shape[1]! % BLOCK !== 0) return null;
      return { ...codec.blocks, parameters: () => readParameters(tensor, shape[0]!, shape[1]! / BLOCK) };
    },
    close,
  };
  TENSORS.set(weights, tensors);
  return weights;
}

/** `values` are the rows from `from` on, with so many columns. */
async function multiplyByScales(
  values: Float32Array,
  { scales }: StoredTensor,
  from: number,
  columns: number,
): Promise<void> {
  if (scales === undefined) return;
  const across = Math.ceil(columns / scales.columns);
  const first = Math.floor(from / scales.rows);
  const rows = values.length / columns;
  const factors = await readElements(scales.tensor, first * across, Math.ceil((from + rows) / scales.rows) * across);
  for (let row = 0; row < rows; row++) {
    const at = (Math.floor((from + row) / scales.rows) - first) * across;
    for (let block = 0; block < across; block++) {
      const factor = factors[at + block]!;
      const end = row * columns + Math.min(columns, (block + 1) * scales.columns);
      for (let i = row * columns + block * scales.columns; i < end; i++) values[i] = values[i]! * factor;
    }
  }
}

/** Scales and offsets of a matrix's blocks, row by row, in the order in which rows are read. */
async function readParameters(
  tensor: StoredTensor,
  rows: number,
  columns: number,
): Promise<{ readonly scales: Float32Array; readonly offsets: Float32Array }> {
  const { codec, file, offset, interleavedHeadSize } = tensor;
  const { blockSize, blockBytes, blocks } = codec!;
  const scales = new Float32Array(rows * columns);
  const offsets = new Float32Array(rows * columns);
  const total = (rows * columns * BLOCK) / blockSize;
  const chunk = Math.floor(CHUNK_BYTES / blockBytes);
  for (let first = 0; first < total; first += chunk) {
    const count = Math.min(chunk, total - first);
    const bytes = await file.read(offset + first * blockBytes, count * blockBytes);
    const at = (first * blockSize) / BLOCK;
    blocks!.read(bytes, count, scales.subarray(at), offsets.subarray(at));
  }
  if (!interleavedHeadSize) return { scales, offsets };
  const inOrder = (values: Float32Array): Float32Array =>
    deinterleaved(values, interleavedHeadSize, columns, 0, 0, rows);
  return { scales: inOrder(scales), offsets: inOrder(offsets) };
}

/** Elements `[from, to)` in stored order. */
async function readElements(
  tensor: StoredTensor,
  from: number,
  to: number,
  arrays: Arrays = new Arrays(),
): Promise<Float32Array> {
  const { codec, file, offset } = tensor;
  if (!codec) throw unsupportedType(tensor);
  const firstBlock = Math.floor(from / codec.blockSize);
  const endBlock = Math.ceil(to / codec.blockSize);
  const values = arrays.take((endBlock - firstBlock) * codec.blockSize);
  const chunk = Math.max(1, Math.floor(CHUNK_BYTES / codec.blockBytes));
  for (let block = firstBlock; block < endBlock; block += chunk) {
    const blocks = Math.min(chunk, endBlock - block);
    const bytes = await file.read(offset + block * codec.blockBytes, blocks * codec.blockBytes);
    codec.decode(bytes, blocks, values.subarray((block - firstBlock) * codec.blockSize));
  }
  const skipped = from - firstBlock * codec.blockSize;
  return values.length === to - from ? values : values.slice(skipped, skipped + to - from);
}

/**
 * Rows `[from, to)` of a matrix whose rows are interleaved within heads: row b + a * half of a head, a in {0, 1}, is
 * stored as its row 2 b + a, the order of rotary embeddings that pair neighbours.
 */
async function readInterleaved(
  tensor: StoredTensor,
  headSize: number,
  columns: number,
  from: number,
  to: number,
  arrays: Arrays,
): Promise<Float32Array> {
  if (to - from === 1) {
    const place = from - (from % headSize) + placeInHead(from % headSize, headSize);
    return readElements(tensor, place * columns, (place + 1) * columns, arrays);
  }
  const first = from - (from % headSize);
  const end = Math.ceil(to / headSize) * headSize;
  const stored = await readElements(tensor, first * columns, end * columns, arrays);
  return deinterleaved(stored, headSize, columns, first, from, to, arrays);
}

/** Where row `i` of a head is stored, counted from the head's first. */
const placeInHead = (i: number, headSize: number): number => {
  const half = headSize / 2;
  return i < half ? 2 * i : 2 * (i - half) + 1;
};

/** Rows `[from, to)` out of those that are stored from row `first` on, where a head begins. */
function deinterleaved(
  stored: Float32Array,
  headSize: number,
  columns: number,
  first: number,
  from: number,
  to: number,
  arrays: Arrays = new Arrays(),
): Float32Array {
  const values = arrays.take((to - from) * columns);
  for (let row = from; row < to; row++) {
    const i = row % headSize;
    const place = row - first - i + placeInHead(i, headSize);
    values.set(stored.subarray(place * columns, (place + 1) * columns), (row - from) * columns);
  }
  return values;
}

/**
 * Throw `bad-weights` at the first NaN or infinity. `first` is the index of `values[0]` in the tensor. Of a run with a scale of its
 * own, one value tells of all: where scale or offset is not finite, no value is.
 */
function checkFinite(values: Float32Array, tensor: StoredTensor, first: number, columns: number): void {
  const step = tensor.codec?.blocks && columns % BLOCK === 0 ? BLOCK : 1;
  let zero = 0;
  for (let i = 0; i < values.length; i += step) zero += values[i]! * 0; // stays zero unless a value is NaN or infinite
  if (zero === 0) return;
  const i = values.findIndex((value) => !Number.isFinite(value));
  const message = `tensor ${tensor.name} of ${tensor.file.path} is ${values[i]} at index ${first + i}`;
  throw new CllmError("bad-weights", `${message}; the file is damaged or training diverged: use another checkpoint`);
}

/** The error for a tensor whose element type cannot be read. */
export function unsupportedType({ name, dtype, file }: StoredTensor): CllmError {
  const message = `tensor ${name} of ${file.path} is stored as ${dtype}, which is not supported`;
  return new CllmError("unsupported", `${message} ${SUPPORTED_TYPES}`);
}

const SUPPORTED_TYPES =
  "safetensors may hold F32, F16, BF16, F64 and F8; GGUF also Q2_K to Q8_K, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, IQ4_XS and MXFP4";
