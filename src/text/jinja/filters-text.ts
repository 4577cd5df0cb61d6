/**
 * Filters over texts and single values. Knows no template.
 */
import { intOr, intOrNone, needText } from "./arguments.ts";
import { attributeOf, ownAttribute } from "./attributes.ts";
import type { Budget } from "./budget.ts";
import { type Builtin, builtin, type Rendering } from "./builtins.ts";
import { isKind, JinjaError } from "./error.ts";
import { jsonOptions, toJson } from "./json.ts";
import { floatDigits } from "./number-format.ts";
import { arithmetic, asIndex, type Int, parseInteger, round, toFloat, truncated } from "./numbers.ts";
import { binary } from "./operators.ts";
import { percentFormat } from "./percent-format.ts";
import { each, isIterable } from "./sequences.ts";
import { escapeHtml, repr, str } from "./show.ts";
import {
  capitalize,
  isSpace,
  pad,
  pointCount,
  replaceText,
  slicePoints,
  splitLines,
  splitTextRight,
  strip,
} from "./text.ts";
import {
  Dict,
  Float,
  itemsOf,
  Markup,
  numeric,
  Tuple,
  textOf,
  truthy,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";
import { wrapText } from "./wrap-text.ts";

/** A filter of texts that keeps the mark of marked ones, as Python's methods of marked texts do. */
const textual = (name: string, change: (text: string) => string) =>
  builtin(name, "s", ({ budget }, value) => {
    const result = change(budget.text(str(value!, budget)));
    return value instanceof Markup ? new Markup(result) : result;
  });

/** Jinja's words begin behind white space, hyphens and opening brackets. */
const title = (text: string): string =>
  text
    .split(/([-\s({[<]+)/u)
    .map(capitalize)
    .join("");

export const TEXT_FILTERS: ReadonlyMap<string, Builtin> = new Map([
  builtin("abs", "x, /", (_, value) => {
    const number = numeric(value!);
    if (value instanceof Undefined) throw value.error();
    if (number === null) throw new JinjaError("type", `bad operand type for abs(): '${typeName(value!)}'`);
    return value instanceof Float ? new Float(Math.abs(value.value)) : arithmetic("*", value!, number < 0 ? -1 : 1);
  }),
  builtin("attr", "obj, name", ({ budget }, value, name) => {
    const key = textOf(name!);
    if (key === null) throw new JinjaError("type", `attribute name must be string, not '${typeName(name!)}'`);
    if (ownAttribute(value!, key, budget) !== undefined) return attributeOf(value!, key, budget);
    return new Undefined(`'${typeName(value!)} object' has no attribute '${key}'`);
  }),
  textual("capitalize", capitalize),
  builtin("center", "value, width=", ({ budget }, value, width) =>
    pad(str(value!, budget), intOr(width, 80), " ", "both", budget),
  ),
  ...["d", "default"].map((name) =>
    builtin(name, "value, default_value=, boolean=", (_, value, fallback = "", boolean = false) =>
      value instanceof Undefined || (truthy(boolean) && !truthy(value!)) ? fallback : value!,
    ),
  ),
  ...["e", "escape"].map((name) => builtin(name, "s, /", ({ budget }, value) => escapeHtml(value!, budget))),
  builtin("filesizeformat", "value, binary=", (_, value, binaryUnits = false) =>
    fileSize(toFloat(value!), truthy(binaryUnits)),
  ),
  builtin("float", "value, default=", (_, value, fallback = new Float(0)) => {
    try {
      if (value instanceof Undefined) throw value.error();
      return new Float(toFloat(value!));
    } catch (error) {
      if (isKind(error, "type", "value")) return fallback;
      throw error;
    }
  }),
  builtin("forceescape", "value", ({ budget }, value) => escapeHtml(str(value!, budget), budget)),
  [
    "format",
    ({ budget }) =>
      ([value, ...args], kwargs) => {
        if (args.length > 0 && kwargs.size > 0) {
          throw new JinjaError("runtime", "can't handle positional and keyword arguments at the same time");
        }
        const named = kwargs.size > 0 ? Dict.of(kwargs, budget) : new Tuple(args);
        if (value === undefined) throw new JinjaError("type", "format() is missing a text");
        if (value instanceof Markup) return binary("%", value, named, budget);
        return percentFormat(str(value, budget), named, budget);
      },
  ],
  builtin("indent", "s, width=, first=, blank=", ({ budget }, value, width = 4, first = false, blank = false) => {
    const indented = indent(needTextOrFail(value!), width, truthy(first), truthy(blank), budget);
    return value instanceof Markup ? new Markup(indented) : indented;
  }),
  builtin("int", "value, default=, base=", (_, value, fallback = 0, base = 10) =>
    toInt(value!, fallback, asIndex(base)),
  ),
  textual("lower", (text) => text.toLowerCase()),
  builtin("pprint", "value", ({ budget }, value) => {
    const text = repr(sortedDicts(value!, budget), budget);
    if (text.length > 80)
      throw new JinjaError("unsupported", "pprint of more than one line is not supported; use tojson");
    return text;
  }),
  builtin("replace", "s, old, new, count=", (rendering, value, old, by, count) => {
    const { budget, autoescape } = rendering;
    const safe = autoescape && (value instanceof Markup || by instanceof Markup || old instanceof Markup);
    const text = (part: Value): string => (safe ? escapeHtml(part, budget).text : str(part, budget));
    const result = replaceText(text(value!), text(old!), text(by!), intOrNone(count, -1), budget);
    return safe ? new Markup(result) : result;
  }),
  builtin("round", "value, precision=, method=", (_, value, precision = 0, method = "common") => {
    const how = textOf(method);
    if (how !== "common" && how !== "ceil" && how !== "floor") {
      throw new JinjaError("runtime", "method must be common, ceil or floor");
    }
    if (value instanceof Undefined) throw value.error();
    if (how === "common") return round(value!, asIndex(precision));
    const unit = arithmetic("**", 10, asIndex(precision));
    const product = numeric(value!) === null ? null : numeric(arithmetic("*", value!, unit));
    if (product === null) throw new JinjaError("type", `must be real number, not ${typeName(value!)}`);
    const whole: Int = typeof product === "bigint" ? product : truncated(Math[how](product));
    return arithmetic("/", whole, unit);
  }),
  builtin("safe", "value", ({ budget }, value) => new Markup(str(value!, budget))),
  builtin("string", "object, /", ({ budget }, value) => (value instanceof Markup ? value : str(value!, budget))),
  builtin("striptags", "value", ({ budget }, value) => stripTags(str(value!, budget), budget)),
  textual("title", title),
  builtin(
    "tojson",
    "x, ensure_ascii=, indent=, separators=, sort_keys=",
    ({ budget }, value, ensureAscii = false, indentBy = null, separators = null, sortKeys = false) => {
      const options = jsonOptions(truthy(ensureAscii), indentBy, separators, truthy(sortKeys));
      return toJson(value!, options, budget);
    },
  ),
  builtin("trim", "value, chars=", ({ budget }, value, characters = null) => {
    const text = budget.text(str(value!, budget));
    const result = strip(text, characters === null ? null : needText(characters, "strip arg"));
    return value instanceof Markup ? new Markup(result) : result;
  }),
  builtin("truncate", "s, length=, killwords=, end=, leeway=", ({ budget }, value, length, kill, end, leeway) =>
    truncate(
      needTextOrFail(value!),
      intOr(length, 255),
      truthy(kill ?? false),
      end === undefined ? "..." : needText(end, "end"),
      intOrNone(leeway, 5),
      budget,
    ),
  ),
  textual("upper", (text) => text.toUpperCase()),
  builtin("urlencode", "value", ({ budget }, value) => urlEncode(value!, budget)),
  builtin("urlize", "value, trim_url_limit=, nofollow=, target=, rel=, extra_schemes=", () => {
    throw new JinjaError("unsupported", "the filter urlize is not supported");
  }),
  builtin("wordcount", "s", ({ budget }, value) => {
    return budget.text(str(value!, budget)).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0;
  }),
  builtin(
    "wordwrap",
    "s, width=, break_long_words=, wrapstring=, break_on_hyphens=",
    ({ budget }, value, width, long = true, by = null, hyphens = true) => {
      const options = { width: intOr(width, 79), breakLong: truthy(long), breakHyphens: truthy(hyphens) };
      const between = by === null ? "\n" : needText(by, "wrapstring");
      const lines = splitLines(budget.text(needTextOrFail(value!)));
      return budget.text(lines.map((line) => wrapText(line, options, budget).join(between)).join(between));
    },
  ),
  builtin("xmlattr", "d, autospace=", (rendering, value, autospace = true) => {
    const result = attributesOf(value!, truthy(autospace), rendering);
    return rendering.autoescape ? new Markup(result) : result;
  }),
]);

function needTextOrFail(value: Value): string {
  if (value instanceof Undefined) throw value.error();
  return needText(value, "the value");
}

function toInt(value: Value, fallback: Value, base: number): Value {
  if (value instanceof Undefined) throw value.error();
  const text = textOf(value);
  try {
    if (text !== null) return parseInteger(text, base);
    if (value instanceof Float) return truncated(value.value);
    const number = numeric(value);
    if (number !== null) return number;
  } catch (error) {
    if (!isKind(error, "type", "value")) throw error;
  }
  try {
    return truncated(toFloat(value));
  } catch (error) {
    if (isKind(error, "type", "value", "overflow")) return fallback;
    throw error;
  }
}

const SIZES = ["B", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];

function fileSize(bytes: number, binaryUnits: boolean): string {
  const base = binaryUnits ? 1024 : 1000;
  if (bytes === 1) return "1 Byte";
  if (bytes < base) return `${truncated(bytes)} Bytes`;
  let [unit, power] = [base, 0];
  while (bytes >= unit * base && power < SIZES.length - 1) [unit, power] = [unit * base, power + 1];
  const prefix = power === 0 ? "k" : SIZES[power]![0]!;
  return `${floatDigits((base * bytes) / (unit * base), "f", 1, false)} ${binaryUnits ? `${prefix.toUpperCase()}i` : prefix}B`;
}

function indent(text: string, width: Value, first: boolean, blank: boolean, budget: Budget): string {
  const by = textOf(width) ?? " ".repeat(Math.min(budget.maxSize, Math.max(0, asIndex(width))));
  const lines = splitLines(`${text}\n`);
  budget.length(text.length + lines.length * by.length);
  const rest = lines.slice(1).map((line) => `\n${blank || line !== "" ? by : ""}${line}`);
  return (first ? by : "") + lines[0]! + rest.join("");
}

function truncate(text: string, length: number, kill: boolean, end: string, leeway: number, budget: Budget): string {
  if (length < pointCount(end)) throw new JinjaError("runtime", `expected length >= ${pointCount(end)}, got ${length}`);
  if (leeway < 0) throw new JinjaError("runtime", `expected leeway >= 0, got ${leeway}`);
  if (pointCount(text) <= length + leeway) return text;
  const cut = slicePoints(text, 0, length - pointCount(end));
  return (kill ? cut : splitTextRight(cut, " ", 1, budget)[0]!) + end;
}

function stripTags(text: string, budget: Budget): string {
  let rest = text;
  for (const [open, close] of [
    ["<!--", "-->"],
    ["<", ">"],
  ] as const) {
    for (let start = rest.indexOf(open); start >= 0; start = rest.indexOf(open)) {
      budget.length(rest.length);
      const end = rest.indexOf(close, start);
      if (end < 0) break;
      rest = rest.slice(0, start) + rest.slice(end + close.length);
    }
  }
  return unescapeHtml(
    rest
      .split(/\s+/u)
      .filter((word) => word !== "")
      .join(" "),
  );
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

function unescapeHtml(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (written, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[name as string] ?? written;
    const code = decimal === undefined ? Number.parseInt(hex as string, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : written;
  });
}

function urlEncode(value: Value, budget: Budget): string {
  if (textOf(value) !== null || !isIterable(value)) return urlQuote(str(value, budget), false);
  const pairs: string[] = [];
  for (const pair of value instanceof Dict ? [...value.entries()] : each(value, budget)) {
    const items = pair instanceof Tuple || Array.isArray(pair) ? (itemsOf(pair as Value) ?? (pair as Value[])) : null;
    if (items === null || items.length !== 2) throw new JinjaError("value", "urlencode takes pairs");
    pairs.push(items.map((item) => urlQuote(str(item, budget), true)).join("="));
  }
  return budget.text(pairs.join("&"));
}

function urlQuote(text: string, forQuery: boolean): string {
  const quoted = encodeURIComponent(text.replace(/\p{Cs}/gu, "\ufffd")).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return forQuery ? quoted.replaceAll("%20", "+") : quoted.replaceAll("%2F", "/");
}

function attributesOf(value: Value, autospace: boolean, { budget }: Rendering): string {
  if (value instanceof Undefined) throw value.error();
  if (!(value instanceof Dict)) throw new JinjaError("type", "xmlattr takes a mapping");
  const parts: string[] = [];
  for (const [key, item] of value.entries()) {
    if (item === null || item instanceof Undefined) continue;
    const name = needText(key, "an attribute's name");
    if (/[\s/>=]/u.test(name) || Array.from(name).some(isSpace)) {
      throw new JinjaError("value", `Invalid character in attribute name: '${name}'`);
    }
    parts.push(`${escapeHtml(key, budget).text}="${escapeHtml(item, budget).text}"`);
  }
  const result = parts.join(" ");
  return autospace && result !== "" ? ` ${result}` : result;
}

/** With the keys of dictionaries in order, as Python's pprint writes them. */
function sortedDicts(value: Value, budget: Budget): Value {
  budget.step();
  const items = itemsOf(value);
  if (items !== null) {
    const inner = items.map((item) => sortedDicts(item, budget));
    return value instanceof Tuple ? new Tuple(inner) : inner;
  }
  if (!(value instanceof Dict)) return value;
  const entries = [...value.entries()].sort(([a], [b]) => (str(a, budget) < str(b, budget) ? -1 : 1));
  return Dict.of(
    entries.map(([key, item]) => [key, sortedDicts(item, budget)] as const),
    budget,
  );
}
