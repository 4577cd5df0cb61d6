/** Random models of every family, small enough to compile in milliseconds, with norms and biases that all matter. */
import fc from "fast-check";
import type { ModelConfig, RopeScaling } from "../../src/model/config.ts";
import { expectedTensors } from "../../src/model/tensors.ts";
import type { Weights } from "../../src/model/weights.ts";

/** A Llama of two layers, to be varied. Head size times heads is not the hidden size, and little is a power of two. */
export const BASE: ModelConfig = {
  family: "llama",
  vocabSize: 61,
  hiddenSize: 40,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  intermediateSize: 56,
  contextLength: 96,
  normEpsilon: 1e-5,
  ropeTheta: 10_000,
  ropeScaling: null,
  slidingWindow: null,
  tiedHead: true,
  attentionBias: false,
  outputBias: false,
  queryKeyNorm: false,
  bosTokenId: null,
  eosTokenIds: [],
};

const scalings: fc.Arbitrary<RopeScaling | null> = fc.oneof(
  fc.constant(null),
  fc.constantFrom(1.5, 4).map((factor) => ({ type: "linear" as const, factor })),
  fc.constantFrom(2, 8).map((factor) => ({
    type: "llama3" as const,
    factor,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContextLength: 32,
  })),
);

const yarns: fc.Arbitrary<RopeScaling | null> = fc.constantFrom(null, 4, 8).map((factor) =>
  factor === null
    ? null
    : {
        ...{ type: "yarn", factor, originalContextLength: BASE.contextLength / factor, fastTurns: 8, slowTurns: 1 },
        ...{ magnitude: 1.1, wholeChannels: true },
      },
);

const windows = fc.constantFrom(null, 1, 5, 30);
/** More entries than a model has layers do not count. */
const byLayer = fc.constantFrom([true, false, true], [false, true, true], [true, true, true]);
const GEMMA = {
  normPlace: "both",
  normsAddOne: true,
  activation: "gelu",
  embeddingScale: 5,
  attentionScale: 0.2,
} as const;

const FAMILY_FIELDS: Readonly<Record<string, fc.Arbitrary<Partial<ModelConfig>>>> = {
  llama: fc.record({ attentionBias: fc.boolean(), ropeScaling: scalings }).map((own) => ({
    ...own,
    outputBias: own.attentionBias,
  })),
  mistral: fc.record({ slidingWindow: fc.integer({ min: 1, max: 30 }) }),
  qwen2: fc.record({ attentionBias: fc.constant(true), slidingWindow: fc.constantFrom(null, 5) }),
  qwen3: fc.record({ queryKeyNorm: fc.constant(true), attentionBias: fc.boolean() }).map((own) => ({
    ...own,
    outputBias: own.attentionBias,
  })),
  smollm3: fc.record({ rotatedLayers: byLayer, slidingWindow: windows, slidingLayers: byLayer }),
  granite: fc.record({
    embeddingScale: fc.constantFrom(0.5, 6),
    attentionScale: fc.constantFrom(0.0625, 0.5),
    residualScale: fc.constantFrom(0.22, 1.5),
    logitScale: fc.constantFrom(0.125, 0.333333333333333), // as readers round an inverse
  }),
  phi3: fc
    .record({ packedProjections: fc.constant(true), slidingWindow: windows, ropeScaling: yarns, half: fc.boolean() })
    .map(({ half, ...own }) => ({ ...own, headSize: 32, ...(half && { rotarySize: 16 }) })),
  olmo2: fc.constant({ normPlace: "after", queryKeyNorm: true, wideQueryKeyNorm: true }),
  gemma2: fc
    .record({ attentionCap: fc.constantFrom(2, 50), logitCap: fc.constantFrom(3, 30), slidingWindow: windows })
    .map((own) => ({ ...GEMMA, ...own, slidingLayers: [true, false, true] })),
  gemma3_text: fc
    .record({
      ...{ headSize: fc.constantFrom(16, 256), slidingWindow: windows, slidingLayers: byLayer },
      slidingRopeTheta: fc.constantFrom(700, 10_000),
    })
    .map((own) => ({ ...GEMMA, ...own, queryKeyNorm: true })),
};

/** Configurations of one family. */
export function configs(family: string): fc.Arbitrary<ModelConfig> {
  const sizes = fc.record({
    vocabSize: fc.integer({ min: 2, max: 80 }),
    hiddenSize: fc.constantFrom(16, 24, 36, 40, 64),
    layers: fc.integer({ min: 1, max: 3 }),
    kvHeads: fc.integer({ min: 1, max: 3 }),
    headSize: fc.constantFrom(16, 32, 48),
    intermediateSize: fc.oneof(fc.integer({ min: 4, max: 70 }), fc.constantFrom(96, 128, 256)),
    normEpsilon: fc.constantFrom(1e-6, 1e-5),
    ropeTheta: fc.constantFrom(500, 10_000, 1e6),
    tiedHead: fc.boolean(),
  });
  return fc
    .tuple(sizes, fc.integer({ min: 1, max: 3 }), FAMILY_FIELDS[family]!)
    .map(([own, group, fields]) => inTheirWords({ ...BASE, family, ...own, heads: own.kvHeads * group, ...fields }));
}

