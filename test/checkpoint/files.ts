/**
 * Tiny checkpoints for tests, in memory and on disk: a Llama of a few thousand parameters as GGUF and as a Hugging Face
 * directory, and writers of both formats that write whatever they are told, lies included.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModelConfig } from "../../src/model/config.ts";
import { expectedTensors } from "../../src/model/tensors.ts";

/** Numbers in [0, 1) from a seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A new folder and how to remove it. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "cllm-checkpoint-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export const TINY: ModelConfig = {
  family: "llama",
  vocabSize: 12,
  hiddenSize: 32,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headSize: 8,
  intermediateSize: 64,
  contextLength: 128,
  normEpsilon: 1e-5,
  ropeTheta: 10_000,
  ropeScaling: null,
  slidingWindow: null,
  tiedHead: false,
  attentionBias: false,
  outputBias: false,
  queryKeyNorm: false,
  bosTokenId: 1,
  eosTokenIds: [2],
};

/** A byte-level vocabulary for `TINY`, whose merges are "a b" and "ab c". */
export const TINY_TOKENS: readonly string[] = [..."abcdefghij", "ab", "abc"];

export interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}
export type Tensors = ReadonlyMap<string, Tensor>;

/** Random weights, in Hugging Face's names and order. */
export function tinyTensors(config: ModelConfig, seed = 1): Map<string, Tensor> {
  const random = randomFrom(seed);
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of expectedTensors(config)) {
    const length = shape.reduce((product, size) => product * size, 1);
    tensors.set(name, { shape, values: Float32Array.from({ length }, () => random() - 0.5) });
  }
  return tensors;
}

/** `config.json` of a configuration without scaling. */
export function tinyConfigJson(config: ModelConfig): Record<string, unknown> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: config.family,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headSize,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.contextLength,
    rms_norm_eps: config.normEpsilon,
    rope_theta: config.ropeTheta,
    sliding_window: config.slidingWindow,
    tie_word_embeddings: config.tiedHead,
    attention_bias: config.attentionBias,
    bos_token_id: config.bosTokenId,
    eos_token_id: [...config.eosTokenIds],
    torch_dtype: "float32",
  };
}

/** A safetensors file of any header and data. */
export function safetensorsBytes(header: unknown, data: Uint8Array): Buffer {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([prefix, json, data]);
}

/** An honest safetensors file. `encode` gives a tensor's bytes and type. */
export function encodeSafetensors(
  tensors: Tensors,
  encode: (values: Float32Array) => [string, Uint8Array] = asF32,
): Buffer {
  const header: Record<string, unknown> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { shape, values }] of tensors) {
    const [dtype, bytes] = encode(values);
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    parts.push(bytes);
  }
  return safetensorsBytes(header, Buffer.concat(parts));
}

export function asF32(values: Float32Array): [string, Uint8Array] {
  return ["F32", new Uint8Array(values.buffer, values.byteOffset, values.byteLength)];
}

/** Write a whole Hugging Face directory with a minimal tokenizer. */
export function writeHuggingFace(path: string, config: ModelConfig, tensors: Tensors): void {
  writeFileSync(join(path, "config.json"), JSON.stringify(tinyConfigJson(config)));
  writeFileSync(join(path, "model.safetensors"), encodeSafetensors(tensors));
  writeFileSync(
    join(path, "tokenizer.json"),
    JSON.stringify({ version: "1.0", model: { type: "BPE", vocab: {}, merges: [] } }),
  );
}

