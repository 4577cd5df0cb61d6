/**
 * Python's `text.format(...)` and its format specifications. Attributes and elements in fields are looked up by the
 * caller's rules. Knows no template.
 */
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { floatDigits, grouped, intDigits } from "./number-format.ts";
import { floatText, truncated } from "./numbers.ts";
import { repr, str } from "./show.ts";
import { Float, type Kwargs, numeric, textOf, typeName, type Value } from "./values.ts";

/** How fields are looked up. */
export interface Lookup {
  attribute(value: Value, name: string): Value;
  element(value: Value, key: Value): Value;
}

/** The text with its fields filled in. */
export function braceFormat(
  text: string,
  args: readonly Value[],
  kwargs: Kwargs,
  lookup: Lookup,
  budget: Budget,
): string {
  let auto = 0;
  const expand = (template: string, depth: number): string => {
    if (depth > 2) throw new JinjaError("value", "Max string recursion exceeded");
    let result = "";
    for (let i = 0; i < template.length; i++) {
      budget.step();
      const character = template[i]!;
      if (character !== "{" && character !== "}") result += character;
      else if (template[i + 1] === character && !(depth > 1)) {
        result += character;
        i++;
      } else if (character === "}") throw new JinjaError("value", "Single '}' encountered in format string");
      else {
        const end = closing(template, i);
        result += field(template.slice(i + 1, end), depth);
        i = end;
      }
    }
    return budget.text(result);
  };
  const field = (content: string, depth: number): string => {
    const [, name = "", conversion, spec = ""] =
      /^((?:[^!:[]|\[[^\]]*\])*)(?:!([^:]*))?(?::(.*))?$/su.exec(content) ?? [];
    const value = find(name);
    const given = conversion === undefined ? value : convert(value, conversion, budget);
    return formatValue(given, expand(spec, depth + 1), budget);
  };
  const find = (name: string): Value => {
    const [, first = "", rest = ""] = /^([^.[]*)(.*)$/su.exec(name)!;
    const key = first === "" ? String(auto++) : first;
    let value = /^\d+$/.test(key) ? args[Number(key)] : kwargs.get(key);
    if (value === undefined) {
      throw new JinjaError("lookup", `the replacement field '${key}' is out of range or has no argument`);
    }
    for (const [, attribute, index] of rest.matchAll(/\.([^.[]*)|\[([^\]]*)\]/gsu)) {
      if (attribute !== undefined) value = lookup.attribute(value, attribute);
      else value = lookup.element(value, /^\d+$/.test(index!) ? Number(index) : index!);
    }
    return value;
  };
  return expand(text, 0);
}

function closing(template: string, start: number): number {
  let depth = 0;
  for (let i = start; i < template.length; i++) {
    if (template[i] === "{") depth++;
    if (template[i] === "}" && --depth === 0) return i;
  }
  throw new JinjaError("value", "expected '}' before end of string");
}

function convert(value: Value, conversion: string, budget: Budget): string {
  if (conversion === "s") return str(value, budget);
  if (conversion === "r" || conversion === "a") return repr(value, budget);
  throw new JinjaError("value", `Unknown conversion specifier ${conversion}`);
}

const SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/su;

/** Python's `format(value, spec)`. */
export function formatValue(value: Value, spec: string, budget: Budget): string {
  if (spec === "") return str(value, budget);
  const match = SPEC.exec(spec);
  if (match === null) throw new JinjaError("value", `Invalid format specifier '${spec}'`);
  const [, fill, align, sign = "-", , alternate, zero, width = "0", separator, precision, type = ""] = match;
  budget.length(Number(width));
  const number = numeric(value);
  const text = textOf(value);
  if (text !== null || number === null) {
    if (text === null)
      throw new JinjaError("type", `unsupported format string passed to ${typeName(value)}.__format__`);
    if (type !== "" && type !== "s") {
      throw new JinjaError("value", `Unknown format code '${type}' for object of type 'str'`);
    }
    const cut = precision === undefined ? text : Array.from(text).slice(0, Number(precision)).join("");
    return aligned("", cut, align ?? "<", fill ?? (zero ? "0" : " "), Number(width));
  }
  const body = numberBody(value, number, type, precision, alternate !== undefined);
  const digits = separator === undefined ? body : grouped(body, separator, "xXob".includes(type || " ") ? 4 : 3);
  const negative = number < 0 || Object.is(number, -0);
  const prefix = alternate !== undefined && "xXob".includes(type || " ") ? `0${type}` : "";
  const lead = (negative ? "-" : sign === "-" ? "" : sign) + prefix;
  const padding = fill ?? (zero ? "0" : " ");
  return aligned(lead, digits, align ?? (zero ? "=" : ">"), padding, Number(width), zero ? separator : undefined);
}

function numberBody(
  value: Value,
  number: number | bigint,
  type: string,
  precision: string | undefined,
  alternate: boolean,
) {
  const isFloat = value instanceof Float;
  const absolute = number < 0 ? -number : number;
  if (type !== "" && "eEfFgG%n".includes(type)) {
    const kind = type === "n" ? "g" : type;
    const digits = floatDigits(Math.abs(Number(absolute)), kind, Number(precision ?? 6), alternate);
    return kind === kind.toUpperCase() ? digits.toUpperCase() : digits;
  }
  if (isFloat) {
    if (type !== "") throw new JinjaError("value", `Unknown format code '${type}' for object of type 'float'`);
    if (precision === undefined) return floatText(Math.abs(value.value));
    return withPoint(floatDigits(Math.abs(value.value), "g", Number(precision), alternate));
  }
  if (type === "c") return String.fromCodePoint(Number(number));
  if (!["", "d", "x", "X", "o", "b"].includes(type)) {
    throw new JinjaError("value", `Unknown format code '${type}' for object of type 'int'`);
  }
  if (precision !== undefined) throw new JinjaError("value", "Precision not allowed in integer format specifier");
  return intDigits(truncatedInt(absolute), type);
}

const withPoint = (digits: string): string => (/^\d+$/.test(digits) ? `${digits}.0` : digits);

const truncatedInt = (value: number | bigint): number | bigint =>
  typeof value === "bigint" ? value : truncated(value);

function aligned(lead: string, body: string, align: string, fill: string, width: number, separator?: string): string {
  let digits = body;
  if (align === "=" && separator !== undefined) {
    while (lead.length + digits.length < width) digits = grouped(`0${digits.replaceAll(separator, "")}`, separator, 3);
    return lead + digits;
  }
  const missing = width - Array.from(lead + digits).length;
  if (missing <= 0) return lead + digits;
  if (align === "=") return lead + fill.repeat(missing) + digits;
  if (align === "<") return lead + digits + fill.repeat(missing);
  if (align === ">") return fill.repeat(missing) + lead + digits;
  const left = missing >> 1;
  digits = lead + digits;
  return fill.repeat(left) + digits + fill.repeat(missing - left);
}
