/** SQLite for strangers' queries: what runs, what is refused, and that nothing runs away. */
import { createRequire } from "node:module";
import type { SqlJsStatic } from "sql.js";
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
    ["", "empty", "no statement"],
    ["-- nothing", "empty", "no statement"],
    ["SELEC 1", "error", "syntax"],
    ["SELECT nope FROM singer", "error", "no such column"],
    ["DELETE FROM singer", "refused", "no SELECT"],
    ["PRAGMA query_only = OFF", "refused", "no SELECT"],
    ["DROP TABLE singer", "refused", "no SELECT"],
    ["ATTACH 'x' AS y", "refused", "no SELECT"],
    ["VACUUM INTO 'x'", "refused", "no SELECT"],
    ["SELECT 1; DELETE FROM singer", "refused", "more than one"],
    ["SELECT 1; SELECT 2", "refused", "more than one"],
    ["SELECT 1; x", "error", "syntax"],
    ["WITH x AS (SELECT 1) DELETE FROM singer", "refused", "no SELECT"],
    ["SELECT load_extension('x')", "error", ""],
  ])("%j is an error value, and changes nothing", async (sql, failure, message) => {
    const result = await query(sql);
    expect(result).toEqual({ ok: false, failure, error: expect.stringContaining(message) });
    expect(await query("SELECT COUNT(*) FROM singer")).toMatchObject({ rows: [[3]] });
  });

  test("of any size is an error value", async () => {
    const nested = `SELECT ${"(".repeat(5000)}1${")".repeat(5000)}`;
    const wide = `SELECT ${Array(2500).fill(1).join(", ")}`;
    expect(await query(nested)).toMatchObject({ ok: false, failure: "error" });
    expect(await query(wide)).toMatchObject({
      ok: false,
      failure: "limit",
      error: expect.stringContaining("too many columns"),
    });
  });

  test("may begin with the tables that it names", async () => {
    const result = await query("WITH old AS (SELECT * FROM singer WHERE age > 20) SELECT COUNT(*) FROM old");
    expect(result).toMatchObject({ ok: true, rows: [[2]] });
  });

  test("with too many rows is an error value", async () => {
    expect(await query("SELECT id FROM singer", { maxRows: 3 })).toMatchObject({ ok: true });
    expect(await query("SELECT id FROM singer", { maxRows: 2 })).toEqual({
      ok: false,
      failure: "limit",
      error: expect.stringContaining("2 rows"),
    });
  });

  test("that asks for too much memory is an error value", async () => {
    expect(await query("SELECT length(hex(zeroblob(400000000)))")).toMatchObject({ ok: false, failure: "limit" });
    const wide =
      "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t LIMIT 99) SELECT zeroblob(1000000) FROM t";
    expect(await query(wide)).toMatchObject({ ok: false, failure: "limit" });
    expect(await query("SELECT 1")).toMatchObject({ ok: true });
  });

  test("that does not end is stopped, and both databases go on", async () => {
    using other = await openSqlite("CREATE TABLE kept (x); INSERT INTO kept VALUES (7)");
    const product = Array.from({ length: 40 }, (_, i) => `singer AS t${i}`).join(", ");
    const result = await query(`SELECT COUNT(*) FROM ${product}`, { timeoutMs: 100 });
    expect(result).toEqual({ ok: false, failure: "timeout", error: expect.stringContaining("100 ms") });
    const endless = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT MAX(x) FROM t";
    expect(await query(endless, { timeoutMs: 100 })).toMatchObject({ failure: "timeout" });
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

  test("comes from the bytes of a file, which stay as they are", async () => {
    const bytes = await databaseBytes("CREATE TABLE t (x); INSERT INTO t VALUES ('a'), (7)");
    const before = bytes.slice();
    using opened = await openSqlite(bytes);
    expect(await opened.query("SELECT x FROM t")).toMatchObject({ rows: [["a"], [7]] });
    expect(await opened.query("DELETE FROM t")).toMatchObject({ failure: "refused" });
    const endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT MAX(x) FROM n";
    expect(await opened.query(endless, { timeoutMs: 20 })).toMatchObject({ failure: "timeout" });
    expect(await opened.query("SELECT COUNT(*) FROM t")).toMatchObject({ rows: [[2]] });
    expect(bytes).toEqual(before);
  });

  test("that is none, or is damaged, is an error", async () => {
    const bytes = await databaseBytes("CREATE TABLE t (x); INSERT INTO t VALUES ('a'), (7)");
    const garbled = bytes.slice();
    garbled.fill(0x5a, 20, 200);
    for (const none of [new TextEncoder().encode("CREATE TABLE t (x)".repeat(100)), garbled, bytes.slice(0, 700)]) {
      await expect(openSqlite(none)).rejects.toMatchObject({
        code: "bad-file",
        message: expect.stringContaining("check the file"),
      });
    }
    const late = bytes.slice();
    late.fill(0xff, 4096);
    using opened = await openSqlite(late);
    expect(await opened.query("SELECT x FROM t")).toMatchObject({ ok: false, failure: "error" });
  });
});

async function databaseBytes(script: string): Promise<Uint8Array> {
  const start = createRequire(import.meta.url)("sql.js") as () => Promise<SqlJsStatic>;
  const database = new (await start()).Database();
  try {
    database.exec(script);
    return database.export();
  } finally {
    database.close();
  }
}
