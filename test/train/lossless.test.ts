/**
 * Lossless training: only draft rows run with the adapter and carry loss. The graphs of it agree with decoding, its gradients with finite
 * differences, and a run with itself when it is interrupted; what it learns makes a model write more tokens per pass, and no other ones.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAdapter } from "../../src/checkpoint/peft/read-adapter.ts";
import { jacobi } from "../../src/decode/jacobi.ts";
import type { LoraSettings } from "../../src/model/lora.ts";
import { lowRanks } from "../../src/model/lora.ts";
import { memoryWeights } from "../../src/model/memory-weights.ts";
import { createEngine } from "../../src/runtime/engine.ts";
import { draftForest } from "../../src/runtime/session.ts";
import { makeBatch } from "../../src/train/batch.ts";
import { draftSegment, type Example } from "../../src/train/objectives.ts";
import { type Pack, segment } from "../../src/train/pack.ts";
import { loraParameters, type Parameters } from "../../src/train/parameters.ts";
import { trainSettings } from "../../src/train/settings.ts";
import { shuffled } from "../../src/train/source.ts";
import { splitLayout } from "../../src/train/split-layout.ts";
import { train } from "../../src/train/train.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { BASE, gaussian, randomIds, randomWeights } from "../model/random-model.ts";
import { expectSameAfterInterruption, ownAnswers } from "./runs.ts";

const CONFIG = { ...BASE, attentionBias: true };
const LORA: LoraSettings = { rank: 3, alpha: 6, targets: ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"] };

async function randomParameters(seed: number): Promise<Parameters> {
  const parameters = await loraParameters(CONFIG, randomWeights(CONFIG), LORA, 1);
  const random = gaussian(seed);
  for (const { data } of parameters.trained) for (let i = 0; i < data.length; i++) data[i] = 0.2 * random();
  return parameters;
}

const example = (seed: number, answer = 14): Example => ({
  promptIds: randomIds(9, CONFIG.vocabSize, seed),
  completionIds: randomIds(answer, CONFIG.vocabSize, seed + 100),
});

/** The clean text of examples, and points of them in draft rows. */
function packOf(
  examples: readonly Example[],
  points: readonly (readonly [example: number, start: number, seed: number])[],
): Pack {
  const clean = examples.map(({ promptIds, completionIds }) =>
    segment(Int32Array.of(...promptIds, ...completionIds.slice(0, -1))),
  );
  const noisy = points.map(([index, start, seed]) =>
    draftSegment(
      examples[index]!,
      { start, guesses: randomIds(5, CONFIG.vocabSize, seed) },
      { clean: index, decay: 0.8 },
    ),
  );
  return { segments: [...clean, ...noisy] };
}

