/**
 * Float32 into the element types that files are written in: the inverse of `codecs.ts` for those few. Rounding is to
 * the nearest, ties to even; what a type cannot hold is an error and never an infinity. Knows no file.
 */
import { CllmError } from "../error.ts";
import { toFloat16 } from "../model/float16.ts";

/** How runs of elements are written. */
export interface Encoder {
  readonly name: string;
  /** Elements per block; 1 for plain types. */
  readonly blockSize: number;
  /** Bytes per block. */
  readonly blockBytes: number;
  /** Encode whole blocks. Throws `bad-weights` naming `tensor` where a value does not fit. */
  encode(values: Float32Array, tensor: string): Uint8Array;
}

const LARGEST_HALF = 65_504;
const fround = Math.fround;

/** Throws at the first value whose encoding `isInfinite`, which takes the value's index. */
function checkFits(values: Float32Array, tensor: string, type: string, isInfinite: (i: number) => boolean): void {
  for (let i = 0; i < values.length; i++) {
    if (!isInfinite(i)) continue;
    const value = values[i]!;
    if (!Number.isFinite(value)) throw notFinite(tensor, value);
    throw new CllmError("bad-weights", `tensor ${tensor} holds ${value}, beyond what ${type} can: write F32 or BF16`);
  }
}

function notFinite(tensor: string, value: number): CllmError {
  const next = "training diverged or the source is damaged: go back to an earlier checkpoint";
  return new CllmError("bad-weights", `tensor ${tensor} holds the value ${value}; ${next}`);
}

function encodeF32(values: Float32Array, tensor: string): Uint8Array {
  checkFits(values, tensor, "F32", (i) => !Number.isFinite(values[i]));
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function encodeF16(values: Float32Array, tensor: string): Uint8Array {
  const halves = toFloat16(values);
  checkFits(values, tensor, `F16 (up to ${LARGEST_HALF})`, (i) => (halves[i]! & 0x7c00) === 0x7c00);
  return new Uint8Array(halves.buffer);
}

/** The upper half of a float32, rounded. */
function encodeBF16(values: Float32Array, tensor: string): Uint8Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const upper = Uint16Array.from(words, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
  checkFits(values, tensor, "BF16", (i) => (upper[i]! & 0x7f80) === 0x7f80 || !Number.isFinite(values[i]));
  return new Uint8Array(upper.buffer);
}

/** Blocks of 32: an f16 scale, the largest magnitude over 127, and 32 int8. As ggml's reference, halves away from zero. */
function encodeQ8_0(values: Float32Array, tensor: string): Uint8Array {
  const blocks = values.length / 32;
  const scales = new Float32Array(blocks);
  const out = new Uint8Array(blocks * 34);
  const signed = new Int8Array(out.buffer);
  for (let b = 0; b < blocks; b++) {
    let largest = 0;
    for (let i = b * 32; i < b * 32 + 32; i++) {
      const size = Math.abs(values[i]!);
      if (!Number.isFinite(size)) throw notFinite(tensor, values[i]!);
      if (size > largest) largest = size;
    }
    const scale = fround(largest / 127);
    const inverse = scale === 0 ? 0 : fround(1 / scale);
    scales[b] = scale;
    for (let i = 0; i < 32; i++) {
      const x = fround(values[b * 32 + i]! * inverse);
      signed[b * 34 + 2 + i] = Math.sign(x) * Math.floor(Math.abs(x) + 0.5);
    }
  }
  const halves = toFloat16(scales);
  checkFits(scales, tensor, "the scale of a Q8_0 block", (b) => (halves[b]! & 0x7c00) === 0x7c00);
  for (let b = 0; b < blocks; b++) {
    out[b * 34] = halves[b]! & 0xff;
    out[b * 34 + 1] = halves[b]! >> 8;
  }
  return out;
}

export type FloatType = "F32" | "F16" | "BF16";

/** Every type that can be written, by name. */
export const ENCODERS: Readonly<Record<FloatType | "Q8_0", Encoder>> = {
  F32: { name: "F32", blockSize: 1, blockBytes: 4, encode: encodeF32 },
  F16: { name: "F16", blockSize: 1, blockBytes: 2, encode: encodeF16 },
  BF16: { name: "BF16", blockSize: 1, blockBytes: 2, encode: encodeBF16 },
  Q8_0: { name: "Q8_0", blockSize: 32, blockBytes: 34, encode: encodeQ8_0 },
};
