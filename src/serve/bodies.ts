/**
 * The bodies of requests: OpenAI's fields, checked, as requests of the library. A field that is not known, or that asks for
 * what is not built, is an error that names it; one that asks for nothing (null, or its neutral value) is let pass.
 * snake_case ends here. Knows no model and no HTTP.
 */
import { randomInt } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import * as z from "zod";
import { CllmError } from "../error.ts";
import { check } from "../generate/check.ts";
import { decodingFields, samplingFields } from "../generate/options.ts";
import { DECODERS, type Message } from "../generate/types.ts";
import type { ServedRequest } from "./backend.ts";
import { RequestError } from "./http-error.ts";

/** What a body asks for. */
export interface Asked {
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly includePasses: boolean;
  /** Who asks, where the client says so: its requests wait behind one another. */
  readonly user: string | null;
  /** The seed of the first choice where tokens are sampled. */
  readonly seed: number | null;
  /** One for each choice, in order. */
  readonly requests: readonly ServedRequest[];
}

/** Most answers to one request. */
export const MAX_CHOICES = 16;
const MAX_STOPS = 16;
const SEEDS = 2 ** 32;

/** A field that may only be there where it asks for nothing. */
function neutral(instead: string, ...values: readonly unknown[]): z.ZodOptional<z.ZodUnknown> {
  const asksForNothing = (value: unknown): boolean =>
    value === null || value === undefined || values.some((allowed) => isDeepStrictEqual(value, allowed));
  return z
    .unknown()
    .refine(asksForNothing, `left out: ${instead}`)
    .optional() as unknown as z.ZodOptional<z.ZodUnknown>;
}

const noTools = "the models here write text and call nothing";
const noLogprobs = "log probabilities are not given";
const noPenalty = "penalties are not built";
const noBias = "a bias is not built";
const noStore = "nothing is stored";

const stopString = z.string().min(1);
const sharedFields = {
  model: z.string().min(1),
  max_tokens: z.int().min(1).nullish(),
  stop: z
    .union([stopString, z.array(stopString).max(MAX_STOPS)], `a text or a list of up to ${MAX_STOPS}, none empty`)
    .nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  seed: (samplingFields.seed as z.ZodType<number>).nullish(),
  n: z.int().min(1).max(MAX_CHOICES).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().nullish(), include_passes: z.boolean().nullish() })
    .nullish(),
  user: z.string().max(256).nullish(),
  decoder: z.enum(DECODERS).nullish(),
  block_size: (decodingFields.blockSize as z.ZodType<number | undefined>).nullish(),
  frequency_penalty: neutral(noPenalty, 0),
  presence_penalty: neutral(noPenalty, 0),
  logit_bias: neutral(noBias, {}),
};

const textPart = z.strictObject({ type: z.enum(["text"]), text: z.string() });
const messageSchema = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant"]),
  content: z.union([z.string(), z.array(textPart).min(1)], "a text, or a list of parts of type text"),
  refusal: neutral("the models here do not refuse"), // answers carry it, and come back as messages
});

const chatSchema = z.strictObject({
  ...sharedFields,
  messages: z.array(messageSchema).min(1),
  max_completion_tokens: z.int().min(1).nullish(),
  response_format: neutral("answers are text; json_object and json_schema are not built", { type: "text" }),
  logprobs: neutral(noLogprobs, false),
  top_logprobs: neutral(noLogprobs, 0),
  tools: neutral(noTools, []),
  tool_choice: neutral(noTools, "none", "auto"),
  parallel_tool_calls: neutral(noTools, false, true),
  functions: neutral(noTools, []),
  function_call: neutral(noTools, "none", "auto"),
  modalities: neutral("answers are text", ["text"]),
  audio: neutral("answers are text"),
  prediction: neutral("drafts come from the decoder"),
  reasoning_effort: neutral("the models here do not reason apart from their answer", "none"),
  verbosity: neutral("ask for it in the messages"),
  web_search_options: neutral("the models here search nothing"),
  store: neutral(noStore, false),
  metadata: neutral(noStore),
  service_tier: neutral("there is one", "auto", "default"),
});

