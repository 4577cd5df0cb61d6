/**
 * Sources of drafts side by side on the questions of a task: tokens per pass, rows per pass, and tokens per second against `ar`, question by
 * question in one run; whether every text is that of `ar`; and what a look-up takes beside a pass. Each way remembers its own
 * answers alone. The prediction is the answer itself with some of its words changed, as in an edit.
 */
import { join } from "node:path";
import { SHIPPED_MODEL } from "../src/cli/model.ts";
import { FreeDrafts, freeRecords } from "../src/decode/free-drafts.ts";
import { SuffixMemory } from "../src/decode/suffix-memory.ts";
import { tokensPerForward } from "../src/decode/tokens-per-forward.ts";
import { hash } from "../src/hash.ts";
import type { GenerateOptions, Precision } from "../src/index.ts";
import { load } from "../src/index.ts";
import { defaultThreads } from "../src/runtime/host.ts";
import { openTask } from "../src/tasks/open-task.ts";
import { readHeldOut } from "../src/tasks/text-to-sql/held-out.ts";
import { dataFolder, flags, median, modelPath, report } from "./conditions.ts";

const settings = flags({
  ...{ task: "spider", adapter: "spider-target", "draft-model": "", precision: "int8", threads: defaultThreads() },
  ...{ limit: 100, "max-new-tokens": 0, "block-size": 16, changed: 0.05, "suffix-memory": 16 },
});

/** A way to decode. */
interface Way {
  readonly name: string;
  readonly request: GenerateOptions;
  readonly accepted: number[];
  rows: number;
  tokens: number;
  ms: number;
  differing: number;
}
const way = (name: string, request: GenerateOptions): Way => ({
  ...{ name, request, accepted: [], rows: 0, tokens: 0, ms: 0, differing: 0 },
});
const blockSize = settings["block-size"];
const remembering = (name: string) => ({ memoryScope: name });
const ways = [
  way("ar", { decoder: "ar" }),
  way("prompt-lookup", { decoder: { name: "prompt-lookup", blockSize } }),
  way("suffix, the text alone", { decoder: { name: "suffix", blockSize } }),
  way("suffix", { decoder: { name: "suffix", blockSize }, ...remembering("suffix") }),
  way("auto, the text alone", { decoder: "auto" }),
  way("auto", { decoder: "auto", ...remembering("auto") }),
  way("prediction", { decoder: { name: "prediction", blockSize } }),
  way("auto with prediction", { decoder: "auto" }),
];
if (settings["draft-model"] !== "") {
  ways.push(way("draft-model, 4 guesses", { decoder: "draft-model" }));
  ways.push(way("auto with a draft model", { decoder: "auto" }));
}
const predicting = (name: string): boolean => name.includes("prediction");
const drafted = (name: string): boolean => name.includes("draft") && !predicting(name);

const heldOut = settings.task === "text-to-sql";
const path = heldOut ? SHIPPED_MODEL : modelPath();
const questions = await (heldOut ? shippedQuestions() : taskQuestions());
const common = {
  precision: settings.precision as Precision,
  threads: settings.threads,
  suffixMemory: settings["suffix-memory"],
  ...(!heldOut && settings.adapter !== "none" && { adapter: settings.adapter }),
};
await using model = await load(path, common);
const draftModel = settings["draft-model"];
await using drafting = draftModel === "" ? null : await load(path, { ...common, draftModel });
const costs = await model.passCosts();

for (const [index, question] of [questions[0]!, ...questions].entries()) {
  const request: GenerateOptions = { ...question, cachePrompt: false };
  const expected = await model.generate({ ...request, decoder: "ar" });
  const prediction = changed(expected.text, index);
  for (const each of ways.map((_, i) => ways[(i + index) % ways.length]!)) {
    const scope = index === 0 ? { memoryScope: "warm up" } : {};
    const more = { ...each.request, ...scope, ...(predicting(each.name) && { prediction }) };
    const stream = (drafted(each.name) ? drafting! : model).stream({ ...request, ...more });
    let rows = 0;
    for await (const { pass } of stream) if (pass !== undefined && !pass.prefill) rows += pass.rows;
    const { tokens, stats } = await stream.result;
    if (index === 0) continue; // calibrates and warms up
    for (const count of stats.accepted) each.accepted.push(count);
    each.rows += rows;
    each.tokens += stats.newTokens - stats.prefillTokens;
    each.ms += stats.decodeMs;
    if (tokens.join() === expected.tokens.join()) continue;
    each.differing++;
    console.log(`question ${index}: ${each.name} differs`);
  }
  if (process.stderr.isTTY) process.stderr.write(`\r${index}/${questions.length} `);
}

