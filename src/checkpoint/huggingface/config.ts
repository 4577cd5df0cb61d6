/**
 * `config.json` and `generation_config.json` of Hugging Face, of transformers 4 and 5, into a `ModelConfig`: the one
 * place that knows the keys that families share. Unknown keys are normal there and ignored; known ones that ask for something
 * that is not built are `unsupported`. Reads no files.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import { shorten } from "../../files/near-miss.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { Complaints, Family } from "../../model/families/family.ts";
import { FAMILIES, FAMILY_NAMES } from "../../model/families/index.ts";
import { checkModelConfig, LIMITS, unsupportedFamily } from "../config-limits.ts";
import { rejectQuantization } from "./quantized.ts";
import { readRope } from "./rope.ts";

const count = (max: number): z.ZodNumber => z.number().int().min(1).max(max);
const tokenId = z.number().int();

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
  hidden_activation: z.string().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  quantization_config: z.unknown().optional(),
  quantization: z.unknown().optional(),
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
  const fields = { ...complaintsOf(file), parse: <T extends z.ZodType>(schema: T) => parse(schema, raw, file) };
  rejectUnbuilt(raw, family, fields);
  rejectForeignKeys(raw, family, fields);

  const { defaults } = family.huggingFace;
  const heads = raw.num_attention_heads;
  const headSize = raw.head_dim ?? defaults.headSize ?? raw.hidden_size / heads;
  const kvHeads = raw.num_key_value_heads ?? (raw.num_key_value_heads === null ? heads : (defaults.kvHeads ?? heads));
  const rope = readRope(fields, {
    contextLength: raw.max_position_embeddings ?? defaults.contextLength,
    theta: defaults.ropeTheta ?? 10_000,
  });
  const rotarySize = Math.floor(headSize * rope.partial);
  if (rope.partial !== 1 && !family.partialRotation) {
    const message = `partial_rotary_factor is ${rope.partial}; only 1 is supported`;
    throw fields.unsupported(message, `use a usual ${family.name} model`);
  }
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
    contextLength: rope.contextLength,
    normEpsilon: raw.rms_norm_eps ?? defaults.normEpsilon ?? 1e-6,
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    slidingWindow: null,
    tiedHead: raw.tie_word_embeddings ?? !hasHead,
    attentionBias: false,
    outputBias: false,
    queryKeyNorm: false,
    ...(rotarySize !== headSize && { rotarySize }),
    bosTokenId,
    eosTokenIds: [...new Set(ends)],
    ...(typeof raw.cllm_draft_token_id === "number" && { draftTokenId: raw.cllm_draft_token_id }),
    ...(raw.cllm_leading_draft && { leadingDraft: true }),
  };
  return checkModelConfig({ ...common, ...family.huggingFace.read(fields, common) }, file);
}

const complaintsOf = (file: string): Complaints => ({
  bad: (problem) => new CllmError("bad-file", `${file}: ${problem}; fetch it again`),
  unsupported: (problem, next) => new CllmError("unsupported", `${file}: ${problem}; ${next}`),
});

/** The family first: a file of another one should not fail on a key that it spells differently. */
function readFamily(config: unknown, file: string): Family {
  const schema = z.looseObject({
    model_type: z.string().nullish(),
    architectures: z.array(z.string()).nullish(),
    text_config: z
      .looseObject({ model_type: z.string().nullish().catch(null) })
      .nullish()
      .catch(null),
  });
  const { model_type, architectures, text_config: text } = parse(schema, config, file);
  const named = model_type ?? architectures?.[0]?.replace(/ForCausalLM$/, "").toLowerCase();
  if (named === undefined) {
    throw new CllmError("bad-file", `${file}: model_type is missing, and so is architectures; fetch it again`);
  }
  const family = FAMILIES.find(({ name, huggingFace }) => name === named || huggingFace.aliases?.includes(named));
  if (family) return family;
  const part = FAMILY_NAMES.find((name) => name === text?.model_type);
  const next = part && `its text part is ${part}: use a GGUF file of the model, which has the text part alone`;
  throw unsupportedFamily(named, file, FAMILY_NAMES, next);
}

function rejectUnbuilt(raw: Config, { name: family, huggingFace }: Family, complaints: Complaints): void {
  const { unsupported } = complaints;
  const other = raw.architectures?.find((name) => !name.endsWith("ForCausalLM"));
  if (other !== undefined) {
    throw unsupported(`architecture ${other} is no causal language model`, "use the model's ...ForCausalLM version");
  }
  rejectQuantization(raw, complaints);
  const { activation: usual = "silu" } = huggingFace;
  const [key, activation = usual] = raw.hidden_activation
    ? ["hidden_activation", raw.hidden_activation]
    : ["hidden_act", raw.hidden_act ?? usual];
  if (activation !== usual && !(usual === "silu" && activation === "swish")) {
    throw unsupported(`${key} is ${activation}; only ${usual} is supported`, `use a usual ${family} model`);
  }
  if (raw.mlp_bias) throw unsupported("mlp_bias is true; only false is supported", `use a usual ${family} model`);
}

/**
 * Keys of other families that say something: a file that has them is of a model with another graph, whatever it calls itself.
 */
function rejectForeignKeys(raw: Config, family: Family, { unsupported }: Complaints): void {
  const own = new Set(family.huggingFace.keys);
  for (const other of FAMILIES) {
    for (const key of other.huggingFace.keys) {
      if (own.has(key) || saysNothing(raw[key])) continue;
      const what = `${key} is ${shorten(JSON.stringify(raw[key]))}, a key of ${other.name} that ${family.name} does not have`;
      throw unsupported(what, "use a model whose model_type fits its keys");
    }
  }
}

/** Values by which a model stays as it is. */
function saysNothing(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(saysNothing);
  return value === undefined || value === null || value === false || value === 1;
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
