/** Files and standard input as text. Knows nothing of what is in them. */
import { readFile } from "node:fs/promises";
import { addAbortSignal } from "node:stream";
import { CllmError } from "../error.ts";

/** The whole text of a file, or of standard input for `-`; the signal ends the wait for it. */
export async function readInput(file: string, signal: AbortSignal): Promise<string> {
  if (file !== "-") {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      throw new CllmError("not-found", `cannot read ${file} (${(error as Error).message})`, { cause: error });
    }
  }
  const chunks: Buffer[] = [];
  for await (const chunk of addAbortSignal(signal, process.stdin)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

/** Text as JSON; `where` says whose it is. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CllmError("bad-input", `${where} is not JSON (${(error as Error).message})`, { cause: error });
  }
}
