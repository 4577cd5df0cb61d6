/** Spider: the official rules by hand-made verdicts and by a plain twin, prompts, hostile queries, and bad data. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { SqlJsStatic } from "sql.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ResultRows, sameResult } from "../../src/tasks/spider/official-match.ts";
import { schemaSentence } from "../../src/tasks/spider/schema.ts";
import { type SpiderExample, type SpiderOptions, spider } from "../../src/tasks/spider/spider.ts";
import type { Task, VerdictName } from "../../src/tasks/task.ts";
import { readDataset } from "../../src/trajectory/dataset.ts";
import { hasSharedData, SHARED_DATA, skipNote } from "./shared-data.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-spider-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TABLES = [
  {
    db_id: "shop",
    table_names_original: ["item", "sale"],
    column_names_original: [
      [-1, "*"],
      [0, "id"],
      [0, "name"],
      [0, "price"],
      [1, "item id"],
      [1, "it's"],
    ],
  },
  { db_id: "none", table_names_original: ["t"], column_names_original: [[0, "x"]] },
  { db_id: "absent", table_names_original: ["t"], column_names_original: [[0, "x"]] },
];

const SHOP = `
  CREATE TABLE item (id INTEGER, name TEXT, price NUMERIC);
  INSERT INTO item VALUES (1, 'pen', 2), (2, 'cup', 5.5), (3, 'pen', 3), (4, NULL, 3);
  CREATE TABLE sale ("item id" INTEGER, "it's" TEXT);
`;

const row = (query: string, db_id = "shop") => ({ question: "Which?", query, db_id });

/** A data folder with these records, and its task. */
async function taskOf(rows: unknown, options: Partial<SpiderOptions> = {}): Promise<Task<SpiderExample>> {
  writeFileSync(join(folder, "spider/dev.json"), JSON.stringify(rows));
  return spider({ dataDir: folder, ...options });
}

async function verdict(answer: string, gold: string, options: Partial<SpiderOptions> = {}): Promise<VerdictName> {
  await using task = await taskOf([row(gold)], options);
  return (await task.grade(task.examples[0]!, [answer])).verdict;
}

beforeAll(async () => {
  const start = createRequire(import.meta.url)("sql.js") as () => Promise<SqlJsStatic>;
  const database = new (await start()).Database();
  database.exec(SHOP);
  for (const name of ["shop", "none"]) mkdirSync(join(folder, "spider/database", name), { recursive: true });
  writeFileSync(join(folder, "spider/database/shop/shop.sqlite"), database.export());
  writeFileSync(join(folder, "spider/database/none/none.sqlite"), "this is no database".repeat(100));
  writeFileSync(join(folder, "spider/tables.json"), JSON.stringify(TABLES));
  database.close();
});

