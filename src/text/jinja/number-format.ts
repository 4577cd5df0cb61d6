/**
 * Numbers in the forms that Python's `%` and `format` know: d, x, o, b, e, f, g and their like. Knows no format's syntax.
 */
import { JinjaError } from "./error.ts";
import { type Int, scaled } from "./numbers.ts";

const MAX_PRECISION = 500;

/** The digits of a finite, positive float for `e`, `f`, `g` or `%`, without its sign. */
export function floatDigits(value: number, type: string, precision: number, alternate: boolean): string {
  if (precision > MAX_PRECISION) throw new JinjaError("value", `a precision of more than ${MAX_PRECISION} digits`);
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return "inf";
  switch (type.toLowerCase()) {
    case "f":
      return fixed(value, precision, alternate);
    case "%":
      return `${fixed(value * 100, precision, alternate)}%`;
    case "e":
      return exponential(value, precision, alternate);
    default:
      return general(value, Math.max(1, precision), alternate);
  }
}

function fixed(value: number, precision: number, alternate: boolean): string {
  const digits = String(scaled(value, precision)).padStart(precision + 1, "0");
  const point = precision > 0 || alternate ? "." : "";
  return `${digits.slice(0, digits.length - precision)}${point}${precision > 0 ? digits.slice(-precision) : ""}`;
}

/** The digits before and after the first, and the power of ten. */
function scientific(value: number, precision: number): [digits: string, power: number] {
  if (value === 0) return ["0".repeat(precision + 1), 0];
  let power = Number(value.toExponential().split("e")[1]);
  let digits = String(scaled(value, precision - power));
  if (digits.length > precision + 1) {
    power++;
    digits = String(scaled(value, precision - power));
  }
  return [digits, power];
}

function exponential(value: number, precision: number, alternate: boolean): string {
  const [digits, power] = scientific(value, precision);
  const point = precision > 0 || alternate ? "." : "";
  return `${digits[0]}${point}${digits.slice(1)}${exponentText(power)}`;
}

function exponentText(power: number): string {
  return `e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

function general(value: number, precision: number, alternate: boolean): string {
  const [digits, power] = scientific(value, precision - 1);
  const short = (text: string): string => (alternate || !text.includes(".") ? text : text.replace(/\.?0*$/, ""));
  if (power < -4 || power >= precision) {
    return short(`${digits[0]}.${digits.slice(1)}`) + exponentText(power);
  }
  if (power < 0) return short(`0.${"0".repeat(-power - 1)}${digits}`);
  return short(`${digits.slice(0, power + 1)}.${digits.slice(power + 1)}`);
}

const RADIX: Readonly<Record<string, number>> = { x: 16, o: 8, b: 2 };

/** The digits of a whole number in the base that the type names, without its sign. */
export function intDigits(value: Int, type: string): string {
  const absolute = value < 0 ? -BigInt(value) : BigInt(value);
  const digits = absolute.toString(RADIX[type.toLowerCase()] ?? 10);
  return type === "X" ? digits.toUpperCase() : digits;
}

/** Digits in groups of three or four, counted from the point. */
export function grouped(digits: string, separator: string, size: number): string {
  const [, whole = "", rest = ""] = /^([0-9a-fA-F]*)(.*)$/s.exec(digits)!;
  const groups: string[] = [];
  for (let end = whole.length; end > 0; end -= size) groups.unshift(whole.slice(Math.max(0, end - size), end));
  return groups.join(separator) + rest;
}
