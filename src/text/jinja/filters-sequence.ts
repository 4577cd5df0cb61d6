/**
 * Filters over lists, dictionaries and whatever else can be gone through. Those of Jinja that are generators are ones
 * here too: their values come once, and they have no length. Knows no template.
 */
import { intOr } from "./arguments.ts";
import { attributeGetter, type Builtin, builtin, type Rendering } from "./builtins.ts";
import { JinjaError } from "./error.ts";
import { asIndex } from "./numbers.ts";
import { binary } from "./operators.ts";
import { compare, each, iterate, keysOf, lazily, lengthOf, listOf, sorted } from "./sequences.ts";
import { escapeHtml, str } from "./show.ts";
import { points } from "./text.ts";
import {
  Dict,
  equal,
  hashKey,
  itemsOf,
  type Kwargs,
  Markup,
  Range,
  Tuple,
  textOf,
  truthy,
  typeName,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** What values are compared by: an attribute of them, with small letters unless case counts. */
function keyGetter(attribute: Value, caseSensitive: Value, rendering: Rendering, fallback: Value = null) {
  const get = attributeGetter(attribute, rendering, fallback);
  return truthy(caseSensitive) ? get : (value: Value): Value => ignoreCase(get(value));
}

function ignoreCase(value: Value): Value {
  return textOf(value)?.toLowerCase() ?? value;
}

/** Several attributes, as a text with commas names them: the list that values are sorted by. */
function sortKey(attribute: Value, caseSensitive: Value, rendering: Rendering): (value: Value) => Value {
  const names: readonly Value[] = textOf(attribute)?.split(",") ?? [attribute];
  const getters = names.map((name) => keyGetter(name, caseSensitive, rendering));
  return (value) => getters.map((get) => get(value));
}

function extreme(name: "min" | "max") {
  return builtin(
    name,
    "value, case_sensitive=, attribute=",
    (rendering, value, sensitive = false, attribute = null) => {
      const { budget } = rendering;
      const get = keyGetter(attribute, sensitive, rendering);
      let best: { readonly value: Value; readonly key: Value } | null = null;
      for (const item of each(value!, budget)) {
        const key = get(item);
        if (best === null) best = { value: item, key };
        else {
          const order = name === "min" ? compare(key, best.key, "<", budget) : compare(best.key, key, ">", budget);
          if (order < 0) best = { value: item, key };
        }
      }
      return best === null ? new Undefined("No aggregated item, sequence was empty.") : best.value;
    },
  );
}

/** `select`, `reject`, `selectattr` and `rejectattr`. */
function selection(name: string, keeps: boolean, byAttribute: boolean): [name: string, builtin: Builtin] {
  const filter: Builtin =
    (rendering) =>
    ([value = null, ...args], kwargs) => {
      return lazily(`select_or_reject`, function* () {
        if (!truthy(value)) return;
        const [attribute, rest] = byAttribute ? [args[0], args.slice(1)] : [null, args];
        if (attribute === undefined) throw new JinjaError("runtime", "Missing parameter for attribute name");
        const get = attributeGetter(attribute, rendering);
        const passes = testOf(rest, kwargs, rendering);
        for (const item of each(value, rendering.budget)) if (passes(get(item)) === keeps) yield item;
      });
    };
  return [name, filter];
}

function testOf([name, ...args]: readonly Value[], kwargs: Kwargs, rendering: Rendering): (value: Value) => boolean {
  if (name === undefined) return truthy;
  const test = rendering.test(textOf(name) ?? "");
  return (value) => truthy(test([value, ...args], kwargs));
}

/** `map` by an attribute or by a filter. */
const map: Builtin =
  (rendering) =>
  ([value = null, ...args], kwargs) =>
    lazily("sync_do_map", function* () {
      if (!truthy(value)) return;
      const change = mapping(args, kwargs, rendering);
      for (const item of each(value, rendering.budget)) yield change(item);
    });

function mapping([name, ...args]: readonly Value[], kwargs: Kwargs, rendering: Rendering): (item: Value) => Value {
  const attribute = kwargs.get("attribute");
  if (name === undefined && attribute !== undefined) {
    const other = [...kwargs.keys()].find((key) => key !== "attribute" && key !== "default");
    if (other !== undefined) throw new JinjaError("runtime", `Unexpected keyword argument '${other}'`);
    return attributeGetter(attribute, rendering, kwargs.get("default") ?? null);
  }
  if (name === undefined) throw new JinjaError("runtime", "map requires a filter argument");
  const filter = rendering.filter(textOf(name) ?? "");
  return (item) => filter([item, ...args], kwargs);
}

export const SEQUENCE_FILTERS: ReadonlyMap<string, Builtin> = new Map([
  builtin("batch", "value, linecount, fill_with=", ({ budget }, value, count, fill = null) =>
    lazily("do_batch", function* () {
      const size = asIndex(count!);
      let batch: Value[] = [];
      for (const item of each(value!, budget)) {
        if (batch.length === size) {
          yield batch;
          batch = [];
        }
        batch.push(item);
      }
      if (batch.length === 0) return;
      if (fill !== null && size > batch.length) {
        budget.size(size);
        while (batch.length < size) batch.push(fill);
      }
      yield batch;
    }),
  ),
  ...["count", "length"].map((name) =>
    builtin(name, "obj, /", (_, value) => {
      const length = lengthOf(value!) ?? loopLength(value!);
      if (length === null) throw new JinjaError("type", `object of type '${typeName(value!)}' has no len()`);
      return length;
    }),
  ),
  builtin(
    "dictsort",
    "value, case_sensitive=, by=, reverse=",
    (rendering, value, sensitive = false, by = "key", reverse = false) => {
      const position = ["key", "value"].indexOf(textOf(by) ?? "");
      if (position < 0) throw new JinjaError("runtime", 'You can only sort by either "key" or "value"');
      if (value instanceof Undefined) throw value.error();
      if (!(value instanceof Dict)) throw new JinjaError("type", `'${typeName(value!)}' object has no items`);
      const get = keyGetter(position, sensitive, rendering);
      return sorted(listOf(new View(value, "items"), rendering.budget), get, truthy(reverse), rendering.budget);
    },
  ),
  builtin("first", "seq", ({ budget }, value) => {
    const next = iterate(value!, budget).next();
    return next.done ? new Undefined("No first item, sequence was empty.") : next.value;
  }),
  builtin(
    "groupby",
    "value, attribute, default=, case_sensitive=",
    (rendering, value, attribute, fallback = null, sensitive = false) => {
      const { budget } = rendering;
      const get = keyGetter(attribute!, sensitive, rendering, fallback);
      const shown = attributeGetter(attribute!, rendering, fallback);
      const groups: { readonly key: Value; readonly items: Value[] }[] = [];
      for (const item of sorted(listOf(value!, budget), get, false, budget)) {
        const key = get(item);
        const last = groups.at(-1);
        if (last !== undefined && equal(last.key, key, budget)) last.items.push(item);
        else groups.push({ key, items: [item] });
      }
      return groups.map(({ items }) => new Tuple([shown(items[0]!), items], ["grouper", "list"]));
    },
  ),
  builtin("items", "value", (_, value) =>
    lazily("do_items", function* () {
      if (value instanceof Undefined) return;
      if (!(value instanceof Dict)) throw new JinjaError("type", "Can only get item pairs from a mapping.");
      yield* new View(value, "items").items();
    }),
  ),
  builtin("join", "value, d=, attribute=", (rendering, value, separator = "", attribute = null) => {
    const { budget, autoescape } = rendering;
    const get = attributeGetter(attribute, rendering);
    const items = listOf(value!, budget).map(get);
    const safe = autoescape && [separator, ...items].some((item) => item instanceof Markup);
    const texts = items.map((item) => (safe ? escapeHtml(item, budget).text : str(item, budget)));
    const between = safe ? escapeHtml(separator, budget).text : str(separator, budget);
    budget.length(texts.reduce((sum, text) => sum + text.length + between.length, 0));
    return safe ? new Markup(texts.join(between)) : texts.join(between);
  }),
  builtin("last", "seq", ({ budget }, value) => {
    const backwards = reversed(value!)?.next();
    if (backwards === undefined) throw new JinjaError("type", `'${typeName(value!)}' object is not reversible`);
    budget.step();
    return backwards.done ? new Undefined("No last item, sequence was empty.") : backwards.value;
  }),
  builtin("list", "value", ({ budget }, value) => listOf(value!, budget)),
  ["map", map],
  extreme("max"),
  extreme("min"),
  builtin("random", "seq", () => {
    throw new JinjaError("unsupported", "the filter random is not supported: the same messages give the same text");
  }),
  selection("reject", false, false),
  selection("rejectattr", false, true),
  builtin("reverse", "value", ({ budget }, value) => {
    const text = textOf(value!);
    if (text !== null) return budget.text([...points(text)].reverse().join(""));
    const backwards = reversed(value!);
    return backwards === null ? listOf(value!, budget).reverse() : lazily("list_reverseiterator", () => backwards);
  }),
  selection("select", true, false),
  selection("selectattr", true, true),
  builtin("slice", "value, slices, fill_with=", ({ budget }, value, slices, fill = null) =>
    lazily("sync_do_slice", function* () {
      const items = listOf(value!, budget);
      const count = asIndex(slices!);
      if (count === 0) throw new JinjaError("zero-division", "integer division or modulo by zero");
      const longer = ((items.length % count) + count) % count;
      let start = 0;
      for (let i = 0; i < count; i++) {
        budget.step();
        const end = start + Math.floor(items.length / count) + (i < longer ? 1 : 0);
        const part = items.slice(start, end);
        yield fill !== null && i >= longer ? [...part, fill] : part;
        start = end;
      }
    }),
  ),
  builtin(
    "sort",
    "value, reverse=, case_sensitive=, attribute=",
    (rendering, value, reverse = false, sensitive = false, attribute = null) => {
      const { budget } = rendering;
      return sorted(listOf(value!, budget), sortKey(attribute, sensitive, rendering), truthy(reverse), budget);
    },
  ),
  builtin("sum", "iterable, attribute=, start=", (rendering, value, attribute = null, start = 0) => {
    const get = attributeGetter(attribute, rendering);
    if (textOf(start) !== null) throw new JinjaError("type", "sum() can't sum strings [use ''.join(seq) instead]");
    let sum = start;
    for (const item of each(value!, rendering.budget)) sum = binary("+", sum, get(item), rendering.budget);
    return sum;
  }),
  builtin("unique", "value, case_sensitive=, attribute=", (rendering, value, sensitive = false, attribute = null) =>
    lazily("sync_do_unique", function* () {
      const get = keyGetter(attribute, sensitive, rendering);
      const seen = new Set<string>();
      for (const item of each(value!, rendering.budget)) {
        const key = hashKey(get(item), rendering.budget);
        if (seen.has(key)) continue;
        seen.add(key);
        yield item;
      }
    }),
  ),
]);

/** The length of what has one as an attribute only: a loop. */
function loopLength(value: Value): number | null {
  if (typeName(value) !== "LoopContext") return null;
  const length = (value as Undefined).attribute("length");
  return length === undefined ? null : intOr(length, 0);
}

/** From the end to the beginning; null for what has no end to begin at. */
function reversed(value: Value): Generator<Value> | null {
  const items = textOf(value) === null ? itemsOf(value) : [...points(textOf(value)!)];
  if (items !== null) return backwards(items);
  if (value instanceof Undefined) return backwards([]);
  if (value instanceof Dict) return backwards([...keysOf(value)]);
  if (value instanceof View) return backwards([...value.items()]);
  return value instanceof Range
    ? backwards(Array.from({ length: value.length }, (_, i) => value.start + i * value.step))
    : null;
}

function* backwards(items: readonly Value[]): Generator<Value> {
  for (let i = items.length - 1; i >= 0; i--) yield items[i]!;
}
