/**
 * An orthogonal rotation of a vector's channels that spreads outliers evenly, so that eight bits suffice for activations:
 * random signs, then a Walsh-Hadamard transform (QuaRot, arXiv:2404.00456, section 2). Knows nothing about which
 * activations and matrices are rotated.
 */

export class Rotation {
  /** Channels that are rotated together: a power of two. */
  readonly size: number;
  readonly #signs: Float32Array; // (size,) of +-1/sqrt(size)

  constructor(size: number) {
    if (size < 1 || (size & -size) !== size) throw new RangeError(`a rotation of ${size} channels: not a power of two`);
    this.size = size;
    const norm = 1 / Math.sqrt(size);
    let state = 0x9e3779b9;
    this.#signs = Float32Array.from({ length: size }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 31 ? norm : -norm;
    });
  }

  /** Replace every row of `rows`, `(R, size)`, by row · Q. */
  apply(rows: Float32Array): void {
    const size = this.size;
    const signs = this.#signs;
    for (let start = 0; start < rows.length; start += size) {
      for (let i = 0; i < size; i++) rows[start + i] = (rows[start + i] as number) * (signs[i] as number);
      let half = 1;
      for (; 4 * half <= size; half *= 4) twoStages(rows, start, size, half);
      if (half < size) oneStage(rows, start, size, half);
    }
  }
}

/** One stage of the transform: sums and differences of channels `half` apart. */
function oneStage(rows: Float32Array, start: number, size: number, half: number): void {
  for (let base = start; base < start + size; base += 2 * half) {
    for (let i = base; i < base + half; i++) {
      const a = rows[i] as number;
      const b = rows[i + half] as number;
      rows[i] = a + b;
      rows[i + half] = a - b;
    }
  }
}

/** The stages of `half` and `2 * half` in one go, rounded as two. */
function twoStages(rows: Float32Array, start: number, size: number, half: number): void {
  const round = Math.fround;
  for (let base = start; base < start + size; base += 4 * half) {
    for (let i = base; i < base + half; i++) {
      const a = rows[i] as number;
      const b = rows[i + half] as number;
      const c = rows[i + 2 * half] as number;
      const d = rows[i + 3 * half] as number;
      rows[i] = round(a + b) + round(c + d);
      rows[i + half] = round(a - b) + round(c - d);
      rows[i + 2 * half] = round(a + b) - round(c + d);
      rows[i + 3 * half] = round(a - b) - round(c - d);
    }
  }
}

/** Channels that are rotated together, at most: wider spreads outliers farther and costs more. */
const SEGMENT = 128;

/** The largest power of two, up to `SEGMENT`, that divides `channels`. */
export function segmentOf(channels: number): number {
  return Math.min(SEGMENT, channels & -channels);
}
