/**
 * Every option of `load` and of a request: its type, range, default and one line of help. The library checks against
 * these schemas, and the command makes its flags, its configuration file and its help from the same entries.
 */
import * as z from "zod";
import type { DraftPolicy } from "../decode/drafts.ts";
import { MOST_SUFFIX_MEGABYTES, SUFFIX_MEGABYTES } from "../decode/suffix-memory.ts";
import { ALL_PRECISIONS } from "../model/precision.ts";
import { DEFAULT_PRECISION } from "../runtime/host.ts";
import type { Tool } from "../text/tools/types.ts";
import type { Fields } from "./check.ts";
import { decoderSchema } from "./decoders.ts";
import { deviceSchema, dtypeSchema } from "./dtype.ts";
import { formatSchema } from "./format-schema.ts";
import {
  type Adjustments,
  DECODERS,
  type DecoderName,
  type GenerateOptions,
  type LoadOptions,
  type Message,
  type PromptInput,
  type Sampling,
} from "./types.ts";

export type { Fields };

/** Options after the check: everything has its value, and those in `Open`, whose default the model decides, may be undefined. */
type Checked<T, Open extends keyof T = never> = {
  readonly [K in keyof T]-?: K extends Open ? T[K] | undefined : Exclude<T[K], undefined>;
};

/** What is not given is the model's to say, or greedy, or drawn. */
export type SamplingSettings = Checked<Sampling, Exclude<keyof Sampling, "modelSampling">>;
export type AdjustmentSettings = Checked<Adjustments, "logprobs">;
export type Request = Omit<Checked<GenerateOptions, keyof PromptInput | Open>, keyof Sampling | keyof Adjustments> &
  SamplingSettings &
  AdjustmentSettings;
type Open = "promptIds" | "blockSize" | "maxNewTokens" | "format" | "prediction" | "draft" | "memoryScope" | "signal";
/** What a command can say of decoding: a decoder by its name. */
export type DecodingSettings = Omit<
  Request,
  | (keyof Sampling | keyof Adjustments | keyof PromptInput)
  | ("promptIds" | "parallelToolCalls" | "cachePrompt" | "format" | "signal" | "decoder")
  | ("prediction" | "draft" | "memoryScope")
> & {
  readonly decoder: DecoderName;
};
export type LoadSettings = Checked<
  LoadOptions,
  | (
      | "dtype"
      | "threads"
      | "contextLength"
      | "offline"
      | "revision"
      | "cacheDir"
      | "adapter"
      | "draftAdapter"
      | "draftModel"
      | "medusaHeads"
      | "ngrams"
      | "template"
      | "templateOptions"
    )
  | ("token" | "keep" | "slots" | "onProgress" | "onWarning" | "signal")
>;

const toolCallSchema = z.strictObject({
  id: z.string().min(1).max(256),
  name: z.string().min(1),
  arguments: z.record(z.string(), z.unknown()),
  argumentsText: z.string().optional(),
});

/** Their order is checked with the prompt, see `conversation.ts`. */
export const messagesSchema: z.ZodType<readonly Message[]> = z
  .array(
    z.strictObject({
      role: z.enum(["system", "user", "assistant", "tool"]),
      content: z.string(),
      toolCalls: z.array(toolCallSchema).optional(),
      toolCallId: z.string().min(1).max(256).optional(),
      reasoning: z.string().optional(),
    }),
  )
  .min(1);

const MAX_TOOLS = 128;
const TOOL_NAME = /^[\w.-]{1,128}$/;

export const toolsSchema: z.ZodType<readonly Tool[]> = z
  .array(
    z.strictObject({
      name: z.string().regex(TOOL_NAME, "up to 128 letters, digits and the signs _ - ."),
      description: z.string().optional(),
      parameters: z.record(z.string(), z.unknown()).optional(),
    }),
  )
  .max(MAX_TOOLS)
  .refine(
    (tools) => new Set(tools.map(({ name }) => name)).size === tools.length,
    "a list without two tools of one name",
  );

/** Variables of a chat template; what their values may be is checked where they enter it. */
const templateOptionsSchema: z.ZodType<Readonly<Record<string, unknown>>> = z.record(z.string(), z.unknown());

