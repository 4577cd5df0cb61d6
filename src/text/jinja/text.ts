/**
 * Texts as Python sees them: sequences of code points, with Python's idea of white space and of line breaks. Knows no
 * template.
 */
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";

const SPACES = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACE = new RegExp(`[${SPACES}]`, "u");
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python breaks lines at them
const LINE_BREAK = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g;
const SURROGATE = /[\ud800-\udfff]/;

export function isSpace(character: string): boolean {
  return SPACE.test(character);
}

/** The code points of a text; the text itself where each is one UTF-16 unit. */
export function points(text: string): readonly string[] | string {
  return SURROGATE.test(text) ? Array.from(text) : text;
}

export function pointCount(text: string): number {
  return points(text).length;
}

/** The part between two places, counted in code points. */
export function slicePoints(text: string, start: number, end: number): string {
  const all = points(text);
  return typeof all === "string" ? all.slice(start, end) : all.slice(start, end).join("");
}

/** The order of two texts by code points: negative, 0 or positive. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : 1;
  const [left, right] = [Array.from(a), Array.from(b)];
  const shared = Math.min(left.length, right.length);
  for (let i = 0; i < shared; i++) {
    const order = left[i]!.codePointAt(0)! - right[i]!.codePointAt(0)!;
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

/** Python's `strip` at either end: of white space, or of any of `characters`. */
export function strip(text: string, characters: string | null, ends: "both" | "left" | "right" = "both"): string {
  const letters = points(text);
  const set = characters === null ? null : new Set(characters);
  const drops = (letter: string): boolean => (set === null ? isSpace(letter) : set.has(letter));
  let start = 0;
  let end = letters.length;
  if (ends !== "right") while (start < end && drops(letters[start]!)) start++;
  if (ends !== "left") while (end > start && drops(letters[end - 1]!)) end--;
  if (start === 0 && end === letters.length) return text;
  return typeof letters === "string" ? letters.slice(start, end) : letters.slice(start, end).join("");
}

/** Python's `splitlines`. */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let start = 0;
  for (const match of text.matchAll(LINE_BREAK)) {
    const end = match.index + match[0].length;
    lines.push(text.slice(start, keepEnds ? end : match.index));
    start = end;
  }
  if (start < text.length) lines.push(text.slice(start));
  return lines;
}

const LONG_NEEDLE = 64; // the engine's own search is quadratic for bad cases of long ones

/** Finds a text in others, in linear time: the place at or after `from`, in UTF-16 units, or -1. */
export function finder(needle: string, budget: Budget): (text: string, from?: number) => number {
  if (needle.length <= LONG_NEEDLE) {
    return (text, from = 0) => {
      const at = text.indexOf(needle, from);
      budget.step(1 + ((at < 0 ? text.length : at) - Math.min(from, text.length)) / 64);
      return at;
    };
  }
  const back = failures(needle, budget);
  return (text, from = 0) => {
    let matched = 0;
    for (let i = from; i < text.length; i++) {
      if (i % 64 === 0) budget.step();
      while (matched > 0 && text[i] !== needle[matched]) matched = back[matched - 1]!;
      if (text[i] === needle[matched]) matched++;
      if (matched === needle.length) return i - matched + 1;
    }
    return -1;
  };
}

/** How much of the needle still matches after each mismatch (Knuth, Morris and Pratt). */
function failures(needle: string, budget: Budget): Int32Array {
  budget.step(needle.length / 16);
  const back = new Int32Array(needle.length);
  for (let i = 1, matched = 0; i < needle.length; i++) {
    while (matched > 0 && needle[i] !== needle[matched]) matched = back[matched - 1]!;
    if (needle[i] === needle[matched]) matched++;
    back[i] = matched;
  }
  return back;
}

/** The last place of a text in another that ends at or before `end`, or -1. */
export function findLast(text: string, needle: string, budget: Budget): number {
  const reverse = (whole: string): string => whole.split("").reverse().join("");
  budget.length(text.length);
  const at = finder(reverse(needle), budget)(reverse(text));
  return at < 0 ? -1 : text.length - at - needle.length;
}

/** Python's `replace`: at most `count` times, or without end where it is negative. */
export function replaceText(text: string, old: string, by: string, count: number, budget: Budget): string {
  if (count === 0) return text;
  const parts = old === "" ? betweenPoints(text, count) : splitText(text, old, count, budget);
  budget.length(text.length + (parts.length - 1) * (by.length - old.length));
  return parts.join(by);
}

function betweenPoints(text: string, count: number): string[] {
  const letters = Array.from(text);
  const cuts = count < 0 ? letters.length + 1 : Math.min(count, letters.length + 1);
  const parts = ["", ...letters.slice(0, cuts - 1)];
  return [...parts, letters.slice(cuts - 1).join("")];
}

/** The parts of a text between separators, from the left, at most `count` cuts where that is not negative. */
export function splitText(text: string, separator: string, count: number, budget: Budget): string[] {
  if (separator === "") throw new JinjaError("value", "empty separator");
  const find = finder(separator, budget);
  const parts: string[] = [];
  let start = 0;
  for (let at = find(text); at >= 0 && parts.length !== count; at = find(text, start)) {
    budget.step();
    parts.push(text.slice(start, at));
    start = at + separator.length;
  }
  parts.push(text.slice(start));
  return parts;
}

/** The same from the right. */
export function splitTextRight(text: string, separator: string, count: number, budget: Budget): string[] {
  if (count < 0) return splitText(text, separator, -1, budget);
  const reverse = (whole: string): string => whole.split("").reverse().join("");
  return splitText(reverse(text), reverse(separator), count, budget).reverse().map(reverse);
}

/** The words of a text, at most `count` cuts where that is not negative; what is left stays as it is. */
export function splitWords(text: string, count: number, budget: Budget): string[] {
  const words: string[] = [];
  budget.length(text.length);
  let i = 0;
  while (i < text.length) {
    while (i < text.length && isSpace(text[i]!)) i++;
    if (i >= text.length) break;
    budget.step();
    if (words.length === count) {
      words.push(text.slice(i));
      break;
    }
    const start = i;
    while (i < text.length && !isSpace(text[i]!)) i++;
    words.push(text.slice(start, i));
  }
  return words;
}

export function splitWordsRight(text: string, count: number, budget: Budget): string[] {
  if (count < 0) return splitWords(text, -1, budget);
  const reverse = (whole: string): string => whole.split("").reverse().join("");
  return splitWords(reverse(text), count, budget).reverse().map(reverse);
}

/** First letter large, the others small. */
export function capitalize(text: string): string {
  const [first = ""] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** A text filled up to a width in code points. */
export function pad(
  text: string,
  width: number,
  fill: string,
  side: "left" | "right" | "both",
  budget: Budget,
): string {
  const missing = width - pointCount(text);
  if (missing <= 0) return text;
  budget.length(width * fill.length);
  if (side === "left") return fill.repeat(missing) + text;
  if (side === "right") return text + fill.repeat(missing);
  const left = (missing >> 1) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}