describe("the graphs", () => {
  let parameters: Parameters;
  let trainer: Trainer;
  beforeAll(async () => {
    parameters = await randomParameters(4);
    trainer = await Trainer.create(CONFIG, parameters, {
      batch: 2,
      lora: LORA,
      drafts: true,
      threads: 1,
      sequenceLength: 120,
    });
  });
  afterAll(() => trainer.dispose());

  test("predict what draft rows say in decoding, behind any part of a text", async () => {
    const examples = [example(1), example(2), example(3, 9)];
    const packs = [
      packOf(examples.slice(0, 2), [
        [0, 0, 7],
        [1, 6, 8],
        [0, 12, 9],
      ]),
      packOf(examples.slice(2), [[0, 3, 10]]),
    ];
    const next = await trainer.predict(trainer.layOut(packs));
    const draft = lowRanks(parameters.trained, LORA);
    await using engine = await createEngine(CONFIG, memoryWeights(parameters.frozen), {
      precision: "fp32",
      threads: 1,
      draft,
    });
    await using session = engine.session();
    const said: number[] = [];
    for (const [{ promptIds, completionIds }, start, seed] of [
      [examples[0]!, 0, 7],
      [examples[1]!, 6, 8],
      [examples[0]!, 12, 9],
      [examples[2]!, 3, 10],
    ] as const) {
      const guesses = randomIds(5, CONFIG.vocabSize, seed).subarray(0, Math.max(0, completionIds.length - start - 2));
      session.truncate(0);
      await session.forward(Int32Array.of(...promptIds, ...completionIds.subarray(0, start)));
      const rows = Int32Array.of(completionIds[start]!, ...guesses);
      if (rows.length > 1) said.push(...(await session.forward(rows, draftForest(1, rows.length))).subarray(1));
    }
    expect([...next]).toEqual(said);
  });

  test("give the gradients of finite differences, and of nothing but the adapter", async () => {
    const packs = [
      packOf(
        [example(5), example(6)],
        [
          [0, 2, 1],
          [1, 4, 2],
        ],
      ),
      packOf([example(7)], [[0, 0, 3]]),
    ];
    const gradients = await trainer.gradients(packs);
    const { loss } = gradients;
    const byTensor = await trainer.read(gradients);
    expect(Number.isFinite(loss)).toBe(true);
    const lossNow = async (): Promise<number> => (await trainer.gradients(packs)).loss;
    for (const [t, { data }] of parameters.trained.entries()) {
      const gradient = byTensor[t]!;
      const steepest = gradient.reduce((best, g, i) => (Math.abs(g) > Math.abs(gradient[best]!) ? i : best), 0);
      const before = data[steepest]!;
      const step = 4e-3;
      data[steepest] = before + step;
      const above = await lossNow();
      data[steepest] = before - step;
      const below = await lossNow();
      data[steepest] = before;
      const slope = (above - below) / (2 * step);
      // Sums in float32 and a step that is not small: a few per cent.
      expect(Math.abs(slope - gradient[steepest]!)).toBeLessThan(0.03 * Math.abs(slope) + 0.02);
    }
  });

  test("do not care what stands in a batch beside a text, nor whether its clean text was run before", async () => {
    const [one, other] = [packOf([example(8)], [[0, 1, 4]]), packOf([example(9, 20)], [[0, 5, 5]])];
    const alone = await trainer.predict(trainer.layOut([one, one]));
    const beside = await trainer.predict(trainer.layOut([one, other]));
    expect(beside.slice(0, alone.length / 2)).toEqual(alone.slice(0, alone.length / 2));
    expect(await trainer.predict(trainer.layOut([one, one]))).toEqual(alone);
  });

  test("have no place for a row of clean text that carries loss", () => {
    const clean = segment(Int32Array.of(1, 2, 3), { targets: Int32Array.of(2, 3, 4) });
    expect(() => splitLayout(trainer.layOut([{ segments: [clean] }, { segments: [clean] }]))).toThrow(RangeError);
  });
});

test("a point in draft rows has its guesses only, learns from every row, and sees the token that it follows", () => {
  const whole: Example = { promptIds: Int32Array.of(1, 2), completionIds: Int32Array.of(10, 11, 12, 13, 14, 15) };
  const found = draftSegment(whole, { start: 1, guesses: Int32Array.of(12, 40, 14, 41, 42) }, { clean: 0, decay: 0.5 });
  expect([...found.tokens]).toEqual([12, 40, 14]); // what follows a guess further on lies behind the end
  expect([...found.targets]).toEqual([13, 14, 15]);
  expect([...found.weights]).toEqual([1, 1, 0.5]);
  expect(found.after).toBe(4); // the prompt, 10 and 11
});

