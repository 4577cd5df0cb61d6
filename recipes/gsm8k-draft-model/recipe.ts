/**
 * A draft model for SmolLM2-135M-Instruct as it is, of four of its own layers: `npm run recipe -- gsm8k-draft-model`. In the folder of a
 * `gsm8k-draft` that is over, it takes the answers that are there.
 */
import { draftModelRecipe } from "../draft-model.ts";
import { gsm8kAnswers } from "../gsm8k/own-answers.ts";
import type { Recipe } from "../steps.ts";

export const recipe: Recipe = draftModelRecipe({
  ...gsm8kAnswers,
  scale: { ...{ collected: 640, layers: 4, steps: 600, learningRate: "3e-4" }, ...{ sequence: 640, asked: 100 } },
});
