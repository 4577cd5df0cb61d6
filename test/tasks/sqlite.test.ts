/** SQLite for strangers' queries: what runs, what is refused, and that nothing runs away. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSqlite, type Sqlite } from "../../src/tasks/sqlite.ts";

const SCRIPT = `
  CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age NUMERIC);
  INSERT INTO singer VALUES (1, 'Anna', 30), (2, 'O''Hara', 41), (3, NULL, 2.5);
`;

let database: Sqlite;
beforeAll(async () => {
  database = await openSqlite(SCRIPT);
});
afterAll(() => database[Symbol.dispose]());

const query = (sql: string, limits = {}) => database.query(sql, limits);

describe("a query", () => {
  test("gives columns and typed rows", async () => {
    expect(await query("SELECT name, age AS years FROM singer ORDER BY id;")).toEqual({
      ok: true,
      columns: ["name", "years"],
      rows: [
        ["Anna", 30],
        ["O'Hara", 41],
        [null, 2.5],
      ],
    });
  });

  test("may have comments, small letters and no rows", async () => {
    expect(await query("-- all\n/* of */ select id from singer where 0")).toEqual({
      ok: true,
      columns: ["id"],
      rows: [],
    });
  });

  test.each([
    ["", "no statement"],
    ["-- nothing", "no statement"],
    ["SELEC 1", "syntax"],
    ["SELECT nope FROM singer", "no such column"],
    ["DELETE FROM singer", "no SELECT"],
    ["PRAGMA query_only = OFF", "no SELECT"],
    ["DROP TABLE singer", "no SELECT"],
    ["ATTACH 'x' AS y", "no SELECT"],
    ["SELECT 1; DELETE FROM singer", "more than one"],
    ["SELECT 1; SELECT 2", "more than one"],
    ["SELECT 1; x", "syntax"],
    ["WITH x AS (SELECT 1) DELETE FROM singer", "no SELECT"],
    ["SELECT ?", ""],
  ])("%j is an error value, and changes nothing", async (sql, message) => {
    const result = await query(sql);
    if (message !== "") expect(result).toEqual({ ok: false, error: expect.stringContaining(message) });
    expect(await query("SELECT COUNT(*) FROM singer")).toMatchObject({ rows: [[3]] });
  });

  test("with too many rows is an error value", async () => {
    expect(await query("SELECT id FROM singer", { maxRows: 3 })).toMatchObject({ ok: true });
    expect(await query("SELECT id FROM singer", { maxRows: 2 })).toEqual({
      ok: false,
      error: expect.stringContaining("2 rows"),
    });
  });

  test("that asks for too much memory is an error value", async () => {
    expect(await query("SELECT length(hex(zeroblob(400000000)))")).toMatchObject({ ok: false });
    expect(await query("SELECT 1")).toMatchObject({ ok: true });
  });

  test("that does not end is stopped, and both databases go on", async () => {
    using other = await openSqlite("CREATE TABLE kept (x); INSERT INTO kept VALUES (7)");
    const product = Array.from({ length: 40 }, (_, i) => `singer AS t${i}`).join(", ");
    const result = await query(`SELECT COUNT(*) FROM ${product}`, { timeoutMs: 100 });
    expect(result).toEqual({ ok: false, error: expect.stringContaining("100 ms") });
    expect(await query("SELECT COUNT(*) FROM singer")).toMatchObject({ rows: [[3]] });
    expect(await other.query("SELECT x FROM kept")).toMatchObject({ rows: [[7]] });
  });
});

describe("a database", () => {
  test("whose script does not run is an error", async () => {
    await expect(openSqlite("CREATE TABLE x (")).rejects.toMatchObject({ code: "bad-input" });
    expect(await query("SELECT 1")).toMatchObject({ ok: true });
  });

  test("is gone once it is closed", async () => {
    const closed = await openSqlite(SCRIPT);
    closed[Symbol.dispose]();
    closed[Symbol.dispose]();
    await expect(closed.query("SELECT 1")).rejects.toMatchObject({ code: "disposed" });
  });
});
