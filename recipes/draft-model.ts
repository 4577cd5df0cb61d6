/**
 * The steps from a task's training prompts to a draft model: the model answers, some of its own layers learn to write the same answers,
 * and guess for it. Knows no task.
 */
import { join } from "node:path";
import { answerSteps, mergedBy, type OwnAnswers, trajectoriesIn } from "./answers.ts";
import { writeFewerLayers } from "./fewer-layers.ts";
import type { Recipe } from "./steps.ts";

export interface DraftModelRecipe extends OwnAnswers {
  readonly task: string;
  readonly scale: DraftModelScale;
}

export interface DraftModelScale {
  /** Training prompts that the model answers. */
  readonly collected: number;
  /** Layers of the draft model. */
  readonly layers: number;
  readonly steps: number;
  readonly learningRate: string;
  /** Tokens of a sequence. */
  readonly sequence: number;
  /** Questions of the evaluation, a sample of them; null for all. */
  readonly asked: number | null;
}

/** Answers of the model, a smaller one that learns them, and what passes settle with its guesses. */
export function draftModelRecipe(recipe: DraftModelRecipe): Recipe {
  return (options) => {
    const { model, dataDir, out, small } = options;
    const scale = small ? smallest(recipe) : recipe.scale;
    const at = (...path: string[]): string => join(out, ...path);
    const merged = mergedBy(recipe, small);
    const named = merged.length === 0 ? "base" : "target";
    return [
      ...answerSteps(recipe, options, scale),
      {
        name: "fewer layers",
        makes: at("fewer-layers"),
        run: () =>
          writeFewerLayers(at("fewer-layers"), model, merged.length === 0 ? null : recipe.adapter, scale.layers),
      },
      {
        name: "draft model",
        makes: at("draft-model/final"), // it appears when the run is over; best/ has the weights to use
        run: [
          ...[
            "train",
            "--model",
            at("fewer-layers"),
            "--trajectories",
            trajectoriesIn(out),
            "--out",
            at("draft-model"),
          ],
          ...["--learning-rate", scale.learningRate, "--warmup-steps", "20", "--steps", String(scale.steps)],
          ...["--sequence-length", String(scale.sequence), "--keep-together", String(recipe.keepTogether)],
          ...(small ? ["--held-out", "2", "--evaluate-every", "2"] : ["--held-out", "32", "--evaluate-every", "200"]),
          ...["--checkpoint-every", "100"],
        ],
      },
      {
        name: "evaluation",
        makes: at("evaluation-draft-model/report.html"),
        run: [
          ...["eval", recipe.task, "--data-dir", dataDir, "--model", `base=${model}`],
          ...(merged.length === 0 ? [] : ["--adapter", `target=${recipe.adapter}`, "--only-adapters"]),
          ...["--draft-model", `${named}=${at("draft-model/best")}`, "--precision", "int8"],
          ...["--decoders", "ar,draft-model,auto", "--max-new-tokens", String(recipe.answerTokens)],
          ...(scale.asked === null ? [] : ["--sample", String(scale.asked)]),
          ...["--out", at("evaluation-draft-model")],
        ],
      },
    ];
  };
}

/** A few steps of everything. A tiny vocabulary makes many tokens of a text. */
const smallest = ({ scale, keepTogether }: DraftModelRecipe): DraftModelScale => ({
  ...{ ...scale, collected: Math.max(4, keepTogether), layers: 1, steps: 2, asked: 2, sequence: 2 * scale.sequence },
});
