/** The steps from a task's training prompts to the model's own answers, which whatever guesses for the model learns from. */
import { join } from "node:path";
import { drawGroups, type Example, readExamples, writeExamples } from "./examples.ts";
import type { Recipe, RecipeOptions, Step } from "./steps.ts";

export interface OwnAnswers {
  /** Training's prompts, with the data's answers, which are not learned. */
  readonly readData: (dataDir: string) => Promise<readonly Example[]>;
  /** What is merged into the model that decides: an adapter by its name, or none. */
  readonly adapter: string | null;
  /** Prompts are conversations and not texts. */
  readonly chat: boolean;
  /** Most tokens of an answer. */
  readonly answerTokens: number;
  /** Examples one after another that are trained beside each other, because their prompts begin alike. */
  readonly keepTogether: number;
}

/** Where the answers are. */
export const trajectoriesIn = (out: string): string => join(out, "trajectories.parquet");

/** The flags that merge the recipe's adapter: a recipe that is tried on another model than the adapter's begins without it. */
export const mergedBy = ({ adapter }: Pick<OwnAnswers, "adapter">, small: boolean): string[] =>
  adapter === null || small ? [] : ["--adapter", adapter];

/** `collected` training prompts and their answers, none longer than a sequence. */
export function answerSteps(
  recipe: OwnAnswers,
  { model, dataDir, out, small }: RecipeOptions,
  { collected, sequence }: { readonly collected: number; readonly sequence: number },
): Step[] {
  const { readData, chat, answerTokens, keepTogether } = recipe;
  const [data, questions] = [join(out, "train.jsonl"), join(out, "questions.jsonl")];
  const fields = [
    "--prompt-field",
    "prompt",
    "--answer-field",
    "answer",
    "--id-field",
    "id",
    ...(chat ? [] : ["--raw"]),
  ];
  return [
    { name: "data", makes: data, run: async () => writeExamples(data, await readData(dataDir)) },
    {
      name: "questions",
      makes: questions,
      run: async () => writeExamples(questions, drawGroups(await readExamples(data), keepTogether, collected)),
    },
    {
      name: "answers",
      makes: trajectoriesIn(out),
      run: [
        ...["collect", "--model", model, ...mergedBy(recipe, small), "--data", questions, ...fields],
        // Training makes its points itself and needs the answers only: in blocks of one token they come fastest.
        ...["--parallel", "8", "--block-size", "1", "--max-new-tokens", String(answerTokens)],
        ...["--max-sequence-tokens", String(sequence)],
        ...(small ? ["--no-clean"] : ["--require-end"]),
        ...["--out", trajectoriesIn(out)],
      ],
    },
  ];
}

/** How much of everything, for what learns from the model's own answers and then guesses for it. */
export interface GuesserScale {
  /** Training prompts that the model answers. */
  readonly collected: number;
  readonly steps: number;
  readonly learningRate: string;
  /** Tokens of a sequence. */
  readonly sequence: number;
  /** Questions of the evaluation, a sample of them; null for all. */
  readonly asked: number | null;
}

/** A recipe of one kind of guesser. */
export interface GuesserRecipe<S extends GuesserScale> extends OwnAnswers {
  readonly task: string;
  /** More flags of `cllm eval`. Default: none. */
  readonly asking?: readonly string[];
  readonly scale: S;
}

/** How a guesser of some kind comes from the answers, and how it is asked. */
export interface GuesserKind<S extends GuesserScale> {
  /** What the smallest scale has beside few steps. Default: nothing. */
  readonly smallest?: Partial<S>;
  /** The flag that takes it, where below the recipe's folder it is, its decoder, and the folder of the evaluation. */
  readonly flag: string;
  readonly folder: string;
  readonly decoder: string;
  readonly report: string;
  /** The steps from the answers to it. */
  readonly train: (scale: S, options: RecipeOptions) => Step[];
}

/** Answers of the model, a guesser that learns from them, and what passes settle with it. */
export function guesserRecipe<S extends GuesserScale>(recipe: GuesserRecipe<S>, kind: GuesserKind<S>): Recipe {
  return (options) => {
    const scale = options.small ? { ...smallest(recipe), ...kind.smallest } : recipe.scale;
    const steps = kind.train(scale, options);
    return [...answerSteps(recipe, options, scale), ...steps, guesserEvaluation(recipe, options, kind, scale.asked)];
  };
}

/** The flags of `cllm train` that say what a step sees and when the guesser is evaluated. */
export const seeing = (
  { keepTogether }: OwnAnswers,
  { sequence }: GuesserScale,
  { small }: RecipeOptions,
  every: number,
): string[] => [
  ...["--sequence-length", String(sequence), "--keep-together", String(keepTogether)],
  ...(small ? ["--held-out", "2", "--evaluate-every", "2"] : ["--held-out", "32", "--evaluate-every", String(every)]),
];

/** A few steps of everything. A tiny vocabulary makes many tokens of a text. */
export const smallest = <S extends GuesserScale>({ scale, keepTogether }: GuesserRecipe<S>): S => ({
  ...{ ...scale, collected: Math.max(4, keepTogether), steps: 2, asked: 2, sequence: 2 * scale.sequence },
});

/** The model with a guesser beside it: `ar`, the guesser's decoder and `auto`, on the task's questions. */
function guesserEvaluation<S extends GuesserScale>(
  recipe: GuesserRecipe<S>,
  { model, dataDir, out, small }: RecipeOptions,
  guesser: GuesserKind<S>,
  asked: number | null,
): Step {
  const merged = mergedBy(recipe, small).length > 0;
  const folder = join(out, guesser.report);
  return {
    name: "evaluation",
    makes: join(folder, "report.html"),
    run: [
      ...["eval", recipe.task, "--data-dir", dataDir, ...(recipe.asking ?? []), "--model", `base=${model}`],
      ...(merged ? ["--adapter", `target=${recipe.adapter}`, "--only-adapters"] : []),
      ...[guesser.flag, `${merged ? "target" : "base"}=${join(out, guesser.folder)}`, "--precision", "int8"],
      ...["--decoders", `ar,${guesser.decoder},auto`, "--max-new-tokens", String(recipe.answerTokens)],
      ...(asked === null ? [] : ["--sample", String(asked)]),
      ...["--out", folder],
    ],
  };
}
