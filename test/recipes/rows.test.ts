/** Rows between the steps of a recipe: read as they were written, and drawn in whole groups. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { drawGroups, readRows, writeRows } from "../../recipes/rows.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cllm-rows-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("rows are read as they were written, whatever stood there", async () => {
  const path = join(folder, "deeper", "rows.jsonl");
  const rows = ["a\nb", "", "\u2028"].map((answer, i) => ({ id: `${i}`, prompt: "Q:", answer }));
  await writeRows(path, rows);
  expect(await readRows(path)).toEqual(rows);
  await writeFile(path, "half a li");
  await writeRows(path, rows.slice(1));
  expect(await readRows(path)).toEqual(rows.slice(1));
});

test("groups are drawn whole, from all over, and none twice", () => {
  const rows = Array.from({ length: 35 }, (_, i) => i);
  expect(drawGroups(rows, 4, 9)).toEqual([8, 9, 10, 11, 24, 25, 26, 27]);
  expect(drawGroups(rows, 8, 100)).toEqual(rows.slice(0, 32));
});
