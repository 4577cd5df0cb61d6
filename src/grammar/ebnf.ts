/**
 * Grammars in EBNF, in the dialect that llama.cpp calls GBNF and other engines read too: `name ::= ...`, texts in quotes, classes
 * in brackets, groups, `|`, and `?`, `*`, `+`, `{2,5}`. The text must match the rule `root`. Knows no tokens.
 */
import { CllmError } from "../error.ts";
import {
  among,
  chain,
  complement,
  type Expression,
  type Range,
  repeat,
  rule,
  type Source,
  set,
  text,
} from "./expression.ts";

const MAX_LENGTH = 1_000_000;
const MAX_NESTING = 100;

/** Throws `usage` with the line of what is wrong. */
export function parseEbnf(grammar: string): Source {
  if (grammar.length > MAX_LENGTH)
    throw new CllmError("usage", `the grammar has ${grammar.length} characters; at most ${MAX_LENGTH} are read`);
  const rules = new Parser(grammar).rules();
  if (!rules.has("root")) throw new CllmError("usage", "the grammar has no rule root, which the whole text must match");
  return { root: "root", rules };
}

class Parser {
  readonly #text: string;
  #at = 0;
  #nesting = 0;

  constructor(grammar: string) {
    this.#text = grammar;
  }

  rules(): Map<string, Expression> {
    const rules = new Map<string, Expression>();
    this.#skip(true);
    while (this.#at < this.#text.length) {
      const name = this.#name();
      if (name === null) this.#refuse('needs a rule here, such as root ::= "yes" | "no"');
      this.#skip(true);
      if (!this.#take("::=")) this.#refuse(`needs ::= after ${name}`);
      if (rules.has(name as string)) this.#refuse(`has a second rule ${name}`);
      this.#skip(true);
      rules.set(name as string, this.#alternatives(true));
      this.#skip(true);
    }
    return rules;
  }

  /** `outermost`: a line end ends the rule, unless the next line begins with `|`. */
  #alternatives(outermost: boolean): Expression {
    const found = [this.#sequence(outermost)];
    for (;;) {
      const before = this.#at;
      this.#skip(true);
      if (this.#take("|")) {
        this.#skip(true);
        found.push(this.#sequence(outermost));
      } else {
        this.#at = before;
        return among(found);
      }
    }
  }

  #sequence(outermost: boolean): Expression {
    const parts: Expression[] = [];
    for (;;) {
      this.#skip(!outermost);
      const item = this.#item();
      if (item === null) break;
      parts.push(this.#quantified(item));
    }
    return chain(parts);
  }

  #item(): Expression | null {
    const character = this.#text[this.#at];
    if (character === '"') return text(this.#quoted());
    if (character === "[") return this.#bracket();
    if (character === ".") {
      this.#at++;
      return set([0, 0x10ffff]);
    }
    if (character === "(") {
      if (++this.#nesting > MAX_NESTING) this.#refuse(`has more than ${MAX_NESTING} groups in each other`);
      this.#at++;
      this.#skip(true);
      const inner = this.#alternatives(false);
      this.#skip(true);
      if (!this.#take(")")) this.#refuse("needs ) here");
      this.#nesting--;
      return inner;
    }
    const before = this.#at;
    const name = this.#name();
    if (name === null) {
      if (character !== undefined && !"|)\n\r#".includes(character))
        this.#refuse(`has ${character}, which means nothing here`);
      return null;
    }
    const behind = this.#at;
    this.#skip(true);
    if (this.#text.startsWith("::=", this.#at)) {
      this.#at = before; // the next rule
      return null;
    }
    this.#at = behind;
    return rule(name);
  }

  #quantified(item: Expression): Expression {
    if (this.#take("*")) return repeat(item, 0);
    if (this.#take("+")) return repeat(item, 1);
    if (this.#take("?")) return repeat(item, 0, 1);
    const match = /^\{\s*(\d{1,6})\s*(,\s*(\d{0,6})\s*)?\}/.exec(this.#text.slice(this.#at, this.#at + 40));
    if (match === null) return item;
    this.#at += match[0].length;
    const least = Number(match[1]);
    const most = match[2] === undefined ? least : match[3] === "" ? Number.POSITIVE_INFINITY : Number(match[3]);
    if (most < least) this.#refuse(`repeats at least ${least} and at most ${most} times`);
    return repeat(item, least, most);
  }

  #quoted(): string {
    this.#at++;
    let literal = "";
    while (this.#text[this.#at] !== '"') literal += String.fromCodePoint(this.#character('"'));
    this.#at++;
    return literal;
  }

  #bracket(): Expression {
    this.#at++;
    const not = this.#take("^");
    const ranges: Range[] = [];
    while (!this.#take("]")) {
      const low = this.#character("]");
      if (this.#text[this.#at] === "-" && this.#text[this.#at + 1] !== "]") {
        this.#at++;
        const high = this.#character("]");
        if (high < low) this.#refuse("has a range that ends before it begins");
        ranges.push([low, high]);
      } else ranges.push([low, low]);
    }
    return set(...(not ? complement(ranges) : ranges));
  }

  #character(end: string): number {
    const point = this.#text.codePointAt(this.#at);
    if (point === undefined || point === 10) this.#refuse(`needs ${end} on this line`);
    this.#at += (point as number) > 0xffff ? 2 : 1;
    if (point !== 0x5c) return point as number;
    const match = /^(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/su.exec(
      this.#text.slice(this.#at, this.#at + 9),
    );
    if (match === null) this.#refuse("ends in a \\");
    const [whole, ...parts] = match as RegExpExecArray;
    this.#at += whole.length;
    const hex = parts[0] ?? parts[1] ?? parts[2];
    if (hex !== undefined) return Math.min(Number.parseInt(hex, 16), 0x10ffff);
    const known = { n: 10, r: 13, t: 9 }[whole];
    return known ?? (whole.codePointAt(0) as number);
  }

  #name(): string | null {
    const match = /^[A-Za-z_][A-Za-z0-9_-]*/.exec(this.#text.slice(this.#at, this.#at + 200));
    if (match === null) return null;
    this.#at += match[0].length;
    return match[0];
  }

  #skip(lines: boolean): void {
    const blank = lines ? /(?:\s|#[^\n]*)+/y : /[ \t]+/y;
    blank.lastIndex = this.#at;
    if (blank.test(this.#text)) this.#at = blank.lastIndex;
  }

  #take(part: string): boolean {
    if (!this.#text.startsWith(part, this.#at)) return false;
    this.#at += part.length;
    return true;
  }

  #refuse(problem: string): never {
    const line = this.#text.slice(0, this.#at).split("\n").length;
    throw new CllmError("usage", `the grammar ${problem}, in line ${line}`);
  }
}