describe("an answer is", () => {
  test.each<[VerdictName, string, string, string]>([
    ["right", "columns in another order", "SELECT name, id FROM item", "SELECT id, name FROM item"],
    ["right", "rows in another order", "SELECT id FROM item ORDER BY id DESC", "SELECT id FROM item"],
    ["wrong", "another order under ORDER BY", "SELECT id FROM item", "SELECT id FROM item ORDER BY id DESC"],
    ["right", "a fenced query", "Sure:\n```sql\nSELECT id FROM item;\n```\nIt lists.", "SELECT id FROM item"],
    ["right", "behind a draft", "<think>SELECT 1?</think>\n\nSELECT id FROM item", "SELECT id FROM item"],
    ["right", "in prose", "It is:\n```\nid name\n```\n~~~sql\nSELECT id FROM item\n~~~", "SELECT id FROM item"],
    ["no-answer", "a draft without end", "<think>SELECT id FROM item", "SELECT id FROM item"],
    ["right", "split operators", "SELECT id FROM item WHERE price > = 3", "SELECT id FROM item WHERE price >= 3"],
    ["right", "nothing where nothing is", "SELECT 1, 2 WHERE 0", "SELECT id FROM item WHERE id = 9"],
    ["right", "a whole number as a float", "SELECT 3.0", "SELECT 3"],
    ["right", "tables named with WITH", "WITH a AS (SELECT id FROM item) SELECT * FROM a", "SELECT id FROM item"],
    ["wrong", "a number as text", "SELECT '3'", "SELECT 3"],
    ["wrong", "another letter case", "SELECT 'Pen'", "SELECT 'pen'"],
    ["wrong", "a column more", "SELECT id, id FROM item", "SELECT id FROM item"],
    ["wrong", "a missing DISTINCT", "SELECT name FROM item", "SELECT DISTINCT name FROM item"],
    ["wrong", "a needless DISTINCT", "SELECT DISTINCT price FROM item", "SELECT price FROM item"],
    ["wrong", "values of rows mixed", "SELECT 1, 'b' UNION SELECT 2, 'a'", "SELECT 1, 'a' UNION SELECT 2, 'b'"],
    ["no-answer", "nothing", "  \n", "SELECT id FROM item WHERE 0"],
    ["no-answer", "a comment", "-- I do not know", "SELECT id FROM item WHERE 0"],
    ["error", "words", "I think the answer is 3.", "SELECT id FROM item WHERE 0"],
    ["error", "a column that is not there", "SELECT colour FROM item", "SELECT id FROM item WHERE 0"],
    ["refused", "a deletion", "DELETE FROM item", "SELECT id FROM item WHERE 0"],
    ["refused", "an attachment", "ATTACH DATABASE 'x.db' AS x", "SELECT id FROM item WHERE 0"],
    ["refused", "several statements", "SELECT id FROM item; DROP TABLE item", "SELECT id FROM item"],
    ["refused", "a pragma", "PRAGMA query_only = OFF", "SELECT id FROM item WHERE 0"],
    ["error", "a file to read", "SELECT readfile('/etc/passwd')", "SELECT id FROM item WHERE 0"],
    ["error", "a file to write", "SELECT writefile('x', 'y')", "SELECT id FROM item WHERE 0"],
    ["error", "a library to load", "SELECT load_extension('x')", "SELECT id FROM item WHERE 0"],
    ["error", "a tokenizer by its address", "SELECT fts3_tokenizer('simple', x'4141414141414141')", "SELECT 1 WHERE 0"],
    ["error", "a file as a table", "SELECT * FROM fsdir('/')", "SELECT id FROM item WHERE 0"],
  ])("%s: %s", async (expected, _, answer, gold) => {
    expect(await verdict(answer, gold)).toBe(expected);
  });

  test("stopped where it has no end, or gives too much", async () => {
    const numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)";
    expect(await verdict(`${numbers} SELECT MAX(x) FROM n`, "SELECT 1", { limits: { timeoutMs: 50 } })).toBe("timeout");
    expect(await verdict(`${numbers} SELECT x FROM n`, "SELECT 1")).toBe("limit");
  });

  test("right without DISTINCT where that is dropped, as the official program does by default", async () => {
    const [answer, gold] = ["SELECT name FROM item", "SELECT DISTINCT name FROM item"];
    expect(await verdict(answer, gold, { distinct: "dropped" })).toBe("right");
  });

  test("without effect on the next one", async () => {
    await using task = await taskOf([row("SELECT COUNT(*) FROM item")]);
    const [example] = task.examples;
    for (const hostile of ["DROP TABLE item", "WITH a AS (SELECT 1) DELETE FROM item", "UPDATE item SET id = 1"]) {
      expect(await task.grade(example!, [hostile])).toMatchObject({ verdict: "refused" });
    }
    expect(await task.grade(example!, ["SELECT 4"])).toMatchObject({ verdict: "right", measures: { goldRows: 1 } });
  });
});

