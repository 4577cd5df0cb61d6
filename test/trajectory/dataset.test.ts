/** Data sets: every form of file and field gives the same prompts, and a record that gives none is one error. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { dataSets } from "../../scripts/real-data.mjs";
import { jsonItems } from "../../src/data/json-items.ts";
import { toCandidates } from "../../src/trajectory/candidates.ts";
import { type DatasetOptions, parseTemplate, readDataset } from "../../src/trajectory/dataset.ts";
import { scriptedLanguageModel } from "../generate/scripted-language-model.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-data-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

function file(name: string, content: string | object): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

/** Prompts, or messages, and answers. */
async function read(source: string, options: DatasetOptions = {}): Promise<unknown[]> {
  const { examples } = await readDataset(source, options);
  return examples.map((example) =>
    "unusable" in example
      ? example.reason
      : [example.dataId, example.input.prompt ?? example.input.messages, example.answer],
  );
}

const rows = [
  { question: "one?", answer: "1", n: 1 },
  { question: "zwei: ü?", answer: "2", n: 2 },
];
const expected = [
  ["data_0", "one?", "1"],
  ["data_1", "zwei: ü?", "2"],
];
const fields = { promptField: "question", answerField: "answer" };
const lines = (list: readonly object[]): string => list.map((row) => JSON.stringify(row)).join("\n");

describe("files", () => {
  test("JSON Lines and JSON lists, however they are laid out", async () => {
    for (const content of [
      lines(rows),
      `\uFEFF${lines(rows)}\r\n\n`,
      JSON.stringify(rows),
      `\uFEFF \n${JSON.stringify(rows, null, 4)}\n`,
    ]) {
      expect(await read(file("rows", content), fields)).toEqual(expected);
    }
  });

  test.each(["snappy", "gzip", "brotli"])("Parquet with %s, as pyarrow writes it", async (codec) => {
    const path = fixture(`${codec}.parquet`);
    expect(await read(path, { ...fields, idField: "id" })).toEqual([
      ["11", "What is 1 + 1?", "2"],
      ["12", "Und 2 + 2? äöü €", "4"],
      ["13", "Last\nline", "none"],
    ]);
    const [, second] = await read(path);
    const [system, user] = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hi 1" },
    ];
    expect(second).toEqual(["data_1", [system, user], "Ho 1"]);
  });

  test("a limit reads no further", async () => {
    expect(await read(file("a.jsonl", `${lines(rows)}\nnot JSON`), { ...fields, limit: 2 })).toEqual(expected);
  });

  test("the items of a list are those that JSON.parse finds", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 6 }), fc.constantFrom(0, 1, "\t"), async (list, space) => {
        const path = file("list.json", JSON.stringify(list, null, space));
        const items: unknown[] = [];
        for await (const item of jsonItems(path)) items.push(item);
        expect(items).toEqual(JSON.parse(JSON.stringify(list)));
      }),
      { numRuns: 60 },
    );
  });

  test.each(["", "[", "[1", "[1,", "[1,]", "[,1]", "[1] 2", "[1 2]", '["a', "[{]", "{}"])(
    "the list %j is damaged",
    async (content) => {
      const reading = (async () => {
        for await (const _ of jsonItems(file("list.json", content)));
      })();
      await expect(reading).rejects.toMatchObject({ code: "bad-file" });
    },
  );
});

