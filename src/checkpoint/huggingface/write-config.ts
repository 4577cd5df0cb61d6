/**
 * A `ModelConfig` as `config.json` and `generation_config.json`, the inverse of `config.ts`: in the words of
 * transformers 4, which 5 and other readers take too. Writes no files.
 */
import { CllmError } from "../../error.ts";
import type { ModelConfig } from "../../model/config.ts";
import { longestContext } from "../../model/context.ts";
import { familyOf } from "../../model/families/index.ts";
import type { FloatType } from "../encoders.ts";
import { namedScaling } from "../rope-divisors.ts";
import { readHuggingFaceConfig } from "./config.ts";
import { writeRopeScaling } from "./rope.ts";

export interface HuggingFaceConfig {
  /** What a reader of the directory will find: the configuration in Hugging Face's words. */
  readonly config: ModelConfig;
  /** `config.json`. */
  readonly text: string;
  /** Content of `generation_config.json`. */
  readonly generation: Record<string, unknown>;
}

const TORCH_TYPES: Readonly<Record<FloatType, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** Throws `unsupported` naming what Hugging Face's class of the family cannot be told. */
export function toHuggingFaceConfig(given: ModelConfig, dtype: FloatType): HuggingFaceConfig {
  const config = inTheirWords(given);
  const { architecture, write } = familyOf(config).huggingFace;
  const ids = { bos_token_id: config.bosTokenId, eos_token_id: endIds(config.eosTokenIds) };
  const json = {
    architectures: [architecture],
    model_type: config.family,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headSize,
    hidden_act: "silu",
    max_position_embeddings: longestContext(config),
    rms_norm_eps: config.normEpsilon,
    rope_theta: config.ropeTheta,
    rope_scaling: writeRopeScaling(config),
    tie_word_embeddings: config.tiedHead,
    ...(config.rotarySize !== undefined && { partial_rotary_factor: config.rotarySize / config.headSize }),
    ...write(config),
    attention_dropout: 0,
    initializer_range: 0.02,
    use_cache: true,
    pad_token_id: null, // some classes have an id by default, beyond a small vocabulary
    ...ids,
    ...(config.draftTokenId !== undefined && { cllm_draft_token_id: config.draftTokenId }),
    ...(config.leadingDraft && { cllm_leading_draft: true }),
    dtype: TORCH_TYPES[dtype],
    torch_dtype: TORCH_TYPES[dtype],
  };
  const generation = Object.fromEntries(Object.entries(ids).filter(([, value]) => value !== null));
  checkInverse(config, json, generation);
  return { config, text: withFloats(JSON.stringify(json, null, 2)), generation };
}

/** transformers warns of factors of rotary scaling and refuses caps that are written as whole numbers, which JSON makes of 8.0. */
function withFloats(text: string): string {
  return `${text.replaceAll(/("(?:factor|low_freq_factor|high_freq_factor|attention_factor|beta_fast|beta_slow|(?:attn|final)_logit_softcapping)": \d+)(?=[,\n])/g, "$1.0")}\n`;
}

/** GGUF files call Mistral's models llama and list rotary divisors; Hugging Face has other words for both. */
function inTheirWords(config: ModelConfig): ModelConfig {
  const family = familyOf(config).huggingFace.wordsOf?.(config) ?? config.family;
  if (config.ropeScaling?.type !== "divisors") return { ...config, family };
  const named = namedScaling(config, config.ropeScaling.divisors);
  if (named) return { ...config, family, ropeScaling: named.scaling };
  const message =
    "the model's rotary divisors are not those of Llama 3's formula, so config.json has no words for them";
  throw new CllmError("unsupported", `${message}; write a GGUF file instead`);
}

function endIds(ids: readonly number[]): number | readonly number[] | null {
  return ids.length > 1 ? ids : (ids[0] ?? null);
}

/** JSON with the keys of objects in order. */
function inOrder(value: unknown): string | undefined {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/** Reads the written configuration back and compares it. If it differs, the family's class cannot express it. */
function checkInverse(config: ModelConfig, json: unknown, generation: unknown): void {
  const read = readHuggingFaceConfig({
    config: json,
    generation,
    hasHead: !config.tiedHead,
    path: "the new directory",
  });
  for (const [key, value] of Object.entries(config)) {
    const back = read[key as keyof ModelConfig];
    if (inOrder(back) === inOrder(value)) continue;
    const message = `a ${config.family} model with ${key} ${JSON.stringify(value)} cannot be told to transformers`;
    throw new CllmError(
      "unsupported",
      `${message} (its ${config.family} has ${JSON.stringify(back)}); write a GGUF file`,
    );
  }
}
