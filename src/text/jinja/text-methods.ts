/**
 * The methods of texts. Those of a marked text give marked ones. Knows no template.
 */
import { bound, intOr, intOrNone, needText } from "./arguments.ts";
import { braceFormat, type Lookup } from "./brace-format.ts";
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { asIndex } from "./numbers.ts";
import { each } from "./sequences.ts";
import {
  capitalize,
  finder,
  findLast,
  isSpace,
  pad,
  pointCount,
  points,
  replaceText,
  slicePoints,
  splitLines,
  splitText,
  splitTextRight,
  splitWords,
  splitWordsRight,
  strip,
} from "./text.ts";
import { Callable, Dict, isList, Markup, type Native, Tuple, textOf, truthy, typeName, type Value } from "./values.ts";

type Method = (text: string, budget: Budget, ...args: (Value | undefined)[]) => Value;

/** A method that is true where the text has letters and each one is as `is` says. */
const every = (pattern: RegExp): Method => {
  return (text, budget) => {
    budget.length(text.length);
    return pattern.test(text);
  };
};

const stripping = (ends: "both" | "left" | "right"): Method => {
  return (text, budget, characters) => {
    budget.length(text.length);
    return strip(
      text,
      characters === undefined || characters === null ? null : needText(characters, "strip arg"),
      ends,
    );
  };
};

const padding = (side: "left" | "right" | "both"): Method => {
  return (text, budget, width, fill = " ") => {
    const filler = needText(fill, "the fill character");
    if (pointCount(filler) !== 1) throw new JinjaError("type", "the fill character must be exactly one character long");
    return pad(text, asIndex(width!), filler, side, budget);
  };
};

/** The part of a text from `start` to `end`, as those of `find` and `count` are given, and where it begins. */
function part(text: string, start: Value | undefined, end: Value | undefined): [part: string, start: number] {
  const length = pointCount(text);
  const place = (value: number): number => Math.max(0, value < 0 ? value + length : value);
  const first = place(intOrNone(start, 0));
  const last = Math.min(length, place(intOrNone(end, length)));
  return [first > last ? "" : slicePoints(text, first, last), first];
}

const finding = (last: boolean, strict: boolean): Method => {
  return (text, budget, sub, start, end) => {
    const needle = needText(sub, "the text to find");
    const [within, offset] = part(text, start, end);
    const missing = offset > pointCount(text);
    const at = missing ? -1 : last ? findLast(within, needle, budget) : finder(needle, budget)(within);
    if (at >= 0) return offset + pointCount(within.slice(0, at));
    if (strict) throw new JinjaError("value", "substring not found");
    return -1;
  };
};

const affix = (at: "startsWith" | "endsWith"): Method => {
  return (text, budget, affixes, start, end) => {
    const [within, offset] = part(text, start, end);
    budget.length(within.length);
    const all = affixes instanceof Tuple ? affixes.items : [affixes];
    return all.some((one) => within[at](needText(one, "each affix")) && offset <= pointCount(text));
  };
};

const splitting = (right: boolean): Method => {
  return (text, budget, separator, most) => {
    const count = intOr(most, -1);
    if (separator === undefined || separator === null) {
      return (right ? splitWordsRight : splitWords)(text, count, budget);
    }
    return (right ? splitTextRight : splitText)(text, needText(separator, "the separator"), count, budget);
  };
};

const partition = (right: boolean): Method => {
  return (text, budget, separator) => {
    const cut = needText(separator, "the separator");
    if (cut === "") throw new JinjaError("value", "empty separator");
    const at = right ? findLast(text, cut, budget) : finder(cut, budget)(text);
    if (at < 0) return new Tuple(right ? ["", "", text] : [text, "", ""]);
    return new Tuple([text.slice(0, at), cut, text.slice(at + cut.length)]);
  };
};

const cases = (change: (text: string) => string): Method => {
  return (text, budget) => {
    budget.length(text.length);
    return change(text);
  };
};

