/**
 * How a request samples: what it says, else what the model's own settings say where the request asks for them, else greedy;
 * and a seed, drawn where none is given. Knows no decoder.
 */
import type { ModelSampling } from "../checkpoint/checkpoint.ts";
import type { SamplingOptions } from "../decode/sampling.ts";
import type { Sampling } from "./types.ts";

/** A seed that nobody chose, for a first request that can be repeated. */
export function drawSeed(): number {
  return globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** Everything said. The seed is null where it would change nothing: a greedy choice has none. */
export type ChosenSampling = Required<Omit<SamplingOptions, "seed">> & { readonly seed: number | null };

/** Resolves a request against the model's own settings, null where there are none. */
export function chooseSampling(wanted: Sampling, model: ModelSampling | null): ChosenSampling {
  const own = wanted.modelSampling ? model : null;
  const temperature = wanted.temperature ?? own?.temperature ?? 0;
  const chosen = {
    temperature,
    topK: wanted.topK ?? own?.topK ?? 0,
    topP: wanted.topP ?? own?.topP ?? 1,
    minP: wanted.minP ?? own?.minP ?? 0,
  };
  return { ...chosen, seed: temperature === 0 ? null : (wanted.seed ?? drawSeed()) };
}
