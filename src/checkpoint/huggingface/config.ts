/**
 * `config.json` and `generation_config.json` of Hugging Face, of transformers 4 and 5, into a `ModelConfig`: the one
 * place that knows the keys that families share. Unknown keys are normal there and ignored; known ones that ask for something
 * that is not built are `unsupported`. Reads no files.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import type { ModelConfig, RopeScaling } from "../../model/config.ts";
import type { Complaints, Family } from "../../model/families/family.ts";
import { FAMILIES } from "../../model/families/index.ts";
import { checkModelConfig, LIMITS, unsupportedFamily } from "../config-limits.ts";

const count = (max: number): z.ZodNumber => z.number().int().min(1).max(max);
const tokenId = z.number().int();
const positive = z.number().positive();

/** Factors are read where the type asks for them: a file may hold anything in those that nothing uses. */
const ropeSchema = z.looseObject({
  type: z.string().nullish(),
  rope_type: z.string().nullish(),
  rope_theta: positive.nullish(),
  original_max_position_embeddings: count(LIMITS.contextLength).nullish(),
  partial_rotary_factor: positive.nullish(),
});

const configSchema = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  vocab_size: count(LIMITS.vocabSize),
  hidden_size: count(LIMITS.hiddenSize),
  num_hidden_layers: count(LIMITS.layers),
  num_attention_heads: count(LIMITS.heads),
  num_key_value_heads: count(LIMITS.heads).nullish(),
  head_dim: count(LIMITS.headSize).nullish(),
  intermediate_size: count(LIMITS.intermediateSize),
  max_position_embeddings: count(LIMITS.contextLength).nullish(),
  rms_norm_eps: z.number().positive().max(0.1).nullish(),
  hidden_act: z.string().nullish(),
  rope_theta: positive.nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  original_max_position_embeddings: count(LIMITS.contextLength).nullish(),
  partial_rotary_factor: positive.nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  quantization_config: z.looseObject({ quant_method: z.string().nullish() }).nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
  cllm_draft_token_id: tokenId.nonnegative().nullish(),
  cllm_leading_draft: z.boolean().nullish(),
});
type Config = z.infer<typeof configSchema>;

const generationSchema = z.looseObject({
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
});

export interface HuggingFaceConfigSource {
  /** Content of `config.json`. */
  readonly config: unknown;
  /** Content of `generation_config.json`, or null. */
  readonly generation: unknown;
  /** Whether the weights hold `lm_head.weight`: decides where the configuration does not say. */
  readonly hasHead: boolean;
  /** Ids of the ends that the tokenizer's files name. Default: none. */
  readonly tokenizerEnds?: readonly number[];
  /** The directory, for errors. */
  readonly path: string;
  /** Takes one line for each value that is wrong and not needed. Default: they are passed over in silence. */
  readonly warn?: (message: string) => void;
}

/** Read a configuration. Throws `bad-file` for wrong values and `unsupported` for what is not built. */
export function readHuggingFaceConfig({
  config,
  generation,
  hasHead,
  tokenizerEnds = [],
  path,
  warn = () => {},
}: HuggingFaceConfigSource): ModelConfig {
  const file = `${path}/config.json`;
  const family = readFamily(config, file);
  const raw = parse(configSchema, config, file);
  const complaints = complaintsOf(file);
  rejectUnbuilt(raw, family, complaints);

  const { defaults } = family.huggingFace;
  const heads = raw.num_attention_heads;
  const headSize = raw.head_dim ?? defaults.headSize ?? raw.hidden_size / heads;
  const kvHeads = raw.num_key_value_heads ?? (raw.num_key_value_heads === null ? heads : (defaults.kvHeads ?? heads));
  const contextLength = raw.max_position_embeddings ?? defaults.contextLength;
  const rope = readRope(raw, file);
  const generationFile = `${path}/generation_config.json`;
  const fromGeneration = parse(generationSchema, generation ?? {}, generationFile);
  const inVocabulary = (key: string, value: number | number[] | null | undefined, where = file): number[] => {
    const ids = Array.isArray(value) ? value : [value ?? []].flat();
    const known = ids.filter((id) => id >= 0 && id < raw.vocab_size);
    const other = ids.find((id) => !known.includes(id));
    const what = `is ${other}, which is none of the vocabulary's ${raw.vocab_size} tokens: it is ignored`;
    if (other !== undefined) warn(`${where}: ${key} ${what}`);
    return known;
  };
  const ends = [
    ...inVocabulary("eos_token_id", fromGeneration.eos_token_id, generationFile),
    ...inVocabulary("eos_token_id", raw.eos_token_id),
    ...inVocabulary("eos_token", [...tokenizerEnds], `${path}/tokenizer_config.json`),
  ];
  const [bosTokenId = null] = [
    ...inVocabulary("bos_token_id", raw.bos_token_id),
    ...inVocabulary("bos_token_id", fromGeneration.bos_token_id, generationFile),
  ];
  const common: ModelConfig = {
    family: family.name,
    vocabSize: raw.vocab_size,
    hiddenSize: raw.hidden_size,
    layers: raw.num_hidden_layers,
    heads,
    kvHeads,
    headSize,
    intermediateSize: raw.intermediate_size,
    contextLength,
    normEpsilon: raw.rms_norm_eps ?? 1e-6,
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    slidingWindow: null,
    tiedHead: raw.tie_word_embeddings ?? !hasHead,
    attentionBias: false,
    outputBias: false,
    queryKeyNorm: false,
    bosTokenId,
    eosTokenIds: [...new Set(ends)],
    ...(typeof raw.cllm_draft_token_id === "number" && { draftTokenId: raw.cllm_draft_token_id }),
    ...(raw.cllm_leading_draft && { leadingDraft: true }),
  };
  const fields = { ...complaints, parse: <T extends z.ZodType>(schema: T) => parse(schema, raw, file) };
  return checkModelConfig({ ...common, ...family.huggingFace.read(fields, common) }, file);
}

