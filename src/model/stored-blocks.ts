/**
 * Matrices in the blocks that a file stores them in: 32 elements along a row, each scale * code + offset, with codes from 0 to a
 * largest one. Such blocks become those that the engine multiplies by, and are not quantized a second time: the steps stay
 * where they are. Knows no file and no graph.
 */
import type { Matrix } from "./matrix.ts";
import { BLOCK, type BlockWeights, quantizeBlock, quantizeBlocks } from "./quantize.ts";

/** What the file says of the blocks of a matrix, row by row. */
export interface StoredBlocks {
  /** Bits that hold the codes. */
  readonly bits: 4 | 8;
  /** Whether offsets are the block's own; if not, the middle code means zero. */
  readonly ownOffsets: boolean;
  readonly largest: Uint8Array; // (out * blocks,): the largest code, or 0 where the file stores the elements otherwise
  readonly scales: Float32Array; // (out * blocks,)
  readonly offsets: Float32Array; // (out * blocks,)
}

/** Blocks of matrices that lie one below the other. Undefined where none is stored in blocks. */
export function stackBlocks(parts: readonly Matrix[]): StoredBlocks | undefined {
  if (parts.every((part) => part.blocks === undefined)) return undefined;
  const counts = parts.map(({ rows, columns, hollow }) => (hollow ? 0 : rows * Math.ceil(columns / BLOCK)));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const whole = {
    bits: parts.every((part) => part.blocks?.bits === 4) ? 4 : 8,
    ownOffsets: parts.some((part) => part.blocks?.ownOffsets),
    largest: new Uint8Array(total),
    scales: new Float32Array(total),
    offsets: new Float32Array(total),
  } as const;
  let at = 0;
  for (const [i, { blocks, hollow }] of parts.entries()) {
    if (blocks !== undefined && !hollow) {
      whole.largest.set(blocks.largest, at);
      whole.scales.set(blocks.scales, at);
      whole.offsets.set(blocks.offsets, at);
    }
    at += counts[i] as number;
  }
  return whole;
}

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