/** First letters of words large, the others small: words are runs of letters. */
const title = (text: string): string =>
  text.replace(/\p{L}[\p{L}\p{M}]*/gu, (word) => {
    const [first = ""] = word;
    return first.toUpperCase() + word.slice(first.length).toLowerCase();
  });

const swapCase = (text: string): string =>
  text.replace(/\p{L}/gu, (letter) => (letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase()));

function zeroFill(text: string, budget: Budget, width: Value | undefined): Value {
  const sign = /^[+-]/.exec(text)?.[0] ?? "";
  return sign + pad(text.slice(sign.length), asIndex(width!) - sign.length, "0", "left", budget);
}

function expandTabs(text: string, budget: Budget, size: Value | undefined): Value {
  const width = intOr(size, 8);
  let column = 0;
  let result = "";
  for (const letter of text) {
    if (letter === "\t") {
      const spaces = width > 0 ? width - (column % width) : 0;
      budget.length(spaces);
      result += " ".repeat(spaces);
      column += spaces;
    } else {
      result += letter;
      column = letter === "\n" || letter === "\r" ? 0 : column + 1;
    }
  }
  return budget.text(result);
}

function join(separator: string, budget: Budget, values: Value | undefined): Value {
  const parts: string[] = [];
  let length = 0;
  for (const value of each(values!, budget)) {
    const text = textOf(value);
    if (text === null) {
      throw new JinjaError("type", `sequence item ${parts.length}: expected str instance, ${typeName(value)} found`);
    }
    parts.push(text);
    length += text.length + separator.length;
    if (length > budget.maxSize) budget.size(length);
  }
  budget.length(length);
  return parts.join(separator);
}

function isTitle(text: string): boolean {
  return /\p{L}/u.test(text) && text === title(text);
}

function translate(text: string, budget: Budget, table: Value | undefined): Value {
  if (!(table instanceof Dict)) throw new JinjaError("type", "translate() takes a dict");
  budget.step(text.length);
  const result = Array.from(text, (letter) => {
    const by = table.get(letter.codePointAt(0)!, budget);
    if (by === undefined) return letter;
    return by === null ? "" : typeof by === "number" ? String.fromCodePoint(by) : needText(by, "the replacement");
  });
  return budget.text(result.join(""));
}

