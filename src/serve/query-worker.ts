/**
 * The thread that one query to the demonstration's database runs in: makes the database, asks, says what came of it,
 * and ends. Knows no HTTP; the server ends it if it takes too long.
 */
import { parentPort, workerData } from "node:worker_threads";
import { openSqlite, type SqlValue } from "../tasks/sqlite.ts";
import { DEMONSTRATION } from "../tasks/text-to-sql/demonstration.ts";
import { databaseScript } from "../tasks/text-to-sql/schema.ts";
import type { Query, QueryAnswer } from "./query.ts";

const { sql, maxRows, maxBytes, timeoutMs } = workerData as Query;

/** What JSON has no form for becomes text. */
function plain(value: SqlValue): string | number | null {
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`;
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

using database = await openSqlite(databaseScript(DEMONSTRATION));
const result = await database.query(sql, { maxRows, maxBytes, timeoutMs });
const answer: QueryAnswer = result.ok
  ? { ok: true, columns: result.columns, rows: result.rows.map((row) => row.map(plain)) }
  : result;
parentPort!.postMessage(answer);
