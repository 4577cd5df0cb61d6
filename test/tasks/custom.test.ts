/** People's own questions: every grader by its known traps, records that lack something, and what must not take for ever. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type CustomOptions, custom, type GraderName } from "../../src/tasks/custom/custom.ts";
import { lastNumberValue } from "../../src/tasks/custom/graders.ts";
import type { VerdictName } from "../../src/tasks/task.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-custom-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, "own.jsonl");

async function taskOf(rows: readonly unknown[], options: Partial<CustomOptions> = {}) {
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return custom({ path, ...options });
}

async function verdict(row: object, answer: string): Promise<VerdictName> {
  const task = await taskOf([{ prompt: "?", ...row }]);
  return (await task.grade(task.examples[0]!, [answer])).verdict;
}

describe("exact and number", () => {
  test.each<[GraderName, unknown, string, VerdictName]>([
    ["exact", "Paris", " Paris\n", "right"],
    ["exact", "Paris", "paris", "wrong"],
    ["exact", "Paris", "It is Paris", "wrong"],
    ["exact", 7, "7", "right"],
    ["exact", "Paris", " ", "no-answer"],
    ["exact", "Paris", "<think>Lyon? No.</think>\r\n\r\nParis", "right"],
    ["exact", "a\r\nb", "a\r\nb", "right"],
    ["number", 18, "18 is what I think.\n</think>\nIt is 17.", "wrong"],
    ["number", 18, "<think>It is 18", "no-answer"],
    ["number", 18, "It is 18.", "right"],
    ["number", 18, "18.00", "right"],
    ["number", "18", "$18", "right"],
    ["number", 18, "18 of 20", "wrong"],
    ["number", 1080, "1,080", "right"],
    ["number", "1,080", "1080", "right"],
    ["number", -5, "It is -5", "right"],
    ["number", -5, "\u22125", "right"],
    ["number", 5, "10-5", "right"],
    ["number", 0.5, ".5", "right"],
    ["number", 0.3, "0.30000000000000004", "right"],
    ["number", 0.3, "0.301", "wrong"],
    ["number", 1e20, "1e20", "right"],
    ["number", 4, "3, 4", "right"],
    ["number", 0, "0", "right"],
    ["number", 0, "1e-12", "wrong"],
    ["number", 5, "five", "no-answer"],
    ["number", 5, "1e999", "no-answer"],
  ])("%s of %j: %j is %s", async (grader, reference, answer, expected) => {
    expect(await verdict({ grader, reference }, answer)).toBe(expected);
  });

  test("any number is found again in a sentence", () => {
    const number = fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }));
    fc.assert(
      fc.property(number, (value) => {
        expect(lastNumberValue(`So 1 and 2 make ${value}.`)).toBe(value === 0 ? 0 : value);
        expect(lastNumberValue(`So 1 and 2 make $${Math.abs(value)} in all`)).toBe(Math.abs(value));
      }),
    );
  });
});

describe("regex", () => {
  test.each<[string, string, string, VerdictName]>([
    ["^yes\\b", "i", "Yes, it is", "right"],
    ["^yes\\b", "", "Yes, it is", "wrong"],
    ["^no\\b", "", "[THINK]yes[/THINK]\nno", "right"],
    ["a.b", "s", "a\nb", "right"],
    [".", "", "", "no-answer"],
    ["(a+)+$", "", `${"a".repeat(40)}b`, "timeout"],
  ])("%s with flags %j on %j is %s", async (reference, flags, answer, expected) => {
    expect(await verdict({ grader: "regex", reference, flags }, answer)).toBe(expected);
  });
});

describe("json", () => {
  const reference = { name: "Ann", ages: [1, 2], more: { ok: true, none: null } };
  test.each<[unknown, string, VerdictName]>([
    [reference, JSON.stringify(reference), "right"],
    [JSON.stringify(reference), JSON.stringify(reference), "right"],
    [reference, '{"more": {"none": null, "ok": true}, "ages": [1.0, 2], "name": "Ann"}', "right"],
    [reference, `Here it is: ${JSON.stringify(reference)}. All [good]?`, "right"],
    [reference, `I see {this}:\n\`\`\`json\n${JSON.stringify(reference, null, 2)}\n\`\`\``, "right"],
    [{ a: 1 }, '<think>{"a": 2}</think>~~~JSON\n{"a": 1}\n~~~', "right"],
    [{ a: 1 }, 'The schema:\n```\nx\n```\n1. So:\n   ```json5\n   {"a": 1}\n   ```', "right"],
    [reference, `{not this} but ${JSON.stringify(reference)}`, "right"],
    [reference, '{"name": "Ann", "ages": [2, 1], "more": {"ok": true, "none": null}}', "wrong"],
    [reference, '{"name": "Ann", "ages": [1, 2], "more": {"ok": true}}', "wrong"],
    [{ a: 1 }, '{"a": 1, "b": 2}', "wrong"],
    [{ a: 1 }, '{"a": "1"}', "wrong"],
    [{ 0: 1 }, "[1]", "wrong"],
    [{}, '{"__proto__": 1}', "wrong"],
    [{ a: "}" }, 'It is {"a": "}"}', "right"],
    [[], "[]", "right"],
    [false, "false", "right"],
    ["1", "1", "right"],
    [{ a: 1 }, "no JSON", "no-answer"],
    [{ a: 1 }, '{"a": 1', "no-answer"],
    [{ a: 1 }, "", "no-answer"],
  ])("of %j: %s is %s", async (right, answer, expected) => {
    expect(await verdict({ grader: "json", reference: right }, answer)).toBe(expected);
  });

  test("any value is the same as itself, found in a text or not, and nothing breaks", async () => {
    const task = await taskOf([{ prompt: "?", grader: "json", reference: [1] }]);
    for (const answer of ["[".repeat(200_000), `${"[".repeat(50_000)}1${"]".repeat(50_000)}`, '{"'.repeat(50_000)]) {
      const { verdict } = await task.grade(task.examples[0]!, [answer]);
      expect(["no-answer", "wrong", "limit", "timeout"]).toContain(verdict);
    }
    await fc.assert(
      fc.asyncProperty(fc.object({ maxDepth: 3, values: [fc.string(), fc.integer(), fc.boolean()] }), async (value) => {
        const text = JSON.stringify(value);
        expect(await verdict({ grader: "json", reference: value }, `Thus: ${text}`)).toBe("right");
      }),
      { numRuns: 30 },
    );
  });
});

describe("sql", () => {
  const row = {
    grader: "sql",
    reference: "SELECT name FROM t WHERE n > 1",
    script: "CREATE TABLE t (n, name); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
  };
  test.each<[object, string, VerdictName]>([
    [row, "SELECT name FROM t WHERE n = 2", "right"],
    [row, "```sql\nSELECT 'b'\n```", "right"],
    [row, "<think>SELECT 'a'</think>Use `SELECT 'b'`.", "right"],
    [row, "SELECT name FROM t", "wrong"],
    [row, "SELECT x FROM t", "error"],
    [row, "DROP TABLE t", "refused"],
    [row, "", "no-answer"],
    [{ ...row, script: "CREATE TABLE" }, "SELECT 'b'", "bad-data"],
    [{ ...row, reference: "SELECT x" }, "SELECT 'b'", "bad-data"],
    [{ ...row, script: undefined, database: "own.jsonl" }, "SELECT 'b'", "bad-data"],
    [{ ...row, script: undefined, database: "absent.sqlite" }, "SELECT 'b'", "bad-data"],
  ])("%j: %j is %s", async (given, answer, expected) => {
    expect(await verdict(given, answer)).toBe(expected);
  });
});

describe("rows", () => {
  const row = { prompt: "?", reference: "a", grader: "exact" };

  test("become prompts or conversations", async () => {
    const messages = [{ role: "user", content: "?" }];
    const { grader, ...bare } = row;
    const task = await taskOf([bare, { ...bare, prompt: undefined, messages, stop: ["."], max_new_tokens: 5 }], {
      grader: "exact",
    });
    expect(task.examples.map((example) => example.input([]))).toEqual([{ prompt: "?" }, { messages }]);
    expect(task.examples[1]).toMatchObject({ id: "1", stop: ["."], maxNewTokens: 5, reference: "a" });
    const chat = await taskOf([row], { promptFormat: "chat" });
    expect(chat.examples[0]!.input([])).toEqual({ messages });
  });

  test.each<[readonly object[], RegExp]>([
    [[], /holds no examples/],
    [[{ ...row, refrence: "a" }], /own\.jsonl:1 takes no .*refrence; did you mean .*reference\?/],
    [[row, { ...row, prompt: "" }], /own\.jsonl:2: prompt must be a text that is not empty/],
    [[{ ...row, prompt: undefined }], /own\.jsonl:1: give either prompt or messages/],
    [[{ ...row, reference: undefined }], /reference is missing/],
    [[{ ...row, grader: undefined }], /grader is missing; give one of exact, number/],
    [[{ ...row, grader: "exacto" }], /grader must be one of exact, number, regex, sql, json/],
    [[{ ...row, grader: "number" }], /reference must be a number/],
    [[{ ...row, grader: "regex", reference: "(" }], /own\.jsonl:1: reference is no pattern/],
    [[{ ...row, grader: "regex", flags: "g" }], /flags/],
    [[{ ...row, grader: "json", reference: "{" }], /reference is no JSON/],
    [[{ ...row, grader: "sql" }], /give either script or database/],
    [
      [
        { ...row, id: 1 },
        { ...row, id: "1" },
      ],
      /own\.jsonl:2 has the id 1 of .*own\.jsonl:1/,
    ],
    [[{ ...row, id: 1 }, row], /own\.jsonl:2: some records have an id and some have none/],
    [[{ ...row, id: "" }], /own\.jsonl:1: id/],
  ])("that lack something are an error with their place, %#", async (rows, message) => {
    await expect(taskOf(rows)).rejects.toMatchObject({ code: "bad-input", message: expect.stringMatching(message) });
  });

  test("in a file that is not there", async () => {
    await expect(custom({ path: join(folder, "absent.jsonl") })).rejects.toMatchObject({ code: "not-found" });
  });
});