const complaintsOf = (file: string): Complaints => ({
  bad: (problem) => new CllmError("bad-file", `${file}: ${problem}; fetch it again`),
  unsupported: (problem, next) => new CllmError("unsupported", `${file}: ${problem}; ${next}`),
});

/** The family first: a file of another one should not fail on a key that it spells differently. */
function readFamily(config: unknown, file: string): Family {
  const schema = z.looseObject({ model_type: z.string().nullish(), architectures: z.array(z.string()).nullish() });
  const { model_type, architectures } = parse(schema, config, file);
  const named = model_type ?? architectures?.[0]?.replace(/ForCausalLM$/, "").toLowerCase();
  if (named === undefined) {
    throw new CllmError("bad-file", `${file}: model_type is missing, and so is architectures; fetch it again`);
  }
  const family = FAMILIES.find(({ name }) => name === named);
  if (!family) throw unsupportedFamily(named, file);
  return family;
}

function rejectUnbuilt(raw: Config, { name: family }: Family, { unsupported }: Complaints): void {
  const other = raw.architectures?.find((name) => !name.endsWith("ForCausalLM"));
  if (other !== undefined) {
    throw unsupported(`architecture ${other} is no causal language model`, "use the model's ...ForCausalLM version");
  }
  if (raw.quantization_config && !isSwitchedOff(raw.quantization_config)) {
    const method = raw.quantization_config.quant_method ?? "an unnamed method";
    const next = "use the original F32, F16 or BF16 weights, or a GGUF file";
    throw unsupported(`weights quantized by ${method} (quantization_config) are not supported`, next);
  }
  const activation = raw.hidden_act ?? "silu";
  if (activation !== "silu" && activation !== "swish") {
    throw unsupported(`hidden_act is ${activation}; only silu is supported`, `use a usual ${family} model`);
  }
  if (raw.mlp_bias) throw unsupported("mlp_bias is true; only false is supported", `use a usual ${family} model`);
  const partial = raw.rope_parameters?.partial_rotary_factor ?? raw.partial_rotary_factor ?? 1;
  if (partial !== 1) {
    throw unsupported(`partial_rotary_factor is ${partial}; only 1 is supported`, `use a usual ${family} model`);
  }
}

/** Rotary base and scaling: `rope_parameters` (transformers 5), else `rope_theta` and `rope_scaling`. */
function readRope(raw: Config, file: string): { theta: number; scaling: RopeScaling | null } {
  const rope: z.infer<typeof ropeSchema> = { ...raw.rope_scaling, ...raw.rope_parameters };
  const theta = rope.rope_theta ?? raw.rope_theta ?? 10_000;
  const type = rope.rope_type ?? rope.type ?? "default";
  const need = (key: "factor" | "low_freq_factor" | "high_freq_factor"): number => {
    const value = rope[key] ?? undefined;
    if (value === undefined) {
      throw new CllmError("bad-file", `${file}: rope scaling of type ${type} lacks ${key}; fetch it again`);
    }
    const holder = raw.rope_parameters?.[key] === undefined ? "rope_scaling" : "rope_parameters";
    return parse(z.looseObject({ [key]: positive }), rope, file, holder)[key] as number;
  };
  if (type === "default" || type === "dynamic") return { theta, scaling: null }; // dynamic: from the context's end on
  if (type === "linear") return { theta, scaling: { type: "linear", factor: need("factor") } };
  if (type === "llama3") {
    const originalContextLength = rope.original_max_position_embeddings ?? raw.original_max_position_embeddings;
    if (!originalContextLength) {
      const key = "original_max_position_embeddings";
      throw new CllmError("bad-file", `${file}: rope scaling of type llama3 lacks ${key}; fetch it again`);
    }
    const lowFrequencyFactor = need("low_freq_factor");
    const highFrequencyFactor = need("high_freq_factor");
    if (highFrequencyFactor <= lowFrequencyFactor) {
      const message = `high_freq_factor ${highFrequencyFactor} must exceed low_freq_factor ${lowFrequencyFactor}`;
      throw new CllmError("bad-file", `${file}: ${message}; fetch it again`);
    }
    const factor = need("factor");
    return { theta, scaling: { type, factor, lowFrequencyFactor, highFrequencyFactor, originalContextLength } };
  }
  const message = `${file}: rope scaling of type ${type} is not supported; default, dynamic, linear and llama3 are`;
  throw new CllmError("unsupported", `${message}; remove it to use the model within its original context`);
}

/** Settings that bitsandbytes leaves in the configuration of weights that are no longer quantized. */
function isSwitchedOff(settings: Readonly<Record<string, unknown>>): boolean {
  const on = ["load_in_4bit", "load_in_8bit", "_load_in_4bit", "_load_in_8bit"].some((key) => settings[key] === true);
  return settings["quant_method"] === "bitsandbytes" && !on;
}

/** Validate, or throw `bad-file` naming the first wrong key (within `holder`), its value and what it may be. */
function parse<T extends z.ZodType>(schema: T, value: unknown, file: string, holder?: string): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const key = [...(holder === undefined ? [] : [holder]), ...issue.path].join(".");
  const found = issue.path.reduce<unknown>(
    (at, step) => (at as Record<PropertyKey, unknown> | undefined)?.[step],
    value,
  );
  const shown = found === undefined ? "missing" : typeof found === "number" ? String(found) : JSON.stringify(found);
  throw new CllmError(
    "bad-file",
    `${file}: ${key || "content"} is ${shown.slice(0, 80)}: ${issue.message}; fetch it again`,
  );
}
