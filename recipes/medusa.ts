/**
 * The steps from a task's training prompts to Medusa heads on a frozen model, and what they save: the model answers, the heads learn to guess
 * those answers, and their decoder is compared with the model's own `ar`. Knows no task.
 */
import { join } from "node:path";
import { type GuesserRecipe, type GuesserScale, guesserRecipe, mergedBy, seeing, trajectoriesIn } from "./answers.ts";
import type { Recipe } from "./steps.ts";

export interface MedusaScale extends GuesserScale {
  readonly heads: number;
}

/** Answers of the model, heads for them, and what passes settle with these. */
export const medusaRecipe = (recipe: GuesserRecipe<MedusaScale>): Recipe =>
  guesserRecipe(recipe, {
    ...{ flag: "--medusa-heads", folder: "heads/best", decoder: "medusa", report: "evaluation-heads" },
    train: (scale, options) => [
      {
        name: "heads",
        makes: join(options.out, "heads/final"), // it appears when the run is over; best/ has the weights to use
        run: [
          ...["train", "--model", options.model, ...mergedBy(recipe, options.small)],
          ...["--trajectories", trajectoriesIn(options.out), "--out", join(options.out, "heads")],
          ...["--objective", "medusa", "--medusa-num-heads", String(scale.heads)],
          ...["--learning-rate", scale.learningRate, "--warmup-steps", "40", "--steps", String(scale.steps)],
          ...[...seeing(recipe, scale, options, 400), "--checkpoint-every", "50"],
        ],
      },
    ],
  });
