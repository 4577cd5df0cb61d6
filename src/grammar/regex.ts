/**
 * Regular expressions as grammars, in the notation of ECMA-262 as far as it describes a regular language: no lookaround,
 * back references or word borders, which are refused by their place. Knows nothing of JSON.
 */
import { CllmError } from "../error.ts";
import { among, chain, complement, type Expression, normal, type Range, repeat, set } from "./expression.ts";

const DIGITS: readonly Range[] = [[0x30, 0x39]];
const WORDS: readonly Range[] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const SPACES: readonly Range[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: readonly Range[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const CLASSES: Readonly<Record<string, readonly Range[]>> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORDS,
  W: complement(WORDS),
  s: SPACES,
  S: complement(SPACES),
};
const ESCAPES: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, "0": 0 };
const MAX_LENGTH = 10_000;
const MAX_NESTING = 100;
const ANYTHING: Expression = repeat(set([0, 0x10ffff]), 0);

/**
 * The language of a pattern. `whole`: the pattern describes the whole text; else it occurs somewhere in it, as in JSON Schema,
 * unless `^` and `$` tie it. Throws `usage` with the place of what is wrong or not regular.
 */
export function parseRegex(
  pattern: string,
  { whole, what = "the pattern" }: { whole: boolean; what?: string },
): Expression {
  if (pattern.length > MAX_LENGTH)
    throw new CllmError("usage", `${what} has ${pattern.length} characters; at most ${MAX_LENGTH} are read`);
  return new Parser(pattern, whole, what).parse();
}

class Parser {
  readonly #characters: readonly string[];
  readonly #whole: boolean;
  readonly #what: string;
  #at = 0;
  #nesting = 0;

  constructor(pattern: string, whole: boolean, what: string) {
    this.#characters = Array.from(pattern);
    this.#whole = whole;
    this.#what = what;
  }

