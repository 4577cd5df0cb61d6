/**
 * Training of Medusa heads: the graph's loss is that of its definition, its gradients those of finite differences and of nothing else, a run
 * goes on bit for bit where it was interrupted, and what is learned makes the decoder write the model's own tokens in fewer passes.
 */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { medusa } from "../../src/decode/medusa.ts";
import { load } from "../../src/generate/load.ts";
import { medusaTensors } from "../../src/model/medusa.ts";
import { memoryWeights } from "../../src/model/memory-weights.ts";
import { createEngine } from "../../src/runtime/engine.ts";
import { headTargets, headTotals } from "../../src/train/head-targets.ts";
import { cleanSegment, type Example } from "../../src/train/objectives.ts";
import { type Pack, segment } from "../../src/train/pack.ts";
import { fullParameters, loraParameters, medusaParameters, type Parameters } from "../../src/train/parameters.ts";
import { prepareTraining } from "../../src/train/prepare.ts";
import { runTraining } from "../../src/train/run.ts";
import { type MedusaSettings, type TrainFields, trainSettings } from "../../src/train/settings.ts";
import { shuffled } from "../../src/train/source.ts";
import { train } from "../../src/train/train.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { BASE, gaussian, randomIds, randomWeights } from "../model/random-model.ts";
import { expectSameAfterInterruption, ownAnswers } from "./runs.ts";

const CONFIG = { ...BASE, attentionBias: true };
const LORA = { rank: 3, alpha: 6, targets: ["q_proj", "v_proj"] as const };
const settingsOf = (more: Partial<TrainFields> = {}) =>
  trainSettings({
    ...{ objective: "medusa", medusaNumHeads: 2, steps: 10, sequenceLength: 100, seed: 5, accumulate: 2 },
    ...{ learningRate: 1e-2, warmupSteps: 2, checkpointEvery: 4, evaluateEvery: 0 },
    ...more,
  });

const example = (seed: number): Example => ({
  promptIds: randomIds(7, CONFIG.vocabSize, seed),
  completionIds: randomIds(11, CONFIG.vocabSize, seed + 100),
});

async function parametersOf(settings: ReturnType<typeof settingsOf>, noise = 0): Promise<Parameters> {
  const weights = randomWeights(CONFIG);
  const { medusa: shape, lora } = settings;
  const base =
    shape!.base === "frozen"
      ? null
      : lora === null
        ? await fullParameters(CONFIG, weights)
        : await loraParameters(CONFIG, weights, lora, 1);
  const parameters = await medusaParameters(CONFIG, weights, shape!, base);
  const random = gaussian(3);
  for (const { data } of parameters.trained)
    for (let i = 0; i < data.length; i++) data[i] = data[i]! + noise * random();
  return parameters;
}

test("head k learns the token k + 1 places behind a row's own, and never one of another text", () => {
  const first = cleanSegment({ promptIds: Int32Array.of(1, 2), completionIds: Int32Array.of(10, 11, 12) });
  const other = segment(Int32Array.of(5), { targets: Int32Array.of(20) });
  const packs: Pack[] = [{ segments: [first, other] }, { segments: [first] }];
  const { targets, weights } = headTargets(packs, 2, 8);
  expect(targets.map((each) => [...each])).toEqual([
    [11, 12, 0, 0, 11, 12, 0, 0],
    [12, 0, 0, 0, 12, 0, 0, 0],
  ]);
  expect(weights.map((each) => [...each])).toEqual([
    [1, 1, 0, 0, 1, 1, 0, 0],
    [1, 0, 0, 0, 1, 0, 0, 0],
  ]);
  expect(headTotals(packs, 3)).toEqual([4, 2, 0]);
});

