/**
 * `cllm generate`: one prompt or conversation in, its completion out, as it comes. The text goes to standard output and
 * everything else to standard error.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import {
  type AdjustmentSettings,
  adjustmentFields,
  type DecodingSettings,
  decodingFields,
  type SamplingSettings,
  samplingFields,
} from "../../generate/options.ts";
import type { GenerateOptions, Generation, LanguageModel, PromptInput } from "../../generate/types.ts";
import type { Format } from "../../grammar/format.ts";
import { answerForm, type FormSettings, formFields } from "../answer-form.ts";
import { createAnswerView } from "../answer-view.ts";
import { type Command, type Common, defineCommand, type ModelSettings, modelFields } from "../command.ts";
import { inGroup } from "../flags.ts";
import { formatDuration, formatPasses } from "../format.ts";
import { readInput } from "../input.ts";
import { conditionsOf, GENERAL_MODEL, loadModel, orDemonstration } from "../model.ts";
import { asMessage, PROMPT_DETAILS, type PromptSettings, promptFields, readPrompt } from "../prompt.ts";
import type { Terminal } from "../terminal.ts";

interface GenerateSettings
  extends PromptSettings,
    FormSettings,
    DecodingSettings,
    SamplingSettings,
    AdjustmentSettings,
    ModelSettings {
  readonly prediction: string | undefined;
  readonly colorPasses: boolean;
  readonly stats: boolean;
}

export const generate: Command = defineCommand<GenerateSettings>({
  name: "generate",
  summary: "Continue a prompt or answer a message",
  details: PROMPT_DETAILS,
  fields: {
    ...promptFields,
    ...inGroup("Form", formFields),
    ...inGroup("Decoding", {
      ...decodingFields,
      prediction: z.string().min(1).optional().meta({
        description: "what the answer is likely to be, or @ and a file with it, which saves passes and changes no text",
        placeholder: "text",
      }),
    }),
    ...inGroup("Sampling", { ...samplingFields, ...adjustmentFields }),
    ...modelFields,
    ...inGroup("Output", {
      colorPasses: z
        .boolean()
        .default(false)
        .meta({ description: "show tokens that landed in one pass in one colour" }),
      stats: z.boolean().default(false).meta({ description: "print a line of figures on standard error at the end" }),
    }),
  },
  argument: "prompt",
  examples: [
    [
      'cllm generate "What is the name of the band with the highest fee?" --stats',
      "the model that comes with cllm, and how fast it was",
    ],
    [`cllm generate --model ${GENERAL_MODEL} "Name three prime numbers."`, "a general one"],
    ["cllm generate --raw --file story.txt --max-new-tokens 64", "continue a text"],
    ['echo "Why is the sky blue?" | cllm generate --color-passes', "colour what landed together"],
    [
      'cllm generate --json-schema person.json -n 200 "Invent a person."',
      "an answer that validates against a JSON Schema",
    ],
    [
      "cllm generate --file edit.txt --prediction @server.ts -n context",
      "a file with a few changes: what stays the same is drafted from it",
    ],
    ["cllm generate --messages chat.json --temperature 0.8 --seed 7 --json", "a conversation, sampled, as JSON"],
  ],
  unused: ({ decoder }) => ({
    ...(decoder === "ar" && { blockSize: "--decoder ar writes one token per pass" }),
    ...(decoder !== "jacobi" && { jacobiForm: "it is for --decoder jacobi" }),
  }),
  async run(settings, terminal) {
    if (settings.logprobs !== undefined && !terminal.json)
      throw new CllmError("usage", "--logprobs is part of what --json prints; give --json, too");
    const format = await answerForm(settings);
    const input = await readPrompt(settings, terminal.signal);
    await using model = await loadModel(orDemonstration(settings, terminal), terminal);
    if (settings.modelSampling) terminal.note(samplingLine(model));
    const prediction = await readPrediction(settings.prediction, terminal.signal);
    const asked = { ...asMessage(input, settings, model), prediction };
    const request = requestOf(asked, format, settings, terminal.signal);
    const generation = terminal.json
      ? await model.generate(request)
      : await writeStream(model, request, settings.colorPasses, terminal);
    if (terminal.json) terminal.write(`${JSON.stringify(report(model, generation, settings))}\n`);
    if (settings.stats) terminal.note(statsLine(generation, settings.decoder, model));
  },
});

/** A prediction as it is given: `@` stands before the name of a file, and `@@` before a text that begins with `@`. */
async function readPrediction(given: string | undefined, signal: AbortSignal): Promise<string | undefined> {
  if (given === undefined || !given.startsWith("@")) return given;
  return given.startsWith("@@") ? given.slice(1) : await readInput(given.slice(1), signal);
}

