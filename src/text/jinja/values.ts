/**
 * The values of templates, as Python has them: whole numbers apart from floats, lists apart from tuples, dictionaries
 * with keys of several types, texts that are marked as safe, and what is undefined. Plain JavaScript values stand for
 * None, bool, int, str and list. No value gives access to JavaScript's prototypes or functions. Knows no template.
 */
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";

/** `number` is a whole number in the safe range, `bigint` one beyond it. */
export type Value = null | boolean | number | bigint | string | readonly Value[] | PyObject;

/** Everything that is more than a plain value. */
export abstract class PyObject {
  /** Python's name of the type, for messages. */
  abstract readonly type: string;

  /** How it is written, where that is its own business. */
  shown(): string {
    return `<${this.type}>`;
  }

  /** An attribute of its own, or undefined where there is none. */
  attribute(_name: string): Value | undefined {
    return undefined;
  }
}

export class Float extends PyObject {
  readonly type = "float";
  readonly value: number;
  constructor(value: number) {
    super();
    this.value = value;
  }
}

/** A text that needs no escaping. */
export class Markup extends PyObject {
  readonly type = "Markup";
  readonly text: string;
  constructor(text: string) {
    super();
    this.text = text;
  }
}

export class Tuple extends PyObject {
  readonly type = "tuple";
  readonly items: readonly Value[];
  /** Names of the items, where it is a named tuple. */
  readonly names: readonly string[];
  constructor(items: readonly Value[], names: readonly string[] = []) {
    super();
    this.items = items;
    this.names = names;
  }
  override attribute(name: string): Value | undefined {
    return this.items[this.names.indexOf(name)];
  }
}

/** A dictionary: entries in the order of their keys' first appearance. */
export class Dict extends PyObject {
  readonly type = "dict";
  readonly #entries = new Map<string, readonly [Value, Value]>();

  static of(entries: Iterable<readonly [Value, Value]>, budget: Budget): Dict {
    const dict = new Dict();
    for (const [key, value] of entries) dict.set(key, value, budget);
    return dict;
  }
  get size(): number {
    return this.#entries.size;
  }
  set(key: Value, value: Value, budget: Budget): void {
    const hashed = hashKey(key, budget);
    const known = this.#entries.get(hashed);
    this.#entries.set(hashed, [known === undefined ? key : known[0], value]);
  }
  get(key: Value, budget: Budget): Value | undefined {
    return this.#entries.get(hashKey(key, budget))?.[1];
  }
  has(key: Value, budget: Budget): boolean {
    return this.#entries.has(hashKey(key, budget));
  }
  entries(): IterableIterator<readonly [Value, Value]> {
    return this.#entries.values();
  }
}

/** The view that a dictionary's `keys`, `values` or `items` give. */
export class View extends PyObject {
  readonly type: string;
  readonly dict: Dict;
  readonly kind: "keys" | "values" | "items";
  constructor(dict: Dict, kind: "keys" | "values" | "items") {
    super();
    this.type = `dict_${kind}`;
    this.dict = dict;
    this.kind = kind;
  }
  *items(): Generator<Value> {
    for (const entry of this.dict.entries()) {
      yield this.kind === "items" ? new Tuple(entry) : entry[this.kind === "keys" ? 0 : 1];
    }
  }
}

/** Python's `range`. */
export class Range extends PyObject {
  readonly type = "range";
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  readonly length: number;
  constructor(start: number, stop: number, step: number) {
    super();
    this.start = start;
    this.stop = stop;
    this.step = step;
    this.length = Math.max(0, Math.ceil((stop - start) / step));
  }
  override attribute(name: string): Value | undefined {
    return name === "start" || name === "stop" || name === "step" ? this[name] : undefined;
  }
}

/** An iterator or generator: its values come once. */
export class Iter extends PyObject {
  readonly type: string;
  readonly iterator: Iterator<Value>;
  constructor(type: string, iterator: Iterator<Value>) {
    super();
    this.type = type;
    this.iterator = iterator;
  }
}

