/**
 * Rotary scaling in GGUF's words and back: GGUF stores what each frequency is divided by, Hugging Face the constants of
 * Llama 3's formula that those come from. Knows no file.
 */
import type { ModelConfig, RopeScaling } from "../model/config.ts";
import { ropeFrequencies } from "../model/rope.ts";

/** What each rotary frequency of the model is divided by, `(headSize / 2,)`. */
export function ropeDivisors(config: ModelConfig): number[] {
  const plain = ropeFrequencies({ ...config, ropeScaling: null });
  return Array.from(ropeFrequencies(config), (frequency, j) => plain[j]! / frequency);
}

/** Divisors that came through float32 differ from the formula's by no more than this, relatively. */
const TOLERANCE = 1e-5;

/**
 * The scaling that gives these divisors, in the form that `config.json` has words for: none, or Llama 3's with its usual
 * frequency factors 1 and 4 and any power of two as original context. Null where there is none.
 */
export function namedScaling(config: ModelConfig, divisors: readonly number[]): { scaling: RopeScaling | null } | null {
  const gives = (scaling: RopeScaling | null): boolean =>
    ropeDivisors({ ...config, ropeScaling: scaling }).every((d, j) => Math.abs(d / divisors[j]! - 1) < TOLERANCE);
  if (gives(null)) return { scaling: null };
  const factor = Number(Math.max(...divisors).toPrecision(6));
  for (let original = 256; original <= 2 ** 22; original *= 2) {
    const constants = { lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: original };
    const scaling: RopeScaling = { type: "llama3", factor, ...constants };
    if (gives(scaling)) return { scaling };
  }
  return null;
}
