/**
 * A template's text as tokens, as Jinja cuts it with `trim_blocks` and `lstrip_blocks`: the line break behind a block and
 * the indentation before it are its own. In linear time. Knows no grammar.
 */
import { JinjaError } from "./error.ts";
import { int, MAX_DIGITS } from "./numbers.ts";
import { isSpace, strip } from "./text.ts";
import { Float, type Value } from "./values.ts";

export interface Token {
  /** `data`, `name`, `string`, `number`, `end` of the template, a delimiter, or an operator itself. */
  readonly type: string;
  /** The text of a name, the content of data and strings, the operator. */
  readonly text: string;
  /** Of a number. */
  readonly value?: Value;
  readonly line: number;
}

const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;
const NAME = /[\p{L}\p{M}\p{N}_]+/uy;
const IDENTIFIER = /^[\p{XID_Start}_]\p{XID_Continue}*$/u;
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const RAW_BEGIN = /\{%([-+]?)\s*raw\s*(?:-%\}\s*|%\})/y;
const RAW_END = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)/g;
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

export function tokenize(template: string): Token[] {
  return new Lexer(template).tokens();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #position = 0;
  #line = 1;
  #counted = 0; // the place up to which lines are counted
  #lineStarting = true;

  constructor(template: string) {
    const source = template.replace(/\r\n?/g, "\n");
    this.#source = source.endsWith("\n") ? source.slice(0, -1) : source;
  }

  tokens(): Token[] {
    const source = this.#source;
    while (this.#position < source.length) {
      const start = this.#nextTag();
      if (start < 0) {
        this.#push("data", source.slice(this.#position));
        break;
      }
      this.#tag(start);
    }
    this.#position = source.length;
    this.#push("end", "");
    return this.#tokens;
  }

  #nextTag(): number {
    for (let at = this.#source.indexOf("{", this.#position); at >= 0; at = this.#source.indexOf("{", at + 1)) {
      if ("{%#".includes(this.#source[at + 1] ?? " ")) return at;
    }
    return -1;
  }

  /** The data before a tag, less what the tag strips of it, and the tag itself. */
  #tag(start: number): void {
    const source = this.#source;
    const kind = source[start + 1]!;
    const raw = kind === "%" ? matchAt(RAW_BEGIN, source, start) : null;
    const control = raw?.[1] ?? (/[-+]/.test(source[start + 2] ?? "") ? source[start + 2]! : "");
    this.#data(source.slice(this.#position, start), control, kind !== "{");
    this.#position = raw === null ? start + 2 + control.length : start + raw[0].length;
    if (raw !== null) this.#raw();
    else if (kind === "#") this.#comment();
    else this.#code(kind === "{" ? "{{" : "{%");
    this.#lineStarting = source[this.#position - 1] === "\n";
  }

  #data(text: string, control: string, isBlock: boolean): void {
    let data = text;
    if (control === "-") data = strip(text, null, "right");
    else if (control !== "+" && isBlock) {
      const lineStart = text.lastIndexOf("\n") + 1;
      const indentation = text.slice(lineStart);
      if ((lineStart > 0 || this.#lineStarting) && strip(indentation, null) === "") data = text.slice(0, lineStart);
    }
    if (data !== "") this.#push("data", data);
  }

  #raw(): void {
    RAW_END.lastIndex = this.#position;
    const end = RAW_END.exec(this.#source);
    if (end === null) throw this.#error("Missing end of raw directive");
    this.#lineStarting = this.#source[this.#position - 1] === "\n";
    this.#data(this.#source.slice(this.#position, end.index), end[1]!, true);
    this.#position = end.index + end[0].length;
  }

  #comment(): void {
    const end = this.#source.indexOf("#}", this.#position);
    if (end < 0) throw this.#error("Missing end of comment tag");
    const control = end > this.#position ? this.#source[end - 1]! : "";
    this.#position = end + 2;
    this.#afterTag(control);
  }

  /** What a tag's end takes of the text behind it. */
  #afterTag(control: string): void {
    const source = this.#source;
    if (control === "-") while (this.#position < source.length && isSpace(source[this.#position]!)) this.#position++;
    else if (control !== "+" && source[this.#position] === "\n") this.#position++;
  }

  #code(open: "{{" | "{%"): void {
    const source = this.#source;
    const close = open === "{{" ? "}}" : "%}";
    const brackets: string[] = [];
    this.#push(open, open);
    for (;;) {
      while (this.#position < source.length && isSpace(source[this.#position]!)) this.#position++;
      if (this.#position >= source.length) return; // the parser says what is missing
      if (brackets.length === 0 && this.#closes(close)) return;
      this.#token(brackets);
    }
  }

  #closes(close: "}}" | "%}"): boolean {
    const source = this.#source;
    const first = source[this.#position]!;
    const control = first === "-" || (first === "+" && close === "%}") ? first : "";
    if (!source.startsWith(close, this.#position + control.length)) return false;
    this.#push(close, close);
    this.#position += control.length + 2;
    this.#afterTag(close === "}}" && control === "" ? "+" : control);
    return true;
  }

  #token(brackets: string[]): void {
    const source = this.#source;
    const character = source[this.#position]!;
    if (character === "'" || character === '"') {
      this.#string(character);
      return;
    }
    const float = matchAt(FLOAT, source, this.#position);
    if (float !== null) {
      this.#take("number", float[0], new Float(Number(float[0].replaceAll("_", ""))));
      return;
    }
    const integer = matchAt(INTEGER, source, this.#position);
    if (integer !== null) {
      const digits = integer[0].replaceAll("_", "").toLowerCase();
      if (digits.length > MAX_DIGITS) throw this.#error(`a number has more than ${MAX_DIGITS} digits`);
      const value = int(BigInt(digits));
      this.#take("number", integer[0], value);
      return;
    }
    const name = matchAt(NAME, source, this.#position);
    if (name !== null) {
      if (!IDENTIFIER.test(name[0])) throw this.#error("Invalid character in identifier");
      this.#take("name", name[0]);
      return;
    }
    const operator = matchAt(OPERATOR, source, this.#position);
    if (operator === null) throw this.#error(`unexpected char '${character}'`);
    this.#balance(operator[0], brackets);
    this.#take(operator[0], operator[0]);
  }

  #balance(operator: string, brackets: string[]): void {
    const closing = CLOSING[operator];
    if (closing !== undefined) brackets.push(closing);
    if (!")]}".includes(operator)) return;
    const expected = brackets.pop();
    if (expected === operator) return;
    throw this.#error(`unexpected '${operator}'${expected === undefined ? "" : `, expected '${expected}'`}`);
  }

  #string(quote: string): void {
    const source = this.#source;
    let end = this.#position + 1;
    while (end < source.length && source[end] !== quote) end += source[end] === "\\" ? 2 : 1;
    if (end >= source.length) throw this.#error(`unexpected char '${quote}'`);
    this.#push("string", this.#unescaped(source.slice(this.#position + 1, end)));
    this.#position = end + 1;
  }

  /** Python's escapes in texts. */
  #unescaped(text: string): string {
    if (!text.includes("\\")) return text;
    return text.replace(ESCAPE, (written: string, octal, hex, name, character) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal as string, 8));
      if (hex !== undefined) {
        const code = Number.parseInt((hex as string).slice(1), 16);
        if (code > 0x10ffff) throw this.#error("illegal Unicode character");
        return String.fromCodePoint(code);
      }
      if (name !== undefined) throw new JinjaError("unsupported", `${written} is not supported; write the character`);
      if ("xuUN".includes(character as string)) throw this.#error(`truncated \\${character} escape`);
      return SIMPLE[character as string] ?? written;
    });
  }

  #take(type: string, text: string, value?: Value): void {
    this.#push(type, text, value);
    this.#position += text.length;
  }

  #push(type: string, text: string, value?: Value): void {
    this.#tokens.push({ type, text, line: this.#lineOf(), ...(value !== undefined && { value }) });
  }

  #lineOf(): number {
    for (; this.#counted < this.#position; this.#counted++) if (this.#source[this.#counted] === "\n") this.#line++;
    return this.#line;
  }

  #error(message: string): JinjaError {
    return new JinjaError("syntax", `${message} (line ${this.#lineOf()})`);
  }
}

const ESCAPE = /\\(?:([0-7]{1,3})|(x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8})|(N\{[^}]*\})|(.))/gs;
const SIMPLE: Readonly<Record<string, string>> = {
  ...{ "\n": "", "\\": "\\", "'": "'", '"': '"' },
  ...{ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" },
};

function matchAt(pattern: RegExp, source: string, position: number): RegExpExecArray | null {
  pattern.lastIndex = position;
  return pattern.exec(source);
}
