/** The training loop: one definition with decoding, losses that fall, and runs that go on as if nothing had happened. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { CllmError } from "../../src/error.ts";
import { ownOwner } from "../../src/files/owner.ts";

import { hash } from "../../src/hash.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { FAMILY_NAMES } from "../../src/model/families/index.ts";
import { memoryWeights } from "../../src/model/memory-weights.ts";
import { createEngine } from "../../src/runtime/engine.ts";
import { savedState } from "../../src/train/checkpoints.ts";
import { evaluate } from "../../src/train/evaluate.ts";
import type { Example } from "../../src/train/objectives.ts";
import { segment } from "../../src/train/pack.ts";
import { fullParameters, loraParameters, type Parameters, randomParameters } from "../../src/train/parameters.ts";
import { type TrainFields, type TrainSettings, trainSettings } from "../../src/train/settings.ts";
import { permuted, shuffled } from "../../src/train/source.ts";
import { type TrainRecord, train } from "../../src/train/train.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { BASE, configs, randomIds, randomWeights } from "../model/random-model.ts";

const EOS = 1;
const config: ModelConfig = { ...BASE, vocabSize: 24, contextLength: 64, eosTokenIds: [EOS] };

/** Texts that can be learned: count up from the prompt's last token, by its first one. */
const examples: Example[] = Array.from({ length: 40 }, (_, i) => {
  const [by, from] = [1 + (i % 3), hash(i) % 20];
  const promptIds = Int32Array.of(2 + by, 7, 2 + from);
  const counted = Array.from({ length: 12 }, (_, j) => 2 + ((from + by * (j + 1)) % 22));
  return { promptIds, completionIds: Int32Array.of(...counted, EOS) };
});

const settingsOf = (more: Partial<TrainFields>): TrainSettings =>
  trainSettings({
    steps: 6,
    sequenceLength: 64,
    learningRate: 3e-3,
    warmupSteps: 2,
    checkpointEvery: 2,
    ...more,
  });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cllm-train-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Run to the end, or until `until` steps; records and weights. */
async function run(settings: TrainSettings, { keep = true, until = Number.POSITIVE_INFINITY, seed = 1 } = {}) {
  const parameters: Parameters =
    settings.lora === null
      ? randomParameters(config, seed)
      : await loraParameters(config, memoryWeights(randomParameters(config, seed).trained), settings.lora, seed);
  await using trainer = await Trainer.create(config, parameters, {
    ...{ batch: settings.batch, lora: settings.lora, divergence: settings.loss === "kl", threads: 1 },
    labelSmoothing: settings.labelSmoothing,
    sequenceLength: settings.sequenceLength,
  });
  const records: TrainRecord[] = [];
  const evaluated = settings.lora === null;
  const generator = train(trainer, shuffled(examples, settings.seed), settings, {
    folder: keep ? folder : null,
    ...(evaluated
      ? {
          evaluate: () =>
            evaluate(config, parameters.trained, examples.slice(0, 6), {
              blockSize: 8,
              stopIds: new Set([EOS]),
              maxNewTokens: 16,
            }),
        }
      : {}),
  });
  for await (const record of generator) {
    records.push(record);
    if (record.type === "step" && record.step >= until) break;
  }
  return { records, parameters };
}

const bits = ({ trained }: Parameters): string[] =>
  trained.flatMap(({ data, first, second }) =>
    [data, first, second].map((array) => Buffer.from(array.buffer).toString("base64")),
  );

const kinds: Partial<TrainFields>[] = [
  { objective: "ar", promptWeight: 0.1, labelSmoothing: 0.1 },
  { objective: "ar", batch: 2, accumulate: 2 },
  { objective: "consistency", blockSize: 6, pointsPerExample: 2 },
  { objective: "consistency", blockSize: 6, loss: "kl", arWeight: 10 },
  {
    objective: "consistency",
    blockSize: 6,
    learningRate: 2e-2,
    loraRank: 4,
    loraTargets: ["q_proj", "v_proj", "down_proj"],
  },
];

