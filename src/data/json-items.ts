/**
 * The items of a file that is one JSON list, one at a time: such files outgrow the longest string there can be. Finds where
 * items end and leaves the rest to `JSON.parse`. Knows nothing of what is in them.
 */
import { createReadStream } from "node:fs";
import { CllmError } from "../error.ts";
import { readError } from "../files/file-error.ts";

const MAX_ITEM_BYTES = 256 * 2 ** 20;

/** Throws `bad-file` where the file is no list, an item is damaged or the end is missing. */
export async function* jsonItems(path: string): AsyncGenerator<unknown, void, void> {
  const wrong = (reason: string, cause?: unknown): CllmError =>
    new CllmError("bad-file", `${path} is no JSON list: ${reason}`, { cause });
  let state: "start" | "item" | "between" | "end" = "start";
  let depth = 0;
  let quoted = false;
  let escaped = false;
  let held: Buffer[] = []; // of the present item, from earlier chunks
  let heldBytes = 0;
  let count = 0;
  const parse = (last: Buffer): unknown => {
    const text = Buffer.concat([...held, last]).toString("utf8");
    held = [];
    heldBytes = 0;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw wrong(`item ${count} is damaged (${(error as Error).message})`, error);
    }
  };
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
      let from = 0; // where the present item begins in this chunk
      for (let i = 0; i < chunk.length; i++) {
        const c = chunk[i]!;
        if (quoted) {
          if (escaped) escaped = false;
          else if (c === 0x5c) escaped = true;
          else if (c === 0x22) quoted = false;
          continue;
        }
        const blank = c === 0x20 || c === 0x0a || c === 0x0d || c === 0x09;
        if (state === "start" || state === "end") {
          if (blank || (state === "start" && (c === 0xef || c === 0xbb || c === 0xbf))) continue; // a byte-order mark
          if (state === "end") throw wrong("something follows its end");
          if (c !== 0x5b) throw wrong("it does not begin with [");
          state = "between";
          from = i + 1;
          continue;
        }
        if (depth === 0 && (c === 0x2c || c === 0x5d)) {
          if (state === "item") yield parse(chunk.subarray(from, i));
          else if (c === 0x2c || count > 0) throw wrong(`item ${count} is missing`);
          count++;
          state = c === 0x5d ? "end" : "between";
          from = i + 1;
          continue;
        }
        if (!blank) state = "item";
        if (c === 0x22) quoted = true;
        else if (c === 0x7b || c === 0x5b) depth++;
        else if (c === 0x7d || c === 0x5d) depth--;
      }
      if (state === "end") continue;
      held.push(chunk.subarray(from));
      heldBytes += chunk.length - from;
      if (heldBytes > MAX_ITEM_BYTES) throw wrong(`item ${count} has over ${MAX_ITEM_BYTES} bytes`);
    }
  } catch (error) {
    throw readError(error, path);
  }
  if (state !== "end") throw wrong(state === "start" ? "it is empty" : "it ends within");
}
