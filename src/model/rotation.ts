/**
 * An orthogonal rotation of a vector's channels that spreads outliers evenly, so that eight bits suffice for activations:
 * random signs, then a Walsh-Hadamard transform (QuaRot, arXiv:2404.00456, section 2). Knows nothing about which
 * activations and matrices are rotated.
 */
import { rowKernels } from "./number-kernels.ts";

/** Numbers that are rotated in one go. */
const AT_ONCE = 2 ** 16;
/** Numbers of a vector. */
const VECTOR = 4;

export class Rotation {
  /** Channels that are rotated together: a power of two, and `VECTOR` at least. */
  readonly size: number;
  /** What channels are multiplied by first: +-1/sqrt(size). */
  readonly signs: Float32Array; // (size,)

  constructor(size: number) {
    if (size < VECTOR || (size & -size) !== size)
      throw new RangeError(`a rotation of ${size} channels: not a power of two from ${VECTOR} on`);
    this.size = size;
    const norm = 1 / Math.sqrt(size);
    let state = 0x9e3779b9;
    this.signs = Float32Array.from({ length: size }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 31 ? norm : -norm;
    });
  }

  /** Replace every row of `rows`, `(R, size)`, by row · Q. */
  apply(rows: Float32Array): void {
    const { size, signs } = this;
    const kernels = rowKernels();
    const many = Math.max(size, AT_ONCE - (AT_ONCE % size));
    const memory = kernels.memory(4 * (size + many));
    new Float32Array(memory, 0, size).set(signs);
    for (let from = 0; from < rows.length; from += many) {
      const part = rows.subarray(from, from + many);
      const rotated = new Float32Array(memory, 4 * size, part.length);
      rotated.set(part);
      kernels.run("rotate", 4 * size, 4 * (size + part.length), 4 * size, 0);
      part.set(rotated);
    }
  }
}

/** Channels that are rotated together, at most: wider spreads outliers farther and costs more. */
const SEGMENT = 128;

/** The largest power of two, up to `SEGMENT`, that divides `channels`; 1, for no rotation, where that is less than a vector. */
export function segmentOf(channels: number): number {
  const largest = Math.min(SEGMENT, channels & -channels);
  return largest < VECTOR ? 1 : largest;
}
