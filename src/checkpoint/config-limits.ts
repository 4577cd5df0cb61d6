/**
 * Bounds on a model's sizes, and the checks that hold for every format: what divides what, which ids exist. They keep a
 * lying file from asking for terabytes. Knows no format's keys.
 */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import { FAMILY_NAMES } from "../model/families/index.ts";

type LimitedSize = "vocabSize" | "hiddenSize" | "intermediateSize" | "layers" | "heads" | "headSize" | "contextLength";

/** Far above every published model. */
export const LIMITS: Readonly<Record<LimitedSize, number>> = {
  vocabSize: 2 ** 22,
  hiddenSize: 2 ** 17,
  intermediateSize: 2 ** 20,
  layers: 1024,
  heads: 1024,
  headSize: 1024,
  contextLength: 2 ** 26,
};

/** Returns the configuration if its values fit each other; throws `bad-file` naming value and limit otherwise. */
export function checkModelConfig(config: ModelConfig, path: string): ModelConfig {
  const bad = (problem: string): CllmError =>
    new CllmError("bad-file", `${path}: ${problem}; fetch or convert the checkpoint again`);
  for (const [key, limit] of Object.entries(LIMITS) as [LimitedSize, number][]) {
    const value = config[key];
    if (!Number.isInteger(value) || value < 1 || value > limit) {
      throw bad(`${key} is ${value}; it must be a whole number from 1 to ${limit}`);
    }
  }
  const { heads, kvHeads, headSize, vocabSize, normEpsilon, ropeTheta, slidingWindow } = config;
  if (!Number.isInteger(kvHeads) || kvHeads < 1 || heads % kvHeads !== 0) {
    throw bad(`${kvHeads} key-value heads do not divide ${heads} heads`);
  }
  if (headSize % 2 !== 0) throw bad(`the head size is ${headSize}; rotary embedding needs an even one`);
  if (!(normEpsilon > 0 && normEpsilon <= 0.1))
    throw bad(`the norm's epsilon is ${normEpsilon}; it must be in (0, 0.1]`);
  if (!(ropeTheta > 0 && ropeTheta <= 1e15)) throw bad(`the rotary base is ${ropeTheta}; it must be in (0, 1e15]`);
  if (slidingWindow !== null && !(Number.isInteger(slidingWindow) && slidingWindow >= 1)) {
    throw bad(`the sliding window is ${slidingWindow}; it must be a whole number from 1`);
  }
  const scales = ropeScales(config);
  const wrong = scales.find((scale) => !(scale > 0 && Number.isFinite(scale)));
  if (wrong !== undefined) throw bad(`a rotary scale is ${wrong}; it must be positive`);
  if (config.ropeScaling?.type === "divisors" && scales.length !== headSize / 2) {
    throw bad(`there are ${scales.length} rotary divisors for a head size of ${headSize}; ${headSize / 2} are needed`);
  }
  const ids = [config.bosTokenId, config.draftTokenId, ...config.eosTokenIds].filter((id) => id != null);
  const outside = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (outside !== undefined) throw bad(`token id ${outside} is outside the vocabulary of ${vocabSize}`);
  return config;
}

function ropeScales({ ropeScaling }: ModelConfig): readonly number[] {
  if (ropeScaling === null) return [];
  if (ropeScaling.type === "divisors") return ropeScaling.divisors;
  if (ropeScaling.type === "linear") return [ropeScaling.factor];
  return [ropeScaling.factor, ropeScaling.lowFrequencyFactor, ropeScaling.highFrequencyFactor];
}

/** The error for a family without a graph. */
export function unsupportedFamily(family: string, path: string): CllmError {
  const message = `${path}: the model family ${family.slice(0, 80)} is not supported; ${FAMILY_NAMES.join(", ")} are`;
  return new CllmError("unsupported", `${message} (SmolLM2 and Llama 2 and 3 are llama); choose a model of these`);
}
