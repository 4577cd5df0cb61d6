/** Quantized Hugging Face directories: eight-bit floats with scales are read, all others are refused by the name of their method. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { CODECS } from "../../src/checkpoint/codecs.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { openEntries } from "../../src/checkpoint/open-entries.ts";
import { entriesOf } from "../../src/checkpoint/stored-weights.ts";
import { safetensorsBytes, type Tensors, TINY, temporaryFolder, tinyConfigJson, tinyTensors } from "./files.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

type Json = Record<string, unknown>;
type Stored = readonly [dtype: string, shape: readonly number[], bytes: Uint8Array];

const config: Json = tinyConfigJson(TINY);
const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.slice().buffer);
const floats = (tensors: Tensors): Map<string, Stored> =>
  new Map(Array.from(tensors, ([name, { shape, values }]) => [name, ["F32", shape, bytesOf(values)]]));

function directory(tensors: ReadonlyMap<string, Stored>, changes: Json = {}): string {
  const path = mkdtempSync(join(folder.path, "model-"));
  const header: Json = {};
  const data: Uint8Array[] = [];
  let at = 0;
  for (const [name, [dtype, shape, bytes]] of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    data.push(bytes);
    at += bytes.length;
  }
  writeFileSync(join(path, "config.json"), JSON.stringify({ ...config, ...changes }));
  writeFileSync(join(path, "tokenizer.json"), "{}");
  writeFileSync(join(path, "model.safetensors"), safetensorsBytes(header, Buffer.concat(data)));
  return path;
}

const fails = (path: string, code: string, ...says: string[]): Promise<void> =>
  expect(openCheckpoint(path)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(new RegExp(says.map((word) => word.replaceAll(/[[\]().]/g, "\\$&")).join(".*"))),
  });

const MATRIX = "model.layers.0.mlp.gate_proj.weight"; // [64, 32]
const BYTES = Uint8Array.from({ length: 64 * 32 }, (_, i) => ((i * 37) % 126) + 128 * (i % 2)); // none is NaN
const PLAIN = new Float32Array(BYTES.length);
CODECS.get("F8_E4M3")!.decode(BYTES, BYTES.length, PLAIN);

/** A directory with that matrix in eight bits, and scales for it. */
function scaled(suffix: string, shape: readonly number[], settings: Json): { path: string; scales: Float32Array } {
  const scales = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i + 1) / 8);
  const tensors = floats(tinyTensors(TINY));
  tensors.set(MATRIX, ["F8_E4M3", [64, 32], BYTES]);
  tensors.set(`${MATRIX}${suffix}`, ["F32", shape, bytesOf(scales)]);
  tensors.set("model.layers.0.mlp.gate_proj.input_scale", ["F32", [], bytesOf(Float32Array.of(1))]);
  return { path: directory(tensors, { quantization_config: settings }), scales };
}

describe("eight-bit floats", () => {
  const fp8 = { quant_method: "fp8", weight_block_size: [48, 20] };
  const compressed = { quant_method: "compressed-tensors", format: "float-quantized" };
  test.each<[string, string, readonly number[], Json, number, number]>([
    ["one scale", "_scale", [], { quant_method: "modelopt", quant_algo: "FP8" }, 64, 32],
    ["one scale in a list", "_scale", [1], compressed, 64, 32],
    ["a scale for each row", "_scale", [64, 1], { quant_method: "fbgemm_fp8" }, 1, 32],
    ["a scale for each row, in a list", "_scale", [64], compressed, 1, 32],
    ["a scale for each run of a row", "_scale", [64, 4], compressed, 1, 8],
    ["a scale for each block", "_scale_inv", [2, 2], fp8, 48, 20],
    ["a scale for each of equal blocks", "_scale_inv", [4, 2], { quant_method: "fp8" }, 16, 16],
  ])("with %s are multiplied by it", async (_, suffix, shape, settings, rows, columns) => {
    const { path, scales } = scaled(suffix, shape, settings);
    const across = Math.ceil(32 / columns);
    const expected = PLAIN.map(
      (value, i) => value * scales[Math.floor(Math.floor(i / 32) / rows) * across + Math.floor((i % 32) / columns)]!,
    );
    const { weights, close } = await openCheckpoint(path);
    expect(await weights.read(MATRIX)).toEqual(expected);
    expect(await weights.read(MATRIX, 13, 59)).toEqual(expected.slice(13 * 32, 59 * 32));
    const again = await openEntries(structuredClone(entriesOf(weights))); // as another thread does
    expect(await again.read(MATRIX)).toEqual(expected);
    await again.close();
    await close();
  });

  test("with scales of another shape, or in a type that is not read, are one clear error", async () => {
    await fails(scaled("_scale", [3, 1], compressed).path, "bad-weights", "weight_scale", "[3,1]", "[64,32]");
    const tensors = floats(tinyTensors(TINY));
    tensors.set(MATRIX, ["F8_E4M3", [64, 32], BYTES]);
    tensors.set(`${MATRIX}_scale_inv`, ["F8_E8M0", [2, 1], new Uint8Array(2)]);
    await fails(directory(tensors, { quantization_config: fp8 }), "unsupported", "weight_scale_inv", "F8_E8M0");
  });
});

