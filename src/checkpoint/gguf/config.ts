/**
 * GGUF metadata of the model (`llama.attention.head_count`, ...) into a `ModelConfig`: the one place that knows these
 * keys. `tokenizer.ts` reads the tokenizer's. Reads no file.
 */
import { CllmError } from "../../error.ts";
import type { ModelConfig, RopeScaling } from "../../model/config.ts";
import type { Family, GgufFields, GgufMetadata } from "../../model/families/family.ts";
import { ARCHITECTURES, FAMILIES, familyOfArchitecture } from "../../model/families/index.ts";
import { checkModelConfig, LIMITS, unsupportedFamily } from "../config-limits.ts";
import { type Fields, fieldsOf, type Metadata } from "./fields.ts";
import type { GgufTokenizer } from "./tokenizer.ts";

/** What the tensors tell that the metadata does not. */
export interface GgufFacts {
  readonly path: string;
  /** Rows of the embedding. */
  readonly vocabSize: number;
  readonly tiedHead: boolean;
  readonly attentionBias: boolean;
  readonly outputBias: boolean;
  /** Content of `rope_freqs.weight`, or null. */
  readonly ropeDivisors: readonly number[] | null;
  /** Contents of `rope_factors_short.weight` and `rope_factors_long.weight`, or null. */
  readonly ropeFactors: { readonly short: readonly number[]; readonly long: readonly number[] } | null;
}

/** The family of a file. Throws `unsupported` for architectures that have no graph. */
export function readFamily(metadata: Metadata, path: string): Family {
  const field = fieldsOf(metadata, path);
  const architecture = field.text("general.architecture");
  if (architecture === null) throw field.bad("general.architecture", "is missing");
  const family = familyOfArchitecture(architecture);
  if (!family) throw unsupportedFamily(architecture, path, ARCHITECTURES);
  return family;
}

/** Head size and head counts, which also say how query and key rows are stored. */
export function readHeads(
  metadata: Metadata,
  path: string,
): Pick<ModelConfig, "heads" | "kvHeads" | "headSize" | "rotarySize"> {
  const { gguf, partialRotation = false } = readFamily(metadata, path);
  const family = gguf.architecture;
  const field = fieldsOf(metadata, path);
  const heads = required(field, `${family}.attention.head_count`, LIMITS.heads);
  const kvHeads = field.perLayer(`${family}.attention.head_count_kv`) ?? heads;
  const width = required(field, `${family}.embedding_length`, LIMITS.hiddenSize);
  const headSize = field.number(`${family}.attention.key_length`) ?? width / heads;
  if (!Number.isInteger(headSize) || headSize < 2 || headSize % 2 !== 0 || headSize > LIMITS.headSize) {
    throw field.bad(
      `${family}.attention.key_length`,
      `is ${headSize}; even numbers up to ${LIMITS.headSize} are possible`,
    );
  }
  const valueSize = field.number(`${family}.attention.value_length`) ?? headSize;
  const rotated = field.number(`${family}.rope.dimension_count`) ?? headSize;
  if (valueSize !== headSize || (rotated !== headSize && !partialRotation)) {
    const message = `${path}: heads with keys of ${headSize}, values of ${valueSize} and ${rotated} rotated dimensions`;
    throw new CllmError("unsupported", `${message} are not supported; all three must be equal; choose another model`);
  }
  return { heads, kvHeads, headSize, ...(rotated !== headSize && { rotarySize: rotated }) };
}

/** A whole number from 1 to `max`. */
function required(field: Fields, key: string, max: number): number {
  const value = field.perLayer(key);
  if (value === null) throw field.bad(key, "is missing");
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw field.bad(key, `is ${value}; it must be a whole number from 1 to ${max}`);
  }
  return value;
}

/** Read the configuration. Throws `bad-file` for wrong values and `unsupported` for what is not built. */
export function readGgufConfig(
  metadata: Metadata,
  facts: GgufFacts,
  { source, endTokenIds }: GgufTokenizer,
  warn: (message: string) => void = () => {},
): ModelConfig {
  const { path, vocabSize } = facts;
  const definition = readFamily(metadata, path);
  const family = definition.gguf.architecture;
  const field = fieldsOf(metadata, path, warn);
  const experts = field.number(`${family}.expert_count`) ?? 0;
  if (experts > 0) {
    const message = `${path}: a mixture of ${experts} experts is not supported; dense models are`;
    throw new CllmError("unsupported", `${message}; choose a dense model`);
  }
  const announced = field.number(`${family}.vocab_size`) ?? vocabSize;
  if (announced !== vocabSize) {
    field.warn(`${family}.vocab_size`, `is ${announced}, but the embedding has ${vocabSize} rows: the rows count`);
  }
  const contextLength = required(field, `${family}.context_length`, LIMITS.contextLength);
  const window = field.number(`${family}.attention.sliding_window`) ?? 0;
  const draft = field.number("cllm.draft_token_id");
  rejectForeignKeys(definition, field, path);
  const ropeScaling = readScaling(field, family, facts, contextLength);
  const common: ModelConfig = {
    family: definition.name,
    vocabSize,
    hiddenSize: required(field, `${family}.embedding_length`, LIMITS.hiddenSize),
    layers: required(field, `${family}.block_count`, LIMITS.layers),
    ...readHeads(metadata, path),
    intermediateSize: required(field, `${family}.feed_forward_length`, LIMITS.intermediateSize),
    contextLength: seenWith(ropeScaling, contextLength),
    normEpsilon: field.number(`${family}.attention.layer_norm_rms_epsilon`) ?? 1e-5,
    ropeTheta: field.number(`${family}.rope.freq_base`) ?? 10_000,
    ropeScaling,
    slidingWindow: window === 0 || window >= contextLength ? null : window,
    tiedHead: facts.tiedHead,
    attentionBias: facts.attentionBias,
    outputBias: facts.outputBias,
    queryKeyNorm: false,
    bosTokenId: source.bosTokenId,
    eosTokenIds: endTokenIds,
    ...(draft !== null && { draftTokenId: draft }),
    ...(metadata.get("cllm.leading_draft") === true && { leadingDraft: true }),
  };
  const own: GgufFields = {
    number: (key) => field.number(`${family}.${key}`),
    text: (key) => field.text(`${family}.${key}`),
    layers: (key) => field.numbers(`${family}.${key}`),
    bad: (problem) => new CllmError("bad-file", `${path}: ${problem}; fetch or convert it again`),
    unsupported: (problem, next) => new CllmError("unsupported", `${path}: ${problem}; ${next}`),
  };
  return checkModelConfig({ ...common, ...definition.gguf.read(own, common) }, path);
}

