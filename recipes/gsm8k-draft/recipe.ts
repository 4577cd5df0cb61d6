/**
 * A draft adapter for SmolLM2-135M-Instruct as it is, asked problems of GSM8K in chat form: `npm run recipe -- gsm8k-draft`. Its data are
 * the model's own answers to questions of the training split. Further answers are counted, for drafts that need no pass.
 */
import { draftRecipe } from "../draft.ts";
import { gsm8kAnswers } from "../gsm8k/own-answers.ts";
import type { Recipe } from "../steps.ts";

export const recipe: Recipe = draftRecipe({
  ...gsm8kAnswers,
  further: 2100,
  scale: {
    ...{ collected: 640, steps: 1500, learningRate: "1e-3", rank: 16 },
    ...{ points: 16, blockSize: 10, sequence: 640, asked: 200 },
  },
});
