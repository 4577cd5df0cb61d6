/**
 * GGUF metadata into a `ModelConfig` and a tokenizer source: the one place that knows its keys
 * (`llama.attention.head_count`, `tokenizer.ggml.tokens`, ...). Reads no file.
 */
import { CllmError } from "../../error.ts";
import type { Family, ModelConfig, RopeScaling } from "../../model/config.ts";
import { checkModelConfig, LIMITS, unsupportedFamily } from "../config-limits.ts";
import type { GgufTokenizerSource } from "../tokenizer-source.ts";
import type { GgufHeader, GgufValue } from "./header.ts";

type Metadata = GgufHeader["metadata"];

/** Typed access to metadata; a key of another type is `bad-file`. */
interface Fields {
  number(key: string): number | null;
  text(key: string): string | null;
  flag(key: string): boolean | null;
  strings(key: string): readonly string[] | null;
  /** The file's name, the key and what is wrong with it. */
  bad(key: string, problem: string): CllmError;
}

function fields(metadata: Metadata, path: string): Fields {
  const bad = (key: string, problem: string): CllmError =>
    new CllmError("bad-file", `${path}: metadata ${key} ${problem}. Fetch or convert it again.`);
  const get = <T extends GgufValue>(key: string, is: (value: GgufValue) => value is T, kind: string): T | null => {
    const value = metadata.get(key);
    if (value === undefined) return null;
    if (!is(value)) throw bad(key, `is not ${kind}`);
    return value;
  };
  return {
    number: (key) => get(key, isNumber, "a single exact number"),
    text: (key) => get(key, (value) => typeof value === "string", "a string"),
    flag: (key) => get(key, (value) => typeof value === "boolean", "a boolean"),
    strings: (key) => get(key, isStrings, "an array of strings"),
    bad,
  };
}

function isNumber(value: GgufValue): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isStrings(value: GgufValue): value is readonly string[] {
  return Array.isArray(value) && (value.length === 0 || typeof value[0] === "string");
}

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
}

/** GGUF's architectures that have a graph; Mistral's files call theirs llama. */
const ARCHITECTURES: readonly Family[] = ["llama", "qwen2", "qwen3"];

/** The family of a file. Throws `unsupported` for others. */
export function readArchitecture(metadata: Metadata, path: string): Family {
  const field = fields(metadata, path);
  const architecture = field.text("general.architecture");
  if (architecture === null) throw field.bad("general.architecture", "is missing");
  const family = ARCHITECTURES.find((name) => name === architecture);
  if (!family) throw unsupportedFamily(architecture, path);
  return family;
}

/** Head size and head counts, which also say how query and key rows are stored. */
export function readHeads(metadata: Metadata, path: string): { heads: number; kvHeads: number; headSize: number } {
  const family = readArchitecture(metadata, path);
  const field = fields(metadata, path);
  const heads = required(field, `${family}.attention.head_count`, LIMITS.heads);
  const kvHeads = field.number(`${family}.attention.head_count_kv`) ?? heads;
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
  if (valueSize !== headSize || rotated !== headSize) {
    const message = `${path}: heads with keys of ${headSize}, values of ${valueSize} and ${rotated} rotated dimensions`;
    throw new CllmError("unsupported", `${message} are not supported; all three must be equal. Choose another model.`);
  }
  return { heads, kvHeads, headSize };
}

/** A whole number from 1 to `max`. */
function required(field: Fields, key: string, max: number): number {
  const value = field.number(key);
  if (value === null) throw field.bad(key, "is missing");
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw field.bad(key, `is ${value}; it must be a whole number from 1 to ${max}`);
  }
  return value;
}

/** Read the configuration. Throws `bad-file` for wrong values and `unsupported` for what is not built. */
export function readGgufConfig(metadata: Metadata, facts: GgufFacts): ModelConfig {
  const { path } = facts;
  const family = readArchitecture(metadata, path);
  const field = fields(metadata, path);
  const experts = field.number(`${family}.expert_count`) ?? 0;
  if (experts > 0) {
    const message = `${path}: a mixture of ${experts} experts is not supported; dense models are.`;
    throw new CllmError("unsupported", `${message} Choose a dense model.`);
  }
  const vocabSize = field.number(`${family}.vocab_size`) ?? facts.vocabSize;
  if (vocabSize !== facts.vocabSize) {
    throw field.bad(`${family}.vocab_size`, `is ${vocabSize}, but the embedding has ${facts.vocabSize} rows`);
  }
  const contextLength = required(field, `${family}.context_length`, LIMITS.contextLength);
  const window = field.number(`${family}.attention.sliding_window`) ?? 0;
  const bos = field.number("tokenizer.ggml.bos_token_id");
  const draft = field.number("cllm.draft_token_id");
  return checkModelConfig(
    {
      family,
      vocabSize,
      hiddenSize: required(field, `${family}.embedding_length`, LIMITS.hiddenSize),
      layers: required(field, `${family}.block_count`, LIMITS.layers),
      ...readHeads(metadata, path),
      intermediateSize: required(field, `${family}.feed_forward_length`, LIMITS.intermediateSize),
      contextLength,
      normEpsilon: field.number(`${family}.attention.layer_norm_rms_epsilon`) ?? 1e-5,
      ropeTheta: field.number(`${family}.rope.freq_base`) ?? 10_000,
      ropeScaling: readScaling(field, family, facts),
      slidingWindow: window === 0 || window >= contextLength ? null : window,
      tiedHead: facts.tiedHead,
      attentionBias: facts.attentionBias,
      outputBias: facts.outputBias,
      queryKeyNorm: family === "qwen3",
      bosTokenId: bos,
      eosTokenIds: readEndIds(metadata, path),
      ...(draft !== null && { draftTokenId: draft }),
      ...(metadata.get("cllm.leading_draft") === true && { leadingDraft: true }),
    },
    path,
  );
}