describe("fields", () => {
  test("a template holds fields, braces and escapes", async () => {
    const template = "{{Q}} {n}: {question}\\nA:\\t\\\\x";
    const path = file("t.jsonl", lines(rows));
    expect((await read(path, { template, answerField: "answer" }))[0]).toEqual(["data_0", "{Q} 1: one?\nA:\t\\x", "1"]);
    for (const bad of ["{question", "question}", "none", "{}"]) {
      expect(() => parseTemplate(bad)).toThrow(/template/);
    }
    await expect(read(path, { template: "{qestion}" })).rejects.toThrow(
      /t\.jsonl:1 has no qestion; did you mean question\?/,
    );
    await expect(read(path, { template: "{n}", promptField: "n" })).rejects.toThrow(/both given/);
  });

  test("conversations in chat and in ShareGPT form, up to the first answer", async () => {
    const chat = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
      { role: "user", content: "c" },
    ];
    const share = [
      { from: "system", value: "s" },
      { from: "human", value: "a" },
      { from: "gpt", value: "b" },
    ];
    const open = [{ role: "user", content: "a" }];
    const both = [{ messages: chat }, { messages: share }, { messages: open }];
    const system = { role: "system", content: "s" };
    expect(await read(file("chat.jsonl", lines(both)))).toEqual([
      ["data_0", open, "b"],
      ["data_1", [system, ...open], "b"],
      ["data_2", open, null],
    ]);
    expect(await read(file("share.json", [{ conversations: share }]))).toEqual([["data_0", [system, ...open], "b"]]);
    expect(await read(file("own.json", [{ talk: chat }]), { messagesField: "talk" })).toEqual([["data_0", open, "b"]]);
  });

  test("every answer of a conversation, each behind what was said before it", async () => {
    const turn = (role: string, content: string) => ({ role, content });
    const greeting = turn("assistant", "hello");
    const talk = [turn("system", "s"), greeting];
    for (const i of [1, 2, 3, 4, 5]) talk.push(turn("user", `q${i}`), turn("assistant", `a${i}`));
    talk.push(turn("user", "and?"));
    const path = file(
      "five.jsonl",
      lines([{ messages: talk }, { messages: [turn("user", "x"), turn("assistant", "y")] }]),
    );
    const five = await read(path, { answers: "all" });
    expect(five).toEqual([
      ...[1, 2, 3, 4, 5].map((i) => [i === 1 ? "data_0" : `data_0#${i}`, talk.slice(0, 1 + 2 * i), `a${i}`]),
      ["data_1", [turn("user", "x")], "y"],
    ]);
    expect(await read(path)).toEqual([five[0], five[5]]); // a greeting answers nothing
    expect(await read(path, { answers: "all", limit: 1 })).toEqual(five.slice(0, 5)); // records, not answers
    const { examples } = await readDataset(path, { answers: "all" });
    expect(examples.map((example) => "record" in example && example.record)).toEqual([0, 0, 0, 0, 0, 1]);
  });

  test("a field called prompt needs no name", async () => {
    expect(await read(file("p.jsonl", '{"prompt": "x"}'))).toEqual([["data_0", "x", null]]);
  });

  const talk = (...turns: object[]): string => JSON.stringify({ messages: turns });
  test.each<[what: string, content: string, options: DatasetOptions, message: RegExp]>([
    [
      "a row without its field",
      `${lines(rows)}\n{"qestion": 1}`,
      fields,
      /bad:3 has no question; did you mean qestion\?/,
    ],
    ["no known field", lines(rows), {}, /none of prompt, messages and conversations, but question, answer, n/],
    ["an empty prompt", '{"prompt": ""}', {}, /bad:1: prompt is empty/],
    ["a prompt that is no text", '{"prompt": {"a": 1}}', {}, /prompt is {"a":1}, no text/],
    ["a record that is no object", "3", {}, /bad:1 is no JSON object/],
    ["no JSON", "{'prompt'}", {}, /bad:1 is not JSON/],
    ["no records", "\n\n", {}, /holds no records/],
    ["an empty list", "[]", {}, /holds no records/],
    ["an unknown speaker", talk({ role: "dog", content: "w" }), {}, /messages \[0\] is by "dog"/],
    ["an answer first", talk({ from: "gpt", value: "w" }), {}, /has no question before its first answer/],
    ["a turn without text", talk({ role: "user" }), {}, /messages \[0\] has no text/],
    ["an id that is none", '{"prompt": "x", "id": null}', { idField: "id" }, /id must be a text or a number/],
  ])("%s is one error", async (_, content, options, message) => {
    const reading = read(file("bad", content), options);
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toMatchObject({ code: "bad-input" });
  });

  test("conversations with a turn of another role are left out and counted, or an error where data is strict", async () => {
    const ask = { from: "human", value: "x" };
    const answer = { from: "gpt", value: "y" };
    const talks = [
      [ask, answer],
      [ask, { from: "tool", value: "z" }],
      [ask, answer, { from: "tool", value: "" }],
    ];
    const path = file(
      "logs",
      lines([...talks, [{ from: "bing", value: "" }]].map((conversations) => ({ conversations }))),
    );
    const { examples, unknownRoles } = await readDataset(path);
    expect(examples.map((example) => "unusable" in example)).toEqual([false, true, true, true]);
    expect([...unknownRoles]).toEqual([
      ["tool", 2],
      ["bing", 1],
    ]);
    await expect(readDataset(path, { strictData: true })).rejects.toMatchObject({
      code: "bad-input",
      message: expect.stringMatching(/:2: conversations \[1\] is by "tool": there are system, user/),
    });
  });

  test("bad rows can be counted instead, but not all of them", async () => {
    const content = `{"prompt": ""}\n{"prompt": "x"}`;
    const [first, second] = await read(file("some", content), { skipBadRecords: true });
    expect(first).toMatch(/some:1: prompt is empty/);
    expect(second).toEqual(["data_1", "x", null]);
    await expect(read(file("all", '{"prompt": ""}'), { skipBadRecords: true })).rejects.toThrow(
      /no usable record.*empty/,
    );
  });

  test("garbled Parquet gives rows or an error of ours, whatever the bytes", async () => {
    const whole = readFileSync(fixture("snappy.parquet"));
    const edits = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(edits, async (changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, byte] of changes) bytes[at] = byte;
        writeFileSync(join(folder, "garbled.parquet"), bytes);
        const reading = await read(join(folder, "garbled.parquet"), fields).catch((error: unknown) => error);
        if (!Array.isArray(reading)) expect(reading).toMatchObject({ name: "CllmError" });
      }),
      { numRuns: 100 },
    );
  });

  test("damaged Parquet is an error with its path", async () => {
    const reading = read(file("x.parquet", "PAR1 and nothing else PAR1"));
    await expect(reading).rejects.toThrow(/x\.parquet cannot be read as Parquet/);
    await expect(reading).rejects.toMatchObject({ code: "bad-file" });
  });
});