const completionSchema = z.strictObject({
  ...sharedFields,
  prompt: z.union(
    [z.string(), z.array(z.string()).min(1).max(MAX_CHOICES)],
    `a text or a list of up to ${MAX_CHOICES}; token ids are not taken`,
  ),
  echo: neutral("put the prompt before the answer yourself", false),
  suffix: neutral("text is not filled in", ""),
  best_of: neutral("ask for several with n", 1),
  logprobs: neutral(noLogprobs, 0, false),
});

type Shared = z.output<z.ZodObject<typeof sharedFields>>;

export function readChatBody(body: unknown): Asked {
  const chat = read(chatSchema, body);
  const { max_tokens, max_completion_tokens } = chat;
  if (max_tokens != null && max_completion_tokens != null && max_tokens !== max_completion_tokens) {
    const both = `${max_tokens} and ${max_completion_tokens}`;
    throw refusal("max_tokens", `max_tokens and max_completion_tokens are both given, ${both}; give one`);
  }
  const messages = chat.messages.map(({ role, content }): Message => {
    const text = typeof content === "string" ? content : content.map((part) => part.text).join("");
    return { role: role === "developer" ? "system" : role, content: text };
  });
  return asked(chat, max_completion_tokens ?? max_tokens, [{ messages }]);
}

export function readCompletionBody(body: unknown): Asked {
  const completion = read(completionSchema, body);
  const { prompt } = completion;
  const prompts = typeof prompt === "string" ? [prompt] : prompt;
  return asked(
    completion,
    completion.max_tokens,
    prompts.map((text) => ({ prompt: text })),
  );
}

/** Checks a body; the error names the field as OpenAI's do. */
function read<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  try {
    return check(schema, body, { what: "the request" });
  } catch (error) {
    if (!(error instanceof CllmError)) throw error;
    const issue = schema.safeParse(body).error?.issues[0];
    const path = [...(issue?.path ?? []), ...(issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [])];
    throw refusal(path.length === 0 ? null : path.map(String).join("."), error.message);
  }
}

function asked(shared: Shared, maxTokens: number | null | undefined, inputs: readonly ServedRequest[]): Asked {
  const { stream, stream_options: options, n, temperature, seed: givenSeed } = shared;
  const choices = n ?? 1;
  if (options != null && stream !== true)
    throw refusal("stream_options", "stream_options is given without stream: true");
  if (choices * inputs.length > MAX_CHOICES) {
    const product = `${choices} answers to each of ${inputs.length} prompts`;
    throw refusal("n", `n: ${product} are more than ${MAX_CHOICES}; ask for fewer at a time`);
  }
  const includePasses = options?.include_passes ?? false;
  const seed = (temperature ?? 0) === 0 ? null : (givenSeed ?? randomInt(SEEDS));
  const common: ServedRequest = {
    maxNewTokens: maxTokens ?? undefined,
    stop: typeof shared.stop === "string" ? [shared.stop] : (shared.stop ?? undefined),
    temperature: temperature ?? undefined,
    topP: shared.top_p ?? undefined,
    topK: shared.top_k ?? undefined,
    minP: shared.min_p ?? undefined,
    decoder: shared.decoder ?? undefined,
    blockSize: shared.block_size ?? undefined,
    passes: includePasses,
  };
  const requests = inputs.flatMap((input) =>
    Array.from({ length: choices }, (_, i) => ({
      ...input,
      ...common,
      ...(seed !== null && { seed: (seed + i) % SEEDS }),
    })),
  );
  const includeUsage = options?.include_usage ?? false;
  return {
    model: shared.model,
    stream: stream ?? false,
    includeUsage,
    includePasses,
    user: shared.user ?? null,
    seed,
    requests,
  };
}

function refusal(param: string | null, message: string): RequestError {
  return new RequestError("usage", message, { param });
}
