/** Hugging Face directories: what config.json of each family means, what is refused, shards, templates and choices. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readHuggingFaceConfig } from "../../src/checkpoint/huggingface/config.ts";
import type { Checkpoint } from "../../src/checkpoint/open.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import {
  encodeSafetensors,
  ggufBytes,
  ggufMetadata,
  ggufTensors,
  TINY,
  temporaryFolder,
  tinyConfigJson,
  tinyTensors,
  writeHuggingFace,
} from "./files.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

type Json = Record<string, unknown>;

const base: Json = tinyConfigJson(TINY);
const read = (changes: Json, generation: unknown = null, hasHead = true): ReturnType<typeof readHuggingFaceConfig> =>
  readHuggingFaceConfig({ config: { ...base, ...changes }, generation, hasHead, path: "model" });

describe("config.json", () => {
  test("of SmolLM2 is read with its defaults", () => {
    const config = readHuggingFaceConfig({
      config: {
        architectures: ["LlamaForCausalLM"],
        attention_bias: false,
        attention_dropout: 0.0,
        bos_token_id: 1,
        eos_token_id: 2,
        hidden_act: "silu",
        hidden_size: 576,
        intermediate_size: 1536,
        is_llama_config: true,
        max_position_embeddings: 8192,
        model_type: "llama",
        num_attention_heads: 9,
        num_hidden_layers: 30,
        num_key_value_heads: 3,
        pad_token_id: 2,
        pretraining_tp: 1,
        rms_norm_eps: 1e-5,
        rope_interleaved: false,
        rope_scaling: null,
        rope_theta: 100000,
        tie_word_embeddings: true,
        vocab_size: 49152,
      },
      generation: null,
      hasHead: false,
      path: "model",
    });
    expect(config).toMatchObject({ headSize: 64, ropeTheta: 100_000, ropeScaling: null, tiedHead: true });
    expect(config).toMatchObject({ eosTokenIds: [2], bosTokenId: 1, slidingWindow: null, attentionBias: false });
  });

  const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
  const scaled = {
    type: "llama3",
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContextLength: 64,
  };
  test.each<[string, Json, unknown, number]>([
    ["none", { rope_theta: undefined }, null, 10_000],
    ["old linear", { rope_scaling: { type: "linear", factor: 2 } }, { type: "linear", factor: 2 }, 10_000],
    ["llama 3 of transformers 4", { rope_theta: 5e5, rope_scaling: { rope_type: "llama3", ...llama3 } }, scaled, 5e5],
    [
      "llama 3 of transformers 5",
      { rope_parameters: { rope_type: "llama3", rope_theta: 7e5, ...llama3 } },
      scaled,
      7e5,
    ],
    [
      "dynamic, which changes nothing within the context",
      { rope_scaling: { type: "dynamic", factor: 2 } },
      null,
      10_000,
    ],
    ["default of transformers 5", { rope_parameters: { rope_type: "default", rope_theta: 9 } }, null, 9],
  ])("rope scaling: %s", (_, changes, scaling, theta) => {
    expect(read(changes)).toMatchObject({ ropeScaling: scaling, ropeTheta: theta });
  });

  const qwen2 = { model_type: "qwen2", architectures: ["Qwen2ForCausalLM"] };
  const granite = { model_type: "granite", embedding_multiplier: 6, attention_multiplier: 0.25 };
  const granite4 = {
    ...{ model_type: "granitemoehybrid", num_local_experts: 0, layer_types: ["attention", "attention"] },
    position_embedding_type: "rope",
  };
  const gemma2 = { model_type: "gemma2", hidden_act: undefined };
  const phi3 = { model_type: "phi3", original_max_position_embeddings: 64 };
  const mistral = { model_type: "mistral", max_position_embeddings: 32_768 };
  test.each<[string, Json, number | null]>([
    ["Mistral without a word has its class's 4096", { ...mistral, sliding_window: undefined }, 4096],
    ["Mistral with null has none", { ...mistral, sliding_window: null }, null],
    ["Mistral with a number has it", { ...mistral, sliding_window: 99 }, 99],
    ["Qwen2 has none unless it says so", { ...qwen2, sliding_window: 16, use_sliding_window: false }, null],
    ["Qwen2 from layer 0", { ...qwen2, sliding_window: 16, use_sliding_window: true, max_window_layers: 0 }, 16],
    ["Qwen2 from a layer past the last", { ...qwen2, sliding_window: 16, use_sliding_window: true }, null],
    ["layer types, all sliding", { ...qwen2, sliding_window: 16, layer_types: Array(2).fill("sliding_attention") }, 16],
    ["layer types, all full", { ...qwen2, sliding_window: 16, layer_types: Array(2).fill("full_attention") }, null],
    ["a window as long as the context is none", { model_type: "mistral", sliding_window: 128 }, null],
    ["Llama has none", { sliding_window: 16 }, null],
  ])("sliding window: %s", (_, changes, window) => {
    expect(read(changes).slidingWindow).toBe(window);
  });

  test("layers with and without a window are told apart", () => {
    const mixed = { ...qwen2, layer_types: ["full_attention", "sliding_attention"], sliding_window: 8 };
    expect(read(mixed)).toMatchObject({ slidingWindow: 8, slidingLayers: [false, true] });
    const later = { ...qwen2, use_sliding_window: true, max_window_layers: 1, sliding_window: 8 };
    expect(read(later)).toMatchObject({ slidingWindow: 8, slidingLayers: [false, true] });
    const gemma3 = { model_type: "gemma3_text", hidden_act: undefined, num_hidden_layers: 7, sliding_window: 8 };
    expect(read(gemma3).slidingLayers).toEqual([true, true, true, true, true, false, true]);
  });

  test("a stretched context is what the scaling makes of it", () => {
    const yarn = { type: "yarn", factor: 4, original_max_position_embeddings: 128 };
    expect(read({ ...qwen2, rope_scaling: yarn })).toMatchObject({
      contextLength: 512,
      ropeScaling: { type: "yarn", fastTurns: 32, slowTurns: 1, magnitude: 0.1 * Math.log(4) + 1 },
    });
    const divisors = { short_factor: [1, 1, 2, 2], long_factor: [4, 4, 8, 8] };
    // Short divisors are for up to 64 tokens: later ones would not fit keys that were rotated by them.
    expect(read({ ...phi3, rope_scaling: { type: "su", ...divisors } })).toMatchObject({
      contextLength: 64,
      ropeScaling: {
        type: "longrope",
        originalContextLength: 64,
        magnitude: Math.sqrt(1 + Math.log(2) / Math.log(64)),
      },
    });
  });

  test("families differ in biases, norms and head size", () => {
    expect(read(qwen2)).toMatchObject({ attentionBias: true, outputBias: false, queryKeyNorm: false });
    expect(read({ attention_bias: true })).toMatchObject({ attentionBias: true, outputBias: true });
    const qwen3 = { model_type: "qwen3", head_dim: undefined };
    expect(read(qwen3)).toMatchObject({ queryKeyNorm: true, headSize: 128, attentionBias: false });
    expect(read({ num_key_value_heads: null, head_dim: null })).toMatchObject({ kvHeads: 4, headSize: 8 });
  });

  test("end ids are those of all files, each once", () => {
    expect(read({ eos_token_id: 3 }).eosTokenIds).toEqual([3]);
    expect(read({ eos_token_id: 3 }, { eos_token_id: [4, 5, 4] }).eosTokenIds).toEqual([4, 5, 3]);
    expect(read({ eos_token_id: [3] }, { eos_token_id: [] }).eosTokenIds).toEqual([3]);
    expect(read({ eos_token_id: [] }, { eos_token_id: 4 }).eosTokenIds).toEqual([4]);
    expect(read({ eos_token_id: null }, {}).eosTokenIds).toEqual([]);
  });

  test("the head is tied where the file says so, or says nothing and there is none", () => {
    expect(read({ tie_word_embeddings: true }, null, true).tiedHead).toBe(true);
    expect(read({ tie_word_embeddings: undefined }, null, true).tiedHead).toBe(false);
    expect(read({ tie_word_embeddings: undefined }, null, false).tiedHead).toBe(true);
  });

  test.each<[string, Json, string, string]>([
    ["another family", { model_type: "gemma3" }, "unsupported", "family gemma3"],
    [
      "a family that spells its keys differently",
      { model_type: "gpt2", hidden_size: undefined },
      "unsupported",
      "gpt2",
    ],
    ["a family misspelt", { model_type: "qwen-3" }, "unsupported", "did you mean qwen3?"],
    [
      "a family with images",
      { model_type: "gemma3", text_config: { model_type: "gemma3_text" } },
      "unsupported",
      "its text part is gemma3_text: use a GGUF file",
    ],
    ["a classifier", { architectures: ["LlamaForSequenceClassification"] }, "unsupported", "LlamaForSequence"],
    ["quantized weights", { quantization_config: { quant_method: "awq" } }, "unsupported", "awq"],
    ["another activation", { hidden_act: "gelu" }, "unsupported", "gelu"],
    ["biases in the MLP", { mlp_bias: true }, "unsupported", "mlp_bias"],
    ["an unknown rope scaling", { rope_scaling: { rope_type: "spiral", factor: 4 } }, "unsupported", "spiral"],
    ["yarn without a factor", { rope_scaling: { rope_type: "yarn" } }, "bad-file", "lacks factor"],
    [
      "a key of another family",
      { residual_multiplier: 0.22 },
      "unsupported",
      "residual_multiplier is 0.22, a key of granite that llama does not have",
    ],
    ["layers without rotation", { no_rope_layers: [1, 0] }, "unsupported", "no_rope_layers is [1,0]"],
    ["a cap on logits", { final_logit_softcapping: 30 }, "unsupported", "final_logit_softcapping is 30"],
    ["a multiplier of zero", { ...granite, residual_multiplier: 0 }, "bad-file", "residual_multiplier is 0"],
    ["a multiplier of NaN", { ...granite, logits_scaling: Number.NaN }, "bad-file", "logits_scaling is NaN"],
    ["a cap of zero", { ...gemma2, attn_logit_softcapping: 0 }, "bad-file", "attn_logit_softcapping is 0"],
    [
      "divisors for another number of channels",
      { ...phi3, rope_scaling: { type: "longrope", short_factor: [1], long_factor: [1] } },
      "bad-file",
      "1 rotary divisors for 8 rotated channels; 4 are needed",
    ],
    ["flags for too few layers", { model_type: "smollm3", no_rope_layers: [1] }, "bad-file", "1 entries for 2 layers"],
    ["partial rotation", { partial_rotary_factor: 0.5 }, "unsupported", "partial_rotary_factor is 0.5"],
    ["other layers", { ...qwen2, layer_types: ["mamba", "mamba"] }, "unsupported", "mamba"],
    [
      "windows in some layers, of no size",
      { ...qwen2, layer_types: ["full_attention", "sliding_attention"], sliding_window: null },
      "bad-file",
      "sliding_window is null, but 1 of 2 layers",
    ],
    [
      "windows that are switched off",
      { ...qwen2, layer_types: ["full_attention", "sliding_attention"], use_sliding_window: false, sliding_window: 8 },
      "bad-file",
      "use_sliding_window is false",
    ],
    ["experts", { ...granite4, num_local_experts: 4 }, "unsupported", "num_local_experts is 4"],
    [
      "layers of states",
      { ...granite4, layer_types: ["attention", "mamba"] },
      "unsupported",
      "layer_types names mamba",
    ],
    ["layers of the class", { ...granite4, layer_types: null }, "unsupported", "layer_types names mamba"],
    [
      "no positions",
      { ...granite4, position_embedding_type: "nope" },
      "unsupported",
      "position_embedding_type is nope",
    ],
    [
      "an infinite multiplier",
      { ...granite, embedding_multiplier: Number.POSITIVE_INFINITY },
      "bad-file",
      "embedding_multiplier is Infinity",
    ],
    ["a scale of scores of zero", { ...gemma2, query_pre_attn_scalar: 0 }, "bad-file", "query_pre_attn_scalar is 0"],
    ["no rotated channel", { ...phi3, partial_rotary_factor: 0 }, "bad-file", "partial_rotary_factor is 0"],
    ["no size", { hidden_size: undefined }, "bad-file", "hidden_size is missing"],
    ["a size in words", { hidden_size: "32" }, "bad-file", 'hidden_size is "32"'],
    ["a negative size", { num_hidden_layers: -1 }, "bad-file", "num_hidden_layers is -1"],
    ["an absurd size", { vocab_size: 1e12 }, "bad-file", "vocab_size is 1000000000000"],
    ["a fractional head", { head_dim: null, hidden_size: 34 }, "bad-file", "headSize is 8.5"],
    ["an odd head", { head_dim: 7 }, "bad-file", "7"],
    ["heads that keys do not divide", { num_key_value_heads: 3 }, "bad-file", "3 key-value heads"],
    ["an end id that is no id", { eos_token_id: 1.5 }, "bad-file", "eos_token_id is 1.5"],
    ["an end id that is not a number", { eos_token_id: Number.NaN }, "bad-file", "eos_token_id is NaN"],
    ["a base that is not a number", { rope_theta: Number.NaN }, "bad-file", "rope_theta is NaN"],
    [
      "an infinite factor",
      { rope_scaling: { type: "linear", factor: Number.POSITIVE_INFINITY } },
      "bad-file",
      "rope_scaling.factor is Infinity",
    ],
    ["a window that is not a number", { ...mistral, sliding_window: Number.NaN }, "bad-file", "sliding_window is NaN"],
    ["no family", { model_type: undefined, architectures: undefined }, "bad-file", "model_type is missing"],
    [
      "the architecture of another family",
      { model_type: null, architectures: ["FalconForCausalLM"] },
      "unsupported",
      "falcon",
    ],
    ["a rope scaling without its factor", { rope_scaling: { type: "linear" } }, "bad-file", "lacks factor"],
    [
      "a negative rope factor",
      { rope_scaling: { type: "linear", factor: -1 } },
      "bad-file",
      "rope_scaling.factor is -1",
    ],
    [
      "layer types for other layers",
      { ...qwen2, layer_types: ["full_attention"] },
      "bad-file",
      "1 entries for 2 layers",
    ],
  ])("with %s is one clear error", (_, changes, code, says) => {
    expect(() => read(changes)).toThrowError(
      expect.objectContaining({ code, message: expect.stringContaining(says) }) as Error,
    );
  });
});

function directory(): string {
  const path = mkdtempSync(join(folder.path, "model-"));
  writeHuggingFace(path, TINY, tinyTensors(TINY));
  return path;
}

async function openAndClose(path: string): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  return checkpoint;
}

describe("a directory", () => {
  test("with shards has the tensors of the whole file", async () => {
    const path = mkdtempSync(join(folder.path, "sharded-"));
    const tensors = [...tinyTensors(TINY)];
    writeFileSync(join(path, "config.json"), JSON.stringify(base));
    writeFileSync(join(path, "tokenizer.json"), "{}");
    const map: Record<string, string> = {};
    for (let i = 0; i < 3; i++) {
      const part = new Map(tensors.filter((_, at) => at % 3 === i));
      const name = `model-0000${i + 1}-of-00003.safetensors`;
      writeFileSync(join(path, name), encodeSafetensors(part));
      for (const tensor of part.keys()) map[tensor] = name;
    }
    const index = join(path, "model.safetensors.index.json");
    writeFileSync(index, JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }));
    const { weights, close } = await openCheckpoint(path);
    for (const [name, { values }] of tensors) expect(await weights.read(name)).toEqual(values);
    await close();

    const lie = (change: Record<string, string>): void =>
      writeFileSync(index, JSON.stringify({ weight_map: { ...map, ...change } }));
    lie({
      "lm_head.weight": "model-00001-of-00003.safetensors",
      "model.norm.weight": "model-00001-of-00003.safetensors",
    });
    await expect(openCheckpoint(path)).rejects.toMatchObject({
      code: "bad-file",
      message: expect.stringContaining("lacks"),
    });
    lie({ "lm_head.weight": "model-00004-of-00003.safetensors" });
    await expect(openCheckpoint(path)).rejects.toMatchObject({ code: "not-found" });
    for (const outside of ["../model.safetensors", "/etc/x.safetensors", "a/b.safetensors", "pytorch_model.bin"]) {
      lie({ "lm_head.weight": outside });
      await expect(openCheckpoint(path)).rejects.toMatchObject({ code: "bad-file" });
    }
    writeFileSync(index, "{}");
    await expect(openCheckpoint(path)).rejects.toMatchObject({ code: "bad-file" });
  });

  test.each<[string, Record<string, unknown>, string | null]>([
    ["nowhere", {}, null],
    ["in tokenizer_config.json", { "tokenizer_config.json": { chat_template: "A" } }, "A"],
    ["in chat_template.json", { "tokenizer_config.json": {}, "chat_template.json": { chat_template: "B" } }, "B"],
    [
      "in chat_template.jinja before all others",
      { "chat_template.jinja": "C", "tokenizer_config.json": { chat_template: "A" } },
      "C",
    ],
    [
      "named default in a list",
      {
        "tokenizer_config.json": {
          chat_template: [
            { name: "tool_use", template: "T" },
            { name: "default", template: "D" },
          ],
        },
      },
      "D",
    ],
    ["the only one of a list", { "tokenizer_config.json": { chat_template: [{ name: "x", template: "X" }] } }, "X"],
  ])("finds the chat template %s", async (_, files, template) => {
    const path = directory();
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(path, name), typeof content === "string" ? content : JSON.stringify(content));
    }
    const { tokenizer } = await openAndClose(path);
    expect(tokenizer).toMatchObject({ kind: "huggingface", chatTemplate: template });
    expect(tokenizer).toMatchObject({ tokenizerConfig: files["tokenizer_config.json"] ?? {} });
  });

  test("finds named templates in a list and in a folder, and which of them is the default", async () => {
    const path = directory();
    const list = [
      { name: "tool_use", template: "T" },
      { name: "rag", template: "R" },
    ];
    writeFileSync(join(path, "tokenizer_config.json"), JSON.stringify({ chat_template: list }));
    const namedTemplates = { tool_use: "T", rag: "R" };
    expect((await openAndClose(path)).tokenizer).toMatchObject({ chatTemplate: null, namedTemplates });
    mkdirSync(join(path, "additional_chat_templates"));
    writeFileSync(join(path, "additional_chat_templates", "tool_use.jinja"), "U");
    expect((await openAndClose(path)).tokenizer).toMatchObject({ namedTemplates: { tool_use: "U", rag: "R" } });
    writeFileSync(join(path, "chat_template.jinja"), "D");
    const both = { chatTemplate: "D", namedTemplates: { default: "D", tool_use: "U" } };
    expect((await openAndClose(path)).tokenizer).toMatchObject(both);
  });

  test("of a dense Granite 4 has Granite's tensors, whose matrices are packed in the file", async () => {
    const path = directory();
    const tensors = tinyTensors(TINY);
    const stored = new Map(tensors);
    for (const layer of [0, 1]) {
      const at = `model.layers.${layer}`;
      const [gate, up, down] = ["gate", "up", "down"].map((name) => `${at}.mlp.${name}_proj.weight`) as [
        string,
        string,
        string,
      ];
      const values = Float32Array.of(...stored.get(gate)!.values, ...stored.get(up)!.values);
      stored.set(`${at}.shared_mlp.input_linear.weight`, { shape: [128, 32], values });
      stored.set(`${at}.shared_mlp.output_linear.weight`, stored.get(down)!);
      for (const name of [gate, up, down]) stored.delete(name);
    }
    const hybrid = {
      ...{ model_type: "granitemoehybrid", architectures: ["GraniteMoeHybridForCausalLM"], num_local_experts: 0 },
      ...{ layer_types: ["attention", "attention"], position_embedding_type: "rope", shared_intermediate_size: 64 },
    };
    writeFileSync(join(path, "config.json"), JSON.stringify({ ...base, ...hybrid, intermediate_size: 7 }));
    writeFileSync(join(path, "model.safetensors"), encodeSafetensors(stored));
    const { config, weights, close } = await openCheckpoint(path);
    expect(config).toMatchObject({ family: "granite", intermediateSize: 64 });
    for (const [name, { values }] of tensors) expect(await weights.read(name)).toEqual(values);
    const up = "model.layers.1.mlp.up_proj.weight";
    expect(await weights.read(up, 3, 5)).toEqual(tensors.get(up)!.values.slice(3 * 32, 5 * 32));
    await close();
  });

  test("with one GGUF file is that file; with several, the error lists them", async () => {
    const path = mkdtempSync(join(folder.path, "ggufs-"));
    const bytes = ggufBytes({ metadata: ggufMetadata(TINY), tensors: ggufTensors(TINY, tinyTensors(TINY)) });
    writeFileSync(join(path, "a.Q4_1.gguf"), bytes);
    writeFileSync(join(path, "mmproj-a.gguf"), "an image encoder");
    expect(await openAndClose(path)).toMatchObject({ format: "gguf", name: "a.Q4_1" });
    writeFileSync(join(path, "b.gguf"), bytes);
    const several = { code: "usage", message: expect.stringContaining("a.Q4_1.gguf, b.gguf") };
    await expect(openCheckpoint(path)).rejects.toMatchObject(several);
  });

  test.each<[string, (path: string) => void, string, string]>([
    ["nothing in it", () => {}, "not-found", "holds no checkpoint"],
    [
      "pickled weights",
      (path) => writeFileSync(join(path, "pytorch_model.bin"), ""),
      "unsupported",
      "pytorch_model.bin",
    ],
    ["weights alone", (path) => writeFileSync(join(path, "model.safetensors"), ""), "not-found", "no config.json"],
  ])("with %s is one clear error", async (_, fill, code, says) => {
    const path = mkdtempSync(join(folder.path, "odd-"));
    fill(path);
    await expect(openCheckpoint(path)).rejects.toMatchObject({ code, message: expect.stringContaining(says) });
  });

  test.each<[string, string, string | Uint8Array, string, string]>([
    ["bad JSON", "config.json", "{", "bad-file", "not JSON"],
    ["an array for a configuration", "config.json", "[]", "bad-file", "no JSON object"],
    ["bytes for a configuration", "config.json", Uint8Array.of(123, 255, 125), "bad-file", "UTF-8"],
    ["a configuration of megabytes", "config.json", " ".repeat(5e6), "bad-file", "5000000 bytes"],
    ["a JSON bomb", "tokenizer.json", "[".repeat(1e6), "bad-file", "levels deep"],
    ["a chat template of numbers", "tokenizer_config.json", '{"chat_template":1}', "bad-file", "chat_template"],
    ["a generation config of words", "generation_config.json", '{"eos_token_id":"x"}', "bad-file", "eos_token_id"],
    ["weights of another model", "config.json", JSON.stringify({ ...base, vocab_size: 13 }), "bad-weights", "[12,32]"],
    [
      "an untied head that is tied",
      "config.json",
      JSON.stringify({ ...base, model_type: "qwen2" }),
      "bad-weights",
      "bias",
    ],
    [
      "tensors of another family",
      "config.json",
      JSON.stringify({ ...base, num_hidden_layers: 1 }),
      "unsupported",
      "layers.1",
    ],
  ])("with %s is one clear error", async (_, name, content, code, says) => {
    const path = directory();
    writeFileSync(join(path, name), content);
    await expect(openCheckpoint(path)).rejects.toMatchObject({ code, message: expect.stringContaining(says) });
  });

  test("without a tokenizer says how to make one", async () => {
    const path = mkdtempSync(join(folder.path, "mute-"));
    writeFileSync(join(path, "config.json"), JSON.stringify(base));
    writeFileSync(join(path, "model.safetensors"), encodeSafetensors(tinyTensors(TINY)));
    await expect(openCheckpoint(path)).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining("tokenizer.json"),
    });
  });

  test("with tensors in a type that is not built names it", async () => {
    const path = directory();
    const whole = (values: Float32Array): [string, Uint8Array] => {
      return ["I32", new Uint8Array(Int32Array.from(values).buffer)];
    };
    writeFileSync(join(path, "model.safetensors"), encodeSafetensors(tinyTensors(TINY), whole));
    await expect(openCheckpoint(path)).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("is stored as I32"),
    });
  });

  test("may hold buffers and a head that it does not use", async () => {
    const path = directory();
    const tensors = tinyTensors(TINY);
    tensors.set("model.layers.0.self_attn.rotary_emb.inv_freq", { shape: [4], values: new Float32Array(4) });
    writeFileSync(join(path, "model.safetensors"), encodeSafetensors(tensors));
    writeFileSync(join(path, "config.json"), JSON.stringify({ ...base, tie_word_embeddings: true }));
    const { weights } = await openAndClose(path);
    expect(weights.has("lm_head.weight")).toBe(false);
    expect(weights.names().some((name) => name.endsWith("inv_freq"))).toBe(false);
  });
});

test.each([
  "",
  "no/such/path/anywhere",
  "./missing",
  "missing.gguf",
  "folder/missing.gguf",
  "a b/c",
  "../x/y",
  "x--y/z",
])("%j is neither a path nor a hub id", async (name) => {
  await expect(openCheckpoint(name, { offline: true })).rejects.toMatchObject({ code: "not-found" });
});

describe("a GGUF file is known by what it holds", () => {
  const bytes = ggufBytes({ metadata: ggufMetadata(TINY), tensors: ggufTensors(TINY, tinyTensors(TINY)) });

  test.each(["model.GGUF", "model.Gguf", "sha256-0a1b2c", "model", "model.bin"])("%s", async (name) => {
    const path = mkdtempSync(join(folder.path, "named-"));
    writeFileSync(join(path, name), bytes);
    const { format, name: found } = await openAndClose(join(path, name));
    expect([format, found]).toEqual(["gguf", name.replace(/\.gguf$/i, "")]);
  });

  test("a directory with one in capitals, and a set of them", async () => {
    const path = mkdtempSync(join(folder.path, "capitals-"));
    writeFileSync(join(path, "MODEL.GGUF"), bytes);
    expect(await openAndClose(path)).toMatchObject({ format: "gguf", name: "MODEL" });
    await expect(openCheckpoint(join(path, "A-00001-OF-00002.GGUF"))).rejects.toMatchObject({ code: "not-found" });
  });

  test.each([
    ["model.gguf.part1of2", /cat ".*model\.gguf"\.part\*of2 > ".*model\.gguf"/],
    ["model.Q6_K.gguf-split-a", /cat ".*model\.Q6_K\.gguf"-split-\* > ".*model\.Q6_K\.gguf"/],
  ])("%s is part of one, to be joined first", async (name, says) => {
    const path = mkdtempSync(join(folder.path, "cut-"));
    writeFileSync(join(path, name), bytes.subarray(0, 100));
    for (const opened of [join(path, name), path]) {
      const failure = {
        code: "usage",
        message: expect.stringMatching(says.source.replaceAll(".*", opened === path ? "" : ".*")),
      };
      await expect(openCheckpoint(opened)).rejects.toMatchObject(failure);
    }
  });

  test("an adapter's folder is none and says what it is for", async () => {
    const path = mkdtempSync(join(folder.path, "adapter-"));
    writeFileSync(join(path, "adapter_config.json"), "{}");
    const failure = { code: "usage", message: expect.stringContaining("give this folder as the adapter") };
    await expect(openCheckpoint(path)).rejects.toMatchObject(failure);
  });
});

test("a file that is no GGUF file is wrong usage", async () => {
  const path = directory();
  await expect(openCheckpoint(join(path, "model.safetensors"))).rejects.toMatchObject({ code: "usage" });
  mkdirSync(join(path, "x.gguf"));
  await expect(openCheckpoint(join(path, "x.gguf"))).rejects.toMatchObject({ code: "not-found" });
});