export const samplingFields: Fields<SamplingSettings> = {
  temperature: z
    .number()
    .min(0)
    .max(100)
    .optional()
    .meta({ description: "randomness of the choice; 0 is greedy, the default" }),
  topK: z
    .int()
    .min(0)
    .optional()
    .meta({ description: "keep the k likeliest tokens; 0, the default, keeps all", placeholder: "k" }),
  topP: z.number().gt(0).max(1).optional().meta({
    description: "keep the likeliest tokens that make up this share; 1, the default, keeps all",
    placeholder: "share",
  }),
  minP: z.number().min(0).max(1).optional().meta({
    description: "drop tokens below this share of the likeliest one's; 0, the default, drops none",
    placeholder: "share",
  }),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .optional()
    .meta({ description: "same seed, same text, in every decoder; default: one is drawn, and said" }),
  modelSampling: z
    .boolean()
    .default(false)
    .meta({ description: "sample as the model's generation_config.json says where nothing else is given" }),
};

const bias: z.ZodType<Readonly<Record<string, number>>> = z.record(
  z.string().regex(/^\d+$/, "a token id"),
  z.number().min(-1000).max(1000),
);

export const adjustmentFields: Fields<AdjustmentSettings> = {
  repetitionPenalty: z
    .number()
    .gt(0)
    .max(100)
    .default(1)
    .meta({ description: "make tokens of prompt and answer less likely; 1 changes nothing" }),
  presencePenalty: z
    .number()
    .min(-100)
    .max(100)
    .default(0)
    .meta({ description: "taken once off the logits of tokens that the answer has" }),
  frequencyPenalty: z
    .number()
    .min(-100)
    .max(100)
    .default(0)
    .meta({ description: "taken off the logits of a token for each time that the answer has it" }),
  logitBias: bias.default({}).meta({
    description: "added to the logit of a token id, such as 42=-100; may be repeated",
    placeholder: "id=bias",
  }),
  logprobs: z
    .int()
    .min(0)
    .max(20)
    .optional()
    .meta({ description: "with --json: how likely each token was, and so many of the likeliest", placeholder: "n" }),
};

export const decodingFields: Fields<DecodingSettings> = {
  decoder: z.enum(DECODERS).default("auto").meta({ description: "how to decode; all give the same tokens" }),
  blockSize: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .meta({ description: "tokens solved for together; default: 16, for auto at most 32", placeholder: "tokens" }),
  jacobiForm: z
    .enum(["window", "block"])
    .default("window")
    .meta({ description: "jacobi: a sliding window of guesses, or one block after the other" }),
  maxNewTokens: z
    .union([z.int().min(1), z.literal("context")], "a whole number of at least 1, or context")
    .optional()
    .meta({
      description: "most tokens to write, or context for all that the context leaves; default: 256, or what it leaves",
      placeholder: "tokens",
      short: "n",
    }),
  stop: z
    .array(z.string().min(1))
    .default([])
    .meta({ description: "end the text before this string; may be repeated", placeholder: "text" }),
  stopIds: z
    .array(z.int().min(0))
    .default([])
    .meta({ description: "end the text at these token ids, beside the model's own", placeholder: "ids" }),
  ignoreEos: z.boolean().default(false).meta({ description: "write on past the model's end of sequence" }),
};

const requestFields: Fields<Request> = {
  prompt: z.string().optional(),
  messages: messagesSchema.optional(),
  templateOptions: templateOptionsSchema.optional(),
  continueFinalMessage: z.boolean().optional(),
  addGenerationPrompt: z.boolean().optional(),
  tools: toolsSchema.optional(),
  toolChoice: z
    .union(
      [z.enum(["auto", "none", "required"]), z.strictObject({ name: z.string() })],
      "auto, none, required or { name } of a tool",
    )
    .optional(),
  promptIds: z.instanceof(Int32Array).optional(),
  ...decodingFields,
  decoder: decoderSchema.default("auto"),
  ...samplingFields,
  parallelToolCalls: z.boolean().default(true),
  ...adjustmentFields,
  format: formatSchema.optional(),
  cachePrompt: z.boolean().default(true),
  prediction: z.string().optional(),
  draft: z.custom<DraftPolicy>((value) => typeof value === "function", "a function that opens a draft").optional(),
  memoryScope: z.string().max(256).optional(),
  signal: z.instanceof(AbortSignal).optional(),
};

