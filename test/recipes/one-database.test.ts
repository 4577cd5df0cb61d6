/** The CLLM in minutes, on a scale of seconds: all stages run, and an interrupted run comes to the same models. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  heldOutQuestions,
  makeOneDatabase,
  ONE_DATABASE,
  type OneDatabaseRecord,
  type OneDatabaseScale,
  openDemonstration,
} from "../../src/recipes/one-database.ts";
import { demonstrationExample } from "../../src/tasks/text-to-sql/demonstration.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { trainedTokenizerConfig } from "../../src/text/train-tokenizer.ts";
import { openTrajectories } from "../../src/trajectory/open.ts";

const TINY: OneDatabaseScale = {
  ...{ vocabSize: 320, hiddenSize: 32, layers: 1, heads: 2, kvHeads: 1, intermediateSize: 48 },
  ...{ collected: 6, clean: false }, // what so small a model writes has no end
  ar: { ...ONE_DATABASE.ar, steps: 4, checkpointEvery: 3, batch: 1 },
  consistency: { ...ONE_DATABASE.consistency, steps: 3, checkpointEvery: 2, batch: 1, pointsPerExample: 1 },
};

const scratch = mkdtempSync(join(tmpdir(), "cllm-one-database-"));
const [whole, parts] = [join(scratch, "whole"), join(scratch, "parts")];
const records: OneDatabaseRecord[] = [];
beforeAll(async () => {
  for await (const record of makeOneDatabase(whole, TINY)) records.push(record);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("pre-trains, collects and trains", async () => {
  const stages = records.flatMap((record) => (record.type === "stage" ? [record.stage] : []));
  expect(stages).toEqual(["tokenizer", "pre-train", "collect", "train", "train"]);
  expect(records.findLast((record) => record.type === "collected")).toMatchObject({ progress: { done: 6, total: 6 } });
  const steps = records.filter((record) => record.type === "step" && record.stage === "train");
  expect(steps).toHaveLength(3);
  const { completions, info } = await openTrajectories(join(whole, "trajectories.parquet"));
  expect(completions.length).toBeGreaterThan(0);
  expect(info?.model.vocabSize).toBe(320);
});

test("stopped anywhere, goes on to the same models", async () => {
  for (const until of [2, 7, 11]) {
    let seen = 0;
    for await (const record of makeOneDatabase(parts, TINY)) if (record.type !== "stage" && ++seen === until) break;
  }
  for await (const _ of makeOneDatabase(parts, TINY));
  for (const file of ["tokenizer.json", "ar/model.safetensors", "trajectories.parquet", "cllm/model.safetensors"]) {
    expect(readFileSync(join(parts, file)).equals(readFileSync(join(whole, file))), file).toBe(true);
  }
});

test("holds questions out by their words and grades answers by their rows", async () => {
  const questions = (split: "train" | "held-out") =>
    new Set(Array.from({ length: 500 }, (_, i) => demonstrationExample(i, split).question));
  const training = questions("train");
  expect([...questions("held-out")].filter((question) => training.has(question))).toEqual([]);
  const tokenizer = createTokenizer(
    {
      kind: "huggingface",
      tokenizerJson: JSON.parse(readFileSync(join(whole, "tokenizer.json"), "utf8")) as object,
      tokenizerConfig: trainedTokenizerConfig(512),
      chatTemplate: null,
    },
    320,
  );
  using database = await openDemonstration();
  for (const { completionIds, isRight } of heldOutQuestions(tokenizer, database, 30)) {
    expect(await isRight?.(completionIds)).toBe(true);
    expect(await isRight?.(completionIds.subarray(0, 3))).toBe(false);
  }
});
