/**
 * `cllm bench`: decoders side by side on a file of prompts, and what a pass costs here. Ratios are taken within one
 * run; the figures come with everything that reproduces them.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import { parseJson } from "../../files/json.ts";
import { measurePassCosts } from "../../generate/calibrate.ts";
import { check } from "../../generate/check.ts";
import {
  type DecodingSettings,
  decodingFields,
  messagesSchema,
  type SamplingSettings,
  samplingFields,
} from "../../generate/options.ts";
import { chooseSampling } from "../../generate/sampling.ts";
import {
  DECODERS,
  type DecoderName,
  type LanguageModel,
  type PassCosts,
  PLAIN_DECODERS,
  type PromptInput,
} from "../../generate/types.ts";
import { type Command, defineCommand, type ModelSettings, modelFields } from "../command.ts";
import { decoderTable } from "../decoder-table.ts";
import { inGroup } from "../flags.ts";
import { formatTable } from "../format.ts";
import { readInput } from "../input.ts";
import { commitOfCheckout, machineName } from "../machine.ts";
import {
  type DecoderSummary,
  type MeasuredInput,
  type Measurement,
  measure,
  type SharedOptions,
  summarize,
  warmUp,
  withBaseline,
} from "../measure.ts";
import { loadModel, orDemonstration } from "../model.ts";
import type { Colors, Terminal } from "../terminal.ts";

interface BenchSettings extends Omit<DecodingSettings, "decoder" | "maxNewTokens">, SamplingSettings, ModelSettings {
  readonly prompts: string;
  readonly decoders: readonly DecoderName[] | undefined;
  readonly limit: number | undefined;
  readonly runs: number;
  readonly maxNewTokens: number;
  readonly chat: boolean;
}

const { decoder: _decoder, maxNewTokens: _maxNewTokens, ...sharedFields } = decodingFields;

export const bench: Command = defineCommand<BenchSettings>({
  name: "bench",
  summary: "Compare decoders on a file of prompts",
  details:
    "Each line of the file is a JSON object with prompt (continued as it is; --chat takes it for a user's message) or " +
    "messages, and perhaps prediction; other keys are ignored. Every prompt goes through every decoder before the next, after a warm-up; ar is " +
    "always among them. auto and suffix draft from their own answers to earlier prompts of the same run. Speeds are medians over the prompts, with quartiles; prompts that are too long are counted.",
  fields: {
    prompts: z
      .string()
      .min(1)
      .meta({ description: "JSON Lines file of prompts; - is standard input", placeholder: "file" }),
    decoders: z
      .array(z.enum(DECODERS))
      .min(1)
      .optional()
      .meta({ description: "which to compare with ar; default: all that have here what they need" }),
    limit: z.int().min(1).optional().meta({ description: "only the first prompts", placeholder: "prompts" }),
    runs: z
      .int()
      .min(1)
      .max(100)
      .default(1)
      .meta({ description: "how often to go through all prompts", placeholder: "times" }),
    ...inGroup("Decoding", sharedFields),
    maxNewTokens: z
      .int()
      .min(1)
      .default(128)
      .meta({ description: "most tokens to write", placeholder: "tokens", short: "n" }),
    chat: z
      .boolean()
      .default(false)
      .meta({ description: "take each prompt for a user's message; needs a chat template" }),
    ...inGroup("Sampling", samplingFields),
    ...modelFields,
  },
  examples: [
    [
      `echo '{"prompt": "Which bands have no concerts? Show the name."}' | cllm bench --prompts - --chat`,
      "one prompt to the model that comes with cllm",
    ],
    ["cllm bench --prompts prompts.jsonl --limit 32", "all decoders, greedy, 128 tokens each"],
    ["cllm bench --prompts prompts.jsonl --decoders auto,jacobi --json | tail -n 1", "one JSON object, for programs"],
  ],
  async run(settings, terminal) {
    const given = await readPrompts(settings, terminal.signal);
    await using model = await loadModel(orDemonstration(settings, terminal), terminal);
    const inputs = given.map((one) => toInput(one, settings.chat));
    const decoders = settings.decoders ?? decodersFor(model, inputs);
    const costs = await freshCosts(model, terminal);
    const { stop, stopIds, ignoreEos, blockSize, jacobiForm, maxNewTokens } = settings;
    const sampling = chooseSampling(settings, model.sampling);
    const { temperature, topK, topP, minP } = sampling;
    const seed = sampling.seed ?? undefined; // one seed for all decoders, or they could not agree
    const decoding = { blockSize, jacobiForm, maxNewTokens, stop, stopIds, ignoreEos };
    const shared = { ...decoding, temperature, topK, topP, minP, seed, signal: terminal.signal };
    for await (const progress of warmUp(model, inputs, decoders, shared)) terminal.progress(progress);
    const { measurements, refused } = await measureAll(model, inputs, { ...settings, decoders }, shared, terminal);
    const summaries = summarize(measurements, decoders);
    const measured = inputs.length - refused.size;
    if (measured === 0) throw new CllmError("bad-input", `none of the ${inputs.length} prompts could be measured`);
    if (!terminal.json) {
      terminal.write(describe(model, { ...settings, temperature, seed }, measured, refused.size));
      terminal.write(`\n${decoderTable(summaries, terminal.colors)}\n${costTable(costs, terminal.colors)}`);
      return;
    }
    const report = {
      model: model.name,
      precision: model.precision,
      machine: machineName(),
      prompts: measured,
      maxNewTokens,
      cost: Object.fromEntries([...costs].map(([tokens, ms]) => [tokens, round(ms)])),
      decoders: summaries.map(roundAll),
      refused: refused.size,
      commit: commitOfCheckout(),
      sampling,
      settings,
    };
    terminal.write(`${JSON.stringify(report)}\n`);
  },
});

/** Tokens of the passes whose cost is shown. One of one token is run as one of two. */
const SHOWN_SIZES: ReadonlySet<number> = new Set([2, 4, 8, 16, 32]);

