/**
 * An orthogonal rotation of a vector's channels that spreads outliers evenly, so that eight bits suffice for activations:
 * random signs, then a Walsh-Hadamard transform within power-of-two segments, then a cosine transform across segments.
 * A residual stream rotated throughout computes the same model, because RMS norms do not see rotations (QuaRot,
 * arXiv:2404.00456, section 3.1). Knows nothing about which matrices are rotated.
 */

export class Rotation {
  readonly size: number;
  readonly #signs: Float32Array; // (size,) of +-1/sqrt(segment)
  readonly #segment: number; // the largest power of two that divides size
  readonly #cosine: Float32Array; // (segments, segments), orthonormal
  readonly #column: Float32Array; // (segments,) scratch

  constructor(size: number) {
    this.size = size;
    this.#segment = size & -size;
    const segments = size / this.#segment;
    const norm = 1 / Math.sqrt(this.#segment);
    let state = 0x9e3779b9;
    this.#signs = Float32Array.from({ length: size }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 31 ? norm : -norm;
    });
    this.#cosine = Float32Array.from({ length: segments * segments }, (_, i) => {
      const [k, n] = [Math.floor(i / segments), i % segments];
      return Math.sqrt((k === 0 ? 1 : 2) / segments) * Math.cos((Math.PI / segments) * (n + 0.5) * k);
    });
    this.#column = new Float32Array(segments);
  }

  /** Replace every row of `rows`, `(R, size)`, by row · Q. */
  apply(rows: Float32Array): void {
    for (let at = 0; at < rows.length; at += this.size) this.#rotate(rows, at);
  }

  #rotate(x: Float32Array, start: number): void {
    const size = this.size;
    const segment = this.#segment;
    const signs = this.#signs;
    for (let i = 0; i < size; i++) x[start + i] = (x[start + i] as number) * (signs[i] as number);
    for (let half = 1; half < segment; half *= 2) {
      for (let base = start; base < start + size; base += 2 * half) {
        for (let i = base; i < base + half; i++) {
          const a = x[i] as number;
          const b = x[i + half] as number;
          x[i] = a + b;
          x[i + half] = a - b;
        }
      }
    }
    const segments = size / segment;
    if (segments === 1) return;
    const cosine = this.#cosine;
    const column = this.#column;
    for (let c = start; c < start + segment; c++) {
      for (let n = 0; n < segments; n++) column[n] = x[c + n * segment] as number;
      for (let k = 0; k < segments; k++) {
        let sum = 0;
        for (let n = 0; n < segments; n++) sum += (cosine[k * segments + n] as number) * (column[n] as number);
        x[c + k * segment] = sum;
      }
    }
  }
}
