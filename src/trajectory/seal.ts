/**
 * A checksum inside a Parquet file: 32 bytes that nothing points to, right before the footer, over all that is around
 * them. Readers of Parquet pass over them; ours finds out before it parses a byte whether they are what was written,
 * because a garbled page can keep a decoder busy for hours. Knows nothing of what the file holds.
 */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { readError } from "../files/file-error.ts";

const SEAL_BYTES = 32;
const TAIL_BYTES = 8; // the footer's length and PAR1
const MARK = "cllm sealed Parquet";

/** The bytes of a Parquet file as the two parts that the seal goes between, and the seal. */
export function sealed(bytes: Uint8Array): readonly [pages: Uint8Array, seal: Uint8Array, footer: Uint8Array] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = bytes.length - TAIL_BYTES - view.getUint32(bytes.length - TAIL_BYTES, true);
  const pages = bytes.subarray(0, at);
  const footer = bytes.subarray(at);
  return [pages, createHash("sha256").update(MARK).update(pages).update(footer).digest(), footer];
}

/** Whether the file is a Parquet file with an unbroken seal. Throws `not-found` and `disk`. */
export async function isSealed(path: string): Promise<boolean> {
  try {
    const handle = await open(path);
    try {
      return await verify(handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw readError(error, path);
  }
}

async function verify(handle: FileHandle): Promise<boolean> {
  const { size } = await handle.stat();
  if (size < 4 + SEAL_BYTES + TAIL_BYTES) return false;
  const tail = await readAt(handle, size - TAIL_BYTES, size);
  const at = size - TAIL_BYTES - tail.readUInt32LE(0) - SEAL_BYTES;
  if (tail.toString("latin1", 4) !== "PAR1" || at < 4) return false;
  const hash = createHash("sha256").update(MARK);
  await hashRange(handle, hash, 0, at);
  await hashRange(handle, hash, at + SEAL_BYTES, size);
  return hash.digest().equals(await readAt(handle, at, at + SEAL_BYTES));
}

const CHUNK_BYTES = 1 << 22;

async function hashRange(handle: FileHandle, hash: Hash, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += CHUNK_BYTES) hash.update(await readAt(handle, at, Math.min(to, at + CHUNK_BYTES)));
}

async function readAt(handle: FileHandle, from: number, to: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(to - from), 0, to - from, from);
  return buffer.subarray(0, bytesRead);
}
