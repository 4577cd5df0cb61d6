/**
 * Rotary position embedding (arXiv:2104.09864) as tables: cosines and sines of position times frequency, with the
 * stretchings that checkpoints ask for. Knows nothing about how the tables are applied.
 */
import type { ModelConfig, RopeScaling } from "./config.ts";

/** What the tables follow from. */
export type RopeSettings = Pick<ModelConfig, "headSize" | "rotarySize" | "ropeTheta" | "ropeScaling" | "contextLength">;

/** Radians per position of each pair of a head's rotated channels, `(rotarySize / 2,)`. */
export function ropeFrequencies(
  config: Omit<RopeSettings, "contextLength"> & { contextLength?: number },
): Float64Array {
  const { headSize, rotarySize: size = headSize, ropeTheta, ropeScaling: scaling, contextLength = 0 } = config;
  const frequencies = Float64Array.from({ length: size / 2 }, (_, j) => ropeTheta ** ((-2 * j) / size));
  if (scaling === null) return frequencies;
  if (scaling.type === "linear") return frequencies.map((f) => f / scaling.factor);
  if (scaling.type === "divisors") return frequencies.map((f, j) => f / (scaling.divisors[j] ?? 1));
  if (scaling.type === "longrope") {
    const divisors = contextLength > scaling.originalContextLength ? scaling.long : scaling.short;
    return frequencies.map((f, j) => f / (divisors[j] ?? 1));
  }
  if (scaling.type === "yarn") return yarnFrequencies(frequencies, size, ropeTheta, scaling);
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalContextLength } = scaling;
  return frequencies.map((f) => {
    const turns = (originalContextLength * f) / (2 * Math.PI); // full turns within the original context
    if (turns >= highFrequencyFactor) return f;
    if (turns <= lowFrequencyFactor) return f / factor;
    const keep = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor);
    return keep * f + ((1 - keep) * f) / factor;
  });
}

/** Channel pairs up to a first one are kept, those from a last one on divided, and a ramp lies between. */
function yarnFrequencies(
  frequencies: Float64Array,
  size: number,
  theta: number,
  { factor, originalContextLength, fastTurns, slowTurns, wholeChannels }: Extract<RopeScaling, { type: "yarn" }>,
): Float64Array {
  const pairOf = (turns: number): number =>
    (size * Math.log(originalContextLength / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [pairOf(fastTurns), pairOf(slowTurns)];
  const low = Math.max(wholeChannels ? Math.floor(first) : first, 0);
  const high = Math.min(wholeChannels ? Math.ceil(last) : last, size - 1);
  const width = high === low ? 0.001 : high - low;
  return frequencies.map((f, j) => {
    const divided = Math.min(Math.max((j - low) / width, 0), 1);
    return (f / factor) * divided + f * (1 - divided);
  });
}

/** Cosine and sine tables for `positions` positions, each `(positions, rotarySize / 2)`. */
export function ropeTables(config: RopeSettings, positions: number): { cos: Float32Array; sin: Float32Array } {
  const frequencies = Float32Array.from(ropeFrequencies(config)); // float32, as PyTorch keeps them
  const { ropeScaling: scaling } = config;
  const magnitude = scaling !== null && "magnitude" in scaling ? scaling.magnitude : 1;
  const half = frequencies.length;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let t = 0; t < positions; t++) {
    for (let j = 0; j < half; j++) {
      const angle = Math.fround(t * (frequencies[j] as number));
      cos[t * half + j] = Math.cos(angle) * magnitude;
      sin[t * half + j] = Math.sin(angle) * magnitude;
    }
  }
  return { cos, sin };
}
