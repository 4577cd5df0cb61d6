/**
 * ONNX models that are written, run from their files by ONNX Runtime as a stranger would, against the session that decodes
 * here: the same logits, token by token and all at once, of every family.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import * as ort from "onnxruntime-node";
import { afterAll, expect, test } from "vitest";
import { writeOnnx } from "../../src/checkpoint/write-onnx.ts";
import { Graph } from "../../src/graph/graph.ts";
import { inOneFile } from "../../src/graph/one-file.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { FAMILY_NAMES } from "../../src/model/families/index.ts";
import type { HostPrecision } from "../../src/model/precision.ts";
import { createEngine } from "../../src/runtime/engine.ts";
import { tinyTokenizerSource } from "../generate/tiny-checkpoint.ts";
import { BASE, configs, randomIds, randomWeights } from "../model/random-model.ts";
import { temporaryFolder } from "./files.ts";

const root = temporaryFolder();
afterAll(root.remove);
let count = 0;
const { source: tokenizer, vocabSize } = tinyTokenizerSource();

/** A stranger's loop over the file's inputs and outputs. */
class Stranger {
  #past: Record<string, ort.Tensor> = {};
  #length = 0;
  readonly #session: ort.InferenceSession;

  constructor(session: ort.InferenceSession, { layers, kvHeads, headSize }: ModelConfig) {
    this.#session = session;
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ["key", "value"]) {
        const empty = new ort.Tensor("float32", new Float32Array(0), [1, kvHeads, 0, headSize]);
        this.#past[`past_key_values.${layer}.${part}`] = empty;
      }
    }
  }

  async run(ids: Int32Array): Promise<{ logits: Float32Array; next: number[] }> {
    const total = this.#length + ids.length;
    const int64 = (values: ArrayLike<number>): ort.Tensor =>
      new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    const outputs = await this.#session.run({
      input_ids: int64(ids),
      position_ids: int64(Int32Array.from(ids, (_, i) => this.#length + i)),
      attention_mask: int64(new Int32Array(total).fill(1)),
      ...this.#past,
    });
    this.#length = total;
    for (const name of Object.keys(this.#past)) {
      this.#past[name] = outputs[name.replace("past_key_values", "present")]!;
    }
    return {
      logits: outputs["logits"]!.data as Float32Array,
      next: Array.from(outputs["next_tokens"]!.data as BigInt64Array, Number),
    };
  }
}

async function compare(config: ModelConfig, precision: HostPrecision, tolerance: number): Promise<void> {
  const weights = randomWeights(config);
  const folder = join(root.path, String(count++));
  await writeOnnx(folder, { config, weights, tokenizer }, { precision });
  const session = await ort.InferenceSession.create(join(folder, "model.onnx"), { intraOpNumThreads: 1 });
  await using engine = await createEngine(config, weights, { precision, threads: 1 });
  await using own = engine.session();
  const stranger = new Stranger(session, config);
  const ids = randomIds(12, config.vocabSize, 3);
  for (const part of [ids.subarray(0, 7), ids.subarray(7, 8), ids.subarray(8, 9), ids.subarray(9)]) {
    const { logits, next } = await stranger.run(part);
    const wanted = await own.logits(part);
    const scale = Math.max(...wanted.map(Math.abs));
    for (const [i, value] of wanted.entries()) expect(Math.abs(logits[i]! - value)).toBeLessThan(tolerance * scale);
    expect(next).toHaveLength(part.length);
  }
  await session.release();
}

test("in fp32 they give the same logits, up to the rounding of another order of sums", async () => {
  const models = fc.constantFrom(...FAMILY_NAMES).chain(configs);
  await fc.assert(
    fc.asyncProperty(models, (config) => compare(config, "fp32", 1e-4)),
    { numRuns: 8 },
  );
});

test("in int8 they give the same logits, up to bytes that round to the other side", async () => {
  await compare({ ...BASE, hiddenSize: 64, intermediateSize: 128, vocabSize }, "int8", 0.05);
});

test("the folder holds the graph, all weights in one file, and what goes with a model", async () => {
  const config = { ...BASE, vocabSize, eosTokenIds: [1] };
  const folder = join(root.path, "whole");
  await writeOnnx(folder, { config, weights: randomWeights(config), tokenizer, card: "# Card" });
  expect(readdirSync(folder).sort()).toEqual(
    [
      ...["README.md", "chat_template.jinja", "config.json", "generation_config.json", "model.onnx"],
      ...["model.onnx_data", "tokenizer.json", "tokenizer_config.json"],
    ].sort(),
  );
  expect(statSync(join(folder, "model.onnx")).size).toBeLessThan(60_000);
  await expect(writeOnnx(folder, { config, weights: randomWeights(config), tokenizer })).rejects.toMatchObject({
    code: "usage",
  });
});

test("pieces of one file do not overlap, and each constant finds its own", async () => {
  const graph = new Graph();
  const arrays = [300, 5000, 256, 1024].map((length, k) => Float32Array.from({ length }, (_, i) => i + 1000 * k));
  const sums = arrays.map((data) => graph.op("ReduceSum", [graph.constant(data, [data.length])], { keepdims: 0 }));
  const x = graph.input("x", "float32", []);
  for (const [k, sum] of sums.entries()) graph.output(graph.op("Mul", [x, sum]), `y${k}`, "float32", []);
  const { bytes, pieces } = inOneFile(graph.encode(), "weights.bin");
  const file = new Uint8Array(Math.max(...pieces.map(({ offset, data }) => offset + data.length)));
  let end = 0;
  for (const { offset, data } of pieces) {
    expect(offset).toBeGreaterThanOrEqual(end);
    end = offset + data.length;
    file.set(data, offset);
  }
  const session = await ort.InferenceSession.create(bytes, { externalData: [{ path: "weights.bin", data: file }] });
  const outputs = await session.run({ x: new ort.Tensor("float32", Float32Array.of(1), []) });
  for (const [k, data] of arrays.entries()) {
    const sum = data.reduce((total, value) => total + value, 0);
    expect((outputs[`y${k}`]!.data as Float32Array)[0]! / sum).toBeCloseTo(1, 5);
  }
  await session.release();
});
