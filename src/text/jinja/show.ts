/**
 * Values as text: what a template writes (Python's `str`) and what stands inside of lists (Python's `repr`). Knows no
 * template.
 */
import type { Budget } from "./budget.ts";
import { floatText, intText } from "./numbers.ts";
import {
  Callable,
  Dict,
  Float,
  Iter,
  isList,
  Markup,
  Namespace,
  type PyObject,
  Range,
  Tuple,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** Python's `str(value)`. */
export function str(value: Value, budget: Budget): string {
  if (typeof value === "string") return value;
  if (value instanceof Markup) return value.text;
  if (value instanceof Undefined) return "";
  return repr(value, budget);
}

/** Python's `repr(value)`. */
export function repr(value: Value, budget: Budget): string {
  budget.step();
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return budget.text(quoted(value));
  if (typeof value === "number" || typeof value === "bigint") return intText(value);
  if (isList(value)) return `[${joined(value, budget)}]`;
  return reprObject(value as PyObject, budget);
}

function reprObject(value: PyObject, budget: Budget): string {
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Markup) return `Markup(${quoted(value.text)})`;
  if (value instanceof Tuple) return `(${joined(value.items, budget)}${value.items.length === 1 ? "," : ""})`;
  if (value instanceof Dict) return entriesText(value.entries(), budget);
  if (value instanceof Namespace) return namespaceText(value, budget);
  if (value instanceof View) return `${value.type}([${joined([...value.items()], budget)}])`;
  if (value instanceof Range) {
    return `range(${value.start}, ${value.stop}${value.step === 1 ? "" : `, ${value.step}`})`;
  }
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Callable) return `<${value.type} '${value.name}'>`;
  return value instanceof Iter ? `<generator object ${value.type}>` : value.shown();
}

function entriesText(entries: Iterable<readonly [Value, Value]>, budget: Budget): string {
  const parts: string[] = [];
  for (const [key, item] of entries) parts.push(`${repr(key, budget)}: ${repr(item, budget)}`);
  return `{${join(parts, budget)}}`;
}

const open = new WeakSet<Namespace>(); // those that are being written: a namespace may hold itself

function namespaceText(value: Namespace, budget: Budget): string {
  if (open.has(value)) return "<Namespace {...}>";
  open.add(value);
  try {
    return `<Namespace ${entriesText(value.entries(), budget)}>`;
  } finally {
    open.delete(value);
  }
}

function joined(items: readonly Value[], budget: Budget): string {
  return join(
    items.map((item) => repr(item, budget)),
    budget,
  );
}

function join(parts: readonly string[], budget: Budget): string {
  budget.length(parts.reduce((sum, part) => sum + part.length + 2, 0));
  return parts.join(", ");
}

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

/** A text in quotes, single ones where it has none; what cannot be printed is escaped. */
export function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(/[\\'"]|[^\P{C}\n]|[\p{Z}\n]/gu, (character) => {
    if (character === " " || (character !== quote && (character === "'" || character === '"'))) return character;
    if (character === quote) return `\\${quote}`;
    const known = ESCAPES[character];
    if (known !== undefined) return known;
    const code = character.codePointAt(0)!;
    const [prefix, width] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${prefix}${code.toString(16).padStart(width as number, "0")}`;
  });
  return `${quote}${inner}${quote}`;
}

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;" };

/** The text of a value for HTML, escaped unless it is marked as safe. */
export function escapeHtml(value: Value, budget: Budget): Markup {
  if (value instanceof Markup) return value;
  return new Markup(budget.text(str(value, budget).replace(/[&<>'"]/g, (character) => HTML[character]!)));
}
