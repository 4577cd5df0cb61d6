/**
 * The steps from the model's own answers to the n-grams that decoding drafts from: those that the draft adapter learned from, and
 * further ones that come faster, because nothing is collected of their passes. Knows no task.
 */
import { join } from "node:path";
import { readText } from "../src/files/text.ts";
import { mergedBy, type OwnAnswers, trajectoriesIn } from "./answers.ts";
import { drawGroups, type Example, readExamples, writeExamples, writeLines } from "./examples.ts";
import type { RecipeOptions, Step } from "./steps.ts";

const MAX_BYTES = 512 << 20;

/** What `cllm batch` writes of a request, as far as it is read here. */
interface BatchLine {
  readonly custom_id: string;
  readonly response: {
    readonly body: {
      readonly choices?: readonly [
        {
          readonly message?: { readonly content: string };
          readonly text?: string;
          readonly finish_reason: string;
        },
      ];
    };
  };
}

/** Counts the collected answers, and those to `further` other training prompts, into the folder `to`. */
export function knownSteps(
  recipe: OwnAnswers,
  { model, out, small }: RecipeOptions,
  { further, to }: { readonly further: number; readonly to: string },
): Step[] {
  const at = (...path: string[]): string => join(out, ...path);
  const [requests, answers, pairs] = [at("further.jsonl"), at("further-answers.jsonl"), at("further-pairs.jsonl")];
  const adapted = mergedBy(recipe, small).length === 0 ? [] : ["--adapter", `target=${recipe.adapter}`];
  const called = adapted.length === 0 ? "base" : "base:target";
  const more: Step[] = [
    {
      name: "further questions",
      makes: requests,
      run: async () =>
        writeLines(requests, (await furtherPrompts(out, small ? 2 : further)).map(requestOf(recipe, called))),
    },
    {
      name: "further answers",
      makes: answers,
      run: [
        ...["batch", "--model", `base=${model}`, ...adapted],
        ...["--input", requests, "--output", answers, "--parallel", "8"],
      ],
    },
    { name: "further pairs", makes: pairs, run: () => writePairs(out, answers, pairs, small) },
  ];
  const data = [
    "--data",
    pairs,
    "--prompt-field",
    "prompt",
    "--answer-field",
    "answer",
    ...(recipe.chat ? [] : ["--raw"]),
  ];
  return [
    ...(further > 0 ? more : []),
    {
      name: "n-grams",
      makes: join(to, "ngrams.safetensors"),
      run: [
        ...["ngrams", "--model", model, "--trajectories", trajectoriesIn(out), ...(further > 0 ? data : [])],
        ...[...(small ? ["--least", "1"] : []), "--out", to],
      ],
    },
  ];
}

/** Training prompts that no answers were collected to. */
async function furtherPrompts(out: string, count: number): Promise<Example[]> {
  const asked = new Set((await readExamples(join(out, "questions.jsonl"))).map(({ id }) => id));
  const others = (await readExamples(join(out, "train.jsonl"))).filter(({ id }) => !asked.has(id));
  return drawGroups(others, 1, count);
}

const requestOf =
  ({ chat, answerTokens }: OwnAnswers, model: string) =>
  ({ id, prompt }: Example): object => ({
    ...{ custom_id: id, method: "POST", url: chat ? "/v1/chat/completions" : "/v1/completions" },
    body: {
      ...{ model, ...(chat ? { messages: [{ role: "user", content: prompt }] } : { prompt }) },
      ...{ max_tokens: answerTokens, temperature: 0 },
    },
  });

/** Prompts with the answers that came to their end. */
async function writePairs(out: string, answers: string, pairs: string, small: boolean): Promise<void> {
  const prompts = new Map((await readExamples(join(out, "train.jsonl"))).map(({ id, prompt }) => [id, prompt]));
  const lines = (await readText(answers, MAX_BYTES)).split("\n").filter(Boolean);
  const examples = lines.flatMap((line): Example[] => {
    const { custom_id: id, response } = JSON.parse(line) as BatchLine;
    const choice = response.body.choices?.[0];
    const answer = choice?.message?.content ?? choice?.text ?? "";
    return answer === "" || (choice?.finish_reason !== "stop" && !small)
      ? []
      : [{ id, prompt: prompts.get(id)!, answer }];
  });
  await writeExamples(pairs, examples);
}