function requestOf(
  input: PromptInput & Pick<GenerateOptions, "prediction">,
  format: Format | undefined,
  settings: GenerateSettings,
  signal: AbortSignal,
): GenerateOptions {
  const { decoder, blockSize, jacobiForm, maxNewTokens, stop, stopIds, ignoreEos } = settings;
  const { temperature, topK, topP, minP, seed, modelSampling } = settings;
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, logprobs } = settings;
  const adjusting = { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, logprobs };
  const decoding = { decoder, blockSize, jacobiForm, maxNewTokens, stop, stopIds, ignoreEos };
  const sampling = { temperature, topK, topP, minP, seed, modelSampling };
  return { ...input, ...decoding, ...sampling, ...adjusting, format, signal };
}

/** What `--model-sampling` means for this model. */
function samplingLine({ name, sampling }: LanguageModel): string {
  if (sampling === null) return `${name} says nothing of sampling; what is not given is greedy`;
  const { temperature, topK, topP, minP, ignored } = sampling;
  const left = ignored.length === 0 ? "" : `; not built and ignored: ${ignored.join(", ")}`;
  return `sampling of ${name}: temperature ${temperature}, top-k ${topK}, top-p ${topP}, min-p ${minP}${left}`;
}

async function writeStream(
  model: LanguageModel,
  request: GenerateOptions,
  colorPasses: boolean,
  terminal: Terminal,
): Promise<Generation> {
  const view = createAnswerView({ colorPasses }, terminal);
  try {
    const stream = model.stream(request);
    for await (const chunk of stream) view.show(chunk);
    return await stream.result;
  } finally {
    view.end();
  }
}

/** One object with everything that is needed to repeat the run. */
function report(model: LanguageModel, generation: Generation, settings: GenerateSettings & Common): object {
  const { text, tokens, ...rest } = generation;
  const { device, deviceWhy, precision } = model;
  return {
    model: model.name,
    device,
    ...(deviceWhy !== null && { deviceWhy }),
    precision,
    text,
    tokens: [...tokens],
    ...rest,
    settings,
  };
}

function statsLine(
  { finishReason, stopReason, seed, stats }: Generation,
  decoder: string,
  model: LanguageModel,
): string {
  const { newTokens, forwards, tokensPerSecond, tokensPerForward, promptTokens, cachedTokens, prefillMs, decodeMs } =
    stats;
  const ended = stopReason === null ? "" : ` ${JSON.stringify(stopReason)}`;
  const seeded = seed === null ? "" : `; seed ${seed}`;
  const cached = cachedTokens > 0 ? `, ${cachedTokens} of them cached` : "";
  return (
    `${newTokens} tokens in ${formatDuration(decodeMs)}: ${tokensPerSecond.toFixed(1)} tokens/s, ` +
    `${tokensPerForward.toFixed(2)} tokens per pass, ${formatPasses(forwards)}; ended by ${finishReason}${ended}${seeded}; ` +
    `prompt of ${promptTokens} tokens${cached} in ${formatDuration(prefillMs)}; ${decoder} on ${model.name}, ${conditionsOf(model)}`
  );
}
