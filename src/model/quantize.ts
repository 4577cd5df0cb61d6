/**
 * Weights in few bits: the two layouts that ONNX Runtime multiplies by. Rounds to nearest, scales by the largest magnitude.
 * Knows nothing about graphs.
 */
import type { Matrix } from "./matrix.ts";

/** Signed bytes with a scale for each output channel, transposed to `(in, planes * out)`. */
export interface Int8Weights {
  readonly data: Int8Array;
  readonly shape: readonly [number, number];
  readonly scales: Float32Array; // (planes * out,)
  readonly planes: 1 | 2;
}

/** Steps of the second plane in one of the first. */
const PLANE_STEPS = 254;
/** Output channels transposed together, so that the writes of one input channel share a cache line. */
const TILE = 64;

/**
 * Quantize a matrix `(out, in)`. With two planes, further output channels hold the rounding error of the first ones, in steps
 * 254 times finer; the two add up to the product in about sixteen bits.
 */
export function quantizeRows({ rows, columns, data }: Matrix, planes: 1 | 2): Int8Weights {
  const width = planes * rows;
  const bytes = new Int8Array(columns * width);
  const scales = new Float32Array(width);
  const inverse = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    const largest = largestMagnitude(data, r * columns, (r + 1) * columns);
    scales[r] = largest / 127;
    if (planes === 2) scales[rows + r] = largest / 127 / PLANE_STEPS;
    inverse[r] = largest === 0 ? 0 : 127 / largest;
  }
  for (let r0 = 0; r0 < rows; r0 += TILE) {
    const r1 = Math.min(r0 + TILE, rows);
    for (let c = 0; c < columns; c++) {
      for (let r = r0; r < r1; r++) {
        const value = (data[r * columns + c] as number) * (inverse[r] as number);
        const rounded = Math.round(value);
        bytes[c * width + r] = rounded;
        if (planes === 2) bytes[c * width + rows + r] = Math.round((value - rounded) * PLANE_STEPS);
      }
    }
  }
  return { data: bytes, shape: [columns, width], scales, planes };
}

/** Unsigned integers of few bits in blocks along the input, as `MatMulNBits` reads them. */
export interface BlockWeights {
  readonly data: Uint8Array;
  readonly shape: readonly [number, number, number]; // (out, blocks, bytes of a block)
  readonly scales: Float32Array; // (out * blocks,)
  readonly blockSize: number;
}

const BLOCK = 32;

/**
 * Quantize a matrix `(out, in)` to `bits`, around the middle of the range. The last block of a row is padded with zeros. In
 * four bits the value of the largest magnitude takes the end of the range that reaches farther, as in GGUF's Q4_0.
 */
export function quantizeBlocks({ rows, columns, data }: Matrix, bits: 4 | 8): BlockWeights {
  const blocks = Math.ceil(columns / BLOCK);
  const blockBytes = (BLOCK * bits) / 8;
  const middle = 2 ** (bits - 1);
  const bytes = new Uint8Array(rows * blocks * blockBytes).fill(bits === 8 ? middle : middle * 17);
  const scales = new Float32Array(rows * blocks);
  for (let block = 0; block < rows * blocks; block++) {
    const row = Math.floor(block / blocks);
    const from = row * columns + (block % blocks) * BLOCK;
    const to = Math.min(from + BLOCK, (row + 1) * columns);
    let largest = 0; // signed
    for (let i = from; i < to; i++) if (Math.abs(data[i] as number) > Math.abs(largest)) largest = data[i] as number;
    const scale = bits === 8 ? Math.abs(largest) / (middle - 1) : largest / -middle;
    scales[block] = scale;
    if (scale === 0) continue;
    for (let i = from, at = 0; i < to; i++, at++) {
      const q = Math.min(Math.round((data[i] as number) / scale) + middle, 2 * middle - 1);
      const index = block * blockBytes + (bits === 8 ? at : at >> 1);
      if (bits === 8) bytes[index] = q;
      else if ((at & 1) === 0) bytes[index] = ((bytes[index] as number) & 0xf0) | q;
      else bytes[index] = ((bytes[index] as number) & 0x0f) | (q << 4);
    }
  }
  return { data: bytes, shape: [rows, blocks, blockBytes], scales, blockSize: BLOCK };
}

function largestMagnitude(data: Float32Array, from: number, to: number): number {
  let largest = 0;
  for (let i = from; i < to; i++) {
    const magnitude = Math.abs(data[i] as number);
    if (magnitude > largest) largest = magnitude;
  }
  return largest;
}
