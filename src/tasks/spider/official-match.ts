/**
 * When two results are the same in Spider's official evaluation (Zhong et al., "Semantic Evaluation for Text-to-SQL with
 * Distilled Test Suites", EMNLP 2020): some order of the columns makes the rows equal, as a sequence where order
 * matters, else as a bag; two empty results are equal whatever their columns. Values are equal as Python has it: by type,
 * 1 and 1.0 the same, text to the letter. Knows no SQL.
 */
import type { SqlValue } from "../sqlite.ts";

export type ResultRows = readonly (readonly SqlValue[])[];

/** Values looked at before a search among look-alike columns is given up; some seconds. */
const MAX_VALUES = 20_000_000;

/** Whether the results are the same; null where looking at `maxValues` values does not decide it. */
export function sameResult(
  gold: ResultRows,
  predicted: ResultRows,
  ordered: boolean,
  maxValues: number = MAX_VALUES,
): boolean | null {
  if (gold.length !== predicted.length) return false;
  if (gold.length === 0) return true;
  const width = gold[0]!.length;
  if (predicted[0]!.length !== width) return false;
  const goldColumns = columnsOf(gold, width);
  const predictedColumns = columnsOf(predicted, width);
  return ordered
    ? sameColumns(goldColumns, predictedColumns)
    : sameBag(goldColumns, predictedColumns, gold.length, maxValues);
}

/** Every value as a key that equal values share, column by column. */
function columnsOf(rows: ResultRows, width: number): string[][] {
  return Array.from({ length: width }, (_, column) => rows.map((row) => keyOf(row[column] ?? null)));
}

function keyOf(value: SqlValue): string {
  if (value === null) return "null";
  if (typeof value === "number") return `n${value === 0 ? 0 : value}`; // -0 is 0
  return typeof value === "string" ? `t${value}` : `b${Buffer.from(value).toString("hex")}`;
}

/** Rows in place: each gold column is one of the predicted ones, as often as it occurs. */
function sameColumns(gold: readonly string[][], predicted: readonly string[][]): boolean {
  const whole = (column: readonly string[]): string => JSON.stringify(column);
  const left = predicted.map(whole);
  return gold.every((column) => {
    const at = left.indexOf(whole(column));
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
}

/**
 * Rows as a bag: finds the predicted column for one gold column after the other. Rows that agree in all columns so far
 * share a number, and both sides must have each number equally often.
 */
function sameBag(gold: readonly string[][], predicted: readonly string[][], height: number, maxValues: number) {
  const used = predicted.map(() => false);
  let values = 0;
  const search = (column: number, goldRows: Int32Array, predictedRows: Int32Array): boolean | null => {
    if (column === gold.length) return true;
    const failed = new Set<string>();
    for (let candidate = 0; candidate < predicted.length; candidate++) {
      if (used[candidate]) continue;
      values += height;
      if (values > maxValues) return null;
      const refined = refine(goldRows, gold[column]!, predictedRows, predicted[candidate]!);
      if (refined === null) continue;
      const twin = refined.predicted.join(); // a column that tells rows apart in the same way fails in the same way
      if (failed.has(twin)) continue;
      used[candidate] = true;
      const found = search(column + 1, refined.gold, refined.predicted);
      if (found !== false) return found;
      used[candidate] = false;
      failed.add(twin);
    }
    return false;
  };
  return search(0, new Int32Array(height), new Int32Array(height));
}

/** Numbers the rows anew by their number and a value; null where the two sides then differ as bags. */
function refine(
  goldRows: Int32Array,
  gold: readonly string[],
  predictedRows: Int32Array,
  predicted: readonly string[],
) {
  const numbers = new Map<string, number>();
  const surplus: number[] = [];
  const numbered = goldRows.map((row, i) => {
    const key = `${row} ${gold[i]}`;
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    surplus[number] = (surplus[number] ?? 0) + 1;
    return number;
  });
  const other = new Int32Array(predictedRows.length);
  for (let i = 0; i < other.length; i++) {
    const number = numbers.get(`${predictedRows[i]} ${predicted[i]}`);
    if (number === undefined || surplus[number]!-- === 0) return null;
    other[i] = number;
  }
  return { gold: numbered, predicted: other };
}
