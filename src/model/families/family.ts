/**
 * What a family's file says: how files describe its models, what they call its tensors, and by which differences from Llama its
 * layers are made. A difference is a field of `ModelConfig`: graphs look at those fields and never at a family's name.
 * Knows no file; readers hand in the values that were asked for.
 */
import * as z from "zod";
import type { CllmError } from "../../error.ts";
import type { ModelConfig } from "../config.ts";

/** The errors of a file, which name it: `bad-file` for what is wrong, `unsupported` for what is not built. */
export interface Complaints {
  bad(problem: string): CllmError;
  unsupported(problem: string, next: string): CllmError;
}

/** `config.json`, of which each family reads the keys that are its own. */
export interface HuggingFaceFields extends Complaints {
  /** Those keys, checked. Throws `bad-file` naming the first wrong one. */
  parse<T extends z.ZodType>(schema: T): z.infer<T>;
}

/** Metadata of a GGUF file, by keys without the architecture's name. What is not there is null. */
export interface GgufFields extends Complaints {
  number(key: string): number | null;
  text(key: string): string | null;
  /** A number for each layer; null where it is one number for all. */
  layers(key: string): readonly number[] | null;
}

/** A value of GGUF's metadata with its type. */
export type GgufValue =
  | { readonly u32: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly string: string };
export type GgufMetadata = readonly (readonly [key: string, value: GgufValue])[];

/** What a family's class has where `config.json` does not say. */
export interface HuggingFaceDefaults {
  /** Null: as many as heads. */
  readonly kvHeads: number | null;
  readonly contextLength: number;
  /** Null: the hidden size divided by the heads. */
  readonly headSize: number | null;
  /** Default: 10000. */
  readonly ropeTheta?: number;
  /** Default: 1e-6. */
  readonly normEpsilon?: number;
}

export interface Family {
  /** As `config.json` has it under `model_type`. */
  readonly name: string;
  /** Whether some models rotate only a share of each head's channels. */
  readonly partialRotation?: boolean;
  readonly huggingFace: {
    /** The family whose words a model needs, where GGUF files call both the same. Default: its own. */
    wordsOf?(config: ModelConfig): string;
    /** Other `model_type`s, some of whose models are this family's: `read` refuses the rest. */
    readonly aliases?: readonly string[];
    /** Matrices of a layer that such models store in one, by its name: the first one's rows, then the next one's. */
    readonly packed?: Readonly<Record<string, readonly string[]>>;
    /** The class, under `architectures`. */
    readonly architecture: string;
    readonly defaults: HuggingFaceDefaults;
    /** The one activation that models have, as `hidden_act` or `hidden_activation` says it. Default: silu. */
    readonly activation?: string;
    /** Keys that only families which list them have. Where another's configuration says something by them, it is refused. */
    readonly keys: readonly string[];
    /** How this configuration differs from Llama's, `common`. */
    read(fields: HuggingFaceFields, common: ModelConfig): Partial<ModelConfig>;
    /** The family's own keys. What does not come back when it is read is refused. */
    write(config: ModelConfig): Record<string, unknown>;
  };
  readonly gguf: {
    /** Under `general.architecture`. */
    readonly architecture: string;
    /** Whether rows of queries and keys are stored as rotation of neighbouring channels wants them. */
    readonly interleaved: boolean;
    /** Weights of norms are stored with the one that the graph adds. */
    readonly normsWithOne?: boolean;
    /** Keys that only families which list them have, as with `huggingFace.keys`. */
    readonly keys: readonly string[];
    /** Tokens of SentencePiece vocabularies that take the white space behind them. Default: none does. */
    strips?(token: string): boolean;
    /** What files call the tensors of a layer, by Hugging Face's names. */
    readonly tensors: Readonly<Record<string, string>>;
    /** How this file differs from Llama's, `common`. */
    read(fields: GgufFields, common: ModelConfig): Partial<ModelConfig>;
    /** The family's own metadata, by keys without the architecture's name. */
    write(config: ModelConfig): GgufMetadata;
    /** What llama.cpp's graph of the architecture does not have and this model needs; null for nothing. */
    missing(config: ModelConfig): string | null;
  };
}

/** What most families call the tensors of a layer in GGUF files, by Hugging Face's names. */
export const GGUF_TENSORS: Readonly<Record<string, string>> = {
  input_layernorm: "attn_norm",
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  "self_attn.o_proj": "attn_output",
  post_attention_layernorm: "ffn_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
};

/** `attention_bias`, by which all four projections have biases, or none. */
export function readAttentionBias(fields: HuggingFaceFields): Pick<ModelConfig, "attentionBias" | "outputBias"> {
  const bias = fields.parse(z.looseObject({ attention_bias: z.boolean().nullish() })).attention_bias === true;
  return { attentionBias: bias, outputBias: bias };
}

export function writeAttentionBias({ attentionBias }: ModelConfig): Record<string, unknown> {
  return { attention_bias: attentionBias };
}

/** A multiplier or cap of GGUF metadata, by its key with the architecture's name in front. Throws `bad-file` where it is not positive. */
export function positiveNumber(fields: GgufFields, architecture: string, key: string, otherwise: number): number {
  const value = fields.number(key) ?? otherwise;
  if (value > 0) return value;
  throw fields.bad(`metadata ${architecture}.${key} is ${value}; it must be a positive number`);
}

/** Rotary scaling that llama.cpp applies only in graphs that read `rope_freqs.weight`; null for one that all have. */
export function missingDivisors({ ropeScaling }: ModelConfig): string | null {
  const stored = ropeScaling?.type === "llama3" || ropeScaling?.type === "divisors";
  return stored ? `rotary scaling of type ${ropeScaling.type}` : null;
}

/** llama.cpp's graphs of some families take heads that are as wide as the model together. */
export function missingHeads({ heads, headSize, hiddenSize }: ModelConfig): string | null {
  return heads * headSize === hiddenSize ? null : `${heads} heads of ${headSize} over a hidden size of ${hiddenSize}`;
}

/** What is missing first, of several that may be. */
export const firstMissing = (...missing: readonly (string | null)[]): string | null =>
  missing.find((what) => what !== null) ?? null;

/** Whether two lists of flags by layer are the same; an absent one is all true. */
export function sameLayers(
  { layers }: Pick<ModelConfig, "layers">,
  flags: readonly boolean[] | undefined,
  expected: readonly boolean[],
): boolean {
  return Array.from({ length: layers }, (_, i) => (flags?.[i] ?? true) === expected[i]).every(Boolean);
}

/** Every so-many-th layer is the odd one out: true for all others. */
export function allButEvery({ layers }: Pick<ModelConfig, "layers">, step: number): readonly boolean[] {
  return Array.from({ length: layers }, (_, i) => (i + 1) % step !== 0);
}
