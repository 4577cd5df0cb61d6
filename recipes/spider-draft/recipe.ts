/** A draft adapter for `spider-target`: `npm run recipe -- spider-draft`. Sees the training split only. */
import { draftRecipe } from "../draft.ts";
import { GROUP, readData } from "../spider/recipe.ts";
import type { Recipe } from "../steps.ts";

export const recipe: Recipe = draftRecipe({
  task: "spider",
  asking: [],
  readData,
  adapter: "spider-target",
  begin: "spider",
  chat: false,
  answerTokens: 128,
  keepTogether: GROUP,
  scale: {
    ...{ collected: 2000, steps: 1800, learningRate: "8e-4", rank: 16 },
    ...{ points: 8, blockSize: 10, sequence: 640, asked: null },
  },
});