describe("a run", () => {
  test.each(kinds)("of %j learns, and goes on where it was to the same bits", async (kind) => {
    const settings = settingsOf(kind);
    const whole = await run(settings, { keep: false });
    const steps = whole.records.filter((record) => record.type === "step");
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(steps.every(({ loss }) => Number.isFinite(loss))).toBe(true);
    expect(steps.at(-1)!.arLoss!).toBeLessThan(steps[0]!.arLoss!);

    await run(settings, { until: 3 }); // the last checkpoint is that of step 2
    const resumed = await run(settings);
    expect(resumed.records.find((record) => record.type === "step")!.step).toBe(3);
    expect(bits(resumed.parameters)).toEqual(bits(whole.parameters));
    expect(readdirSync(join(folder, "checkpoints"))).toEqual(["step-00000006"]);
  });

  test("is saved before it is evaluated, and goes on with the evaluation that was cut short", async () => {
    const settings = settingsOf({ evaluateEvery: 3, checkpointEvery: 100 });
    const parameters = randomParameters(config, 1);
    await using trainer = await Trainer.create(config, parameters, { batch: 1, threads: 1 });
    const stop = new AbortController();
    const steps: number[] = [];
    await expect(
      (async () => {
        const records = train(trainer, shuffled(examples, settings.seed), settings, {
          folder,
          signal: stop.signal,
          evaluate: async () => {
            stop.abort();
            throw new CllmError("aborted", "Ctrl-C in the middle of it");
          },
        });
        for await (const { step } of records) steps.push(step);
      })(),
    ).rejects.toMatchObject({ code: "aborted" });
    expect(steps).toEqual([1, 2, 3]);
    expect(await savedState(folder)).toMatchObject({ step: 3, last: null });

    const resumed = await run(settings);
    expect(resumed.records.map(({ type, step }) => [type, step])).toEqual([
      ...[
        ["evaluation", 3],
        ["step", 4],
        ["step", 5],
        ["step", 6],
        ["evaluation", 6],
      ],
    ]);
    rmSync(folder, { recursive: true });
    const whole = await run(settings);
    const measured = ({ records }: typeof whole) =>
      records.filter(({ type }) => type === "evaluation").map((record) => ({ ...record, seconds: 0 }));
    expect(measured(resumed)).toEqual(measured(whole));
    expect(bits(resumed.parameters)).toEqual(bits(whole.parameters));
  });

  test("aborted between steps loses none of them", async () => {
    const settings = settingsOf({ checkpointEvery: 100 });
    await using trainer = await Trainer.create(config, randomParameters(config, 1), { batch: 1, threads: 1 });
    const stop = new AbortController();
    await expect(
      (async () => {
        const options = { folder, signal: stop.signal };
        for await (const { step } of train(trainer, shuffled(examples, 0), settings, options))
          if (step === 4) stop.abort();
      })(),
    ).rejects.toMatchObject({ code: "aborted" });
    expect(await savedState(folder)).toMatchObject({ step: 4 });
  });

  test("goes on from a checkpoint of before losses were held out, and refuses one without its state", async () => {
    const settings = settingsOf({});
    await run(settings, { until: 3 });
    const path = join(folder, "checkpoints", "step-00000002", "state.json");
    const { last: _, ...state } = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...state, best: { step: 2, accuracy: 0.5, tokensPerForward: 1.5 } }));
    expect(await savedState(folder)).toMatchObject({ last: null, best: { step: 2, heldOutLoss: null } });
    rmSync(path);
    await expect(run(settings)).rejects.toMatchObject({
      code: "bad-file",
      message: expect.stringMatching(/delete it/),
    });
  });

  test("that is over does nothing more", async () => {
    const settings = settingsOf({});
    const first = await run(settings);
    const again = await run(settings);
    expect(again.records).toEqual([]);
    expect(bits(again.parameters)).toEqual(bits(first.parameters));
  });

  test("goes on from the checkpoint before one that was cut short", async () => {
    const settings = settingsOf({});
    await run(settings, { until: 5 });
    const { place, pid } = ownOwner();
    const half = join(folder, "checkpoints", `step-00000006.${place}-${pid}-1-0123abcd.incomplete`);
    cpSync(join(folder, "checkpoints", "step-00000004"), half, { recursive: true });
    const resumed = await run(settings);
    expect(resumed.records.find((record) => record.type === "step")!.step).toBe(5);
    expect(existsSync(half)).toBe(false);
  });

  test("refuses a damaged checkpoint with what to do", async () => {
    await run(settingsOf({}), { until: 3 });
    const state = join(folder, "checkpoints", "step-00000002", "state.json");
    const refused = { code: "bad-file", message: expect.stringMatching(/cannot be resumed.*delete it/s) };
    writeFileSync(state, "{}");
    await expect(run(settingsOf({}))).rejects.toMatchObject(refused);
    rmSync(state);
    await expect(run(settingsOf({}))).rejects.toMatchObject(refused);
  });

  test("stops at numbers that are not finite, with the last checkpoint in place", async () => {
    const settings = settingsOf({ learningRate: 1e30, clipNorm: 0, warmupSteps: 0, checkpointEvery: 1 });
    await expect(run(settings)).rejects.toMatchObject({ code: "diverged" });
    expect(readdirSync(join(folder, "checkpoints"))).toHaveLength(1);
  });

  test("takes one answer of a few for luck, not for a collapse", async () => {
    await using trainer = await Trainer.create(config, randomParameters(config, 1), { batch: 1, threads: 1 });
    const measured = { examples: 4, cutOff: 0, heldOutLoss: 1 };
    const found = [
      { ...measured, accuracy: 0.25, tokensPerForward: 1.1 },
      { ...measured, accuracy: 0, tokensPerForward: 1.9 },
    ];
    const settings = settingsOf({ steps: 2, evaluateEvery: 1 });
    const generator = train(trainer, shuffled(examples, 0), settings, {
      folder,
      evaluate: async (step) => found[step - 1]!,
    });
    const steps: number[] = [];
    for await (const { step } of generator) steps.push(step);
    expect(steps).toEqual([1, 1, 2, 2]);
  });

  test("stops a collapse: more tokens per forward, fewer right answers", async () => {
    await using trainer = await Trainer.create(config, randomParameters(config, 1), { batch: 1, threads: 1 });
    const found = [
      { examples: 9, accuracy: 0.9, tokensPerForward: 1.1, cutOff: 0, heldOutLoss: 1 },
      { examples: 9, accuracy: 0.85, tokensPerForward: 1.9, cutOff: 0, heldOutLoss: 0.9 },
      { examples: 9, accuracy: 0.65, tokensPerForward: 8, cutOff: 5, heldOutLoss: 0.8 }, // so much faster that it would count as the best
    ];
    const best: number[] = [];
    const generator = train(trainer, shuffled(examples, 0), settingsOf({ evaluateEvery: 1 }), {
      folder,
      evaluate: async (step) => found[step - 1]!,
      onBest: async (_tensors, step) => void best.push(step),
    });
    await expect(
      (async () => {
        for await (const _ of generator);
      })(),
    ).rejects.toMatchObject({
      code: "diverged",
      message: expect.stringMatching(/collapsing at step 3.*0\.900 to 0\.650/),
    });
    expect(best).toEqual([1, 2]);
  });

  test("saves before it stops by signal", async () => {
    const controller = new AbortController();
    await using trainer = await Trainer.create(config, randomParameters(config, 1), { batch: 1, threads: 1 });
    const generator = train(trainer, shuffled(examples, 0), settingsOf({ checkpointEvery: 100 }), {
      folder,
      signal: controller.signal,
    });
    await generator.next();
    controller.abort();
    await expect(generator.next()).rejects.toMatchObject({ code: "aborted" });
    expect(readdirSync(join(folder, "checkpoints"))).toEqual(["step-00000001"]);
  });
});

