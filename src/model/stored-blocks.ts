/**
 * Matrices in the blocks that a file stores them in: 32 elements along a row, each scale * code + offset, with codes from 0 to a
 * largest one. Such blocks become those that the engine multiplies by, and are not quantized a second time: the steps stay
 * where they are. Knows no file and no graph.
 */
import { BLOCK, type Matrix } from "./matrix.ts";
import { type BlockWeights, quantizeBlock, quantizeBlocks } from "./quantize.ts";

/**
 * The matrix as the engine's blocks. Codes and scales are the file's, and so is the offset where its middle code means zero.
 * Other offsets become zero points: 4-bit codes are spread over 8 bits, so that an offset is off by a thirty-second of a step at most.
 * What the file stores otherwise is quantized to 8 bits in blocks.
 */
export function storedBlocks(matrix: Matrix): BlockWeights {
  const { rows, columns, data, hollow, blocks: stored } = matrix;
  if (stored === undefined) return quantizeBlocks(matrix, 8);
  const { bits, ownOffsets } = stored;
  const count = (rows * columns) / BLOCK;
  const blockBytes = (BLOCK * bits) / 8;
  const bytes = new Uint8Array(count * blockBytes);
  const scales = new Float32Array(count);
  const zeros = ownOffsets ? new Uint8Array(count) : null;
  const shape = [rows, columns / BLOCK, blockBytes] as const;
  const whole: BlockWeights = { data: bytes, shape, scales, zeros, blockSize: BLOCK };
  if (hollow) return whole;
  for (let block = 0; block < count; block++) {
    const from = block * BLOCK;
    const largest = stored.largest[block] as number;
    const scale = stored.scales[block] as number;
    const offset = stored.offsets[block] as number;
    const spread = bits === 4 ? 1 : Math.floor(256 / (largest + 1)); // codes of the engine's for one of the file's
    const zero = Math.round((-offset / scale) * spread);
    const fits = largest > 0 && scale !== 0 && zero >= 0 && zero < 2 ** bits;
    if (!fits) {
      scales[block] = quantizeBlock(data, from, from + BLOCK, bits, bytes, block * blockBytes);
      if (zeros) zeros[block] = 2 ** (bits - 1);
      continue;
    }
    scales[block] = scale / spread;
    if (zeros) zeros[block] = zero;
    const code = (i: number): number => Math.round(((data[i] as number) - offset) / scale) * spread;
    const start = block * blockBytes;
    if (bits === 8) for (let i = 0; i < BLOCK; i++) bytes[start + i] = code(from + i);
    else for (let i = 0; i < blockBytes; i++) bytes[start + i] = code(from + 2 * i) | (code(from + 2 * i + 1) << 4);
  }
  return whole;
}

/**
 * The same in blocks half as long, where rows are whole blocks. The engine rounds activations by blocks of the weights' length, and
 * they are where the error comes from: an outlier then has fewer neighbours.
 */
export function halvedBlocks(matrix: Matrix): BlockWeights {
  const whole = storedBlocks(matrix);
  if (matrix.columns % BLOCK !== 0) return whole;
  const { data, shape, scales, zeros, blockSize } = whole;
  const [rows, blocks, bytes] = shape;
  return {
    ...{ data, shape: [rows, 2 * blocks, bytes / 2], blockSize: blockSize / 2 },
    scales: twice(scales, new Float32Array(2 * scales.length)),
    zeros: zeros && twice(zeros, new Uint8Array(2 * zeros.length)),
  };
}

/** Each element two times. */
function twice<T extends Float32Array | Uint8Array>(values: T, into: T): T {
  for (let i = 0; i < into.length; i++) into[i] = values[i >> 1] as number;
  return into;
}
