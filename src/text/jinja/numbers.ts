/**
 * Python's arithmetic: whole numbers without end (up to a bound), floats that are written by Python's rules, and rounding
 * that is exact and takes halves to the even neighbour. Knows no template.
 */
import { JinjaError } from "./error.ts";
import { Float, numeric, textOf, typeName, type Value } from "./values.ts";

/** A whole number of either size. */
export type Int = number | bigint;

const MAX_BITS = 1 << 15; // of a whole number
/** Of a whole number that is read or written, as in Python. */
export const MAX_DIGITS = 4300;

/** The smaller form of a whole number. */
export function int(value: bigint): Int {
  const small = Number(value);
  if (Number.isSafeInteger(small)) return small;
  if (bits(value) > MAX_BITS) throw new JinjaError("overflow", `a number has more than ${MAX_BITS} bits`);
  return value;
}

function bits(value: bigint): number {
  return value.toString(16).length * 4;
}

/** A whole number where it can be one exactly, as Python makes of a finite float. */
export function truncated(value: number): Int {
  if (Number.isNaN(value)) throw new JinjaError("value", "cannot convert float NaN to integer");
  if (!Number.isFinite(value)) throw new JinjaError("overflow", "cannot convert float infinity to integer");
  return int(BigInt(Math.trunc(value)));
}

export type Arithmetic = "+" | "-" | "*" | "/" | "//" | "%" | "**";

/** The result of an operator on two numbers or bools. */
export function arithmetic(operator: Arithmetic, left: Value, right: Value): Value {
  const [a, b] = [numeric(left)!, numeric(right)!];
  const isFloat = left instanceof Float || right instanceof Float;
  if (isFloat || operator === "/") return new Float(onFloats(operator, Number(a), Number(b)));
  if (operator === "**" && b < 0) return new Float(onFloats(operator, Number(a), Number(b)));
  if (typeof a === "number" && typeof b === "number" && "+-*".includes(operator)) {
    const small = operator === "+" ? a + b : operator === "-" ? a - b : a * b;
    if (Number.isSafeInteger(small)) return small === 0 ? 0 : small; // no negative zero
  }
  return onInts(operator, BigInt(a), BigInt(b));
}

function onInts(operator: Arithmetic, a: bigint, b: bigint): Int {
  if ((operator === "//" || operator === "%") && b === 0n) throw zeroDivision();
  switch (operator) {
    case "+":
      return int(a + b);
    case "-":
      return int(a - b);
    case "*":
      return int(a * b);
    case "//":
      return int(floorDivide(a, b));
    case "%":
      return int(a - b * floorDivide(a, b));
    default:
      if (a > 1n || a < -1n) {
        if (b * BigInt(bits(a)) > 4 * MAX_BITS) {
          throw new JinjaError("overflow", `a number has more than ${MAX_BITS} bits`);
        }
      }
      return a === 1n || b === 0n ? 1 : a === -1n ? (b % 2n === 0n ? 1 : -1) : int(a ** b);
  }
}

export function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return quotient * b !== a && a < 0n !== b < 0n ? quotient - 1n : quotient;
}

function onFloats(operator: Arithmetic, a: number, b: number): number {
  if ((operator === "/" || operator === "//" || operator === "%") && b === 0) throw zeroDivision();
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "//":
      return Math.floor((a - modulo(a, b)) / b + 0.5);
    case "%":
      return modulo(a, b);
    default:
      if (a === 0 && b < 0) throw new JinjaError("zero-division", "0.0 cannot be raised to a negative power");
      if (a < 0 && !Number.isInteger(b) && Number.isFinite(b)) {
        throw new JinjaError("unsupported", `${a} to the power of ${b} is a complex number`);
      }
      return a ** b;
  }
}

function modulo(a: number, b: number): number {
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
}

function zeroDivision(): JinjaError {
  return new JinjaError("zero-division", "division by zero");
}

/** A number that must be whole, such as an index or a width. */
export function asIndex(value: Value): number {
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return value < 0n ? -Number.MAX_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
  throw new JinjaError("type", `'${typeName(value)}' object cannot be interpreted as an integer`);
}

/** A whole number in digits. */
export function intText(value: Int): string {
  const text = String(value);
  if (text.length > MAX_DIGITS + 1) {
    throw new JinjaError("value", `a number of more than ${MAX_DIGITS} digits cannot be written`);
  }
  return text;
}