/** What a name, an attribute or an element is that is not there. Writes nothing, holds nothing, and does nothing else. */
export class Undefined extends PyObject {
  readonly type = "Undefined";
  readonly #kind: "undefined" | "security";
  readonly #message: string;
  constructor(message: string, kind: "undefined" | "security" = "undefined") {
    super();
    this.#message = message;
    this.#kind = kind;
  }
  /** The error of whatever else is done with it. */
  error(): JinjaError {
    return new JinjaError(this.#kind, this.#message);
  }
}

export class Namespace extends PyObject {
  readonly type = "Namespace";
  readonly #values = new Map<string, Value>();
  entries(): Iterable<readonly [string, Value]> {
    return this.#values;
  }
  set(name: string, value: Value): void {
    if (name.startsWith("_")) {
      throw new JinjaError(
        "security",
        `a namespace takes no attribute that begins with an underscore, such as ${name}`,
      );
    }
    this.#values.set(name, value);
  }
  override attribute(name: string): Value | undefined {
    return this.#values.get(name);
  }
}

export type Kwargs = ReadonlyMap<string, Value>;

/** What a call gets. */
export type Native = (args: readonly Value[], kwargs: Kwargs) => Value;

/** A function, method, macro or class. */
export class Callable extends PyObject {
  readonly type: string;
  readonly name: string;
  readonly call: Native;
  readonly #attributes: Readonly<Record<string, Value>>;
  constructor(name: string, call: Native, type = "function", attributes: Readonly<Record<string, Value>> = {}) {
    super();
    this.name = name;
    this.call = call;
    this.type = type;
    this.#attributes = attributes;
  }
  override attribute(name: string): Value | undefined {
    return Object.hasOwn(this.#attributes, name) ? this.#attributes[name] : undefined;
  }
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** The items of a list or tuple, or null of anything else. */
export function itemsOf(value: Value): readonly Value[] | null {
  return isList(value) ? value : value instanceof Tuple ? value.items : null;
}

/** A text, marked or not; null of anything else. */
export function textOf(value: Value): string | null {
  return typeof value === "string" ? value : value instanceof Markup ? value.text : null;
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "str";
  if (typeof value === "number" || typeof value === "bigint") return "int";
  return isList(value) ? "list" : (value as PyObject).type;
}

/** A number or bool as JavaScript's number or bigint, null of anything else. */
export function numeric(value: Value): number | bigint | null {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (typeof value === "boolean") return Number(value);
  return value instanceof Float ? value.value : null;
}

export function truthy(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  const number = numeric(value);
  if (number !== null) return number !== 0 && number !== 0n;
  const text = textOf(value);
  if (text !== null) return text !== "";
  const items = itemsOf(value);
  if (items !== null) return items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof View) return value.dict.size > 0;
  return value instanceof Range ? value.length > 0 : true;
}

/** Python's `==`. */
export function equal(a: Value, b: Value, budget: Budget): boolean {
  budget.step();
  const [left, right] = [numeric(a), numeric(b)];
  if (left !== null || right !== null) return left !== null && right !== null && left <= right && left >= right;
  const [text, other] = [textOf(a), textOf(b)];
  if (text !== null && other !== null) {
    budget.step(Math.min(text.length, other.length) / 64);
    return text === other;
  }
  if (text !== null || other !== null) return false;
  if (a === b) return true;
  if (isList(a)) return isList(b) && allEqual(a, b, budget);
  if (a instanceof Tuple) return b instanceof Tuple && allEqual(a.items, b.items, budget);
  if (a instanceof Undefined) return b instanceof Undefined;
  if (a instanceof Range) return b instanceof Range && allEqual([...numbersOf(a)], [...numbersOf(b)], budget);
  if (a instanceof View) return b instanceof View && a.kind !== "values" && sameMembers(a, b, budget);
  if (!(a instanceof Dict && b instanceof Dict) || a.size !== b.size) return false;
  for (const [key, value] of a.entries()) {
    const twin = b.get(key, budget);
    if (twin === undefined || !equal(value, twin, budget)) return false;
  }
  return true;
}

function allEqual(a: readonly Value[], b: readonly Value[], budget: Budget): boolean {
  return a.length === b.length && a.every((item, i) => equal(item, b[i]!, budget));
}

function sameMembers(a: View, b: View, budget: Budget): boolean {
  const others = new Set([...b.items()].map((item) => hashKey(item, budget)));
  const own = [...a.items()];
  return own.length === others.size && own.every((item) => others.has(hashKey(item, budget)));
}

export function* numbersOf({ start, step, length }: Range): Generator<number> {
  for (let i = 0; i < length; i++) yield start + i * step;
}

const identities = new WeakMap<object, number>();
let lastIdentity = 0;

/** A text that is the same for equal values. Throws for what can be no key. */
export function hashKey(value: Value, budget: Budget): string {
  budget.step();
  if (value === null) return "None";
  const text = textOf(value);
  if (text !== null) return budget.text(`"${text}`);
  const number = numeric(value);
  if (typeof number === "bigint") return `#${number}`;
  if (number !== null) return `#${Number.isInteger(number) ? BigInt(number) : number}`;
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Tuple) {
    const keys = value.items.map((item) => hashKey(item, budget));
    return budget.text(`(${keys.map((key) => `${key.length}:${key}`).join()}`);
  }
  if (isList(value) || value instanceof Dict || value instanceof View) {
    throw new JinjaError("type", `unhashable type: '${typeName(value)}'`);
  }
  const known = identities.get(value as object);
  if (known === undefined) identities.set(value as object, ++lastIdentity);
  return `@${known ?? lastIdentity}`;
}
