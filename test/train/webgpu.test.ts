/**
 * Training on a GPU, or on the software driver that comes with Chromium: the processor's losses, runs that go on to the same bits, and
 * devices that are refused. Where no driver is, only what needs none runs.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hash } from "../../src/hash.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { memoryWeights } from "../../src/model/memory-weights.ts";
import { cpu } from "../../src/runtime/devices/cpu.ts";
import type { Device } from "../../src/runtime/devices/device.ts";
import type { Example } from "../../src/train/objectives.ts";
import { loraParameters, type Parameters, randomParameters } from "../../src/train/parameters.ts";
import { type TrainFields, trainSettings } from "../../src/train/settings.ts";
import { shuffled } from "../../src/train/source.ts";
import { type TrainRecord, train } from "../../src/train/train.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { openTrainer, proveTraining } from "../../src/train/training-device.ts";
import { BASE } from "../model/random-model.ts";
import { gpu } from "../runtime/gpu.ts";

const device = await gpu("training on a GPU");

const EOS = 1;
const config: ModelConfig = { ...BASE, layers: 1, vocabSize: 24, contextLength: 64, eosTokenIds: [EOS] };
const examples: Example[] = Array.from({ length: 12 }, (_, i) => ({
  promptIds: Int32Array.of(2, 7, 2 + (hash(i) % 20)),
  completionIds: Int32Array.of(...Array.from({ length: 6 }, (_, j) => 2 + ((hash(i) + j) % 22)), EOS),
}));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cllm-train-gpu-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A run on a device, to the end or to step `until`: its losses, weights and moments. */
async function run(on: Device, fields: Partial<TrainFields>, { keep = false, until = 99 } = {}) {
  const settings = trainSettings({
    ...{ steps: 4, sequenceLength: 32, learningRate: 3e-3, warmupSteps: 1, checkpointEvery: 2, blockSize: 4 },
    ...fields,
  });
  const start = randomParameters(config, 1);
  const parameters: Parameters =
    settings.lora === null ? start : await loraParameters(config, memoryWeights(start.trained), settings.lora, 1);
  await using trainer = await Trainer.create(config, parameters, {
    ...{ batch: settings.batch, lora: settings.lora, divergence: settings.loss === "kl", threads: 1, device: on },
    ...{ labelSmoothing: settings.labelSmoothing, sequenceLength: settings.sequenceLength },
  });
  const losses: number[] = [];
  const records: AsyncIterable<TrainRecord> = train(trainer, shuffled(examples, settings.seed), settings, {
    folder: keep ? folder : null,
  });
  for await (const record of records) {
    if (record.type === "step") losses.push(record.loss);
    if (record.type === "step" && record.step >= until) break;
  }
  const bits = parameters.trained.flatMap(({ data, first, second }) =>
    [data, first, second].map((array) => Buffer.from(array.buffer.slice(0)).toString("base64")),
  );
  return { losses, parameters, bits };
}

const kinds: readonly Partial<TrainFields>[] = [
  {
    objective: "consistency",
    loss: "kl",
    pointsPerExample: 2,
    arWeight: 10,
    batch: 2,
    accumulate: 2,
    labelSmoothing: 0.1,
  },
  { objective: "consistency", loraRank: 4, learningRate: 2e-2, pointsPerExample: 2 },
];

/** The whole run of each kind: both tests look at it, and a driver in software takes seconds. */
const wholes = new Map<Partial<TrainFields>, ReturnType<typeof run>>();
function wholeRun(kind: Partial<TrainFields>): ReturnType<typeof run> {
  const found = wholes.get(kind) ?? run(device!, kind);
  wholes.set(kind, found);
  return found;
}

