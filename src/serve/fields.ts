/**
 * The fields of request bodies, as OpenAI and the servers beside it name them. A field is honoured, or it may be there as long as
 * it asks for nothing: null, empty, or the value that means the same as none. What would change the answer and is not built
 * is refused by name; all others are ignored, or refused where the server is strict. Knows no model and no HTTP.
 */
import { isDeepStrictEqual } from "node:util";
import * as z from "zod";
import { decoderSchema } from "../generate/decoders.ts";
import { decodingFields } from "../generate/options.ts";
import type { GenerateOptions } from "../generate/types.ts";

/** Most answers to one request. */
export const MAX_CHOICES = 16;
const MAX_STOPS = 16;
export const SEEDS: number = 2 ** 32;

/** A field that may be missing or null. */
type Maybe<T> = T | null | undefined;

export type JsonSchema = Readonly<Record<string, unknown>> | boolean;

export type ResponseFormat =
  | { readonly type: "text" }
  | { readonly type: "json_object"; readonly schema?: Maybe<JsonSchema> }
  | {
      readonly type: "json_schema";
      readonly json_schema: { readonly schema: JsonSchema; readonly strict?: Maybe<boolean> };
    };

/** The honoured fields that all bodies have. */
export interface SharedBody {
  readonly model: string;
  readonly max_tokens?: Maybe<number>;
  readonly stop?: Maybe<string | readonly string[]>;
  readonly stop_token_ids?: Maybe<readonly number[]>;
  readonly ignore_eos?: Maybe<boolean>;
  readonly temperature?: Maybe<number>;
  readonly top_p?: Maybe<number>;
  readonly top_k?: Maybe<number>;
  readonly min_p?: Maybe<number>;
  readonly seed?: Maybe<number>;
  readonly n?: Maybe<number>;
  readonly stream?: Maybe<boolean>;
  readonly stream_options?: Maybe<{
    readonly include_usage?: Maybe<boolean>;
    readonly include_passes?: Maybe<boolean>;
  }>;
  readonly frequency_penalty?: Maybe<number>;
  readonly presence_penalty?: Maybe<number>;
  readonly repetition_penalty?: Maybe<number>;
  readonly repeat_penalty?: Maybe<number>;
  readonly logit_bias?: Maybe<Readonly<Record<string, number>>>;
  readonly response_format?: Maybe<ResponseFormat>;
  readonly guided_json?: Maybe<JsonSchema | string>;
  readonly guided_regex?: Maybe<string>;
  readonly guided_choice?: Maybe<readonly string[]>;
  readonly guided_grammar?: Maybe<string>;
  readonly structured_outputs?: Maybe<{
    readonly json?: Maybe<JsonSchema | string>;
    readonly regex?: Maybe<string>;
    readonly choice?: Maybe<readonly string[]>;
    readonly grammar?: Maybe<string>;
  }>;
  readonly json_schema?: Maybe<JsonSchema>;
  readonly grammar?: Maybe<string>;
  readonly user?: Maybe<string>;
  readonly decoder?: Maybe<GenerateOptions["decoder"]>;
  readonly block_size?: Maybe<number>;
  readonly prediction?: Maybe<{
    readonly type: "content";
    readonly content: string | readonly { readonly text: string }[];
  }>;
}

export interface ChatBody extends SharedBody {
  readonly messages: readonly {
    readonly role: "system" | "developer" | "user" | "assistant" | "tool";
    readonly content?: Maybe<string | readonly { readonly text: string }[]>;
    readonly tool_calls?: Maybe<readonly WireCall[]>;
    readonly tool_call_id?: string;
    readonly reasoning_content?: Maybe<string>;
    readonly reasoning?: Maybe<string>;
  }[];
  readonly tools?: Maybe<readonly WireTool[]>;
  readonly tool_choice?: Maybe<
    "auto" | "none" | "required" | { readonly type: "function"; readonly function: { readonly name: string } }
  >;
  readonly parallel_tool_calls?: Maybe<boolean>;
  readonly documents?: Maybe<readonly object[]>;
  readonly logprobs?: Maybe<boolean>;
  readonly top_logprobs?: Maybe<number>;
  readonly max_completion_tokens?: Maybe<number>;
  readonly chat_template_kwargs?: Maybe<Readonly<Record<string, unknown>>>;
  readonly continue_final_message?: Maybe<boolean>;
  readonly add_generation_prompt?: Maybe<boolean>;
}

