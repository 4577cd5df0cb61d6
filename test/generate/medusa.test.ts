/** Medusa heads from their folder to text: the decoder writes what `ar` writes, whatever the heads say, and what does not fit is refused. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeSafetensors } from "../../src/checkpoint/huggingface/write-safetensors.ts";
import { writeHeads } from "../../src/checkpoint/medusa/heads.ts";
import { readHeads } from "../../src/checkpoint/medusa/read-heads.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { load } from "../../src/generate/load.ts";
import type { GenerateOptions, LanguageModel } from "../../src/generate/types.ts";
import { type MedusaShape, medusaTensors } from "../../src/model/medusa.ts";
import type { NamedTensor } from "../../src/model/memory-weights.ts";
import { PRECISIONS } from "../../src/model/precision.ts";
import { gaussian } from "../model/random-model.ts";
import { writeTinyCheckpoint } from "./tiny-checkpoint.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-medusa-"));
const cacheDir = join(scratch, "cache");
const tiny = writeTinyCheckpoint(join(scratch, "tiny"));
const at = (name: string): string => join(scratch, name);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const TREES: readonly GenerateOptions["decoder"][] = [
  "medusa",
  { name: "medusa", nodes: 30 },
  { name: "medusa", tree: [[0], [1], [2], [1, 1]] },
];
const SHARED: MedusaShape = { heads: 3, layers: 1, ownLinear: false, bias: true };
const OWN: MedusaShape = { heads: 2, layers: 2, ownLinear: true, bias: true };
let sizes = { hiddenSize: 0, vocabSize: 0 };

function tensorsOf(shape: MedusaShape, config = sizes): NamedTensor[] {
  const random = gaussian(5);
  return medusaTensors(config, shape).map(([name, dimensions]) => {
    const count = dimensions.reduce((product, size) => product * size, 1);
    return { name, shape: dimensions, data: Float32Array.from({ length: count }, () => 0.3 * random()) };
  });
}

beforeAll(async () => {
  const checkpoint = await openCheckpoint(tiny);
  await checkpoint.close();
  sizes = { hiddenSize: checkpoint.config.hiddenSize, vocabSize: checkpoint.config.vocabSize };
  const write = (name: string, shape: MedusaShape, config = sizes) =>
    writeHeads(at(name), { shape, config, tensors: tensorsOf(shape, config), baseModel: "o/tiny", baseAdapter: null });
  await write("shared", SHARED);
  await write("own", OWN);
  await write("stranger", SHARED, { ...sizes, hiddenSize: 2 * sizes.hiddenSize });
});

describe.each(PRECISIONS)("in %s", (precision) => {
  let models: LanguageModel[];
  beforeAll(async () => {
    models = [
      await load(tiny, { precision, cacheDir, medusaHeads: at("shared") }),
      await load(tiny, { precision, cacheDir, medusaHeads: at("own"), slots: 2 }),
    ];
  });
  afterAll(async () => {
    for (const model of models) await model.dispose();
  });

  test("the text is that of ar, greedy, sampled, penalized and in a form, with any tree", async () => {
    expect(models.map(({ heads }) => heads)).toEqual([3, 2]);
    const sides: number[] = [];
    let turn = 0;
    for (const [i, prompt] of ["the and the and the", "Hello, who are you?"].entries()) {
      for (const how of [
        {},
        { temperature: 0.8, seed: i },
        { temperature: 1.2, topK: 20, topP: 0.9, seed: 2, repetitionPenalty: 1.2 },
        { format: { type: "regex" as const, pattern: "[a-h ]{20,30}" } },
      ]) {
        const request: GenerateOptions = { prompt, ...how, maxNewTokens: 40, ignoreEos: !("format" in how) };
        for (const model of models) {
          const { tokens } = await model.generate({ ...request, decoder: "ar" });
          const decoder = TREES[turn++ % TREES.length]!;
          const stream = model.stream({ ...request, decoder });
          for await (const { pass } of stream) if (pass && !pass.prefill) sides.push(pass.rows);
          const generation = await stream.result;
          expect({ decoder, tokens: [...generation.tokens] }).toEqual({ decoder, tokens: [...tokens] });
        }
      }
    }
    expect(Math.max(...sides)).toBeGreaterThan(20);
  });

  test("passes of several requests run together with the rows of each", async () => {
    const model = models[1]!;
    const prompts = ["the and the", "Hello"];
    const requests = prompts.map((prompt): GenerateOptions => ({ prompt, maxNewTokens: 24, ignoreEos: true }));
    const expected = [];
    for (const request of requests) expected.push((await model.generate({ ...request, decoder: "ar" })).tokens);
    const found = await Promise.all(requests.map((request) => model.generate({ ...request, decoder: "medusa" })));
    expect(found.map(({ tokens }) => tokens)).toEqual(expected);
  });
});

test("heads give the ids that their definition gives, by the model's own head and by their own", async () => {
  const { createEngine } = await import("../../src/runtime/engine.ts");
  const checkpoint = await openCheckpoint(tiny);
  const { config, weights } = checkpoint;
  const table = await weights.read(config.tiedHead ? "model.embed_tokens.weight" : "lm_head.weight");
  for (const [name, shape] of Object.entries({ shared: SHARED, own: OWN })) {
    const heads = await readHeads(at(name), config);
    await using engine = await createEngine(config, weights, { precision: "fp32", heads });
    await using session = engine.session();
    const ids = Int32Array.of(3, 5, 8, 13);
    const logits = (await session.logits(ids)).slice();
    // With heads whose blocks add nothing and the model's own head, the best id is that of the model.
    const nothing = tensorsOf(SHARED).map((tensor) => ({ ...tensor, data: tensor.data.fill(0) }));
    const { memoryWeights } = await import("../../src/model/memory-weights.ts");
    await using idle = await createEngine(config, weights, {
      precision: "fp32",
      heads: { ...SHARED, weights: memoryWeights(nothing) },
    });
    await using other = idle.session();
    const next = await other.forward(ids);
    for (let row = 0; row < ids.length; row++) {
      const guesses = await other.headGuesses!(row);
      expect(guesses.map((each) => each[0])).toEqual(Array.from({ length: 3 }, () => next[row]));
      const order = Array.from(logits.subarray(row * config.vocabSize, (row + 1) * config.vocabSize).entries());
      expect(Array.from(guesses[0]!)).toEqual(
        order
          .sort((a, b) => b[1] - a[1])
          .slice(0, 10)
          .map(([id]) => id),
      );
    }
    expect((await session.headGuesses!(3)).length).toBe(shape.heads);
    await expect(session.headGuesses!(4)).rejects.toMatchObject({ code: "bad-input" });
    await heads.close();
  }
  expect(table.length).toBe(config.vocabSize * config.hiddenSize);
  await checkpoint.close();
});

test("what vLLM exports is read as the released form", async () => {
  mkdirSync(at("vllm"), { recursive: true });
  const renamed = tensorsOf(OWN).map((tensor) => ({
    ...tensor,
    name: tensor.name
      .replace(/^(\d+)\.(\d+)\.linear\.(\w+)$/, "blocks.$1.layers.$2.$3")
      .replace(/^(\d+)\.\d+\.weight$/, "lm_heads.$1.weight"),
  }));
  await writeSafetensors(join(at("vllm"), "model.safetensors"), renamed);
  writeFileSync(
    join(at("vllm"), "config.json"),
    JSON.stringify({ model_type: "medusa", num_heads: 2, num_hidden_layers: 2 }),
  );
  const [theirs, ours] = [await readHeads(at("vllm"), sizes), await readHeads(at("own"), sizes)];
  for (const [name] of medusaTensors(sizes, OWN)) {
    expect(await theirs.weights.read(name)).toEqual(await ours.weights.read(name));
  }
  await theirs.close();
  await ours.close();
});

describe("heads that cannot be used are refused, with what to do", () => {
  test("of another size, of no folder, and as a pickle", async () => {
    await expect(load(tiny, { cacheDir, medusaHeads: at("stranger") })).rejects.toThrow(/for another model.*o\/tiny/);
    await expect(load(tiny, { cacheDir, medusaHeads: at("none") })).rejects.toMatchObject({ code: "not-found" });
    mkdirSync(at("pickle"), { recursive: true });
    writeFileSync(join(at("pickle"), "medusa_lm_head.pt"), "PK");
    await expect(load(tiny, { cacheDir, medusaHeads: at("pickle") })).rejects.toThrow(/pickle.*weights_only=True/);
  });

  test("with a tensor too few, one of another kind, and a damaged file", async () => {
    mkdirSync(at("odd"), { recursive: true });
    const file = join(at("odd"), "medusa_lm_head.safetensors");
    const all = tensorsOf(OWN);
    await writeSafetensors(file, all.slice(1));
    await expect(readHeads(at("odd"), sizes)).rejects.toThrow(/lack the tensor 0\.0\.linear\.weight/);
    await writeSafetensors(file, [...all, { name: "token_map", shape: [1], data: Float32Array.of(0) }]);
    await expect(readHeads(at("odd"), sizes)).rejects.toThrow(/token_map is not supported/);
    writeFileSync(file, readFileSync(file).subarray(0, 100));
    await expect(readHeads(at("odd"), sizes)).rejects.toMatchObject({ code: "bad-file" });
    await writeSafetensors(file, all);
    writeFileSync(join(at("odd"), "config.json"), JSON.stringify({ medusa_num_heads: "many" }));
    await expect(readHeads(at("odd"), sizes)).rejects.toThrow(/medusa_num_heads/);
  });

  test("a model without heads has no decoder medusa, and a tree has whole paths", async () => {
    await using plain = await load(tiny, { cacheDir });
    await expect(plain.generate({ prompt: "a", decoder: "medusa" })).rejects.toThrow(/medusaHeads/);
    await using model = await load(tiny, { cacheDir, medusaHeads: at("shared") });
    const decoder = { name: "medusa", tree: [[0, 1]] } as const;
    await expect(model.generate({ prompt: "a", decoder })).rejects.toMatchObject({ code: "usage" });
  });
});

test("heads of a model with an adapter say so where it is not merged", async () => {
  const content = {
    shape: SHARED,
    config: sizes,
    tensors: tensorsOf(SHARED),
    baseModel: "o/tiny",
    baseAdapter: "target",
  };
  await writeHeads(at("adapted"), content);
  expect(existsSync(join(at("adapted"), "README.md"))).toBe(true);
  const notes: string[] = [];
  await using _ = await load(tiny, { cacheDir, medusaHeads: at("adapted"), onWarning: (line) => notes.push(line) });
  expect(notes.join()).toMatch(/trained for the model with target/);
});