/** A file with a key of another family that says something is of a model with another graph. */
function rejectForeignKeys({ name, gguf }: Family, field: Fields, path: string): void {
  for (const other of FAMILIES) {
    for (const key of other.gguf.keys) {
      if (gguf.keys.includes(key)) continue;
      const at = `${gguf.architecture}.${key}`;
      const value = field.numbers(at)?.[0] ?? field.number(at) ?? 1;
      if (value === 0 || value === 1) continue;
      const message = `${path}: metadata ${at} is ${value}, a key of ${other.name} that ${name} does not have`;
      throw new CllmError("unsupported", `${message}; choose a file whose general.architecture fits its keys`);
    }
  }
}

/** Scores of stretched contexts are sharpened by so much (arXiv:2309.00071, section 3.4); files give a factor to it. */
const yarnMagnitude = (factor: number): number => 1 + 0.1 * Math.log(factor);

function readScaling(
  field: Fields,
  family: string,
  { path, ropeDivisors, ropeFactors }: GgufFacts,
  contextLength: number,
): RopeScaling | null {
  const originalContextLength = field.number(`${family}.rope.scaling.original_context_length`) ?? contextLength;
  const attention = field.number(`${family}.rope.scaling.attn_factor`);
  if (ropeFactors) {
    const factor = contextLength / originalContextLength;
    const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalContextLength));
    const lengths = { originalContextLength, longContextLength: contextLength };
    return { type: "longrope", ...ropeFactors, ...lengths, magnitude: attention ?? usual };
  }
  if (ropeDivisors) return { type: "divisors", divisors: ropeDivisors };
  const old = field.number(`${family}.rope.scale_linear`); // before scaling had types
  const type = field.text(`${family}.rope.scaling.type`) ?? (old === null ? "none" : "linear");
  const factor = (field.number(`${family}.rope.scaling.factor`) ?? old) || 1; // 0 stands for none
  if (type === "none" || type === "longrope" || (type === "linear" && factor === 1)) return null;
  if (type === "linear") return { type, factor };
  if (type === "yarn") {
    return {
      ...{ type, factor, originalContextLength },
      fastTurns: field.number(`${family}.rope.scaling.yarn_beta_fast`) ?? 32,
      slowTurns: field.number(`${family}.rope.scaling.yarn_beta_slow`) ?? 1,
      magnitude: (attention ?? 1) * yarnMagnitude(factor),
      wholeChannels: true,
    };
  }
  const message = `${path}: rope scaling of type ${type.slice(0, 80)} is not supported`;
  throw new CllmError(
    "unsupported",
    `${message}; none, linear, yarn, longrope and Llama 3's are; choose a file without it`,
  );
}

/** Tokens that the model can see: with other divisors behind the original length, cached keys would not fit later ones. */
function seenWith(scaling: RopeScaling | null, contextLength: number): number {
  if (scaling?.type === "longrope") return Math.min(contextLength, scaling.originalContextLength);
  if (scaling?.type !== "yarn") return contextLength;
  return Math.max(contextLength, Math.round(scaling.factor * scaling.originalContextLength));
}

/** The metadata of scalings that are no tensor. */
export function writeScaling({ ropeScaling: scaling }: ModelConfig): GgufMetadata {
  const words = (type: string, factor: number): GgufMetadata => [
    ["rope.scaling.type", { string: type }],
    ["rope.scaling.factor", { f32: factor }],
  ];
  if (scaling?.type === "linear") return words("linear", scaling.factor);
  if (scaling?.type === "longrope") {
    return [
      ["rope.scaling.original_context_length", { u32: scaling.originalContextLength }],
      ["rope.scaling.attn_factor", { f32: scaling.magnitude }],
    ];
  }
  if (scaling?.type !== "yarn") return [];
  return [
    ...words("yarn", scaling.factor),
    ["rope.scaling.original_context_length", { u32: scaling.originalContextLength }],
    ["rope.scaling.attn_factor", { f32: scaling.magnitude / yarnMagnitude(scaling.factor) }],
    ["rope.scaling.yarn_beta_fast", { f32: scaling.fastTurns }],
    ["rope.scaling.yarn_beta_slow", { f32: scaling.slowTurns }],
  ];
}
