/**
 * The bodies of requests: OpenAI's fields, checked (see `fields.ts`), as requests of the library. snake_case ends here. Knows no
 * model and no HTTP.
 */
import { randomInt } from "node:crypto";
import * as z from "zod";
import { CllmError } from "../error.ts";
import { check, unknownName } from "../generate/check.ts";
import { conversationFault } from "../generate/conversation.ts";
import { toolsSchema } from "../generate/options.ts";
import type { Message } from "../generate/types.ts";
import type { Tool, ToolCall } from "../text/tools/types.ts";
import type { ServedRequest } from "./backend.ts";
import {
  type ChatBody,
  chatSchema,
  completionSchema,
  MAX_CHOICES,
  SEEDS,
  type SharedBody,
  type UnknownField,
  unknownFields,
  type WireCall,
} from "./fields.ts";
import { formOf } from "./forms.ts";
import { RequestError } from "./http-error.ts";

/** What a body asks for. */
export interface Asked {
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly includePasses: boolean;
  /** The client's own name for who asks: requests of one name wait for each other. */
  readonly user: string | null;
  /** The seed of the first choice where tokens are sampled. */
  readonly seed: number | null;
  /** Choices of each prompt. */
  readonly perPrompt: number;
  /** The field that says what form the answer has. */
  readonly formField: string | null;
  /** One for each choice, in order. */
  readonly requests: readonly ServedRequest[];
}

/** What becomes of fields that are not known: they are an error, or their names are told, such as `messages[].name`. */
export type OnUnknown = "refuse" | ((names: readonly string[]) => void);

export function readChatBody(body: unknown, onUnknown: OnUnknown): Asked {
  const chat = read(chatSchema, withoutUnusedTools(body), onUnknown);
  const { max_tokens, max_completion_tokens } = chat;
  if (max_tokens != null && max_completion_tokens != null && max_tokens !== max_completion_tokens) {
    const both = `${max_tokens} and ${max_completion_tokens}`;
    throw refusal("max_tokens", `max_tokens and max_completion_tokens are both given, ${both}; give one`);
  }
  const messages = readMessages(chat.messages);
  const { documents, chat_template_kwargs: variables } = chat;
  const templateOptions = documents == null ? (variables ?? undefined) : { documents, ...variables };
  const input: ServedRequest = {
    messages,
    templateOptions,
    tools: readTools(chat.tools ?? []),
    toolChoice: readToolChoice(chat),
    parallelToolCalls: chat.parallel_tool_calls ?? undefined,
    continueFinalMessage: chat.continue_final_message ?? undefined,
    addGenerationPrompt: chat.add_generation_prompt ?? undefined,
  };
  const { logprobs, top_logprobs } = chat;
  if (top_logprobs != null && top_logprobs > 0 && logprobs !== true)
    throw refusal("top_logprobs", "top_logprobs needs logprobs: true");
  const scored = logprobs === true ? { logprobs: top_logprobs ?? 0 } : {};
  return asked(chat, max_completion_tokens ?? max_tokens, [{ ...input, ...scored }]);
}

function readToolChoice({ tool_choice: choice, tools }: ChatBody): ServedRequest["toolChoice"] {
  if (choice == null || choice === "auto" || choice === "none") return choice ?? undefined;
  const names = (tools ?? []).map((tool) => tool.function.name);
  if (names.length === 0) throw refusal("tool_choice", "tool_choice asks for a call and there are no tools; give some");
  if (choice === "required") return choice;
  const { name } = choice.function;
  if (names.includes(name)) return { name };
  throw refusal("tool_choice.function.name", unknownName("tool_choice: tools", name, names));
}

