/** SmolLM2-135M as a CLLM for GSM8K: `npm run recipe -- gsm8k`. Sees the training split only. */
import { writeFile } from "node:fs/promises";
import { gsm8k } from "../../src/tasks/gsm8k.ts";
import { adapterRecipe, asLines, type Recipe } from "../steps.ts";

async function writeData(dataDir: string, path: string): Promise<void> {
  await using task = await gsm8k({ dataDir, split: "train", shots: 0 });
  const rows = task.examples.map(({ id, input, reference }) => ({
    id,
    prompt: input([]).prompt,
    answer: ` ${reference}`,
  }));
  await writeFile(path, asLines(rows));
}

export const recipe: Recipe = adapterRecipe({
  task: "gsm8k",
  asking: ["--shots", "0", "--extraction", "strict"],
  writeData,
  scale: {
    ...{ target: 900, own: 800, gold: 0, mixed: 0, collected: 450, retried: 0, asked: null },
    ...{ sequence: 512, points: 12, arWeight: 1 },
  },
  answerTokens: 256,
  keepTogether: 1,
});
