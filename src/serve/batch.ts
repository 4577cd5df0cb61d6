/**
 * One line of OpenAI's batches: a request with a `custom_id`, and its answer. Bodies, answers and errors are those of the server.
 * What a server draws or counts anew each time (ids, times, seeds, passes) is made from the request or omitted, so that the same
 * line has the same bytes whenever it is answered. Knows no file.
 */
import { createHash } from "node:crypto";
import { CllmError } from "../error.ts";
import { parseJson } from "../files/json.ts";
import { shorten } from "../files/near-miss.ts";
import { answerShapes, type Endpoint } from "./answers.ts";
import type { ServedGeneration } from "./backend.ts";
import { type Asked, type OnUnknown, readChatBody, readCompletionBody } from "./bodies.ts";
import { SEEDS } from "./fields.ts";
import { generate, type RunContext } from "./generation.ts";
import { answerTo, RequestError } from "./http-error.ts";

/** A line that was read: it has an id, and may still ask for what there is not. */
export interface BatchRequest {
  readonly customId: string;
  readonly method: unknown;
  readonly url: unknown;
  readonly body: unknown;
}

/** What answering takes, and whether unknown fields are refused. */
export interface BatchContext extends Pick<RunContext, "models" | "metrics"> {
  readonly seed: number;
  readonly onUnknown: OnUnknown;
  readonly signal: AbortSignal;
}

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  "/v1/chat/completions": "chat",
  "/v1/completions": "completion",
};
const NO_LIMIT_MS = 2 ** 31 - 1; // the longest that a timer takes
const MAX_ID = 512;

/** Throws `bad-input` for a line without an id: its answer could not be told from others. `where` names it. */
export function readBatchLine(line: string, where: string): BatchRequest {
  const next = "give one request a line, as OpenAI's batches have it";
  const value = parseJson(line, where, { code: "bad-input", next });
  const fields = typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  const { custom_id: customId, method, url, body } = fields as Record<string, unknown>;
  if (typeof customId === "string" && customId !== "" && customId.length <= MAX_ID)
    return { customId, method, url, body };
  throw new CllmError("bad-input", `${where} has no custom_id, a text of 1 to ${MAX_ID} characters; ${next}`);
}

/**
 * The answer to a line, as a line without its end. What is wrong with a request is an answer with OpenAI's error. Throws `aborted`.
 *
 * @example
 * const context = { models, metrics: createMetrics(), seed: 0, onUnknown: "refuse", signal } as const;
 * const line = await answerBatchLine(readBatchLine(text, "requests.jsonl:1"), context);
 */
export async function answerBatchLine(request: BatchRequest, context: BatchContext): Promise<string> {
  const once = () => respond(request, context);
  const { status, body } = await once().catch((error: unknown) => failure(error, context.signal));
  // What the machine did may be better the second time; what is asked for is not.
  const again =
    status < 500 ? { status, body } : await once().catch((error: unknown) => failure(error, context.signal));
  const id = idOf(request, context.seed);
  return JSON.stringify({
    id: `batch_req_${id}`,
    custom_id: request.customId,
    response: { status_code: again.status, request_id: `req_${id}`, body: again.body },
    error: null,
  });
}

interface Response {
  readonly status: number;
  readonly body: object;
}

async function respond(
  request: BatchRequest,
  { models, metrics, seed, onUnknown, signal }: BatchContext,
): Promise<Response> {
  const { endpoint, asked } = readRequest(request, seed, onUnknown);
  models.require(asked.model);
  const client = { address: "", name: request.customId };
  const events = generate(asked, {
    models,
    metrics,
    client,
    since: performance.now(),
    timeoutMs: NO_LIMIT_MS,
    gone: signal,
  });
  const generations: ServedGeneration[] = [];
  for await (const { generation } of events) if (generation !== undefined) generations.push(generation);
  const whole = answerShapes(endpoint, asked).whole(generations) as Record<string, unknown>;
  const prefix = String(whole["id"]).split("-")[0];
  const { prompt_tokens, completion_tokens, total_tokens } = whole["usage"] as Record<string, number>;
  const usage = { prompt_tokens, completion_tokens, total_tokens };
  const id = idOf(request, seed);
  const choices = (whole["choices"] as readonly Choice[]).map((choice, i) => withCallIds(choice, `${id}_${i}`));
  return { status: 200, body: { ...whole, id: `${prefix}-${id}`, created: 0, choices, usage } };
}

interface Choice {
  readonly message?: { readonly tool_calls?: readonly object[] };
}

/** The ids of calls are drawn too; here they are their places. */
function withCallIds(choice: Choice, id: string): Choice {
  const { message } = choice;
  if (message?.tool_calls === undefined) return choice;
  const calls = message.tool_calls.map((call, i) => ({ ...call, id: `call_${id}_${i}` }));
  return { ...choice, message: { ...message, tool_calls: calls } };
}

function readRequest(request: BatchRequest, seed: number, onUnknown: OnUnknown): { endpoint: Endpoint; asked: Asked } {
  const { method, url, body } = request;
  const refuse = (param: string, message: string): RequestError => new RequestError("usage", message, { param });
  if (method !== "POST")
    throw refuse("method", `method must be POST, not ${shorten(JSON.stringify(method) ?? "nothing")}`);
  const endpoint = typeof url === "string" && Object.hasOwn(ENDPOINTS, url) ? ENDPOINTS[url] : undefined;
  if (endpoint === undefined) {
    const known = Object.keys(ENDPOINTS).join(" and ");
    throw refuse("url", `there is no ${shorten(JSON.stringify(url) ?? "url")}; there are ${known}`);
  }
  const read = endpoint === "chat" ? readChatBody : readCompletionBody;
  const asked = read(withSeed(body, hashOf(request, seed)), onUnknown);
  if (asked.stream) throw refuse("stream", "answers of a batch are whole; omit stream");
  return { endpoint, asked };
}

/** The server draws a seed where none is given. A batch has it from the request. */
function withSeed(body: unknown, seed: number): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  const { seed: given } = body as { readonly seed?: unknown };
  return given === undefined || given === null || given === -1 ? { ...body, seed } : body;
}

function failure(error: unknown, signal: AbortSignal): Response {
  if (signal.aborted || (error instanceof CllmError && error.code === "aborted")) {
    throw new CllmError("aborted", "the batch was stopped", { cause: error });
  }
  const { status, body } = answerTo(error);
  return { status, body };
}

const digestOf = (request: BatchRequest, seed: number): Buffer =>
  createHash("sha256")
    .update(JSON.stringify([seed, request]))
    .digest();
const idOf = (request: BatchRequest, seed: number): string => digestOf(request, seed).toString("hex").slice(0, 24);
const hashOf = (request: BatchRequest, seed: number): number => digestOf(request, seed).readUInt32LE(28) % SEEDS;
