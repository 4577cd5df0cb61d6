/**
 * The steps from a task's training prompts to Medusa heads on a frozen model, and what they save: the model answers, the heads learn to guess
 * those answers, and their decoder is compared with the model's own `ar`. Knows no task.
 */
import { join } from "node:path";
import {
  answerSteps,
  type GuesserRecipe,
  type GuesserScale,
  guesserEvaluation,
  mergedBy,
  smallest,
  trajectoriesIn,
} from "./answers.ts";
import type { Recipe } from "./steps.ts";

export interface MedusaScale extends GuesserScale {
  readonly heads: number;
}

/** Answers of the model, heads for them, and what passes settle with these. */
export function medusaRecipe(recipe: GuesserRecipe<MedusaScale>): Recipe {
  return (options) => {
    const { model, out, small } = options;
    const scale = small ? smallest(recipe) : recipe.scale;
    const at = (...path: string[]): string => join(out, ...path);
    return [
      ...answerSteps(recipe, options, scale),
      {
        name: "heads",
        makes: at("heads/final"), // it appears when the run is over; best/ has the weights to use
        run: [
          ...["train", "--model", model, ...mergedBy(recipe, small), "--trajectories", trajectoriesIn(out)],
          ...["--out", at("heads"), "--objective", "medusa", "--medusa-num-heads", String(scale.heads)],
          ...["--learning-rate", scale.learningRate, "--warmup-steps", "40", "--steps", String(scale.steps)],
          ...["--sequence-length", String(scale.sequence), "--keep-together", String(recipe.keepTogether)],
          ...(small ? ["--held-out", "2", "--evaluate-every", "2"] : ["--held-out", "32", "--evaluate-every", "400"]),
          ...["--checkpoint-every", "50"],
        ],
      },
      guesserEvaluation(recipe, options, {
        ...{ flag: "--medusa-heads", folder: at("heads/best"), decoder: "medusa", report: "evaluation-heads" },
      }),
    ];
  };
}
