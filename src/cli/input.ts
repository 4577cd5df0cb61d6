/** Files and standard input as text. Knows nothing of what is in them. */
import { stat } from "node:fs/promises";
import { Socket } from "node:net";
import { addAbortSignal, type Readable } from "node:stream";
import { CllmError } from "../error.ts";
import { decodeText, readText } from "../files/text.ts";

const MAX_BYTES = 256 * 2 ** 20;
/** What the shell hands over: `<(command)` is one of these. */
const INHERITED = /^\/(?:dev\/stdin|dev\/fd\/(\d{1,9})|proc\/self\/fd\/(\d{1,9}))$/;

/**
 * The whole text of a file, or of standard input for `-`; the signal ends the wait for it. Throws `not-found`, `bad-file`
 * for what is no text or has over 256 MB, and for pipes and devices but those that the process was started with.
 */
export async function readInput(file: string, signal: AbortSignal): Promise<string> {
  const inherited = file === "-" ? process.stdin : await inheritedStream(file);
  if (inherited === null) return readText(file, MAX_BYTES);
  const what = file === "-" ? "standard input" : file;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of addAbortSignal(signal, inherited)) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BYTES) throw new CllmError("bad-file", `${what} has over ${MAX_BYTES} bytes; give less`);
  }
  return decodeText(Buffer.concat(chunks), what);
}

/** The open pipe that a path stands for. Opening it by its path might never return. */
async function inheritedStream(path: string): Promise<Readable | null> {
  const match = INHERITED.exec(path);
  if (match === null) return null;
  const facts = await stat(path).catch(() => null);
  if (facts === null || facts.isFile() || facts.isDirectory()) return null;
  const fd = Number(match[1] ?? match[2] ?? 0);
  return fd === 0 ? process.stdin : new Socket({ fd, readable: true, writable: false });
}