function readMessages(messages: ChatBody["messages"]): Message[] {
  const read = messages.map(({ role, content, tool_calls, tool_call_id, ...thought }, i): Message => {
    const text = textOf(content ?? []);
    const calls = (tool_calls ?? []).map((call, k) => readCall(call, `messages.${i}.tool_calls.${k}`));
    const reasoning = thought.reasoning_content ?? thought.reasoning;
    if (role === "assistant" && content === undefined && calls.length === 0)
      throw refusal(`messages.${i}.content`, `messages[${i}] has neither content nor tool_calls; give one`);
    return {
      role: role === "developer" ? "system" : role,
      content: text,
      ...(calls.length > 0 && { toolCalls: calls }),
      ...(tool_call_id !== undefined && { toolCallId: tool_call_id }),
      ...(reasoning != null && { reasoning }),
    };
  });
  const fault = conversationFault(read);
  if (fault === null) return read;
  const wire: Readonly<Record<string, string>> = { toolCalls: "tool_calls", toolCallId: "tool_call_id" };
  throw refusal(["messages", ...fault.path.map((part) => wire[part] ?? part)].join("."), fault.message);
}

/** A content, which may come in parts, as one text. */
const textOf = (content: string | readonly { readonly text: string }[]): string =>
  typeof content === "string" ? content : content.map(({ text }) => text).join("");

function readCall({ id, function: { name, arguments: written } }: WireCall, place: string): ToolCall {
  const param = `${place}.function.arguments`;
  let values: unknown;
  try {
    values = written.trim() === "" ? {} : JSON.parse(written);
  } catch {
    throw refusal(param, `${param}: the arguments of ${name} are not JSON; send them as the model wrote them`);
  }
  if (typeof values !== "object" || values === null || Array.isArray(values))
    throw refusal(param, `${param}: the arguments of ${name} must be a JSON object, as text`);
  return { id, name, arguments: values as ToolCall["arguments"] };
}

function readTools(tools: NonNullable<ChatBody["tools"]>): readonly Tool[] | undefined {
  if (tools.length === 0) return undefined;
  const read = tools.map(({ function: { name, description, parameters } }) => ({
    name,
    ...(description != null && { description }),
    ...(parameters != null && { parameters }),
  }));
  try {
    return check(z.object({ tools: toolsSchema }), { tools: read }, { what: "the request" }).tools;
  } catch (error) {
    const bad = toolsSchema.safeParse(read).error?.issues[0]?.path ?? [];
    const [index, ...field] = bad.map(String);
    const param = index === undefined ? "tools" : `tools.${index}.function.${field.join(".")}`;
    throw refusal(param, (error as Error).message);
  }
}

/** Tools that are not to be called ask for nothing. */
function withoutUnusedTools(body: unknown): unknown {
  if (typeof body !== "object" || body === null) return body;
  const { tools, functions, ...others } = body as Record<string, unknown>;
  const { tool_choice, function_call } = others;
  return {
    ...others,
    ...(tools !== undefined && tool_choice !== "none" && { tools }),
    ...(functions !== undefined && function_call !== "none" && { functions }),
  };
}

export function readCompletionBody(body: unknown, onUnknown: OnUnknown): Asked {
  const completion = read(completionSchema, body, onUnknown);
  const { prompt } = completion;
  const prompts = typeof prompt === "string" ? [prompt] : prompt;
  return asked(
    completion,
    completion.max_tokens,
    prompts.map((text) => ({ prompt: text, logprobs: completion.logprobs ?? undefined })),
  );
}

/** Checks a body; the error names the field as OpenAI's do. */
function read<S extends z.ZodType>(schema: S, body: unknown, onUnknown: OnUnknown): z.output<S> {
  let checked: z.output<S>;
  try {
    checked = check(schema, body, { what: "the request" });
  } catch (error) {
    if (!(error instanceof CllmError)) throw error;
    const path = schema.safeParse(body).error?.issues[0]?.path ?? [];
    throw refusal(path.length === 0 ? null : path.map(String).join("."), error.message);
  }
  const unknown = unknownFields(schema, body);
  const [first] = unknown;
  if (first === undefined) return checked;
  if (onUnknown === "refuse") {
    const message = unknownName(
      pathName(first.path.slice(0, -1)) || "the request",
      String(first.path.at(-1)),
      first.known,
      "takes no",
    );
    throw refusal(first.path.join("."), message);
  }
  onUnknown([
    ...new Set(unknown.map(({ path }) => pathName(path.map((part) => (typeof part === "number" ? "" : part))))),
  ]);
  return checked;
}

