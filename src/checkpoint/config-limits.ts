/**
 * Bounds on a model's sizes, and the checks that hold for every format: what divides what, which ids exist. They keep a
 * lying file from asking for terabytes. Knows no format's keys.
 */
import { CllmError } from "../error.ts";
import { nearMisses, shorten } from "../files/near-miss.ts";
import type { ModelConfig } from "../model/config.ts";

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
  const { rotarySize = headSize } = config;
  if (rotarySize < 2 || rotarySize > headSize || rotarySize % 2 !== 0) {
    throw bad(`${rotarySize} of ${headSize} channels are rotated; it must be an even number from 2 to the head size`);
  }
  for (const divisors of divisorsOf(config)) {
    if (divisors.length === rotarySize / 2) continue;
    const needed = `${rotarySize / 2} are needed`;
    throw bad(`there are ${divisors.length} rotary divisors for ${rotarySize} rotated channels; ${needed}`);
  }
  for (const key of MULTIPLIERS) {
    const value = config[key];
    if (value === undefined || (value > 0 && Number.isFinite(value))) continue;
    throw bad(`${key} is ${value}; it must be a positive number`);
  }
  for (const key of ["slidingLayers", "rotatedLayers"] as const) {
    const count = config[key]?.length ?? config.layers;
    if (count !== config.layers) throw bad(`${key} has ${count} entries for ${config.layers} layers`);
  }
  const ids = [config.bosTokenId, config.draftTokenId, ...config.eosTokenIds].filter((id) => id != null);
  const outside = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (outside !== undefined) throw bad(`token id ${outside} is outside the vocabulary of ${vocabSize}`);
  return config;
}

/** Factors that a zero would undo the model with. */
const MULTIPLIERS = [
  "embeddingScale",
  "residualScale",
  "attentionScale",
  "logitScale",
  "attentionCap",
  "logitCap",
  "slidingRopeTheta",
] as const;

function divisorsOf({ ropeScaling }: ModelConfig): readonly (readonly number[])[] {
  if (ropeScaling?.type === "divisors") return [ropeScaling.divisors];
  return ropeScaling?.type === "longrope" ? [ropeScaling.short, ropeScaling.long] : [];
}

function ropeScales({ ropeScaling }: ModelConfig): readonly number[] {
  if (ropeScaling === null) return [];
  if (ropeScaling.type === "divisors") return ropeScaling.divisors;
  if (ropeScaling.type === "linear") return [ropeScaling.factor];
  if (ropeScaling.type === "longrope") return [...ropeScaling.short, ...ropeScaling.long, ropeScaling.magnitude];
  if (ropeScaling.type === "yarn") {
    const { factor, fastTurns, slowTurns, magnitude } = ropeScaling;
    return [factor, fastTurns, slowTurns, magnitude];
  }
  return [ropeScaling.factor, ropeScaling.lowFrequencyFactor, ropeScaling.highFrequencyFactor];
}

/** The error for a family without a graph. `names` are those that have one, in the words of the file. */
export function unsupportedFamily(
  family: string,
  path: string,
  names: readonly string[],
  next = "choose a model of these",
): CllmError {
  const near = nearMisses(family, names, 1);
  const hint = near.length > 0 ? `did you mean ${near[0]}? ` : "";
  const supported = `${names.join(", ")} are (SmolLM2 and Llama 2 and 3 are llama)`;
  const message = `${path}: the model family ${shorten(family)} is not supported; ${hint}${supported}`;
  return new CllmError("unsupported", `${message}; ${next}`);
}
