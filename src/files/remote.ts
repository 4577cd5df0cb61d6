/**
 * Work on files that belong into an object store: they are made in a folder of this machine, what is appended to a journal is stored
 * piece by piece, and what is whole is stored at the end. So a machine that is lost loses what a killed process loses. A path of
 * this machine is used as it is. Knows nothing of what is in the files.
 */
import { createHash } from "node:crypto";
import { mkdir, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CllmError } from "../error.ts";
import { defaultCacheFolder } from "./cache-folder.ts";
import { acquireLock, type Lock } from "./lock.ts";
import { isS3, type ObjectStore, openS3, parseS3, type S3Options } from "./s3.ts";

export interface RemoteOptions extends Pick<S3Options, "signal" | "env" | "firstWaitMs"> {
  /** Told what there is to wait for. */
  readonly note?: ((line: string) => void) | undefined;
}

export interface StagedFiles {
  /** Files that only grow while there is work, such as a journal. */
  readonly growing: readonly string[];
  /** Files that are there in the end. */
  readonly whole: readonly string[];
}

/** A folder to work in. */
export interface WorkFolder extends AsyncDisposable {
  /** On this machine. */
  readonly folder: string;
  /** Stores what has grown since. Call it after each piece of work. */
  sync(): Promise<void>;
  /** Stores what is whole, and forgets the pieces. */
  finish(): Promise<void>;
}

const folderFor = (url: string): string =>
  join(defaultCacheFolder(), "remote", createHash("sha256").update(url).digest("hex").slice(0, 16));

/**
 * A folder to work in for one of this machine, or of a store (`s3://bucket/folder`). What the store has of the files is in it.
 *
 * @example
 * await using work = await openWorkFolder("s3://mine/runs", { growing: ["a.jsonl.journal"], whole: ["a.jsonl"] });
 * await work.finish();
 */
export async function openWorkFolder(
  folder: string,
  { growing, whole }: StagedFiles,
  options: RemoteOptions = {},
): Promise<WorkFolder> {
  if (!isS3(folder)) return { folder, sync: async () => {}, finish: async () => {}, async [Symbol.asyncDispose]() {} };
  const { bucket, key } = parseS3(`${folder.replace(/\/+$/, "")}/`);
  const store = openS3(bucket, { ...options, onRetry: options.note });
  const local = folderFor(`${folder} ${whole.join(" ")}`);
  const lock = await acquireLock(join(local, "work"), { signal: options.signal, onWait: options.note });
  try {
    return await staged(store, key, local, lock, { growing, whole });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function staged(
  store: ObjectStore,
  prefix: string,
  local: string,
  lock: Lock,
  { growing, whole }: StagedFiles,
): Promise<WorkFolder> {
  const stored = new Map(growing.map((name) => [name, { bytes: 0, pieces: [] as string[] }]));
  const at = (name: string): string => join(local, name);
  const pieceKeys = (name: string): string => `${prefix}${name}.pieces/`;
  for (const name of new Set([...growing, ...whole])) {
    await rm(at(name), { force: true });
    const found = whole.includes(name) ? await store.get(`${prefix}${name}`) : null;
    if (found !== null) await writeFile(at(name), found);
    const state = stored.get(name);
    if (state === undefined) continue;
    state.pieces = [...(await store.list(pieceKeys(name)))];
    if (found !== null) state.bytes = found.length;
    else if (state.pieces.length > 0) {
      const pieces = [];
      for (const piece of state.pieces) pieces.push((await store.get(piece)) ?? new Uint8Array(0));
      const bytes = Buffer.concat(pieces);
      await writeFile(at(name), bytes);
      state.bytes = bytes.length;
    }
  }

  async function sync(): Promise<void> {
    for (const [name, state] of stored) {
      const size = await sizeOf(at(name));
      if (size === null || size <= state.bytes) continue;
      const bytes = await readFrom(at(name), state.bytes, size);
      const last = state.pieces.at(-1);
      const number = last === undefined ? 0 : Number(basename(last)) + 1;
      const key = `${pieceKeys(name)}${String(number).padStart(9, "0")}`;
      await store.put(key, bytes);
      state.pieces.push(key);
      state.bytes = size;
    }
  }

  return {
    folder: local,
    sync,
    async finish() {
      for (const name of whole) {
        if ((await sizeOf(at(name))) !== null) await store.put(`${prefix}${name}`, await readFile(at(name)));
      }
      for (const { pieces } of stored.values()) for (const piece of pieces.splice(0)) await store.delete(piece);
    },
    async [Symbol.asyncDispose]() {
      for (const name of [...growing, ...whole]) await rm(at(name), { force: true, recursive: true });
      await lock.release();
    },
  };
}

async function sizeOf(path: string): Promise<number | null> {
  return stat(path).then(
    ({ size }) => size,
    () => null,
  );
}

async function readFrom(path: string, begin: number, end: number): Promise<Uint8Array> {
  const handle = await open(path, "r");
  try {
    const bytes = new Uint8Array(end - begin);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, begin);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** A file of this machine with what a path or `s3://` names. Throws `not-found`. */
export async function localCopy(path: string, options: RemoteOptions = {}): Promise<string> {
  if (!isS3(path)) return path;
  const { bucket, key } = parseS3(path);
  const bytes = await openS3(bucket, { ...options, onRetry: options.note }).get(key);
  if (bytes === null) {
    throw new CllmError("not-found", `${path} does not exist; check the name`);
  }
  const copy = join(folderFor(path), basename(key));
  await mkdir(dirname(copy), { recursive: true });
  await writeFile(copy, bytes);
  return copy;
}

/** The names of the files in a folder of this machine or of a store. */
export async function namesIn(folder: string, options: RemoteOptions = {}): Promise<readonly string[]> {
  const { bucket, key } = parseS3(`${folder.replace(/\/+$/, "")}/`);
  const keys = await openS3(bucket, { ...options, onRetry: options.note }).list(key);
  return keys.map((each) => each.slice(key.length)).filter((name) => name !== "" && !name.includes("/"));
}

/** Folder and name, also of `s3://`. */
export function splitPath(path: string): { readonly folder: string; readonly name: string } {
  if (!isS3(path)) return { folder: dirname(path), name: basename(path) };
  const { key } = parseS3(path);
  const name = basename(key);
  return { folder: path.slice(0, path.length - name.length).replace(/\/+$/, ""), name };
}
