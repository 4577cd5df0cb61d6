/**
 * Rotary position embedding (arXiv:2104.09864) as tables: cosines and sines of position times frequency, with the
 * stretchings that checkpoints ask for. Knows nothing about how the tables are applied.
 */
import type { ModelConfig } from "./config.ts";

/** Radians per position of each pair of a head's channels, `(headSize / 2,)`. */
export function ropeFrequencies({ headSize, ropeTheta, ropeScaling }: ModelConfig): Float64Array {
  const frequencies = Float64Array.from({ length: headSize / 2 }, (_, j) => ropeTheta ** ((-2 * j) / headSize));
  if (ropeScaling === null) return frequencies;
  if (ropeScaling.type === "linear") return frequencies.map((f) => f / ropeScaling.factor);
  if (ropeScaling.type === "divisors") return frequencies.map((f, j) => f / (ropeScaling.divisors[j] ?? 1));
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalContextLength } = ropeScaling;
  return frequencies.map((f) => {
    const turns = (originalContextLength * f) / (2 * Math.PI); // full turns within the original context
    if (turns >= highFrequencyFactor) return f;
    if (turns <= lowFrequencyFactor) return f / factor;
    const keep = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
    return keep * f + ((1 - keep) * f) / factor;
  });
}

/** Cosine and sine tables for `positions` positions, each `(positions, headSize / 2)`. */
export function ropeTables(config: ModelConfig, positions: number): { cos: Float32Array; sin: Float32Array } {
  const frequencies = Float32Array.from(ropeFrequencies(config)); // float32, as PyTorch keeps them
  const half = frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let t = 0; t < positions; t++) {
    for (let j = 0; j < half; j++) {
      const angle = Math.fround(t * (frequencies[j] as number));
      cos[t * half + j] = Math.cos(angle);
      sin[t * half + j] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
