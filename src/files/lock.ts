/**
 * One run at a time: a lock file that names the process which holds it, and is touched every few seconds while it does.
 * A lock whose process is gone, as after kill -9, is taken over at once; one of another machine or container when it
 * showed no sign of life for half a minute. Knows nothing of what is locked.
 *
 * No library: proper-lockfile removes a stale lock by its name, so of six processes that find one at the same time, two
 * sometimes hold it (tried: 3 of 40 rounds). Here whoever removes a lock first makes a claim named after that very
 * lock. Each lock has a claim of its own, so no process removes a newer lock.
 */
import { randomUUID } from "node:crypto";
import { fstatSync, lstatSync, unlinkSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { link, lstat, mkdir, open, readdir, rm, rmdir } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import * as z from "zod";
import { CllmError } from "../error.ts";
import { openBinaryFile } from "./binary-file.ts";
import { writeError } from "./file-error.ts";
import { type Owner, ownOwner, stateOf } from "./owner.ts";
import { dropScratch, removeLeftovers, scratchFor } from "./scratch.ts";

export interface LockOptions {
  /** Ends the wait; the error is `aborted`. */
  readonly signal?: AbortSignal | undefined;
  /** Called with a line for people where there is something to wait for, or where a lock was taken over. */
  readonly onWait?: ((line: string) => void) | undefined;
  /** How long a lock of another place must be silent to be taken over. Default: 30 000. */
  readonly silentMs?: number;
}

export interface Lock extends AsyncDisposable {
  /** Throws `disk` where another run has taken the lock over, because this process stood still for too long. */
  check(): void;
  release(): Promise<void>;
}

/** Well below `silentMs`, and above the two seconds that some file systems round times to. */
const BEAT_MS = 5000;
const SILENT_MS = 30_000;
const LOOK_MS = 250;
const CLAIM_LOOK_MS = 10;
const MAX_BYTES = 4096;

const START = '{"cllm":1,';
const holderSchema = z.strictObject({
  cllm: z.literal(1),
  pid: z.int().min(1),
  host: z.string(),
  place: z.string(),
  since: z.string(),
  token: z.string().regex(/^[0-9a-f]{16}$/),
});
type Holder = z.infer<typeof holderSchema>;

/**
 * Locks `target` by `target.lock`. Throws `usage` where another run has it, or something that is no lock has its name;
 * `disk` where it cannot be written.
 *
 * @example await using lock = await acquireLock("runs/one", { signal });
 */
export async function acquireLock(target: string, options: LockOptions = {}): Promise<Lock> {
  const path = `${target}.lock`;
  try {
    await mkdir(dirname(path), { recursive: true });
    for (;;) {
      options.signal?.throwIfAborted();
      const handle = await create(path);
      if (handle !== null) return await held(path, target, handle);
      await makeWay(path, target, options);
    }
  } catch (error) {
    if (!options.signal?.aborted || error instanceof CllmError) throw writeError(error, path);
    throw new CllmError("aborted", `waiting for ${path} was cancelled`, { cause: error });
  }
}

/** Those of this process, for its end. */
let locks: Set<() => void> | null = null;

async function held(path: string, target: string, handle: FileHandle): Promise<Lock> {
  await removeLeftovers(dirname(path));
  await removeClaims(path);
  const stopBeating = beat(handle.fd);
  const isOurs = (): boolean => {
    try {
      return lstatSync(path).ino === fstatSync(handle.fd).ino;
    } catch {
      return false;
    }
  };
  const unlock = (): void => {
    if (isOurs()) unlinkSync(path);
  };
  if (locks === null) process.once("exit", () => locks?.forEach((each) => void each()));
  locks ??= new Set();
  locks.add(unlock);
  let open = true;
  const release = async (): Promise<void> => {
    if (!open) return;
    open = false;
    locks?.delete(unlock);
    await stopBeating();
    try {
      unlock();
    } finally {
      await handle.close();
    }
  };
  return {
    check() {
      if (isOurs()) return;
      const why = `another run has taken ${path} over, because this one stood still`;
      throw new CllmError("disk", `${why}; ${target} is the other's now: wait for it, or write elsewhere`);
    },
    release,
    [Symbol.asyncDispose]: release,
  };
}

/** Touches the file in a thread of its own: a pass of a model blocks this one for as long as it takes. */
function beat(fd: number): () => Promise<void> {
  const code = `const { futimesSync } = require("node:fs");
    setInterval(() => { try { const now = new Date(); futimesSync(${fd}, now, now); } catch {} }, ${BEAT_MS});`;
  const worker = new Worker(code, { eval: true, execArgv: [], stdout: true, stderr: true });
  worker.on("error", () => {}); // without it the lock holds on this machine; other machines may take it over
  worker.unref();
  return async () => {
    await worker.terminate(); // before the number stands for another file
  };
}

/** Makes a lock of this process; null where something has the name. It appears with its whole content or not at all. */
async function create(path: string): Promise<FileHandle | null> {
  const own: Holder = { cllm: 1, ...ownOwner(), host: hostname(), token: randomUUID().replaceAll("-", "").slice(16) };
  const scratch = scratchFor(path);
  let handle: FileHandle | null = await open(scratch, "wx");
  try {
    await handle.writeFile(`${JSON.stringify(own)}\n`);
    await link(scratch, path);
    return handle;
  } catch (error) {
    await handle.close();
    handle = null;
    const { code = "" } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return null;
    if (!["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes(code)) throw error;
    return await createWithoutLinks(path, own);
  } finally {
    await dropScratch(scratch);
  }
}

/** On a file system without links it is empty for a moment; an empty lock is taken over after a silence. */
async function createWithoutLinks(path: string, own: Holder): Promise<FileHandle | null> {
  try {
    const handle = await open(path, "wx");
    await handle.writeFile(`${JSON.stringify(own)}\n`);
    return handle;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return null;
    throw error;
  }
}

/** What stands at a lock's name. */
interface Found {
  readonly kind: "file" | "folder" | "other";
  /** null if it names no process. */
  readonly holder: Holder | null;
  /** Tells it from whatever stood there before and will stand there later. */
  readonly id: string;
  /** Changes with every sign of life. */
  readonly touched: string;
}

/** Null where there is nothing. Throws `usage` for a file or folder that somebody else has made. */
async function look(path: string): Promise<Found | null> {
  const facts = await lstat(path, { bigint: true }).catch(ignoreMissing);
  if (facts === null) return null;
  const id = `${facts.ino.toString(16)}-${facts.birthtimeNs.toString(16)}`;
  const touched = `${id} ${facts.mtimeNs}`;
  if (facts.isDirectory()) {
    if (((await readdir(path).catch(ignoreMissing)) ?? []).length > 0) throw foreign(path, "a folder and no lock");
    return { kind: "folder", holder: null, id, touched };
  }
  if (!facts.isFile()) return { kind: "other", holder: null, id, touched };
  if (facts.size > MAX_BYTES) throw foreign(path, "a file and no lock");
  const text = await textOf(path);
  if (text === null) return null;
  const holder = parseHolder(text);
  if (holder !== null) return { kind: "file", holder, id: holder.token, touched };
  const written = text.replaceAll("\0", "").trim(); // after a system crash the file may hold zeros
  if (written !== "" && !START.startsWith(written) && !written.startsWith(START)) {
    throw foreign(path, "a file and no lock");
  }
  return { kind: "file", holder: null, id, touched };
}

function foreign(path: string, what: string): CllmError {
  return new CllmError("usage", `${path} is ${what} of cllm; move it away, or write elsewhere`);
}

async function textOf(path: string): Promise<string | null> {
  try {
    const file = await openBinaryFile(path);
    try {
      return Buffer.from(await file.read(0, Math.min(file.size, MAX_BYTES))).toString("utf8");
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CllmError && error.code !== "disk") return null; // it has changed meanwhile
    throw error;
  }
}

function parseHolder(text: string): Holder | null {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** Waits until the name is free, or removes the lock of a dead process. Throws `usage` if a living process holds it. */
async function makeWay(path: string, target: string, options: LockOptions): Promise<void> {
  const found = await look(path);
  if (found === null) return;
  const whose = ownerText(found);
  const state = await watch(path, found, whose, options);
  if (state === "changed") return;
  if (state === "alive") {
    throw new CllmError("usage", `another run is writing ${target}: ${whose}; wait for it, or write elsewhere`);
  }
  await removeUnderClaim(path, found, options);
}

function ownerText({ kind, holder }: Found): string {
  if (holder === null) return kind === "file" ? "a lock without a holder" : `a ${kind === "folder" ? kind : "link"}`;
  const { pid, host, place } = holder;
  if (place === ownOwner().place) return `process ${pid}`;
  return `process ${pid} ${host === hostname() ? "of another container or start of this machine" : `on ${host}`}`;
}

/** Whether it is held. If that cannot be told from here, it is watched for a while. */
async function watch(
  path: string,
  found: Found,
  whose: string,
  { signal, onWait, silentMs = SILENT_MS }: LockOptions,
): Promise<"alive" | "gone" | "changed"> {
  const state = found.holder === null ? "unknown" : stateOf(found.holder satisfies Owner);
  if (state !== "unknown") return state;
  const seconds = Math.ceil(silentMs / 1000);
  onWait?.(`${path} is ${whose}; waiting ${seconds} s for a sign of life`);
  const end = performance.now() + silentMs;
  while (performance.now() < end) {
    await delay(Math.min(LOOK_MS, silentMs), undefined, signal ? { signal } : {});
    const now = await look(path);
    if (now === null || now.id !== found.id) return "changed";
    if (now.touched !== found.touched) return found.holder === null ? "changed" : "alive";
  }
  onWait?.(`${path} showed no sign of life for ${seconds} s and is taken over`);
  return "gone";
}

const claimOf = (path: string, { id }: Found): string => `${path}.${id}.claim`;

/** Removes what was found, and nothing that came after it. A claim is a lock, whose holder may have been killed too. */
async function removeUnderClaim(path: string, found: Found, options: LockOptions): Promise<void> {
  const claim = claimOf(path, found);
  const handle = await create(claim);
  if (handle === null) {
    const other = await look(claim);
    if (other !== null && (await watch(claim, other, ownerText(other), options)) === "gone") {
      await removeUnderClaim(claim, other, options);
    } else await delay(CLAIM_LOOK_MS, undefined, options.signal ? { signal: options.signal } : {});
    return;
  }
  try {
    const now = await look(path);
    if (now?.id !== found.id) return;
    if (found.kind === "folder") await rmdir(path);
    else await rm(path, { force: true });
  } finally {
    await rm(claim, { force: true });
    await handle.close();
  }
}

/** Claims to locks that are no more: killed processes leave them. Whoever makes one now finds another lock than it claims. */
async function removeClaims(path: string): Promise<void> {
  const start = `${basename(path)}.`;
  for (const entry of await readdir(dirname(path)).catch(() => [])) {
    if (!entry.startsWith(start) || !/^([0-9a-f-]+\.claim\.?)+$/.test(entry.slice(start.length))) continue;
    await rm(join(dirname(path), entry), { force: true }).catch(() => {});
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
  throw error;
}
