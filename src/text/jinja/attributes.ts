/**
 * Attributes and elements as Jinja's sandbox gives them: `value.name` tries the attribute first, `value["name"]` the
 * element. Nothing that begins with an underscore, and no method that changes a value. Knows no syntax.
 */
import { native } from "./arguments.ts";
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { asIndex } from "./numbers.ts";
import { element, listOf } from "./sequences.ts";
import { escapeHtml } from "./show.ts";
import { markedMethod, textMethod } from "./text-methods.ts";
import {
  Dict,
  equal,
  Float,
  isList,
  itemsOf,
  Markup,
  numbersOf,
  numeric,
  PyObject,
  Range,
  textOf,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** Methods that change a value; the sandbox has them, but not for use. */
const CHANGING: Readonly<Record<string, readonly string[]>> = {
  list: ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"],
  dict: ["clear", "pop", "popitem", "setdefault", "update"],
};

/** `value.name`. */
export function attributeOf(value: Value, name: string, budget: Budget): Value {
  if (value instanceof Undefined) throw value.error();
  const own = ownAttribute(value, name, budget);
  if (own !== undefined) return own;
  const found = element(value, name, budget);
  return found === undefined ? missing(value, name) : found;
}

/** `value[key]`. */
export function elementOf(value: Value, key: Value, budget: Budget): Value {
  const found = element(value, key, budget);
  if (found !== undefined) return found;
  const name = textOf(key);
  const own = name === null ? undefined : ownAttribute(value, name, budget);
  return own === undefined ? missing(value, key) : own;
}

function missing(value: Value, key: Value): Undefined {
  const name = textOf(key);
  if (name === null) return new Undefined(`${typeName(value)} object has no element ${String(key)}`);
  return new Undefined(`'${typeName(value)} object' has no attribute '${name}'`);
}

/** Python's `getattr`, as far as the sandbox allows; undefined where there is none. */
export function ownAttribute(value: Value, name: string, budget: Budget): Value | undefined {
  if (name.startsWith("_")) {
    return name.startsWith("__") && value !== null && DUNDERS.has(name) ? unsafe(value, name) : undefined;
  }
  const type = typeName(value);
  if (Object.hasOwn(CHANGING, type) && CHANGING[type]!.includes(name)) return unsafe(value, name);
  const lookup = {
    attribute: (of: Value, attribute: string) => attributeOf(of, attribute, budget),
    element: (of: Value, key: Value) => elementOf(of, key, budget),
  };
  const text = textOf(value);
  if (text !== null) {
    const method = textMethod(text, name, lookup, budget);
    if (method === undefined || !(value instanceof Markup)) return method;
    return markedMethod(method, (given) => escapeHtml(given, budget));
  }
  if (value instanceof PyObject) {
    const own = value.attribute(name);
    if (own !== undefined) return own;
  }
  if (value instanceof Dict) return dictMethod(value, name, budget);
  const items = itemsOf(value);
  if (items !== null || value instanceof Range) {
    return sequenceMethod(items ?? [...numbersOf(value as Range)], name, isList(value), budget);
  }
  return numeric(value) === null ? undefined : numberAttribute(value, name);
}

/** Those that every object has in Python; they are there, and not for use. */
const DUNDERS: ReadonlySet<string> = new Set(
  ["class", "doc", "init", "dict", "module", "getattribute", "setattr", "delattr", "repr", "str", "eq", "ne", "hash"]
    .concat(["new", "reduce", "reduce_ex", "subclasshook", "init_subclass", "format", "sizeof", "dir"])
    .map((name) => `__${name}__`),
);

function unsafe(value: Value, name: string): Undefined {
  return new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`, "security");
}

function dictMethod(dict: Dict, name: string, budget: Budget): Value | undefined {
  switch (name) {
    case "get":
      return native(name, "key, default=, /", (key, fallback = null) => {
        const found = dict.get(key!, budget);
        return found === undefined ? fallback : found;
      });
    case "keys":
    case "values":
    case "items":
      return native(name, "", () => new View(dict, name));
    case "copy":
      return native(name, "", () => Dict.of(dict.entries(), budget));
    case "fromkeys":
      return native(name, "iterable, value=, /", (keys, value = null) => fromKeys(keys!, value, budget));
    default:
      return undefined;
  }
}

export function fromKeys(keys: Value, value: Value, budget: Budget): Dict {
  return Dict.of(
    listOf(keys, budget).map((key) => [key, value] as const),
    budget,
  );
}

function sequenceMethod(items: readonly Value[], name: string, isAList: boolean, budget: Budget): Value | undefined {
  switch (name) {
    case "index":
      return native(name, "value, start=, stop=, /", (wanted, start = 0, stop = items.length) => {
        const place = (value: Value): number =>
          Math.max(0, asIndex(value) < 0 ? asIndex(value) + items.length : asIndex(value));
        const end = Math.min(items.length, place(stop));
        for (let i = place(start); i < end; i++) if (equal(items[i]!, wanted!, budget)) return i;
        throw new JinjaError("value", "the value is not in the list");
      });
    case "count":
      return native(name, "value, /", (wanted) => items.filter((item) => equal(item, wanted!, budget)).length);
    case "copy":
      return isAList ? native(name, "", () => items) : undefined;
    default:
      return undefined;
  }
}

function numberAttribute(value: Value, name: string): Value | undefined {
  const number = numeric(value)!;
  const whole = typeof value === "boolean" ? Number(value) : value;
  switch (name) {
    case "real":
      return whole;
    case "imag":
      return value instanceof Float ? new Float(0) : 0;
    case "conjugate":
      return native(name, "", () => whole);
  }
  if (value instanceof Float) {
    return name === "is_integer" ? native(name, "", () => Number.isInteger(value.value)) : undefined;
  }
  switch (name) {
    case "numerator":
      return whole;
    case "denominator":
      return 1;
    case "bit_length":
      return native(name, "", () => (number === 0 ? 0 : BigInt(number).toString(2).replace("-", "").length));
    case "bit_count":
      return native(name, "", () => BigInt(number).toString(2).replaceAll(/[^1]/g, "").length);
    default:
      return undefined;
  }
}
