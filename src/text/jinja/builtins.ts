/**
 * What a built-in filter or test may use of the rendering that it is part of. Knows no filter.
 */
import { bound } from "./arguments.ts";
import { elementOf } from "./attributes.ts";
import type { Budget } from "./budget.ts";
import { type Native, textOf, Undefined, type Value } from "./values.ts";

export interface Rendering {
  readonly budget: Budget;
  /** Whether what is written is escaped for HTML. */
  readonly autoescape: boolean;
  /** A filter or test by its name; throws where there is none. */
  filter(name: string): Native;
  test(name: string): Native;
  has(what: "filter" | "test", name: string): boolean;
}

/** A filter or test in a rendering. */
export type Builtin = (rendering: Rendering) => Native;

type Work = (rendering: Rendering, ...values: (Value | undefined)[]) => Value;

/** A filter or test of named parameters, of which the value is the first. */
export function builtin(name: string, signature: string, work: Work): [name: string, builtin: Builtin] {
  return [name, (rendering) => bound(name, signature, (...values) => work(rendering, ...values))];
}

/** What an attribute such as `function.name` or `0` of each item is; undefined elements become `fallback`. */
export function attributeGetter(attribute: Value, { budget }: Rendering, fallback: Value = null) {
  const text = textOf(attribute);
  const parts: Value[] =
    attribute === null
      ? []
      : text === null
        ? [attribute]
        : text.split(".").map((part) => (/^\p{Nd}+$/u.test(part) ? Number(part) : part));
  return (item: Value): Value => {
    let value = item;
    for (const part of parts) {
      value = elementOf(value, part, budget);
      if (fallback !== null && value instanceof Undefined) value = fallback;
    }
    return value;
  };
}
