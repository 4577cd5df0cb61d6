/**
 * Writing a GGUF file, the inverse of `open.ts`: metadata, tokenizer and tensors as llama.cpp reads them, matrices in F32,
 * F16, BF16 or Q8_0. Vectors stay F32, and query and key rows of the Llama family are interleaved as its rotation wants
 * them. The file appears whole or not at all. Builds no tokenizer.
 */
import { existsSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { CllmError } from "../../error.ts";
import { checkAborted, writeWhole } from "../../files/write-whole.ts";
import type { ModelConfig } from "../../model/config.ts";
import { longestContext } from "../../model/context.ts";
import type { Family } from "../../model/families/family.ts";
import { familyOf } from "../../model/families/index.ts";
import { ENCODERS, type Encoder, type FloatType } from "../encoders.ts";
import { modelTensors } from "../huggingface/write.ts";
import { ropeDivisors } from "../rope-divisors.ts";
import { chunksOf, elementsOf, type OnWrite, type TensorSource } from "../tensor-source.ts";
import type { GgufTokenizerSource } from "../tokenizer-source.ts";
import { ALIGNMENT, ggufHeader, type MetadataValue, paddingAfter, type TensorEntry } from "./bytes.ts";
import { writeScaling } from "./config.ts";

export type GgufType = FloatType | "Q8_0";

export interface GgufContent {
  /** For people, in the file's metadata. */
  readonly name: string;
  readonly config: ModelConfig;
  readonly weights: TensorSource;
  /** One token per row of the embedding: `toGgufTokenizer` of the text room makes it from any other source. */
  readonly tokenizer: GgufTokenizerSource;
}

export interface WriteGgufOptions {
  /** The element type of matrices. Default: F32, which loses nothing. */
  readonly dtype?: GgufType | undefined;
  /** Take the place of a file that is there. Default: false. */
  readonly overwrite?: boolean | undefined;
  readonly onWrite?: OnWrite | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** ggml's numbers of element types, and llama.cpp's of files that are mostly of them. */
const TYPES: Readonly<Record<GgufType, { readonly tensor: number; readonly file: number }>> = {
  F32: { tensor: 0, file: 0 },
  F16: { tensor: 1, file: 1 },
  BF16: { tensor: 30, file: 32 },
  Q8_0: { tensor: 8, file: 7 },
};

/** Throws `usage` where a file is in the way: for a check before long work. */
export function checkGgufTarget(path: string, { overwrite = false }: Pick<WriteGgufOptions, "overwrite"> = {}): void {
  if (overwrite || !existsSync(path)) return;
  throw new CllmError("usage", `${path} exists; choose another name, or ask for it to be overwritten`);
}

/**
 * Write a file. Throws `usage` where it exists, `unsupported` for what GGUF or llama.cpp has no words for, `bad-weights`
 * for tensors that are missing, of another shape or do not fit the type, `disk`, `aborted`.
 *
 * @example
 * const { name, config, weights, tokenizer } = await openCheckpoint("./model");
 * const content = { name, config, weights, tokenizer: toGgufTokenizer(tokenizer, config.vocabSize) };
 * await writeGguf("model.gguf", content, { dtype: "Q8_0" });
 */
export async function writeGguf(
  path: string,
  content: GgufContent,
  { dtype = "F32", overwrite, onWrite, signal }: WriteGgufOptions = {},
): Promise<void> {
  checkGgufTarget(path, { overwrite });
  const { config, tokenizer } = content;
  if (tokenizer.tokens.length !== config.vocabSize) {
    const message = `the tokenizer has ${tokenizer.tokens.length} tokens for ${config.vocabSize} rows of the embedding`;
    throw new CllmError("bad-input", `${message}; GGUF wants one for each: pass it through toGgufTokenizer`);
  }
  const tensors = [...plannedTensors(config, modelTensors(config, content.weights), dtype)];
  const entries: TensorEntry[] = [];
  let offset = 0;
  for (const { name, shape, encoder } of tensors) {
    entries.push({ name, shape, type: TYPES[encoder.name as GgufType].tensor, offset });
    const length = (elementsOf(shape) / encoder.blockSize) * encoder.blockBytes;
    offset += length + paddingAfter(length);
  }
  const metadata = new Map([...modelMetadata(content, dtype), ...tokenizerMetadata(content)]);
  const header = ggufHeader(metadata, entries);
  const write = async (handle: FileHandle): Promise<void> => {
    await handle.appendFile(header);
    for (const [done, { name, encoder, read }] of tensors.entries()) {
      onWrite?.(name, done, tensors.length);
      let length = 0;
      for await (const values of read()) {
        checkAborted(signal, path);
        const bytes = encoder.encode(values, name);
        await handle.appendFile(bytes);
        length += bytes.length;
      }
      await handle.appendFile(new Uint8Array(paddingAfter(length)));
    }
  };
  await writeWhole(path, write, { bytes: header.length + offset });
  onWrite?.("", tensors.length, tensors.length);
}

interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly encoder: Encoder;
  read(): AsyncIterable<Float32Array>;
}

function* plannedTensors(config: ModelConfig, source: TensorSource, dtype: GgufType): Generator<PlannedTensor> {
  const { gguf } = familyOf(config);
  for (const [name, divisors] of rotaryTensors(config)) {
    const read = async function* () {
      yield divisors;
    };
    yield { name, shape: [divisors.length], encoder: ENCODERS.F32, read };
  }
  for (const name of source.names()) {
    const shape = source.shape(name);
    const interleaved = gguf.interleaved && /\.[qk]_proj\./.test(name);
    const read = interleaved
      ? async function* () {
          yield interleave(await source.read(name), config.headSize, elementsOf(shape.slice(1)));
        }
      : gguf.normsWithOne && name.endsWith("norm.weight")
        ? async function* () {
            yield (await source.read(name)).map((value) => 1 + value);
          }
        : () => chunksOf(source, name);
    yield { name: ggufName(name, gguf.tensors), shape, encoder: encoderFor(shape, dtype), read };
  }
}

/** What rotary frequencies are divided by, in the tensors that llama.cpp reads. */
function rotaryTensors(config: ModelConfig): [name: string, divisors: Float32Array][] {
  const { ropeScaling } = config;
  if (ropeScaling?.type === "longrope") {
    return [
      ["rope_factors_long.weight", Float32Array.from(ropeScaling.long)],
      ["rope_factors_short.weight", Float32Array.from(ropeScaling.short)],
    ];
  }
  const divided = ropeScaling?.type === "llama3" || ropeScaling?.type === "divisors";
  return divided ? [["rope_freqs.weight", Float32Array.from(ropeDivisors(config))]] : [];
}

/** Matrices get the type that was asked for, or F16 where its blocks do not fit their rows; vectors F32. */
function encoderFor(shape: readonly number[], dtype: GgufType): Encoder {
  if (shape.length < 2) return ENCODERS.F32;
  const encoder = ENCODERS[dtype];
  return shape.at(-1)! % encoder.blockSize === 0 ? encoder : ENCODERS.F16;
}

/** Rows in the order of rotary embeddings that pair neighbours: row b + a * half of a head, a in {0, 1}, goes to 2 b + a. */
function interleave(values: Float32Array, headSize: number, columns: number): Float32Array {
  const half = headSize / 2;
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length / columns; start += headSize) {
    for (let i = 0; i < headSize; i++) {
      const to = start + (i < half ? 2 * i : 2 * (i - half) + 1);
      out.set(values.subarray((start + i) * columns, (start + i + 1) * columns), to * columns);
    }
  }
  return out;
}

