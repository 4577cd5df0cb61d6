/**
 * The functions that every template has: `range`, `dict`, `namespace`, `cycler`, `joiner`. Knows no template.
 */
import { native } from "./arguments.ts";
import { fromKeys } from "./attributes.ts";
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { asIndex } from "./numbers.ts";
import { each, listOf } from "./sequences.ts";
import { Callable, Dict, type Kwargs, Namespace, PyObject, Range, textOf, Undefined, type Value } from "./values.ts";

const MAX_RANGE = 100_000; // as in Jinja's sandbox

/** By name, for one rendering. */
export function globals(budget: Budget): ReadonlyMap<string, Value> {
  const classes: [name: string, make: (args: readonly Value[], kwargs: Kwargs) => Value][] = [
    ["range", (args, kwargs) => range(args, kwargs)],
    ["namespace", (args, kwargs) => namespace(args, kwargs, budget)],
    ["cycler", (args) => new Cycler(args)],
    [
      "lipsum",
      () => {
        throw new JinjaError("unsupported", "lipsum is not supported: the same messages give the same text");
      },
    ],
  ];
  const dict = new Callable("dict", (args, kwargs) => dictOf(args, kwargs, budget), "class", {
    fromkeys: native("fromkeys", "iterable, value=, /", (keys, value = null) => fromKeys(keys!, value, budget)),
  });
  return new Map<string, Value>([
    ...classes.map(([name, make]): [string, Value] => [name, new Callable(name, make, "class")]),
    ["dict", dict],
    ["joiner", native("joiner", "sep=", (separator = ", ") => joiner(separator))],
  ]);
}

function range(args: readonly Value[], kwargs: Kwargs): Range {
  if (kwargs.size > 0) throw new JinjaError("type", "range() takes no keyword arguments");
  if (args.length < 1 || args.length > 3)
    throw new JinjaError("type", `range expected 1 to 3 arguments, got ${args.length}`);
  for (const value of args) if (value instanceof Undefined) throw value.error();
  const [first = 0, second, step = 1] = args.map(asIndex);
  if (step === 0) throw new JinjaError("value", "range() arg 3 must not be zero");
  const made = second === undefined ? new Range(0, first, step) : new Range(first, second, step);
  if (made.length > MAX_RANGE) {
    throw new JinjaError("overflow", `Range too big. The sandbox blocks ranges larger than MAX_RANGE=${MAX_RANGE}.`);
  }
  return made;
}

/** The dictionary that Python's `dict(...)` makes: of a mapping or of pairs, and of named values. */
function dictOf(args: readonly Value[], kwargs: Kwargs, budget: Budget): Dict {
  const [source, ...more] = args;
  if (more.length > 0) throw new JinjaError("type", `dict expected at most 1 argument, got ${args.length}`);
  const made = Dict.of(source === undefined ? [] : pairs(source, budget), budget);
  for (const [key, value] of kwargs) made.set(key, value, budget);
  return made;
}

function* pairs(source: Value, budget: Budget): Generator<readonly [Value, Value]> {
  if (source instanceof Dict) yield* source.entries();
  else {
    for (const pair of each(source, budget)) {
      const items = listOf(pair, budget);
      if (items.length !== 2) {
        throw new JinjaError("value", `dictionary update sequence element has length ${items.length}; 2 is required`);
      }
      yield [items[0]!, items[1]!];
    }
  }
}

function namespace(args: readonly Value[], kwargs: Kwargs, budget: Budget): Namespace {
  const made = new Namespace();
  for (const [key, value] of dictOf(args, kwargs, budget).entries()) made.set(textOf(key) ?? "", value);
  return made;
}

/** Gives its values in turn. */
class Cycler extends PyObject {
  readonly type = "Cycler";
  readonly #values: readonly Value[];
  #position = 0;
  constructor(values: readonly Value[]) {
    super();
    if (values.length === 0) throw new JinjaError("runtime", "at least one item has to be provided");
    this.#values = values;
  }
  override attribute(name: string): Value | undefined {
    switch (name) {
      case "current":
        return this.#values[this.#position]!;
      case "items":
        return this.#values;
      case "next":
        return native(name, "", () => {
          const value = this.#values[this.#position]!;
          this.#position = (this.#position + 1) % this.#values.length;
          return value;
        });
      case "reset":
        return native(name, "", () => {
          this.#position = 0;
          return null;
        });
      default:
        return undefined;
    }
  }
}

/** Gives nothing the first time, then the separator. */
function joiner(separator: Value): Callable {
  let used = false;
  const next = (): Value => {
    if (used) return separator;
    used = true;
    return "";
  };
  return new Callable("joiner", next, "joiner", { sep: separator });
}