/** A metadata value with its GGUF type. */
export type Meta =
  | { readonly type: "u32" | "f32" | "u64" | "u16" | "i32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "i32s" | "f32s"; readonly value: readonly number[] };

export interface GgufTensor {
  readonly name: string;
  /** Outermost first; written reversed. */
  readonly shape: readonly number[];
  readonly type: number;
  readonly bytes: Uint8Array;
  /** Instead of the next free place. */
  readonly offset?: number;
}

export interface GgufContent {
  readonly metadata: readonly (readonly [string, Meta])[];
  readonly tensors: readonly GgufTensor[];
  readonly version?: number;
  readonly alignment?: number;
}

/** The bytes of a GGUF file. */
export function ggufBytes({ metadata, tensors, version = 3, alignment = 32 }: GgufContent): Buffer {
  const head = [Buffer.from("GGUF"), u32(version), u64(tensors.length), u64(metadata.length)];
  for (const [key, meta] of metadata) head.push(text(key), metaBytes(meta));
  let next = 0;
  const data: Buffer[] = [];
  for (const { name, shape, type, bytes, offset } of tensors) {
    head.push(text(name), u32(shape.length), ...shape.toReversed().map(u64), u32(type), u64(offset ?? next));
    const padded = Buffer.concat([bytes, Buffer.alloc(padding(bytes.length, alignment))]);
    data.push(padded);
    next += padded.length;
  }
  const header = Buffer.concat(head);
  return Buffer.concat([header, Buffer.alloc(padding(header.length, alignment)), ...data]);
}

function padding(length: number, alignment: number): number {
  return (alignment - (length % alignment)) % alignment;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function metaBytes(meta: Meta): Buffer {
  switch (meta.type) {
    case "u32":
      return Buffer.concat([u32(4), u32(meta.value)]);
    case "u16":
      return Buffer.concat([u32(2), Buffer.from(Uint16Array.of(meta.value).buffer)]);
    case "i32":
      return Buffer.concat([u32(5), Buffer.from(Int32Array.of(meta.value).buffer)]);
    case "f32":
      return Buffer.concat([u32(6), Buffer.from(Float32Array.of(meta.value).buffer)]);
    case "u64":
      return Buffer.concat([u32(10), u64(meta.value)]);
    case "bool":
      return Buffer.concat([u32(7), Buffer.from([meta.value ? 1 : 0])]);
    case "string":
      return Buffer.concat([u32(8), text(meta.value)]);
    case "strings":
      return Buffer.concat([u32(9), u32(8), u64(meta.value.length), ...meta.value.map(text)]);
    case "i32s":
      return Buffer.concat([u32(9), u32(5), u64(meta.value.length), Buffer.from(Int32Array.from(meta.value).buffer)]);
    case "f32s":
      return Buffer.concat([u32(9), u32(6), u64(meta.value.length), Buffer.from(Float32Array.from(meta.value).buffer)]);
  }
}

/** Rows of a matrix in the order in which GGUF stores the Llama family's queries and keys. */
export function interleaveRows({ shape, values }: Tensor, heads: number): Tensor {
  const [rows = 1] = shape;
  const columns = values.length / rows;
  const half = rows / heads / 2;
  const stored = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / (2 * half));
    const part = Math.floor((row % (2 * half)) / half); // first or second half of the head
    const target = head * 2 * half + 2 * (row % half) + part;
    stored.set(values.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return { shape, values: stored };
}

const GGUF_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens/, "token_embd"],
  [/^model\.norm/, "output_norm"],
  [/^lm_head/, "output"],
  [/^model\.layers\.(\d+)\.input_layernorm/, "blk.$1.attn_norm"],
  [/^model\.layers\.(\d+)\.post_attention_layernorm/, "blk.$1.ffn_norm"],
  [/^model\.layers\.(\d+)\.self_attn\.([qk])_norm/, "blk.$1.attn_$2_norm"],
  [/^model\.layers\.(\d+)\.self_attn\.([qkv])_proj/, "blk.$1.attn_$2"],
  [/^model\.layers\.(\d+)\.self_attn\.o_proj/, "blk.$1.attn_output"],
  [/^model\.layers\.(\d+)\.mlp\.(gate|up|down)_proj/, "blk.$1.ffn_$2"],
];

/** Tensors of a model as GGUF holds them, in F32. */
export function ggufTensors(config: ModelConfig, tensors: Tensors): GgufTensor[] {
  return [...tensors].map(([name, tensor]) => {
    const [pattern, replacement] = GGUF_NAMES.find(([pattern]) => pattern.test(name))!;
    const heads = /q_proj/.test(name) ? config.heads : /k_proj/.test(name) ? config.kvHeads : 0;
    const { shape, values } = heads > 0 && config.family === "llama" ? interleaveRows(tensor, heads) : tensor;
    return { name: name.replace(pattern, replacement), shape, type: 0, bytes: asF32(values)[1] };
  });
}

/** Metadata of a model whose vocabulary is `TINY_TOKENS`. */
export function ggufMetadata(config: ModelConfig): (readonly [string, Meta])[] {
  const at = config.family;
  const n = (key: string, value: number): readonly [string, Meta] => [`${at}.${key}`, { type: "u32", value }];
  return [
    ["general.architecture", { type: "string", value: at }],
    n("block_count", config.layers),
    n("context_length", config.contextLength),
    n("embedding_length", config.hiddenSize),
    n("feed_forward_length", config.intermediateSize),
    n("attention.head_count", config.heads),
    n("attention.head_count_kv", config.kvHeads),
    n("attention.key_length", config.headSize),
    n("attention.value_length", config.headSize),
    [`${at}.attention.layer_norm_rms_epsilon`, { type: "f32", value: config.normEpsilon }],
    [`${at}.rope.freq_base`, { type: "f32", value: config.ropeTheta }],
    ["tokenizer.ggml.model", { type: "string", value: "gpt2" }],
    ["tokenizer.ggml.tokens", { type: "strings", value: TINY_TOKENS }],
    ["tokenizer.ggml.token_type", { type: "i32s", value: Array.from({ length: config.vocabSize }, () => 1) }],
    ["tokenizer.ggml.merges", { type: "strings", value: ["a b", "ab c"] }],
    ["tokenizer.ggml.bos_token_id", { type: "u32", value: config.bosTokenId ?? 0 }],
    ["tokenizer.ggml.eos_token_id", { type: "u32", value: config.eosTokenIds[0] ?? 0 }],
  ];
}
