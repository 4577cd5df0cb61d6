/**
 * Files read at positions: the only way in which checkpoint readers touch a disk. A file is never read whole, a short
 * read is an error, and system errors come out as `CllmError`. Knows no format.
 */
import { constants, type Stats } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { open, stat } from "node:fs/promises";
import { CllmError } from "../error.ts";
import { readError } from "./file-error.ts";

export interface BinaryFile {
  readonly path: string;
  /** Bytes, when it was opened. */
  readonly size: number;
  /** Exactly `length` bytes from `position`, in a fresh array. Throws `bad-file` where the file ends before. */
  read(position: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Open a regular file for reading. Throws `not-found`, `bad-file` for a folder, pipe or device, `disk` where the system
 * forbids it. A pipe never blocks: the thread that waits to open one would keep the process from ending.
 *
 * @example const file = await openBinaryFile("model.gguf");
 */
export async function openBinaryFile(path: string): Promise<BinaryFile> {
  let handle: FileHandle | null = null;
  try {
    requireFile(await stat(path), path); // opening some devices does something already
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const facts = await handle.stat();
    requireFile(facts, path);
    return binaryFile(path, facts.size, handle);
  } catch (error) {
    await handle?.close();
    throw readError(error, path);
  }
}

/** Throws `bad-file` for what is no regular file. */
export function requireFile(facts: Stats, path: string): void {
  if (facts.isFile()) return;
  if (facts.isDirectory()) throw new CllmError("bad-file", `${path} is a directory where a file is expected`);
  const what = facts.isFIFO() ? "a pipe" : facts.isSocket() ? "a socket" : "a device";
  throw new CllmError(
    "bad-file",
    `${path} is ${what} where a file is expected; write what comes from it to a file first`,
  );
}

/** Reads a file in pieces of at most a megabyte, from its beginning to its end as it was when it was opened. */
export async function* readPieces(file: BinaryFile): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < file.size; at += PIECE_BYTES) yield await file.read(at, Math.min(PIECE_BYTES, file.size - at));
}

/** Read a whole file of at most `maxBytes`. Throws as `openBinaryFile` does, and `bad-file` for a larger one. */
export async function readBytes(path: string, maxBytes: number): Promise<Uint8Array> {
  const file = await openBinaryFile(path);
  try {
    if (file.size <= maxBytes) return await file.read(0, file.size);
    const message = `${path} has ${file.size} bytes; the limit for such a file is ${maxBytes}`;
    throw new CllmError("bad-file", `${message}: check that it is what its name says`);
  } finally {
    await file.close();
  }
}

const PIECE_BYTES = 1 << 20;

function binaryFile(path: string, size: number, handle: FileHandle): BinaryFile {
  let open = true;
  return {
    path,
    size,
    async read(position, length) {
      if (!open) throw new CllmError("disposed", `${path} was closed; open it again to read from it`);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, position + done).catch((error: unknown) => {
          throw readError(error, path);
        });
        if (bytesRead === 0) {
          const message = `${path} ends at byte ${position + done}, but ${position + length} are needed`;
          throw new CllmError("bad-file", `${message}: it is truncated or being written; fetch it again`);
        }
        done += bytesRead;
      }
      return bytes;
    },
    async close() {
      if (!open) return;
      open = false;
      await handle.close();
    },
  };
}