describe.each([
  ["a frozen base", {}],
  ["own matrices and two blocks", { medusaLinear: "own", medusaNumLayers: 2 }],
  ["the base with them", { medusaBase: "trained", medusaWeight: 0.5 }],
  ["a LoRA with them", { medusaBase: "trained", loraRank: LORA.rank, loraTargets: [...LORA.targets] }],
] as const)("the graph of %s", (_, more) => {
  const settings = settingsOf(more as Partial<TrainFields>);
  const heads = settings.medusa!;
  const packs = [example(1), example(2)].map((each): Pack => ({ segments: [cleanSegment(each)] }));
  const factors = { ar: 0.03, consistency: 0 };
  let parameters: Parameters;
  let trainer: Trainer;
  beforeAll(async () => {
    parameters = await parametersOf(settings, 0.1);
    trainer = await Trainer.create(CONFIG, parameters, { ...settings, batch: 2, threads: 1 });
  });
  afterAll(() => trainer.dispose());

  test("has the loss of its definition, which decoding's graph has the logits for", async () => {
    const { loss, headLosses } = await trainer.gradients(packs, factors, [0.05, 0.02]);
    const { medusaLoss } = await plainLoss(settings, parameters, packs);
    expect(headLosses[0]!.sum).toBeCloseTo(medusaLoss[0]!, 2);
    expect(headLosses[1]!.sum).toBeCloseTo(medusaLoss[1]!, 2);
    const weighted = 0.05 * headLosses[0]!.sum + 0.02 * headLosses[1]!.sum;
    if (heads.base === "frozen") expect(loss).toBeCloseTo(weighted, 4);
    else expect(loss).toBeGreaterThan(weighted + 0.1);
  });

  test("gives the gradients of finite differences, and of what is trained alone", async () => {
    const gradients = await trainer.gradients(packs, factors, [0.05, 0.02]);
    const byTensor = await trainer.read(gradients);
    expect(byTensor.length).toBe(parameters.trained.length);
    if (heads.base === "frozen")
      expect(parameters.trained.map(({ name }) => name)).toEqual(medusaTensors(CONFIG, heads).map(([name]) => name));
    const lossNow = async (): Promise<number> => (await trainer.gradients(packs, factors, [0.05, 0.02])).loss;
    const few = parameters.trained
      .map((_, i) => i)
      .filter((i, at, all) => at % Math.ceil(all.length / 8) === 0 || i === all.length - 1);
    for (const t of few) {
      const { data } = parameters.trained[t]!;
      const gradient = byTensor[t]!;
      const steepest = gradient.reduce((best, g, i) => (Math.abs(g) > Math.abs(gradient[best]!) ? i : best), 0);
      const before = data[steepest]!;
      const step = 1e-2;
      data[steepest] = before + step;
      const above = await lossNow();
      data[steepest] = before - step;
      const below = await lossNow();
      data[steepest] = before;
      const slope = (above - below) / (2 * step);
      // Sums in float32 and a step that is not small: a few per cent.
      expect(Math.abs(slope - gradient[steepest]!)).toBeLessThan(0.03 * Math.abs(slope) + 2e-3);
    }
  });
});

/** The heads' summed cross entropies from their definition, by plain loops over the hidden states that decoding's session has. */
async function plainLoss(
  settings: ReturnType<typeof settingsOf>,
  { trained, frozen }: Parameters,
  packs: readonly Pack[],
) {
  const shape = settings.medusa as MedusaSettings;
  const { mergedTensors } = await import("../../src/model/lora.ts");
  const own = trained.filter(({ name }) => !/^\d/.test(name));
  const tensors =
    shape.base === "frozen" ? frozen : settings.lora === null ? own : [...mergedTensors(frozen, own, settings.lora)];
  const byName = new Map([...tensors, ...trained].map((tensor) => [tensor.name, tensor.data]));
  const size = CONFIG.hiddenSize;
  const table = byName.get(CONFIG.tiedHead ? "model.embed_tokens.weight" : "lm_head.weight")!;
  const product = (matrix: Float32Array, x: Float64Array): Float64Array =>
    Float64Array.from({ length: matrix.length / size }, (_, row) =>
      x.reduce((sum, value, i) => sum + value * matrix[row * size + i]!, 0),
    );
  const { buildGraph } = await import("../../src/runtime/build-graph.ts");
  const { cpu } = await import("../../src/runtime/devices/cpu.ts");
  const { openSession } = await import("../../src/runtime/onnx-session.ts");
  const { single } = await import("../../src/runtime/pass-runner.ts");
  const products = await cpu.plan("fp32", { wholeWeights: 0 });
  const { encoded } = await buildGraph({ config: CONFIG, device: "cpu", products }, memoryWeights(tensors));
  const program = await cpu.compile(encoded, { threads: 1 });
  const seen: Float32Array[] = [];
  const runner = single({ plain: program, drafting: null });
  const guess = async (hidden: Float32Array) => {
    seen.push(hidden);
    return [];
  };
  const heads = { count: 1, guess, release: async () => {} };
  const medusaLoss = Array.from({ length: shape.heads }, () => 0);
  for (const pack of packs) {
    const [part] = pack.segments as [Pack["segments"][number]];
    const session = openSession(runner, CONFIG, {
      rows: cpu.rows,
      caches: await cpu.caches(CONFIG, products),
      heads,
    });
    await session.forward(part.tokens);
    for (let row = 0; row < part.tokens.length; row++) {
      if (part.targets[row]! < 0) continue;
      await session.headGuesses!(row);
      const hidden = Float64Array.from(seen.at(-1)!);
      for (let head = 0; head < shape.heads; head++) {
        const target = part.targets[row + head + 1] ?? -1;
        if (target < 0) continue;
        let x = hidden;
        for (let layer = 0; layer < shape.layers; layer++) {
          const y = product(byName.get(`${head}.${layer}.linear.weight`)!, x);
          const bias = byName.get(`${head}.${layer}.linear.bias`)!;
          x = x.map((value, i) => value + (y[i]! + bias[i]!) / (1 + Math.exp(-(y[i]! + bias[i]!))));
        }
        const logits = product(shape.ownLinear ? byName.get(`${head}.${shape.layers}.weight`)! : table, x);
        const most = logits.reduce((a, b) => Math.max(a, b));
        const sum = logits.reduce((all, logit) => all + Math.exp(logit - most), 0);
        medusaLoss[head]! += most + Math.log(sum) - logits[target]!;
      }
    }
    await session.dispose();
  }
  await program.release();
  return { medusaLoss };
}

