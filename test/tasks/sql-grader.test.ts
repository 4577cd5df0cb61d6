/** The grader's known traps: duplicates, order, types, tolerance, errors. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { gradeSql } from "../../src/tasks/sql-grader.ts";
import { hasTopLevelOrder, sqlOf, verbOf, withoutDistinct } from "../../src/tasks/sql-text.ts";
import { openSqlite, type Sqlite } from "../../src/tasks/sqlite.ts";
import { withinTime } from "../../src/text/within-time.ts";

let database: Sqlite;
beforeAll(async () => {
  database = await openSqlite(`
    CREATE TABLE song (id INTEGER PRIMARY KEY, title TEXT, genre TEXT, length NUMERIC);
    INSERT INTO song VALUES
      (1, 'Rain', 'Rock', 3), (2, 'Sky', 'Rock', 4.5), (3, 'Moon', 'Jazz', 3), (4, 'Sun', NULL, 10);
  `);
});
afterAll(() => database[Symbol.dispose]());

const grade = (predicted: string, gold: string) => gradeSql(database, predicted, gold);

describe("right is", () => {
  test.each([
    ["itself", "SELECT title FROM song", "SELECT title FROM song"],
    ["another order where none is asked for", "SELECT title FROM song ORDER BY title DESC", "SELECT title FROM song"],
    ["another way of asking", "SELECT title FROM song WHERE length IN (3)", "SELECT title FROM song WHERE length = 3"],
    ["another name of a column", "SELECT title AS t FROM song", "SELECT title FROM song"],
    ["a whole number as a float", "SELECT 3.0", "SELECT 3"],
    ["a last bit of difference", "SELECT 0.1 + 0.2", "SELECT 0.3"],
    ["nothing where nothing is there", "SELECT title FROM song WHERE 0", "SELECT title FROM song WHERE length > 99"],
    ["null for null", "SELECT genre FROM song WHERE id = 4", "SELECT NULL"],
    [
      "tolerant numbers in any order",
      "SELECT 0.3 UNION ALL SELECT 7 UNION ALL SELECT 1",
      "SELECT 1 UNION ALL SELECT 0.1 + 0.2 UNION ALL SELECT 7",
    ],
    [
      "an order in a sub-select only",
      "SELECT title FROM song WHERE length > 3 ORDER BY title DESC",
      "SELECT title FROM (SELECT title, length FROM song ORDER BY title) WHERE length > 3",
    ],
  ])("%s", async (_, predicted, gold) => {
    expect(await grade(predicted, gold)).toEqual({ correct: true, reason: null, error: null, failure: null });
  });
});

describe("wrong is", () => {
  test.each([
    ["a missing DISTINCT", "SELECT genre FROM song", "SELECT DISTINCT genre FROM song", "rows"],
    ["a needless DISTINCT", "SELECT DISTINCT length FROM song", "SELECT length FROM song", "rows"],
    [
      "the right values, another number of times",
      "SELECT 1 UNION ALL SELECT 1 UNION ALL SELECT 2",
      "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 2",
      "rows",
    ],
    ["another order where one is asked for", "SELECT id FROM song", "SELECT id FROM song ORDER BY id DESC", "order"],
    ["a column more", "SELECT id, title FROM song", "SELECT id FROM song", "columns"],
    [
      "a column more where nothing is there",
      "SELECT id, title FROM song WHERE 0",
      "SELECT id FROM song WHERE 0",
      "columns",
    ],
    ["columns the other way round", "SELECT title, id FROM song", "SELECT id, title FROM song", "rows"],
    ["a number as text", "SELECT '3'", "SELECT 3", "rows"],
    ["text in other letters", "SELECT 'rock'", "SELECT 'Rock'", "rows"],
    ["null for nothing", "SELECT NULL", "SELECT 0", "rows"],
    ["text for bytes", "SELECT 'a'", "SELECT x'61'", "rows"],
    ["another number", "SELECT 1.001", "SELECT 1", "rows"],
    [
      "values of different rows mixed",
      "SELECT 1, 'b' UNION SELECT 2, 'a'",
      "SELECT 1, 'a' UNION SELECT 2, 'b'",
      "rows",
    ],
    ["a query that does not run", "SELECT name FROM song", "SELECT title FROM song", "error"],
    ["a query that does not run where nothing is there", "SELECT", "SELECT title FROM song WHERE 0", "error"],
    ["nothing at all", "", "SELECT title FROM song WHERE 0", "error"],
  ])("%s", async (_, predicted, gold, reason) => {
    expect(await grade(predicted, gold)).toMatchObject({ correct: false, reason });
  });

  test("never the gold query's fault", async () => {
    await expect(grade("SELECT 1", "SELECT nothing")).rejects.toMatchObject({ code: "bad-input" });
  });
});

test("rows in any order are the same, and one row changed is not", async () => {
  const rows = fc.array(fc.tuple(fc.nat(3), fc.constantFrom("a", "b")), { minLength: 1, maxLength: 8 });
  const values = (list: [number, string][]) =>
    `SELECT column1, column2 FROM (VALUES ${list.map(([n, s]) => `(${n}, '${s}')`).join(", ")})`;
  await fc.assert(
    fc.asyncProperty(
      rows.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
      async ([list, shuffled]) => {
        expect(await grade(values(shuffled), values(list))).toMatchObject({ correct: true });
        const changed: [number, string][] = shuffled.with(0, [shuffled[0]![0] + 9, shuffled[0]![1]]);
        expect(await grade(values(changed), values(list))).toMatchObject({ correct: false });
      },
    ),
    { numRuns: 50 },
  );
});

test.each([
  ["SELECT a FROM b ORDER BY a", true],
  ["select a from b order\n by a", true],
  ["SELECT a FROM (SELECT a FROM b ORDER BY a)", false],
  ["SELECT a FROM b WHERE c = 'ORDER BY'", false],
  ["SELECT a FROM b WHERE c IN (SELECT d FROM e) ORDER BY (a)", true],
  ["SELECT a FROM b -- ORDER BY a", false],
  ["SELECT SUM(a) OVER (ORDER BY c) FROM b", false],
  ['SELECT "ORDER BY" FROM b', false],
  ["SELECT a FROM b WHERE c = ')' OR d IN (SELECT 1 ORDER BY 1)", false],
  ["SELECT a FROM b /* ORDER BY a", false],
  ["SELECT a - b / c [d FROM e ORDER BY a", true],
])("%s orders its rows: %s", (sql, ordered) => {
  expect(hasTopLevelOrder(sql)).toBe(ordered);
});

test("parentheses without end are looked through once", () => {
  expect(hasTopLevelOrder(`${"(".repeat(100_000)}1${")".repeat(100_000)} ORDER BY 1`)).toBe(true);
});

test.each([
  ["SELECT 1", "SELECT"],
  ["-- a\n/* b */ select 1", "SELECT"],
  ["WITH x AS (DELETE) SELECT 1", "SELECT"],
  ["WITH x AS (SELECT 1) DELETE FROM y", "DELETE"],
  ["with x(select_) as (values (1)), y as (select 2) insert into z select 1", "INSERT"],
  ["PRAGMA x", "PRAGMA"],
  ["", ""],
  ["(SELECT 1)", ""],
])("%j does %j", (sql, verb) => {
  expect(verbOf(sql)).toBe(verb);
});

