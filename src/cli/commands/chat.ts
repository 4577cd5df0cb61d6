/**
 * `cllm chat`: a conversation in the terminal. Answers come as they are written, in a colour for each pass; Ctrl-C stops an answer.
 * Piped input works too, a message a line. Answers go to standard output and everything else to standard error.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import {
  type DecodingSettings,
  decodingFields,
  type SamplingSettings,
  samplingFields,
} from "../../generate/options.ts";
import type { GenerateOptions, Generation, LanguageModel, Stats } from "../../generate/types.ts";
import { createAnswerView } from "../answer-view.ts";
import { openChatInput } from "../chat/input.ts";
import { completions, runSlash } from "../chat/slash.ts";
import { allMessages, loadTalk, type Talk } from "../chat/talk.ts";
import { type Command, defineCommand, type ModelSettings, modelFields } from "../command.ts";
import { inGroup } from "../flags.ts";
import { formatDuration } from "../format.ts";
import { GENERAL_MODEL, loadModel } from "../model.ts";
import { formatError, type Terminal } from "../terminal.ts";

interface ChatSettings extends DecodingSettings, SamplingSettings, ModelSettings {
  readonly system: string | undefined;
  readonly load: string | undefined;
  readonly colorPasses: boolean;
  readonly stats: boolean;
}

/** A request without its messages. */
type Asked = Omit<GenerateOptions, "messages" | "prompt">;

export const chat: Command = defineCommand<ChatSettings>({
  name: "chat",
  summary: "Talk with a model in the terminal",
  details:
    'Each line is a message. A line that ends with \\ goes on, and """ opens a message of several lines. /help lists the commands. ' +
    "Ctrl-C stops an answer. Without a terminal, messages come from standard input, one a line.",
  fields: {
    ...inGroup("Conversation", {
      system: z.string().min(1).optional().meta({ description: "who the model is, as its system message" }),
      load: z.string().min(1).optional().meta({
        description: "go on with a conversation that /save wrote",
        placeholder: "file",
      }),
    }),
    ...inGroup("Decoding", decodingFields),
    ...inGroup("Sampling", samplingFields),
    ...modelFields,
    ...inGroup("Output", {
      colorPasses: z.boolean().default(true).meta({ description: "no colours for tokens that landed in one pass" }),
      stats: z.boolean().default(true).meta({ description: "no line of figures after each answer" }),
    }),
  },
  examples: [
    [`cllm chat --model ${GENERAL_MODEL}`, "talk"],
    [`cllm chat --model ${GENERAL_MODEL} --system "Answer in one sentence." --temperature 0.7`, "with a role, sampled"],
    [`printf "Hello.\\nWhat did I say?\\n" | cllm chat --model ${GENERAL_MODEL} --quiet`, "two messages from a pipe"],
  ],
  unused: ({ decoder }) => ({
    ...(decoder === "ar" && { blockSize: "--decoder ar writes one token per pass" }),
    ...(decoder !== "jacobi" && { jacobiForm: "it is for --decoder jacobi" }),
  }),
  async run(settings, terminal) {
    const talk: Talk = { system: settings.system ?? null, messages: [], decoder: settings.decoder };
    if (settings.load !== undefined) {
      await loadTalk(talk, settings.load);
      if (settings.system !== undefined) talk.system = settings.system;
    }
    await using model = await loadModel(settings, terminal);
    if (!model.hasChatTemplate)
      throw new CllmError(
        "unsupported",
        `${model.name} has no chat template, so it continues texts only; give cllm generate a prompt`,
      );
    await converse(model, talk, settings, terminal);
  },
});