describe("the same result", () => {
  const cell = fc.constantFrom<string | number | null>(0, 1, "0", "1", null);
  const table = (rows: number, columns: number) =>
    fc.array(fc.array(cell, { minLength: columns, maxLength: columns }), { minLength: rows, maxLength: rows });
  const size = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }));

  /** The rule as it stands in the paper: tries every order of the columns. */
  function plainTwin(gold: ResultRows, predicted: ResultRows, ordered: boolean): boolean {
    const lines = (rows: ResultRows): string => {
      const texts = rows.map((values) => JSON.stringify(values));
      return JSON.stringify(ordered ? texts : texts.sort());
    };
    return orders(gold[0]!.length).some(
      (order) => lines(gold) === lines(predicted.map((values) => order.map((column) => values[column]!))),
    );
  }

  function orders(n: number): number[][] {
    if (n === 0) return [[]];
    return orders(n - 1).flatMap((order) => Array.from({ length: n }, (_, at) => order.toSpliced(at, 0, n - 1)));
  }

  test("is what trying every order of columns says", () => {
    const pairs = size.chain(([rows, columns]) => fc.tuple(table(rows, columns), table(rows, columns)));
    fc.assert(
      fc.property(pairs, fc.boolean(), ([gold, predicted], ordered) => {
        expect(sameResult(gold, predicted, ordered)).toBe(plainTwin(gold, predicted, ordered));
      }),
      { numRuns: 300 },
    );
  });

  test("survives any order of columns, and of rows where that is free", () => {
    const shuffled = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 })).chain(([rows, columns]) =>
      table(rows, columns).chain((gold) => {
        const whole = (n: number) => ({ minLength: n, maxLength: n });
        const indices = (n: number) => Array.from({ length: n }, (_, i) => i);
        return fc.tuple(
          fc.constant(gold),
          fc.shuffledSubarray(indices(columns), whole(columns)),
          fc.shuffledSubarray(indices(rows), whole(rows)),
        );
      }),
    );
    fc.assert(
      fc.property(shuffled, ([gold, columns, rows]) => {
        const turned = gold.map((values) => columns.map((column) => values[column]!));
        expect(sameResult(gold, turned, true)).toBe(true);
        const mixed = rows.map((index) => turned[index]!);
        expect(sameResult(gold, mixed, false)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test("is not searched for without end among look-alike columns", () => {
    const unit = (at: number, width = 12) => Array.from({ length: width }, (_, i) => (i === at ? 1 : 0));
    const gold = unit(0).map((_, i) => unit(i));
    expect(sameResult(gold, gold.toReversed(), false, 12 * 12 * 12)).toBe(true);
    expect(sameResult(gold, gold.toReversed(), false, 12)).toBe(null);
  });
});

describe("prompts", () => {
  test("of the paper list tables as Python prints them", async () => {
    await using task = await taskOf([row("SELECT 1")], { promptFormat: "paper" });
    expect(task.examples[0]!.input([])).toEqual({
      prompt:
        "### Instruction:\nCould you translate the following question into SQL. Please only generate SQL, don't include " +
        "explanation in the answer. The SQL database has table named item with columns ['id', 'name', 'price'], table " +
        "named sale with columns ['item id', \"it's\"], Question: Which?\n### Response:\n",
    });
    expect(schemaSentence({ tables: [{ name: "t", columns: ["a'\"\\"] }], foreignKeys: [] })).toContain(
      "['a\\'\"\\\\']",
    );
  });

  test("by default are those that `spider` trains with", async () => {
    await using task = await taskOf([row("SELECT 1"), row("SELECT 2")]);
    const trained = await readDataset("spider/dev", { dataDir: folder });
    expect(task.examples.map((example) => example.input([]))).toEqual(
      trained.examples.map((example) => "input" in example && example.input),
    );
    expect(task.examples.map(({ id }) => id)).toEqual(["dev/0", "dev/1"]);
  });

  test("as a chat are one message", async () => {
    await using task = await taskOf([row("SELECT 1")], { promptFormat: "chat" });
    expect(task.examples[0]!.input([])).toMatchObject({ messages: [{ role: "user" }] });
  });
});

describe("bad data", () => {
  test("a database that is none or not there, and a gold query that fails, are verdicts of their own", async () => {
    await using task = await taskOf([
      row("SELECT 1", "none"),
      row("SELECT 1", "absent"),
      row("SELECT colour FROM item"),
    ]);
    for (const [index, detail] of [/none\.sqlite cannot be opened/, /absent\.sqlite cannot/, /gold query/].entries()) {
      const found = await task.grade(task.examples[index]!, ["SELECT 1"]);
      expect(found).toEqual({ verdict: "bad-data", detail: expect.stringMatching(detail) });
    }
  });

  test.each<[unknown, RegExp]>([
    [[], /holds no examples/],
    [[{ question: "a", db_id: "shop" }], /record 0 has no query/],
    [[row("SELECT 1"), { ...row("SELECT 1"), question: "" }], /record 1: question is empty/],
    [[row("SELECT 1", "shops")], /db_id is shops, which .* lacks/],
    [[row("SELECT 1", "../shop")], /db_id is \.\.\/shop, which/],
    [[7], /record 0 is no JSON object/],
  ])("%j is an error with its place", async (rows, message) => {
    await expect(taskOf(rows)).rejects.toMatchObject({ code: "bad-input", message: expect.stringMatching(message) });
  });

  test("no folder, no such split, no such format", async () => {
    const dataDir = join(folder, "nowhere");
    await expect(spider({ dataDir })).rejects.toMatchObject({ code: "not-found" });
    await expect(spider({ dataDir: folder, split: "test" })).rejects.toThrow(/no split test; it has dev, train/);
    await expect(spider({ dataDir: folder, promptFormat: "papr" as "paper" })).rejects.toThrow(/default, chat, paper/);
  });
});

test.skipIf(!hasSharedData)(`every gold query of dev is right against itself ${skipNote}`, async () => {
  await using task = await spider({ dataDir: SHARED_DATA });
  expect(task.examples.length).toBe(534);
  const counts: Partial<Record<VerdictName, number>> = {};
  for (const example of task.examples) {
    const { verdict } = await task.grade(example, [example.reference]);
    counts[verdict] = (counts[verdict] ?? 0) + 1;
  }
  expect(counts).toEqual({ right: 534 });
});
