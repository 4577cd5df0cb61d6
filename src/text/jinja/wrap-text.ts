/**
 * Python's `textwrap.wrap`, as the filter `wordwrap` uses it. Knows no template.
 */
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { pointCount, slicePoints } from "./text.ts";

export interface WrapOptions {
  /** Of a line, in code points. */
  readonly width: number;
  readonly breakLong: boolean;
  readonly breakHyphens: boolean;
}

const LETTER = "[^\\d\\W]";
const SPACE = "[\\t\\n\\x0b\\x0c\\r ]";
const NOT_SPACE = "[^\\t\\n\\x0b\\x0c\\r ]";
/** Where a text may be cut: at white space, behind the hyphens of words, and around dashes. */
const CHUNK = new RegExp(
  `(${SPACE}+|(?<=[\\w!"'&.,?])-{2,}(?=\\w)|${NOT_SPACE}+?(?:-(?:(?<=${LETTER}{2}-)|(?<=${LETTER}-${LETTER}-))(?=${LETTER}-?${LETTER})|(?=${SPACE}|$)|(?<=[\\w!"'&.,?])(?=-{2,}\\w)))`,
);
const WORD = new RegExp(`(${SPACE}+)`);

/** One line as several, none wider than the width where that can be had. */
export function wrapText(line: string, { width, breakLong, breakHyphens }: WrapOptions, budget: Budget): string[] {
  if (width <= 0) throw new JinjaError("value", `invalid width ${width} (must be > 0)`);
  budget.step(line.length); // the pattern looks back and forth
  const chunks = line
    .split(breakHyphens ? CHUNK : WORD)
    .filter((chunk) => chunk !== "")
    .reverse();
  const lines: string[] = [];
  while (chunks.length > 0) {
    budget.step();
    const current: string[] = [];
    let length = 0;
    if (lines.length > 0 && chunks.at(-1)!.trim() === "") chunks.pop();
    for (let next = chunks.at(-1); next !== undefined && length + pointCount(next) <= width; next = chunks.at(-1)) {
      length += pointCount(next);
      current.push(chunks.pop()!);
    }
    const long = chunks.at(-1);
    if (long !== undefined && pointCount(long) > width) {
      if (breakLong) {
        const end = hyphenBefore(long, width - length, breakHyphens);
        current.push(slicePoints(long, 0, end));
        chunks[chunks.length - 1] = slicePoints(long, end, Infinity);
      } else if (current.length === 0) current.push(chunks.pop()!);
    }
    if (current.at(-1)?.trim() === "") current.pop();
    if (current.length > 0) lines.push(current.join(""));
  }
  return lines;
}

/** Where to cut a chunk that is too long: behind its last hyphen in reach, else where the room ends. */
function hyphenBefore(chunk: string, room: number, breakHyphens: boolean): number {
  if (!breakHyphens || pointCount(chunk) <= room) return room;
  const hyphen = slicePoints(chunk, 0, room).lastIndexOf("-");
  return hyphen > 0 && /[^-]/.test(chunk.slice(0, hyphen)) ? hyphen + 1 : room;
}
