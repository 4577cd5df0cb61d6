/** The steps from a task's training prompts to the model's own answers, which whatever guesses for the model learns from. */
import { join } from "node:path";
import { drawGroups, type Example, readExamples, writeExamples } from "./examples.ts";
import type { RecipeOptions, Step } from "./steps.ts";

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
