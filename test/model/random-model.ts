/** Random models of every family, small enough to compile in milliseconds, with norms and biases that all matter. */
import fc from "fast-check";
import type { ModelConfig, RopeScaling } from "../../src/model/config.ts";
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
    .map(([own, group, fields]) => ({ ...BASE, family, ...own, heads: own.kvHeads * group, ...fields }));
}

export interface RandomWeightsOptions {
  readonly seed?: number;
  /** Ids whose embedding is all zeros. */
  readonly zeroIds?: readonly number[];
}

/** Weights that fit `config`, the same for the same seed. Like a file's, every reading is a fresh copy. */
export function randomWeights(config: ModelConfig, { seed = 1, zeroIds = [] }: RandomWeightsOptions = {}): Weights {
  const { vocabSize, hiddenSize, layers, heads, kvHeads, headSize, intermediateSize } = config;
  const random = gaussian(seed);
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  const add = (name: string, shape: readonly number[], deviation: number, mean = 0): void => {
    const size = shape.reduce((product, d) => product * d, 1);
    tensors.set(name, { shape, data: Float32Array.from({ length: size }, () => mean + deviation * random()) });
  };
  const matrix = (name: string, rows: number, columns: number): void =>
    add(`${name}.weight`, [rows, columns], 1 / Math.sqrt(columns));
  const norm = (name: string, size: number): void => add(`${name}.weight`, [size], 0.3, 1);

  add("model.embed_tokens.weight", [vocabSize, hiddenSize], 1);
  for (const id of zeroIds) {
    tensors.get("model.embed_tokens.weight")?.data.fill(0, id * hiddenSize, (id + 1) * hiddenSize);
  }
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    const outputs = { q_proj: heads * headSize, k_proj: kvHeads * headSize, v_proj: kvHeads * headSize };
    for (const [part, rows] of Object.entries(outputs)) {
      matrix(`${at}.self_attn.${part}`, rows, hiddenSize);
      if (config.attentionBias) add(`${at}.self_attn.${part}.bias`, [rows], 0.3);
    }
    matrix(`${at}.self_attn.o_proj`, hiddenSize, heads * headSize);
    if (config.outputBias) add(`${at}.self_attn.o_proj.bias`, [hiddenSize], 0.3);
    if (config.queryKeyNorm) {
      norm(`${at}.self_attn.q_norm`, headSize);
      norm(`${at}.self_attn.k_norm`, headSize);
    }
    matrix(`${at}.mlp.gate_proj`, intermediateSize, hiddenSize);
    matrix(`${at}.mlp.up_proj`, intermediateSize, hiddenSize);
    matrix(`${at}.mlp.down_proj`, hiddenSize, intermediateSize);
    norm(`${at}.input_layernorm`, hiddenSize);
    norm(`${at}.post_attention_layernorm`, hiddenSize);
  }
  norm("model.norm", hiddenSize);
  if (!config.tiedHead) matrix("lm_head", vocabSize, hiddenSize);

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