const OUTER: Readonly<Record<string, string>> = {
  "model.embed_tokens": "token_embd",
  "model.norm": "output_norm",
  lm_head: "output",
};
function ggufName(name: string, inner: Readonly<Record<string, string>>): string {
  const [, layer, part = "", kind] = /^(?:model\.layers\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name)!;
  return layer === undefined ? `${OUTER[part]}.${kind}` : `blk.${layer}.${inner[part]}.${kind}`;
}

type Metadata = (readonly [key: string, value: MetadataValue])[];

function modelMetadata({ name, config }: GgufContent, dtype: GgufType): Metadata {
  const { gguf } = familyOf(config);
  const { architecture } = gguf;
  checkSayable(config, gguf);
  const at = (key: string): string => `${architecture}.${key}`;
  return [
    ["general.architecture", { string: architecture }],
    ["general.type", { string: "model" }],
    ["general.name", { string: name }],
    ["general.alignment", { u32: ALIGNMENT }],
    ["general.file_type", { u32: TYPES[dtype].file }],
    ["general.quantization_version", { u32: 2 }],
    [at("vocab_size"), { u32: config.vocabSize }],
    [at("context_length"), { u32: longestContext(config) }],
    [at("embedding_length"), { u32: config.hiddenSize }],
    [at("block_count"), { u32: config.layers }],
    [at("feed_forward_length"), { u32: config.intermediateSize }],
    [at("attention.head_count"), { u32: config.heads }],
    [at("attention.head_count_kv"), { u32: config.kvHeads }],
    [at("attention.key_length"), { u32: config.headSize }],
    [at("attention.value_length"), { u32: config.headSize }],
    [at("attention.layer_norm_rms_epsilon"), { f32: config.normEpsilon }],
    [at("rope.dimension_count"), { u32: config.rotarySize ?? config.headSize }],
    [at("rope.freq_base"), { f32: config.ropeTheta }],
    ...writeScaling(config).map(([key, value]) => [at(key), value] as const),
    ...gguf.write(config).map(([key, value]) => [at(key), value] as const),
    ...(config.draftTokenId === undefined
      ? []
      : ([["cllm.draft_token_id", { u32: config.draftTokenId }]] satisfies Metadata)),
    ...(config.leadingDraft ? ([["cllm.leading_draft", { bool: true }]] satisfies Metadata) : []),
  ];
}

