/**
 * Odd values that sound checkpoints carry: what transformers, safetensors and llama.cpp load loads here too, what nothing
 * depends on is passed over with a warning, and a text finds its end wherever the files name it.
 */
import { copyFileSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/open.ts";
import type { GgufTokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import {
  encodeSafetensors,
  ggufBytes,
  ggufMetadata,
  ggufTensors,
  type Meta,
  safetensorsBytes,
  TINY,
  temporaryFolder,
  tinyConfigJson,
  tinyTensors,
  writeHuggingFace,
} from "./files.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

type Files = Readonly<Record<string, object | string | Buffer>>;
type Json = Readonly<Record<string, unknown>>;

const tensors = tinyTensors(TINY);
const config: Json = { ...tinyConfigJson(TINY), bos_token_id: 1, eos_token_id: 2 };

/** Opens the tiny directory with some files replaced. */
async function openDirectory(files: Files): Promise<Checkpoint> {
  const path = mkdtempSync(join(folder.path, "directory-"));
  writeHuggingFace(path, TINY, tensors);
  for (const [name, content] of Object.entries({ "config.json": config, ...files })) {
    const raw = typeof content === "string" || Buffer.isBuffer(content);
    writeFileSync(join(path, name), raw ? content : JSON.stringify(content));
  }
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  return checkpoint;
}

/** A file's text as Python's `json.dump` writes an object with numbers that JSON lacks, here given in capitals. */
function inPython(values: Json): string {
  return JSON.stringify(values).replaceAll(/"(NAN|-?INFINITY)"/g, (_, word: string) =>
    word === "NAN" ? "NaN" : word.replace("INFINITY", "Infinity"),
  );
}

describe("a text's end in a Hugging Face directory", () => {
  const vocab = Object.fromEntries([..."abcdefghij"].map((letter, id) => [letter, id]));
  const tokenizer = {
    model: { type: "BPE", vocab, merges: [] },
    added_tokens: [
      { id: 10, content: "<|im_start|>", special: true },
      { id: 11, content: "<|im_end|>", special: true },
    ],
  };
  const endIn = (files: Files): Promise<Checkpoint> => openDirectory({ "tokenizer.json": tokenizer, ...files });

  test.each<[string, Files, number[]]>([
    ["only in tokenizer_config.json", { "tokenizer_config.json": { eos_token: "<|im_end|>" } }, [2, 11]],
    ["there as an object", { "tokenizer_config.json": { eos_token: { content: "<|im_end|>" } } }, [2, 11]],
    ["only in special_tokens_map.json", { "special_tokens_map.json": { eos_token: "<|im_end|>" } }, [2, 11]],
    ["there as an object", { "special_tokens_map.json": { eos_token: { content: "<|im_end|>" } } }, [2, 11]],
    ["a token of the model's own vocabulary", { "tokenizer_config.json": { eos_token: "c" } }, [2]],
    ["another of these", { "tokenizer_config.json": { eos_token: "d" } }, [2, 3]],
    ["a text that is no token", { "tokenizer_config.json": { eos_token: "<|nothing|>" } }, [2]],
    ["null", { "tokenizer_config.json": { eos_token: null } }, [2]],
    [
      "different in all files",
      {
        "generation_config.json": { eos_token_id: [3, 4] },
        "tokenizer_config.json": { eos_token: "<|im_end|>" },
        "special_tokens_map.json": { eos_token: "f" },
      },
      [3, 4, 2, 11, 5],
    ],
    [
      "an empty list in one file",
      { "generation_config.json": { eos_token_id: [] }, "tokenizer_config.json": { eos_token: "<|im_end|>" } },
      [2, 11],
    ],
  ])("%s", async (_, files, ends) => {
    const { config, warnings } = await endIn(files);
    expect(config.eosTokenIds).toEqual(ends);
    expect(warnings).toEqual([]);
  });

  test("special_tokens_map.json says what tokenizer_config.json does not", async () => {
    const { tokenizer } = await endIn({
      "tokenizer_config.json": { bos_token: "a", eos_token: null },
      "special_tokens_map.json": { bos_token: "b", eos_token: "<|im_end|>" },
    });
    expect(tokenizer).toMatchObject({ tokenizerConfig: { bos_token: "a", eos_token: "<|im_end|>" } });
  });
});

describe("a Hugging Face directory as Python writes it", () => {
  const plain = openDirectory({});

  test.each<[string, Files]>([
    [
      "NaN and infinities where nothing is read",
      { "config.json": inPython({ ...config, a: "NAN", b: "INFINITY", c: ["-INFINITY"] }) },
    ],
    ["such words in texts", { "config.json": inPython({ ...config, note: 'NaN, "Infinity" \\', z: "NAN" }) }],
    [
      "a NaN in the settings of a decoder",
      { "generation_config.json": inPython({ temperature: "NAN", eos_token_id: 2 }) },
    ],
    ["a NaN in the tokenizer's settings", { "tokenizer_config.json": inPython({ model_max_length: "INFINITY" }) }],
    ["rope_scaling with a type of null", { "config.json": { ...config, rope_scaling: { type: null } } }],
    ["rope_scaling without a type", { "config.json": { ...config, rope_scaling: {} } }],
    [
      "rope_scaling whose unused factor is NaN",
      { "config.json": inPython({ ...config, rope_scaling: { rope_type: "default", factor: "NAN" } }) },
    ],
    [
      "rope_parameters with nulls",
      { "config.json": { ...config, rope_parameters: { rope_type: null, rope_theta: null } } },
    ],
    [
      "a window that a Llama does not have",
      { "config.json": inPython({ ...config, sliding_window: "NAN", max_window_layers: -1 }) },
    ],
    ["no architectures", { "config.json": { ...config, architectures: null } }],
    ["no family, but an architecture", { "config.json": { ...config, model_type: undefined } }],
    ["dtype instead of torch_dtype", { "config.json": { ...config, torch_dtype: undefined, dtype: "bfloat16" } }],
    ["no word about tied embeddings", { "config.json": { ...config, tie_word_embeddings: undefined } }],
    ["a null for it", { "config.json": { ...config, tie_word_embeddings: null } }],
    [
      "floats that are whole",
      { "config.json": JSON.stringify(config).replace('"hidden_size":32', '"hidden_size":32.0') },
    ],
    ["a number for padding that is none", { "config.json": { ...config, pad_token_id: -1 } }],
    [
      "settings of a quantization that is off",
      {
        "config.json": {
          ...config,
          quantization_config: { quant_method: "bitsandbytes", load_in_4bit: false, load_in_8bit: false },
        },
      },
    ],
    ["added_tokens.json", { "added_tokens.json": { "<pad>": 12 } }],
  ])("%s", async (_, files) => {
    const { config, warnings } = await openDirectory(files);
    expect(config).toEqual((await plain).config);
    expect(warnings).toEqual([]);
  });

  test.each<[string, Json, Json, RegExp]>([
    [
      "a first token of -1",
      { bos_token_id: -1 },
      { bosTokenId: null, eosTokenIds: [2] },
      /config\.json: bos_token_id is -1/,
    ],
    ["an end of -1", { eos_token_id: -1 }, { bosTokenId: 1, eosTokenIds: [] }, /config\.json: eos_token_id is -1/],
    [
      "an end beyond the vocabulary",
      { eos_token_id: [2, 12] },
      { eosTokenIds: [2] },
      /eos_token_id is 12, .* 12 tokens/,
    ],
  ])("%s is passed over with a warning", async (_, changes, expected, warning) => {
    const { config: read, warnings } = await openDirectory({ "config.json": { ...config, ...changes } });
    expect(read).toMatchObject(expected);
    expect(warnings).toEqual([expect.stringMatching(warning)]);
  });

  test("what a family's class has where config.json is silent", async () => {
    const silent = { ...config, max_position_embeddings: undefined, num_key_value_heads: undefined };
    const few = tinyTensors({ ...TINY, kvHeads: TINY.heads });
    const { config: read } = await openDirectory({
      "config.json": silent,
      "model.safetensors": encodeSafetensors(few),
    });
    expect(read).toMatchObject({ contextLength: 2048, kvHeads: TINY.heads });
  });

  test("safetensors with a null for metadata and more about a tensor than its place", async () => {
    const whole = encodeSafetensors(tensors);
    const length = Number(whole.readBigUInt64LE(0));
    const header = JSON.parse(whole.subarray(8, 8 + length).toString()) as Record<string, object>;
    header["lm_head.weight"] = { ...header["lm_head.weight"], note: 1 };
    const odd = safetensorsBytes({ __metadata__: null, ...header }, whole.subarray(8 + length));
    const { weights } = await openDirectory({ "model.safetensors": odd });
    expect(weights.names()).toHaveLength(tensors.size);
  });

  test("buffers, caches and scales beside the weights", async () => {
    const more = new Map(tensors);
    const odd = [
      ...[
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.rotary_emb.inv_freq",
        "model.layers.1.attn.masked_bias",
      ],
      ...["model.layers.0.self_attn.rotary_emb.cos_cached", "model.layers.0.self_attn.rotary_emb.sin_cached"],
      ...["model.layers.0.self_attn.k_scale", "model.layers.0.self_attn.v_scale", "v_head.summary.weight"],
      ...["mtp.layers.0.input_proj.weight", "model.mtp.norm.weight"],
    ];
    for (const name of odd) more.set(name, { shape: [4], values: new Float32Array(4) });
    const { weights } = await openDirectory({ "model.safetensors": encodeSafetensors(more) });
    expect(weights.names()).toHaveLength(tensors.size);
  });

  test("tensors that were saved from the model below the head", async () => {
    const bare = new Map([...tensors].map(([name, tensor]) => [name.replace(/^model\./, ""), tensor]));
    const { weights } = await openDirectory({ "model.safetensors": encodeSafetensors(bare) });
    expect([...weights.names()].sort()).toEqual([...tensors.keys()].sort());
  });

  test("a tied matrix under the head's name alone", async () => {
    const tied = { ...config, tie_word_embeddings: true };
    const headAlone = new Map([...tensors].filter(([name]) => name !== "model.embed_tokens.weight"));
    const files = { "config.json": tied, "model.safetensors": encodeSafetensors(headAlone) };
    expect((await openDirectory(files)).weights.has("model.embed_tokens.weight")).toBe(true);
    const untied = { ...files, "config.json": config };
    const failure = { code: "bad-weights", message: expect.stringContaining("lacks the tensor model.embed_tokens") };
    await expect(openDirectory(untied)).rejects.toMatchObject(failure);
  });

  test("64-bit floats, rounded", async () => {
    const double = (values: Float32Array): [string, Uint8Array] => {
      return ["F64", new Uint8Array(Float64Array.from(values, (value) => value + 1e-12).buffer)];
    };
    const path = mkdtempSync(join(folder.path, "double-"));
    writeHuggingFace(path, TINY, tensors);
    writeFileSync(join(path, "model.safetensors"), encodeSafetensors(tensors, double));
    const { weights, close } = await openCheckpoint(path);
    const wanted = tensors.get("lm_head.weight")!.values;
    expect(await weights.read("lm_head.weight", 3, 5)).toEqual(
      wanted.slice(3 * TINY.hiddenSize, 5 * TINY.hiddenSize).map((value) => Math.fround(value + 1e-12)),
    );
    await close();
  });

  test("an index that places a tied head which no shard has", async () => {
    const tied = { ...config, tie_word_embeddings: true };
    const headless = new Map([...tensors].filter(([name]) => name !== "lm_head.weight"));
    const shard = "model-00001-of-00001.safetensors";
    const weight_map = Object.fromEntries([...tensors.keys()].map((name) => [name, shard]));
    const path = mkdtempSync(join(folder.path, "index-"));
    writeFileSync(join(path, "config.json"), JSON.stringify(tied));
    writeFileSync(join(path, "tokenizer.json"), "{}");
    writeFileSync(join(path, shard), encodeSafetensors(headless));
    writeFileSync(join(path, "model.safetensors.index.json"), inPython({ metadata: { total_size: 1.5 }, weight_map }));
    const { config: read, close } = await openCheckpoint(path);
    await close();
    expect(read.tiedHead).toBe(true);
  });
});

const metadata = ggufMetadata(TINY);
const u32 = (value: number): Meta => ({ type: "u32", value });
const text = (value: string): Meta => ({ type: "string", value });

async function openGguf(changes: Readonly<Record<string, Meta | null>>): Promise<Checkpoint> {
  const kept = metadata.filter(([key]) => !(key in changes));
  const added = Object.entries(changes).filter((change): change is [string, Meta] => change[1] !== null);
  const path = join(folder.path, "model.gguf");
  writeFileSync(path, ggufBytes({ metadata: [...kept, ...added], tensors: ggufTensors(TINY, tensors) }));
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  return checkpoint;
}

describe("a text's end in a GGUF file", () => {
  const NORMAL = 1;
  const CONTROL = 3;
  const USER_DEFINED = 4;
  const withTokens = (names: readonly string[], type: number): Promise<Checkpoint> => {
    const tokens = [..."abcdefghij".slice(names.length), ...names, "ab", "abc"];
    const types = tokens.map((token) => (names.includes(token) ? type : NORMAL));
    return openGguf({
      "tokenizer.ggml.tokens": { type: "strings", value: tokens },
      "tokenizer.ggml.token_type": { type: "i32s", value: types },
      "tokenizer.ggml.merges": { type: "strings", value: [] },
      "tokenizer.ggml.eos_token_id": null,
    });
  };

  // llama.cpp's list, with those that end a fill in the middle
  const ends = [
    ...["<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>"],
    ...["<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>"],
    ...["<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "<｜end▁of▁sentence｜>", "[e~["],
    ...["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>"],
    ...["<REPO>", "<reponame>", "<|file_sep|>"],
  ];
  test.each(ends)("%s, whatever type the file gives it", async (name) => {
    for (const type of [CONTROL, USER_DEFINED, NORMAL]) {
      const { config, tokenizer } = await withTokens([name], type);
      expect(config.eosTokenIds).toEqual([9]);
      expect((tokenizer as GgufTokenizerSource).tokenTypes?.[9]).toBe(CONTROL);
    }
  });

  test.each<[string[], string]>([
    [["<|return|>", "<|call|>", "<|end|>"], "<|end|>"],
    [["<|calls|>", "<|flush|>", "<|end|>"], "<|end|>"],
    [["<|tool_response>", "</s>"], "</s>"],
  ])("among %j is not %s", async (names, none) => {
    const { config, tokenizer } = await withTokens(names, CONTROL);
    const { tokens } = tokenizer as GgufTokenizerSource;
    expect(config.eosTokenIds.map((id) => tokens[id])).toEqual(names.filter((name) => name !== none));
  });

  test("is the id of each key, and what is written like a token is no end of itself", async () => {
    const keys = ["eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"];
    const { config } = await openGguf(
      Object.fromEntries(keys.map((key, i) => [`tokenizer.ggml.${key}_token_id`, u32(i + 3)])),
    );
    expect(config.eosTokenIds).toEqual([3, 4, 5, 6, 7, 8]);
    expect((await withTokens(["<|im_start|>", "<think>"], CONTROL)).config.eosTokenIds).toEqual([]);
  });

  test("a user-defined end is written to nobody and read from prompts", async () => {
    const { tokenizer: source } = await withTokens(["<|im_end|>"], USER_DEFINED);
    const tokenizer = createTokenizer({ ...source, pre: "gpt-2" } as GgufTokenizerSource, TINY.vocabSize);
    expect([...tokenizer.encode("d<|im_end|>", { addSpecialTokens: false })].at(-1)).toBe(9);
    expect(tokenizer.decode([9], { skipSpecialTokens: true })).toBe("");
  });
});

describe("a sound GGUF file with", () => {
  const id = (key: string): string => `tokenizer.ggml.${key}_token_id`;
  const none: [string, Meta][] = [
    ["4294967295", u32(2 ** 32 - 1)],
    ["-1", { type: "i32", value: -1 }],
    ["12", u32(12)],
    ["-0.5", { type: "f32", value: -0.5 }],
  ];
  test.each(none)("%s for its ids passes over them, says so once each, and goes on", async (shown, value) => {
    const { config, tokenizer, warnings } = await openGguf(
      Object.fromEntries(["bos", "eos", "padding", "unknown", "eot"].map((key) => [id(key), value])),
    );
    expect(config).toMatchObject({ bosTokenId: null, eosTokenIds: [] });
    expect(tokenizer).toMatchObject({ bosTokenId: null, eosTokenId: null, padTokenId: null, unknownTokenId: null });
    expect(warnings).toHaveLength(5);
    for (const warning of warnings) expect(warning).toContain(`is ${shown}, which is none of its 12 tokens`);
  });

  test("a warning is told once in a process, to whoever asks", async () => {
    const told: string[] = [];
    const onWarning = (message: string): void => void told.push(message);
    const { path } = await openGguf({ [id("bos")]: u32(77), [id("eos")]: u32(78) });
    const renamed = join(folder.path, "renamed.gguf");
    copyFileSync(path, renamed);
    for (let i = 0; i < 2; i++) await (await openCheckpoint(renamed, { onWarning })).close();
    expect(told).toEqual([expect.stringContaining("is 77"), expect.stringContaining("is 78")]);
  });

  test("64-bit ids", async () => {
    const huge: Meta = { type: "u64", value: Number.MAX_SAFE_INTEGER };
    expect((await openGguf({ [id("bos")]: huge })).warnings).toHaveLength(1);
  });

  test("a wish for a first token that it does not name adds none", async () => {
    const yes: Meta = { type: "bool", value: true };
    const { tokenizer, warnings } = await openGguf({
      "tokenizer.ggml.add_bos_token": yes,
      "tokenizer.ggml.add_eos_token": yes,
      [id("bos")]: null,
      [id("eos")]: u32(99),
    });
    expect(tokenizer).toMatchObject({ addBos: false, addEos: false });
    expect(warnings.filter((warning) => warning.includes("no such token is named"))).toHaveLength(2);
  });

  test("empty token texts keeps the ids of the others", async () => {
    const tokens = ["", "a", "b", "", "c", "d", "e", "f", "g", "h", "ab", ""];
    const { tokenizer: source, warnings } = await openGguf({
      "tokenizer.ggml.tokens": { type: "strings", value: tokens },
      "tokenizer.ggml.merges": { type: "strings", value: ["a b"] },
      [id("bos")]: null,
      [id("eos")]: null,
    });
    expect(warnings).toEqual([expect.stringContaining("has 3 empty tokens")]);
    const tokenizer = createTokenizer({ ...source, pre: "gpt-2" } as GgufTokenizerSource, TINY.vocabSize);
    expect([...tokenizer.encode("abcd", { addSpecialTokens: false })]).toEqual([10, 4, 5]);
  });

  test.each(["attention.head_count", "attention.head_count_kv", "feed_forward_length"])(
    "the same %s for every layer in an array",
    async (key) => {
      const plain = (await openGguf({})).config;
      const value = { "attention.head_count": 4, "attention.head_count_kv": 2, feed_forward_length: 64 }[key]!;
      const { config } = await openGguf({ [`llama.${key}`]: { type: "i32s", value: [value, value] } });
      expect(config).toEqual(plain);
    },
  );

  test("another size of the vocabulary than its embedding's", async () => {
    const { config, warnings } = await openGguf({ "llama.vocab_size": u32(13) });
    expect(config.vocabSize).toBe(12);
    expect(warnings).toEqual([expect.stringContaining("12 rows")]);
  });

  test("lists with entries behind the last token, whole scores, no pre-tokenizer, a factor of 0", async () => {
    const { tokenizer, config, warnings } = await openGguf({
      "tokenizer.ggml.token_type": { type: "i32s", value: Array.from({ length: 14 }, () => 1) },
      "tokenizer.ggml.scores": { type: "i32s", value: Array.from({ length: 13 }, (_, i) => -i) },
      "tokenizer.ggml.pre": text(""),
      "llama.rope.scaling.type": text("linear"),
      "llama.rope.scaling.factor": { type: "f32", value: 0 },
    });
    const { tokenTypes, scores, pre } = tokenizer as GgufTokenizerSource;
    expect([tokenTypes?.length, scores?.length, scores?.[3], pre]).toEqual([12, 12, -3, null]);
    expect(config.ropeScaling).toBe(null);
    expect(warnings).toEqual([]);
  });

  test("SentencePiece's usual ids where it names none", async () => {
    const { tokenizer, config } = await openGguf({
      "tokenizer.ggml.model": text("llama"),
      "tokenizer.ggml.tokens": { type: "strings", value: ["<unk>", "<s>", "</s>", ..."abcdefghi"] },
      [id("bos")]: null,
      [id("eos")]: null,
    });
    expect(tokenizer).toMatchObject({ bosTokenId: 1, eosTokenId: 2, unknownTokenId: 0 });
    expect(config).toMatchObject({ bosTokenId: 1, eosTokenIds: [2] });
  });
});
