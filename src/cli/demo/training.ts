/**
 * `cllm demo --train`: a small CLLM made from nothing on the spot, then its target and it on held-out questions, each
 * with autoregressive and with Jacobi decoding. For people; with --json for programs.
 */
import { join } from "node:path";
import type { LanguageModel } from "../../generate/types.ts";
import {
  heldOutQuestions,
  makeOneDatabase,
  ONE_DATABASE,
  type OneDatabaseRecord,
  type OneDatabaseScale,
  openDemonstration,
} from "../../recipes/one-database.ts";
import { LONGEST_ANSWER } from "../../recipes/stages.ts";
import { demonstrationExample } from "../../tasks/text-to-sql/demonstration.ts";
import type { ModelSettings } from "../command.ts";
import { formatDuration, formatTable } from "../format.ts";
import { machineName } from "../machine.ts";
import { type DecoderSummary, measure, summarize, warmUp } from "../measure.ts";
import { loadModel } from "../model.ts";
import type { Terminal } from "../terminal.ts";

const NOTE_EVERY_MS = 30_000; // where no bar can be shown

/** How the model came out. */
interface Measured {
  readonly name: string;
  readonly right: number;
  readonly ar: DecoderSummary;
  readonly jacobi: DecoderSummary;
}

/** Makes the models below `folder`, or goes on with them, and compares them on `count` questions. */
export async function demonstrateTraining(
  settings: ModelSettings,
  folder: string,
  terminal: Terminal,
  { scale = ONE_DATABASE, count = 64 }: { readonly scale?: OneDatabaseScale; readonly count?: number } = {},
): Promise<void> {
  const { colors } = terminal;
  const begin = performance.now();
  if (!terminal.json) {
    terminal.write(
      `${colors.bold("A CLLM from nothing")}  ${colors.dim(`${machineName()}; everything is in ${folder}`)}\n`,
    );
  }
  await follow(makeOneDatabase(folder, scale, { signal: terminal.signal }), folder, terminal);
  const made = performance.now() - begin;
  const models = [
    { name: "target, one by one", path: join(folder, "ar") },
    { name: "CLLM", path: join(folder, "cllm") },
  ];
  const results: Measured[] = [];
  for (const { name, path } of models) {
    await using model = await loadModel({ ...settings, model: path, precision: "fp32" }, terminal);
    results.push({ name, ...(await compared(model, count, terminal)) });
  }
  if (terminal.json) {
    terminal.write(
      `${JSON.stringify({ folder, machine: machineName(), seconds: made / 1000, questions: count, models: results })}\n`,
    );
    return;
  }
  terminal.write(`made in ${formatDuration(made)}\n\n${resultTable(results, count, terminal)}\n`);
  terminal.write(
    `cllm generate --raw --model ${join(folder, "cllm")} $'question: How many concerts are there?\\nsql:' --color-passes\n`,
  );
}

/** Shows how far it is, and says how to go on where it was stopped. */
async function follow(records: AsyncIterable<OneDatabaseRecord>, folder: string, terminal: Terminal): Promise<void> {
  const begin = performance.now();
  let noted = begin;
  const bars = process.stderr.isTTY === true;
  const say = (line: string): void =>
    terminal.note(`${formatDuration(performance.now() - begin).padStart(11)}  ${line}`);
  try {
    for await (const record of records) {
      const shown = progressOf(record);
      if (record.type === "stage") {
        terminal.endProgress();
        if (!(record.stage === "train" && record.done))
          say(`${STAGES[record.stage]}${record.done ? " (done before)" : ""}`);
      }
      if (shown === null) continue;
      terminal.progress(shown);
      if (bars || performance.now() - noted < NOTE_EVERY_MS) continue;
      noted = performance.now();
      say(`${shown.done} of ${shown.total} ${shown.unit}, ${shown.what}`);
    }
  } catch (error) {
    terminal.endProgress();
    terminal.note(`stopped: what was made is in ${folder}; run the same command again to go on`);
    throw error;
  } finally {
    terminal.endProgress();
  }
}

const STAGES = {
  tokenizer: "a tokenizer, from the text of questions and queries",
  "pre-train": "a target, trained to answer one token after the other",
  collect: "its own answers, with the points that Jacobi decoding visits on the way",
  train: "a CLLM, trained to jump from any such point to the answer",
};

function progressOf(record: OneDatabaseRecord): Parameters<Terminal["progress"]>[0] | null {
  if (record.type === "collected") {
    const { done, total, tokens } = record.progress;
    return { stage: "collect", what: `${tokens} tokens`, done, total, unit: "prompts" };
  }
  if (record.type !== "step") return null;
  const { stage, step, steps, arLoss, consistencyLoss } = record;
  const losses = [arLoss, consistencyLoss].flatMap((loss) => (loss === null ? [] : [loss.toFixed(3)]));
  return { stage, what: `loss ${losses.join(", of noisy points ")}`, done: step, total: steps, unit: "steps" };
}

/** Held-out questions with both decoders; right where the rows are those of the right query. */
async function compared(model: LanguageModel, count: number, terminal: Terminal): Promise<Omit<Measured, "name">> {
  const inputs = Array.from({ length: count }, (_, i) => ({ prompt: demonstrationExample(i, "held-out").prompt }));
  const shared = { maxNewTokens: LONGEST_ANSWER, signal: terminal.signal };
  for await (const progress of warmUp(model, inputs, ["jacobi"], shared)) terminal.progress(progress);
  using database = await openDemonstration();
  const questions = heldOutQuestions(model.tokenizer, database, count);
  const measurements = [];
  let right = 0;
  for await (const event of measure(model, inputs, ["jacobi"], 1, shared)) {
    if (event.kind === "refused") throw event.error;
    if (event.kind !== "measured") continue;
    const { measurement } = event;
    measurements.push(measurement);
    if (measurement.decoder !== "jacobi") continue;
    right += Number(await questions[measurement.prompt]?.isRight?.(measurement.generation.tokens));
    terminal.progress({
      stage: "compare",
      what: model.name,
      done: measurement.prompt + 1,
      total: count,
      unit: "questions",
    });
  }
  terminal.endProgress();
  const [ar, jacobi] = summarize(measurements, ["ar", "jacobi"]) as [DecoderSummary, DecoderSummary];
  return { right, ar, jacobi };
}

function resultTable(results: readonly Measured[], count: number, { colors }: Terminal): string {
  const head = [
    "on held-out questions",
    "right",
    "ar tokens/s",
    "jacobi tokens/s",
    "speed-up",
    "tokens/pass",
    "mismatches",
  ];
  const lines = results.map(({ name, right, ar, jacobi }) => [
    name,
    `${right} of ${count}`,
    ar.tokensPerSecond.toFixed(0),
    jacobi.tokensPerSecond.toFixed(0),
    `${jacobi.speedup.toFixed(2)}x`,
    jacobi.tokensPerForward.toFixed(2),
    String(jacobi.mismatches),
  ]);
  return formatTable(head, lines, colors);
}
