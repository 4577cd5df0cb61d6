/** The recipe of the model that ships, on a scale of seconds: all stages run, resume, and give the same files. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readOwnFacts } from "../../src/checkpoint/own-facts.ts";
import { diskFolder } from "../../src/files/disk-folder.ts";
import { load } from "../../src/generate/load.ts";
import { makeTextToSql, type RecipeRecord, SMALL, type TextToSqlScale } from "../../src/recipes/text-to-sql.ts";
import { textToSqlExample } from "../../src/tasks/text-to-sql/example.ts";
import { schemaText } from "../../src/tasks/text-to-sql/schema.ts";

const TINY: TextToSqlScale = {
  ...{ vocabSize: 400, hiddenSize: 32, layers: 1, heads: 2, kvHeads: 1, intermediateSize: 48, corpus: 300, heldOut: 2 },
  ar: { ...SMALL.ar, steps: 4, checkpointEvery: 2, batch: 1, sequenceLength: 512 },
  consistency: {
    ...SMALL.consistency,
    steps: 3,
    checkpointEvery: 2,
    batch: 1,
    sequenceLength: 512,
    pointsPerExample: 2,
  },
};

const scratch = mkdtempSync(join(tmpdir(), "cllm-recipe-"));
const [whole, parts] = [join(scratch, "whole"), join(scratch, "parts")];
const records: RecipeRecord[] = [];
beforeAll(async () => {
  for await (const record of makeTextToSql(whole, TINY)) records.push(record);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("goes through its stages, and the model that comes out answers", async () => {
  const stages = records.filter((record) => record.type === "stage");
  expect(stages.map(({ stage, done }) => `${stage} ${done}`)).toEqual([
    ...["tokenizer false", "tokenizer true", "ar false", "ar true", "consistency false", "consistency true"],
  ]);
  const noisy = records.filter((record) => record.type === "step" && record.stage === "consistency");
  expect(noisy).toHaveLength(3);
  await using model = await load(join(whole, "cllm"), { precision: "fp32", threads: 1 });
  expect(model.config.draftTokenId).toBe(0);
  expect(await readOwnFacts(diskFolder(join(whole, "cllm")))).toEqual({ demonstration: "text-to-sql" });
  const { prompt, question, database } = textToSqlExample(0, "held-out");
  const system = { role: "system", content: schemaText(database.tables) } as const;
  const asked = model.promptIds({ messages: [system, { role: "user", content: question }] });
  expect(model.tokenizer.decode(asked)).toBe(prompt);
  const answer = await model.generate({ prompt, maxNewTokens: 6, decoder: "jacobi" });
  expect(answer.tokens).toEqual((await model.generate({ prompt, maxNewTokens: 6, decoder: "ar" })).tokens);
});

test("stopped anywhere, goes on to the same models", async () => {
  for (const until of [2, 3, 6, 1]) {
    let steps = 0;
    for await (const record of makeTextToSql(parts, TINY)) if (record.type === "step" && ++steps === until) break;
  }
  for await (const _ of makeTextToSql(parts, TINY));
  for (const file of ["tokenizer.json", "ar/model.safetensors", "cllm/model.safetensors"]) {
    expect(readFileSync(join(parts, file)).equals(readFileSync(join(whole, file)))).toBe(true);
  }
});
