/**
 * One file of known size and hash over HTTP: into `*.incomplete` beside its place, from where an earlier attempt ended,
 * checked, then linked to its name, so that a partial file is never taken for a whole one. Processes that fetch the same
 * file at once write the same bytes to the same positions, and the first to be done gives it its name. Knows nothing of
 * repositories.
 */
import { createHash } from "node:crypto";
import { constants, existsSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { link, mkdir, open, rename, rm, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CllmError } from "../../error.ts";
import { writeError } from "../../files/file-error.ts";
import { HttpStatusError, statusOf } from "./error.ts";

export interface DownloadProgress {
  readonly stage: "download";
  /** The file. */
  readonly what: string;
  readonly done: number;
  readonly total: number;
  readonly unit: "bytes";
}

export interface Download {
  readonly url: string;
  readonly size: number;
  /** Hexadecimal: SHA-256 (64 digits), or git's SHA-1 of the file as a blob (40). */
  readonly hash: string;
  /** Where the whole file goes. */
  readonly blob: string;
  /** Its name for people. */
  readonly what: string;
  /** Sent to the url's origin; `fetch` drops it where a redirect leads elsewhere. */
  readonly token: string | null;
  readonly onProgress: ((progress: DownloadProgress) => void) | null;
  readonly signal: AbortSignal | null;
}

/** Attempts in a row that bring nothing new before giving up, and the wait before the first repetition. */
const ATTEMPTS = 4;
const FIRST_WAIT_MS = 250;

/** Try again, with growing waits, while the network or the server fails; other errors pass at once. */
export async function withRetries<T>(signal: AbortSignal | null, attempt: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (failures >= ATTEMPTS || signal?.aborted || !isTransient(error)) throw error;
      await delay(FIRST_WAIT_MS * 2 ** (failures - 1), undefined, signal ? { signal } : {});
    }
  }
}

function isTransient(error: unknown): boolean {
  const status = statusOf(error);
  if (status !== null) return status === 408 || status === 429 || status >= 500;
  return error instanceof TypeError && /fetch failed|terminated/.test(error.message);
}

/** Fetch a file into its place, unless it is there. Throws what `fetch` throws, and `disk`, `network` or `bad-file`. */
export async function downloadBlob(download: Download): Promise<void> {
  const { blob, size, what } = download;
  const partial = `${blob}.incomplete`;
  let handle: FileHandle | null = null;
  try {
    if (existsSync(blob)) return await rm(partial, { force: true }); // a process may have been killed before it did so
    await mkdir(dirname(blob), { recursive: true });
    handle = await open(partial, constants.O_RDWR | constants.O_CREAT, 0o644);
    if (existsSync(blob)) return await rm(partial, { force: true }); // another process finished while this one opened
    let done = (await handle.stat()).size;
    if (done > size) {
      await handle.truncate(0);
      done = 0;
    }
    await checkSpace(dirname(blob), size - done, what);
    for (let before = -1; done < size; ) {
      if (done === before)
        throw new CllmError("network", `${what} ends after ${done} of ${size} bytes; try again later`);
      before = done;
      await withRetries(download.signal, async () => {
        const start = done;
        try {
          for await (const end of fetchInto(handle!, download, start)) done = end;
        } catch (error) {
          if (done === start || !isTransient(error)) throw error; // having come further, go on from there
        }
      });
    }
    await checkHash(handle, download, partial);
    await handle.sync();
    await handle.close();
    handle = null;
    await publish(partial, blob);
  } catch (error) {
    throw isFileError(error) ? writeError(error, partial) : error;
  } finally {
    await handle?.close();
  }
}

/**
 * Give a whole file its name. A link, unlike a renaming, never replaces a file: where another process was faster and a
 * third has begun anew under the partial name, that beginning must not become the file.
 */
async function publish(partial: string, blob: string): Promise<void> {
  try {
    await link(partial, blob);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!existsSync(blob)) {
      if (code !== "EPERM" && code !== "ENOSYS" && code !== "ENOTSUP") throw error;
      return await rename(partial, blob); // a file system without links
    }
  }
  await rm(partial, { force: true });
}

/** Request the bytes from `start` on and write them; yields the position reached after each piece. */
async function* fetchInto(handle: FileHandle, download: Download, start: number): AsyncGenerator<number> {
  const { url, size, what, token, signal, onProgress } = download;
  const headers = new Headers({ Range: `bytes=${start}-${size - 1}`, "Accept-Encoding": "identity" });
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  const response = await fetch(url, { headers, signal });
  const isRange = response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${start}-`);
  if (!isRange && !(response.status === 200 && start === 0)) {
    await response.body?.cancel();
    if (!response.ok) throw new HttpStatusError(response.status, url);
    const message = `the server of ${what} cannot go on at byte ${start} (status ${response.status})`;
    throw new CllmError("network", `${message}; delete ${download.blob}.incomplete and run again`);
  }
  let position = start;
  const report = (): void => onProgress?.({ stage: "download", what, done: position, total: size, unit: "bytes" });
  report();
  for await (const piece of response.body ?? []) {
    if (position + piece.length > size) {
      throw new CllmError("network", `the server sends more than the ${size} bytes of ${what}; try again later`);
    }
    for (let written = 0; written < piece.length; ) {
      written += (await handle.write(piece, written, piece.length - written, position + written)).bytesWritten;
    }
    position += piece.length;
    yield position;
    report();
  }
}

/**
 * Compare with the hash that the hub states: the SHA-256 of large files, the hash of git's blob for small ones. A file
 * that differs is removed.
 */
async function checkHash(handle: FileHandle, { hash, size, what }: Download, partial: string): Promise<void> {
  const digest = createHash(hash.length === 64 ? "sha256" : "sha1");
  if (hash.length === 40) digest.update(`blob ${size}\0`);
  const buffer = new Uint8Array(2 ** 22);
  for (let position = 0; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) break;
    digest.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
  const found = digest.digest("hex");
  if (found === hash) return;
  await rm(partial, { force: true });
  throw new CllmError("bad-file", `${what} arrived damaged: its hash is ${found} instead of ${hash}; run again`);
}

async function checkSpace(folder: string, bytes: number, what: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const gigabytes = (n: number): string => `${(n / 1e9).toFixed(2)} GB`;
  const message = `${what} needs ${gigabytes(bytes)} more, but ${folder} has ${gigabytes(free)} free`;
  throw new CllmError("disk", `${message}; free some space, or set HF_HUB_CACHE or CLLM_CACHE to another disk`);
}

function isFileError(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return (
    typeof code === "string" && typeof syscall === "string" && error instanceof Error && !(error instanceof TypeError)
  );
}
