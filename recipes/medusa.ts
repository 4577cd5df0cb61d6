/**
 * The steps from a task's training prompts to Medusa heads on a frozen model, and what they save: the model answers, the heads learn to guess
 * those answers, and their decoder is compared with the model's own `ar`. Knows no task.
 */
import { join } from "node:path";
import { answerSteps, mergedBy, type OwnAnswers, trajectoriesIn } from "./answers.ts";
import type { Recipe } from "./steps.ts";

export interface MedusaRecipe extends OwnAnswers {
  readonly task: string;
  readonly scale: MedusaScale;
}

export interface MedusaScale {
  /** Training prompts that the model answers. */
  readonly collected: number;
  readonly steps: number;
  readonly learningRate: string;
  readonly heads: number;
  /** Tokens of a sequence. */
  readonly sequence: number;
  /** Questions of the evaluation, a sample of them; null for all. */
  readonly asked: number | null;
}

/** Answers of the model, heads for them, and what passes settle with these. */
export function medusaRecipe(recipe: MedusaRecipe): Recipe {
  return (options) => {
    const { model, dataDir, out, small } = options;
    const scale = small ? smallest(recipe) : recipe.scale;
    const at = (...path: string[]): string => join(out, ...path);
    const merged = mergedBy(recipe, small);
    const named = merged.length === 0 ? "base" : "target";
    return [
      ...answerSteps(recipe, options, scale),
      {
        name: "heads",
        makes: at("heads/final"), // it appears when the run is over; best/ has the weights to use
        run: [
          ...["train", "--model", model, ...merged, "--trajectories", trajectoriesIn(out), "--out", at("heads")],
          ...["--objective", "medusa", "--medusa-num-heads", String(scale.heads)],
          ...["--learning-rate", scale.learningRate, "--warmup-steps", "40", "--steps", String(scale.steps)],
          ...["--sequence-length", String(scale.sequence), "--keep-together", String(recipe.keepTogether)],
          ...(small ? ["--held-out", "2", "--evaluate-every", "2"] : ["--held-out", "32", "--evaluate-every", "400"]),
          ...["--checkpoint-every", "50"],
        ],
      },
      {
        name: "evaluation",
        makes: at("evaluation-heads/report.html"),
        run: [
          ...["eval", recipe.task, "--data-dir", dataDir, "--model", `base=${model}`],
          ...(merged.length === 0 ? [] : ["--adapter", `target=${recipe.adapter}`, "--only-adapters"]),
          ...["--medusa-heads", `${named}=${at("heads/best")}`, "--precision", "int8", "--decoders", "ar,medusa,auto"],
          ...["--max-new-tokens", String(recipe.answerTokens)],
          ...(scale.asked === null ? [] : ["--sample", String(scale.asked)]),
          ...["--out", at("evaluation-heads")],
        ],
      },
    ];
  };
}

/** A few steps of everything. A tiny vocabulary makes many tokens of a text. */
const smallest = ({ scale, keepTogether }: MedusaRecipe): MedusaScale => ({
  ...{ ...scale, collected: Math.max(4, keepTogether), steps: 2, asked: 2, sequence: 2 * scale.sequence },
});
