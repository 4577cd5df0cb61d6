/**
 * JSON from untrusted files: bounded in size and depth before it is parsed, and, where the format says that names are
 * unique, checked to be. Knows no schema.
 */
import { CllmError, type ErrorCode } from "../error.ts";
import { readText } from "./text.ts";

/** Code that walks through values may recurse once for each level. */
export const MAX_JSON_DEPTH = 64;

interface ParseJsonOptions {
  /** Throw where an object names a key twice; `JSON.parse` would silently keep the last. */
  readonly uniqueKeys?: boolean;
  /** Take `NaN`, `Infinity` and `-Infinity` for the numbers that they name, as Python writes and reads them. */
  readonly pythonNumbers?: boolean;
  /** Of the errors. Default: `bad-file`. */
  readonly code?: ErrorCode;
  /** What to do about it, for the errors. Default: `fetch it again`. */
  readonly next?: string;
}

/**
 * Parse JSON. `what` names it in errors. Throws for bad syntax, nesting over 64 levels and repeated keys.
 *
 * @example parseJson(line, "faq.jsonl:3", { code: "bad-input", next: "give one object a line" });
 */
export function parseJson(
  text: string,
  what: string,
  { uniqueKeys = false, pythonNumbers = false, code = "bad-file", next = "fetch it again" }: ParseJsonOptions = {},
): unknown {
  const { depth, members } = measure(text);
  if (depth > MAX_JSON_DEPTH) {
    throw new CllmError(code, `${what} nests ${depth} levels deep, and the limit is ${MAX_JSON_DEPTH}; ${next}`);
  }
  let value: unknown;
  try {
    value = pythonNumbers && /NaN|Infinity/.test(text) ? parsePython(text) : JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CllmError(code, `${what} is not JSON (${reason}); ${next}`, { cause: error });
  }
  if (uniqueKeys && countMembers(value) !== members) {
    throw new CllmError(code, `${what} names the same key twice, so it cannot be trusted; ${next}`);
  }
  return value;
}

/** Read and parse a JSON file of at most `maxBytes` that holds an object, with the numbers that Python writes. */
export async function readJsonObject(path: string, maxBytes: number): Promise<Record<string, unknown>> {
  return jsonObject(await readText(path, maxBytes), path);
}

/** The object that a JSON text holds, with the numbers that Python writes. `what` names it in errors. */
export function jsonObject(text: string, what: string): Record<string, unknown> {
  const value = parseJson(text, what, { pythonNumbers: true });
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CllmError("bad-file", `${what} holds no JSON object; fetch it again`);
  }
  return value as Record<string, unknown>;
}

/** JSON has no word for these numbers: infinities are written as ones too large, and NaN as a random text. */
function parsePython(text: string): unknown {
  const notANumber = crypto.getRandomValues(new Uint32Array(4)).join("-");
  let written = "";
  let done = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) i = endOfString(text, i);
    const word = c === 0x4e ? "NaN" : c === 0x49 ? "Infinity" : null;
    if (word === null || !text.startsWith(word, i)) continue;
    written += text.slice(done, i) + (word === "NaN" ? JSON.stringify(notANumber) : "1e999");
    done = i + word.length;
    i = done - 1;
  }
  return JSON.parse(written + text.slice(done), (_, value) => (value === notANumber ? Number.NaN : value));
}

/** Deepest nesting, and members written in all objects: the colons outside strings. */
function measure(text: string): { depth: number; members: number } {
  let depth = 0;
  let deepest = 0;
  let members = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) i = endOfString(text, i);
    else if (c === 0x7b || c === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (c === 0x7d || c === 0x5d) depth--;
    else if (c === 0x3a) members++;
  }
  return { depth: deepest, members };
}

/** Index of the quote that closes the string opened at `start`, or the text's length. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

function countMembers(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  const values = Object.values(value);
  return values.reduce<number>((sum, child) => sum + countMembers(child), Array.isArray(value) ? 0 : values.length);
}
