/** The files between the steps of a recipe: rows of prompts and answers as JSON Lines. Knows no task. */
import { readFile } from "node:fs/promises";
import { writeWhole } from "../src/files/write-whole.ts";

export interface Row {
  readonly id: string;
  readonly prompt: string;
  readonly answer: string;
}

export async function writeRows(path: string, rows: readonly Row[]): Promise<void> {
  const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  await writeWhole(path, (file) => file.writeFile(lines));
}

export async function readRows(path: string): Promise<Row[]> {
  const lines = (await readFile(path, "utf8")).split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Row);
}

/** As many whole groups of `group` neighbours as `count` rows make, from all over the list. */
export function drawGroups<R>(rows: readonly R[], group: number, count: number): R[] {
  const there = Math.floor(rows.length / group);
  const wanted = Math.min(there, Math.floor(count / group));
  const drawn = Array.from({ length: wanted }, (_, i) => Math.floor(((i + 0.5) * there) / wanted));
  return drawn.flatMap((place) => rows.slice(place * group, (place + 1) * group));
}
