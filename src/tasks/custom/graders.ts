/**
 * Graders for people's own questions, each a function of reference and answer: the same text, the same number, a
 * pattern that matches, the same JSON. The cost of other people's patterns and texts is bounded. Knows no file and no
 * database.
 */
import { TimeLimitError, withinTime } from "../../text/within-time.ts";
import { codeBlocks } from "../answer-text.ts";
import { excerpt, type Verdict } from "../task.ts";

/** The same text, apart from blanks around it. */
export function gradeExact(reference: string, answer: string): Verdict {
  const text = answer.trim();
  if (text === "") return { verdict: "no-answer", detail: "the answer is empty" };
  const right = text === reference.trim();
  return {
    verdict: right ? "right" : "wrong",
    detail: right ? excerpt(text) : `${excerpt(text)}, not ${excerpt(reference)}`,
  };
}

/** Relative to the larger one: a last digit lost in printing. */
const TOLERANCE = 1e-9;

/** The last number of the answer. */
export function gradeNumberValue(reference: number, answer: string): Verdict {
  const number = lastNumberValue(answer);
  if (number === null) return { verdict: "no-answer", detail: `no number in: ${excerpt(answer)}` };
  const right = Math.abs(number - reference) <= TOLERANCE * Math.max(Math.abs(number), Math.abs(reference));
  return { verdict: right ? "right" : "wrong", detail: right ? String(number) : `${number}, not ${reference}` };
}

/** With thousands in commas, decimals and powers of ten; a minus counts where nothing stands before it. */
const NUMBER = /(?<![\w.,)])-?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:(?<=\d)e[+-]?\d+)?(?![\d])|\d+(?:\.\d+)?/giu;

/** The last number in a text, or null where there is none, or one beyond what doubles hold. */
export function lastNumberValue(text: string): number | null {
  const plain = text
    .replaceAll("\u2212", "-")
    .replace(/[$€£]/g, " ")
    .replace(/-\s+(?=\d)/g, "- ");
  const found = [...plain.matchAll(NUMBER)].map(([match]) => match).filter((match) => /\d/.test(match));
  const last = found.at(-1);
  if (last === undefined) return null;
  const value = Number(last.replaceAll(",", ""));
  return Number.isFinite(value) ? value : null;
}

const REGEX_TIMEOUT_MS = 250;

/** Whether the pattern matches somewhere in the answer. */
export function gradeRegex(pattern: RegExp, answer: string): Verdict {
  if (answer.trim() === "") return { verdict: "no-answer", detail: "the answer is empty" };
  try {
    const match = withinTime(REGEX_TIMEOUT_MS, () => pattern.exec(answer));
    if (match === null) return { verdict: "wrong", detail: `${pattern} does not match ${excerpt(answer)}` };
    return { verdict: "right", detail: excerpt(match[0]) };
  } catch (error) {
    if (!(error instanceof TimeLimitError))
      return { verdict: "error", detail: `${pattern}: ${(error as Error).message}` };
    return { verdict: "timeout", detail: `${pattern} ${error.message}` };
  }
}

const JSON_TIMEOUT_MS = 1_000;

/** The same value: names in any order, lists in theirs. */
export function gradeJson(reference: unknown, answer: string): Verdict {
  try {
    return withinTime(JSON_TIMEOUT_MS, (): Verdict => {
      const found = findJson(answer);
      if (found === null) return { verdict: "no-answer", detail: `no JSON in: ${excerpt(answer)}` };
      const path = difference(found.value, reference, "$");
      return path === null
        ? { verdict: "right", detail: excerpt(JSON.stringify(found.value)) }
        : { verdict: "wrong", detail: `${path} differs: ${excerpt(JSON.stringify(found.value))}` };
    });
  } catch (error) {
    const verdict = error instanceof TimeLimitError ? "timeout" : "limit"; // too deep for the stack
    return { verdict, detail: `its JSON cannot be compared: ${(error as Error).message}` };
  }
}

/** The JSON of a text: all of it, else a fenced block, else the first object or list that stands in it. */
export function findJson(text: string): { readonly value: unknown } | null {
  const fenced = codeBlocks(text).map(({ code }) => parsed(code));
  const whole = parsed(text) ?? fenced.find((value) => value !== null) ?? null;
  if (whole !== null) return whole;
  for (let start = text.search(/[{[]/); start >= 0; ) {
    const end = endOf(text, start);
    const found = end === null ? null : parsed(text.slice(start, end));
    if (found !== null) return found;
    const next = text.slice(start + 1).search(/[{[]/);
    start = next < 0 ? -1 : start + 1 + next;
  }
  return null;
}

function parsed(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}

/** Behind the bracket that closes the one at `start`, or null. */
function endOf(text: string, start: number): number | null {
  let depth = 0;
  for (const { 0: token, index } of text.slice(start).matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    if (depth === 0) return start + index + 1;
  }
  return null;
}

/** Where two JSON values first differ, as a path; null where they are the same. */
function difference(one: unknown, other: unknown, path: string): string | null {
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) {
    return one === other ? null : path;
  }
  if (Array.isArray(one) !== Array.isArray(other)) return path;
  const [left, right] = [new Map(Object.entries(one)), new Map(Object.entries(other))];
  for (const name of new Set([...left.keys(), ...right.keys()])) {
    const inner = `${path}.${name}`;
    if (left.has(name) !== right.has(name)) return inner;
    const found = difference(left.get(name), right.get(name), inner);
    if (found !== null) return found;
  }
  return null;
}
