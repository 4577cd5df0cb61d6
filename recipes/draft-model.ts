/**
 * The steps from a task's training prompts to a draft model: the model answers, some of its own layers learn to write the same answers,
 * and guess for it. Knows no task.
 */
import { join } from "node:path";
import { type GuesserRecipe, type GuesserScale, guesserRecipe, mergedBy, seeing, trajectoriesIn } from "./answers.ts";
import { writeFewerLayers } from "./fewer-layers.ts";
import type { Recipe } from "./steps.ts";

export interface DraftModelScale extends GuesserScale {
  /** Layers of the draft model. */
  readonly layers: number;
}

/** Answers of the model, a smaller one that learns them, and what passes settle with its guesses. */
export const draftModelRecipe = (recipe: GuesserRecipe<DraftModelScale>): Recipe =>
  guesserRecipe(recipe, {
    ...{ flag: "--draft-model", folder: "draft-model/best", decoder: "draft-model", report: "evaluation-draft-model" },
    smallest: { layers: 1 },
    train(scale, options) {
      const { model, out, small } = options;
      const adapter = mergedBy(recipe, small).length > 0 ? recipe.adapter : null;
      const fewer = join(out, "fewer-layers");
      return [
        { name: "fewer layers", makes: fewer, run: () => writeFewerLayers(fewer, model, adapter, scale.layers) },
        {
          name: "draft model",
          makes: join(out, "draft-model/final"), // it appears when the run is over; best/ has the weights to use
          run: [
            ...["train", "--model", fewer, "--trajectories", trajectoriesIn(out), "--out", join(out, "draft-model")],
            ...["--learning-rate", scale.learningRate, "--warmup-steps", "20", "--steps", String(scale.steps)],
            ...[...seeing(recipe, scale, options, 200), "--checkpoint-every", "100"],
          ],
        },
      ];
    },
  });
