/**
 * The steps from a task's training prompts to a draft model: the model answers, some of its own layers learn to write the same answers,
 * and guess for it. Knows no task.
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
import { writeFewerLayers } from "./fewer-layers.ts";
import type { Recipe } from "./steps.ts";

export interface DraftModelScale extends GuesserScale {
  /** Layers of the draft model. */
  readonly layers: number;
}

/** Answers of the model, a smaller one that learns them, and what passes settle with its guesses. */
export function draftModelRecipe(recipe: GuesserRecipe<DraftModelScale>): Recipe {
  return (options) => {
    const { model, out, small } = options;
    const scale = small ? { ...smallest(recipe), layers: 1 } : recipe.scale;
    const at = (...path: string[]): string => join(out, ...path);
    const adapter = mergedBy(recipe, small).length > 0 ? recipe.adapter : null;
    return [
      ...answerSteps(recipe, options, scale),
      {
        name: "fewer layers",
        makes: at("fewer-layers"),
        run: () => writeFewerLayers(at("fewer-layers"), model, adapter, scale.layers),
      },
      {
        name: "draft model",
        makes: at("draft-model/final"), // it appears when the run is over; best/ has the weights to use
        run: [
          ...["train", "--model", at("fewer-layers"), "--trajectories", trajectoriesIn(out)],
          ...["--out", at("draft-model"), "--learning-rate", scale.learningRate],
          ...["--warmup-steps", "20", "--steps", String(scale.steps)],
          ...["--sequence-length", String(scale.sequence), "--keep-together", String(recipe.keepTogether)],
          ...(small ? ["--held-out", "2", "--evaluate-every", "2"] : ["--held-out", "32", "--evaluate-every", "200"]),
          ...["--checkpoint-every", "100"],
        ],
      },
      guesserEvaluation(recipe, options, {
        ...{ flag: "--draft-model", folder: at("draft-model/best"), decoder: "draft-model" },
        report: "evaluation-draft-model",
      }),
    ];
  };
}
