/**
 * What can be gone through, counted, indexed, sliced and ordered. Knows no template.
 */
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { asIndex } from "./numbers.ts";
import { compareTexts, finder, pointCount, points, slicePoints } from "./text.ts";
import {
  Dict,
  equal,
  Iter,
  isList,
  itemsOf,
  Markup,
  numbersOf,
  numeric,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** The values of what can be gone through; throws for the rest. */
export function iterate(value: Value, budget: Budget): Iterator<Value> {
  const iterator = iteratorOf(value);
  if (iterator === null) throw new JinjaError("type", `'${typeName(value)}' object is not iterable`);
  return {
    next() {
      budget.step();
      return iterator.next();
    },
  };
}

export function isIterable(value: Value): boolean {
  return iteratorOf(value) !== null;
}

function iteratorOf(value: Value): Iterator<Value> | null {
  const items = itemsOf(value);
  if (items !== null) return items[Symbol.iterator]();
  const text = textOf(value);
  if (text !== null) return text[Symbol.iterator]();
  if (value instanceof Dict) return keysOf(value);
  if (value instanceof View) return value.items();
  if (value instanceof Range) return numbersOf(value);
  if (value instanceof Iter) return value.iterator;
  return value instanceof Undefined ? [][Symbol.iterator]() : null;
}

export function* keysOf(dict: Dict): Generator<Value> {
  for (const [key] of dict.entries()) yield key;
}

/** All values, as a list of its own. */
export function listOf(value: Value, budget: Budget): Value[] {
  const iterator = iterate(value, budget);
  const list: Value[] = [];
  for (let next = iterator.next(); !next.done; next = iterator.next()) {
    list.push(next.value);
    if (list.length > budget.maxSize) budget.size(list.length);
  }
  return list;
}

/** A generator as a value. */
export function lazily(type: string, values: () => Generator<Value>): Iter {
  return new Iter(type, values());
}

/** What `each` gives for each of the values. */
export function* each(value: Value, budget: Budget): Generator<Value> {
  const iterator = iterate(value, budget);
  for (let next = iterator.next(); !next.done; next = iterator.next()) yield next.value;
}

/** Python's `len`, or null where there is none. */
export function lengthOf(value: Value): number | null {
  const text = textOf(value);
  if (text !== null) return pointCount(text);
  const items = itemsOf(value);
  if (items !== null) return items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof View) return value.dict.size;
  if (value instanceof Range) return value.length;
  return value instanceof Undefined ? 0 : null;
}

/** Whether a value can be got at by index or key. */
export function isSubscriptable(value: Value): boolean {
  return textOf(value) !== null || itemsOf(value) !== null || value instanceof Dict || value instanceof Range;
}

/** `value[key]`; undefined where there is no such element, or nothing like elements at all. */
export function element(value: Value, key: Value, budget: Budget): Value | undefined {
  if (value instanceof Undefined) throw value.error();
  if (value instanceof Dict) {
    if (isList(key) || key instanceof Dict) return undefined;
    return value.get(key, budget);
  }
  if (typeof key !== "number" && typeof key !== "boolean") return undefined;
  const text = textOf(value);
  const sequence = text === null ? itemsOf(value) : points(budget.text(text));
  const length = sequence?.length ?? (value instanceof Range ? value.length : 0);
  const index = Number(key) < 0 ? Number(key) + length : Number(key);
  if (index < 0 || index >= length) return undefined;
  if (value instanceof Range) return value.start + index * value.step;
  const found = sequence?.[index];
  return found !== undefined && value instanceof Markup ? new Markup(found as string) : found;
}

