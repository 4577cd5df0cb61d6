/**
 * The header of GGUF files, versions 2 and 3, little-endian: metadata and the list of tensors
 * (github.com/ggml-org/ggml/blob/master/docs/gguf.md). Every count, length and offset is held against the file's size
 * before anything is allocated for it. Knows no model and no tokenizer.
 */
import { CllmError } from "../../error.ts";
import type { BinaryFile } from "../../files/binary-file.ts";
import { shorten } from "../../files/near-miss.ts";
import { CODECS } from "../codecs.ts";
import type { StoredTensor } from "../stored-weights.ts";

export type GgufValue =
  | string
  | number
  | bigint // 64-bit integers beyond the exact numbers
  | boolean
  | readonly string[]
  | readonly boolean[]
  | GgufNumbers;

/** A numeric array, typed by what the file stores. */
export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Under the file's own names, shapes outermost first (the file stores them innermost first). */
  readonly tensors: readonly StoredTensor[];
}

const MAX_HEADER_BYTES = 256 * 2 ** 20;
const MAX_METADATA = 65_536;
const MAX_TENSORS = 65_536;
const MAX_KEY_BYTES = 65_535; // the specification's
const MAX_NAME_BYTES = 1024;
const MAX_STRINGS = 2 ** 22; // of one array: vocabularies have up to some 300,000 entries
const MAX_DIMENSIONS = 4;

/** Element types by ggml's number: those that can be read, and the rest for error messages; a dash was never used. */
const TYPE_NAMES: readonly string[] = (
  "F32 F16 Q4_0 Q4_1 - - Q5_0 Q5_1 Q8_0 Q8_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K IQ2_XXS IQ2_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S " +
  "IQ2_S IQ4_XS I8 I16 I32 I64 F64 IQ1_M BF16 - - - TQ1_0 TQ2_0 - - - MXFP4 NVFP4"
).split(" ");

/** Read the header. Throws `bad-file` naming what is wrong and `unsupported` for versions and types that are not built. */
export async function readGgufHeader(file: BinaryFile): Promise<GgufHeader> {
  // Headers take kilobytes to tens of megabytes, and nothing says how many: read more while the parser wants more.
  for (let length = Math.min(file.size, 4 * 2 ** 20); ; length = Math.min(file.size, MAX_HEADER_BYTES, length * 2)) {
    const header = parseHeader(file, await file.read(0, length));
    if (header) return header;
    if (length === file.size) throw bad(file, `its header goes on past the file's end at byte ${file.size}`);
    if (length === MAX_HEADER_BYTES)
      throw bad(file, `its header is longer than the limit of ${MAX_HEADER_BYTES} bytes`);
  }
}

function bad(file: BinaryFile, problem: string): CllmError {
  return new CllmError("bad-file", `${file.path} is no sound GGUF file: ${problem}; fetch or convert it again`);
}

/** The header, or null where it goes on past `bytes`, which may be only the start of the file. */
function parseHeader(file: BinaryFile, bytes: Uint8Array): GgufHeader | null {
  const cursor = new Cursor(file, bytes);
  try {
    checkMagic(file, bytes, cursor);
    const tensorCount = cursor.count("number of tensors", MAX_TENSORS);
    const metadataCount = cursor.count("number of metadata entries", MAX_METADATA);
    const metadata = new Map<string, GgufValue>();
    for (let i = 0; i < metadataCount; i++) {
      const key = cursor.string("a metadata key", MAX_KEY_BYTES);
      if (metadata.has(key)) throw bad(file, `its metadata has the key ${shorten(key)} twice`);
      metadata.set(key, readValue(cursor, key));
    }
    const entries = Array.from({ length: tensorCount }, () => readTensorEntry(cursor));
    return { metadata, tensors: placeTensors(file, entries, cursor.position, readAlignment(file, metadata)) };
  } catch (error) {
    if (error instanceof NeedsMore) return null;
    throw error;
  }
}

function checkMagic(file: BinaryFile, bytes: Uint8Array, cursor: Cursor): void {
  const magic = LATIN1.decode(bytes.subarray(0, 4));
  if (magic !== "GGUF") throw bad(file, `it starts with ${JSON.stringify(magic)} instead of "GGUF"`);
  cursor.position = 4;
  const version = cursor.u32();
  if (version === 2 || version === 3) return;
  const swapped = version >>> 24;
  const message =
    (version & 0xffffff) === 0 && swapped > 0
      ? `${file.path} is a big-endian GGUF file (version ${swapped}); only little-endian ones are supported`
      : `${file.path} is a GGUF file of version ${version}; 2 and 3 are supported`;
  throw new CllmError("unsupported", `${message}; convert the model again with a current llama.cpp`);
}

