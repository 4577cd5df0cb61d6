/**
 * Medusa heads for `spider-target`: `npm run recipe -- spider-medusa`. Sees the training split only. In the folder of a `spider-draft` that is
 * over, it takes the answers that are there.
 */
import { medusaRecipe } from "../medusa.ts";
import { spiderAnswers } from "../spider/own-answers.ts";
import type { Recipe } from "../steps.ts";

export const recipe: Recipe = medusaRecipe({
  ...spiderAnswers,
  scale: { ...{ collected: 3200, steps: 2400, learningRate: "1e-3", heads: 4 }, ...{ sequence: 640, asked: null } },
});
