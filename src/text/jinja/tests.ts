/**
 * Tests: what may stand behind `is`. Knows no template.
 */
import { type Builtin, builtin } from "./builtins.ts";
import { JinjaError } from "./error.ts";
import { binary, type Comparison, compares } from "./operators.ts";
import { isIterable, lengthOf } from "./sequences.ts";
import { str } from "./show.ts";
import { Callable, Dict, equal, Float, Markup, numeric, textOf, typeName, Undefined, type Value } from "./values.ts";

const whether = (name: string, is: (value: Value) => boolean) => builtin(name, "value", (_, value) => is(value!));

const comparison = (operator: Comparison, ...names: readonly string[]) =>
  names.map((name) =>
    builtin(name, "a, b, /", ({ budget }, value, other) => compares(operator, value!, other!, budget)),
  );

const isDefined = (value: Value): boolean => !(value instanceof Undefined);
const isWhole = (value: Value): boolean => typeof value === "number" || typeof value === "bigint";
const remainder = (name: string, divisor: number, rest: number) =>
  builtin(name, "value", ({ budget }, value) => {
    if (textOf(value!) !== null) throw new JinjaError("type", "not all arguments converted during string formatting");
    return equal(binary("%", value!, divisor, budget), rest, budget);
  });

export const TESTS: ReadonlyMap<string, Builtin> = new Map([
  whether("boolean", (value) => typeof value === "boolean"),
  whether(
    "callable",
    (value) => value instanceof Callable || ["Cycler", "Joiner", "LoopContext"].includes(typeName(value)),
  ),
  whether("defined", isDefined),
  builtin("divisibleby", "value, num", ({ budget }, value, by) => equal(binary("%", value!, by!, budget), 0, budget)),
  whether("escaped", (value) => value instanceof Markup),
  remainder("even", 2, 0),
  whether("false", (value) => value === false),
  builtin("filter", "value", (rendering, value) => rendering.has("filter", textOf(value!) ?? "")),
  whether("float", (value) => value instanceof Float),
  builtin("in", "value, seq", ({ budget }, value, sequence) => compares("in", value!, sequence!, budget)),
  whether("integer", isWhole),
  whether("iterable", isIterable),
  builtin("lower", "value", ({ budget }, value) => {
    const text = str(value!, budget);
    return /\p{Ll}/u.test(text) && !/[\p{Lu}\p{Lt}]/u.test(text);
  }),
  whether("mapping", (value) => value instanceof Dict),
  whether("none", (value) => value === null),
  whether("number", (value) => numeric(value) !== null),
  remainder("odd", 2, 1),
  builtin("sameas", "value, other", (_, value, other) => same(value!, other!)),
  whether("sequence", (value) => {
    const views = ["dict_keys", "dict_values", "dict_items"];
    return lengthOf(value) !== null && !views.includes(typeName(value));
  }),
  whether("string", (value) => textOf(value) !== null),
  builtin("test", "value", (rendering, value) => rendering.has("test", textOf(value!) ?? "")),
  whether("true", (value) => value === true),
  whether("undefined", (value) => !isDefined(value)),
  builtin("upper", "value", ({ budget }, value) => {
    const text = str(value!, budget);
    return /\p{Lu}/u.test(text) && !/[\p{Ll}\p{Lt}]/u.test(text);
  }),
  ...comparison("==", "==", "eq", "equalto"),
  ...comparison("!=", "!=", "ne"),
  ...comparison("<", "<", "lt", "lessthan"),
  ...comparison("<=", "<=", "le"),
  ...comparison(">", ">", "gt", "greaterthan"),
  ...comparison(">=", ">=", "ge"),
]);

/** Python's `is`, of values that are the same for sure: constants, small numbers and one and the same value. */
function same(value: Value, other: Value): boolean {
  return value === other;
}
