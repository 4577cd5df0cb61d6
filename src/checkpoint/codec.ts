/** What a codec of stored elements is, and halves, which most blocks begin with. Knows no type. */

/** How runs of elements are stored. Reading `blocks` blocks at a time keeps the loops below tight. */
export interface Codec {
  readonly name: string;
  /** Elements per block; 1 for plain types. */
  readonly blockSize: number;
  /** Bytes per block. */
  readonly blockBytes: number;
  /** Decode `blocks` blocks from the start of `bytes` (4-byte aligned) into the start of `out`. */
  decode(bytes: Uint8Array, blocks: number, out: Float32Array): void;
  /** For types whose elements are scale * code + offset in runs of 32. */
  readonly blocks?: BlockLayout;
}

export interface BlockLayout {
  /** Codes go from 0 to this. */
  readonly largest: number;
  /** The middle code means zero in every run. */
  readonly centered: boolean;
  /** Scale and offset of each run of `blocks` blocks. */
  read(bytes: Uint8Array, blocks: number, scales: Float32Array, offsets: Float32Array): void;
}

/** The smallest half above zero. */
const SMALLEST = 2 ** -24;
/** What the exponents of float32 and of a half differ by. */
const REBASE = 127 - 15;

/** Float32 of every IEEE half, by bits: 5 of exponent, 10 of fraction. */
export const HALF: Float32Array = halfTable();

function halfTable(): Float32Array {
  const table = new Float32Array(65536);
  const words = new Uint32Array(table.buffer);
  for (let bits = 0; bits < 32768; bits++) {
    const exponent = bits >> 10;
    const fraction = bits & 1023;
    if (exponent === 0) table[bits] = fraction * SMALLEST;
    else if (exponent === 31) table[bits] = fraction === 0 ? Infinity : NaN;
    else words[bits] = ((exponent + REBASE) << 23) | (fraction << 13);
    table[bits + 32768] = -(table[bits] as number);
  }
  return table;
}

/** The f16 at byte `i`. */
export function half(bytes: Uint8Array, i: number): number {
  return HALF[bytes[i]! | (bytes[i + 1]! << 8)]!;
}