/** Throws `unsupported` for what llama.cpp's graph of the architecture does not have, and would leave out or refuse. */
function checkSayable(config: ModelConfig, { architecture, missing }: Family["gguf"]): void {
  const what = missing(config);
  if (what === null) return;
  const message = `llama.cpp's ${architecture} has no ${what}, so a GGUF file would be another model`;
  throw new CllmError("unsupported", `${message}; write a Hugging Face directory instead`);
}

function tokenizerMetadata({ config, tokenizer }: GgufContent): Metadata {
  const { model, pre, tokens, scores, tokenTypes, merges, bosTokenId, eosTokenId, chatTemplate } = tokenizer;
  const entries: Metadata = [];
  const add = <T>(key: string, value: T | null, typed: (value: T) => MetadataValue): void => {
    if (value !== null) entries.push([`tokenizer.${key}`, typed(value)]);
  };
  const id = (value: number): MetadataValue => ({ u32: value });
  const flag = (value: boolean): MetadataValue => ({ bool: value });
  const ends = config.eosTokenIds;
  const end = eosTokenId !== null && (ends.length === 0 || ends.includes(eosTokenId)) ? eosTokenId : (ends[0] ?? null);
  const [turnEnd = null, messageEnd = null] = ends.filter((other) => other !== end);
  add("ggml.model", model, (string) => ({ string }));
  add("ggml.pre", pre, (string) => ({ string }));
  add("ggml.tokens", tokens, (strings) => ({ strings }));
  add("ggml.scores", scores, (f32s) => ({ f32s }));
  add("ggml.token_type", tokenTypes, (i32s) => ({ i32s }));
  add("ggml.merges", merges, (strings) => ({ strings }));
  add("ggml.bos_token_id", bosTokenId ?? config.bosTokenId, id);
  add("ggml.eos_token_id", end, id);
  add("ggml.eot_token_id", turnEnd, id);
  add("ggml.eom_token_id", messageEnd, id);
  add("ggml.unknown_token_id", tokenizer.unknownTokenId, id);
  add("ggml.padding_token_id", tokenizer.padTokenId, id);
  add("ggml.add_bos_token", tokenizer.addBos, flag);
  add("ggml.add_eos_token", tokenizer.addEos, flag);
  add("ggml.add_space_prefix", tokenizer.addSpacePrefix, flag);
  add("chat_template", chatTemplate, (string) => ({ string }));
  for (const [name, template] of Object.entries(tokenizer.namedTemplates ?? {})) {
    if (name !== "default") add(`chat_template.${name}`, template, (string) => ({ string }));
  }
  return entries;
}
