/** The files between the steps of a recipe: examples of prompts and answers as JSON Lines. Knows no task. */
import { readText } from "../src/files/text.ts";
import { writeWhole } from "../src/files/write-whole.ts";

const MAX_BYTES = 256 << 20;

export interface Example {
  readonly id: string;
  readonly prompt: string;
  readonly answer: string;
}

export const writeExamples = (path: string, examples: readonly Example[]): Promise<void> => writeLines(path, examples);

/** One JSON object on each line. */
export async function writeLines(path: string, records: readonly object[]): Promise<void> {
  const lines = records.map((record) => `${JSON.stringify(record)}\n`).join("");
  await writeWhole(path, (file) => file.writeFile(lines));
}

export async function readExamples(path: string): Promise<Example[]> {
  const lines = (await readText(path, MAX_BYTES)).split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Example);
}

/** As many whole groups of `group` neighbours as `count` examples make, from all over the list. */
export function drawGroups<R>(examples: readonly R[], group: number, count: number): R[] {
  const there = Math.floor(examples.length / group);
  const wanted = Math.min(there, Math.floor(count / group));
  const drawn = Array.from({ length: wanted }, (_, i) => Math.floor(((i + 0.5) * there) / wanted));
  return drawn.flatMap((place) => examples.slice(place * group, (place + 1) * group));
}
