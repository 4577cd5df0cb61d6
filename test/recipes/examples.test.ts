/** Examples between the steps of a recipe: read as they were written, and drawn in whole groups. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { drawGroups, readExamples, writeExamples } from "../../recipes/examples.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cllm-examples-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("examples are read as they were written, whatever stood there", async () => {
  const path = join(folder, "deeper", "examples.jsonl");
  const examples = ["a\nb", "", "\u2028"].map((answer, i) => ({ id: `${i}`, prompt: "Q:", answer }));
  await writeExamples(path, examples);
  expect(await readExamples(path)).toEqual(examples);
  await writeFile(path, "half a li");
  await writeExamples(path, examples.slice(1));
  expect(await readExamples(path)).toEqual(examples.slice(1));
});

test("groups are drawn whole, from all over, and none twice", () => {
  const examples = Array.from({ length: 35 }, (_, i) => i);
  expect(drawGroups(examples, 4, 9)).toEqual([8, 9, 10, 11, 24, 25, 26, 27]);
  expect(drawGroups(examples, 8, 100)).toEqual(examples.slice(0, 32));
});