const METHODS: Readonly<Record<string, readonly [signature: string, method: Method]>> = {
  capitalize: ["", cases(capitalize)],
  casefold: ["", cases((text) => text.toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ"))],
  center: ["width, fillchar=, /", padding("both")],
  count: ["sub, start=, end=, /", count],
  endswith: ["suffix, start=, end=, /", affix("endsWith")],
  expandtabs: ["tabsize=", expandTabs],
  find: ["sub, start=, end=, /", finding(false, false)],
  index: ["sub, start=, end=, /", finding(false, true)],
  isalnum: ["", every(/^[\p{L}\p{N}]+$/u)],
  isalpha: ["", every(/^\p{L}+$/u)],
  isascii: ["", (text) => Array.from(text).every((letter) => letter < "\x80")],
  isdecimal: ["", every(/^\p{Nd}+$/u)],
  isdigit: ["", every(/^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089]+$/u)],
  isidentifier: ["", every(/^[\p{XID_Start}_]\p{XID_Continue}*$/u)],
  islower: ["", (text) => /\p{Ll}/u.test(text) && !/[\p{Lu}\p{Lt}]/u.test(text)],
  isnumeric: ["", every(/^\p{N}+$/u)],
  isprintable: ["", (text) => !/[\p{C}\p{Z}]/u.test(text.replaceAll(" ", ""))],
  isspace: ["", (text) => text !== "" && Array.from(text).every(isSpace)],
  istitle: ["", isTitle],
  isupper: ["", (text) => /\p{Lu}/u.test(text) && !/[\p{Ll}\p{Lt}]/u.test(text)],
  join: ["iterable, /", join],
  ljust: ["width, fillchar=, /", padding("right")],
  lower: ["", cases((text) => text.toLowerCase())],
  lstrip: ["chars=, /", stripping("left")],
  partition: ["sep, /", partition(false)],
  removeprefix: ["prefix, /", (text, _, prefix) => withoutPrefix(text, needText(prefix, "the prefix"))],
  removesuffix: ["suffix, /", (text, _, suffix) => withoutSuffix(text, needText(suffix, "the suffix"))],
  replace: [
    "old, new, count=, /",
    (text, budget, old, by, most) =>
      replaceText(text, needText(old, "the old text"), needText(by, "the new text"), intOr(most, -1), budget),
  ],
  rfind: ["sub, start=, end=, /", finding(true, false)],
  rindex: ["sub, start=, end=, /", finding(true, true)],
  rjust: ["width, fillchar=, /", padding("left")],
  rpartition: ["sep, /", partition(true)],
  rsplit: ["sep=, maxsplit=", splitting(true)],
  rstrip: ["chars=, /", stripping("right")],
  split: ["sep=, maxsplit=", splitting(false)],
  splitlines: [
    "keepends=",
    (text, budget, keep) => {
      const lines = splitLines(budget.text(text), keep !== undefined && truthy(keep));
      budget.size(lines.length);
      return lines;
    },
  ],
  startswith: ["prefix, start=, end=, /", affix("startsWith")],
  strip: ["chars=, /", stripping("both")],
  swapcase: ["", cases(swapCase)],
  title: ["", cases(title)],
  translate: ["table, /", translate],
  upper: ["", cases((text) => text.toUpperCase())],
  zfill: ["width, /", zeroFill],
};

function count(text: string, budget: Budget, sub: Value | undefined, start: Value | undefined, end: Value | undefined) {
  const needle = needText(sub, "the text to count");
  const [within, offset] = part(text, start, end);
  if (needle === "") return offset > pointCount(text) ? 0 : points(within).length + 1;
  return splitText(within, needle, -1, budget).length - 1;
}

const withoutPrefix = (text: string, prefix: string): string =>
  text.startsWith(prefix) ? text.slice(prefix.length) : text;

const withoutSuffix = (text: string, suffix: string): string =>
  suffix !== "" && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;

/** A method of a text by its name, or undefined. */
export function textMethod(text: string, name: string, lookup: Lookup, budget: Budget): Callable | undefined {
  if (name === "format") {
    return method(name, (args, kwargs) => braceFormat(text, args, kwargs, lookup, budget));
  }
  if (name === "format_map") {
    return method(name, ([mapping]) => {
      if (!(mapping instanceof Dict)) throw new JinjaError("type", "format_map() takes a mapping");
      const entries = [...mapping.entries()].map(([key, value]): [string, Value] => [textOf(key) ?? "", value]);
      return braceFormat(text, [], new Map(entries), lookup, budget);
    });
  }
  if (!Object.hasOwn(METHODS, name)) return undefined;
  const [signature, work] = METHODS[name]!;
  return method(
    name,
    bound(name, signature, (...args) => work(text, budget, ...args)),
  );
}

const method = (name: string, call: Native): Callable => new Callable(name, call, "built-in method");

/** What a method of a marked text gives: marked too. */
export function markedMethod(found: Callable, escaped: (value: Value) => Value): Callable {
  const mark = (value: Value): Value => {
    if (typeof value === "string") return new Markup(value);
    if (value instanceof Tuple) return new Tuple(value.items.map(mark));
    return Array.isArray(value) ? (value as Value[]).map(mark) : value;
  };
  return method(found.name, (args, kwargs) => {
    const safe = (value: Value): Value => {
      if (isList(value)) return value.map(safe);
      return typeof value === "string" ? escaped(value) : value;
    };
    return mark(found.call(args.map(safe), new Map([...kwargs].map(([key, value]) => [key, safe(value)]))));
  });
}