test("consistency training settles more tokens per forward than fine-tuning, and keeps the answers", async () => {
  const parameters = randomParameters(config, 1);
  const phase = async (more: Partial<TrainFields>) => {
    const settings = settingsOf({
      learningRate: 1e-2,
      checkpointEvery: 1000,
      sequenceLength: 256,
      warmupSteps: 10,
      ...more,
    });
    for (const { first, second } of parameters.trained) for (const moment of [first, second]) moment.fill(0);
    await using trainer = await Trainer.create(config, parameters, { batch: 1, sequenceLength: 256 });
    for await (const _ of train(trainer, shuffled(examples, 0), settings, { folder: null }));
    return evaluate(config, parameters.trained, examples, { blockSize: 8, stopIds: new Set([EOS]), maxNewTokens: 16 });
  };
  const ar = await phase({ steps: 200 });
  const cllm = await phase({ steps: 200, objective: "consistency", blockSize: 8, pointsPerExample: 3 });
  expect(ar.accuracy).toBeGreaterThan(0.8);
  expect(cllm.accuracy).toBeGreaterThan(0.8);
  expect(cllm.tokensPerForward).toBeGreaterThan(1.3 * ar.tokensPerForward);
  expect([ar.cutOff, cllm.cutOff].every((count) => count <= 0.2 * examples.length)).toBe(true); // what is right has ended
  const endless = { blockSize: 8, stopIds: new Set<number>(), maxNewTokens: 16 };
  expect((await evaluate(config, parameters.trained, examples, endless)).cutOff).toBe(examples.length);
});

