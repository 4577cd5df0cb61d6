/**
 * Text that people or other programs wrote, as strings: UTF-8 with or without a byte-order mark, and UTF-16 with one, as
 * Windows writes it. What is no text is an error with its place, never replacement characters. Knows no format.
 */
import { CllmError } from "../error.ts";
import { openBinaryFile, readBytes, readPieces } from "./binary-file.ts";
import { joinBytes } from "./bytes.ts";

export type Encoding = "utf-8" | "utf-16le" | "utf-16be";

/** Most characters of a line. A longer one means that the file lost its line breaks, or is something else. */
const LONGEST_LINE = 256 * 2 ** 20;

/** What a text's first bytes say of it, and how many bytes say so. */
export function encodingOf(start: Uint8Array): { readonly encoding: Encoding; readonly markBytes: number } {
  const [first, second, third] = start;
  if (first === 0xef && second === 0xbb && third === 0xbf) return { encoding: "utf-8", markBytes: 3 };
  if (first === 0xff && second === 0xfe) return { encoding: "utf-16le", markBytes: 2 };
  if (first === 0xfe && second === 0xff) return { encoding: "utf-16be", markBytes: 2 };
  return { encoding: "utf-8", markBytes: 0 };
}

/**
 * A whole text, without its byte-order mark. `what` names it in errors. Throws `bad-file` where it is no text.
 *
 * @example decodeText(new TextEncoder().encode("Hello"), "standard input"); // "Hello"
 */
export function decodeText(bytes: Uint8Array, what: string): string {
  const decoder = createDecoder(what);
  return decoder.decode(bytes) + decoder.end();
}

/**
 * Read a text file of at most `maxBytes`. Throws as `openBinaryFile` does, and `bad-file` for what is larger or no text.
 *
 * @example const template = await readText("chat_template.jinja", 1 << 20);
 */
export async function readText(path: string, maxBytes: number): Promise<string> {
  return decodeText(await readBytes(path, maxBytes), path);
}

/** A text file of any size in pieces of about a megabyte. Throws as `readText` does. */
export async function* textPieces(path: string): AsyncGenerator<string, void, void> {
  const file = await openBinaryFile(path);
  const decoder = createDecoder(path);
  try {
    for await (const bytes of readPieces(file)) yield decoder.decode(bytes);
    yield decoder.end();
  } finally {
    await file.close();
  }
}

export interface TextLine {
  /** Without its end. */
  readonly text: string;
  /** Counted from 1. */
  readonly number: number;
}

/**
 * The lines of a text file of any size, which end in `\n`, `\r\n` or `\r`. Throws as `readText` does, and `bad-file` for a
 * line of more than 256 million characters.
 *
 * @example for await (const { text, number } of textLines("faq.jsonl")) check(text, `faq.jsonl:${number}`);
 */
export async function* textLines(path: string): AsyncGenerator<TextLine, void, void> {
  let number = 1;
  let parts: string[] = [];
  let held = 0;
  let afterReturn = false;
  for await (const piece of textPieces(path)) {
    let start = afterReturn && piece.startsWith("\n") ? 1 : 0;
    if (piece !== "") afterReturn = piece.endsWith("\r");
    for (const { 0: end, index } of piece.matchAll(/\r\n?|\n/g)) {
      if (index < start) continue;
      parts.push(piece.slice(start, index));
      start = index + end.length;
      yield { text: parts.join(""), number: number++ };
      parts = [];
      held = 0;
    }
    parts.push(piece.slice(start));
    held += piece.length - start;
    if (held <= LONGEST_LINE) continue;
    throw new CllmError("bad-file", `${path}:${number} has over ${LONGEST_LINE} characters; give one record a line`);
  }
  if (held > 0) yield { text: parts.join(""), number };
}

interface Decoder {
  decode(bytes: Uint8Array): string;
  /** What was held back; throws where the last character is not whole. */
  end(): string;
}

/** How many bytes a byte-order mark has, at most. */
const MARK_BYTES = 3;

function createDecoder(what: string): Decoder {
  let held: Uint8Array = new Uint8Array(0);
  let decode: ((bytes: Uint8Array, isLast: boolean) => { readonly text: string; readonly used: number }) | null = null;
  let at = 0; // of the first byte held
  const step = (bytes: Uint8Array, isLast: boolean): string => {
    let all = held.length === 0 ? bytes : joinBytes([held, bytes]);
    if (decode === null) {
      if (all.length < MARK_BYTES && !isLast) {
        held = all.slice();
        return "";
      }
      const { encoding, markBytes } = encodingOf(all);
      all = all.subarray(markBytes);
      at += markBytes;
      const place = (offset: number): number => at + offset;
      decode =
        encoding === "utf-8"
          ? (part, last) => fromUtf8(part, last, what, place)
          : (part, last) => fromUtf16(part, last, encoding, what, place);
    }
    const { text, used } = decode(all, isLast);
    at += used;
    held = all.slice(used);
    return text;
  };
  return { decode: (bytes) => step(bytes, false), end: () => step(new Uint8Array(0), true) };
}

type Place = (offset: number) => number;

function fromUtf8(bytes: Uint8Array, isLast: boolean, what: string, place: Place) {
  const used = isLast ? bytes.length : bytes.length - unfinished(bytes);
  const whole = bytes.subarray(0, used);
  const text = utf8(whole);
  if (text === null) throw noText(what, `byte ${place(firstWrong(whole))} is not UTF-8`);
  const zero = whole.indexOf(0);
  if (zero >= 0) throw noText(what, `byte ${place(zero)} is zero, as in UTF-16 without a byte-order mark`);
  return { text, used };
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Null where it is none. */
function utf8(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

function fromUtf16(bytes: Uint8Array, isLast: boolean, encoding: Encoding, what: string, place: Place) {
  const even = bytes.length - (bytes.length % 2);
  const high = encoding === "utf-16le" ? even - 1 : even - 2;
  const isSplit = even >= 2 && (bytes[high]! & 0xfc) === 0xd8; // the first half of a pair
  const used = isLast ? bytes.length : isSplit ? even - 2 : even;
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, used));
  } catch {
    throw noText(what, `it begins as UTF-16 and is not from byte ${place(0)} on`);
  }
  if (text.includes("\0")) throw noText(what, "it begins as UTF-16 and holds zeros");
  return { text, used };
}

function noText(what: string, why: string): CllmError {
  return new CllmError("bad-file", `${what} is not text (${why}); save it as UTF-8`);
}

/** Bytes at the end that begin a character of UTF-8 without its rest. */
function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if ((byte & 0xc0) === 0x80) continue; // goes on
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/** Where the longest beginning ends that is UTF-8. */
function firstWrong(bytes: Uint8Array): number {
  let [good, bad] = [0, bytes.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    const part = bytes.subarray(0, middle);
    if (utf8(part.subarray(0, middle - unfinished(part))) !== null) good = middle;
    else bad = middle;
  }
  return good - unfinished(bytes.subarray(0, good));
}
