/**
 * The bodies of requests: OpenAI's fields, checked (see `fields.ts`), as requests of the library. snake_case ends here. Knows no
 * model and no HTTP.
 */
import { randomInt } from "node:crypto";
import type * as z from "zod";
import { CllmError } from "../error.ts";
import { check, unknownName } from "../generate/check.ts";
import type { Message } from "../generate/types.ts";
import type { ServedRequest } from "./backend.ts";
import {
  chatSchema,
  completionSchema,
  MAX_CHOICES,
  SEEDS,
  type SharedBody,
  type UnknownField,
  unknownFields,
} from "./fields.ts";
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
  const messages = chat.messages.map(({ role, content }): Message => {
    const text = typeof content === "string" ? content : (content ?? []).map((part) => part.text).join("");
    return { role: role === "developer" ? "system" : role, content: text };
  });
  const input: ServedRequest = {
    messages,
    templateOptions: chat.chat_template_kwargs ?? undefined,
    continueFinalMessage: chat.continue_final_message ?? undefined,
    addGenerationPrompt: chat.add_generation_prompt ?? undefined,
  };
  return asked(chat, max_completion_tokens ?? max_tokens, [input]);
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
    prompts.map((text) => ({ prompt: text })),
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
  const common: ServedRequest = {
    maxNewTokens: maxTokens == null || maxTokens === -1 ? "context" : maxTokens,
    stop: typeof shared.stop === "string" ? [shared.stop] : (shared.stop ?? undefined),
    stopIds: shared.stop_token_ids ?? undefined,
    ignoreEos: shared.ignore_eos ?? undefined,
    temperature: temperature ?? undefined,
    topP: shared.top_p ?? undefined,
    topK: top_k == null || top_k === -1 ? undefined : top_k,
    minP: shared.min_p ?? undefined,
    decoder: shared.decoder ?? undefined,
    blockSize: shared.block_size ?? undefined,
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
    requests: inputs.flatMap((input) =>
      Array.from({ length: perPrompt }, (_, i) => ({
        ...input,
        ...common,
        ...(seed !== null && { seed: (seed + i) % SEEDS }),
      })),
    ),
  };
}

function refusal(param: string | null, message: string): RequestError {
  return new RequestError("usage", message, { param });
}
