/**
 * Numbers of a case as grammars: bounds, whole numbers, multiples, fixed and excluded values. Knows no schema.
 */
import { CllmError } from "../../error.ts";
import { type Automaton, automatonOf, difference, expressionOf, intersection, isNothing, texts } from "../automaton.ts";
import { among, choice, type Expression, NOTHING, optional, repeat, sequence, text } from "../expression.ts";
import type { At, Work } from "../work.ts";
import { isNumberOf, type NumberCase } from "./cases.ts";
import { type Bound, BROKEN, DECIMAL, decimal, integersBetween, numbersBetween } from "./ranges.ts";
import { INTEGER, NUMBER, oneOf } from "./text.ts";

const MOST_MULTIPLES = 10_000; // in a list
const LARGEST_STEP = 400; // of a counter
const ZEROS = optional(sequence(text("."), repeat(text("0"), 1)));

/** Throws `usage` where the multiples are too many to be told. */
export function numberExpression(each: NumberCase, at: At): Expression {
  const { low, high, whole, steps, unlike, values, except } = each;
  if (values !== null) return oneOf(values.filter((value) => isNumberOf(each, value)));
  const [first, last] = wholeBounds(low, high);
  if (steps.length > 0) return multiples(each, first, last, at.work);
  const unlimited = low.value === Number.NEGATIVE_INFINITY && high.value === Number.POSITIVE_INFINITY;
  if (whole !== false && except.length + unlike.length === 0) {
    if (whole === true) return unlimited ? INTEGER : integersBetween(first, last);
    return unlimited ? NUMBER : numbersBetween(low, high);
  }
  if (whole === false) {
    const all = automatonOf(BROKEN, at);
    const some = unlimited ? all : intersection(all, automatonOf(numbersBetween(low, high), at), at);
    return expression(without(some, each, at));
  }
  const bounded = whole === true ? integersBetween(first, last) : numbersBetween(low, high);
  return expression(without(automatonOf(unlimited ? (whole === true ? INTEGER : DECIMAL) : bounded, at), each, at));
}

function expression(automaton: Automaton): Expression {
  return isNothing(automaton) ? NOTHING : expressionOf(automaton);
}

/** Without the numbers that are excluded, and the multiples that are. */
function without(all: Automaton, { except, unlike }: NumberCase, at: At): Automaton {
  let found = all;
  if (except.length > 0) found = difference(found, automatonOf(among(except.map(spellings)), at), at);
  for (const { step, place } of unlike) {
    if (!Number.isInteger(step) || step > LARGEST_STEP)
      throw new CllmError(
        "usage",
        `the schema needs numbers that are no multiple of ${step} at ${place}, because of not, if or oneOf; only whole steps up to ` +
          `${LARGEST_STEP} can be kept to`,
      );
    found = difference(found, automatonOf(sequence(choice(expressionOf(remainders(step)), text("-0")), ZEROS), at), at);
  }
  return found;
}

/** Every way to write a number without an exponent. */
function spellings(value: number): Expression {
  const plain = text(decimal(value));
  if (!Number.isInteger(value)) return sequence(plain, repeat(text("0"), 0));
  return sequence(value === 0 ? optional(text("-")) : text(""), plain, ZEROS);
}

/** The first and last whole number between bounds. */
function wholeBounds(low: Bound, high: Bound): [number, number] {
  return [
    Math.ceil(low.value) + (low.closed || !Number.isInteger(low.value) ? 0 : 1),
    Math.floor(high.value) - (high.closed || !Number.isInteger(high.value) ? 0 : 1),
  ];
}

/** By a counter of remainders where the step is small and whole; else as a list of those nearest to 0. */
function multiples(each: NumberCase, first: number, last: number, work: Work): Expression {
  const { steps, low, high } = each;
  const at = { work, place: steps[0]!.place };
  const common = steps.every(({ step }) => Number.isInteger(step))
    ? steps.map(({ step }) => step).reduce(leastCommon)
    : null;
  if (common !== null && common <= LARGEST_STEP) {
    if (each.whole === false) return NOTHING;
    const unlimited = first === Number.NEGATIVE_INFINITY && last === Number.POSITIVE_INFINITY;
    const all = automatonOf(unlimited ? INTEGER : integersBetween(first, last), at);
    return expression(without(intersection(all, remainders(common), at), each, at));
  }
  const step = common ?? steps.reduce((most, one) => Math.max(most, one.step), 0);
  if (common === null && !((high.value - low.value) / step <= MOST_MULTIPLES))
    throw new CllmError(
      "usage",
      `the schema has multipleOf ${step} at ${at.place}; a step that is not whole needs a minimum and a maximum with at most ` +
        `${MOST_MULTIPLES} multiples between them`,
    );
  const digits = (decimal(step).split(".")[1] ?? "").length;
  const from = Math.ceil(Math.max(low.value / step, -MOST_MULTIPLES) - 1e-9);
  const found: string[] = [];
  for (let i = from; found.length <= 2 * MOST_MULTIPLES && i <= MOST_MULTIPLES + Math.max(0, from); i++) {
    const value = Number((i * step).toFixed(Math.min(digits, 100)));
    if (value > high.value) break;
    if (isNumberOf(each, value)) found.push(decimal(value + 0));
  }
  return expression(texts(found));
}

function leastCommon(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

/** Whole numbers that leave nothing over when divided. */
function remainders(step: number): Automaton {
  // States: the beginning, behind a sign, behind a single 0, then one for each remainder.
  const behind = (remainder: number, from: number) =>
    Array.from({ length: 10 - from }, (_, i) => [
      0x30 + from + i,
      0x30 + from + i,
      3 + ((remainder * 10 + from + i) % step),
    ]);
  const begin = [[0x2d, 0x2d, 1], [0x30, 0x30, 2], ...behind(0, 1)];
  return {
    edges: [begin, behind(0, 1), [], ...Array.from({ length: step }, (_, i) => behind(i, 0))].map((edges) =>
      edges.flat(),
    ),
    ends: [false, false, true, ...Array.from({ length: step }, (_, i) => i === 0)],
  };
}
