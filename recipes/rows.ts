/** The files between the steps of a recipe: rows of prompts and answers as JSON Lines, and collected answers as text. Knows no task. */
import { readFile } from "node:fs/promises";
import { openCheckpoint } from "../src/checkpoint/open.ts";
import { writeWhole } from "../src/checkpoint/write-whole.ts";
import { createTokenizer } from "../src/text/tokenizer.ts";
import { openTrajectories } from "../src/trajectory/open.ts";

export interface Prompt {
  readonly id: string;
  readonly prompt: string;
}

export interface Row extends Prompt {
  readonly answer: string;
}

export async function writeRows(path: string, rows: readonly Prompt[]): Promise<void> {
  const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  await writeWhole(path, (file) => file.writeFile(lines));
}

export async function readRows<R extends Prompt = Row>(path: string): Promise<R[]> {
  const lines = (await readFile(path, "utf8")).split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as R);
}

/** As many whole groups of `group` neighbours as `count` rows make, from all over the list. */
export function drawGroups<R>(rows: readonly R[], group: number, count: number): R[] {
  const there = Math.floor(rows.length / group);
  const wanted = Math.min(there, Math.floor(count / group));
  const drawn = Array.from({ length: wanted }, (_, i) => Math.floor(((i + 0.5) * there) / wanted));
  return drawn.flatMap((place) => rows.slice(place * group, (place + 1) * group));
}

/** A trajectory file's answers as text, by id. `model`: the GGUF file, directory or hub id that they were collected with. */
export async function readAnswers(path: string, model: string): Promise<Map<string, string>> {
  const checkpoint = await openCheckpoint(model);
  try {
    const tokenizer = createTokenizer(checkpoint.tokenizer, checkpoint.config.vocabSize);
    const { completions } = await openTrajectories(path);
    const text = (ids: Int32Array): string => tokenizer.decode(ids, { skipSpecialTokens: true });
    return new Map(completions.map(({ dataId, completionIds }) => [dataId, text(completionIds)]));
  } finally {
    await checkpoint.close();
  }
}