describe("training", () => {
  const EXAMPLES = Array.from({ length: 6 }, (_, i) => example(50 + i, 16));
  const settings = trainSettings({
    ...{
      objective: "consistency",
      lossless: true,
      loraRank: 4,
      loraTargets: ["q_proj", "v_proj", "up_proj"],
      steps: 12,
    },
    ...{
      sequenceLength: 110,
      blockSize: 8,
      pointsPerExample: 4,
      leadingPoints: 1,
      refinements: 2,
      draftToken: 3,
      seed: 5,
    },
    ...{ learningRate: 1e-2, warmupSteps: 2, checkpointEvery: 4, evaluateEvery: 0, accumulate: 2 },
  });
  const make = async (): Promise<Trainer> =>
    Trainer.create(CONFIG, await loraParameters(CONFIG, randomWeights(CONFIG), settings.lora!, 5), {
      ...{ ...settings, drafts: true, threads: 1 },
    });

  test("packs have no AR term, and points that the student refines", async () => {
    await using trainer = await make();
    const source = shuffled(EXAMPLES, 5);
    for (let place = 0; place < 12; place += 4) {
      const { packs } = await makeBatch(trainer, source, place, settings);
      const segments = packs.flatMap((pack) => pack.segments);
      expect(segments.filter(({ term }) => term === "ar").every(({ targets }) => targets.length === 0)).toBe(true);
      const noisy = segments.filter(({ term }) => term === "consistency");
      expect(noisy.length).toBeGreaterThan(0);
      for (const { tokens, targets } of noisy) expect(targets.length).toBe(tokens.length);
    }
  });

  test("goes on bit for bit where it was interrupted", async () => {
    await expectSameAfterInterruption(make, EXAMPLES, settings, ({ arLoss }) => expect(arLoss).toBeNull());
  });

  test("makes jacobi write the model's own tokens in fewer passes", async () => {
    const weights = randomWeights(CONFIG);
    const own = await ownAnswers(CONFIG, weights, EXAMPLES.slice(0, 2));
    const longer = { ...settings, steps: 60, accumulate: 1, learningRate: 2e-2 };
    await using trainer = await make();
    for await (const _ of train(trainer, shuffled(own, 5), longer, { folder: null })) {
      // The weights are what is looked at.
    }
    const draft = lowRanks(trainer.parameters.trained, settings.lora!);
    const config = { ...CONFIG, draftTokenId: 3 };
    await using engine = await createEngine(config, weights, { precision: "fp32", threads: 1, draft });
    await using drafting = engine.session();
    let passes = 0;
    for (const { promptIds, completionIds } of own) {
      const tokens: number[] = [];
      drafting.truncate(0);
      for await (const { accepted } of jacobi(drafting, promptIds, { maxNewTokens: 20, blockSize: 8 })) {
        tokens.push(...accepted);
        passes++;
      }
      expect(tokens).toEqual([...completionIds]);
    }
    expect(passes).toBeLessThan(30); // of 40 without an adapter
  });
});

test("settings that do not fit are refused, with what fits", () => {
  for (const [options, words] of [
    [{ lossless: true, loraRank: 4 }, /objective consistency/],
    [{ lossless: true, objective: "consistency" }, /loraRank/],
    [{ lossless: true, objective: "consistency", loraRank: 4, points: "stored" }, /on-policy/],
    [{ lossless: true, objective: "consistency", loraRank: 4, loss: "kl" }, /hard/],
  ] as const)
    expect(() => trainSettings(options)).toThrow(words);
});

test("the file of a draft adapter says what it is, and is read back so", async () => {
  const { adapterOf, withAdapter, writeAdapter } = await import("../../src/checkpoint/peft/adapter.ts");
  const { readDraftAdapter } = await import("../../src/checkpoint/peft/draft.ts");
  const folder = await mkdtemp(join(tmpdir(), "cllm-draft-file-"));
  try {
    const { trained } = await loraParameters(CONFIG, randomWeights(CONFIG), LORA, 1);
    const content = {
      name: "mine",
      baseModel: "owner/base",
      rank: 3,
      alpha: 6,
      draftTokenId: 3,
      drafts: true,
      baseAdapter: "target",
    };
    const [at, plain] = [join(folder, "mine"), join(folder, "plain")];
    await writeAdapter(at, await adapterOf(content, trained));
    await writeAdapter(plain, await adapterOf({ ...content, drafts: undefined, baseAdapter: undefined }, trained));
    expect(JSON.parse(await readFile(join(at, "cllm.json"), "utf8"))).toEqual({
      ...{ draft_adapter: true, base_adapter: "target", draft_token_id: 3 },
    });
    expect(await readFile(join(at, "README.md"), "utf8")).toContain("Never merge it");
    const weights = randomWeights(CONFIG);
    const adapter = await readDraftAdapter(at, weights);
    expect(adapter).toMatchObject({ drafts: true, baseAdapter: "target", draftTokenId: 3 });
    expect(() => withAdapter(weights, adapter)).toThrow(/draft adapter.*--draft-adapter/);
    await expect(readDraftAdapter(plain, weights)).rejects.toMatchObject({ code: "usage" });
    expect(withAdapter(weights, await readAdapter(plain)).names()).toEqual(weights.names());
    const other = randomWeights({ ...CONFIG, hiddenSize: 64 });
    await expect(readDraftAdapter(at, other)).rejects.toMatchObject({ code: "bad-weights" });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
