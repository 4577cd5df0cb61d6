/** From a model and a data set to a folder with weights: what is learned from, what is left out and said, what is chosen. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { prepareTraining, type TrainingOptions } from "../../src/train/prepare.ts";
import { type RunResult, runTraining } from "../../src/train/run.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-prepare-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const model = writeTinyCheckpoint(join(scratch, "tiny"));
const file = (name: string, records: readonly object[]): string => {
  const path = join(scratch, name);
  writeFileSync(path, records.map((record) => JSON.stringify(record)).join("\n"));
  return path;
};
const settings = { steps: 2, sequenceLength: 200, learningRate: 1e-3, evaluateEvery: 1, warmupSteps: 0 } as const;
const prepare = (data: string, more: Partial<TrainingOptions> = {}) =>
  prepareTraining({ model, folder: join(scratch, "run"), source: { data }, settings, threads: 1, ...more });

const words = ["sun", "owl", "river", "stone", "cloud", "tree"];
const talk = (seed: number, answers: number) => ({
  messages: Array.from({ length: answers }, (_, i) => [
    { role: "user", content: `the ${words[(seed + i) % 6]}` },
    { role: "assistant", content: `a ${words[(seed + 2 * i + 1) % 6]}` },
  ]).flat(),
});

describe("what a run learns from", () => {
  test("five examples of a conversation of five answers, each behind all that came before", async () => {
    await using training = await prepare(file("talk.jsonl", [talk(1, 5)]), { heldOut: 0 });
    const { source } = training.run;
    expect(source.size).toBe(5);
    const checkpoint = await openCheckpoint(model);
    const tokenizer = createTokenizer(checkpoint.tokenizer, checkpoint.config.vocabSize);
    await checkpoint.close();
    const seen = [0, 1, 2, 3, 4].map((i) => source.example(i));
    const textOf = (ids: Int32Array) => tokenizer.decode(ids, { skipSpecialTokens: true });
    const answers = seen.map(({ completionIds }) => textOf(completionIds)).sort();
    expect(answers).toEqual([0, 1, 2, 3, 4].map((i) => `a ${words[(2 * i + 2) % 6]}`).sort());
    for (const { promptIds, completionIds } of seen) {
      expect(completionIds.at(-1)).toBe(checkpoint.config.eosTokenIds[0]);
      const before = textOf(promptIds);
      const turn = [0, 1, 2, 3, 4].filter((i) => before.includes(`the ${words[(1 + i) % 6]}`)).length;
      expect(before.match(/a (sun|owl|river|stone|cloud|tree)/g) ?? []).toHaveLength(turn - 1);
    }
    expect(training.notes).toEqual([]);
  });

  test("and what it leaves out is said", async () => {
    const records = [...Array.from({ length: 9 }, (_, i) => talk(i, 1)), { messages: [] }, talk(0, 40)];
    const data = { data: file("mixed.jsonl", records), skipBadRecords: true };
    await using training = await prepare("", { source: data, settings: { ...settings, sequenceLength: 64 } });
    const { notes, run } = training;
    expect(notes[0]).toMatch(/^1 records cannot be used and are left out; the first: .*is no list of messages$/);
    expect(notes[1]).toMatch(/^\d+ of 49 examples are longer than a sequence and left out$/);
    expect(notes[2]).toMatch(/^\d+ examples are held out, not 32, because half of the \d+ usable ones/);
    expect(run.identity["heldOut"]).toBe(run.heldOut.length);
  });

  test("a single conversation leaves nothing to measure, which is said", async () => {
    await using training = await prepare(file("one.jsonl", [talk(1, 5)]), { heldOut: 2 });
    expect(training.notes).toEqual([expect.stringMatching(/^nothing is measured: no example is held out, not 2,/)]);
  });
});

describe("weights", () => {
  async function toEnd(options: Partial<TrainingOptions>): Promise<RunResult> {
    await using training = await prepare(
      file(
        "faq.jsonl",
        Array.from({ length: 8 }, (_, i) => talk(i, 1)),
      ),
      options,
    );
    const records = runTraining(training.run);
    for (;;) {
      const { done, value } = await records.next();
      if (done) return value;
    }
  }
  const bytes = (...path: string[]) => readFileSync(join(...path, "model.safetensors"));

  test("of free-form answers are the last ones, in best/ too, whatever the first evaluation was", async () => {
    const folder = join(scratch, "consistency");
    const how = { ...settings, steps: 3, objective: "consistency", pointsPerExample: 1, blockSize: 4 } as const;
    const result = await toEnd({ folder, settings: how, heldOut: 2 });
    expect(result.last).toMatchObject({ step: 3, accuracy: 0 }); // noise answers nothing as expected
    expect(result.chosen).toEqual({
      ...{ checkpoint: "final", step: 3 },
      why: "no held-out answer came out as expected, so the score could not tell",
    });
    expect(result.output).toBe(join(folder, "final"));
    expect(bytes(folder, "best").equals(bytes(folder, "final"))).toBe(true);
  });

  test("of fine-tuning are those of the lowest held-out loss, while it is measured every step", async () => {
    const folder = join(scratch, "ar");
    const result = await toEnd({ folder, settings: { ...settings, steps: 6, learningRate: 0.3 }, heldOut: 2 });
    const log = readFileSync(join(folder, "log.jsonl"), "utf8").trim().split("\n");
    const evaluations = log.map((line) => JSON.parse(line)).filter(({ type }) => type === "evaluation");
    const losses = evaluations.map(({ heldOutLoss }) => heldOutLoss ?? Number.POSITIVE_INFINITY);
    expect(losses).toHaveLength(6);
    const lowest = losses.lastIndexOf(Math.min(...losses)) + 1;
    expect(result.chosen.step).toBe(lowest);
    expect(result.output).toBe(join(folder, lowest === 6 ? "final" : "best"));
    expect(bytes(folder, "best").equals(bytes(folder, "final"))).toBe(lowest === 6);
    const again = await toEnd({ folder, settings: { ...settings, steps: 6, learningRate: 0.3 }, heldOut: 2 });
    expect(again).toEqual(result); // a run that is over says the same
  });

  test("without anything held out are the last ones, and best/ is there all the same", async () => {
    const folder = join(scratch, "unmeasured");
    const result = await toEnd({ folder, heldOut: 0 });
    expect(result.chosen).toEqual({ checkpoint: "final", step: 2, why: "nothing was held out to choose by" });
    expect(existsSync(join(folder, "best", "model.safetensors"))).toBe(true);
  });
});