/** The one way in which readers say it: flags for as many layers as there are, none where all layers are alike. */
function inTheirWords({ slidingLayers, rotatedLayers, ...config }: ModelConfig): ModelConfig {
  const { layers, hiddenSize, headSize, normsAddOne, slidingRopeTheta } = config;
  const flags = slidingLayers?.slice(0, layers);
  const some = flags?.includes(true) ?? true;
  const apart = flags !== undefined && (slidingRopeTheta !== undefined || (some && flags.includes(false)));
  const slidingWindow = some ? config.slidingWindow : null;
  return {
    ...config,
    slidingWindow,
    ...(apart && (slidingWindow !== null || slidingRopeTheta !== undefined) && { slidingLayers: flags }),
    ...(rotatedLayers && { rotatedLayers: rotatedLayers.slice(0, layers) }),
    ...(normsAddOne && { embeddingScale: Math.sqrt(hiddenSize) }),
    ...(normsAddOne && headSize > 16 && { attentionScale: headSize ** -0.5 }),
  };
}

export interface RandomWeightsOptions {
  readonly seed?: number;
  /** Ids whose embedding is all zeros. */
  readonly zeroIds?: readonly number[];
}

/** Weights that fit `config`, the same for the same seed. Like a file's, every reading is a fresh copy. */
export function randomWeights(config: ModelConfig, { seed = 1, zeroIds = [] }: RandomWeightsOptions = {}): Weights {
  const random = gaussian(seed);
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, shape] of expectedTensors(config)) {
    const size = shape.reduce((product, d) => product * d, 1);
    const norm = name.includes("norm");
    const mean = norm && !config.normsAddOne ? 1 : 0;
    const deviation = shape.length === 1 ? 0.3 : name.includes("embed") ? 1 : 1 / Math.sqrt(shape[1] as number);
    tensors.set(name, { shape, data: Float32Array.from({ length: size }, () => mean + deviation * random()) });
  }
  for (const id of zeroIds) {
    const { hiddenSize } = config;
    tensors.get("model.embed_tokens.weight")?.data.fill(0, id * hiddenSize, (id + 1) * hiddenSize);
  }

  const find = (name: string): { shape: readonly number[]; data: Float32Array } => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`the random model has no ${name}`);
    return tensor;
  };
  return {
    names: () => [...tensors.keys()],
    has: (name) => tensors.has(name),
    shape: (name) => find(name).shape,
    dtype: () => "F32",
    async read(name, from = 0, to = find(name).shape[0] as number) {
      const { shape, data } = find(name);
      const row = data.length / (shape[0] as number);
      return data.slice(from * row, to * row);
    },
    byteLength: [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0),
    close: async () => {},
  };
}

/**
 * The same model as a file might store it in blocks of 32: matrices in eight bits, in four bits around zero, in four bits with
 * minima, and as they are, in turn.
 */
export function inBlocks(weights: Weights): Weights {
  const FORMS = [
    { largest: 255, centered: true },
    { largest: 15, centered: true },
    { largest: 15, centered: false },
  ];
  const formOf = (name: string) => {
    const [, columns = 0] = weights.shape(name);
    return columns % 32 === 0 && columns > 0 ? FORMS[weights.names().indexOf(name) % (FORMS.length + 1)] : undefined;
  };
  /** Rounds whole blocks; gives what they are made of. */
  const rounded = (values: Float32Array, { largest, centered }: { largest: number; centered: boolean }) => {
    const [scales, offsets] = [new Float32Array(values.length / 32), new Float32Array(values.length / 32)];
    for (let block = 0; block < scales.length; block++) {
      const own = values.subarray(32 * block, 32 * block + 32);
      const [low, high] = [Math.min(...own), Math.max(...own)];
      const scale = Math.fround(centered ? (2 * Math.max(-low, high)) / (largest - 1) : (high - low) / largest);
      scales[block] = scale;
      offsets[block] = centered ? (-scale * (largest + 1)) / 2 : low;
      const offset = offsets[block]!;
      if (scale === 0) continue;
      for (const [i, value] of own.entries())
        own[i] = Math.fround(scale * Math.round((value - offset) / scale)) + offset;
    }
    return { scales, offsets };
  };
  return {
    ...weights,
    async read(name, from, to) {
      const values = await weights.read(name, from, to);
      const form = formOf(name);
      if (form) rounded(values, form);
      return values;
    },
    blocks(name) {
      const form = formOf(name);
      return form ? { ...form, parameters: async () => rounded(await weights.read(name), form) } : null;
    },
  };
}

/** Normally distributed numbers, the same ones for the same seed (mulberry32 and Box-Muller). */
export function gaussian(seed: number): () => number {
  let state = seed;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** Token ids below `vocabSize`, the same for the same seed. */
export function randomIds(count: number, vocabSize: number, seed: number): Int32Array {
  const random = gaussian(seed);
  return Int32Array.from({ length: count }, () => Math.floor(Math.abs(random()) * 7919) % vocabSize);
}