/** A request, checked for form. What depends on the model (ids, context length) is checked against the model. */
export const requestSchema: z.ZodType<Request> = z.strictObject(requestFields);

export const loadFields: Fields<
  Omit<LoadSettings, "token" | "keep" | "slots" | "onProgress" | "onWarning" | "signal">
> = {
  precision: z.enum(ALL_PRECISIONS).default(DEFAULT_PRECISION).meta({
    description: "arithmetic: fp32 exact, int8 fast and faithful, int4 small, stored as in the GGUF file, f16 on GPUs",
  }),
  dtype: dtypeSchema.optional(),
  device: deviceSchema.default("cpu"),
  threads: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .meta({ description: "threads of ONNX Runtime; default: the machine's cores, at most 8", placeholder: "n" }),
  contextLength: z.int().min(1).optional().meta({
    description: "most tokens of prompt and answer together; beyond the original length of LongRoPE only if given",
    placeholder: "tokens",
  }),
  offline: z.boolean().optional().meta({ description: "never touch the network" }),
  revision: z.string().min(1).optional().meta({ description: "branch, tag or commit of a hub repository" }),
  cacheDir: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "where downloads, prepared models and calibrations are kept", placeholder: "folder" }),
  cache: z
    .boolean()
    .default(true)
    .meta({ description: "prepare the model in memory each time, and keep nothing of it" }),
  cacheLimit: z
    .number()
    .min(0)
    .default(20)
    .meta({ description: "gigabytes that prepared models may take", placeholder: "GB" }),
  adapter: z.string().min(1).optional().meta({
    description:
      "PEFT directory of a low-rank adapter to merge into the model, or in a checkout the name of one of adapters/",
    placeholder: "folder",
  }),
  draftAdapter: z.string().min(1).optional().meta({
    description:
      "draft adapter that guesses what the model then decides, so that the text stays as it is; folder or name",
    placeholder: "folder",
  }),
  draftModel: z.string().min(1).optional().meta({
    description: "smaller model with the same vocabulary that guesses what the model then checks: path or hub id",
    placeholder: "model",
  }),
  medusaHeads: z.string().min(1).optional().meta({
    description: "folder of Medusa heads, which guess for the decoders medusa and auto; they change no text",
    placeholder: "folder",
  }),
  ngrams: z.string().min(1).optional().meta({
    description:
      "folder that cllm ngrams wrote: what follows what in the model's answers, which auto and suffix draft from",
    placeholder: "folder",
  }),
  suffixMemory: z.number().min(0).max(MOST_SUFFIX_MEGABYTES).default(SUFFIX_MEGABYTES).meta({
    description: "megabytes for earlier answers, which auto and suffix draft from; 0 keeps none",
    placeholder: "MB",
  }),
  template: z.string().min(1).optional().meta({
    description: "which of the model's named chat templates; default: the one named default",
    placeholder: "name",
  }),
  templateOptions: templateOptionsSchema.optional().meta({
    description: "a variable of the chat template, such as enable_thinking=false; may be repeated",
    placeholder: "name=value",
    flag: "--template-option",
  }),
};

const allLoadFields: Fields<LoadSettings> = {
  ...loadFields,
  token: z.string().min(1).optional(),
  keep: z.int().min(0).max(1024).optional(),
  slots: z.int().min(1).max(64).optional(),
  onProgress: z
    .custom<NonNullable<LoadOptions["onProgress"]>>((value) => typeof value === "function", "a function")
    .optional(),
  onWarning: z
    .custom<NonNullable<LoadOptions["onWarning"]>>((value) => typeof value === "function", "a function")
    .optional(),
  signal: z.instanceof(AbortSignal).optional(),
};

/** The options of `load`, checked for form. */
export const loadSchema: z.ZodType<LoadSettings> = z.strictObject(allLoadFields);
