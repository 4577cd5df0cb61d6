/** GSM8K: both ways to find the number, by their known traps; prompts; bad data. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gsm8kOptions, gradeNumber, gsm8k } from "../../src/tasks/gsm8k.ts";
import type { VerdictName } from "../../src/tasks/task.ts";
import { hasSharedData, SHARED_DATA, skipNote } from "./shared-data.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-gsm8k-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lines = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
const problem = (n: number) => ({ question: `What is ${n} + 1?`, answer: `It is <<${n}+1=${n + 1}>>.\n#### ${n + 1}` });
const train = Array.from({ length: 20 }, (_, n) => problem(n));

function write(split: string, content: string): void {
  mkdirSync(join(folder, "gsm8k"), { recursive: true });
  writeFileSync(join(folder, "gsm8k", `${split}.jsonl`), content);
}
beforeAll(() => {
  write("train", lines(train));
  write("test", lines([problem(100), problem(200)]));
});
const task = (options: Partial<Gsm8kOptions> = {}) => gsm8k({ dataDir: folder, ...options });

describe("an answer", () => {
  // the reference, the answer, and the verdicts of strict and of flexible extraction in lm-evaluation-harness
  test.each<[string, string, VerdictName, VerdictName]>([
    ["#### 18", "So 18.\n#### 18", "right", "right"],
    ["#### 18", "So it is 18", "no-answer", "right"],
    ["#### 18", "#### 17\n#### 18", "wrong", "right"], // the first counts, and the last
    ["#### 18", "#### 18\nQuestion: And 3 + 4?\nAnswer: #### 7", "right", "right"], // cut where the model goes on
    ["#### 18", "#### 18.", "right", "right"],
    ["#### 18", "####18", "no-answer", "right"], // strict wants the blank
    ["#### 18", "#### $18", "no-answer", "right"], // and no dollar sign
    ["#### 18", "She makes $18", "no-answer", "right"],
    ["#### 18", "#### 18.00", "wrong", "wrong"], // text is compared, not value
    ["#### 18", "#### 18 dollars", "right", "right"],
    ["#### 18", "It is 18, from 9 * 2.", "no-answer", "wrong"],
    ["#### 18", "It is 18...", "no-answer", "wrong"], // only one dot goes
    ["#### 1,080", "#### 1080", "right", "right"],
    ["#### 1080", "#### 1,080", "right", "right"],
    ["#### 1080", "It is 1,080.", "no-answer", "right"],
    ["#### -5", "#### -5", "right", "right"],
    ["#### -5", "#### 5", "wrong", "wrong"],
    ["#### 5", "It is 10-5", "no-answer", "wrong"], // -5
    ["#### 0.5", "#### 0.5", "right", "right"],
    ["#### 0.5", "#### .5", "wrong", "wrong"],
    ["#### 5", "Five.", "no-answer", "no-answer"],
    ["#### 5", "", "no-answer", "no-answer"],
    ["#### 18", "<think>#### 17\nQuestion: 3?</think>\n#### 18", "right", "right"], // a draft does not count
    ["#### 18", "Is it #### 17? No.\n</think>\n\nIt is 18", "no-answer", "right"],
    ["#### 18", "<think>\n#### 18", "no-answer", "no-answer"], // and has to end
    ["#### 5", "It is 5, isn't it..", "no-answer", "wrong"], // two dots look like a number to the harness
  ])(
    "where the reference is %j: %j is %s by strict, %s by flexible extraction",
    (reference, answer, strict, flexible) => {
      expect(gradeNumber(reference, answer, "strict").verdict).toBe(strict);
      expect(gradeNumber(reference, answer, "flexible").verdict).toBe(flexible);
      const measures = { strict: Number(strict === "right"), flexible: Number(flexible === "right") };
      expect(gradeNumber(reference, answer, "strict").measures).toEqual(measures);
    },
  );

  test("is never an error, and right where it is the reference", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer(), (text, n) => {
        gradeNumber("#### 1", text, "strict");
        gradeNumber("#### 1", text, "flexible");
        const reference = `#### ${n.toLocaleString("en")}`;
        expect(gradeNumber(reference, `It is\n#### ${n}`, "strict").verdict).toBe("right");
        expect(gradeNumber(reference, `It is $${Math.abs(n)}`, "flexible").verdict).toBe(n < 0 ? "wrong" : "right");
      }),
    );
  });
});

describe("prompts", () => {
  test("show eight solved problems of the training split, always the same", async () => {
    const { examples, settings } = await task();
    const shots = [0, 1, 4, 8, 12, 13, 14, 16].map(
      (n) => `Question: ${train[n]!.question}\nAnswer: ${train[n]!.answer}\n\n`,
    );
    expect(examples[1]!.input([])).toEqual({ prompt: `${shots.join("")}Question: What is 200 + 1?\nAnswer:` });
    expect(settings).toEqual({ split: "test", promptFormat: "default", shots: 8, extraction: "strict" });
    expect(examples.map(({ id }) => id)).toEqual(["test/0", "test/1"]);
  });

  test("without shots, as a chat, and as in the paper", async () => {
    const prompt = "Question: What is 100 + 1?\nAnswer:";
    const bare = await task({ shots: 0 });
    expect(bare.examples[0]!.input([])).toEqual({ prompt });
    expect(bare.settings).toMatchObject({ extraction: "flexible" });
    const chat = await task({ shots: 0, promptFormat: "chat" });
    expect(chat.examples[0]!.input([])).toEqual({ messages: [{ role: "user", content: prompt }] });
    const paper = await task({ promptFormat: "paper", limit: 1 });
    expect(paper.examples.map((example) => example.input([]))).toEqual([
      { prompt: "Question:\nWhat is 100 + 1?\nAnswer:\nLet's think step by step.\n" },
    ]);
    expect(paper.settings).toMatchObject({ shots: 0, extraction: "strict" });
  });

  test("grade what they ask for", async () => {
    const { examples, grade } = await task({ extraction: "flexible" });
    expect(await grade(examples[0]!, ["It is 101."])).toMatchObject({ verdict: "right" });
    expect(await grade(examples[0]!, [])).toMatchObject({ verdict: "no-answer" });
  });
});

test("the hub's Parquet files do as well", async () => {
  const dataDir = join(folder, "hub");
  mkdirSync(join(dataDir, "gsm8k/main"), { recursive: true });
  for (const [split, rows] of [
    ["train", train],
    ["test", [problem(7)]],
  ] as const) {
    const columnData = (["question", "answer"] as const).map((name) => ({ name, data: rows.map((row) => row[name]) }));
    const file = join(dataDir, `gsm8k/main/${split}-00000-of-00001.parquet`);
    writeFileSync(file, Buffer.from(parquetWriteBuffer({ columnData })));
  }
  const { examples } = await gsm8k({ dataDir, shots: 1 });
  const prompt = `Question: ${train[0]!.question}\nAnswer: ${train[0]!.answer}\n\nQuestion: What is 7 + 1?\nAnswer:`;
  expect(examples.map((example) => example.input([]))).toEqual([{ prompt }]);
});

describe("bad data", () => {
  test.each<[string, RegExp]>([
    ["", /test\.jsonl holds no examples/],
    [`${lines([problem(1)])}\n{"question": "a"}\n`, /test\.jsonl:3 has no answer/],
    [lines([{ question: " ", answer: "#### 1" }]), /test\.jsonl:1: question is empty/],
    [lines([{ question: "a", answer: "1" }]), /test\.jsonl:1: answer has no "#### number"/],
    [lines([{ question: 7, answer: "#### 1" }]), /question is 7, no text/],
    ["{", /is not JSON/],
  ])("%j is an error with its place", async (content, message) => {
    write("test", content);
    await expect(task()).rejects.toMatchObject({ code: "bad-input", message: expect.stringMatching(message) });
    write("test", lines([problem(100)]));
  });

  test.each<[Partial<Gsm8kOptions>, RegExp]>([
    [{ shots: 9 }, /from 0 to 8, not 9/],
    [{ shots: 1, promptFormat: "paper" }, /from 0 to 0/],
    [{ split: "dev" }, /no split dev; it has test, train/],
    [{ extraction: "loose" as "strict" }, /strict or flexible/],
  ])("%j is wrong usage", async (options, message) => {
    await expect(task(options)).rejects.toMatchObject({ code: "usage", message: expect.stringMatching(message) });
  });

  test("no data at all names the files that were looked for", async () => {
    await expect(gsm8k({ dataDir: "/nowhere" })).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/gsm8k\/test\.jsonl, .*main\/test-00000-of-00001\.parquet/),
    });
  });
});

test.skipIf(!hasSharedData)(`every reference is right against itself ${skipNote}`, async () => {
  const { examples, grade } = await gsm8k({ dataDir: SHARED_DATA });
  expect(examples.length).toBe(readFileSync(join(SHARED_DATA, "gsm8k/test.jsonl"), "utf8").trim().split("\n").length);
  for (const example of examples) {
    expect(await grade(example, [` ${example.reference}`])).toMatchObject({ measures: { strict: 1, flexible: 1 } });
  }
});