describe("known data sets", () => {
  test("names that are none, splits that are none, and no folder", async () => {
    await expect(read("gsm8kk")).rejects.toThrow(
      /neither a file nor a known data set; did you mean the data set gsm8k\?/,
    );
    await expect(read("no-such-thing.jsonl")).rejects.toThrow(/the known ones are gsm8k, spider/);
    await expect(read("gsm8k/dev", { dataDir: folder })).rejects.toThrow(
      /gsm8k has no split dev; there are train,test/,
    );
    await expect(read("gsm8k")).rejects.toThrow(/no folder of data is given: dataDir or CLLM_DATA/);
    await expect(read("gsm8k", { dataDir: folder })).rejects.toMatchObject({ code: "not-found" });
  });

  test("a schema goes into Spider's prompts, and a field of one's own in the place of the data set's", async () => {
    mkdirSync(join(folder, "spider"), { recursive: true });
    file("spider/dev.json", [{ question: "How many?", query: "SELECT count(*) FROM a", db_id: "d" }]);
    file("spider/tables.json", [
      {
        db_id: "d",
        table_names_original: ["a", "b"],
        column_names_original: [
          [-1, "*"],
          [0, "x"],
          [0, "y"],
          [1, "z"],
        ],
      },
    ]);
    const prompt = "a(x, y)\nb(z)\nQuestion: How many?\nSQL:";
    expect(await read("spider/dev", { dataDir: folder })).toEqual([["data_0", prompt, "SELECT count(*) FROM a"]]);
    const own = await read("spider/dev", { dataDir: folder, promptField: "question" });
    expect(own).toEqual([["data_0", "How many?", "SELECT count(*) FROM a"]]);
  });

  const shared = dataSets();
  test.skipIf(!existsSync(shared))(`the real ones (skipped where ${shared} is not)`, async () => {
    for (const [name, id, start] of [
      ["gsm8k", "data_0", "Natalia sold clips"],
      ["gsm8k/test", "data_0", "Janet"],
      ["spider", "data_0", "department(Department_ID, Name"],
      ["humaneval", "HumanEval/0", "from typing import List"],
      ["mt-bench", "81", "Compose an engaging travel blog"],
    ] as const) {
      const [first] = (await read(name, { dataDir: shared, limit: 3 })) as [string, string, string | null][];
      expect(first![0]).toBe(id);
      expect(first![1].startsWith(start)).toBe(true);
      expect(first![2] === null).toBe(name === "mt-bench");
    }
  });
});

describe("prompts as tokens", () => {
  const model = scriptedLanguageModel();
  const [end] = model.config.eosTokenIds;
  const example = { dataId: "a", where: "file:1", record: 0, answer: null };

  test("as they are, as a user's message, and with an answer that ends", () => {
    const [plain] = toCandidates(model, [{ ...example, input: { prompt: "the thing" }, answer: "and" }]);
    expect(plain).toEqual({
      ...{ dataId: "a", promptIds: model.promptIds({ prompt: "the thing" }) },
      labelIds: Int32Array.of(...model.tokenizer.encode("and"), end!),
    });
    const messages = [{ role: "user", content: "the thing" } as const];
    const [chat] = toCandidates(model, [{ ...example, input: { prompt: "the thing" } }], { chat: true });
    expect(chat).toEqual({ dataId: "a", promptIds: model.promptIds({ messages }), labelIds: null });
    expect(toCandidates(model, [{ ...example, input: { messages } }])).toEqual([chat]);
    expect(toCandidates(model, [{ dataId: "b", unusable: true, unknownRole: false, reason: "r" }])).toEqual([
      { dataId: "b", unusable: true },
    ]);
  });

  test("an answer in a conversation ends as the template ends a turn, whatever else ends a text", () => {
    const [text, turn] = [2, end!];
    const reader = { ...model, config: { ...model.config, eosTokenIds: [text, turn] } };
    const lastOf = (input: object) => {
      const [candidate] = toCandidates(reader, [{ ...example, input, answer: "and" }]);
      return (candidate as { labelIds: Int32Array }).labelIds.at(-1);
    };
    const messages = [{ role: "user", content: "the thing" }];
    const closed = model.promptIds({
      messages: [...messages, { role: "assistant", content: "b" }] as never,
      addGenerationPrompt: false,
    });
    const closes = closed.includes(turn);
    expect(lastOf({ messages })).toBe(closes ? turn : text);
    expect(lastOf({ prompt: "the thing" })).toBe(text);
  });

  test("errors name the row", () => {
    const mute = scriptedLanguageModel({ chat: false });
    const messages = [{ role: "user", content: "hi" } as const];
    expect(() => toCandidates(mute, [{ ...example, input: { messages } }])).toThrow(/^file:1: .*no chat template/);
  });
});