async function converse(
  model: LanguageModel,
  talk: Talk,
  settings: ChatSettings & { readonly json: boolean },
  terminal: Terminal,
): Promise<void> {
  const { colors, signal, note } = terminal;
  await using input = openChatInput({
    stdin: process.stdin,
    output: process.stdout,
    prompts: [colors.bold("› "), colors.dim("… ")],
    complete: completions,
    signal,
  });
  if (input.interactive) note(`${model.name}, ${model.precision}; /help lists the commands, Ctrl-D ends`);
  let interrupted = false;
  for (let typed = await input.read(); typed !== null; typed = await input.read()) {
    if ("interrupt" in typed) {
      if (interrupted) break;
      interrupted = true;
      terminal.write("\n");
      note("Ctrl-C again ends; /help lists the commands");
      continue;
    }
    interrupted = false;
    if (typed.message.trim() === "") continue;
    try {
      if (typed.message.startsWith("/")) {
        const { lines = [], again = false, quit = false } = await runSlash(typed.message, talk);
        for (const line of lines) input.interactive ? terminal.write(`${colors.dim(line)}\n`) : note(line);
        if (quit) break;
        if (!again) continue;
      } else talk.messages.push({ role: "user", content: typed.message });
      const stop = new AbortController();
      const ready = input.busy(() => stop.abort());
      try {
        await answer(model, talk, settings, AbortSignal.any([signal, stop.signal]), terminal);
      } finally {
        ready();
      }
      if (input.interactive) terminal.write("\n");
    } catch (error) {
      if (signal.aborted || !(error instanceof CllmError) || !input.interactive) throw error;
      process.stderr.write(`${colors.yellow(formatError(error, false))}\n`);
    }
  }
  if (input.interactive) terminal.write("\n");
}

/** Asks the model and keeps what it says, also where it was stopped. A message that could not be answered is taken back. */
async function answer(
  model: LanguageModel,
  talk: Talk,
  settings: ChatSettings & { readonly json: boolean },
  signal: AbortSignal,
  terminal: Terminal,
): Promise<void> {
  const stream = model.stream({ ...requestOf(talk, settings), messages: allMessages(talk), signal });
  const view = createAnswerView({ colorPasses: settings.colorPasses, silent: settings.json }, terminal);
  try {
    for await (const chunk of stream) view.show(chunk);
    const generation = await stream.result;
    view.end();
    talk.messages.push({ role: "assistant", content: generation.text });
    if (settings.json) terminal.write(`${JSON.stringify(reportOf(generation))}\n`);
    else if (settings.stats) terminal.note(statsLine(generation, talk.decoder));
  } catch (error) {
    view.end();
    if (!(error instanceof CllmError) || error.code !== "aborted" || terminal.signal.aborted) {
      talk.messages.pop();
      throw error;
    }
    if (view.text === "") talk.messages.pop();
    else talk.messages.push({ role: "assistant", content: view.text });
    terminal.note(view.text === "" ? "stopped; the message is taken back" : "stopped");
  }
}

function requestOf({ decoder }: Talk, settings: ChatSettings): Asked {
  const { blockSize, jacobiForm, maxNewTokens = "context", stop, stopIds, ignoreEos } = settings;
  const { temperature, topK, topP, minP, seed, modelSampling } = settings;
  const decoding = { decoder, blockSize, jacobiForm, maxNewTokens, stop, stopIds, ignoreEos };
  return { ...decoding, temperature, topK, topP, minP, seed, modelSampling };
}

function reportOf({ text, reasoning, finishReason, stopReason, seed, stats }: Generation): object {
  return { text, reasoning, finishReason, stopReason, seed, stats };
}

function statsLine({ finishReason, seed, stats }: Generation, decoder: string): string {
  const { newTokens, tokensPerSecond, tokensPerForward, promptTokens, cachedTokens, decodeMs, prefillMs }: Stats =
    stats;
  return [
    `${newTokens} tokens in ${formatDuration(prefillMs + decodeMs)}`,
    `${tokensPerSecond.toFixed(1)} tokens/s`,
    `${tokensPerForward.toFixed(2)} per pass`,
    `prompt of ${promptTokens}, ${cachedTokens} cached`,
    decoder,
    ...(seed === null ? [] : [`seed ${seed}`]),
    ...(finishReason === "length" ? ["cut by the budget"] : []),
  ].join(" · ");
}
