/**
 * A real checkpoint that is only small: a random Llama of two layers in a Hugging Face directory, with a byte-level BPE
 * tokenizer and a chat template. What runs on it runs on any model; what it says is noise, the same for the same seed.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HuggingFaceTokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";

export interface TinyOptions {
  readonly seed?: number;
  readonly contextLength?: number;
  /** With a chat template, as instruct models have. Default: true. */
  readonly chat?: boolean;
  /** Rows of the embedding without a token, which the model finds likelier than most. Default: 0. */
  readonly padding?: number;
}

const MERGES = [
  "t h",
  "th e",
  "Ġ a",
  "Ġ the",
  "i n",
  "in g",
  "e r",
  "Ġ s",
  "o n",
  "r e",
  "Ġ w",
  "Ċ Ċ",
  "o u",
  "Ġa n",
  "Ġan d",
  "Ġ i",
];
const SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
const HIDDEN = 64;
const HEADS = 4;
const KV_HEADS = 2;
const HEAD_SIZE = HIDDEN / HEADS;
const INTERMEDIATE = 128;
const LAYERS = 2;

const CHAT_TEMPLATE =
  "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/** The tokenizer alone, for models that are no checkpoint, and how many ids it has. */
export function tinyTokenizerSource({ chat = true }: TinyOptions = {}): {
  readonly source: HuggingFaceTokenizerSource;
  readonly vocabSize: number;
  readonly eosTokenId: number;
} {
  const tokenizerJson = tinyTokenizer();
  const vocabSize = Object.keys(tokenizerJson.model.vocab).length + SPECIAL.length;
  const tokenizerConfig = { eos_token: SPECIAL[2], add_bos_token: false };
  const chatTemplate = chat ? CHAT_TEMPLATE : null;
  return {
    source: { kind: "huggingface", tokenizerJson, tokenizerConfig, chatTemplate },
    vocabSize,
    eosTokenId: vocabSize - 1,
  };
}

/** Writes the checkpoint into `folder`, which is made where it is missing, and returns the folder. */
export function writeTinyCheckpoint(
  folder: string,
  { seed = 1, contextLength = 256, chat = true, padding = 0 }: TinyOptions = {},
): string {
  mkdirSync(folder, { recursive: true });
  const write = (name: string, content: object): void => writeFileSync(join(folder, name), JSON.stringify(content));
  const tokenizer = tinyTokenizer();
  const vocabSize = tokenizer.added_tokens.length + Object.keys(tokenizer.model.vocab).length;
  const endOfText = vocabSize - SPECIAL.length;
  write("tokenizer.json", tokenizer);
  write("tokenizer_config.json", {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: SPECIAL[0],
    eos_token: SPECIAL[2],
    add_bos_token: false,
    ...(chat && { chat_template: CHAT_TEMPLATE }),
  });
  write("config.json", {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: vocabSize + padding,
    hidden_size: HIDDEN,
    num_hidden_layers: LAYERS,
    num_attention_heads: HEADS,
    num_key_value_heads: KV_HEADS,
    head_dim: HEAD_SIZE,
    intermediate_size: INTERMEDIATE,
    max_position_embeddings: contextLength,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: "silu",
    attention_bias: false,
    tie_word_embeddings: true,
    bos_token_id: endOfText,
    eos_token_id: endOfText + 2,
    torch_dtype: "float32",
  });
  writeFileSync(join(folder, "model.safetensors"), tinyWeights(vocabSize, seed, padding));
  return folder;
}

function tinyTokenizer() {
  const vocab: Record<string, number> = {};
  for (const character of byteAlphabet()) vocab[character] = Object.keys(vocab).length;
  for (const merge of MERGES) vocab[merge.replace(" ", "")] = Object.keys(vocab).length;
  const base = Object.keys(vocab).length;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, i) => ({
      id: base + i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges: MERGES,
    },
  };
}

/** GPT-2's letters for the 256 bytes: printable ones stand for themselves, the others for code points from 256 on. */
function byteAlphabet(): string[] {
  const printable = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}

function tinyWeights(vocabSize: number, seed: number, padding: number): Buffer {
  const random = gaussian(seed);
  const tensors: [name: string, shape: readonly number[], deviation: number][] = [
    ["model.embed_tokens.weight", [vocabSize + padding, HIDDEN], 1],
  ];
  for (let layer = 0; layer < LAYERS; layer++) {
    const name = (part: string): string => `model.layers.${layer}.${part}.weight`;
    tensors.push(
      [name("input_layernorm"), [HIDDEN], 0],
      [name("self_attn.q_proj"), [HEADS * HEAD_SIZE, HIDDEN], 0.25],
      [name("self_attn.k_proj"), [KV_HEADS * HEAD_SIZE, HIDDEN], 0.25],
      [name("self_attn.v_proj"), [KV_HEADS * HEAD_SIZE, HIDDEN], 0.25],
      [name("self_attn.o_proj"), [HIDDEN, HEADS * HEAD_SIZE], 0.25],
      [name("post_attention_layernorm"), [HIDDEN], 0],
      [name("mlp.gate_proj"), [INTERMEDIATE, HIDDEN], 0.25],
      [name("mlp.up_proj"), [INTERMEDIATE, HIDDEN], 0.25],
      [name("mlp.down_proj"), [HIDDEN, INTERMEDIATE], 0.25],
    );
  }
  tensors.push(["model.norm.weight", [HIDDEN], 0]);
  const header: Record<string, object> = {};
  const data: Float32Array[] = [];
  let offset = 0;
  for (const [name, shape, deviation] of tensors) {
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    data.push(Float32Array.from({ length: size }, () => (deviation === 0 ? 1 : random() * deviation)));
    if (offset === 0) for (let i = vocabSize * HIDDEN; i < size; i++) data[0]![i] = 4 * data[0]![i]!;
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + size * 4] };
    offset += size * 4;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, " ")]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...data.map((values) => Buffer.from(values.buffer))]);
}

/** Normally distributed numbers, the same ones for the same seed (mulberry32 and Box-Muller). */
function gaussian(seed: number): () => number {
  let state = seed;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
