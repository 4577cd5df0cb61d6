/**
 * `config.json` and `generation_config.json` of Hugging Face, of transformers 4 and 5, into a `ModelConfig`: the one
 * place that knows their keys and defaults. Unknown keys are normal there and ignored; known ones that ask for something
 * that is not built are `unsupported`. Reads no files.
 */
import { z } from "zod";
import { CllmError } from "../../error.ts";
import type { Family, ModelConfig, RopeScaling } from "../../model/config.ts";
import { FAMILIES } from "../../model/config.ts";
import { checkModelConfig, LIMITS, unsupportedFamily } from "../config-limits.ts";

const count = (max: number): z.ZodNumber => z.number().int().min(1).max(max);
const tokenId = z.number().int().nonnegative();
const positive = z.number().positive();

const ropeSchema = z.looseObject({
  type: z.string().optional(),
  rope_type: z.string().optional(),
  rope_theta: positive.nullish(),
  factor: positive.nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  original_max_position_embeddings: count(LIMITS.contextLength).nullish(),
  partial_rotary_factor: positive.nullish(),
});

const configSchema = z.looseObject({
  model_type: z.string(),
  architectures: z.array(z.string()).nullish(),
  vocab_size: count(LIMITS.vocabSize),
  hidden_size: count(LIMITS.hiddenSize),
  num_hidden_layers: count(LIMITS.layers),
  num_attention_heads: count(LIMITS.heads),
  num_key_value_heads: count(LIMITS.heads).nullish(),
  head_dim: count(LIMITS.headSize).nullish(),
  intermediate_size: count(LIMITS.intermediateSize),
  max_position_embeddings: count(LIMITS.contextLength),
  rms_norm_eps: z.number().positive().max(0.1).nullish(),
  hidden_act: z.string().nullish(),
  rope_theta: positive.nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  original_max_position_embeddings: count(LIMITS.contextLength).nullish(),
  partial_rotary_factor: positive.nullish(),
  sliding_window: count(Number.MAX_SAFE_INTEGER).nullish(),
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.number().int().nonnegative().nullish(),
  layer_types: z.array(z.string()).nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  quantization_config: z.looseObject({ quant_method: z.string().nullish() }).nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
  cllm_draft_token_id: tokenId.nullish(),
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
  /** The directory, for errors. */
  readonly path: string;
}

/** Read a configuration. Throws `bad-file` for wrong values and `unsupported` for what is not built. */
export function readHuggingFaceConfig({ config, generation, hasHead, path }: HuggingFaceConfigSource): ModelConfig {
  const file = `${path}/config.json`;
  const family = readFamily(config, file);
  const raw = parse(configSchema, config, file);
  rejectUnbuilt(raw, family, file);

  const heads = raw.num_attention_heads;
  const headSize = raw.head_dim ?? (family === "qwen3" ? 128 : raw.hidden_size / heads); // as in each family's class
  const kvHeads = raw.num_key_value_heads ?? heads;
  const rope = readRope(raw, file);
  const fromGeneration = parse(generationSchema, generation ?? {}, `${path}/generation_config.json`);
  const eos = fromGeneration.eos_token_id ?? raw.eos_token_id ?? [];
  const attentionBias = family === "qwen2" || (family !== "mistral" && raw.attention_bias === true);
  return checkModelConfig(
    {
      family,
      vocabSize: raw.vocab_size,
      hiddenSize: raw.hidden_size,
      layers: raw.num_hidden_layers,
      heads,
      kvHeads,
      headSize,
      intermediateSize: raw.intermediate_size,
      contextLength: raw.max_position_embeddings,
      normEpsilon: raw.rms_norm_eps ?? 1e-6,
      ropeTheta: rope.theta,
      ropeScaling: rope.scaling,
      slidingWindow: readSlidingWindow(raw, family, file),
      tiedHead: raw.tie_word_embeddings ?? !hasHead,
      attentionBias,
      outputBias: attentionBias && family !== "qwen2",
      queryKeyNorm: family === "qwen3",
      bosTokenId: raw.bos_token_id ?? fromGeneration.bos_token_id ?? null,
      eosTokenIds: [...new Set(Array.isArray(eos) ? eos : [eos])],
      ...(typeof raw.cllm_draft_token_id === "number" && { draftTokenId: raw.cllm_draft_token_id }),
      ...(raw.cllm_leading_draft && { leadingDraft: true }),
    },
    file,
  );
}

/** The family first: a file of another one should not fail on a key that it spells differently. */
function readFamily(config: unknown, file: string): Family {
  const { model_type } = parse(z.looseObject({ model_type: z.string() }), config, file);
  const family = FAMILIES.find((name) => name === model_type);
  if (!family) throw unsupportedFamily(model_type, file);
  return family;
}

function rejectUnbuilt(raw: Config, family: Family, file: string): void {
  const unsupported = (what: string, next: string): CllmError =>
    new CllmError("unsupported", `${file}: ${what}. ${next}`);
  const other = raw.architectures?.find((name) => !name.endsWith("ForCausalLM"));
  if (other !== undefined) {
    throw unsupported(`architecture ${other} is no causal language model`, "Use the model's ...ForCausalLM version.");
  }
  if (raw.quantization_config) {
    const method = raw.quantization_config.quant_method ?? "an unnamed method";
    const next = "Use the original F32, F16 or BF16 weights, or a GGUF file.";
    throw unsupported(`weights quantized by ${method} (quantization_config) are not supported`, next);
  }
  const activation = raw.hidden_act ?? "silu";
  if (activation !== "silu" && activation !== "swish") {
    throw unsupported(`hidden_act is ${activation}; only silu is supported`, `Use a usual ${family} model.`);
  }
  if (raw.mlp_bias) throw unsupported("mlp_bias is true; only false is supported", `Use a usual ${family} model.`);
  const partial = raw.rope_parameters?.partial_rotary_factor ?? raw.partial_rotary_factor ?? 1;
  if (partial !== 1) {
    throw unsupported(`partial_rotary_factor is ${partial}; only 1 is supported`, `Use a usual ${family} model.`);
  }
}

/** Rotary base and scaling: `rope_parameters` (transformers 5), else `rope_theta` and `rope_scaling`. */
function readRope(raw: Config, file: string): { theta: number; scaling: RopeScaling | null } {
  const rope = { ...raw.rope_scaling, ...raw.rope_parameters };
  const theta = rope.rope_theta ?? raw.rope_theta ?? 10_000;
  const type = rope.rope_type ?? rope.type ?? "default";
  const need = (key: "factor" | "low_freq_factor" | "high_freq_factor"): number => {
    const value = rope[key];
    if (typeof value === "number") return value;
    throw new CllmError("bad-file", `${file}: rope scaling of type ${type} lacks ${key}. Fetch it again.`);
  };
  if (type === "default") return { theta, scaling: null };
  if (type === "linear") return { theta, scaling: { type: "linear", factor: need("factor") } };
  if (type === "llama3") {
    const originalContextLength = rope.original_max_position_embeddings ?? raw.original_max_position_embeddings;
    if (!originalContextLength) {
      const key = "original_max_position_embeddings";
      throw new CllmError("bad-file", `${file}: rope scaling of type llama3 lacks ${key}. Fetch it again.`);
    }
    const lowFrequencyFactor = need("low_freq_factor");
    const highFrequencyFactor = need("high_freq_factor");
    if (highFrequencyFactor <= lowFrequencyFactor) {
      const message = `high_freq_factor ${highFrequencyFactor} must exceed low_freq_factor ${lowFrequencyFactor}`;
      throw new CllmError("bad-file", `${file}: ${message}. Fetch it again.`);
    }
    const factor = need("factor");
    return { theta, scaling: { type, factor, lowFrequencyFactor, highFrequencyFactor, originalContextLength } };
  }
  const message = `${file}: rope scaling of type ${type} is not supported; default, linear and llama3 are.`;
  throw new CllmError("unsupported", `${message} Remove it to use the model within its original context.`);
}

/** The window of every layer, or null for none. Layers that differ are `unsupported`. */
function readSlidingWindow(raw: Config, family: Family, file: string): number | null {
  if (family === "llama") return null;
  const layers = raw.num_hidden_layers;
  let sliding: number; // layers with a window
  if (raw.layer_types) {
    const other = raw.layer_types.find((type) => type !== "full_attention" && type !== "sliding_attention");
    if (other !== undefined) {
      const message = `${file}: layer_types names ${other}; full_attention and sliding_attention are supported.`;
      throw new CllmError("unsupported", `${message} Use a usual ${family} model.`);
    }
    if (raw.layer_types.length !== layers) {
      const message = `${file}: layer_types has ${raw.layer_types.length} entries for ${layers} layers.`;
      throw new CllmError("bad-file", `${message} Fetch it again.`);
    }
    sliding = raw.layer_types.filter((type) => type === "sliding_attention").length;
  } else if (family === "mistral") {
    sliding = layers;
  } else {
    sliding = raw.use_sliding_window === true ? Math.max(0, layers - (raw.max_window_layers ?? 28)) : 0;
  }
  const window = raw.sliding_window === undefined ? 4096 : raw.sliding_window; // null says none, absence the default
  if (sliding === 0 || window === null || window >= raw.max_position_embeddings) return null;
  if (sliding === layers) return window;
  const message = `${file}: ${sliding} of ${layers} layers have a sliding window; all or none are supported.`;
  throw new CllmError(
    "unsupported",
    `${message} Set use_sliding_window to false to see up to ${window} tokens exactly.`,
  );
}

/** Validate, or throw `bad-file` naming the first wrong key, its value and what it may be. */
function parse<T extends z.ZodType>(schema: T, value: unknown, file: string): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const key = issue.path.join(".");
  const found = issue.path.reduce<unknown>(
    (at, step) => (at as Record<PropertyKey, unknown> | undefined)?.[step],
    value,
  );
  const shown = found === undefined ? "missing" : JSON.stringify(found).slice(0, 80);
  throw new CllmError("bad-file", `${file}: ${key || "content"} is ${shown}: ${issue.message}. Fetch it again.`);
}
