/** A draft adapter for `spider-target`: `npm run recipe -- spider-draft`. Sees the training split only. */
import { draftRecipe } from "../draft.ts";
import { spiderAnswers } from "../spider/own-answers.ts";
import type { Recipe } from "../steps.ts";

export const recipe: Recipe = draftRecipe({
  ...spiderAnswers,
  asking: [],
  begin: "spider",
  scale: {
    ...{ collected: 2000, steps: 2700, learningRate: "8e-4", rank: 16 },
    ...{ points: 8, blockSize: 10, sequence: 640, asked: null },
  },
});
