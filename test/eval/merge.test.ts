/** Shards of an evaluation, killed and torn anywhere: joined they are the answers of one run, byte for byte. */
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { contendersOf } from "../../src/eval/contenders.ts";
import { mergeEvaluation } from "../../src/eval/merge.ts";
import { ANSWERS, type EvaluationOptions, PASSES, runEvaluation, type Subject } from "../../src/eval/run.ts";
import { findShards, type Shard, shardPath } from "../../src/files/shards.ts";
import type { Task, TaskExample } from "../../src/tasks/task.ts";
import { scriptedLanguageModel } from "../generate/scripted-language-model.ts";

const root = mkdtempSync(join(tmpdir(), "cllm-eval-merge-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
const newFolder = (): string => join(root, String(folders++));

const subjects: readonly Subject[] = [1, 2].map((seed) => ({
  name: `model ${seed}`,
  model: scriptedLanguageModel({ seed, predictability: 0.9, contextLength: 120 }),
  identity: { weights: `w${seed}` },
}));
const contenders = contendersOf(["model 1", "model 2"], ["jacobi", "auto"], [8]);
const example = (id: string, prompt: string, turns = 1): TaskExample => ({
  ...{ id, where: `made up:${id}`, category: null, turns, reference: null, stop: ["the"], maxNewTokens: 12 },
  input: (answers) => ({ prompt: [prompt, ...answers].join(" and ") }),
});
const task: Task = {
  name: "made up",
  settings: { shots: 0 },
  examples: [
    example("a", "the sun"),
    example("b", "an owl", 2),
    example("c", "x".repeat(200)), // longer than the context
    example("d", "one more"),
    example("e", "the river"),
  ],
  grade: async (_, answers) => ({ verdict: answers.join().length % 2 === 0 ? "right" : "wrong", detail: "by length" }),
  async [Symbol.asyncDispose]() {},
};

/** Runs to the end, or until so many pieces of work are done, as after a kill. */
async function run(
  folder: string,
  shard?: Shard,
  most = Infinity,
  over: Partial<EvaluationOptions> = {},
): Promise<void> {
  const conditions = { machine: "this one" };
  const steps = runEvaluation({ folder, task, subjects, contenders, conditions, traced: 3, shard, ...over });
  for (let count = 0; count < most; count++) if ((await steps.next()).done) return;
  await steps.return(undefined as never);
}

const answers = (folder: string): string => readFileSync(join(folder, ANSWERS), "utf8");
const merged = async (folder: string): Promise<string> => {
  const output = join(folder, ANSWERS);
  await mergeEvaluation(output, await findShards(output, [".jsonl"]));
  return answers(folder);
};

const single = newFolder();
await run(single);

describe("shards of an evaluation", () => {
  test.each([2, 3, 8])(
    "%i of them, with kills, are the bytes of one run",
    async (count) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(count - 1), fc.nat(20), fc.nat(900)), { maxLength: 3 }),
          async (kills) => {
            const folder = newFolder();
            for (const [at, steps, torn] of kills) {
              const shard = { index: at + 1, count };
              await run(folder, shard, 1 + steps);
              const journal = `${shardPath(join(folder, ANSWERS), shard)}.journal`;
              if (existsSync(journal)) truncateSync(journal, Math.max(0, readFileSync(journal).length - torn));
            }
            for (let index = 1; index <= count; index++) await run(folder, { index, count });
            expect(await merged(folder)).toBe(answers(single));
          },
        ),
        { numRuns: 2 },
      );
    },
    60_000,
  );

  test("joined, a run without shards finds all answers there and has nothing to ask", async () => {
    const folder = newFolder();
    for (const index of [1, 2]) await run(folder, { index, count: 2 });
    const whole = await merged(folder);
    const steps = runEvaluation({ folder, task, subjects, contenders, conditions: { machine: "this one" }, traced: 3 });
    const { done, value } = await steps.next();
    expect(done).toBe(true);
    expect(value).toMatchObject({ questions: ["a", "b", "c", "d", "e"] });
    expect(answers(folder)).toBe(whole);
  });

  test("that miss answers, or are of other settings or another shard, are refused", async () => {
    const folder = newFolder();
    for (const index of [1, 2]) await run(folder, { index, count: 2 });
    const second = shardPath(join(folder, ANSWERS), { index: 2, count: 2 });
    const text = readFileSync(second, "utf8");
    writeFileSync(second, text.split("\n").slice(0, -3).join("\n").concat("\n"));
    await expect(merged(folder)).rejects.toThrow(/answers, and \d+ are due/);
    writeFileSync(second, readFileSync(shardPath(join(folder, ANSWERS), { index: 1, count: 2 })));
    await expect(merged(folder)).rejects.toThrow(/says that it is shard 1 of 2/);
    rmSync(second);
    await expect(merged(folder)).rejects.toThrow(/shard 2 of 2 is missing/);
    await run(folder, { index: 2, count: 2 }, Infinity, { conditions: { machine: "another one" } });
    await expect(merged(folder)).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("machine is"),
    });
    expect(existsSync(join(folder, ANSWERS))).toBe(false);
    writeFileSync(second, text);
    rmSync(shardPath(join(folder, PASSES), { index: 2, count: 2 }));
    await expect(merged(folder)).rejects.toMatchObject({ code: "not-found" });
  });
});
