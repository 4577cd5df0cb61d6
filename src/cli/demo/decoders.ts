/**
 * The demonstration of any model: three prompts, the answer as autoregressive decoding writes it, then the other decoders on
 * the same prompt, each with its speed and whether it wrote the same tokens; at the end the table. For people.
 */
import {
  type DecoderName,
  type GenerateOptions,
  type Generation,
  type LanguageModel,
  PLAIN_DECODERS,
} from "../../generate/types.ts";
import { decoderTable } from "../decoder-table.ts";
import { machineName } from "../machine.ts";
import { type Measurement, measurementOf, summarize, warmUp } from "../measure.ts";
import { conditionsOf } from "../model.ts";
import type { Terminal } from "../terminal.ts";

/** All that differ in a single answer: without earlier ones `suffix` does what prompt lookup does. */
const RACERS: readonly DecoderName[] = PLAIN_DECODERS.filter((name) => name !== "suffix");

const PROMPTS = [
  "A baker makes 48 rolls. She sells half of them in the morning and a quarter of the rest at noon. How many rolls are left?",
  "Write a Python function that returns the sum of the even numbers in a list, with a docstring and two examples.",
  "Give me a short plan for a rainy Sunday at home with two children.",
];

/** Shows all decoders on a model that is loaded. */
export async function demonstrateDecoders(
  model: LanguageModel,
  maxNewTokens: number,
  terminal: Terminal,
): Promise<void> {
  const inputs = PROMPTS.map((prompt) =>
    model.hasChatTemplate ? { messages: [{ role: "user" as const, content: prompt }] } : { prompt },
  );
  const shared = { maxNewTokens, cachePrompt: false, signal: terminal.signal };
  const { colors } = terminal;
  const say = (text: string): void => {
    if (!terminal.json) terminal.write(text);
  };
  say(
    `${colors.bold(model.name)}, ${conditionsOf(model)}, greedy, ${maxNewTokens} new tokens\n${colors.dim(machineName())}\n`,
  );
  for await (const progress of warmUp(model, inputs, RACERS, shared)) terminal.progress(progress);
  terminal.endProgress();
  const measurements: Measurement[] = [];
  for (const [index, input] of inputs.entries()) {
    say(`\n${colors.bold(`> ${PROMPTS[index]}`)}\n\n`);
    const baseline = await show(model, { ...shared, ...input, decoder: "ar" }, say);
    measurements.push(measurementOf("ar", index, baseline, baseline));
    say(`\n${racer("ar", baseline, maxNewTokens, terminal)}\n`);
    for (const decoder of RACERS.filter((name) => name !== "ar")) {
      const generation = await race(model, decoder, { ...shared, ...input }, maxNewTokens, terminal);
      const measurement = measurementOf(decoder, index, generation, baseline);
      measurements.push(measurement);
      say(`${racer(decoder, generation, maxNewTokens, terminal)}  ${verdict(measurement, terminal)}\n`);
    }
  }
  const summaries = summarize(measurements, RACERS);
  say(`\n${decoderTable(summaries, colors)}`);
  if (terminal.json) {
    const { name, precision } = model;
    const report = {
      model: name,
      precision,
      machine: machineName(),
      prompts: PROMPTS.length,
      maxNewTokens,
      decoders: summaries,
    };
    terminal.write(`${JSON.stringify(report)}\n`);
  }
}

/** The answer as it comes. */
async function show(model: LanguageModel, request: GenerateOptions, say: (text: string) => void): Promise<Generation> {
  const stream = model.stream(request);
  for await (const { text } of stream) say(text);
  say("\n");
  return stream.result;
}

const CLEAR_LINE = "\r\x1b[2K";

/** Runs a decoder without its text; on a terminal, its line grows as its tokens come. */
async function race(
  model: LanguageModel,
  decoder: DecoderName,
  options: GenerateOptions,
  total: number,
  terminal: Terminal,
): Promise<Generation> {
  const stream = model.stream({ ...options, decoder });
  let tokens = 0;
  try {
    for await (const chunk of stream) {
      tokens += chunk.tokens.length;
      if (terminal.interactive) terminal.write(`${CLEAR_LINE}${label(decoder)} ${bar(tokens, total, terminal)}`);
    }
    return await stream.result;
  } finally {
    if (terminal.interactive) terminal.write(CLEAR_LINE);
  }
}

const label = (decoder: DecoderName): string => decoder.padEnd(Math.max(...RACERS.map((name) => name.length)));

const BAR = 24;

function bar(tokens: number, total: number, { colors }: Terminal): string {
  const filled = Math.round((tokens / total) * BAR);
  return colors.cyan("█".repeat(filled)) + colors.dim("░".repeat(BAR - filled));
}

function racer(decoder: DecoderName, { tokens, stats }: Generation, total: number, terminal: Terminal): string {
  const speed = `${stats.tokensPerSecond.toFixed(1).padStart(6)} tokens/s`;
  const perPass = `${stats.tokensPerForward.toFixed(2)} tokens per pass`;
  const head = `${label(decoder)} ${terminal.interactive ? `${bar(tokens.length, total, terminal)} ` : ""}`;
  return `${head}${speed}  ${perPass}`;
}

function verdict({ speedup, matches }: Measurement, { colors }: Terminal): string {
  const ratio = speedup === null ? "" : `${speedup.toFixed(2)}x  `;
  return ratio + (matches ? colors.green("same tokens") : colors.red("other tokens than ar"));
}
