/**
 * Python's `text % values`. Knows no template.
 */
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { floatDigits, intDigits } from "./number-format.ts";
import { asIndex, truncated } from "./numbers.ts";
import { repr, str } from "./show.ts";
import { Dict, Float, itemsOf, numeric, Tuple, textOf, typeName, type Value } from "./values.ts";

/** What stands behind `%` and the name: flags, width, precision, a modifier that means nothing, the type. */
const FIELD = /([-+ #0]*)(\*|\d+)?(\.)?(\*|\d+)?[hlL]?(.)?/suy;

/** The text with its fields filled in; `escaped` is what becomes of a value that is written as text. */
export function percentFormat(
  text: string,
  values: Value,
  budget: Budget,
  escaped: (value: Value) => string = (value) => str(value, budget),
): string {
  const items = values instanceof Tuple ? values.items : [values];
  let used = 0;
  let named = false;
  const next = (): Value => {
    const value = items[used++];
    if (value === undefined) throw new JinjaError("type", "not enough arguments for format string");
    return value;
  };
  const star = (given: string | undefined): number | undefined =>
    given === undefined ? undefined : given === "*" ? asIndex(next()) : Number(given);
  const parts: string[] = [];
  let position = 0;
  for (let at = text.indexOf("%"); at >= 0; at = text.indexOf("%", position)) {
    budget.step();
    parts.push(text.slice(position, at));
    const name = text[at + 1] === "(" ? nameAt(text, at + 2) : null;
    FIELD.lastIndex = at + 1 + (name === null ? 0 : name.length + 2);
    const [whole = "", flags = "", width, point, digits, type] = FIELD.exec(text) ?? [];
    position = FIELD.lastIndex;
    if (type === undefined || whole === "") throw new JinjaError("value", "incomplete format");
    if (type === "%") {
      parts.push("%");
      continue;
    }
    if (name !== null) {
      if (!(values instanceof Dict)) throw new JinjaError("type", "format requires a mapping");
      named = true;
    }
    const wide = star(width) ?? 0;
    const precision = point === undefined ? undefined : (star(digits) ?? 0);
    const value = name === null ? next() : (values as Dict).get(name, budget);
    if (value === undefined) throw new JinjaError("lookup", `'${name}'`);
    const all = wide < 0 ? `${flags}-` : flags;
    budget.length(Math.abs(wide) + (precision ?? 0));
    parts.push(filled(converted(value, type, all, precision, budget, escaped), all, Math.abs(wide), type));
  }
  parts.push(text.slice(position));
  if (!named && used < items.length && !(items.length === 1 && values instanceof Dict)) {
    if (values instanceof Tuple || itemsOf(values) === null) {
      throw new JinjaError("type", "not all arguments converted during string formatting");
    }
  }
  budget.length(parts.reduce((sum, part) => sum + part.length, 0));
  return parts.join("");
}

/** The name in brackets that begins here; brackets within it count. */
function nameAt(text: string, start: number): string {
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text[i] === "(") depth++;
    if (text[i] === ")" && --depth === 0) return text.slice(start, i);
  }
  throw new JinjaError("value", "incomplete format key");
}

function converted(
  value: Value,
  type: string,
  flags: string,
  precision: number | undefined,
  budget: Budget,
  escaped: (value: Value) => string,
): string {
  if (type === "s" || type === "r" || type === "a") {
    const text = type === "s" ? escaped(value) : repr(value, budget);
    return precision === undefined ? text : Array.from(text).slice(0, precision).join("");
  }
  if (type === "c") {
    const text = textOf(value);
    if (text !== null && Array.from(text).length === 1) return text;
    if (text !== null) throw new JinjaError("type", "%c requires int or char");
    return String.fromCodePoint(asIndex(value));
  }
  const number = numeric(value);
  if (number === null) throw new JinjaError("type", `%${type} format: a number is required, not ${typeName(value)}`);
  const isFloat = "eEfFgG".includes(type);
  if (!isFloat && !"diuxXo".includes(type)) throw new JinjaError("value", `unsupported format character '${type}'`);
  if ("xXo".includes(type) && value instanceof Float) {
    throw new JinjaError("type", `%${type} format: an integer is required, not float`);
  }
  const whole = isFloat ? Number(number) : value instanceof Float ? truncated(value.value) : number;
  const negative = whole < 0 || Object.is(whole, -0);
  const sign = negative ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  if (isFloat) {
    const digits = floatDigits(Math.abs(Number(whole)), type, precision ?? 6, flags.includes("#"));
    return sign + (type === type.toUpperCase() ? digits.toUpperCase() : digits);
  }
  const prefix = flags.includes("#") && "xXo".includes(type) ? `0${type}` : "";
  return sign + prefix + intDigits(whole, type).padStart(precision ?? 0, "0");
}

function filled(body: string, flags: string, width: number, type: string): string {
  const missing = width - Array.from(body).length;
  if (missing <= 0) return body;
  if (flags.includes("-")) return body + " ".repeat(missing);
  if (!flags.includes("0") || !"diuxXoeEfFgG".includes(type)) return " ".repeat(missing) + body;
  const [, sign = "", rest = ""] = /^([-+ ]?(?:0[xXo])?)(.*)$/su.exec(body)!;
  return sign + "0".repeat(missing) + rest;
}
