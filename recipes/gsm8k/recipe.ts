/** SmolLM2-135M as a CLLM for GSM8K: `npm run recipe -- gsm8k`. Sees the training split only. */
import { gsm8k } from "../../src/tasks/gsm8k.ts";
import { adapterRecipe } from "../adapter.ts";
import type { Example } from "../examples.ts";
import type { Recipe } from "../steps.ts";

async function readData(dataDir: string): Promise<Example[]> {
  await using task = await gsm8k({ dataDir, split: "train", shots: 0 });
  return task.examples.map(({ id, input, reference }) => ({
    id,
    prompt: input([]).prompt as string, // without shots it is a text
    answer: ` ${reference}`,
  }));
}

export const recipe: Recipe = adapterRecipe({
  task: "gsm8k",
  asking: ["--shots", "0", "--extraction", "strict"],
  readData,
  scale: {
    target: 900,
    own: { steps: 800, learningRate: "1e-3", points: 12, arWeight: 1 },
    gold: { steps: 900, learningRate: "8e-4", points: 8, arWeight: 2 },
    ...{ mean: 0.92, collected: 450, asked: 100, sequence: 512 },
  },
  answerTokens: 256,
  keepTogether: 1,
});
