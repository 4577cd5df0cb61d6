/** A request's body as JSON, of a bounded size and in bounded time, gzipped or not. Knows nothing of what it should hold. */
import { CllmError } from "../error.ts";
import { RequestError } from "./http-error.ts";

export interface BodyLimits {
  /** Most bytes, of what comes and of what it unpacks to. */
  readonly maxBytes: number;
  /** When it has to be there, as `performance.now()` tells time. */
  readonly deadline: number;
}

const ENCODINGS = new Map<string, "gzip" | "deflate" | null>([
  ...([
    ["", null],
    ["identity", null],
    ["gzip", "gzip"],
    ["x-gzip", "gzip"],
    ["deflate", "deflate"],
  ] as const),
]);

/**
 * Throws `usage` where the body is not JSON or not said to be, `too-large`, `timeout`, and `aborted` where it ends early.
 */
export async function readJson(request: Request, limits: BodyLimits): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    // Browsers send other types to any server without asking it first, so that any page could use this one.
    const got = type === "" ? "none" : type.slice(0, 100);
    throw new RequestError("usage", `the content type must be application/json, not ${got}`, { status: 415 });
  }
  const text = await inTime(readText(request, limits.maxBytes), limits.deadline);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new RequestError("usage", `the body is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  const declared = request.headers.get("content-length");
  if (Number(declared ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const written = (request.headers.get("content-encoding") ?? "").trim();
  const encoding = ENCODINGS.get(written.toLowerCase());
  if (encoding === undefined) {
    const message = `the content encoding ${written.slice(0, 100)} is not taken; send the body as it is, or with gzip`;
    throw new RequestError("usage", message, { status: 415 });
  }
  try {
    // No longer than that, and the fastest way.
    if (encoding === null && declared !== null && !request.headers.has("transfer-encoding"))
      return await request.text();
    return await collect(unpacked(request, encoding), maxBytes);
  } catch (error) {
    if (error instanceof CllmError) throw error;
    if (encoding !== null && (error as NodeJS.ErrnoException).code?.startsWith("Z_"))
      throw new RequestError("usage", `the body is not ${encoding}, which its content encoding says it is`);
    throw new CllmError("aborted", "the request's body ended early", { cause: error });
  }
}

function unpacked({ body }: Request, encoding: "gzip" | "deflate" | null): AsyncIterable<Uint8Array> | readonly [] {
  if (body === null) return [];
  if (encoding === null) return body;
  return body.pipeThrough(new DecompressionStream(encoding) as unknown as TransformStream<Uint8Array, Uint8Array>);
}

async function collect(bytes: AsyncIterable<Uint8Array> | readonly [], maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function inTime<T>(promise: Promise<T>, deadline: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const fail = (): void => reject(new CllmError("timeout", "the request's body did not come in time; send it again"));
    timer = setTimeout(fail, Math.max(0, deadline - performance.now()));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
    promise.catch(() => {}); // a late rest is not waited for
  }
}

function tooLarge(maxBytes: number): CllmError {
  const next = "send less, or raise --max-body";
  return new CllmError("too-large", `the request's body is larger than the ${maxBytes} bytes that are taken; ${next}`);
}
