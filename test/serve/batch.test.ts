/** Batches: OpenAI's lines in and out, errors line by line, and the same bytes however often it is killed, in one run or in shards. */
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { findShards, type Shard, shardPath } from "../../src/files/shards.ts";
import { mergeBatch, readBatch, runBatch } from "../../src/serve/batch-run.ts";
import { createModels, inThisProcess } from "../../src/serve/index.ts";
import { createMetrics } from "../../src/serve/metrics.ts";
import { scriptedLanguageModel } from "../generate/scripted-language-model.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-batch-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let output = "";
let outputs = 0;
beforeEach(() => {
  output = join(folder, `answers-${outputs++}.jsonl`);
});

const model = scriptedLanguageModel({ predictability: 0.9, contextLength: 200 });
const models = createModels(
  [{ name: "mine", start: async () => ({ ...inThisProcess(model), dispose: async () => {} }) }],
  {
    maxRunning: 4,
    maxWaiting: 8,
  },
);
const completion = (id: string, body: object = {}) => ({
  custom_id: id,
  method: "POST",
  url: "/v1/completions",
  body: { model: "mine", prompt: `the ${id} owls`, max_tokens: 8, ...body },
});
const lines: readonly object[] = [
  ...["a", "b", "c"].map((id) => completion(id)),
  completion("sampled", { temperature: 1 }),
  {
    ...completion("chat"),
    url: "/v1/chat/completions",
    body: { model: "mine", messages: [{ role: "user", content: "hi" }], max_tokens: 4 },
  },
  completion("no such model", { model: "theirs" }),
  completion("long", { prompt: "x".repeat(500) }),
  completion("wrong type", { max_tokens: "many" }),
  completion("streamed", { stream: true }),
  { ...completion("method"), method: "GET" },
  { ...completion("url"), url: "/v1/embeddings" },
  { custom_id: "no body", method: "POST", url: "/v1/completions" },
];
const input = join(folder, "requests.jsonl");
writeFileSync(input, lines.map((line) => JSON.stringify(line)).join("\n"));
const requests = await readBatch(input);

interface Options {
  readonly shard?: Shard;
  readonly parallel?: number;
  readonly path?: string;
  readonly seed?: number;
}

/** Runs to the end, or until so many answers are there; null then, as after a kill. */
async function run({ shard, parallel = 1, path, seed = 0 }: Options = {}, most = Infinity) {
  const steps = runBatch({
    ...{ models, metrics: createMetrics(), seed, onUnknown: () => {}, signal: new AbortController().signal },
    ...{
      output: path ?? (shard ? shardPath(output, shard) : output),
      requests,
      conditions: { models: "m" },
      parallel,
      shard,
    },
  });
  for (let count = 0; count < most; count++) {
    const { done, value } = await steps.next();
    if (done) return value;
  }
  await steps.return(undefined as never);
  return null;
}

const single = join(folder, "single.jsonl");
const report = await run({ path: single });
const expected = readFileSync(single, "utf8");
const answers = expected
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