  parse(): Expression {
    const parsed = this.#alternatives(true);
    if (this.#at < this.#characters.length) this.#refuse("a ) without its (");
    return parsed;
  }

  #alternatives(outermost: boolean): Expression {
    const found = [this.#alternative(outermost)];
    while (this.#take("|")) found.push(this.#alternative(outermost));
    return among(found);
  }

  #alternative(outermost: boolean): Expression {
    const parts: Expression[] = [];
    const begins = outermost && this.#take("^");
    let ends = false;
    while (this.#at < this.#characters.length && this.#peek() !== "|" && this.#peek() !== ")") {
      if (outermost && this.#peek() === "$" && [undefined, "|"].includes(this.#characters[this.#at + 1])) {
        this.#at++;
        ends = true;
        break;
      }
      parts.push(this.#quantified(this.#atom()));
    }
    const tied = this.#whole || !outermost;
    if (!tied && !begins) parts.unshift(ANYTHING);
    if (!tied && !ends) parts.push(ANYTHING);
    return chain(parts);
  }

  #atom(): Expression {
    const character = this.#characters[this.#at++]!;
    switch (character) {
      case ".":
        return set(...complement(LINE_ENDS));
      case "(":
        return this.#group();
      case "[":
        return set(...this.#bracket());
      case "\\":
        return set(...this.#escape(false));
      case "^":
      case "$":
        this.#at--;
        return this.#refuse(`${character} inside; it may stand at the very beginning or end only`);
      case "*":
      case "+":
      case "?":
        this.#at--;
        return this.#refuse(`${character} with nothing to repeat before it`);
      default: {
        const point = character.codePointAt(0)!;
        return set([point, point]);
      }
    }
  }

  #group(): Expression {
    if (++this.#nesting > MAX_NESTING) this.#refuse(`more than ${MAX_NESTING} groups in each other`);
    if (this.#take("?")) {
      if (this.#take("<")) {
        if (this.#peek() === "=" || this.#peek() === "!") this.#refuse("lookbehind, which no grammar can do");
        while (this.#at < this.#characters.length && !this.#take(">")) this.#at++;
      } else if (!this.#take(":")) this.#refuse("lookahead or a flag, which no grammar can do");
    }
    const inner = this.#alternatives(false);
    if (!this.#take(")")) this.#refuse("a ( without its )");
    this.#nesting--;
    return inner;
  }

  #quantified(atom: Expression): Expression {
    let result = atom;
    let quantified = false;
    for (;;) {
      const bounds = this.#bounds();
      if (bounds === null) return result;
      if (quantified) this.#refuse("two repetitions of one thing; put the first into a group");
      quantified = true;
      result = repeat(result, bounds[0], bounds[1]);
      this.#take("?"); // a lazy repetition matches the same texts
    }
  }

  #bounds(): [number, number] | null {
    if (this.#take("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#take("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#take("?")) return [0, 1];
    if (this.#peek() !== "{") return null;
    const match = /^\{(\d+)(,(\d*))?\}/.exec(this.#characters.slice(this.#at, this.#at + 24).join(""));
    if (match === null) return this.#refuse("a { that begins no repetition; write \\{ for the character");
    this.#at += match[0].length;
    const least = Number(match[1]);
    const most = match[2] === undefined ? least : match[3] === "" ? Number.POSITIVE_INFINITY : Number(match[3]);
    if (most < least) this.#refuse(`a repetition of at least ${least} and at most ${most}`);
    return [least, most];
  }

  #bracket(): Range[] {
    const not = this.#take("^");
    const ranges: Range[] = [];
    while (!this.#take("]")) {
      if (this.#at >= this.#characters.length) this.#refuse("a [ without its ]");
      const low = this.#member();
      if (
        this.#peek() === "-" &&
        this.#characters[this.#at + 1] !== "]" &&
        low.length === 1 &&
        low[0]![0] === low[0]![1]
      ) {
        this.#at++;
        const high = this.#member();
        const [from, to] = [low[0]![0], high[0]?.[0] ?? 0];
        if (high.length !== 1 || high[0]![0] !== high[0]![1] || to < from)
          this.#refuse("a range that ends before it begins");
        ranges.push([from, to]);
      } else for (const each of low) ranges.push(each);
    }
    return not ? complement(ranges) : normal(ranges);
  }

  #member(): readonly Range[] {
    const character = this.#characters[this.#at++];
    if (character === undefined) return this.#refuse("a [ without its ]");
    if (character === "\\") return this.#escape(true);
    const point = character.codePointAt(0)!;
    return [[point, point]];
  }

  #escape(inBracket: boolean): readonly Range[] {
    const character = this.#characters[this.#at++];
    if (character === undefined) return this.#refuse("a \\ at the end");
    const own = CLASSES[character];
    if (own !== undefined) return own;
    if (character === "b" && inBracket) return [[8, 8]];
    if (character === "x") return this.#point(/^[0-9a-fA-F]{2}/);
    if (character === "u") return this.#point(/^(?:\{[0-9a-fA-F]{1,6}\}|[0-9a-fA-F]{4})/);
    const known = ESCAPES[character];
    if (known !== undefined) return [[known, known]];
    if (/[bBpPkc1-9]/.test(character)) return this.#refuse(`\\${character}, which is not supported`, 2);
    const point = character.codePointAt(0)!;
    return [[point, point]];
  }

  #point(form: RegExp): readonly Range[] {
    const match = form.exec(this.#characters.slice(this.#at, this.#at + 8).join(""));
    if (match === null) return this.#refuse("an escape without its hexadecimal digits");
    this.#at += match[0].length;
    const point = Number.parseInt(match[0].replace(/[{}]/g, ""), 16);
    if (point > 0x10ffff) this.#refuse("a character beyond U+10FFFF");
    return [[point, point]];
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #refuse(problem: string, back = 0): never {
    const place = Math.max(0, this.#at - back) + 1;
    throw new CllmError(
      "usage",
      `${this.#what} has ${problem}, at character ${place} of ${this.#characters.join("").slice(0, 80)}`,
    );
  }
}