test("every DISTINCT goes, but none within a string", () => {
  const sql = "SELECT DISTINCT a, COUNT(distinct b), 'DISTINCT', \"distinct\", distincts FROM c -- distinct";
  const dropped = "SELECT  a, COUNT( b), 'DISTINCT', \"distinct\", distincts FROM c -- distinct";
  expect(withoutDistinct(sql)).toBe(dropped);
});

test("no text takes long to look through", () => {
  const parts = ["/**/", "\n", " ", ";", "`", '"', "select ", "SELECT ", "```", "--", "with x as (", "```sql\n", ":"];
  const words = fc.array(fc.constantFrom(...parts), { maxLength: 4 });
  fc.assert(
    fc.property(words, (some) => {
      const text = some.join("").repeat(2_000);
      const limit = withinTime(5_000, () => sqlOf(text, []).length); // a guard against exponents, not a measure
      expect(limit).toBeLessThanOrEqual(text.length);
    }),
    { numRuns: 40 },
  );
});

test.each([
  [" SELECT 1\nQuestion: and", "SELECT 1"],
  ["SELECT 1\n<|EOT|>", "SELECT 1"],
  ["```\nSELECT 1", "SELECT 1"],
  ["Here:\n```sql\nSELECT 1\n```\nand\n```\nSELECT 2\n```", "SELECT 1"],
  ["The tables:\n```\nt(a, b)\n```\nThe query:\n```\nSELECT a FROM t\n```", "SELECT a FROM t"],
  [
    "```python\nrun('x')\n```\n```sqlite3\nWITH x AS (SELECT 1) SELECT * FROM x\n```",
    "WITH x AS (SELECT 1) SELECT * FROM x",
  ],
  ["~~~SQL\n-- all\nselect a\nfrom t\n~~~\nDone.", "-- all\nselect a\nfrom t"],
  ["1. So:\n   ```sql\n   SELECT a\n   FROM t\n   ```", "SELECT a\nFROM t"],
  ["Here:\r\n```sql\r\nSELECT a\r\nFROM t\r\n```\r\n", "SELECT a\nFROM t"],
  ["```sql SELECT a FROM t```", "SELECT a FROM t"],
  ["Use `SELECT a FROM t`, it lists all.", "SELECT a FROM t"],
  ["The query is \"SELECT a FROM t WHERE b = 'x'\".", "SELECT a FROM t WHERE b = 'x'"],
  ["The query is:\n\nSELECT a\nFROM t", "SELECT a\nFROM t"],
  ["With pleasure: select a from t", "select a from t"],
  ["SELECT a FROM t; This lists all.", "SELECT a FROM t"],
  ["SELECT a FROM t\n\nThis lists all.", "SELECT a FROM t"],
  ["WITH x AS (SELECT 1)\n\nSELECT * FROM x", "WITH x AS (SELECT 1)\n\nSELECT * FROM x"],
  ["SELECT 'a; b' FROM t; DROP TABLE t", "SELECT 'a; b' FROM t; DROP TABLE t"],
  ["SELECT `a` FROM `t`", "SELECT `a` FROM `t`"],
  ["```sql\nDROP TABLE t\n```", "DROP TABLE t"],
  ["I would select the names.", "I would select the names."],
  ["\n", ""],
])("the query in %j is %j", (answer, query) => {
  expect(sqlOf(answer, ["\nQuestion:", "<|EOT|>"])).toBe(query);
});
