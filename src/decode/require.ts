/** Checks of what decoders are asked for. Knows no decoder. */
import { CllmError } from "../error.ts";

/** Throws `usage` unless `value` is an integer from `min` to `max`. */
export function requireInteger(name: string, value: number, min: number, max: number = Number.MAX_SAFE_INTEGER): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`;
  throw new CllmError("usage", `${name} is ${value}: it must be an integer ${range}`);
}
