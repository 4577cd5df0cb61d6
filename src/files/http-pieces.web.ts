/**
 * A file behind an address, kept by the browser's Cache API in pieces, so that a download that was broken off goes on where it
 * was, and a file that is there already is not downloaded again. Knows no checkpoint.
 */
import { CllmError } from "../error.ts";
import type { BinaryFile } from "./binary-file.ts";
import { joinBytes } from "./bytes.ts";

export interface HttpOptions {
  /** Sent as a bearer token. */
  readonly token?: string | undefined;
  /** Only what is kept: nothing is asked of the network. */
  readonly offline?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of a file so far, and of all of it; 0 while unknown. Not called for a file that is kept. */
  readonly onBytes?: ((name: string, done: number, total: number) => void) | undefined;
  /** Told once where the browser cannot keep the file. */
  readonly onNote?: ((line: string) => void) | undefined;
}

const CACHE = "cllm-checkpoints";
const PIECE_BYTES = 4 << 20;
/** The tag of a file that is not there. */
const MISSING = "missing";

/** What is known of a file. All pieces but the last one of a complete file have `PIECE_BYTES`. */
interface Facts {
  /** What tells this version of the file from others. */
  readonly tag: string;
  readonly pieces: number;
  /** Bytes of the whole file; null while it is not complete. */
  readonly size: number | null;
}

/** The file at `address`; null where there is none. Throws `network`, `offline`, `aborted`. */
export async function openAddress(address: string, options: HttpOptions): Promise<BinaryFile | null> {
  const store = await openStore(options.onNote);
  const known = await store.facts(address);
  if (options.offline === true) {
    if (known?.size != null) return pieceFile(address, known.size, store);
    if (known?.tag === MISSING) return null;
    const next = "load it once with the network";
    throw new CllmError("offline", `${address} is not kept, and the network must not be used; ${next}`);
  }
  if (known?.size != null && (await isCurrent(address, known, options))) return pieceFile(address, known.size, store);
  try {
    const begun = known?.size == null && known?.tag !== MISSING ? known : null;
    const facts = await download(address, begun, store, options);
    if (facts !== null) return pieceFile(address, facts.size as number, store);
    await store.putFacts(address, { tag: MISSING, pieces: 0, size: null });
    return null;
  } catch (error) {
    if (known?.tag === MISSING && error instanceof CllmError && error.code === "network") return null; // as it was
    throw error;
  }
}

/** Forgets all files that are kept. */
export async function forgetAddresses(): Promise<void> {
  if ("caches" in globalThis) await caches.delete(CACHE);
}

/** Whether the file is still what it was. Without a network it is taken for that. */
async function isCurrent(address: string, { tag }: Facts, options: HttpOptions): Promise<boolean> {
  try {
    const response = await request(address, { method: "HEAD" }, options);
    return !response.ok || tagOf(response) === tag;
  } catch (error) {
    if (error instanceof CllmError && error.code === "aborted") throw error;
    return true;
  }
}

/** Downloads what is not there yet. Null where there is no such file. */
async function download(
  address: string,
  begun: Facts | null,
  store: Store,
  options: HttpOptions,
): Promise<Facts | null> {
  const name = address.slice(address.lastIndexOf("/") + 1);
  const from = begun === null ? 0 : begun.pieces * PIECE_BYTES;
  const response = await request(address, from > 0 ? { headers: { range: `bytes=${from}-` } } : {}, options);
  if (from > 0 && (response.status !== 206 || tagOf(response) !== begun?.tag)) {
    if (response.status !== 200) {
      await response.body?.cancel();
      return await download(address, null, store, options); // another version, or a server that gives no parts
    }
  }
  if ([404, 410].includes(response.status) || isPage(response, name)) return null;
  if (!response.ok) throw refusal(address, response.status);
  const resumed = response.status === 206;
  let facts: Facts = {
    tag: resumed ? (begun as Facts).tag : tagOf(response),
    pieces: resumed ? (begun as Facts).pieces : 0,
    size: null,
  };
  let done = facts.pieces * PIECE_BYTES;
  const total = expectedBytes(response, done);
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  const keep = async (bytes: Uint8Array<ArrayBuffer>, size: number | null): Promise<void> => {
    await store.put(address, facts.pieces, bytes);
    facts = { ...facts, pieces: facts.pieces + 1, size };
    await store.putFacts(address, facts);
  };
  try {
    for await (const chunk of chunksOf(response)) {
      options.signal?.throwIfAborted();
      held.push(chunk);
      heldBytes += chunk.length;
      done += chunk.length;
      options.onBytes?.(name, done, total);
      if (heldBytes < PIECE_BYTES) continue;
      let all: Uint8Array<ArrayBuffer> = joinBytes(held);
      for (; all.length >= PIECE_BYTES; all = all.slice(PIECE_BYTES)) await keep(all.slice(0, PIECE_BYTES), null);
      held = [all];
      heldBytes = all.length;
    }
  } catch (error) {
    throw networkError(address, error, options.signal);
  }
  if (done < total) {
    const message = `${address} ended at byte ${done} of ${total}`;
    throw new CllmError("network", `${message}; load it again, which goes on from there`);
  }
  await keep(joinBytes(held), done);
  return facts;
}

