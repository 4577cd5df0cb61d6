/**
 * Weights in few bits: the two layouts that ONNX Runtime multiplies by. Rounds to nearest, scales by the largest magnitude.
 * Knows nothing about graphs.
 */
import { BLOCK, type Matrix } from "./matrix.ts";

/** Signed bytes with a scale for each output channel, transposed to `(in, planes * out)`. */
export interface Int8Weights {
  readonly data: Int8Array;
  readonly shape: readonly [number, number];
  readonly scales: Float32Array; // (planes * out,)
  readonly planes: 1 | 2;
}

/** Steps of the second plane in one of the first. */
const PLANE_STEPS = 254;
/** Output channels that are quantized together, then copied to their places channel by channel: they stay in the cache. */
const TILE = 128;

/**
 * Quantize a matrix `(out, in)`. With two planes, further output channels hold the rounding error of the first ones, in steps
 * 254 times finer; the two add up to the product in about sixteen bits.
 */
export function quantizeRows({ rows, columns, data, hollow }: Matrix, planes: 1 | 2): Int8Weights {
  const width = planes * rows;
  const bytes = new Int8Array(columns * width);
  const scales = new Float32Array(width);
  const whole: Int8Weights = { data: bytes, shape: [columns, width], scales, planes };
  if (hollow) return whole;
  const tile = new Int8Array(TILE * columns); // (columns, TILE)
  const fine = new Int8Array(planes === 2 ? TILE * columns : 0);
  for (let r0 = 0; r0 < rows; r0 += TILE) {
    const count = Math.min(TILE, rows - r0);
    for (let i = 0; i < count; i++) {
      const start = (r0 + i) * columns;
      const end = start + columns;
      const largest = largestMagnitude(data, start, end);
      const inverse = largest === 0 ? 0 : 127 / largest;
      scales[r0 + i] = largest / 127;
      for (let from = start, at = i; from < end; from++, at += TILE) {
        tile[at] = ((data[from] as number) * inverse + SHIFTED_HALF) | 0;
      }
      if (planes === 1) continue;
      scales[rows + r0 + i] = largest / 127 / PLANE_STEPS;
      for (let from = start, at = i; from < end; from++, at += TILE) {
        const value = (data[from] as number) * inverse;
        fine[at] = Math.round((value - Math.floor(value + 0.5)) * PLANE_STEPS);
      }
    }
    for (let c = 0; c < columns; c++) {
      bytes.set(tile.subarray(c * TILE, c * TILE + count), c * width + r0);
      if (planes === 2) bytes.set(fine.subarray(c * TILE, c * TILE + count), c * width + rows + r0);
    }
  }
  return whole;
}

/** What is added to a number above -256 before its fraction is dropped: it rounds to nearest, and the low byte is the number's. */
const SHIFTED_HALF = 256.5;

/** Unsigned integers of few bits in blocks along the input, as `MatMulNBits` reads them. */
export interface BlockWeights {
  readonly data: Uint8Array;
  readonly shape: readonly [number, number, number]; // (out, blocks, bytes of a block)
  readonly scales: Float32Array; // (out * blocks,)
  /** Which code means zero, block by block (8 bits only); null: the middle of the range. */
  readonly zeros: Uint8Array | null; // (out * blocks,)
  readonly blockSize: number;
}

/**
 * Quantize a matrix `(out, in)` to `bits`, around the middle of the range. The last block of a row is padded with zeros. In
 * four bits the value of the largest magnitude takes the end of the range that reaches farther, as in GGUF's Q4_0.
 */
export function quantizeBlocks({ rows, columns, data, hollow }: Matrix, bits: 4 | 8): BlockWeights {
  const blocks = Math.ceil(columns / BLOCK);
  const blockBytes = (BLOCK * bits) / 8;
  const bytes = new Uint8Array(rows * blocks * blockBytes);
  const scales = new Float32Array(rows * blocks);
  const shape = [rows, blocks, blockBytes] as const;
  const whole: BlockWeights = { data: bytes, shape, scales, zeros: null, blockSize: BLOCK };
  if (hollow) return whole;
  for (let block = 0; block < rows * blocks; block++) {
    const row = Math.floor(block / blocks);
    const from = row * columns + (block % blocks) * BLOCK;
    const to = Math.min(from + BLOCK, (row + 1) * columns);
    scales[block] = quantizeBlock(data, from, to, bits, bytes, block * blockBytes);
  }
  return whole;
}

/** Quantizes one block, the elements `[from, to)`, into the bytes from `start` on. Returns its scale. */
export function quantizeBlock(
  data: Float32Array,
  from: number,
  to: number,
  bits: 4 | 8,
  bytes: Uint8Array,
  start: number,
): number {
  if (bits === 8) return quantizeBytes(data, from, to, bytes, start);
  const middle = 8;
  bytes.fill(middle * 17, start, start + BLOCK / 2);
  let lowest = 0;
  let highest = 0;
  for (let i = from; i < to; i++) {
    const value = data[i] as number;
    if (value > highest) highest = value;
    else if (value < lowest) lowest = value;
  }
  const largest = firstLargest(data, from, to, lowest, highest);
  const scale = largest / -middle;
  if (scale === 0) return scale;
  for (let i = from, at = 0; i < to; i++, at++) {
    const q = Math.min(Math.round((data[i] as number) / scale) + middle, 2 * middle - 1);
    const index = start + (at >> 1);
    if ((at & 1) === 0) bytes[index] = ((bytes[index] as number) & 0xf0) | q;
    else bytes[index] = ((bytes[index] as number) & 0x0f) | (q << 4);
  }
  return scale;
}

/** In 8 bits, around 128. */
function quantizeBytes(data: Float32Array, from: number, to: number, bytes: Uint8Array, start: number): number {
  const largest = largestMagnitude(data, from, to);
  const inverse = largest === 0 ? 0 : 127 / largest;
  for (let i = from, at = start; i < to; i++, at++) bytes[at] = (data[i] as number) * inverse + 128.5;
  if (to - from < BLOCK) bytes.fill(128, start + to - from, start + BLOCK);
  return largest / 127;
}

/** The value of the largest magnitude with its sign; of two with opposite signs the one that comes first. */
function firstLargest(data: Float32Array, from: number, to: number, lowest: number, highest: number): number {
  if (highest !== -lowest) return highest > -lowest ? highest : lowest;
  for (let i = from; i < to; i++) if (data[i] === highest || data[i] === lowest) return data[i] as number;
  return 0;
}

function largestMagnitude(data: Float32Array, from: number, to: number): number {
  let largest = 0;
  for (let i = from; i < to; i++) {
    const magnitude = Math.abs(data[i] as number);
    if (magnitude > largest) largest = magnitude;
  }
  return largest;
}