/** A tool as OpenAI has it. */
export interface WireTool {
  readonly function: {
    readonly name: string;
    readonly description?: Maybe<string>;
    readonly parameters?: Maybe<Readonly<Record<string, unknown>>>;
  };
}

/** A call as OpenAI has it: the arguments are JSON text. */
export interface WireCall {
  readonly id: string;
  readonly function: { readonly name: string; readonly arguments: string };
}

export interface CompletionBody extends SharedBody {
  readonly prompt: string | readonly string[];
  readonly logprobs?: Maybe<number>;
}

type Optional = z.ZodOptional<z.ZodUnknown>;
const NOTHING: readonly unknown[] = [null, undefined, "", [], {}];

/** A field that may only be there where it asks for nothing: also by one of `values`. */
function neutral(instead: string, ...values: readonly unknown[]): Optional {
  const asksForNothing = (value: unknown): boolean =>
    [...NOTHING, ...values].some((allowed) => isDeepStrictEqual(value, allowed));
  const field = z.unknown().refine(asksForNothing, `left out: ${instead}`).optional();
  return field.meta({ description: instead, asksForNothing: values }) as unknown as Optional;
}

/** A honoured field, which may be null; what it does is said for the documentation. */
function taken<S extends z.ZodType>(schema: S, description: string): z.ZodOptional<z.ZodNullable<S>> {
  return schema.nullish().meta({ description });
}

const functions = "give tools and tool_choice, which replaced it";
const promptLogprobs = "log probabilities are those of answers; ask for logprobs";
const sampler = "samplers are temperature, top_p, top_k and min_p";
const search = "ask for several answers with n";
const template = "the model's own template is used; name another one when the server is started";

const unsupportedFields = {
  length_penalty: neutral("it belongs to beam search, which is not built", 1),
  allowed_token_ids: neutral("give logit_bias"),
  bad_words: neutral("give logit_bias"),
  typical_p: neutral(sampler, 1),
  tfs_z: neutral(sampler, 1),
  mirostat: neutral(sampler, 0),
  dry_multiplier: neutral(sampler, 0),
  xtc_probability: neutral(sampler, 0),
  min_tokens: neutral("give ignore_eos to write on", 0),
  best_of: neutral(search, 1),
  use_beam_search: neutral(search, false),
  prompt_logprobs: neutral(promptLogprobs, 0),
  n_probs: neutral(promptLogprobs, 0),
  echo: neutral("put the prompt before the answer yourself", false),
  include_stop_str_in_output: neutral("stop strings are never part of the text", false),
  skip_special_tokens: neutral("special tokens are never part of the text", true),
  truncate_prompt_tokens: neutral("prompts are never cut", -1),
  chat_template: neutral(template),
};

const responseFormat = z.discriminatedUnion(
  "type",
  [
    z.object({ type: z.literal("text") }),
    z.object({ type: z.literal("json_object"), schema: z.record(z.string(), z.unknown()).nullish() }),
    z.object({
      type: z.literal("json_schema"),
      json_schema: z.object({
        name: z.string().nullish(),
        description: z.string().nullish(),
        schema: z.union([z.record(z.string(), z.unknown()), z.boolean()], "a JSON schema"),
        strict: z.boolean().nullish(),
      }),
    }),
  ],
  "one of text, json_object, json_schema",
);

const stopString = z.string().min(1);
const tokens = z.union([z.int().min(1), z.literal(-1)], "at least 1, or -1 for all that the context leaves");
const seed = z
  .int()
  .min(-1)
  .max(SEEDS - 1);

const penalty = z.number().min(-2).max(2);
const MAX_FORM = 1 << 20; // characters
const schema = z.union([z.record(z.string(), z.unknown()), z.boolean()], "a JSON schema");
const formatFields = {
  response_format: taken(responseFormat, "the answer's form: `text`, `json_object`, or `json_schema` with its schema"),
  guided_json: taken(
    z.union([schema, z.string().max(MAX_FORM)]),
    "a JSON schema that the answer has, as vLLM names it",
  ),
  guided_regex: taken(z.string().max(MAX_FORM), "a regular expression that the answer matches"),
  guided_choice: taken(z.array(z.string().min(1)).max(1024), "texts of which the answer is one"),
  guided_grammar: taken(z.string().max(MAX_FORM), "a grammar in EBNF (GBNF), from its rule root on"),
  structured_outputs: taken(
    z.object({
      json: z.union([schema, z.string().max(MAX_FORM)]).nullish(),
      regex: z.string().max(MAX_FORM).nullish(),
      choice: z.array(z.string().min(1)).max(1024).nullish(),
      grammar: z.string().max(MAX_FORM).nullish(),
    }),
    "the same four, by `json`, `regex`, `choice` and `grammar`",
  ),
  json_schema: taken(schema, "a JSON schema that the answer has, as llama.cpp names it"),
  grammar: taken(z.string().max(MAX_FORM), "a grammar, as llama.cpp names it"),
};

