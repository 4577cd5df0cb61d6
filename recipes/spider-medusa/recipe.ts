/**
 * Medusa heads for `spider-target`: `npm run recipe -- spider-medusa`. Sees the training split only. In the folder of a `spider-draft` that is
 * over, it takes the answers that are there.
 */
import { medusaRecipe } from "../medusa.ts";
import { GROUP, readData } from "../spider/recipe.ts";
import type { Recipe } from "../steps.ts";

export const recipe: Recipe = medusaRecipe({
  task: "spider",
  readData,
  adapter: "spider-target",
  chat: false,
  answerTokens: 128,
  keepTogether: GROUP,
  scale: { ...{ collected: 3200, steps: 2400, learningRate: "1e-3", heads: 4 }, ...{ sequence: 640, asked: null } },
});
