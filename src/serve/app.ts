/**
 * The HTTP of the server: routes, who may ask, limits, and errors in OpenAI's shape. Models are behind `Models`;
 * `bodies.ts` and `answers.ts` have the forms. Listens on nothing, so tests call it without a port.
 */
import type { ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { CllmError } from "../error.ts";
import { answerShapes, type Endpoint } from "./answers.ts";
import { type Asked, type OnUnknown, placed, readChatBody, readCompletionBody } from "./bodies.ts";
import { generate, type RunContext, type ServedEvent } from "./generation.ts";
import { keyCheck, memoryScopeOf, requireLocalName } from "./guards.ts";
import { answerTo, RequestError } from "./http-error.ts";
import { readJson } from "./json-body.ts";
import { createMetrics } from "./metrics.ts";
import type { ModelStatus, Models } from "./models.ts";
import { DATABASE_PATH, mountDatabase, mountPage, PAGE_FILES, SQL_PATH } from "./playground.ts";
import { type AskDatabase, demonstrationDatabase } from "./query.ts";
import type { Client } from "./queue.ts";
import { REQUEST_ID, requestId } from "./request-id.ts";
import { EVENT_HEADERS, eventStream, writeEvents } from "./sse.ts";
import { ignoring } from "./unknown-fields.ts";

export interface AppOptions {
  readonly models: Models;
  /** Key that requests must carry; default: none is needed. */
  readonly apiKey?: string | undefined;
  /** Answer only requests for this machine's own names. Default: true. */
  readonly localNamesOnly?: boolean;
  /** Origins whose pages may ask; default: none. */
  readonly corsOrigins?: readonly string[];
  /** Most bytes of a body. Default: 1 MiB. */
  readonly maxBodyBytes?: number;
  /** Most time from a request's arrival to the end of its answer. Default: ten minutes. */
  readonly timeoutMs?: number;
  /** The longest time so far that the event loop was blocked. Default: not measured. */
  readonly stallMs?: (() => number) | undefined;
  /** Who asks, for the queue's turns. Default: everybody is the same client. */
  readonly clientOf?: (c: Context) => Client;
  /** A line for each request. */
  readonly log?: ((line: string) => void) | undefined;
  /** The same as data, for logs that programs read. */
  readonly logRequest?: ((entry: RequestEntry) => void) | undefined;
  /** Whether requests are answered at once, for `/ready`. Default: always. */
  readonly isReady?: (() => boolean) | undefined;
  /** What people who run the server should know, such as fields that it ignores. */
  readonly note?: ((line: string) => void) | undefined;
  /** Refuse fields that are not known, instead of ignoring them. Default: false. */
  readonly strict?: boolean;
  /** Draft from the answers to those who send other keys, too. Default: false. */
  readonly shareAnswers?: boolean;
  /** What went wrong inside. Default: standard error. */
  readonly reportError?: (error: unknown) => void;
  /** Fires when no new requests are to be taken. */
  readonly draining?: AbortSignal | undefined;
  /** Fires when running ones are to be given up. */
  readonly closing?: AbortSignal | undefined;
  /** Asks the demonstration's database, where a model for it is served. Default: in a thread. */
  readonly askDatabase?: AskDatabase;
}

/** What is logged of a request. */
export interface RequestEntry {
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** From its arrival to the end of its answer, or to the start of a stream. */
  readonly ms: number;
}

const DEFAULT_BODY_BYTES = 1 << 20;
export const DEFAULT_TIMEOUT_MS = 600_000;
const EVERYBODY: Client = { address: "", name: "" };
const HANG_UP_MS = 5_000; // for reading what was written in time
const ENDPOINTS: Readonly<Record<string, string>> = {
  "/v1/chat/completions": "chat",
  "/v1/completions": "completion",
  "/v1/models": "models",
  "/health": "health",
  "/ready": "ready",
  "/metrics": "metrics",
  "/": "page",
  [DATABASE_PATH]: "database",
  [SQL_PATH]: "database",
  ...Object.fromEntries(PAGE_FILES.slice(1).map((name) => [`/playground/${name}`, "page"])),
};
/** Paths that the error for an unknown path lists. */
const TOLD = Object.keys(ENDPOINTS).filter((path) => !path.startsWith("/playground/"));

type BodyReader = (body: unknown, onUnknown: OnUnknown) => Asked;

/**
 * The routes of a server as a Hono app, to mount or to listen with.
 *
 * @example
 * const app = createApp({ models, apiKey: "secret" });
 * const answer = await app.request("http://localhost/v1/models", { headers: { authorization: "Bearer secret" } });
 */
export function createApp(options: AppOptions): Hono {
  const { models, apiKey, localNamesOnly = true, corsOrigins = [], draining, closing, log, logRequest } = options;
  const { maxBodyBytes = DEFAULT_BODY_BYTES, timeoutMs = DEFAULT_TIMEOUT_MS, clientOf = () => EVERYBODY } = options;
  const { reportError = (error) => void process.stderr.write(`${stackOf(error)}\n`) } = options;
  const metrics = createMetrics();
  const started = Math.floor(Date.now() / 1000);
  const app = new Hono({ strict: false }); // a slash at the end makes no difference
  const withDatabase = models.status().some(({ demonstration }) => demonstration === "text-to-sql");

  const onUnknown = options.strict ? "refuse" : ignoring(options.note ?? (() => {}));

  const retryAfterS = (): number => {
    const rounds = models.status().map(({ running, waiting }) => waiting / Math.max(1, running));
    return Math.min(60, Math.max(1, Math.ceil(metrics.meanSeconds * Math.max(...rounds))));
  };
  const failure = (error: unknown): { status: number; headers: Record<string, string>; body: object } => {
    const { status, headers, body, internal } = answerTo(error, retryAfterS());
    if (internal) reportError(error);
    return { status, headers: { ...headers }, body };
  };

  app.onError((error, c) => {
    const { status, headers, body } = failure(error);
    return c.json(body, status as ContentfulStatusCode, headers);
  });
  app.notFound((c) => {
    const { path } = c.req;
    const known = Object.hasOwn(ENDPOINTS, path) && (withDatabase || ENDPOINTS[path] !== "database");
    const what = `${c.req.method} ${c.req.path.slice(0, 200)}`;
    const message = known ? `${what}: use another method` : `there is no ${what}; there are ${TOLD.join(", ")}`;
    const error = new RequestError("not-found", message, { status: known ? 405 : 404 });
    const { status, body } = failure(error);
    return c.json(
      { error: { ...(body as { error: object }).error, code: known ? "method_not_allowed" : "not_found" } },
      status as 404,
    );
  });

  app.use(async (c, next) => {
    const since = performance.now();
    const id = requestId(c.req.header(REQUEST_ID));
    c.header(REQUEST_ID, id);
    await next();
    const endpoint = ENDPOINTS[c.req.path] ?? (c.req.path.startsWith("/v1/models/") ? "models" : "other");
    metrics.answered(endpoint, c.res.status);
    const { method } = c.req;
    const { status } = c.res;
    const path = c.req.path.slice(0, 200);
    const ms = Math.round(performance.now() - since);
    log?.(`${method} ${JSON.stringify(path)} ${status} ${ms} ms, request ${id}`);
    logRequest?.({ requestId: id, method, path, status, ms });
  });
  if (localNamesOnly) {
    app.use(async (c, next) => {
      requireLocalName(c.req.header("host") ?? new URL(c.req.url).host);
      await next();
    });
  }
  mountPage(app); // before other origins get their headers, and before the key, which is typed into it
  if (corsOrigins.length > 0) app.use(cors({ origin: [...corsOrigins], allowMethods: ["GET", "POST"], maxAge: 600 }));
  app.get("/health", (c) => c.json({ status: "ok" })); // it lives, also while it drains
  app.get("/ready", (c) => {
    const status = draining?.aborted ? "draining" : (options.isReady?.() ?? true) ? "ready" : "loading";
    return c.json({ status }, status === "ready" ? 200 : 503);
  });
  if (apiKey !== undefined) {
    const check = keyCheck(apiKey);
    for (const path of ["/v1/*", "/metrics", DATABASE_PATH, SQL_PATH]) {
      app.use(path, async (c, next) => {
        check(c.req.header("authorization"));
        await next();
      });
    }
  }
  app.get("/metrics", async (c) =>
    c.text(await metrics.text(models.status(), options.stallMs?.()), 200, { "Content-Type": metrics.contentType }),
  );

  const describe = ({
    name,
    loaded,
    runsOn,
    demonstration,
    draftAdapter,
    draftModel,
    medusaHeads,
    ngrams,
  }: ModelStatus): object => ({
    ...{ id: name, object: "model", created: started, owned_by: "cllm" },
    cllm: {
      ...{ loaded, demonstration },
      ...(draftAdapter !== null && { draft_adapter: draftAdapter }),
      ...(draftModel !== null && { draft_model: draftModel }),
      ...(medusaHeads !== null && { medusa_heads: medusaHeads }),
      ...(ngrams !== null && { ngrams }),
      ...(runsOn && { device: runsOn.device, device_why: runsOn.deviceWhy, precision: runsOn.precision }),
    },
  });
  app.get("/v1/models", (c) => c.json({ object: "list", data: models.status().map(describe) }));
  app.get("/v1/models/:name{.+}", (c) => {
    const name = c.req.param("name");
    models.require(name);
    return c.json(describe(models.status().find((model) => model.name === name)!));
  });

  const answer = async (c: Context, endpoint: Endpoint, readBody: BodyReader): Promise<Response> => {
    const since = performance.now();
    if (draining?.aborted) throw new CllmError("unavailable", "the server is shutting down; ask another one");
    const body = await readJson(c.req.raw, { maxBytes: maxBodyBytes, deadline: since + timeoutMs });
    const memoryScope = options.shareAnswers ? undefined : memoryScopeOf(c.req.header("authorization"));
    const asked = scoped(readBody(body, onUnknown), memoryScope);
    models.require(asked.model);
    const client = { ...clientOf(c), ...(asked.user !== null && { name: `user ${asked.user}` }) };
    const run: RunContext = { models, metrics, client, since, timeoutMs, gone: c.req.raw.signal, closing };
    const shapes = answerShapes(endpoint, asked);
    const events = generate(asked, run);
    if (!asked.stream) {
      const generations = [];
      try {
        for await (const { generation } of events) if (generation !== undefined) generations.push(generation);
      } catch (error) {
        throw placed(error, asked);
      }
      return c.json(shapes.whole(generations));
    }
    // So that what fails before the first event is an answer with a status.
    const first = await events.next().catch((error: unknown) => Promise.reject(placed(error, asked)));
    const source = { objects: lines(first, events, asked, shapes), describe: (error: unknown) => failure(error).body };
    const { outgoing } = (c.env ?? {}) as { readonly outgoing?: ServerResponse };
    if (outgoing === undefined) return c.newResponse(eventStream(source), { headers: EVENT_HEADERS }); // a test without a connection
    hangUpAfter(outgoing, since + timeoutMs + HANG_UP_MS);
    const headers = Object.fromEntries(c.res.headers); // the request's id, and what other origins are told
    writeEvents(outgoing, headers, source).catch((error: unknown) => {
      reportError(error);
      outgoing.destroy();
    });
    return RESPONSE_ALREADY_SENT;
  };
  app.post("/v1/chat/completions", (c) => answer(c, "chat", readChatBody));
  app.post("/v1/completions", (c) => answer(c, "completion", readCompletionBody));
  if (withDatabase) mountDatabase(app, options.askDatabase ?? demonstrationDatabase(), { maxBodyBytes, timeoutMs });
  return app;
}

/** The same requests with the memory that they share. */
const scoped = (asked: Asked, memoryScope: string | undefined): Asked => ({
  ...asked,
  requests: asked.requests.map((request) => ({ ...request, memoryScope })),
});

/** The objects of a stream, in order. */
async function* lines(
  first: IteratorResult<ServedEvent, void>,
  rest: AsyncIterator<ServedEvent, void>,
  { includeUsage }: Asked,
  shapes: ReturnType<typeof answerShapes>,
): AsyncGenerator<object, void, void> {
  const generations = [];
  let opened = -1;
  try {
    for (let result = first; !result.done; result = await rest.next()) {
      const { index, event, generation } = result.value;
      if (index > opened) {
        opened = index;
        const opening = shapes.opening(index);
        if (opening !== null) yield opening;
      }
      const written = event === undefined ? null : shapes.event(index, event);
      if (written !== null) yield written;
      if (generation === undefined) continue;
      generations.push(generation);
      yield shapes.closing(index, generation);
    }
    if (includeUsage) yield shapes.usage(generations);
  } finally {
    await rest.return?.();
  }
}

/** Ends the connection of a client that has not read its answer by then. */
function hangUpAfter(outgoing: ServerResponse, time: number): void {
  const timer = setTimeout(() => outgoing.destroy(), time - performance.now());
  outgoing.once("close", () => clearTimeout(timer));
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