/** A float as Python writes it: the shortest digits that give it back. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf";
  if (Object.is(value, -0)) return "-0.0";
  const [digits = "", exponent = "0"] = Math.abs(value).toExponential().replace(".", "").split("e");
  const sign = value < 0 ? "-" : "";
  const power = Number(exponent);
  if (value === 0) return "0.0";
  if (power < -4 || power >= 16) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
    return `${sign}${digits[0]}${fraction}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  if (power < 0) return `${sign}0.${"0".repeat(-power - 1)}${digits}`;
  const whole = digits.slice(0, power + 1).padEnd(power + 1, "0");
  return `${sign}${whole}.${digits.slice(power + 1) || "0"}`;
}

/** `value` times ten to the power of `places`, rounded exactly, halves to even. */
export function scaled(value: number, places: number): bigint {
  const [mantissa, exponent] = decompose(Math.abs(value));
  let numerator = mantissa;
  let denominator = 1n;
  if (exponent >= 0) numerator <<= BigInt(exponent);
  else denominator <<= BigInt(-exponent);
  if (places >= 0) numerator *= 10n ** BigInt(places);
  else denominator *= 10n ** BigInt(-places);
  let quotient = numerator / denominator;
  const twice = 2n * (numerator - quotient * denominator);
  if (twice > denominator || (twice === denominator && quotient % 2n === 1n)) quotient += 1n;
  return value < 0 ? -quotient : quotient;
}

/** A finite double as a whole number times a power of two. */
function decompose(value: number): [mantissa: bigint, exponent: number] {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bitsOf = view.getBigUint64(0);
  const fraction = bitsOf & ((1n << 52n) - 1n);
  const exponent = Number((bitsOf >> 52n) & 0x7ffn);
  return exponent === 0 ? [fraction, -1074] : [fraction | (1n << 52n), exponent - 1075];
}

/** Python's `round`. */
export function round(value: Value, places: number): Value {
  const number = numeric(value);
  if (number === null) throw new JinjaError("type", `type ${typeName(value)} doesn't define __round__ method`);
  if (value instanceof Float) {
    if (!Number.isFinite(value.value) || places > 300) return value;
    const rounded = places < -310 ? 0 : Number(`${scaled(value.value, places)}e${-places}`);
    return new Float(rounded === 0 && value.value < 0 ? -0 : rounded);
  }
  if (places >= 0) return typeof number === "bigint" ? number : number;
  if (places < -MAX_DIGITS) return 0;
  const unit = 10n ** BigInt(-places);
  const lower = floorDivide(BigInt(number), unit);
  const twice = 2n * (BigInt(number) - lower * unit);
  const up = twice > unit || (twice === unit && lower % 2n !== 0n);
  return int((up ? lower + 1n : lower) * unit);
}

/** Python's `int(text, base)`. */
export function parseInteger(text: string, base: number): Int {
  const fail = (): JinjaError => new JinjaError("value", `invalid literal for int() with base ${base}: '${text}'`);
  const match = /^([+-]?)(0[xXoObB])?_?([0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)$/.exec(text.trim());
  if (match === null || (base !== 0 && (base < 2 || base > 36))) throw fail();
  const [, sign, prefix = "", digits = ""] = match;
  const named = { x: 16, o: 8, b: 2 }[prefix.slice(1).toLowerCase()];
  let body = digits.replaceAll("_", "").toLowerCase();
  if (named !== undefined && base !== 0 && base !== named) body = `${prefix.slice(0, 2).toLowerCase()}${body}`;
  const radix = base === 0 ? (named ?? 10) : base;
  if (base === 0 && named === undefined && /^0+[1-9]/.test(body)) throw fail();
  if (body.length > MAX_DIGITS)
    throw new JinjaError("value", `a number of more than ${MAX_DIGITS} digits cannot be read`);
  let value = 0n;
  for (const digit of body) {
    const worth = Number.parseInt(digit, 36);
    if (!(worth < radix)) throw fail();
    value = value * BigInt(radix) + BigInt(worth);
  }
  return int(sign === "-" ? -value : value);
}

/** Python's `float(text)`. */
export function parseFloatText(text: string): number {
  const trimmed = text.trim().toLowerCase();
  const special = /^([+-]?)(inf|infinity|nan)$/.exec(trimmed);
  if (special !== null) return (special[1] === "-" ? -1 : 1) * (special[2] === "nan" ? Number.NaN : Infinity);
  if (!/^[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/.test(trimmed)) {
    throw new JinjaError("value", `could not convert string to float: '${text}'`);
  }
  return Number(trimmed.replaceAll("_", ""));
}

/** Python's `float(value)`. */
export function toFloat(value: Value): number {
  const number = numeric(value);
  if (number !== null) return Number(number);
  const text = textOf(value);
  if (text !== null) return parseFloatText(text);
  throw new JinjaError("type", `float() argument must be a string or a number, not '${typeName(value)}'`);
}
