/**
 * A draft model for `spider-target`, of four of its own layers: `npm run recipe -- spider-draft-model`. Sees the training split only. In the
 * folder of a `spider-draft` that is over, it takes the answers that are there.
 */
import { draftModelRecipe } from "../draft-model.ts";
import { spiderAnswers } from "../spider/own-answers.ts";
import type { Recipe } from "../steps.ts";

export const recipe: Recipe = draftModelRecipe({
  ...spiderAnswers,
  scale: { ...{ collected: 2000, layers: 4, steps: 600, learningRate: "3e-4" }, ...{ sequence: 640, asked: 100 } },
});
