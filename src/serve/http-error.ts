/**
 * Errors as OpenAI's clients know them: which status and which body a `CllmError` becomes. The one place that maps codes
 * to HTTP. What went wrong inside is for the log, not for the client.
 */
import { CllmError, type ErrorCode } from "../error.ts";

/** An error about one field of a request, or with a status of its own. */
export class RequestError extends CllmError {
  readonly param: string | null;
  readonly status: number | null;
  constructor(
    code: ErrorCode,
    message: string,
    { param = null, status = null }: { param?: string | null; status?: number | null } = {},
  ) {
    super(code, message);
    this.name = "RequestError";
    this.param = param;
    this.status = status;
  }
}

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: {
    readonly error: {
      readonly message: string;
      readonly type: string;
      readonly param: string | null;
      readonly code: string | null;
    };
  };
  /** Whether the server is to blame, so that its log should say what happened. */
  readonly internal: boolean;
}

type Entry = readonly [status: number, type: string, code: string | null];
const INVALID = "invalid_request_error";
const BAD_REQUEST: Entry = [400, INVALID, "invalid_request"];
const TABLE: Partial<Record<ErrorCode, Entry>> = {
  usage: BAD_REQUEST,
  "bad-input": BAD_REQUEST,
  "bad-template": [400, INVALID, "chat_template"],
  unsupported: [400, INVALID, "unsupported"],
  "context-overflow": [400, INVALID, "context_length_exceeded"],
  "not-found": [404, INVALID, "model_not_found"],
  unauthorized: [401, INVALID, "invalid_api_key"],
  forbidden: [403, INVALID, "forbidden"],
  "too-large": [413, INVALID, "request_too_large"],
  timeout: [408, "timeout_error", "timeout"],
  busy: [429, "rate_limit_error", "rate_limit_exceeded"],
  unavailable: [503, "server_error", "unavailable"],
  aborted: [503, "server_error", "aborted"], // the client is gone, unless the server itself gave up
};
/** The library's names of a request's options, and the request's own. */
const FIELDS: Readonly<Record<string, string>> = {
  maxNewTokens: "max_tokens",
  blockSize: "block_size",
  topK: "top_k",
  topP: "top_p",
  minP: "min_p",
  frequencyPenalty: "frequency_penalty",
  presencePenalty: "presence_penalty",
  repetitionPenalty: "repetition_penalty",
  logitBias: "logit_bias",
  stopIds: "stop_token_ids",
  ignoreEos: "ignore_eos",
  templateOptions: "chat_template_kwargs",
  toolChoice: "tool_choice",
  parallelToolCalls: "parallel_tool_calls",
  continueFinalMessage: "continue_final_message",
  addGenerationPrompt: "add_generation_prompt",
};
const NAMES = new RegExp(`\\b(${Object.keys(FIELDS).join("|")})\\b`, "g");
const FAILED: Entry = [500, "server_error", "internal"];

/** The answer to a request that failed; `retryAfterS` is what a client that should come back is told. */
export function answerTo(error: unknown, retryAfterS: number = 1): ErrorAnswer {
  const known = error instanceof CllmError ? TABLE[error.code] : undefined;
  const [status, type, code] = known ?? FAILED;
  const own = error instanceof RequestError ? error : null;
  const headers: Record<string, string> = {};
  if (status === 429 || status === 503) headers["Retry-After"] = String(retryAfterS);
  if (status === 408) headers["Connection"] = "close"; // the rest of a body that is late is not waited for
  if (status === 401) headers["WWW-Authenticate"] = "Bearer";
  const said = known === undefined ? "the server failed; its log says why" : (error as CllmError).message;
  const named = own === null && type === INVALID ? said.replaceAll(NAMES, (name) => FIELDS[name]!) : said;
  const message = code === "chat_template" ? `${named.replace(/\.$/, "")}; prompts go to /v1/completions` : named;
  return {
    status: own?.status ?? status,
    headers,
    body: { error: { message, type, param: own?.param ?? null, code } },
    internal: known === undefined,
  };
}
