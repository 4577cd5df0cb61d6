/** MT-bench: conversations whose second question follows an answer, and judges of every kind behind a local endpoint. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { createJudge, type JudgeOptions, readRating } from "../../src/tasks/mt-bench/judge.ts";
import { judgeMessages } from "../../src/tasks/mt-bench/judge-prompts.ts";
import { type MtBenchOptions, mtBench, writeAnswers } from "../../src/tasks/mt-bench/mt-bench.ts";
import { hasSharedData, SHARED_DATA, skipNote } from "./shared-data.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-mt-bench-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ROW = { question_id: 81, category: "writing", turns: ["Write.", "Again."] };
const MATHS = { question_id: 111, category: "math", turns: ["1 + 1?", "And 1?"], reference: ["2", "3"] };

async function taskOf(rows: readonly unknown[], options: Partial<MtBenchOptions> = {}) {
  mkdirSync(join(folder, "mt_bench"), { recursive: true });
  writeFileSync(join(folder, "mt_bench/question.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  return mtBench({ dataDir: folder, ...options });
}

interface Heard {
  readonly body: { model: string; messages: { role: string; content: string }[]; temperature: number };
  readonly authorization: string | undefined;
}

/** Runs with an endpoint that answers by `reply`; gives what it heard. */
async function withEndpoint(
  reply: (response: ServerResponse, count: number, request: IncomingMessage) => void,
  run: (baseUrl: string) => Promise<void>,
): Promise<Heard[]> {
  const heard: Heard[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    expect(request.url).toBe("/v1/chat/completions");
    heard.push({ body: JSON.parse(text), authorization: request.headers.authorization });
    reply(response, heard.length, request);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return heard;
}

const say = (response: ServerResponse, content: unknown): void => {
  response.end(JSON.stringify({ choices: [{ message: { role: "assistant", content } }] }));
};

/** The verdict by a judge that answers so. */
async function judged(
  reply: (response: ServerResponse, count: number) => void,
  options: Partial<JudgeOptions> = {},
  row: unknown = ROW,
  answers: readonly string[] = ["one", "two"],
) {
  let verdict: unknown;
  const heard = await withEndpoint(reply, async (baseUrl) => {
    const judge = createJudge({ baseUrl, model: "j", retryDelayMs: 1, retries: 2, ...options });
    const task = await taskOf([row], { judge });
    verdict = await task.grade(task.examples[0]!, answers);
  });
  return { verdict, heard };
}

describe("a conversation", () => {
  test("has its second question after the first answer", async () => {
    const [example] = (await taskOf([ROW])).examples;
    expect(example!.turns).toBe(2);
    expect(example!.input([])).toEqual({ messages: [{ role: "user", content: "Write." }] });
    expect(example!.input(["Written."])).toEqual({
      messages: [
        { role: "user", content: "Write." },
        { role: "assistant", content: "Written." },
        { role: "user", content: "Again." },
      ],
    });
  });

  test("of the released chat weights is in Vicuna's form", async () => {
    const [example] = (await taskOf([ROW], { promptFormat: "paper" })).examples;
    expect(example!.input([" Written. "]).prompt).toMatch(
      /^A chat between .* questions\. USER: Write\. ASSISTANT: Written\.<\/s>USER: Again\. ASSISTANT:$/,
    );
  });

  test("without a judge, or without an answer, is neither right nor wrong", async () => {
    const task = await taskOf([ROW]);
    const [example] = task.examples;
    expect(await task.grade(example!, ["a", "b"])).toMatchObject({ verdict: "ungraded" });
    expect(await task.grade(example!, ["a"])).toEqual({ verdict: "no-answer", detail: "turn 2 has no answer" });
    expect(await task.grade(example!, [" ", "b"])).toEqual({ verdict: "no-answer", detail: "turn 1 has no answer" });
  });
});

describe("a judge", () => {
  test("rates both turns, and sees what belongs to each", async () => {
    const { verdict, heard } = await judged((response, n) => say(response, `Good.\nRating: [[${n === 1 ? 8 : 5}]]`), {
      apiKey: "secret",
    });
    expect(verdict).toEqual({ verdict: "rated", detail: "8 and 5", measures: { rating: 6.5, turn1: 8, turn2: 5 } });
    expect(heard.map(({ authorization }) => authorization)).toEqual(["Bearer secret", "Bearer secret"]);
    const [first, second] = heard.map(({ body }) => body);
    expect(first).toMatchObject({ model: "j", temperature: 0 });
    expect(first!.messages.at(-1)!.content).not.toContain("Again.");
    expect(second!.messages.at(-1)!.content).toMatch(/Write\.[\s\S]*one[\s\S]*Again\.[\s\S]*two/);
  });

  test("gets the right answers where the data has them", async () => {
    const { heard } = await judged((response) => say(response, "[[1]]"), {}, MATHS);
    expect(heard[1]!.body.messages.at(-1)!.content).toMatch(/Reference answer\]\n2\n[\s\S]*Reference answer\]\n3\n/);
    const plain = judgeMessages({ questions: ["q"], answers: ["a"], references: [] });
    expect(JSON.stringify(plain)).not.toContain("eference");
  });

  test.each<[string, unknown]>([
    ["no rating", "I like it."],
    ["a rating without brackets", "Rating: 7"],
    ["a rating beyond the scale", "[[11]]"],
    ["none at all", "[[0]]"],
    ["two different ratings", "The answer says [[10]], I say [[2]]"],
    ["no text", ""],
    ["no text but a number", 7],
    ["null", null],
  ])("that says %s is nonsense, asked once", async (_, content) => {
    const { verdict, heard } = await judged((response) => say(response, content));
    expect(verdict).toMatchObject({ verdict: "judge-nonsense", detail: expect.stringMatching(/^turn 1: the judge/) });
    expect(heard.length).toBe(1);
  });

  test.each(["<html>", "{}", "[]", "null", '{"choices": []}', '{"choices": [{"message": "x"}]}'])(
    "whose endpoint answers %s is nonsense",
    async (text) => {
      const { verdict } = await judged((response) => response.end(text));
      expect(verdict).toMatchObject({ verdict: "judge-nonsense" });
    },
  );

  test("that is busy is asked again", async () => {
    const { verdict, heard } = await judged((response, n) => {
      if (n > 2) return say(response, "[[9]]");
      response.writeHead(n === 1 ? 503 : 429, { "retry-after": "0" }).end("later");
    });
    expect(verdict).toMatchObject({ verdict: "rated", measures: { rating: 9 } });
    expect(heard.length).toBe(4);
  });

  test("that never answers, refuses or breaks off is silent", async () => {
    const late = await judged(() => {}, { timeoutMs: 50, retries: 1 });
    expect(late.verdict).toEqual({ verdict: "judge-silent", detail: "turn 1: the judge does not reply within 50 ms" });
    const slow = await judged((response) => void response.write("{"), { timeoutMs: 50, retries: 0 });
    expect(slow.verdict).toMatchObject({ verdict: "judge-silent" });
    const refused = await judged((response) => void response.writeHead(401).end("no key"), { apiKey: "secret" });
    expect(refused.verdict).toEqual({
      verdict: "judge-silent",
      detail: "turn 1: the judge's endpoint answers 401: no key",
    });
    expect(refused.heard.length).toBe(1);
    const broken = await judged((response) => void response.destroy());
    expect(broken.verdict).toMatchObject({ verdict: "judge-silent", detail: expect.stringContaining("reached") });
    expect(broken.heard.length).toBe(3);
  });

  test("that nobody runs is silent", async () => {
    const judge = createJudge({ baseUrl: "http://127.0.0.1:9", model: "j", retries: 0 });
    const task = await taskOf([ROW], { judge });
    expect(await task.grade(task.examples[0]!, ["a", "b"])).toMatchObject({ verdict: "judge-silent" });
  });

  test.each<[Partial<JudgeOptions>, RegExp]>([
    [{ baseUrl: "localhost" }, /must be like http:\/\/localhost:8080\/v1, not localhost/],
    [{ baseUrl: "file:///etc/passwd" }, /must be like/],
    [{ retries: -1 }, /retries must be a whole number from 0, not -1/],
  ])("%j is wrong usage", (options, message) => {
    expect(() => createJudge({ baseUrl: "http://localhost/v1", model: "j", ...options })).toThrow(message);
  });

  test("gives no rating but from 1 to 10, whatever it writes", () => {
    const parts = fc.array(fc.constantFrom("[[", "]]", "[", "]", "10", "7", "-", ".", "5", "/10", "e3", "rating", " "));
    fc.assert(
      fc.property(
        parts.map((list) => list.join("")),
        (text) => {
          const judgement = readRating(text);
          if (judgement.kind !== "rated") return;
          expect(judgement.rating).toBeGreaterThanOrEqual(1);
          expect(judgement.rating).toBeLessThanOrEqual(10);
        },
      ),
    );
    expect(readRating("[[7.5]]")).toMatchObject({ rating: 7.5 });
    expect(readRating("[[7/10]] as I said: [[ 7 ]]")).toMatchObject({ rating: 7 });
  });
});

