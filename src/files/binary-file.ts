/**
 * Files read at positions: the only way in which checkpoint readers touch a disk. A file is never read whole, a short
 * read is an error, and system errors come out as `CllmError`. Knows no format.
 */
import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
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

/** Open a file for reading. Throws `not-found`, or `disk` where the system forbids it. */
export async function openBinaryFile(path: string): Promise<BinaryFile> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(path, "r");
    const facts = await handle.stat();
    if (!facts.isFile()) throw new CllmError("bad-file", `${path} is not a file. Name a model file or its directory.`);
    return binaryFile(path, facts.size, handle);
  } catch (error) {
    await handle?.close();
    throw readError(error, path);
  }
}

function binaryFile(path: string, size: number, handle: FileHandle): BinaryFile {
  let open = true;
  return {
    path,
    size,
    async read(position, length) {
      if (!open) throw new CllmError("disposed", `${path} was closed. Open the checkpoint again to read from it.`);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, position + done).catch((error: unknown) => {
          throw readError(error, path);
        });
        if (bytesRead === 0) {
          const message = `${path} ends at byte ${position + done}, but ${position + length} are needed.`;
          throw new CllmError("bad-file", `${message} It is truncated or being written: fetch it again.`);
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
