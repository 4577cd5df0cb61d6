/**
 * Execution accuracy: a predicted query is right where its rows are the gold query's on the same database. Rows count
 * as often as they occur, their order only where the gold query asks for one, and columns stand in the gold's order
 * under any name. Knows no task and no model.
 */
import { CllmError } from "../error.ts";
import { hasTopLevelOrder } from "./sql-text.ts";
import type { QueryFailure, Sqlite, SqlValue } from "./sqlite.ts";

export interface SqlGrade {
  readonly correct: boolean;
  /** Why it is wrong; null where it is right. */
  readonly reason: "error" | "columns" | "rows" | "order" | null;
  /** What SQLite says where the reason is `error`. */
  readonly error: string | null;
  /** What kind of failure that is. */
  readonly failure: QueryFailure | null;
}

/** Numbers that differ by this little, relative to the larger one or to 1, are the same: sums in another order. */
const TOLERANCE = 1e-6;

/** Runs both queries and compares. Throws `bad-input` where the gold query itself does not run. */
export async function gradeSql(database: Sqlite, predicted: string, gold: string): Promise<SqlGrade> {
  const expected = await database.query(gold);
  if (!expected.ok) {
    throw new CllmError("bad-input", `the gold query does not run (${expected.error}): ${gold}; check the data`);
  }
  const answer = await database.query(predicted);
  if (!answer.ok) return { correct: false, reason: "error", error: answer.error, failure: answer.failure };
  const reason = difference(answer, expected, hasTopLevelOrder(gold));
  return { correct: reason === null, reason, error: null, failure: null };
}

interface Rows {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
}

/** In what a result differs from another, or null. */
function difference(answer: Rows, expected: Rows, ordered: boolean): "columns" | "rows" | "order" | null {
  if (answer.columns.length !== expected.columns.length) return "columns";
  if (answer.rows.length !== expected.rows.length) return "rows";
  const inPlace = answer.rows.every((row, i) => sameRow(row, expected.rows[i]!));
  if (inPlace) return null;
  if (!sameMultiset(answer.rows, expected.rows)) return "rows";
  return ordered ? "order" : null;
}

/** Pairs each row with one of the other side that is left, among those that agree in all but numbers. */
function sameMultiset(answer: Rows["rows"], expected: Rows["rows"]): boolean {
  const left = new Map<string, (readonly SqlValue[])[]>();
  for (const row of expected) {
    const alike = left.get(keyOf(row));
    if (alike) alike.push(row);
    else left.set(keyOf(row), [row]);
  }
  return answer.every((row) => {
    const alike = left.get(keyOf(row)) ?? [];
    const at = alike.findIndex((other) => sameRow(row, other));
    if (at >= 0) alike.splice(at, 1);
    return at >= 0;
  });
}

function keyOf(row: readonly SqlValue[]): string {
  return JSON.stringify(row.map((value) => (typeof value === "number" ? 0 : comparable(value))));
}

function sameRow(one: readonly SqlValue[], other: readonly SqlValue[]): boolean {
  return one.length === other.length && one.every((value, i) => sameValue(value, other[i]!));
}

function sameValue(one: SqlValue, other: SqlValue): boolean {
  if (typeof one === "number" && typeof other === "number") {
    return one === other || Math.abs(one - other) <= TOLERANCE * Math.max(1, Math.abs(one), Math.abs(other));
  }
  return typeof one === typeof other && comparable(one) === comparable(other);
}

/** Text as it is, bytes in a form that no text has, null as null. */
function comparable(value: SqlValue): string | number | null {
  return value instanceof Uint8Array ? `\0${Buffer.from(value).toString("hex")}` : value;
}
