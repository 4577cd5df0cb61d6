/** The recipe's one way of writing queries: what it changes, what it leaves alone, and that Spider's queries give the same rows. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { canonicalSql } from "../../recipes/spider/canonical-sql.ts";
import { readSchemas, type SpiderSchema } from "../../src/tasks/spider/schema.ts";
import { openSqlite, type Sqlite } from "../../src/tasks/sqlite.ts";
import { hasSharedData, SHARED_DATA, skipNote } from "../tasks/shared-data.ts";

const schema: SpiderSchema = {
  tables: [
    { name: "singer", columns: ["Singer_ID", "Name", "Age", "Boss_ID"] },
    { name: "concert", columns: ["Concert_ID", "Singer_ID", "Year", "Stadium_ID"] },
  ],
  foreignKeys: [["concert.Singer_ID", "singer.Singer_ID"]],
};

test.each([
  ["names as the schema has them", "select NAME ,  age from SINGER;", "SELECT Name, Age FROM singer"],
  [
    "tables for aliases, keys in the schema's order",
    "SELECT T1.name FROM singer AS T1 JOIN concert AS T2 ON T1.singer_id  =  T2.singer_id WHERE T2.year  > =  2014",
    "SELECT singer.Name FROM singer JOIN concert ON concert.Singer_ID = singer.Singer_ID WHERE concert.Year >= 2014",
  ],
  [
    "a table for a column of a join that has none",
    "SELECT name FROM singer t1 JOIN concert t2 ON t1.singer_id = t2.singer_id",
    "SELECT singer.Name FROM singer JOIN concert ON concert.Singer_ID = singer.Singer_ID",
  ],
  ["no table where there is one only", "SELECT T1.name FROM singer AS T1", "SELECT Name FROM singer"],
  [
    "aliases that tell a table from itself",
    "SELECT a.name FROM singer AS a JOIN singer AS b ON a.boss_id = b.singer_id",
    "SELECT a.Name FROM singer AS a JOIN singer AS b ON a.Boss_ID = b.Singer_ID",
  ],
  [
    "queries within queries",
    'SELECT count(*) FROM singer WHERE singer_id NOT IN (SELECT singer_id FROM concert WHERE year = "2014")',
    "SELECT count(*) FROM singer WHERE Singer_ID NOT IN (SELECT Singer_ID FROM concert WHERE Year = '2014')",
  ],
  [
    "queries beside queries",
    "SELECT name FROM singer EXCEPT SELECT T1.name FROM singer AS T1 JOIN concert AS T2 ON T2.singer_id = T1.singer_id",
    "SELECT Name FROM singer EXCEPT SELECT singer.Name FROM singer JOIN concert ON concert.Singer_ID = singer.Singer_ID",
  ],
  [
    "functions and names that are given",
    "SELECT COUNT (DISTINCT name) AS c FROM singer ORDER BY c DESC LIMIT 1",
    "SELECT count(DISTINCT Name) AS c FROM singer ORDER BY c DESC LIMIT 1",
  ],
  [
    "quotes in strings",
    `SELECT age FROM singer WHERE name = "O'Neil"`,
    "SELECT Age FROM singer WHERE Name = 'O''Neil'",
  ],
])("%s", (_, query, expected) => {
  expect(canonicalSql(query, schema)).toBe(expected);
  expect(canonicalSql(expected, schema)).toBe(expected);
});

test.each(["SELECT name FROM nobody", "SELECT nothing FROM singer", "DELETE FROM singer", "", "SELECT 'open"])(
  "nothing for %j",
  (query) => {
    expect(canonicalSql(query, schema)).toBeNull();
  },
);

describe("Spider's training queries", () => {
  test.skipIf(!hasSharedData)(
    `every thirteenth gives the rows that it gave ${skipNote}`,
    { timeout: 60_000 },
    async () => {
      const folder = join(SHARED_DATA, "spider");
      const schemas = await readSchemas(join(folder, "tables.json"));
      const rows = JSON.parse(readFileSync(join(folder, "train.json"), "utf8")) as { db_id: string; query: string }[];
      const opened = new Map<string, Sqlite>();
      let made = 0;
      let asked = 0;
      for (let i = 0; i < rows.length; i += 13) {
        const { db_id: name, query } = rows[i]!;
        const canonical = canonicalSql(query, schemas.get(name)!);
        asked++;
        if (canonical === null) continue;
        made++;
        if (!opened.has(name))
          opened.set(name, await openSqlite(readFileSync(join(folder, `database/${name}/${name}.sqlite`))));
        const limits = { timeoutMs: 20_000 };
        const [one, other] = [
          await opened.get(name)!.query(query, limits),
          await opened.get(name)!.query(canonical, limits),
        ];
        expect({ query, rows: other.ok && other.rows }).toEqual({ query, rows: one.ok && one.rows });
      }
      for (const database of opened.values()) database[Symbol.dispose]();
      expect(made / asked).toBeGreaterThan(0.99);
    },
  );
});