test("answers are written as FastChat's judges read them", async () => {
  const path = join(folder, "answers/model.jsonl");
  await writeAnswers(
    path,
    "m",
    [
      { id: "81", answers: ["a\n", "<think>hm</think>\n\nb"] },
      { id: "x", answers: ["c"] },
    ],
    { now: 5_000 },
  );
  const rows = readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(rows).toEqual([
    {
      question_id: 81,
      answer_id: expect.any(String),
      model_id: "m",
      choices: [{ index: 0, turns: ["a\n", "b"] }],
      tstamp: 5,
    },
    {
      question_id: "x",
      answer_id: expect.any(String),
      model_id: "m",
      choices: [{ index: 0, turns: ["c"] }],
      tstamp: 5,
    },
  ]);
});

test.each<[readonly unknown[], RegExp]>([
  [[], /holds no examples/],
  [[ROW, ROW], /question\.jsonl:2 has the id 81 of .*question\.jsonl:1: give every record an id/],
  [[{ ...ROW, question_id: undefined }], /question\.jsonl:1 has no question_id/],
  [[{ ...ROW, question_id: 1.5 }], /question_id is 1\.5/],
  [[{ ...ROW, turns: [] }], /turns must be a list of questions/],
  [[{ ...ROW, turns: ["a", ""] }], /none of them empty/],
  [[{ ...ROW, turns: "Write." }], /turns must be a list/],
])("data that lack something are an error with their place, %#", async (rows, message) => {
  await expect(taskOf(rows)).rejects.toMatchObject({ code: "bad-input", message: expect.stringMatching(message) });
});

