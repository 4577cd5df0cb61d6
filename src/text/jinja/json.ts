/**
 * The `tojson` of transformers: Python's `json.dumps` with `ensure_ascii=False`. Knows no template.
 */
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { asIndex, floatText, intText } from "./numbers.ts";
import { sorted } from "./sequences.ts";
import { Dict, Float, itemsOf, numeric, textOf, typeName, type Value } from "./values.ts";

export interface JsonOptions {
  readonly ensureAscii: boolean;
  /** What each level is indented by; null for one line. */
  readonly indent: string | null;
  readonly separators: readonly [item: string, key: string];
  readonly sortKeys: boolean;
}

/** The options as the filter's arguments give them. */
export function jsonOptions(ensureAscii: boolean, indent: Value, separators: Value, sortKeys: boolean): JsonOptions {
  const text = textOf(indent);
  const spaces = indent === null ? null : (text ?? " ".repeat(Math.min(1000, Math.max(0, asIndex(indent)))));
  return { ensureAscii, indent: spaces, separators: separatorsOf(separators, spaces), sortKeys };
}

function separatorsOf(given: Value, indent: string | null): [item: string, key: string] {
  if (given === null) return [indent === null ? ", " : ",", ": "];
  const [item, key, ...more] = (itemsOf(given) ?? []).map(textOf);
  if (typeof item !== "string" || typeof key !== "string" || more.length > 0) {
    throw new JinjaError("type", "separators must be two texts");
  }
  return [item, key];
}

/** A value as JSON. */
export function toJson(value: Value, options: JsonOptions, budget: Budget): string {
  return write(value, options, budget, 0);
}

function write(value: Value, options: JsonOptions, budget: Budget, depth: number): string {
  budget.step();
  const text = textOf(value);
  if (text !== null) return budget.text(jsonText(text, options.ensureAscii));
  const scalar = jsonScalar(value);
  if (scalar !== null) return scalar;
  const items = itemsOf(value);
  if (items !== null) {
    return wrap("[", "]", items, (item) => write(item, options, budget, depth + 1), options, budget, depth);
  }
  if (!(value instanceof Dict)) {
    throw new JinjaError("type", `Object of type ${typeName(value)} is not JSON serializable`);
  }
  let entries = [...value.entries()];
  if (options.sortKeys) {
    const keys = sorted(
      entries.map(([key]) => key),
      (key) => key,
      false,
      budget,
    );
    entries = keys.map((key) => [key, value.get(key, budget)!]);
  }
  const entry = ([key, item]: readonly [Value, Value]): string =>
    jsonText(keyText(key), options.ensureAscii) + options.separators[1] + write(item, options, budget, depth + 1);
  return wrap("{", "}", entries, entry, options, budget, depth);
}

function wrap<T>(
  open: string,
  close: string,
  items: readonly T[],
  one: (item: T) => string,
  { indent, separators: [separator] }: JsonOptions,
  budget: Budget,
  depth: number,
): string {
  if (items.length === 0) return open + close;
  const line = indent === null ? "" : `\n${indent.repeat(depth + 1)}`;
  const end = indent === null ? "" : `\n${indent.repeat(depth)}`;
  const parts = items.map((item) => line + one(item));
  budget.length(parts.reduce((sum, part) => sum + part.length + separator.length, end.length));
  return open + parts.join(separator) + end + close;
}

function jsonScalar(value: Value): string | null {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (value instanceof Float) {
    if (Number.isFinite(value.value)) return floatText(value.value);
    return Number.isNaN(value.value) ? "NaN" : value.value < 0 ? "-Infinity" : "Infinity";
  }
  return typeof value === "number" || typeof value === "bigint" ? intText(value) : null;
}

function keyText(key: Value): string {
  const text = textOf(key) ?? (key === null || numeric(key) !== null ? jsonScalar(key) : null);
  if (text !== null) return text;
  throw new JinjaError("type", `keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\f": "\\f",
  "\b": "\\b",
};

function jsonText(text: string, ensureAscii: boolean): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON escapes them
  const pattern = ensureAscii ? /["\\]|[^ -~]/g : /["\\\x00-\x1f]/g;
  const escaped = text.replace(
    pattern,
    (character) => SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `"${escaped}"`;
}
