/**
 * The lines of a file that is only ever appended to, such as a journal: up to the last line that is whole, each with the byte
 * where it ends, so that a torn end can be cut off. Knows nothing of what is in a line.
 */
import { constants } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { CllmError } from "../error.ts";
import { openBinaryFile, readPieces, requireFile } from "./binary-file.ts";
import { writeError } from "./file-error.ts";

const LONGEST_LINE_BYTES = 256 * 2 ** 20;

/** Opens a file to append to; it and its folder are made if need be. Throws `bad-file` for what is no file, `disk`. */
export async function openAppended(path: string): Promise<FileHandle> {
  const { O_APPEND, O_CREAT, O_WRONLY, O_NONBLOCK = 0 } = constants;
  let handle: FileHandle | null = null;
  try {
    await mkdir(dirname(path), { recursive: true });
    handle = await open(path, O_APPEND | O_CREAT | O_WRONLY | O_NONBLOCK);
    requireFile(await handle.stat(), path);
    return handle;
  } catch (error) {
    await handle?.close();
    throw writeError(error, path);
  }
}

export interface WholeLine {
  /** Without its end. */
  readonly text: string;
  /** The first byte behind its end. */
  readonly end: number;
}

/**
 * Throws as `openBinaryFile` does, and `bad-file` for a line that no writer of ours makes.
 *
 * @example for await (const { text, end } of wholeLines("answers.jsonl")) last = end;
 */
export async function* wholeLines(path: string): AsyncGenerator<WholeLine, void, void> {
  const file = await openBinaryFile(path);
  let parts: Uint8Array[] = [];
  let held = 0;
  let end = 0;
  try {
    for await (const piece of readPieces(file)) {
      let start = 0;
      for (let stop = piece.indexOf(10); stop >= 0; stop = piece.indexOf(10, start)) {
        parts.push(piece.subarray(start, stop));
        const line = Buffer.concat(parts);
        start = stop + 1;
        end += line.length + 1;
        yield { text: line.toString("utf8"), end };
        parts = [];
        held = 0;
      }
      parts.push(piece.subarray(start));
      held += piece.length - start;
      if (held <= LONGEST_LINE_BYTES) continue;
      throw new CllmError("bad-file", `${path} has a line of over ${LONGEST_LINE_BYTES} bytes; restore the file`);
    }
  } finally {
    await file.close();
  }
}