describe("weights quantized by", () => {
  const METHODS = [
    "bitsandbytes",
    "gptq",
    "awq",
    "aqlm",
    "vptq",
    "quanto",
    "eetq",
    "higgs",
    "hqq",
    "torchao",
    "bitnet",
  ];
  const MORE = ["spqr", "quark", "fp_quant", "auto-round", "mxfp4", "nvfp4", "sinq", "exl2", "exl3"];
  test.each([...METHODS, ...MORE])("%s are refused by name, with what to use instead", async (method) => {
    const settings = { quant_method: method, load_in_4bit: true };
    const path = directory(floats(tinyTensors(TINY)), { quantization_config: settings });
    await fails(path, "unsupported", `quantized by ${method}`, "the original model's repository", "GGUF file");
  });

  test.each<[string, Json, string]>([
    [
      "packed",
      { quant_method: "compressed-tensors", format: "pack-quantized" },
      "compressed-tensors as pack-quantized",
    ],
    ["in four-bit floats", { quant_method: "modelopt", quant_algo: "NVFP4" }, "modelopt as NVFP4"],
    ["by nobody", {}, "an unnamed method"],
    ["by a number", { quant_method: 4 }, "an unnamed method"],
  ])("a method of several kinds, %s, are refused with the kind", async (_, settings, says) => {
    await fails(directory(floats(tinyTensors(TINY)), { quantization_config: settings }), "unsupported", says);
  });

  test("MLX are known by its own key", async () => {
    const path = directory(floats(tinyTensors(TINY)), { quantization: { group_size: 64, bits: 4 } });
    await fails(path, "unsupported", "quantized by MLX (quantization)", "GGUF file");
  });

  test("nothing any more are read", async () => {
    const settings = { quant_method: "bitsandbytes", load_in_4bit: false, load_in_8bit: false };
    const { close } = await openCheckpoint(directory(floats(tinyTensors(TINY)), { quantization_config: settings }));
    await close();
  });

  test.each([
    ["bitsandbytes", "weight.absmax"],
    ["bitsandbytes", "weight.quant_state.bitsandbytes__nf4"],
    ["GPTQ", "g_idx"],
    ["AWQ", "qzeros"],
    ["compressed-tensors", "weight_packed"],
    ["HQQ", "W_q"],
    ["ExLlama", "q_weight"],
    ["AQLM", "codebooks"],
    ["quanto", "weight._data"],
    ["MLX", "biases"],
  ])("%s are known by a tensor, where the configuration is silent", async (method, part) => {
    const tensors = floats(tinyTensors(TINY));
    tensors.delete(MATRIX);
    tensors.set(`model.layers.0.mlp.gate_proj.${part}`, ["I32", [2, 2], new Uint8Array(16)]);
    await fails(directory(tensors), "unsupported", `gate_proj.${part}`, `quantized by ${method}`, "GGUF file");
  });
});
