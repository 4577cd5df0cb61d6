/**
 * Records what the README's moving picture shows: one model answers the same questions one by one and with `auto`, each
 * piece of text with the time at which it came. Needs Spider's data and the adapter `spider`; the rest is the product's.
 *
 *     npm run bench -- race --questions 6 --out bench/results/race.json
 */
import { writeFileSync } from "node:fs";
import { commitOfCheckout, machineName } from "../src/cli/machine.ts";
import { load } from "../src/generate/load.ts";
import type { LanguageModel, PromptInput } from "../src/generate/types.ts";
import { openTask } from "../src/tasks/open-task.ts";
import { dataFolder, flags, modelPath } from "./conditions.ts";

const settings = flags({
  questions: 6,
  adapter: "adapters/spider",
  database: "concert_singer",
  maxNewTokens: 96,
  out: "",
});

/** What came when, in milliseconds after the question was asked. */
interface Recorded {
  readonly tokens: number;
  readonly passes: number;
  readonly ms: number;
  readonly chunks: readonly { readonly text: string; readonly ms: number }[];
}

async function record(
  model: LanguageModel,
  input: PromptInput,
  stop: readonly string[],
  decoder: "ar" | "auto",
): Promise<Recorded> {
  const begin = performance.now();
  const chunks: { text: string; ms: number }[] = [];
  let [tokens, passes] = [0, 0];
  for await (const chunk of model.stream({
    ...input,
    stop,
    decoder,
    maxNewTokens: settings.maxNewTokens,
  })) {
    tokens += chunk.tokens.length;
    passes++;
    if (chunk.text !== "") chunks.push({ text: chunk.text, ms: Math.round(performance.now() - begin) });
  }
  return { tokens, passes, ms: Math.round(performance.now() - begin), chunks };
}

await using task = await openTask("spider", { dataDir: dataFolder() });
await using model = await load(modelPath(), { adapter: settings.adapter, suffixMemory: 0 });
const examples = task.examples.filter(({ category }) => category === settings.database).slice(0, settings.questions);
/** All questions in their order, as one person asks them: what prompts share is computed once. */
async function session(decoder: "ar" | "auto"): Promise<Recorded[]> {
  const answers = [];
  for (const example of examples) answers.push(await record(model, example.input([]), example.stop, decoder));
  return answers;
}
const textOf = ({ chunks }: Recorded): string => chunks.map((chunk) => chunk.text).join("");
for (const decoder of ["ar", "auto"] as const) await session(decoder); // warm-up
const one = await session("ar");
const several = await session("auto");
const answers = [];
for (const [i, example] of examples.entries()) {
  const [ar, auto] = [one[i]!, several[i]!];
  if (textOf(ar) !== textOf(auto)) throw new Error(`ar and auto differ on ${example.id}`);
  const question = (example.input([]).prompt ?? "").split("\n").findLast((line) => line.startsWith("Question:")) ?? "";
  const { verdict } = await task.grade(example, [textOf(ar)]);
  answers.push({ question: question.replace("Question:", "").trim(), verdict, ar, auto });
}
const result = {
  model: "SmolLM2-135M-Instruct with the CLLM adapter spider",
  precision: "int8",
  machine: machineName(),
  commit: commitOfCheckout(),
  date: new Date().toISOString().slice(0, 10),
  command: `npm run bench -- race --questions ${settings.questions}`,
  answers,
};
if (settings.out !== "") writeFileSync(settings.out, `${JSON.stringify(result, null, 2)}\n`);
console.log(JSON.stringify(result));