/** `value[start:stop:step]`. */
export function slice(value: Value, start: Value, stop: Value, step: Value, budget: Budget): Value {
  if (value instanceof Undefined) throw value.error();
  const length = isSubscriptable(value) && !(value instanceof Dict) ? lengthOf(value) : null;
  if (length === null) throw new JinjaError("type", `'${typeName(value)}' object cannot be sliced`);
  const stride = step === null ? 1 : asIndex(step);
  if (stride === 0) throw new JinjaError("value", "slice step cannot be zero");
  const [low, high] = stride > 0 ? [0, length] : [-1, length - 1];
  const place = (given: Value, fallback: number): number => {
    if (given === null) return fallback;
    const index = asIndex(given);
    return Math.min(high, Math.max(low, index < 0 ? index + length : index));
  };
  const first = place(start, stride > 0 ? low : high);
  const last = place(stop, stride > 0 ? high : low);
  if (value instanceof Range) {
    return new Range(value.start + first * value.step, value.start + last * value.step, value.step * stride);
  }
  const text = textOf(value);
  if (text !== null) {
    budget.length(text.length);
    const part = stride === 1 ? slicePoints(text, first, last) : pick(points(text), first, last, stride).join("");
    return value instanceof Markup ? new Markup(part) : part;
  }
  const items = itemsOf(value)!;
  budget.size(Math.max(0, Math.ceil((last - first) / stride)));
  const part = stride === 1 ? items.slice(first, last) : pick(items, first, last, stride);
  return value instanceof Tuple ? new Tuple(part) : part;
}

function pick<T>(items: ArrayLike<T>, first: number, last: number, stride: number): T[] {
  const picked: T[] = [];
  for (let i = first; stride > 0 ? i < last : i > last; i += stride) picked.push(items[i]!);
  return picked;
}

/** Python's `item in container`. */
export function contains(container: Value, item: Value, budget: Budget): boolean {
  const text = textOf(container);
  if (text !== null) {
    if (item instanceof Undefined) throw new JinjaError("type", "'in <string>' requires string, not Undefined");
    const part = textOf(item);
    if (part === null) throw new JinjaError("type", `'in <string>' requires string, not ${typeName(item)}`);
    return finder(part, budget)(text) >= 0;
  }
  if (container instanceof Dict) return container.has(item, budget);
  if (container instanceof View && container.kind === "keys") return container.dict.has(item, budget);
  if (!isIterable(container)) {
    throw new JinjaError("type", `argument of type '${typeName(container)}' is not iterable`);
  }
  for (const other of each(container, budget)) if (equal(item, other, budget)) return true;
  return false;
}

/** Python's order of two values: negative, 0 or positive, NaN where neither is before the other. */
export function compare(a: Value, b: Value, operator: string, budget: Budget): number {
  budget.step();
  if (a instanceof Undefined) throw a.error();
  if (b instanceof Undefined) throw b.error();
  const [left, right] = [numeric(a), numeric(b)];
  if (left !== null && right !== null) return left < right ? -1 : left > right ? 1 : left >= right ? 0 : Number.NaN;
  const [text, other] = [textOf(a), textOf(b)];
  if (text !== null && other !== null) {
    budget.step(Math.min(text.length, other.length) / 64);
    return compareTexts(text, other);
  }
  if ((isList(a) && isList(b)) || (a instanceof Tuple && b instanceof Tuple)) {
    const [items, others] = [itemsOf(a)!, itemsOf(b)!];
    const shared = Math.min(items.length, others.length);
    for (let i = 0; i < shared; i++) {
      if (!equal(items[i]!, others[i]!, budget)) return compare(items[i]!, others[i]!, operator, budget);
    }
    return items.length - others.length;
  }
  const types = `'${typeName(a)}' and '${typeName(b)}'`;
  throw new JinjaError("type", `'${operator}' not supported between instances of ${types}`);
}

/** Sorted by keys, in a stable way; backwards, what is equal keeps its order too. */
export function sorted(
  values: readonly Value[],
  key: (value: Value) => Value,
  reverse: boolean,
  budget: Budget,
): Value[] {
  budget.size(values.length);
  const sign = reverse ? -1 : 1;
  return values
    .map((value) => ({ value, key: key(value) }))
    .sort((a, b) => sign * (compare(a.key, b.key, "<", budget) || 0))
    .map(({ value }) => value);
}