describe("training", () => {
  const EXAMPLES = Array.from({ length: 6 }, (_, i) => example(50 + i));

  test.each([
    ["heads alone", {}],
    ["the base too, once the heads are warm", { medusaBase: "trained", medusaWarmup: 3 }],
  ] as const)("goes on bit for bit where it was interrupted: %s", async (_, more) => {
    const settings = settingsOf(more);
    const before = await parametersOf(settings);
    const make = async () => Trainer.create(CONFIG, await parametersOf(settings), { ...settings, threads: 1 });
    await expectSameAfterInterruption(make, EXAMPLES, settings, ({ step, headLosses, arLoss }, { parameters }) => {
      expect(headLosses?.length).toBe(2);
      expect(arLoss === null).toBe(settings.medusa!.base === "frozen");
      const moved = parameters.trained.filter(({ data }, i) =>
        data.some((value, j) => value !== before.trained[i]!.data[j]),
      );
      const warm = step > settings.medusa!.warmup && settings.medusa!.base === "trained";
      expect(moved.some(({ name }) => !/^\d/.test(name))).toBe(warm);
    });
  });

  test("makes the decoder write the model's own tokens in fewer passes", async () => {
    const settings = { ...settingsOf({ steps: 60 }), accumulate: 1, learningRate: 2e-2 };
    const weights = randomWeights(CONFIG);
    const own = await ownAnswers(CONFIG, weights, EXAMPLES.slice(0, 2));
    await using trainer = await Trainer.create(CONFIG, await parametersOf(settings), { ...settings, threads: 1 });
    for await (const _ of train(trainer, shuffled(own, 5), settings, { folder: null })) {
      // The weights are what is looked at.
    }
    const heads = { ...settings.medusa!, weights: memoryWeights(trainer.parameters.trained) };
    await using engine = await createEngine(CONFIG, weights, { precision: "fp32", threads: 1, heads });
    await using guessing = engine.session();
    let passes = 0;
    for (const { promptIds, completionIds } of own) {
      const tokens: number[] = [];
      guessing.truncate(0);
      for await (const { accepted } of medusa(guessing, promptIds, { maxNewTokens: 20, nodes: 6 })) {
        tokens.push(...accepted);
        passes++;
      }
      expect(tokens).toEqual([...completionIds]);
    }
    expect(passes).toBeLessThan(28); // of 40 without heads
  });
});

describe("a run", () => {
  test.each([
    ["frozen", []],
    ["trained", ["config.json", "model.safetensors"]],
  ] as const)("with the base %s leaves heads that load", async (medusaBase, beside) => {
    const folder = await mkdtemp(join(tmpdir(), "cllm-medusa-run-"));
    try {
      const model = writeTinyCheckpoint(join(folder, "tiny"));
      const { writeFile } = await import("node:fs/promises");
      const lines = Array.from({ length: 8 }, (_, i) =>
        JSON.stringify({ prompt: `the ${i}`, answer: "and the owls and the" }),
      );
      await writeFile(join(folder, "data.jsonl"), lines.join("\n"));
      await using training = await prepareTraining({
        ...{ model, folder: join(folder, "run"), heldOut: 2, threads: 1 },
        source: { data: join(folder, "data.jsonl"), promptField: "prompt", answerField: "answer", raw: true },
        settings: {
          objective: "medusa",
          medusaBase,
          medusaNumHeads: 2,
          steps: 3,
          sequenceLength: 64,
          evaluateEvery: 2,
        },
      });
      for await (const _ of runTraining(training.run)) {
        // Its folder is what is looked at.
      }
      const best = join(folder, "run/best");
      const heads = medusaBase === "frozen" ? best : join(best, "heads");
      for (const file of beside) expect(existsSync(join(best, file))).toBe(true);
      expect(await readFile(join(folder, "run/curves.svg"), "utf8")).toContain("head 2");
      await using loaded = await load(medusaBase === "frozen" ? model : best, {
        ...{ precision: "fp32", cacheDir: join(folder, "cache"), medusaHeads: heads },
      });
      const request = { prompt: "the 3", maxNewTokens: 12 };
      const { tokens } = await loaded.generate({ ...request, decoder: "ar" });
      expect((await loaded.generate({ ...request, decoder: "medusa" })).tokens).toEqual(tokens);
      await (await openCheckpoint(medusaBase === "frozen" ? model : best)).close();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

test("settings that do not fit are refused, with what fits", () => {
  for (const [options, words] of [
    [{ objective: "medusa", loraRank: 4 }, /medusaBase trained/],
    [{ objective: "medusa", lossless: true }, /objective consistency/],
    [{ objective: "medusa", medusaNumHeads: 99 }, /medusaNumHeads/],
  ] as const)
    expect(() => trainSettings(options)).toThrow(words);
  expect(trainSettings({ objective: "ar" })).not.toHaveProperty("medusa");
});
