/**
 * Files that belong together under one place, on a disk or behind an address. Whoever reads a checkpoint asks a folder for
 * its files by name and does not know which of the two it is.
 */

import { CllmError } from "../error.ts";
import type { BinaryFile } from "./binary-file.ts";
import { jsonObject } from "./json.ts";
import { decodeText } from "./text.ts";

export interface Folder {
  /** A directory's path or an address, for people and errors. */
  readonly path: string;
  has(name: string): Promise<boolean>;
  /** Names of the files in a folder of it, sorted; none where there is no such folder, or where nobody can list it. */
  list(folder: string): Promise<string[]>;
  /** Throws as `openBinaryFile` does. */
  open(name: string): Promise<BinaryFile>;
}

/** A file's whole text. Throws `bad-file` for one of more than `maxBytes`. */
export async function textIn(folder: Folder, name: string, maxBytes: number): Promise<string> {
  const file = await folder.open(name);
  try {
    if (file.size <= maxBytes) return decodeText(await file.read(0, file.size), file.path);
    const message = `${file.path} has ${file.size} bytes; the limit for such a file is ${maxBytes}`;
    throw new CllmError("bad-file", `${message}: check that it is what its name says`);
  } finally {
    await file.close();
  }
}

/** A file that holds a JSON object. Throws as `readJsonObject` does. */
export async function jsonIn(folder: Folder, name: string, maxBytes: number): Promise<Record<string, unknown>> {
  return jsonObject(await textIn(folder, name, maxBytes), fileIn(folder, name));
}

/** The same, or null where the folder has no such file. */
export async function optionalJsonIn(
  folder: Folder,
  name: string,
  maxBytes: number,
): Promise<Record<string, unknown> | null> {
  return (await folder.has(name)) ? await jsonIn(folder, name, maxBytes) : null;
}

/** A file of the folder, for people. */
export const fileIn = ({ path }: Folder, name: string): string => `${path.replace(/[\\/]$/, "")}/${name}`;