async function* chunksOf(response: Response): AsyncGenerator<Uint8Array, void, void> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function request(address: string, init: RequestInit, { token, signal }: HttpOptions): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
  try {
    // What is kept is kept here: the browser's own cache would keep it twice.
    return await fetch(address, { ...init, headers, cache: "no-store", ...(signal && { signal }) });
  } catch (error) {
    throw networkError(address, error, signal);
  }
}

function networkError(address: string, error: unknown, signal: AbortSignal | undefined): CllmError {
  if (error instanceof CllmError) return error;
  if (signal?.aborted) return new CllmError("aborted", `loading ${address} was aborted`, { cause: signal.reason });
  const reason = error instanceof Error ? error.message : String(error);
  const next = "check the connection, and that the server allows other sites to read it (CORS)";
  return new CllmError("network", `${address} could not be fetched (${reason}); ${next}`, { cause: error });
}

function refusal(address: string, status: number): CllmError {
  const next = status === 401 || status === 403 ? "give a token that may read it" : "try again later";
  return new CllmError("network", `${address} was refused with status ${status}; ${next}`);
}

/** Some servers answer with their start page where there is no file. */
function isPage(response: Response, name: string): boolean {
  return /^text\/html/i.test(response.headers.get("content-type") ?? "") && !name.endsWith(".html");
}

function tagOf({ headers }: Response): string {
  return headers.get("etag") ?? headers.get("last-modified") ?? "untold";
}

/** Bytes of the whole file; 0 where nobody can say, as where it comes compressed. */
function expectedBytes({ headers, status }: Response, before: number): number {
  const length = Number(headers.get("content-length") ?? 0);
  if (length === 0 || (headers.get("content-encoding") ?? "identity") !== "identity") return 0;
  return status === 206 ? before + length : length;
}

/** Where pieces are kept. */
interface Store {
  facts(address: string): Promise<Facts | null>;
  putFacts(address: string, facts: Facts): Promise<void>;
  put(address: string, piece: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  piece(address: string, piece: number): Promise<Blob | null>;
}

/** In the browser's cache; in memory for pieces that it does not take. */
async function openStore(onNote: HttpOptions["onNote"]): Promise<Store> {
  const memory = new Map<string, Blob>();
  let cache: Cache | null = null;
  let kept: Cache | null = null; // can be read even when no more can be written
  try {
    cache = await caches.open(CACHE);
    kept = cache;
  } catch {
    onNote?.("this page cannot keep downloads: serve it over https, or from localhost; files are downloaded each time");
  }
  const keyOf = (address: string, part: string): string => {
    const url = new URL(address);
    url.searchParams.set("cllm", part);
    return url.href;
  };
  const put = async (key: string, blob: Blob): Promise<void> => {
    try {
      if (cache === null) throw new Error("no cache");
      await cache.put(key, new Response(blob));
    } catch (error) {
      memory.set(key, blob);
      if (cache === null) return;
      cache = null;
      const reason = error instanceof Error ? error.message : String(error);
      onNote?.(`the browser keeps no more of the download (${reason}); free some space; it goes on in memory`);
    }
  };
  const get = async (key: string): Promise<Blob | null> => {
    const inMemory = memory.get(key);
    if (inMemory !== undefined) return inMemory;
    const response = await kept?.match(key).catch(() => undefined);
    return response === undefined ? null : await response.blob();
  };
  return {
    async facts(address) {
      const blob = await get(keyOf(address, "facts"));
      return blob === null ? null : (JSON.parse(await blob.text()) as Facts);
    },
    putFacts: (address, facts) => put(keyOf(address, "facts"), new Blob([JSON.stringify(facts)])),
    put: (address, piece, bytes) => put(keyOf(address, String(piece)), new Blob([bytes])),
    piece: (address, piece) => get(keyOf(address, String(piece))),
  };
}

function pieceFile(address: string, size: number, store: Store): BinaryFile {
  const pieces = new Map<number, Promise<Blob | null>>();
  const pieceOf = async (index: number): Promise<Blob> => {
    const piece = pieces.get(index) ?? store.piece(address, index);
    pieces.set(index, piece);
    const blob = await piece;
    if (blob !== null) return blob;
    const message = `the browser has dropped a part of ${address}`;
    throw new CllmError("bad-file", `${message}; free some space and load it again`);
  };
  return {
    path: address,
    size,
    async read(position, length) {
      if (position + length > size) {
        throw new CllmError(
          "bad-file",
          `${address} ends at byte ${size}, but ${position + length} are needed; fetch it again`,
        );
      }
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const at = position + done;
        const start = at % PIECE_BYTES;
        const blob = await pieceOf(Math.floor(at / PIECE_BYTES));
        const part = new Uint8Array(await blob.slice(start, start + length - done).arrayBuffer());
        if (part.length === 0) throw new CllmError("bad-file", `a kept part of ${address} is cut; load it again`);
        bytes.set(part, done);
        done += part.length;
      }
      return bytes;
    },
    async close() {
      pieces.clear();
    },
  };
}