const textPart = z.object({ type: z.enum(["text"]), text: z.string() });
const content = z.union([z.string(), z.array(textPart).min(1)], "a text, or a list of parts of type text");

const sharedFields = {
  model: z.string().min(1).meta({ description: "one of `GET /v1/models`" }),
  max_tokens: taken(tokens, "most tokens of the answer; default, as -1: all that the context leaves"),
  stop: taken(
    z.union([stopString, z.array(stopString).max(MAX_STOPS)], `a text or a list of up to ${MAX_STOPS}, none empty`),
    "texts that end the answer; they are not part of it",
  ),
  stop_token_ids: taken(z.array(z.int().min(0)).max(MAX_STOPS), "token ids that end the answer"),
  ignore_eos: taken(z.boolean(), "write on past the model's end of sequence"),
  temperature: taken(z.number().min(0).max(2), "0, the default, is greedy"),
  top_p: taken(z.number().gt(0).max(1), "keep the likeliest tokens that make up this share"),
  top_k: taken(z.int().min(-1), "keep the k likeliest tokens; 0 and -1 keep all"),
  min_p: taken(z.number().min(0).max(1), "drop tokens below this share of the likeliest one's"),
  seed: taken(seed, "same seed, same text; without one, or with -1, one is drawn, and `cllm.seed` says which"),
  n: taken(z.int().min(1).max(MAX_CHOICES), "answers to each prompt"),
  stream: taken(z.boolean(), "send the answer as events while it is written"),
  stream_options: taken(
    z.object({
      include_usage: z.boolean().nullish(),
      include_passes: z.boolean().nullish(),
      include_obfuscation: z.boolean().nullish(), // which would only hide lengths from eavesdroppers
    }),
    "`include_usage` adds a last event with `usage`, `include_passes` an event for each pass",
  ),
  frequency_penalty: taken(penalty, "taken off a token's logit for each time that the answer has it"),
  presence_penalty: taken(penalty, "taken once off the logits of tokens that the answer has"),
  repetition_penalty: taken(z.number().gt(0).max(100), "over 1 makes tokens of prompt and answer less likely"),
  repeat_penalty: taken(z.number().gt(0).max(100), "another name of `repetition_penalty`"),
  logit_bias: taken(
    z.record(z.string().regex(/^\d+$/, "token ids as keys"), z.number().min(-100).max(100)),
    "added to the logits of token ids",
  ),
  ...formatFields,
  user: taken(z.string().max(256), "who asks: requests of one user wait behind one another"),
  decoder: taken(decoderSchema, "how to decode; all write the same text"),
  block_size: taken(decodingFields.blockSize as z.ZodType<number | undefined>, "tokens solved for together"),
  prediction: taken(
    z.object({ type: z.enum(["content"]), content }),
    "what the answer is likely to be, as `content`: drafts come from it, and no text depends on it",
  ),
  ...unsupportedFields,
};

/** What answers carry comes back as messages. */
const messageFields = {
  refusal: neutral("the models here do not refuse"),
  function_call: neutral(functions),
  audio: neutral("answers are text"),
};
const toolCall = z.object({
  id: z.string().min(1).max(256),
  type: z.enum(["function"]).optional(),
  index: z.int().optional(),
  function: z.object({ name: z.string().min(1), arguments: z.string() }),
});
const message = z.discriminatedUnion(
  "role",
  [
    z.object({
      role: z.literal("assistant"),
      content: content.nullish(),
      tool_calls: z.array(toolCall).nullish(),
      reasoning_content: z.string().nullish(),
      reasoning: z.string().nullish(),
      ...messageFields,
    }),
    z.object({
      role: z.literal("tool"),
      content,
      name: z.string().nullish(),
      tool_call_id: z.string().min(1),
      ...messageFields,
    }),
    z.object({
      role: z.enum(["system", "developer", "user"]),
      content,
      tool_calls: z.array(z.never(), "left out: only the assistant calls").nullish(),
      ...messageFields,
    }),
  ],
  "one of system, developer, user, assistant, tool",
);

