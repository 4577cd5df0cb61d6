/**
 * Numbers between bounds as grammars over their digits. Knows no schema.
 */
import {
  among,
  choice,
  EMPTY,
  type Expression,
  NOTHING,
  optional,
  repeat,
  sequence,
  set,
  text,
} from "../expression.ts";
import { MOST_DIGITS } from "./text.ts";

const LARGEST = 10 ** MOST_DIGITS - 1;
const digits = (low: number, high: number): Expression => (low > high ? NOTHING : set([0x30 + low, 0x30 + high]));
const anyDigits = (least: number, most = least): Expression => repeat(digits(0, 9), least, most);

/** Whole numbers from `low` to `high`, both in; infinite for no bound. */
export function integersBetween(low: number, high: number): Expression {
  const [from, to] = [Math.max(Math.ceil(low), -LARGEST), Math.min(Math.floor(high), LARGEST)];
  if (from > to) return NOTHING;
  const parts: Expression[] = [];
  if (from < 0) parts.push(sequence(text("-"), naturals(Math.max(1, -to), -from)));
  if (to >= 0) parts.push(naturals(Math.max(0, from), to));
  return among(parts);
}

/** Whole numbers of 0 or more, one length after the other; `behind`: what follows numbers of a length. */
function naturals(low: number, high: number, behind: (length: number) => Expression = () => EMPTY): Expression {
  const parts: Expression[] = [];
  for (let length = 1; length <= String(high).length; length++) {
    const first = Math.max(low, length === 1 ? 0 : 10 ** (length - 1));
    const last = Math.min(high, 10 ** length - 1);
    if (first <= last) parts.push(sequence(sameLength(String(first), String(last)), behind(length)));
  }
  return among(parts);
}

/** Digits behind the point, so few that the whole number is read back as it was written. */
const roomBehind = (length: number): number => MOST_DIGITS - length;
const anyFraction = (length: number): Expression => fraction(null, null, roomBehind(length));

/** Numbers without an exponent. */
export const DECIMAL: Expression = sequence(optional(text("-")), naturals(0, LARGEST, anyFraction));
/** Those with a fraction that is not zero. */
export const BROKEN: Expression = sequence(
  optional(text("-")),
  naturals(0, 10 ** (MOST_DIGITS - 1) - 1, (length) =>
    sequence(text("."), anyDigits(0, roomBehind(length) - 1), digits(1, 9)),
  ),
);

/** Digits between two numbers of the same length. */
function sameLength(low: string, high: string): Expression {
  if (low.length === 0) return EMPTY;
  if (/^0+$/.test(low) && /^9+$/.test(high)) return anyDigits(low.length);
  const [a, b] = [Number(low[0]), Number(high[0])];
  const rest = low.length - 1;
  if (a === b) return sequence(digits(a, a), sameLength(low.slice(1), high.slice(1)));
  return choice(
    sequence(digits(a, a), sameLength(low.slice(1), "9".repeat(rest))),
    sequence(digits(a + 1, b - 1), anyDigits(rest)),
    sequence(digits(b, b), sameLength("0".repeat(rest), high.slice(1))),
  );
}

export interface Bound {
  readonly value: number;
  /** Whether the value itself is in. */
  readonly closed: boolean;
}

/** Numbers between bounds, with at most 15 digits in all and no exponent. */
export function numbersBetween(low: Bound, high: Bound): Expression {
  const parts: Expression[] = [];
  if (low.value < 0) {
    const nearest = high.value < 0 ? { value: -high.value, closed: high.closed } : { value: 0, closed: false };
    parts.push(sequence(text("-"), magnitudes(nearest, { value: -low.value, closed: low.closed })));
  }
  if (high.value >= 0) parts.push(magnitudes(low.value >= 0 ? low : { value: 0, closed: true }, high));
  return among(parts);
}

function magnitudes(low: Bound, high: Bound): Expression {
  if (low.value > high.value) return NOTHING;
  const top = Math.min(high.value, LARGEST);
  const [a, b] = [Math.floor(low.value), Math.floor(top)];
  const [from, to] = [fractionOf(low.value), fractionOf(top)];
  const closedTop = high.value > LARGEST || high.closed;
  const [bottom, ceiling] = [
    { digits: from, closed: low.closed },
    { digits: to, closed: closedTop },
  ];
  const room = (value: number) => roomBehind(String(value).length);
  if (a === b) return sequence(naturals(a, a), fraction(bottom, ceiling, room(a)));
  return choice(
    sequence(naturals(a, a), fraction(bottom, null, room(a))),
    a + 1 < b ? naturals(a + 1, b - 1, anyFraction) : NOTHING,
    sequence(naturals(b, b), fraction(null, ceiling, room(b))),
  );
}

/** The decimal digits behind the point, as they are written. */
function fractionOf(value: number): string {
  const [, behind = ""] = decimal(value).split(".");
  return behind;
}

/** A number without an exponent. */
export function decimal(value: number): string {
  const plain = String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(plain);
  if (match === null) return plain;
  const [, sign, lead, behind = "", exponent] = match;
  const all = `${lead}${behind}`;
  const point = 1 + Number(exponent);
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${all}`;
  return `${sign}${all.padEnd(point, "0").slice(0, point)}`;
}

interface FractionBound {
  readonly digits: string;
  readonly closed: boolean;
}

/** A fraction with its point, or nothing, between bounds. */
function fraction(low: FractionBound | null, high: FractionBound | null, room: number): Expression {
  const none =
    (low === null || (low.closed && isZero(low.digits))) && (high === null || high.closed || !isZero(high.digits));
  const some = room > 0 ? sequence(text("."), behind(low, high, { at: 0, least: 1, room })) : NOTHING;
  return none ? choice(EMPTY, some) : some;
}

function isZero(all: string): boolean {
  return /^0*$/.test(all);
}

/** Digits from place `at` on, at least `least` of `room`. A bound is null where what was written is inside it already. */
function behind(
  low: FractionBound | null,
  high: FractionBound | null,
  { at, least, room }: { readonly at: number; readonly least: number; readonly room: number },
): Expression {
  const left = room - at;
  if (low === null && high === null) return anyDigits(Math.min(least, left), left);
  const rest = (bound: FractionBound): string => bound.digits.slice(at);
  const mayEnd =
    least === 0 &&
    (low === null || (low.closed && isZero(rest(low)))) &&
    (high === null || high.closed || !isZero(rest(high)));
  const parts: Expression[] = mayEnd ? [EMPTY] : [];
  if (left > 0) {
    const a = low === null ? 0 : Number(low.digits[at] ?? 0);
    const b = high === null ? 9 : Number(high.digits[at] ?? 0);
    const next = { at: at + 1, least: 0, room };
    if (a === b) parts.push(sequence(digits(a, a), behind(low, high, next)));
    else if (a < b) {
      parts.push(sequence(digits(a, a), behind(low, null, next)));
      parts.push(sequence(digits(a + 1, b - 1), behind(null, null, next)));
      parts.push(sequence(digits(b, b), behind(null, high, next)));
    }
  }
  return among(parts);
}
