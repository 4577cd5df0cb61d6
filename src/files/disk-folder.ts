/** A directory of the disk as a `Folder`. Knows no format. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { openBinaryFile } from "./binary-file.ts";
import type { Folder } from "./folder.ts";

/** @example const config = await jsonIn(diskFolder("models/text-to-sql"), "config.json", 1 << 20); */
export function diskFolder(path: string): Folder {
  return {
    path,
    has: async (name) => existsSync(join(path, name)),
    list: async (folder) => (existsSync(join(path, folder)) ? (await readdir(join(path, folder))).sort() : []),
    open: (name) => openBinaryFile(join(path, name)),
  };
}
