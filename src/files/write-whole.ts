/**
 * Files and folders that appear whole or not at all: written beside their place under a name of their own, then renamed
 * into it. What a killed process left is removed by the next one that writes there. Knows no format.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, renameSync, rmdirSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { mkdir, open, readdir, rename, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { CllmError } from "../error.ts";
import { readError, writeError } from "./file-error.ts";
import { asideOf, dropScratch, recoverFolder, removeLeftovers, scratchFor } from "./scratch.ts";

/**
 * Write a file by `write`, in a folder that is made if need be. Throws `disk` and leaves nothing where that fails; at
 * once where the disk has no room for `bytes`; `usage` where a folder, pipe or device has the name.
 *
 * @example await writeWhole("report.json", (file) => file.appendFile(JSON.stringify(report)));
 */
export async function writeWhole(
  path: string,
  write: (handle: FileHandle) => Promise<void>,
  { bytes = 0 }: { readonly bytes?: number } = {},
): Promise<void> {
  const partial = scratchFor(path);
  underWay++;
  try {
    await checkReplaceable(path);
    await mkdir(dirname(path), { recursive: true });
    await removeLeftovers(dirname(path));
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
    throw writeError(error, path);
  } finally {
    underWay--;
    await dropScratch(partial);
  }
}

let underWay = 0;

/** How many files and folders are being written, so that ending the process can wait for them. */
export const writesUnderWay = (): number => underWay;

/** A rename takes the place of anything but a folder, `/dev/null` included. */
async function checkReplaceable(path: string): Promise<void> {
  const facts = await stat(path).catch(() => null);
  if (facts === null || facts.isFile()) return;
  const what = facts.isDirectory() ? "a folder" : "a pipe or a device";
  throw new CllmError("usage", `${path} is ${what}, and a file is to be written; choose another name`);
}

/** Some file systems do not say how much room they have; those show when they are full. */
async function checkRoom(path: string, bytes: number): Promise<void> {
  if (bytes === 0) return;
  const { blocks, bavail, bsize } = await statfs(dirname(path));
  const free = bavail * bsize;
  if (blocks === 0 || free >= bytes) return;
  const message = `${path} takes ${bytes} bytes, and its disk has ${free} left`;
  throw new CllmError("disk", `${message}; free some space, or write to another disk`);
}

export interface WriteFolderOptions {
  /** Take the place of a folder that is there. Default: false. */
  readonly overwrite?: boolean | undefined;
  /** A file that a folder must hold to be replaced, so that a mistyped path does not delete a home folder. */
  readonly marker: string;
}

/**
 * Throws `usage` where a file or folder at `path` is in the way of a folder to be written: for a check before long work.
 * An empty folder is not.
 */
export async function checkFolderFree(path: string, { overwrite = false, marker }: WriteFolderOptions): Promise<void> {
  await recoverFolder(path);
  if (!existsSync(path)) return;
  const entries = await readdir(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") {
      throw new CllmError("usage", `${path} is a file, and a folder is to be written; choose another name`);
    }
    throw readError(error, path);
  });
  if (entries.length === 0 || (overwrite && entries.includes(marker))) return;
  const next = overwrite
    ? `it holds no ${marker}, so it is kept; choose another folder`
    : "choose another folder, or ask for it to be overwritten";
  throw new CllmError("usage", `${path} exists and is not empty; ${next}`);
}

/**
 * Write a folder by `write`, which gets the path to write into. What was there stays until all is done. Throws `usage`
 * where something is in the way, `disk` where writing fails; nothing is left then.
 *
 * Killed at any moment, the old folder or the new one is at the name. Where the system's `mv` can exchange two folders
 * (Linux with coreutils 9.5), that holds for every reader. Elsewhere two renames follow one another, and a process that is
 * killed between them leaves the name free until `recoverFolder`, which all of our readers and writers call, puts the new
 * folder there.
 *
 * @example await writeWholeFolder("model", (folder) => writeText(folder, "config.json", text), { marker: "config.json" });
 */
export async function writeWholeFolder(
  path: string,
  write: (partial: string) => Promise<void>,
  options: WriteFolderOptions,
): Promise<void> {
  const target = resolve(path); // a path may end in a slash
  const partial = scratchFor(target);
  underWay++;
  try {
    await checkFolderFree(path, options);
    await mkdir(partial, { recursive: true });
    await removeLeftovers(dirname(target));
    await write(partial);
    await checkFolderFree(path, options); // once more: the writing may have taken hours
    replaceFolder(partial, target);
  } catch (error) {
    throw renamed(writeError(error, path), partial, path);
  } finally {
    underWay--;
    await dropScratch(asideOf(partial));
    await dropScratch(partial);
  }
}

/** The error, about the place that was asked for. */
function renamed(error: CllmError, partial: string, path: string): CllmError {
  if (!error.message.includes(partial)) return error;
  return new CllmError(error.code, error.message.replaceAll(partial, path), { cause: error });
}

/** Without a pause between its steps, so that nothing but a kill from outside comes between them. */
function replaceFolder(partial: string, target: string): void {
  const isThere = existsSync(target);
  const isEmpty = isThere && readdirSync(target).length === 0;
  if (isEmpty) rmdirSync(target);
  if (!isThere || isEmpty) {
    renameSync(partial, target);
    return;
  }
  if (exchange(partial, target)) return; // the old one is the scratch now
  const aside = asideOf(partial);
  renameSync(target, aside);
  try {
    renameSync(partial, target);
  } catch (error) {
    renameSync(aside, target);
    throw error;
  }
}

/** Swaps two folders in one step, which Node.js has no call for; false where the system's `mv` cannot. */
function exchange(one: string, other: string): boolean {
  if (process.platform !== "linux") return false;
  const flags = ["--exchange", "--no-target-directory", "--"];
  return spawnSync("mv", [...flags, one, other], { stdio: "ignore", timeout: 10_000 }).status === 0;
}

/** Write a text file into a folder; the file appears whole or not at all. */
export async function writeText(folder: string, name: string, content: string | Uint8Array): Promise<void> {
  await writeWhole(join(folder, name), (handle) => handle.appendFile(content));
}

/** Throws `aborted` where the caller has cancelled. */
export function checkAborted(signal: AbortSignal | undefined, path: string): void {
  if (!signal?.aborted) return;
  throw new CllmError("aborted", `writing ${path} was cancelled; nothing is left of it`, { cause: signal.reason });
}