const MAX_DEPTH = 16;
/** Variables of a template: objects in objects, but not without end. */
const variables = z
  .record(z.string(), z.unknown())
  .refine((value) => isAtMost(value, MAX_DEPTH), `an object of at most ${MAX_DEPTH} levels`);

function isAtMost(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((each) => isAtMost(each, depth - 1));
}

const MAX_TOOLS = 128;
const tool = z.object({
  type: z.enum(["function"]),
  function: z.object({
    name: z.string(), // what it may be is the library's to say
    description: z.string().nullish(),
    parameters: variables.nullish(),
    strict: z.boolean().nullish(),
  }),
});

export const chatSchema: z.ZodType<ChatBody> = z.object({
  ...sharedFields,
  messages: z.array(message).min(1).meta({
    description: "roles system, developer, user, assistant and tool; contents are texts, or lists of text parts",
  }),
  max_completion_tokens: taken(tokens, "another name of `max_tokens`"),
  chat_template_kwargs: taken(variables, "variables of the chat template"),
  continue_final_message: taken(z.boolean(), "go on with the last message; default: where it is the assistant's"),
  add_generation_prompt: taken(z.boolean(), "open the assistant's turn after the messages"),
  logprobs: taken(z.boolean(), "say how likely each token was"),
  top_logprobs: taken(z.int().min(0).max(20), "with `logprobs`: so many of the likeliest tokens in each place"),
  tools: taken(z.array(tool).max(MAX_TOOLS), "functions that the model may call"),
  tool_choice: taken(
    z.union(
      [
        z.enum(["auto", "none", "required"]),
        z.object({ type: z.enum(["function"]), function: z.object({ name: z.string() }) }),
      ],
      'auto, none, required, or { type: "function", function: { name } }',
    ),
    "whether the model may call tools or has to, or which one; default: `auto`",
  ),
  parallel_tool_calls: taken(z.boolean(), "false ends the answer with its first call"),
  documents: taken(z.array(z.record(z.string(), z.unknown())).max(MAX_TOOLS), "for chat templates that know documents"),
  functions: neutral(functions),
  function_call: neutral(functions, "none", "auto"),
  modalities: neutral("answers are text", ["text"]),
  audio: neutral("answers are text"),
  reasoning_effort: neutral("give the template's variables in chat_template_kwargs", "none"),
  verbosity: neutral("ask for it in the messages", "medium"),
  web_search_options: neutral("the models here search nothing"),
  store: neutral("nothing is stored", false),
});

export const completionSchema: z.ZodType<CompletionBody> = z.object({
  ...sharedFields,
  prompt: z
    .union(
      [z.string(), z.array(z.string()).min(1).max(MAX_CHOICES)],
      `a text or a list of up to ${MAX_CHOICES}; token ids are not taken`,
    )
    .meta({ description: "text to continue, or a list of texts" }),
  suffix: neutral("text is not filled in"),
  logprobs: taken(z.int().min(0).max(20), "say how likely each token was, and so many of the likeliest"),
});

/** A field that is not known: where it stands, and what it could have been. */
export interface UnknownField {
  readonly path: readonly (string | number)[];
  readonly known: readonly string[];
}

/** The fields of a body that its schema does not know, at any depth that the schema describes. */
export function unknownFields(schema: z.ZodType, value: unknown, path: UnknownField["path"] = []): UnknownField[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return unknownFields(schema.unwrap() as z.ZodType, value, path);
  if (schema instanceof z.ZodDiscriminatedUnion || schema instanceof z.ZodUnion) {
    const fitting = (schema.options as readonly z.ZodType[]).find((option) => option.safeParse(value).success);
    return fitting === undefined ? [] : unknownFields(fitting, value, path);
  }
  if (schema instanceof z.ZodArray && Array.isArray(value))
    return value.flatMap((each, i) => unknownFields(schema.element as z.ZodType, each, [...path, i]));
  if (!(schema instanceof z.ZodObject) || typeof value !== "object" || value === null) return [];
  const known = Object.keys(schema.shape);
  return Object.entries(value).flatMap(([key, each]) => {
    const here = [...path, key];
    const field = known.includes(key) ? (schema.shape[key] as z.ZodType) : null;
    return field === null ? [{ path: here, known }] : unknownFields(field, each, here);
  });
}