const LATIN1 = new TextDecoder("latin1");
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Thrown by the cursor at the end of its bytes. */
class NeedsMore {}

/** Reads the header's values in order. */
class Cursor {
  position = 0;
  readonly file: BinaryFile;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(file: BinaryFile, bytes: Uint8Array) {
    this.file = file;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Step over `length` bytes and return where they start. A length that not even the file holds is an error. */
  take(length: number, what: string): number {
    const start = this.position;
    if (start + length > this.file.size) {
      throw bad(this.file, `${what} at byte ${start} takes ${length} bytes; ${this.file.size - start} are left`);
    }
    if (start + length > MAX_HEADER_BYTES) {
      throw bad(this.file, `${what} at byte ${start} takes ${length} bytes; headers end by ${MAX_HEADER_BYTES}`);
    }
    if (start + length > this.#bytes.length) throw new NeedsMore();
    this.position = start + length;
    return start;
  }

  view(length: number, what: string): DataView {
    const start = this.take(length, what);
    return new DataView(this.#view.buffer, this.#view.byteOffset + start, length);
  }

  u32(): number {
    return this.#view.getUint32(this.take(4, "a 32-bit number"), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.take(8, "a 64-bit number"), true);
  }

  /** A 64-bit count, at most `max`. `kind` goes before what it is of. */
  count(what: string, max: number, kind = ""): number {
    const start = this.take(8, "a 64-bit number");
    const value = this.#view.getUint32(start, true) + this.#view.getUint32(start + 4, true) * 2 ** 32;
    if (value > max)
      throw bad(this.file, `the ${kind}${what} is ${this.#view.getBigUint64(start, true)}; the limit is ${max}`);
    return value;
  }

  string(what: string, maxBytes: number = MAX_HEADER_BYTES): string {
    const length = this.count(what, maxBytes, "length of ");
    const start = this.take(length, what);
    return UTF8.decode(this.#bytes.subarray(start, start + length));
  }

  /** A fresh copy of bytes, aligned for typed arrays. */
  copy(length: number, what: string): ArrayBuffer {
    const start = this.take(length, what);
    return new Uint8Array(this.#bytes.subarray(start, start + length)).buffer;
  }
}

const STRING = 8;
const ARRAY = 9;
const BOOL = 7;

interface NumericType {
  readonly bytes: number;
  readonly read: (view: DataView) => number | bigint;
  readonly array: (buffer: ArrayBuffer) => GgufNumbers;
}

/** Metadata's numeric types by their number in the file. */
const NUMERIC: Readonly<Record<number, NumericType>> = {
  0: { bytes: 1, read: (view) => view.getUint8(0), array: (buffer) => new Uint8Array(buffer) },
  1: { bytes: 1, read: (view) => view.getInt8(0), array: (buffer) => new Int8Array(buffer) },
  2: { bytes: 2, read: (view) => view.getUint16(0, true), array: (buffer) => new Uint16Array(buffer) },
  3: { bytes: 2, read: (view) => view.getInt16(0, true), array: (buffer) => new Int16Array(buffer) },
  4: { bytes: 4, read: (view) => view.getUint32(0, true), array: (buffer) => new Uint32Array(buffer) },
  5: { bytes: 4, read: (view) => view.getInt32(0, true), array: (buffer) => new Int32Array(buffer) },
  6: { bytes: 4, read: (view) => view.getFloat32(0, true), array: (buffer) => new Float32Array(buffer) },
  10: { bytes: 8, read: (view) => exact(view.getBigUint64(0, true)), array: (buffer) => new BigUint64Array(buffer) },
  11: { bytes: 8, read: (view) => exact(view.getBigInt64(0, true)), array: (buffer) => new BigInt64Array(buffer) },
  12: { bytes: 8, read: (view) => view.getFloat64(0, true), array: (buffer) => new Float64Array(buffer) },
};

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function readValue(cursor: Cursor, key: string): GgufValue {
  const what = `metadata ${shorten(key)}`;
  const type = cursor.u32();
  if (type === STRING) return cursor.string(what);
  if (type === BOOL) return readBoolean(cursor, what);
  if (type === ARRAY) return readArray(cursor, what);
  const numeric = NUMERIC[type];
  if (!numeric) throw bad(cursor.file, `${what} has the unknown value type ${type}`);
  return numeric.read(cursor.view(numeric.bytes, what));
}

function readArray(cursor: Cursor, what: string): GgufValue {
  const type = cursor.u32();
  if (type === STRING || type === BOOL) {
    const length = cursor.count(`length of ${what}`, MAX_STRINGS);
    const least = length * (type === STRING ? 8 : 1); // bytes that so many elements need at the least
    if (least > cursor.file.size - cursor.position) {
      throw bad(cursor.file, `${what} has ${length} elements; ${cursor.file.size - cursor.position} bytes are left`);
    }
    if (type === BOOL) return Array.from({ length }, () => readBoolean(cursor, what));
    const strings: string[] = [];
    for (let i = 0; i < length; i++) strings.push(cursor.string(what));
    return strings;
  }
  const numeric = NUMERIC[type];
  if (!numeric) throw bad(cursor.file, `${what} is an array of the unknown or nested type ${type}`);
  const length = cursor.count(`length of ${what}`, MAX_HEADER_BYTES);
  return numeric.array(cursor.copy(length * numeric.bytes, what));
}

function readBoolean(cursor: Cursor, what: string): boolean {
  const byte = cursor.view(1, what).getUint8(0);
  if (byte > 1) throw bad(cursor.file, `${what} is the boolean ${byte}; 0 and 1 are possible`);
  return byte === 1;
}

interface TensorEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly offset: number;
  readonly byteLength: number;
}

function readTensorEntry(cursor: Cursor): TensorEntry {
  const name = cursor.string("a tensor's name", MAX_NAME_BYTES);
  const what = `tensor ${shorten(name)}`;
  const dimensions = cursor.u32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw bad(cursor.file, `${what} has ${dimensions} dimensions; 1 to ${MAX_DIMENSIONS} are possible`);
  }
  const lengths = Array.from({ length: dimensions }, () => cursor.count(`size of ${what}`, Number.MAX_SAFE_INTEGER));
  const type = cursor.u32();
  const offset = cursor.count(`offset of ${what}`, Number.MAX_SAFE_INTEGER);
  const dtype = TYPE_NAMES[type] ?? "-";
  if (dtype === "-") throw bad(cursor.file, `${what} has the unknown element type ${type}`);
  const codec = CODECS.get(dtype);
  if (!codec) {
    const message = `${cursor.file.path}: ${what} is stored as ${dtype}; ${[...CODECS.keys()].join(", ")} are supported`;
    throw new CllmError("unsupported", `${message}; choose a file of one of these`);
  }
  if (lengths[0]! % codec.blockSize !== 0) {
    throw bad(cursor.file, `${what} has rows of ${lengths[0]}; ${dtype} needs multiples of ${codec.blockSize}`);
  }
  const elements = lengths.reduce((product, length) => product * length, 1);
  const byteLength = (elements / codec.blockSize) * codec.blockBytes;
  if (!(elements > 0 && Number.isSafeInteger(elements) && byteLength <= cursor.file.size)) {
    throw bad(cursor.file, `${what} [${lengths}] of ${dtype} does not fit into the file's ${cursor.file.size} bytes`);
  }
  return { name, shape: lengths.reverse(), dtype, offset, byteLength };
}

function readAlignment(file: BinaryFile, metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get("general.alignment") ?? 32;
  if (
    typeof alignment === "number" &&
    alignment >= 8 &&
    alignment <= 65_536 &&
    Number.isInteger(Math.log2(alignment))
  ) {
    return alignment;
  }
  throw bad(file, `general.alignment is ${String(alignment).slice(0, 80)}; powers of two from 8 to 65536 are possible`);
}

/** Turn offsets within the data into ones within the file: aligned, in range, unique names, no overlap. */
function placeTensors(file: BinaryFile, entries: TensorEntry[], headerEnd: number, alignment: number): StoredTensor[] {
  const dataStart = Math.ceil(headerEnd / alignment) * alignment;
  const names = new Set<string>();
  const tensors = entries.map(({ name, shape, dtype, offset, byteLength }): StoredTensor => {
    const what = `tensor ${shorten(name)}`;
    if (names.has(name)) throw bad(file, `${what} is listed twice`);
    names.add(name);
    if (offset % alignment !== 0) throw bad(file, `${what} starts at ${offset}, no multiple of ${alignment}`);
    if (dataStart + offset + byteLength > file.size) {
      const end = dataStart + offset + byteLength;
      throw bad(
        file,
        `${what} ends at byte ${end}, but the file has ${file.size}: it is cut off or still being fetched`,
      );
    }
    return { name, shape, dtype, codec: CODECS.get(dtype)!, file, offset: dataStart + offset, byteLength };
  });
  let covered = dataStart;
  for (const { name, offset, byteLength } of tensors.toSorted((a, b) => a.offset - b.offset)) {
    if (offset < covered) throw bad(file, `tensor ${shorten(name)} overlaps the one before it`);
    covered = offset + byteLength;
  }
  return tensors;
}
