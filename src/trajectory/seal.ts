/**
 * A checksum inside a Parquet file: 32 bytes that nothing points to, right before the footer, over all that is around
 * them. Readers of Parquet pass over them; ours finds out before it parses a byte whether they are what was written,
 * because a garbled page can keep a decoder busy for hours. Knows nothing of what the file holds.
 */
import { createHash, type Hash } from "node:crypto";
import type { BinaryFile } from "../files/binary-file.ts";

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

/** Whether the file is a Parquet file with an unbroken seal. Throws `disk`. */
export async function isSealed(file: BinaryFile): Promise<boolean> {
  const { size } = file;
  if (size < 4 + SEAL_BYTES + TAIL_BYTES) return false;
  const tail = Buffer.from(await file.read(size - TAIL_BYTES, TAIL_BYTES));
  const at = size - TAIL_BYTES - tail.readUInt32LE(0) - SEAL_BYTES;
  if (tail.toString("latin1", 4) !== "PAR1" || at < 4) return false;
  const hash = createHash("sha256").update(MARK);
  await hashRange(file, hash, 0, at);
  await hashRange(file, hash, at + SEAL_BYTES, size);
  return hash.digest().equals(await file.read(at, SEAL_BYTES));
}

const CHUNK_BYTES = 1 << 22;

async function hashRange(file: BinaryFile, hash: Hash, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += CHUNK_BYTES) hash.update(await file.read(at, Math.min(CHUNK_BYTES, to - at)));
}
