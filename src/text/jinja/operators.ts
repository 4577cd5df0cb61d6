/**
 * The operators of expressions over all types of values. Knows no syntax.
 */
import type { Budget } from "./budget.ts";
import { JinjaError } from "./error.ts";
import { type Arithmetic, arithmetic, asIndex } from "./numbers.ts";
import { percentFormat } from "./percent-format.ts";
import { compare, contains } from "./sequences.ts";
import { escapeHtml } from "./show.ts";
import {
  equal,
  Float,
  isList,
  itemsOf,
  Markup,
  numeric,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** `left operator right`. */
export function binary(operator: Arithmetic, left: Value, right: Value, budget: Budget): Value {
  budget.step();
  if (operator === "%" && textOf(left) !== null) return modulo(left, right, budget);
  if (left instanceof Undefined) throw left.error();
  if (right instanceof Undefined) throw right.error();
  if (numeric(left) !== null && numeric(right) !== null) return arithmetic(operator, left, right);
  if (operator === "+") {
    const sum = add(left, right, budget);
    if (sum !== null) return sum;
  }
  if (operator === "*") {
    const product = repeat(left, right, budget) ?? repeat(right, left, budget);
    if (product !== null) return product;
  }
  const types = `'${typeName(left)}' and '${typeName(right)}'`;
  throw new JinjaError("type", `unsupported operand types for ${operator}: ${types}`);
}

function modulo(left: Value, right: Value, budget: Budget): Value {
  const text = textOf(left)!;
  if (left instanceof Markup)
    return new Markup(percentFormat(text, right, budget, (value) => escapeHtml(value, budget).text));
  return percentFormat(text, right, budget);
}

function add(left: Value, right: Value, budget: Budget): Value | null {
  const [text, other] = [textOf(left), textOf(right)];
  if (text !== null && other !== null) {
    if (typeof left === "string" && typeof right === "string") return budget.text(text + other);
    return new Markup(budget.text(escapeHtml(left, budget).text + escapeHtml(right, budget).text));
  }
  const [items, others] = [itemsOf(left), itemsOf(right)];
  if (items === null || others === null || isList(left) !== isList(right)) return null;
  budget.size(items.length + others.length);
  const sum = [...items, ...others];
  return isList(left) ? sum : new Tuple(sum);
}

function repeat(value: Value, count: Value, budget: Budget): Value | null {
  if (numeric(count) === null || count instanceof Float) return null;
  const text = textOf(value);
  const items = itemsOf(value);
  if (text === null && items === null) return null;
  const times = Math.max(0, asIndex(count));
  if (text !== null) {
    budget.length(text.length * times);
    return value instanceof Markup ? new Markup(text.repeat(times)) : text.repeat(times);
  }
  budget.size(items!.length * times);
  const repeated = Array.from({ length: times }, () => items!).flat();
  return isList(value) ? repeated : new Tuple(repeated);
}

/** `-value` or `+value`. */
export function unary(operator: "-" | "+", value: Value): Value {
  if (value instanceof Undefined) throw value.error();
  if (numeric(value) === null)
    throw new JinjaError("type", `bad operand type for unary ${operator}: '${typeName(value)}'`);
  if (value instanceof Float) return operator === "-" ? new Float(-value.value) : value;
  return arithmetic("*", value, operator === "-" ? -1 : 1);
}

export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

/** `left operator right`, true or false. */
export function compares(operator: Comparison, left: Value, right: Value, budget: Budget): boolean {
  switch (operator) {
    case "==":
      return equal(left, right, budget);
    case "!=":
      return !equal(left, right, budget);
    case "in":
      return contains(right, left, budget);
    case "not in":
      return !contains(right, left, budget);
    case "<":
      return compare(left, right, operator, budget) < 0;
    case "<=":
      return compare(left, right, operator, budget) <= 0;
    case ">":
      return compare(left, right, operator, budget) > 0;
    default:
      return compare(left, right, operator, budget) >= 0;
  }
}