const [ar] = ways as [Way];
const rate = ({ tokens, ms }: Way): number => (1000 * tokens) / ms;
const figures = ways.map((each) => ({
  decoder: each.name,
  tokensPerPass: tokensPerForward(each.accepted),
  rowsPerPass: each.rows / each.accepted.length,
  tokensPerSecond: rate(each),
  againstAr: rate(each) / rate(ar),
  differing: each.differing,
}));
for (const { decoder, tokensPerPass, rowsPerPass, tokensPerSecond, againstAr, differing } of figures) {
  const passes = `${tokensPerPass.toFixed(2)} tokens and ${rowsPerPass.toFixed(1)} rows per pass`;
  const speed = `${tokensPerSecond.toFixed(0)} tokens/s, ${againstAr.toFixed(2)} of ar`;
  console.log(`${decoder.padEnd(26)} ${passes}, ${speed}, ${differing} of ${questions.length} texts differ`);
}
const microseconds = { ...lookUps() };
const pass = costs.get(1)!;
console.log(
  `a look-up takes ${microseconds.text.toFixed(1)} us in the text, ${microseconds.earlier.toFixed(1)} us with a full memory ` +
    `and ${microseconds.hostile.toFixed(1)} us with one full of a single token; a pass takes ${(1000 * pass).toFixed(0)} us`,
);
report("drafts", settings, { questions: questions.length, figures, microseconds, passMs: pass }, path);
process.exitCode = ways.some(({ differing }) => differing > 0) ? 1 : 0;

/** A text in which a share of the words became others, always the same ones. */
function changed(text: string, seed: number): string {
  const words = text.split(/(\s+)/);
  return words.map((word, i) => (hash(seed, i) / 2 ** 32 < settings.changed && word.trim() ? "other" : word)).join("");
}

async function shippedQuestions(): Promise<readonly GenerateOptions[]> {
  const all = await readHeldOut(join(SHIPPED_MODEL, "held-out.jsonl"));
  const maxNewTokens = settings["max-new-tokens"] || 96;
  return all.slice(0, settings.limit || all.length).map(({ prompt }) => ({ prompt, maxNewTokens }));
}

async function taskQuestions(): Promise<readonly GenerateOptions[]> {
  const chat = settings.task === "gsm8k" ? ({ promptFormat: "chat", shots: 0 } as const) : {};
  await using task = await openTask(settings.task, { dataDir: dataFolder(), ...chat });
  const { length } = task.examples;
  const wanted = settings.limit === 0 ? length : Math.min(settings.limit, length);
  return Array.from({ length: wanted }, (_, i) => {
    const example = task.examples[Math.floor(((i + 0.5) * length) / wanted)]!;
    const maxNewTokens = settings["max-new-tokens"] || example.maxNewTokens;
    return { ...example.input([]), stop: example.stop, maxNewTokens };
  });
}

/** Microseconds of making all free drafts of a pass: in a text alone, with a full memory, and with one that is hostile. */
function lookUps(): { readonly text: number; readonly earlier: number; readonly hostile: number } {
  const MEGABYTES = 16;
  const text = Int32Array.from({ length: 2000 }, (_, i) => hash(i) % 500);
  const full = (tokenOf: (i: number) => number) => {
    const memory = new SuffixMemory(MEGABYTES);
    for (let i = 0; memory.length < 6e5 && i < 2000; i++)
      memory.scoped().add(
        text.subarray(0, 20),
        Int32Array.from({ length: 250 + (i % 100) }, (_, j) => tokenOf(300 * i + j)),
      );
    return memory.scoped();
  };
  const timed = (answers: ReturnType<typeof full> | undefined, of: Int32Array): number => {
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const drafts = new FreeDrafts(freeRecords(), 31, { answers });
      const from = 1000;
      drafts.offer(of.subarray(0, from), 31);
      const start = performance.now();
      for (let end = from + 1; end <= of.length; end++) drafts.offer(of.subarray(0, end), 31);
      times.push((1000 * (performance.now() - start)) / (of.length - from));
    }
    return median(times);
  };
  const usual = full((i) => hash(i % 5003) % 500); // the text, each time from another place on
  return {
    text: timed(undefined, text),
    earlier: timed(usual, text),
    hostile: timed(
      full(() => 1),
      new Int32Array(2000).fill(1),
    ),
  };
}