function readScaling(field: Fields, family: Family, { path, ropeDivisors }: GgufFacts): RopeScaling | null {
  if (ropeDivisors) return { type: "divisors", divisors: ropeDivisors };
  const old = field.number(`${family}.rope.scale_linear`); // before scaling had types
  const type = field.text(`${family}.rope.scaling.type`) ?? (old === null ? "none" : "linear");
  const factor = field.number(`${family}.rope.scaling.factor`) ?? old ?? 1;
  if (type === "none" || (type === "linear" && factor === 1)) return null;
  if (type === "linear") return { type, factor };
  const message = `${path}: rope scaling of type ${type.slice(0, 80)} is not supported; none, linear and Llama 3's are.`;
  throw new CllmError("unsupported", `${message} Choose a file without it.`);
}

/** Control tokens that end a turn or a text, by the names that model families give them. */
const END_NAMES: ReadonlySet<string> = new Set([
  "<|endoftext|>",
  "<|end_of_text|>",
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
]);
const CONTROL = 3;

/**
 * Ids that end a completion. A GGUF file has no generation config, only one end-of-sequence id and sometimes ids for the
 * end of a turn or message; as llama.cpp does, control tokens known to mean an end by their names are added.
 */
function readEndIds(metadata: Metadata, path: string): number[] {
  const field = fields(metadata, path);
  const ids = new Set<number>();
  for (const key of ["eos", "eot", "eom"]) {
    const id = field.number(`tokenizer.ggml.${key}_token_id`);
    if (id !== null) ids.add(id);
  }
  const types = metadata.get("tokenizer.ggml.token_type");
  if (types instanceof Int32Array) {
    field.strings("tokenizer.ggml.tokens")?.forEach((token, id) => {
      if (types[id] === CONTROL && END_NAMES.has(token)) ids.add(id);
    });
  }
  return [...ids];
}

/** The tokenizer's vocabulary and settings. Throws `bad-file` where lists disagree or ids are outside them. */
export function readGgufTokenizer(metadata: Metadata, { path, vocabSize }: GgufFacts): GgufTokenizerSource {
  const field = fields(metadata, path);
  const key = (name: string): string => `tokenizer.ggml.${name}`;
  const model = field.text(key("model"));
  const tokens = field.strings(key("tokens"));
  if (model === null) throw field.bad(key("model"), "is missing: the file has no tokenizer");
  if (tokens === null) throw field.bad(key("tokens"), "is missing: the file has no vocabulary");
  if (tokens.length === 0 || tokens.length > vocabSize) {
    throw field.bad(key("tokens"), `has ${tokens.length} tokens; the embedding has ${vocabSize} rows`);
  }
  const perToken = <T extends Float32Array | Int32Array>(name: string, is: new (length: number) => T): T | null => {
    const values = metadata.get(key(name));
    if (values === undefined) return null;
    if (!(values instanceof is)) throw field.bad(key(name), `is not a ${is.name.replace("Array", "")} array`);
    if (values.length !== tokens.length) {
      throw field.bad(key(name), `has ${values.length} entries for ${tokens.length} tokens`);
    }
    return values;
  };
  const tokenId = (name: string): number | null => {
    const id = field.number(key(`${name}_token_id`));
    if (id !== null && !(Number.isInteger(id) && id >= 0 && id < tokens.length)) {
      throw field.bad(key(`${name}_token_id`), `is ${id}; the vocabulary has ${tokens.length} tokens`);
    }
    return id;
  };
  return {
    kind: "gguf",
    model,
    pre: field.text(key("pre")),
    tokens,
    scores: perToken("scores", Float32Array),
    tokenTypes: perToken("token_type", Int32Array),
    merges: field.strings(key("merges")),
    bosTokenId: tokenId("bos"),
    eosTokenId: tokenId("eos"),
    unknownTokenId: tokenId("unknown"),
    padTokenId: tokenId("padding"),
    addBos: field.flag(key("add_bos_token")),
    addEos: field.flag(key("add_eos_token")),
    addSpacePrefix: field.flag(key("add_space_prefix")),
    ...readTemplates(metadata, field),
  };
}

const TEMPLATE_KEY = "tokenizer.chat_template";

/** The template, and those that the file names: `tokenizer.chat_template.NAME`. */
function readTemplates(
  metadata: Metadata,
  field: Fields,
): Pick<GgufTokenizerSource, "chatTemplate" | "namedTemplates"> {
  const chatTemplate = field.text(TEMPLATE_KEY);
  const keys = [...metadata.keys()].filter((key) => key.startsWith(`${TEMPLATE_KEY}.`));
  if (keys.length === 0) return { chatTemplate };
  const named = keys.map((key): [string, string] => [key.slice(TEMPLATE_KEY.length + 1), field.text(key) ?? ""]);
  if (chatTemplate !== null) named.unshift(["default", chatTemplate]);
  return { chatTemplate, namedTemplates: Object.fromEntries(named) };
}
