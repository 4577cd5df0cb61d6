/**
 * The steps from a task's training prompts to a draft adapter, and what it saves: the model answers, the adapter learns to guess those
 * answers, and every decoder is compared with the model's own `ar`. Knows no task.
 */
import { join } from "node:path";
import { baseModel, GAP } from "./adapter.ts";
import {
  answerSteps,
  type GuesserRecipe,
  type GuesserScale,
  mergedBy,
  seeing,
  smallest,
  trajectoriesIn,
} from "./answers.ts";
import { writeDifference } from "./difference.ts";
import { writeLines } from "./examples.ts";
import { knownSteps } from "./known.ts";
import type { Recipe } from "./steps.ts";

export interface DraftRecipe extends GuesserRecipe<DraftScale> {
  /** Flags that the task's evaluation needs. */
  readonly asking: readonly string[];
  /** Questions of the evaluation, for the task `custom`. Default: the task has its own. */
  readonly questions?: () => readonly { readonly prompt: string; readonly reference: string }[];
  /** What the adapter is for, wherever the model came from. Default: SmolLM2-135M-Instruct. */
  readonly base?: string;
  /** A token that no text has, for guesses that are not there yet. Default: SmolLM2's. */
  readonly gap?: number;
  /** Training prompts that are answered for n-grams alone. Default: none beside those that the adapter learns from. */
  readonly further?: number;
  /** A CLLM's adapter that was made from it, by its name: drafts begin with what that has learned. Default: from nothing. */
  readonly begin?: string;
}

export interface DraftScale extends GuesserScale {
  readonly rank: number;
  /** Places of an answer that are guessed on from, each time that it is seen. */
  readonly points: number;
  /** Tokens of a point: the one that is followed, and guesses. */
  readonly blockSize: number;
}

/** Answers of the model, a draft adapter for them, and what passes settle with it. */
export function draftRecipe(recipe: DraftRecipe): Recipe {
  const { adapter, begin, questions: asked, gap = GAP, base = baseModel, further = 0 } = recipe;
  return (options) => {
    const { model, dataDir, out, small } = options;
    const at = (...path: string[]): string => join(out, ...path);
    const scale = small ? smallest(recipe) : recipe.scale;
    const heldOut = at("held-out.jsonl");
    const merged = mergedBy(recipe, small);
    const start = begin === undefined || adapter === null || small ? null : { from: adapter, to: begin };
    return [
      ...(start === null
        ? []
        : [
            {
              name: "beginning",
              makes: at("begin"),
              run: () => writeDifference(at("begin"), start.from, start.to, scale.rank),
            },
          ]),
      ...answerSteps(recipe, options, scale),
      {
        name: "draft adapter",
        makes: at("draft/final"), // it appears when the run is over; best/ has the weights to use
        run: [
          ...["train", "--model", model, ...merged, "--trajectories", trajectoriesIn(out), "--out", at("draft")],
          ...["--objective", "consistency", "--lossless"],
          ...(start === null ? ["--lora-rank", String(scale.rank)] : ["--from-adapter", at("begin")]),
          ...["--learning-rate", scale.learningRate, "--warmup-steps", "50", "--final-share", "0.1"],
          ...["--steps", String(scale.steps), "--block-size", String(scale.blockSize), "--row-decay", "0.85"],
          ...["--points-per-example", String(scale.points), "--leading-points", "1", "--refinements", "2"],
          ...["--draft-token", String(gap)],
          ...[...seeing(recipe, scale, options, 500), "--checkpoint-every", "50"],
        ],
      },
      {
        name: "the adapter as it ships",
        makes: at("draft-f16"),
        run: [
          ...["export", "--model", model, "--adapter", at("draft/best"), "--format", "adapter", "--dtype", "f16"],
          ...["--base-model", base, "--to", at("draft-f16")],
        ],
      },
      ...knownSteps(recipe, options, { further, to: at("draft-f16") }),
      ...(asked === undefined
        ? []
        : [{ name: "held-out questions", makes: heldOut, run: async () => writeLines(heldOut, asked()) }]),
      {
        name: "evaluation",
        makes: at("evaluation/report.html"),
        run: evaluation(recipe, { model, dataDir, draft: at("draft-f16"), out: at("evaluation"), heldOut, small }),
      },
    ];
  };
}

/** `cllm eval` of the model with the draft adapter; its `ar` is the model as it is. */
function evaluation(
  { task, asking, adapter, answerTokens, scale, questions }: DraftRecipe,
  at: { model: string; dataDir: string; draft: string; out: string; heldOut: string; small: boolean },
): string[] {
  const { asked } = at.small ? { asked: 2 } : scale;
  const base = adapter === null || at.small ? [] : ["--adapter", `target=${adapter}`, "--only-adapters"];
  const drafted = base.length > 0 ? "target" : "base";
  return [
    ...[
      "eval",
      task,
      ...asking,
      ...(questions ? ["--data", at.heldOut] : ["--data-dir", at.dataDir]),
      "--model",
      `base=${at.model}`,
      ...base,
    ],
    ...["--draft-adapter", `${drafted}=${at.draft}`, "--precision", "int8", "--decoders", "ar,jacobi,auto"],
    ...["--max-new-tokens", String(answerTokens), ...(asked === null ? [] : ["--sample", String(asked)])],
    ...["--out", at.out],
  ];
}
