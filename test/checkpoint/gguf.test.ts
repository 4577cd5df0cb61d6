/** GGUF files that lie, are cut off, split, big-endian or of other families; and the real one where it is there. */
import { createHash } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { smolLM2 } from "../../scripts/real-data.mjs";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { GgufTokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";
import type { GgufContent, GgufTensor, Meta } from "./files.ts";
import { ggufBytes, ggufMetadata, ggufTensors, TINY, temporaryFolder, tinyTensors } from "./files.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

const tensors = ggufTensors(TINY, tinyTensors(TINY));
const metadata = ggufMetadata(TINY);
const sound: GgufContent = { metadata, tensors };

async function open(bytes: Uint8Array): Promise<Awaited<ReturnType<typeof openCheckpoint>>> {
  const path = join(folder.path, "model.gguf");
  writeFileSync(path, bytes);
  return openCheckpoint(path);
}

/** The sound file with some metadata replaced or, by null, removed. */
function withMeta(changes: Readonly<Record<string, Meta | null>>): Buffer {
  const kept = metadata.filter(([key]) => !(key in changes));
  const added = Object.entries(changes).filter((change): change is [string, Meta] => change[1] !== null);
  return ggufBytes({ ...sound, metadata: [...kept, ...added] });
}

/** The same tensors as a file of another family. */
function ofFamily(family: string, more: Readonly<Record<string, Meta>>): Buffer {
  return ggufBytes({ ...sound, metadata: [...ggufMetadata({ ...TINY, family }), ...Object.entries(more)] });
}

function withTensor(index: number, change: Partial<GgufTensor>): Buffer {
  return ggufBytes({
    ...sound,
    tensors: tensors.map((tensor, i) => (i === index ? { ...tensor, ...change } : tensor)),
  });
}

function patched(at: number, bytes: readonly number[]): Buffer {
  const file = ggufBytes(sound);
  file.set(bytes, at);
  return file;
}

const u32 = (value: number): Meta => ({ type: "u32", value });
const text = (value: string): Meta => ({ type: "string", value });
const strings = (...value: string[]): Meta => ({ type: "strings", value });
const ff = [255, 255, 255, 255, 255, 255, 255, 255];

const bad: Record<string, [bytes: Uint8Array, code: string, says: string]> = {
  "an empty file": [new Uint8Array(0), "bad-file", 'instead of "GGUF"'],
  "another magic": [Buffer.from("GGML and more"), "bad-file", '"GGML"'],
  "version 1": [patched(4, [1, 0, 0, 0]), "unsupported", "version 1"],
  "version 4": [patched(4, [4, 0, 0, 0]), "unsupported", "version 4"],
  "big-endian bytes": [patched(4, [0, 0, 0, 3]), "unsupported", "big-endian"],
  "2^64 tensors": [patched(8, ff), "bad-file", "number of tensors is 18446744073709551615"],
  "2^64 metadata entries": [patched(16, ff), "bad-file", "number of metadata entries"],
  "a key of 2^64 bytes": [patched(24, ff), "bad-file", "length of a metadata key"],
  "an unknown value type": [patched(24 + 8 + "general.architecture".length, [99]), "bad-file", "value type 99"],
  "the same key twice": [ggufBytes({ ...sound, metadata: [...metadata, metadata[0]!] }), "bad-file", "twice"],
  "an odd alignment": [withMeta({ "general.alignment": u32(33) }), "bad-file", "general.alignment is 33"],
  "an alignment of 0": [withMeta({ "general.alignment": u32(0) }), "bad-file", "general.alignment is 0"],
  "a name twice": [ggufBytes({ ...sound, tensors: [...tensors, tensors[0]!] }), "bad-file", "listed twice"],
  "too many dimensions": [withTensor(0, { shape: [1, 1, 1, 12, 32] }), "bad-file", "5 dimensions"],
  "no dimensions": [withTensor(0, { shape: [] }), "bad-file", "0 dimensions"],
  "a dimension of 0": [withTensor(0, { shape: [0, 32] }), "bad-file", "does not fit"],
  "a shape that overflows": [withTensor(0, { shape: [2 ** 40, 2 ** 40] }), "bad-file", "does not fit"],
  "an unknown element type": [withTensor(0, { type: 99 }), "bad-file", "element type 99"],
  "an element type that is not built": [withTensor(0, { type: 18 }), "unsupported", "IQ3_XXS"],
  "rows that are no whole blocks": [withTensor(1, { shape: [31], type: 8 }), "bad-file", "multiples of 32"],
  "an unaligned tensor": [withTensor(1, { offset: 4 }), "bad-file", "no multiple of 32"],
  "overlapping tensors": [withTensor(1, { offset: 0 }), "bad-file", "overlaps"],
  "an offset past the end": [withTensor(1, { offset: 1 << 30 }), "bad-file", "cut off"],
  "no architecture": [withMeta({ "general.architecture": null }), "bad-file", "general.architecture is missing"],
  "an architecture that is a number": [withMeta({ "general.architecture": u32(1) }), "bad-file", "not a string"],
  "another family": [withMeta({ "general.architecture": text("gemma4") }), "unsupported", "family gemma4"],
  "no layers": [withMeta({ "llama.block_count": u32(0) }), "bad-file", "block_count is 0"],
  "absurdly many layers": [withMeta({ "llama.block_count": u32(2 ** 31) }), "bad-file", "block_count is 2147483648"],
  "more layers than tensors": [withMeta({ "llama.block_count": u32(3) }), "bad-weights", "layers.2.input_layernorm"],
  "fewer layers than tensors": [withMeta({ "llama.block_count": u32(1) }), "unsupported", "layers.1"],
  "heads that keys do not divide": [
    withMeta({ "llama.attention.head_count_kv": u32(3) }),
    "bad-file",
    "3 key-value heads",
  ],
  "another width": [withMeta({ "llama.embedding_length": u32(64) }), "bad-weights", "[12,32]"],
  "an odd head size": [withMeta({ "llama.attention.key_length": u32(7) }), "bad-file", "key_length"],
  "values of another size": [withMeta({ "llama.attention.value_length": u32(4) }), "unsupported", "values of 4"],
  "partial rotation": [withMeta({ "llama.rope.dimension_count": u32(4) }), "unsupported", "4 rotated"],
  "an unknown rope scaling": [withMeta({ "llama.rope.scaling.type": text("spiral") }), "unsupported", "spiral"],
  "a key of another family": [
    withMeta({ "llama.residual_scale": { type: "f32", value: 0.5 } }),
    "unsupported",
    "llama.residual_scale is 0.5, a key of granite",
  ],
  "an architecture misspelt": [
    withMeta({ "general.architecture": text("qwen-3") }),
    "unsupported",
    "did you mean qwen3?",
  ],
  "a multiplier of zero": [
    ofFamily("granite", { "granite.residual_scale": { type: "f32", value: 0 } }),
    "bad-file",
    "granite.residual_scale is 0",
  ],
  "a multiplier that is no number": [
    ofFamily("granite", { "granite.logit_scale": { type: "f32", value: Number.NaN } }),
    "bad-file",
    "granite.logit_scale is not a single exact number",
  ],
  "a cap of zero": [
    ofFamily("gemma2", { "gemma2.attn_logit_softcapping": { type: "f32", value: 0 } }),
    "bad-file",
    "gemma2.attn_logit_softcapping is 0",
  ],
  "windows of no size": [ofFamily("gemma3", {}), "bad-file", "gemma3.attention.sliding_window is missing"],
  experts: [withMeta({ "llama.expert_count": u32(8) }), "unsupported", "8 experts"],
  "more tokens than rows": [
    withMeta({ "tokenizer.ggml.tokens": strings(..."abcdefghijklm") }),
    "bad-file",
    "13 tokens",
  ],
  "no tokens": [withMeta({ "tokenizer.ggml.tokens": null }), "bad-file", "no vocabulary"],
  "types for fewer tokens": [
    withMeta({ "tokenizer.ggml.token_type": { type: "i32s", value: [1] } }),
    "bad-file",
    "1 entries for 12 tokens",
  ],
  "scores that are no numbers": [withMeta({ "tokenizer.ggml.scores": text("high") }), "bad-file", "32-bit numbers"],
  "a first token in words": [withMeta({ "tokenizer.ggml.bos_token_id": text("b") }), "bad-file", "bos_token_id is not"],
  "layers with different heads": [
    withMeta({ "llama.attention.head_count_kv": { type: "i32s", value: [2, 4] } }),
    "unsupported",
    "2 for one layer and 4 for another",
  ],
  "a tensor that no Llama has": [
    ggufBytes({ ...sound, tensors: [...tensors, { ...tensors[1]!, name: "blk.0.attn_sinks.weight" }] }),
    "unsupported",
    "attn_sinks",
  ],
  "a tensor named like a method": [
    ggufBytes({ ...sound, tensors: [...tensors, { ...tensors[1]!, name: "constructor.weight" }] }),
    "unsupported",
    "constructor",
  ],
  "no embedding": [ggufBytes({ ...sound, tensors: tensors.slice(1) }), "bad-weights", "token_embd"],
};

describe("a file with", () => {
  test.each(Object.entries(bad))("%s is one clear error", async (_, [bytes, code, says]) => {
    await expect(open(bytes)).rejects.toMatchObject({ code, message: expect.stringContaining(says) });
  });
});

test("every truncation of a sound file is an error", async () => {
  const whole = ggufBytes(sound);
  const lastByte = whole.length - 1;
  for (let length = 0; length < whole.length; length += length < 2048 ? 7 : 997) {
    await expect(open(whole.subarray(0, length))).rejects.toMatchObject({ code: "bad-file" });
  }
  await expect(open(whole.subarray(0, lastByte))).rejects.toMatchObject({ code: "bad-file" });
});

test("version 2 and other alignments are read", async () => {
  for (const alignment of [8, 32, 4096]) {
    const extra: [string, Meta] = ["general.alignment", u32(alignment)];
    const { config, close } = await open(ggufBytes({ tensors, version: 2, alignment, metadata: [...metadata, extra] }));
    expect(config.layers).toBe(TINY.layers);
    await close();
  }
});

test("the tokenizer is handed on as it is stored", async () => {
  const tokens = ["<unk>", "<s>", "</s>", ..."abcdefgh", "<|eot_id|>"];
  const bytes = withMeta({
    "tokenizer.ggml.model": text("llama"),
    "tokenizer.ggml.pre": text("default"),
    "tokenizer.ggml.tokens": strings(...tokens),
    "tokenizer.ggml.scores": { type: "f32s", value: tokens.map((_, i) => -i) },
    "tokenizer.ggml.token_type": { type: "i32s", value: [2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3] },
    "tokenizer.ggml.merges": null,
    "tokenizer.ggml.unknown_token_id": u32(0),
    "tokenizer.ggml.add_bos_token": { type: "bool", value: true },
    "tokenizer.ggml.add_space_prefix": { type: "bool", value: false },
    "tokenizer.chat_template": text("{{ messages }} 文"),
  });
  const { tokenizer, config, close } = await open(bytes);
  expect(tokenizer).toEqual({
    kind: "gguf",
    model: "llama",
    pre: "default",
    tokens,
    scores: Float32Array.from(tokens, (_, i) => -i),
    tokenTypes: Int32Array.of(2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3),
    merges: null,
    bosTokenId: 1,
    eosTokenId: 2,
    unknownTokenId: 0,
    padTokenId: null,
    addBos: true,
    addEos: null,
    addSpacePrefix: false,
    chatTemplate: "{{ messages }} 文",
  } satisfies GgufTokenizerSource);
  expect(config.eosTokenIds).toEqual([2, 11]); // the end of a turn ends a completion too
  await close();
});

test("named templates are found beside the default one", async () => {
  const meta = { "tokenizer.chat_template": text("D"), "tokenizer.chat_template.tool_use": text("T") };
  const { tokenizer, close } = await open(withMeta(meta));
  expect(tokenizer).toMatchObject({ chatTemplate: "D", namedTemplates: { default: "D", tool_use: "T" } });
  await close();
});

test("rope scaling: none, linear, and Llama 3's divisors, which are no weights", async () => {
  const linear = await open(
    withMeta({ "llama.rope.scaling.type": text("linear"), "llama.rope.scaling.factor": { type: "f32", value: 4 } }),
  );
  expect(linear.config.ropeScaling).toEqual({ type: "linear", factor: 4 });
  await linear.close();
  const values = Float32Array.of(1, 1, 2, 8);
  const divisors = { name: "rope_freqs.weight", shape: [4], type: 0, bytes: new Uint8Array(values.buffer) };
  const llama3 = await open(ggufBytes({ ...sound, tensors: [...tensors, divisors] }));
  expect(llama3.config.ropeScaling).toEqual({ type: "divisors", divisors: [1, 1, 2, 8] });
  expect(llama3.weights.names().some((name) => name.includes("rope"))).toBe(false);
  await llama3.close();
  const few = { ...divisors, shape: [2], bytes: divisors.bytes.subarray(0, 8) };
  const broken = open(ggufBytes({ ...sound, tensors: [...tensors, few] }));
  await expect(broken).rejects.toMatchObject({
    code: "bad-file",
    message: expect.stringContaining("2 rotary divisors"),
  });
});

test("a sliding window counts where it is shorter than the context", async () => {
  for (const [window, expected] of [
    [0, null],
    [16, 16],
    [128, null],
  ] as const) {
    const { config, close } = await open(withMeta({ "llama.attention.sliding_window": u32(window) }));
    expect(config.slidingWindow).toBe(expected);
    await close();
  }
});

test("a split set opens from any part, and only whole", async () => {
  const halves = [tensors.slice(0, 7), tensors.slice(7)];
  const write = (i: number, changes: Readonly<Record<string, Meta>> = {}): void => {
    const split: Record<string, Meta> = {
      "split.no": { type: "u16", value: i },
      "split.count": { type: "u16", value: 2 },
      "split.tensors.count": { type: "i32", value: tensors.length },
      ...changes,
    };
    const content = { metadata: [...(i === 0 ? metadata : []), ...Object.entries(split)], tensors: halves[i]! };
    writeFileSync(join(folder.path, `set-0000${i + 1}-of-00002.gguf`), ggufBytes(content));
  };
  write(0);
  const second = join(folder.path, "set-00002-of-00002.gguf");
  const first = join(folder.path, "set-00001-of-00002.gguf");
  await expect(openCheckpoint(first)).rejects.toMatchObject({ code: "not-found" });
  write(1);
  for (const path of [first, second]) {
    const { name, weights, close } = await openCheckpoint(path);
    expect(name).toBe("set");
    for (const [tensor, { values }] of tinyTensors(TINY)) expect(await weights.read(tensor)).toEqual(values);
    await close();
  }
  write(1, { "split.no": { type: "u16", value: 0 } });
  await expect(openCheckpoint(first)).rejects.toMatchObject({ code: "bad-file" });
  write(1, { "split.count": { type: "u16", value: 3 } });
  await expect(openCheckpoint(first)).rejects.toMatchObject({ code: "bad-file" });
});

const real = smolLM2();

test.skipIf(!existsSync(real))(
  `SmolLM2 has the values of the gguf package (skipped where ${real} is not)`,
  async () => {
    const { config, weights, tokenizer, close } = await openCheckpoint(real);
    expect(config).toMatchObject({
      family: "llama",
      vocabSize: 49152,
      layers: 30,
      heads: 9,
      kvHeads: 3,
      tiedHead: true,
    });
    expect(config).toMatchObject({ bosTokenId: 1, ropeTheta: 100_000, contextLength: 8192, headSize: 64 });
    expect(tokenizer).toMatchObject({ kind: "gguf", model: "gpt2", pre: "smollm", addBos: false });
    // SHA-256 of gguf.quants.dequantize of version 0.19.0, query and key rows put in Hugging Face's order by numpy
    const hashes: Record<string, string> = {
      "model.embed_tokens.weight": "3fd491c8066dd9dc1a2bf6796701526c82817d95c0ecabacdef3013c2b8bbbaa",
      "model.layers.0.self_attn.q_proj.weight": "54b377bbfa2deab945dfdba7fb59e0ca3eb74329358bd1b53b635b3ff37c1a56",
      "model.layers.29.self_attn.k_proj.weight": "8e99b2450d5f3d53731f52790cc82f80b04341e533306bcfee6669ffa3c79921",
      "model.layers.7.mlp.down_proj.weight": "9d3af8b67d13c727ae5ffe470464163b9cac42eb494525392bd3e79c8db73880",
    };
    for (const [name, hash] of Object.entries(hashes)) {
      const values = await weights.read(name);
      expect(createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex")).toBe(hash);
    }
    await close();
  },
);
