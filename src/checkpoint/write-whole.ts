/**
 * Files that appear whole or not at all: written beside their place under a name of their own, then renamed into it.
 * Knows no format.
 */
import { randomUUID } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { writeError } from "./file-error.ts";

/** Write a file by `write`, in a folder that is made if need be. Throws `disk` and leaves nothing where that fails. */
export async function writeWhole(path: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  const partial = `${path}.${randomUUID().slice(0, 8)}.incomplete`;
  try {
    await mkdir(dirname(path), { recursive: true });
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
