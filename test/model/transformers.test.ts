/** Every family against transformers and PyTorch: logits, losses and gradients of tiny models with seeded weights. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readHuggingFaceConfig } from "../../src/checkpoint/huggingface/config.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { withContextLength } from "../../src/model/context.ts";
import { FAMILY_NAMES } from "../../src/model/families/index.ts";
import { createEngine } from "../../src/runtime/engine.ts";
import { segment } from "../../src/train/pack.ts";
import { fullParameters } from "../../src/train/parameters.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { seededWeights } from "./families/seeded-weights.ts";
import { referenceLogits } from "./reference-transformer.ts";

interface Expected {
  readonly config: Record<string, unknown>;
  readonly ids: readonly number[];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, number>>;
  readonly logits: readonly (readonly number[])[];
}

const folder = fileURLToPath(new URL("families/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
const read = (name: string): Expected => JSON.parse(readFileSync(`${folder}${name}`, "utf8")) as Expected;

/** The configuration, with room for the text. */
function configOf({ config, gradients, ids }: Expected): ModelConfig {
  const read = readHuggingFaceConfig({
    config,
    generation: null,
    hasHead: "lm_head.weight" in gradients,
    path: "tiny",
  });
  return withContextLength(read, Math.max(read.contextLength, ids.length));
}

function largestDifference(actual: ArrayLike<number>, expected: readonly number[]): number {
  expect(actual.length).toBe(expected.length);
  return expected.reduce((largest, value, i) => Math.max(largest, Math.abs(value - actual[i]!)), 0);
}

describe.each(names)("%s", (name) => {
  const expected = read(name);
  const ids = Int32Array.from(expected.ids);

  test("has transformers' logits at every position, in the graph and in the plain twin", async () => {
    const config = configOf(expected);
    const weights = seededWeights(config);
    // The plain twin is in double precision: what is left is transformers' rounding, and that of six decimals.
    const twin = await referenceLogits(config, weights, expected.ids);
    expect(largestDifference(twin.flat(), expected.logits.flat())).toBeLessThan(1e-5);
    await using engine = await createEngine(config, weights, { precision: "fp32", threads: 1 });
    await using session = engine.session();
    expect(largestDifference(await session.logits(ids), expected.logits.flat())).toBeLessThan(1e-5);
  });

  test("has PyTorch's loss and gradients", async () => {
    const config = configOf(expected);
    const parameters = await fullParameters(config, seededWeights(config));
    await using trainer = await Trainer.create(config, parameters, { batch: 1, threads: 1 });
    const targets = Int32Array.from([...ids.subarray(1), -1]);
    const weights = new Float32Array(ids.length).fill(1 / (ids.length - 1));
    const { loss, squares } = await trainer.gradients([{ segments: [segment(ids, { targets, weights })] }]);
    expect(Math.abs(loss / expected.loss - 1)).toBeLessThan(1e-5);
    const norms = new Map(parameters.trained.map((tensor, i) => [tensor.name, Math.sqrt(squares[i]!)]));
    expect([...norms.keys()].sort()).toEqual(Object.keys(expected.gradients).sort());
    for (const [tensor, norm] of Object.entries(expected.gradients)) {
      expect(Math.abs(norms.get(tensor)! / norm - 1), tensor).toBeLessThan(1e-4);
    }
  });
});

test("there is an expectation for every family that has no older one", () => {
  const covered = new Set([...names.map((name) => configOf(read(name)).family), "llama", "mistral", "qwen3"]);
  expect([...covered].sort()).toEqual([...FAMILY_NAMES].sort());
});
