/**
 * Medusa heads for SmolLM2-135M-Instruct as it is, asked problems of GSM8K in chat form: `npm run recipe -- gsm8k-medusa`. In the folder of
 * a `gsm8k-draft` that is over, it takes the answers that are there.
 */
import { gsm8kAnswers } from "../gsm8k/own-answers.ts";
import { medusaRecipe } from "../medusa.ts";
import type { Recipe } from "../steps.ts";

export const recipe: Recipe = medusaRecipe({
  ...gsm8kAnswers,
  scale: { ...{ collected: 640, steps: 1200, learningRate: "1e-3", heads: 4 }, ...{ sequence: 640, asked: 200 } },
});
