/** Typed access to the metadata of a GGUF file; a value of another type is an error with the key's name. Knows no key. */
import { CllmError } from "../../error.ts";
import { shorten } from "../../files/near-miss.ts";
import type { GgufHeader, GgufValue } from "./header.ts";

export type Metadata = GgufHeader["metadata"];

/** A key that is not there is null; one of another type is `bad-file`. */
export interface Fields {
  number(key: string): number | null;
  /** An array of numbers; null where the value is none. */
  numbers(key: string): readonly number[] | null;
  /** A number, or an array with that number for every layer. Throws `unsupported` where layers differ. */
  perLayer(key: string): number | null;
  /** The index of one of `count` tokens; any other number is null and a warning. */
  tokenId(key: string, count: number): number | null;
  text(key: string): string | null;
  flag(key: string): boolean | null;
  strings(key: string): readonly string[] | null;
  /** The file's name, the key and what is wrong with it. */
  bad(key: string, problem: string): CllmError;
  /** Warns of a wrong value that is not needed. */
  warn(key: string, problem: string): void;
}

/** `warn` takes one line for each value that is passed over. */
export function fieldsOf(metadata: Metadata, path: string, warn: (message: string) => void = () => {}): Fields {
  const bad = (key: string, problem: string): CllmError =>
    new CllmError("bad-file", `${path}: metadata ${key} ${problem}; fetch or convert it again`);
  const get = <T extends GgufValue>(key: string, is: (value: GgufValue) => value is T, kind: string): T | null => {
    const value = metadata.get(key);
    if (value === undefined) return null;
    if (!is(value)) throw bad(key, `is not ${kind}`);
    return value;
  };
  const warnOf = (key: string, problem: string): void => warn(`${path}: metadata ${key} ${problem}`);
  const number = (key: string): number | null => get(key, isNumber, "a single exact number");
  return {
    number,
    numbers(key) {
      const values = metadata.get(key);
      if (ArrayBuffer.isView(values)) return Array.from(values as ArrayLike<number | bigint>, Number);
      return Array.isArray(values) && values.every((value) => typeof value === "boolean") ? values.map(Number) : null;
    },
    perLayer(key) {
      const values = metadata.get(key);
      if (!ArrayBuffer.isView(values) || values.length === 0) return number(key);
      const [first] = values;
      const other = values.find((value: number | bigint) => value !== first);
      if (other === undefined) return Number(first);
      const message = `${path}: ${key} is ${first} for one layer and ${other} for another; layers that differ are not supported`;
      throw new CllmError("unsupported", `${message}; choose another model`);
    },
    tokenId(key, count) {
      const value = get(key, isNumeric, "a single number");
      if (value === null) return null;
      if (Number.isInteger(value) && value >= 0 && value < count) return Number(value);
      warnOf(key, `is ${shorten(String(value))}, which is none of its ${count} tokens: the key is ignored`);
      return null;
    },
    text: (key) => get(key, (value) => typeof value === "string", "a string"),
    flag: (key) => get(key, (value) => typeof value === "boolean", "a boolean"),
    strings: (key) => get(key, isStrings, "an array of strings"),
    bad,
    warn: warnOf,
  };
}

function isNumber(value: GgufValue): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isNumeric(value: GgufValue): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

function isStrings(value: GgufValue): value is readonly string[] {
  return Array.isArray(value) && (value.length === 0 || typeof value[0] === "string");
}