describe("a batch", () => {
  test("answers every request in its order, in OpenAI's form", () => {
    expect(answers.map(({ custom_id }) => custom_id)).toEqual(
      lines.map((line) => (line as { custom_id: string }).custom_id),
    );
    for (const answer of answers) {
      expect(answer).toEqual({
        id: expect.stringMatching(/^batch_req_[0-9a-f]{24}$/),
        custom_id: expect.any(String),
        response: {
          status_code: expect.any(Number),
          request_id: expect.stringMatching(/^req_/),
          body: expect.any(Object),
        },
        error: null,
      });
    }
    expect(answers[0].response).toMatchObject({
      status_code: 200,
      body: {
        object: "text_completion",
        model: "mine",
        choices: [{ index: 0, text: expect.any(String) }],
        usage: { completion_tokens: 8 },
      },
    });
    expect(answers[4].response.body).toMatchObject({
      object: "chat.completion",
      choices: [{ message: { role: "assistant" } }],
    });
    expect(new Set(answers.map(({ id }) => id)).size).toBe(lines.length);
  });

  test("has errors line by line, as the server gives them", () => {
    const errors = answers
      .slice(5)
      .map(({ custom_id, response: { status_code, body } }) => [
        custom_id,
        status_code,
        body.error.code,
        body.error.param,
      ]);
    expect(errors).toEqual([
      ["no such model", 404, "model_not_found", null],
      ["long", 400, "context_length_exceeded", null],
      ["wrong type", 400, "invalid_request", "max_tokens"],
      ["streamed", 400, "invalid_request", "stream"],
      ["method", 400, "invalid_request", "method"],
      ["url", 400, "invalid_request", "url"],
      ["no body", 400, "invalid_request", null],
    ]);
    expect(report).toEqual({ answers: lines.length, failed: 7 });
  });

  test.each([1, 3])("with %i in flight, killed and torn anywhere, ends in the same bytes", async (parallel) => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(12), fc.nat(200)), { maxLength: 3 }), async (kills) => {
        output = join(folder, `answers-${outputs++}.jsonl`);
        for (const [most, torn] of kills) {
          if ((await run({ parallel }, 1 + most)) !== null) break;
          const journal = `${output}.journal`;
          truncateSync(journal, Math.max(0, readFileSync(journal).length - torn));
        }
        expect(await run({ parallel })).toEqual(report);
        expect(readFileSync(output, "utf8")).toBe(expected);
        expect(existsSync(`${output}.journal`)).toBe(false);
      }),
      { numRuns: 5 },
    );
  });

  test("that is there already is told again; one of other requests is in the way", async () => {
    writeFileSync(output, expected);
    expect(await run()).toEqual(report);
    writeFileSync(output, "dear diary\n");
    await expect(run()).rejects.toMatchObject({ code: "usage", message: expect.stringContaining("exists already") });
    rmSync(output);
    await run({}, 3);
    await expect(run({ seed: 7 })).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("seed is 0, not 7"),
    });
  });
});

describe("shards of a batch", () => {
  test.each([2, 3, 15])("%i of them joined are the bytes of one run", async (count) => {
    for (let index = 1; index <= count; index++) await run({ shard: { index, count } });
    expect(await mergeBatch(output, await findShards(output, [".jsonl"]))).toEqual(report);
    expect(readFileSync(output, "utf8")).toBe(expected);
  });

  test("of other settings, cut, or of another name are refused", async () => {
    for (const index of [1, 2]) await run({ shard: { index, count: 2 }, seed: index });
    await expect(mergeBatch(output, await findShards(output, [".jsonl"]))).rejects.toThrow(/seed is 2, not 1/);
    const [first, second] = [1, 2].map((index) => shardPath(output, { index, count: 2 })) as [string, string];
    rmSync(second);
    await run({ shard: { index: 2, count: 2 }, seed: 1 });
    writeFileSync(second, readFileSync(second, "utf8").split("\n").slice(0, -2).join("\n").concat("\n"));
    await expect(mergeBatch(output, [first, second])).rejects.toThrow(/5 answers, and 6 are due/);
    writeFileSync(second, readFileSync(first));
    await expect(mergeBatch(output, [first, second])).rejects.toThrow(/says that it is shard 1 of 2/);
  });
});

test.each([
  ["{", /requests\.jsonl:1 is not JSON/],
  ["[]", /requests\.jsonl:1 has no custom_id/],
  [
    `${JSON.stringify(completion("a"))}\n${JSON.stringify(completion("a"))}`,
    /lines 1 and 2 .* have the same custom_id "a"/,
  ],
  ["\n", /holds no requests/],
])("a file that cannot be answered is an error before any work: %s", async (text, message) => {
  const path = join(mkdtempSync(join(folder, "bad-")), "requests.jsonl");
  writeFileSync(path, text);
  await expect(readBatch(path)).rejects.toMatchObject({ code: "bad-input", message: expect.stringMatching(message) });
});
