/**
 * Weights in few bits: the two layouts that ONNX Runtime multiplies by. Rounds to nearest, scales by the largest magnitude.
 * Knows nothing about graphs.
 */
import { BLOCK, type Matrix } from "./matrix.ts";
import { LANES, numberKernels, PANEL_BYTES, PLANE_STEPS, rowKernels } from "./number-kernels.ts";
import type { Rotation } from "./rotation.ts";

/** Signed bytes with a scale for each output channel, transposed to `(in, planes * out)`. */
export interface Int8Weights {
  readonly data: Int8Array;
  readonly shape: readonly [number, number];
  readonly scales: Float32Array; // (planes * out,)
  readonly planes: 1 | 2;
}

/**
 * Quantize a matrix `(out, in)`, rotated first if asked for: `rotation` divides its columns. With two planes, further output channels hold the
 * rounding error of the first ones, in steps `PLANE_STEPS` times finer; the two add up to the product in about sixteen bits.
 *
 * A panel of output channels is made at a time, and in it as many as a vector has bytes.
 */
export function quantizeRows(
  { rows, columns, data, hollow }: Matrix,
  planes: 1 | 2,
  rotation: Rotation | null = null,
): Int8Weights {
  const width = planes * rows;
  const bytes = new Int8Array(columns * width);
  const scales = new Float32Array(width);
  const whole: Int8Weights = { data: bytes, shape: [columns, width], scales, planes };
  if (hollow) return whole;
  const kernels = rowKernels();
  const filled = Math.ceil(columns / LANES) * LANES; // numbers of a row
  const most = Math.max(LANES, Math.floor(PANEL_BYTES / filled / planes / LANES) * LANES);
  const panel = Math.min(most, Math.ceil(rows / LANES) * LANES); // output channels
  // In the kernels' memory: signs, rows, their bytes, their scales, then a panel of each plane, `(filled, panel)`.
  const at = { rows: 4 * (rotation?.size ?? 0), bytes: 0, scales: 0, panels: 0 };
  at.bytes = at.rows + 4 * LANES * filled;
  at.scales = at.bytes + 2 * LANES * filled;
  at.panels = at.scales + 4 * LANES;
  const memory = kernels.memory(at.panels + planes * filled * panel);
  const input = new Float32Array(memory, at.rows, LANES * filled);
  const found = new Float32Array(memory, at.scales, LANES);
  const made = new Int8Array(memory, at.panels, planes * filled * panel);
  if (rotation !== null) new Float32Array(memory, 0, rotation.size).set(rotation.signs);
  const stride = 4 * filled;
  for (let first = 0; first < rows; first += panel) {
    const ofPanel = Math.min(panel, rows - first);
    for (let r = 0; r < ofPanel; r += LANES) {
      const count = Math.min(LANES, ofPanel - r);
      fillRows(input, data, (first + r) * columns, { count, columns, filled });
      if (rotation !== null) kernels.run("rotate", at.rows, at.rows + count * stride, 4 * rotation.size, 0);
      const end = at.rows + LANES * stride;
      const fine = at.bytes + LANES * filled;
      kernels.run(planes === 2 ? "fineRows" : "rows", at.rows, end, stride, at.bytes, at.scales, fine);
      for (let plane = 0; plane < planes; plane++) {
        const from = at.bytes + plane * LANES * filled;
        const to = at.panels + plane * filled * panel + r;
        kernels.run("transposeBytes", from, from + filled, filled, to, panel);
      }
      for (let i = 0; i < count; i++) {
        scales[first + r + i] = found[i] as number;
        if (planes === 2) scales[rows + first + r + i] = (found[i] as number) / PLANE_STEPS;
      }
    }
    if (planes === 1 && panel === rows) bytes.set(made.subarray(0, bytes.length));
    else
      for (let plane = 0; plane < planes; plane++)
        for (let c = 0; c < columns; c++) {
          const from = (plane * filled + c) * panel;
          bytes.set(made.subarray(from, from + ofPanel), c * width + plane * rows + first);
        }
  }
  return whole;
}

/** Writes `count` rows of a matrix, from a number on, to `into`, `(LANES, filled)`. What is not a number of theirs is zero. */
function fillRows(
  into: Float32Array,
  data: Float32Array,
  from: number,
  { count, columns, filled }: { readonly count: number; readonly columns: number; readonly filled: number },
): void {
  if (count < LANES || columns < filled) into.fill(0);
  if (columns === filled) into.set(data.subarray(from, from + count * columns));
  else
    for (let i = 0; i < count; i++) into.set(data.subarray(from + i * columns, from + (i + 1) * columns), i * filled);
}

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
  if (bits === 8 && columns % BLOCK === 0) {
    quantizeByteBlocks(data, bytes, scales);
    return whole;
  }
  for (let block = 0; block < rows * blocks; block++) {
    const row = Math.floor(block / blocks);
    const from = row * columns + (block % blocks) * BLOCK;
    const to = Math.min(from + BLOCK, (row + 1) * columns);
    scales[block] = quantizeBlock(data, from, to, bits, bytes, block * blockBytes);
  }
  return whole;
}

/** Blocks that are quantized in one go. */
const BLOCKS_AT_ONCE = 4096;

/** Whole blocks, one behind the other, in 8 bits. */
function quantizeByteBlocks(data: Float32Array, bytes: Uint8Array, scales: Float32Array): void {
  const kernels = numberKernels();
  const at = { bytes: 4 * BLOCK * BLOCKS_AT_ONCE, scales: 5 * BLOCK * BLOCKS_AT_ONCE };
  const memory = kernels.memory(at.scales + 4 * BLOCKS_AT_ONCE);
  for (let block = 0; block < scales.length; block += BLOCKS_AT_ONCE) {
    const count = Math.min(BLOCKS_AT_ONCE, scales.length - block);
    const from = block * BLOCK;
    new Float32Array(memory, 0, count * BLOCK).set(data.subarray(from, from + count * BLOCK));
    kernels.run("blocks", 0, 4 * count * BLOCK, at.bytes, at.scales);
    bytes.set(new Uint8Array(memory, at.bytes, count * BLOCK), from);
    scales.set(new Float32Array(memory, at.scales, count), block);
  }
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
