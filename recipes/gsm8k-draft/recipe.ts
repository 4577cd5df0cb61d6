/**
 * A draft adapter for SmolLM2-135M-Instruct as it is, asked problems of GSM8K in chat form: `npm run recipe -- gsm8k-draft`. Its data are
 * the model's own answers to questions of the training split.
 */
import { gsm8k } from "../../src/tasks/gsm8k.ts";
import { draftRecipe } from "../draft.ts";
import type { Example } from "../examples.ts";
import type { Recipe } from "../steps.ts";

async function readData(dataDir: string): Promise<Example[]> {
  await using task = await gsm8k({ dataDir, split: "train", promptFormat: "chat", shots: 0 });
  return task.examples.map(({ id, input, reference }) => ({
    id,
    prompt: input([]).messages?.at(-1)?.content as string, // one turn
    answer: reference,
  }));
}

export const recipe: Recipe = draftRecipe({
  task: "gsm8k",
  asking: ["--prompt-format", "chat", "--shots", "0"],
  readData,
  adapter: null,
  chat: true,
  answerTokens: 256,
  keepTogether: 1,
  scale: {
    ...{ collected: 640, steps: 1500, learningRate: "1e-3", rank: 16 },
    ...{ points: 16, blockSize: 10, sequence: 640, asked: 200 },
  },
});