describe("the training graph", () => {
  test.each(FAMILY_NAMES)("of a %s predicts what its decode graph decodes", async (family) => {
    await fc.assert(
      fc.asyncProperty(configs(family), fc.nat(), fc.integer({ min: 2, max: 30 }), async (model, seed, count) => {
        const weights = randomWeights(model, { seed });
        const ids = randomIds(count, model.vocabSize, seed);
        await using engine = await createEngine(model, weights, { precision: "fp32", threads: 1 });
        await using session = engine.session();
        const logits = await session.logits(ids);
        const parameters = await fullParameters(model, weights);
        await using trainer = await Trainer.create(model, parameters, { batch: 1, threads: 1 });
        const targets = ids.map((id) => (id + 1) % model.vocabSize);
        const { crossEntropies } = await trainer.gradients([{ segments: [segment(ids, { targets })] }]);
        for (let i = 0; i < count; i++) {
          const row = Array.from(logits.subarray(i * model.vocabSize, (i + 1) * model.vocabSize));
          const top = Math.max(...row);
          const expected = top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0)) - row[targets[i]!]!;
          expect(Math.abs(crossEntropies[i]! - expected)).toBeLessThan(1e-3 * Math.max(1, expected));
        }
      }),
      { numRuns: 6 },
    );
  });

  test("has the gradients of finite differences, all tensors of all families", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...FAMILY_NAMES).chain(configs), fc.nat(), async (model, seed) => {
        const parameters = await fullParameters(model, randomWeights(model, { seed }));
        await using trainer = await Trainer.create(model, parameters, { batch: 1, threads: 1, labelSmoothing: 0.1 });
        const ids = randomIds(12, model.vocabSize, seed);
        const pack = { segments: [segment(ids, { targets: ids.map((id) => (id * 3 + 1) % model.vocabSize) })] };
        const byTensor = await trainer.read(await trainer.gradients([pack]));
        for (const [i, { data }] of parameters.trained.entries()) {
          // Along the gradient's own direction, the loss changes by its norm.
          const gradient = byTensor[i]!;
          const norm = Math.hypot(...gradient);
          if (norm < 1e-2) continue;
          const before = Float32Array.from(data);
          const step = 1e-2 / Math.max(1, norm / 10);
          const losses: number[] = [];
          for (const sign of [1, -1]) {
            for (let j = 0; j < data.length; j++) data[j] = before[j]! + (sign * step * gradient[j]!) / norm;
            losses.push((await trainer.gradients([pack])).loss);
          }
          data.set(before);
          expect(Math.abs((losses[0]! - losses[1]!) / (2 * step) / norm - 1)).toBeLessThan(0.05);
        }
      }),
      { numRuns: 6 },
    );
  });
});

test("examples that stay together come in a row, each once a round", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 9 }), fc.nat(), (size, together, seed) => {
      const list = Array.from({ length: size }, (_, i) => ({
        promptIds: Int32Array.of(i),
        completionIds: Int32Array.of(0),
      }));
      const source = shuffled(list, seed, together);
      for (const round of [0, 1]) {
        const drawn = list.map((_, i) => source.example(round * size + i).promptIds[0] as number);
        expect(drawn.toSorted((a, b) => a - b)).toEqual(list.map((_, i) => i));
        for (const [i, place] of drawn.entries()) {
          if (i % together !== 0) expect(place).toBe((drawn[i - 1] as number) + 1);
        }
      }
    }),
  );
});

test("every place of a permutation comes once, and each round has an order of its own", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(), (size, key) => {
      const places = Array.from({ length: size }, (_, i) => permuted(i, size, key));
      expect(new Set(places).size).toBe(size);
      expect(Math.max(...places)).toBeLessThan(size);
    }),
  );
  const source = shuffled(examples, 5);
  const round = (from: number) => Array.from({ length: 40 }, (_, i) => examples.indexOf(source.example(from + i)));
  expect(round(0)).not.toEqual(round(40));
  expect(round(0).toSorted()).toEqual(round(40).toSorted());
});