test("the hub's names of the fields do too", async () => {
  const { examples } = await taskOf([{ prompt: ["a", "b"], prompt_id: 7, category: "math", reference: [] }]);
  expect(examples[0]).toMatchObject({ id: "7", category: "math", questions: ["a", "b"] });
});

test.skipIf(!hasSharedData)(`the real data: 80 conversations of two turns ${skipNote}`, async () => {
  const { examples } = await mtBench({ dataDir: SHARED_DATA });
  expect(examples.length).toBe(80);
  expect(new Set(examples.map(({ turns }) => turns))).toEqual(new Set([2]));
  expect(new Set(examples.map(({ category }) => category)).size).toBe(8);
});

test("drafts are neither judged nor rated", async () => {
  const thought = (text: string) => `<think>The answer is secret: [[1]]</think>\n\n${text}`;
  const reply = (response: ServerResponse) => say(response, thought("Rating: [[7]]"));
  const { verdict, heard } = await judged(reply, {}, ROW, [thought("one"), thought("two")]);
  expect(verdict).toMatchObject({ verdict: "rated", measures: { rating: 7 } });
  expect(JSON.stringify(heard)).not.toContain("secret");
  const unfinished = await judged(reply, {}, ROW, ["one", "<think>for ever"]);
  expect(unfinished.verdict).toEqual({ verdict: "no-answer", detail: "turn 2 has no answer" });
});
