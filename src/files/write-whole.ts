/**
 * Files and folders that appear whole or not at all: written beside their place under a name of their own, then renamed
 * into it. Knows no format.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { mkdir, open, readdir, rename, rm, rmdir, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { CllmError } from "../error.ts";
import { readError, writeError } from "./file-error.ts";

/**
 * Write a file by `write`, in a folder that is made if need be. Throws `disk` and leaves nothing where that fails; at
 * once where the disk has no room for `bytes`.
 */
export async function writeWhole(
  path: string,
  write: (handle: FileHandle) => Promise<void>,
  { bytes = 0 }: { readonly bytes?: number } = {},
): Promise<void> {
  const partial = `${path}.${randomUUID().slice(0, 8)}.incomplete`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await checkRoom(path, bytes);
    const handle = await open(partial, "wx");
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw writeError(error, path);
  }
}

/** Some file systems do not say how much room they have; those show when they are full. */
async function checkRoom(path: string, bytes: number): Promise<void> {
  if (bytes === 0) return;
  const { blocks, bavail, bsize } = await statfs(dirname(path));
  const free = bavail * bsize;
  if (blocks === 0 || free >= bytes) return;
  const message = `${path} takes ${bytes} bytes, and its disk has ${free} left.`;
  throw new CllmError("disk", `${message} Free some space, or write to another disk.`);
}

export interface WriteFolderOptions {
  /** Take the place of a folder that is there. Default: false. */
  readonly overwrite?: boolean | undefined;
  /** A file that a folder must hold to be replaced, so that a slip of the hand deletes nobody's home. */
  readonly marker: string;
}

/**
 * Throws `usage` where a file or folder at `path` is in the way of a folder to be written: for a check before long work.
 * An empty folder is not.
 */
export async function checkFolderFree(path: string, { overwrite = false, marker }: WriteFolderOptions): Promise<void> {
  if (!existsSync(path)) return;
  const entries = await readdir(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") {
      throw new CllmError("usage", `${path} is a file, and a folder is to be written: choose another name.`);
    }
    throw readError(error, path);
  });
  if (entries.length === 0 || (overwrite && entries.includes(marker))) return;
  const next = overwrite
    ? `It holds no ${marker}, so it is left alone: choose another folder.`
    : "Choose another folder, or ask for it to be overwritten.";
  throw new CllmError("usage", `${path} exists and is not empty. ${next}`);
}

/**
 * Write a folder by `write`, which gets the path to write into. What was there stays until all is done. Throws `usage`
 * where something is in the way, `disk` where writing fails; nothing is left then.
 */
export async function writeWholeFolder(
  path: string,
  write: (partial: string) => Promise<void>,
  options: WriteFolderOptions,
): Promise<void> {
  await checkFolderFree(path, options);
  const suffix = randomUUID().slice(0, 8);
  const target = resolve(path); // a path may end in a slash
  const partial = `${target}.${suffix}.incomplete`;
  try {
    await mkdir(partial, { recursive: true });
    await write(partial);
    await checkFolderFree(path, options); // once more: the writing may have taken hours
    await replaceFolder(partial, target, `${target}.${suffix}.replaced`);
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => {});
    throw renamed(writeError(error, path), partial, path);
  }
}

/** The error, about the place that was asked for. */
function renamed(error: CllmError, partial: string, path: string): CllmError {
  if (!error.message.includes(partial)) return error;
  return new CllmError(error.code, error.message.replaceAll(partial, path), { cause: error });
}

async function replaceFolder(partial: string, target: string, aside: string): Promise<void> {
  if (!existsSync(target)) return rename(partial, target);
  if ((await readdir(target)).length === 0) {
    await rmdir(target);
    return rename(partial, target);
  }
  await rename(target, aside);
  try {
    await rename(partial, target);
  } catch (error) {
    await rename(aside, target);
    throw error;
  }
  await rm(aside, { recursive: true, force: true });
}

/** Write a text file into a folder; the file appears whole or not at all. */
export async function writeText(folder: string, name: string, content: string | Uint8Array): Promise<void> {
  await writeWhole(join(folder, name), (handle) => handle.appendFile(content));
}

/** Throws `aborted` where the caller has cancelled. */
export function checkAborted(signal: AbortSignal | undefined, path: string): void {
  if (!signal?.aborted) return;
  throw new CllmError("aborted", `Writing ${path} was cancelled; nothing is left of it.`, { cause: signal.reason });
}
