/** SmolLM2-135M as a CLLM for Spider: `npm run recipe -- spider`. Sees the training split only. */
import { writeFile } from "node:fs/promises";
import { spider } from "../../src/tasks/spider/spider.ts";
import { adapterRecipe, asLines, type Recipe } from "../steps.ts";

/** Questions of one database follow one another, so that they can share its schema in a pack. */
async function writeData(dataDir: string, path: string): Promise<void> {
  await using task = await spider({ dataDir, split: "train" });
  const rows = task.examples.map(({ id, input, reference }) => ({
    id,
    prompt: input([]).prompt,
    answer: ` ${reference.replaceAll(/\s+/g, " ").trim()}`,
  }));
  await writeFile(path, asLines(rows));
}

export const recipe: Recipe = adapterRecipe({
  task: "spider",
  asking: [],
  writeData,
  scale: { target: 1500, cllm: 2000, collected: 3000, asked: null, sequence: 1024 },
  answerTokens: 128,
  keepTogether: 8,
});