describe.skipIf(device === null)("a run on a GPU", { timeout: 180_000 }, () => {
  test.each(kinds)("of %j has the processor's losses", async (kind) => {
    const [here, there] = [await wholeRun(kind), await run(cpu, kind)];
    expect(here.losses.length).toBe(4);
    expect(here.losses.at(-1)).not.toBe(here.losses[0]);
    for (const [i, loss] of there.losses.entries()) expect(Math.abs(here.losses[i]! - loss)).toBeLessThan(1e-4 * loss);
    const largest = Math.max(...there.parameters.trained.flatMap(({ data }) => [...data.map(Math.abs)]));
    for (const [i, { data }] of there.parameters.trained.entries()) {
      const found = here.parameters.trained[i]!.data;
      expect(Math.max(...data.map((w, j) => Math.abs(w - found[j]!)))).toBeLessThan(1e-3 * largest);
    }
  });

  test.each(kinds)("of %j goes on where it was to the same bits", async (kind) => {
    const whole = await wholeRun(kind);
    await run(device!, kind, { keep: true, until: 3 }); // the last checkpoint is that of step 2
    const resumed = await run(device!, kind, { keep: true });
    expect(resumed.losses).toEqual(whole.losses.slice(2));
    expect(resumed.bits).toEqual(whole.bits);
  });

  test("keeps every bit on the way there and back", async () => {
    const memory = await device!.memory!();
    try {
      const words = Uint32Array.of(0x80000000, 1, 0x7f800000, 0xff800000, 0x7fc00001, 0x3f800001, 0x807fffff);
      const back = new Float32Array(words.length);
      await memory.read(await memory.put(new Float32Array(words.buffer)), back);
      expect([...new Uint32Array(back.buffer)]).toEqual([...words]);
    } finally {
      await memory.release();
    }
  });
});

/** The processor with one of its results changed. */
const changed = (name: string, change: (value: number, run: number) => number): Device => {
  let runs = 0;
  return {
    ...cpu,
    name: "webgpu",
    async compile(model, options) {
      const program = await cpu.compile(model, options);
      return {
        ...program,
        async run(feeds, outputs, into) {
          const results = await program.run(feeds, outputs, into);
          const data = results[name]?.data as Float32Array | undefined;
          if (data !== undefined) data[0] = change(data[0]!, ++runs);
          return results;
        },
      };
    },
  };
};

test("a device with another loss, or another gradient each time, is refused", async () => {
  await proveTraining(
    BASE,
    changed("loss", (value) => value),
  );
  await expect(
    proveTraining(
      BASE,
      changed("loss", (value) => value * 1.01),
    ),
  ).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringMatching(/the loss of a tiny model differs .* take device cpu/),
  });
  const flickering = changed("gradient:model.norm.weight", (value, run) => value * (1 + run * 2 ** -20));
  await expect(proveTraining(BASE, flickering)).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringContaining("gradient of model.norm.weight differs from run to run"),
  });
});

test.skipIf(device === null)(
  "what is proven and slower is not taken by auto, which says why",
  { timeout: 180_000 },
  async () => {
    const notes: string[] = [];
    const { trainer, device: taken } = await openTrainer(
      "auto",
      config,
      randomParameters(config, 1),
      {
        ...{ batch: 1, threads: 1 },
      },
      (line) => notes.push(line),
    );
    await trainer.dispose();
    if (taken.name === "webgpu")
      expect(notes).toEqual([]); // a GPU that is faster even at this size
    else expect(notes).toEqual([expect.stringMatching(/^device auto takes cpu: .* ms on webgpu and .* ms on cpu$/)]);
  },
);

test("a GPU that is not there leaves the folder free for another device", () => {
  const root = join(import.meta.dirname, "../..");
  const data = join(folder, "faq.jsonl");
  writeFileSync(data, '{"prompt":"a","answer":"b c"}\n{"prompt":"c","answer":"d e"}\n{"prompt":"e","answer":"f g"}\n');
  const flags = ["--model", join(root, "models/text-to-sql"), "--data", data, "--answer-field", "answer"];
  const main = join(root, "dist/cli/main.js");
  const { status, stderr } = spawnSync(
    process.execPath,
    [main, "train", ...flags, "--out", join(folder, "run"), "--device", "gpu", "--steps", "1"],
    { env: { ...process.env, VK_ICD_FILENAMES: join(folder, "none.json") }, encoding: "utf8" },
  );
  expect(status).not.toBe(0);
  expect(stderr).toMatch(/no GPU that WebGPU can use was found: .* take device cpu/);
  expect(existsSync(join(folder, "run/settings.json"))).toBe(false);
});