/** Such as `messages[0].name`; `messages[].name` of all of them. */
function pathName(path: UnknownField["path"]): string {
  return path
    .map((part, i) => (typeof part === "number" || part === "" ? `[${part}]` : `${i === 0 ? "" : "."}${part}`))
    .join("");
}

function asked(shared: SharedBody, maxTokens: number | null | undefined, inputs: readonly ServedRequest[]): Asked {
  const { stream_options: options, n, temperature, top_k, seed: given } = shared;
  const perPrompt = n ?? 1;
  if (perPrompt * inputs.length > MAX_CHOICES) {
    const product = `${perPrompt} answers to each of ${inputs.length} prompts`;
    throw refusal("n", `n: ${product} are more than ${MAX_CHOICES}; ask for fewer at a time`);
  }
  const drawn = given === undefined || given === null || given === -1;
  const seed = (temperature ?? 0) === 0 ? null : drawn ? randomInt(SEEDS) : given;
  const includePasses = options?.include_passes ?? false;
  const form = formOf(shared);
  const common: ServedRequest = {
    maxNewTokens: maxTokens == null || maxTokens === -1 ? "context" : maxTokens,
    stop: typeof shared.stop === "string" ? [shared.stop] : (shared.stop ?? undefined),
    stopIds: shared.stop_token_ids ?? undefined,
    ignoreEos: shared.ignore_eos ?? undefined,
    temperature: temperature ?? undefined,
    topP: shared.top_p ?? undefined,
    topK: top_k == null || top_k === -1 ? undefined : top_k,
    minP: shared.min_p ?? undefined,
    frequencyPenalty: shared.frequency_penalty ?? undefined,
    presencePenalty: shared.presence_penalty ?? undefined,
    repetitionPenalty: shared.repetition_penalty ?? shared.repeat_penalty ?? undefined,
    logitBias: shared.logit_bias ?? undefined,
    format: form?.format,
    decoder: shared.decoder ?? undefined,
    blockSize: shared.block_size ?? undefined,
    prediction: shared.prediction == null ? undefined : textOf(shared.prediction.content),
    passes: includePasses,
  };
  return {
    model: shared.model,
    stream: shared.stream ?? false,
    includeUsage: options?.include_usage ?? false,
    includePasses,
    user: shared.user ?? null,
    seed,
    perPrompt,
    formField: form?.field ?? null,
    requests: inputs.flatMap((input) =>
      Array.from({ length: perPrompt }, (_, i) => ({
        ...input,
        ...common,
        ...(seed !== null && { seed: (seed + i) % SEEDS }),
      })),
    ),
  };
}

/** An error of the library with the field that it is about, where it begins with its place. */
export function placed(error: unknown, { formField }: Asked): unknown {
  if (!(error instanceof CllmError) || error instanceof RequestError) return error;
  const [, tool, format] = /^(?:tools\[(\d+)\]\.parameters\b|(format)\b)/.exec(error.message) ?? [];
  const param = tool !== undefined ? `tools.${tool}.function.parameters` : format === undefined ? null : formField;
  if (param === null) return error;
  const message = error.message.replace(/^format\b/, formField ?? "format");
  // Other names of the library may be names in the schema.
  return new RequestError(error.code, message.replace(/\bmaxNewTokens(?= is \d)/, "max_tokens"), { param });
}

function refusal(param: string | null, message: string): RequestError {
  return new RequestError("usage", message, { param });
}