/** Measured in this run: what the cache holds may be of another day. */
async function freshCosts(model: LanguageModel, { signal, progress, endProgress }: Terminal): Promise<PassCosts> {
  await using session = model.session();
  const onPass = (done: number, total: number): void =>
    progress({ stage: "calibrate", what: "cost of a pass", done, total, unit: "passes" });
  const costs = await measurePassCosts(session, { signal, onPass });
  endProgress();
  return new Map([...costs].filter(([tokens]) => SHOWN_SIZES.has(tokens)));
}

async function measureAll(
  model: LanguageModel,
  inputs: readonly MeasuredInput[],
  { decoders, runs }: { readonly decoders: readonly DecoderName[]; readonly runs: number },
  shared: SharedOptions,
  terminal: Terminal,
): Promise<{ readonly measurements: readonly Measurement[]; readonly refused: ReadonlySet<number> }> {
  const measurements: Measurement[] = [];
  const refused = new Set<number>();
  const total = inputs.length * runs * withBaseline(decoders).length;
  let done = 0;
  for await (const event of measure(model, inputs, decoders, runs, shared)) {
    if (event.kind === "generated") {
      const what = `prompt ${event.prompt + 1}, ${event.decoder}`;
      terminal.progress({ stage: "measure", what, done: ++done, total, unit: "requests" });
    } else if (event.kind === "refused") {
      refused.add(event.prompt);
      terminal.note(`prompt ${event.prompt + 1} left out: ${event.error.message}`);
    } else {
      const { decoder, prompt, matches } = event.measurement;
      measurements.push(event.measurement);
      if (!matches) terminal.note(`prompt ${prompt + 1}: ${decoder} differs from ar`);
    }
  }
  terminal.endProgress();
  return { measurements, refused };
}

/** The decoders that need no more than the model and all the prompts give. */
const decodersFor = (
  { draftModel, heads }: LanguageModel,
  inputs: readonly MeasuredInput[],
): readonly DecoderName[] => [
  ...PLAIN_DECODERS,
  ...(inputs.every(({ prediction }) => prediction !== undefined) ? (["prediction"] as const) : []),
  ...(draftModel === null ? [] : (["draft-model"] as const)),
  ...(heads > 0 ? (["medusa"] as const) : []),
];

interface Prompt {
  readonly prompt?: string | undefined;
  readonly prediction?: string | undefined;
  readonly messages?: PromptInput["messages"] | undefined;
}

const promptSchema: z.ZodType<Prompt> = z
  .object({
    prompt: z.string().min(1).optional(),
    messages: messagesSchema.optional(),
    prediction: z.string().optional(),
  })
  .refine(({ prompt, messages }) => (prompt === undefined) !== (messages === undefined), {
    message: "a JSON object with either prompt or messages",
  });

async function readPrompts({ prompts, limit }: BenchSettings, signal: AbortSignal): Promise<readonly Prompt[]> {
  const given: Prompt[] = [];
  for (const [index, line] of (await readInput(prompts, signal)).split("\n").entries()) {
    if (line.trim() === "") continue;
    if (limit !== undefined && given.length >= limit) break;
    const where = `${prompts}:${index + 1}`;
    const options = { what: where, code: "bad-input", nameOf: (key: string) => `${where}: ${key}` } as const;
    given.push(
      check(promptSchema, parseJson(line, where, { code: "bad-input", next: "give one JSON object a line" }), options),
    );
  }
  if (given.length === 0)
    throw new CllmError("bad-input", `${prompts} holds no prompts; give one JSON object per line`);
  return given;
}

function toInput({ prompt, messages, prediction }: Prompt, chat: boolean): MeasuredInput {
  if (messages !== undefined) return { messages, prediction };
  return chat ? { messages: [{ role: "user", content: prompt! }], prediction } : { prompt: prompt!, prediction };
}

function describe(
  model: LanguageModel,
  { maxNewTokens, seed, temperature, runs, blockSize }: BenchSettings,
  prompts: number,
  refused: number,
): string {
  const left = refused > 0 ? ` (${refused} left out)` : "";
  const how = temperature === 0 ? "greedy" : `temperature ${temperature}, seed ${seed}`;
  const times = runs > 1 ? `, ${runs} runs` : "";
  const size = blockSize === undefined ? "" : `, block size ${blockSize}`;
  const commit = commitOfCheckout();
  return (
    `${model.name}, ${model.precision}, ${prompts} prompts${left}, ${maxNewTokens} new tokens, ${how}${size}${times}\n` +
    `${machineName()}${commit === null ? "" : `, commit ${commit}`}\n`
  );
}

function costTable(costs: ReadonlyMap<number, number>, colors: Colors): string {
  const cells = [...costs.values()].map((ms) => ms.toFixed(1));
  return formatTable(["tokens in a pass", ...[...costs.keys()].map(String)], [["ms", ...cells]], colors);
}

const round = (value: number): number => Number(value.toPrecision(4));

/** Four digits of every figure; more would pretend. */
function roundAll(summary: DecoderSummary): object {
  const rounded = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(rounded)
      : typeof value === "number"
        ? Number.isFinite(value)
          ? round(value)
          : null
        : value;
  return Object.fromEntries(Object.entries(summary).map(([key, value]) => [key, rounded(value)]));
}
