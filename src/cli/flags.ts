/**
 * Flags out of schemas: one entry of a command's fields is one flag, one key of the configuration file and one line of
 * help. camelCase inside, kebab-case on the command line; this file is the only place that knows both.
 */
import { Option } from "commander";
import * as z from "zod";
import { CllmError } from "../error.ts";
import type { Fields } from "../generate/options.ts";

/** What a field's `.meta()` may say for the command line. */
export interface FlagMeta {
  readonly description?: string | undefined;
  /** Name of the value in the help; default: what its type suggests. */
  readonly placeholder?: string | undefined;
  /** One-letter form. */
  readonly short?: string | undefined;
  /** The flag where it is not the key's own: a key that is plural, a flag that is repeated. */
  readonly flag?: string | undefined;
  /** Under which heading of the help it stands. Default: `Options`. */
  readonly group?: string | undefined;
  /** A value that is not to be printed. */
  readonly secret?: boolean | undefined;
}

export type AnyFields = Fields<Record<string, unknown>>;

export const flagName = (key: string): string =>
  `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** A field seen through its defaults and options: what kind of value it holds. */
export interface Field {
  readonly type: string;
  readonly meta: FlagMeta;
  readonly choices: readonly string[];
  readonly defaultValue: unknown;
  /** What a list holds. */
  readonly element: Field | null;
}

export function readField(schema: z.ZodType): Field {
  let inner: z.ZodType = schema;
  let meta: FlagMeta = inner.meta() ?? {};
  let defaultValue: unknown;
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodOptional) {
    if (inner instanceof z.ZodDefault) defaultValue = inner.def.defaultValue;
    inner = inner.unwrap() as z.ZodType;
    meta = { ...inner.meta(), ...meta };
  }
  return {
    type: inner instanceof z.ZodUnion && inner.options.some(isNumber) ? "number" : inner.def.type,
    meta,
    choices: inner instanceof z.ZodEnum ? inner.options.map(String) : [],
    defaultValue,
    element: inner instanceof z.ZodArray ? readField(inner.element as z.ZodType) : null,
  };
}

const isNumber = (schema: unknown): boolean => schema instanceof z.ZodNumber;

/** A field that is on unless its flag takes it away. */
const isNegative = (field: Field): boolean => field.type === "boolean" && field.defaultValue === true;

/** The flag as one types it, without its value: `--block-size`, `--no-color`. */
export function flagOf(key: string, schema: z.ZodType): string {
  const field = readField(schema);
  return field.meta.flag ?? (isNegative(field) ? flagName(key).replace("--", "--no-") : flagName(key));
}

/** The fields' keys by the names that commander gives their flags' values, where these differ. */
export function renamedKeys(fields: AnyFields): ReadonlyMap<string, string> {
  const renamed = Object.keys(fields).filter((key) => readField(fields[key]!).meta.flag !== undefined);
  return new Map(renamed.map((key) => [optionOf(key, fields[key]!).attributeName(), key]));
}

/** The same fields under a heading of the help, those that have none yet. */
export function inGroup<F extends Readonly<Record<string, z.ZodType>>>(group: string, fields: F): F {
  const grouped = Object.entries(fields).map(([key, schema]) => {
    const { meta } = readField(schema);
    return [key, schema.meta({ ...meta, group: meta.group ?? group })];
  });
  return Object.fromEntries(grouped) as F;
}

/** The flag of a field, as commander wants it. */
export function optionOf(key: string, schema: z.ZodType): Option {
  const field = readField(schema);
  const { description = "", placeholder, short } = field.meta;
  const value = field.type === "boolean" ? "" : ` <${placeholder ?? placeholderOf(field)}>`;
  const option = new Option(`${short ? `-${short}, ` : ""}${flagOf(key, schema)}${value}`, help(description, field));
  if (field.element !== null) {
    const { element } = field;
    const split = element.type === "string" ? (text: string) => [text] : (text: string) => text.split(",");
    option.argParser((text, before: readonly unknown[] | undefined) => [
      ...(before ?? []),
      ...split(text).map((part) =>
        fromText(part.trim() === "" ? part : element.type === "string" ? part : part.trim(), element),
      ),
    ]);
  } else if (field.type === "record") {
    const form = placeholder ?? "name=value";
    option.argParser((text, before: object | undefined) => ({ ...before, ...nameAndValue(text, option.long!, form) }));
  } else if (field.type !== "boolean") option.argParser((text) => fromText(text, field));
  if (field.meta.group !== undefined) option.helpGroup(`${field.meta.group}:`);
  return option;
}

function placeholderOf(field: Field): string {
  if (field.element !== null) return field.element.choices.length > 0 ? "names" : "list";
  if (field.choices.length > 0) return "name";
  return field.type === "number" ? "number" : "text";
}

function help(description: string, field: Field): string {
  const choices = field.choices.length > 0 ? field.choices : (field.element?.choices ?? []);
  const parts = [description];
  if (choices.length > 0) parts.push(`(${choices.join(", ")})`);
  const { defaultValue } = field;
  const worthSaying =
    defaultValue !== undefined &&
    field.type !== "boolean" &&
    !(Array.isArray(defaultValue) && defaultValue.length === 0);
  if (worthSaying) parts.push(`[${Array.isArray(defaultValue) ? defaultValue.join(",") : String(defaultValue)}]`);
  return parts.join(" ");
}

/** `name=value` as an entry: the value is JSON where it can be read as that, else text. */
function nameAndValue(text: string, flag: string, form: string): Record<string, unknown> {
  const [, name, value] = /^([^=]+)=(.*)$/su.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    const sample = form === "name=value" ? "enable_thinking=false" : "42=-100";
    throw new CllmError("usage", `${flag} must be ${form}, such as ${flag} ${sample}, not ${text}`);
  }
  try {
    return { [name]: JSON.parse(value) as unknown };
  } catch {
    return { [name]: value };
  }
}

/** A flag's text as its type; what is no number stays text, for the schema to take or to refuse by its name. */
function fromText(text: string, field: Field): unknown {
  if (field.type !== "number" || text.trim() === "") return text;
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}
