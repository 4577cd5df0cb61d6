/**
 * The settings of a command out of what was given: defaults, then the configuration file, then what stands on the command
 * line; checked against the command's fields. Knows no arguments and no command's inside.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import { parseJson } from "../files/json.ts";
import { readText } from "../files/text.ts";
import { check, unknownName } from "../generate/check.ts";
import { unitePrecision } from "../generate/dtype.ts";
import { type Command, type Common, commonFields, modelFields } from "./command.ts";
import { type AnyFields, flagOf, readField } from "./flags.ts";

const MAX_CONFIG_BYTES = 1 << 20;

/** Flags that stand before the command's name as well as behind it. */
export const sharedFields: AnyFields = { ...modelFields, ...commonFields };

export const isUsed = ({ fields }: Command, key: string): boolean =>
  Object.hasOwn(commonFields, key) || Object.hasOwn(fields, key);

/** What a command line says: values by key, the argument apart, and a configuration file. */
export interface Given {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly argument: unknown;
  readonly configFile: string | undefined;
}

/** Throws `usage` for what is missing, unknown, out of range or without a use in this command. */
export async function settingsOf(command: Command, { flags, argument, configFile }: Given): Promise<Common> {
  const fields: AnyFields = { ...commonFields, ...command.fields };
  const given: Record<string, unknown> = { ...flags };
  if (command.argument !== undefined && argument !== undefined) {
    const { argument: key } = command;
    if (given[key] !== undefined) {
      throw new CllmError("usage", `${flagOf(key, fields[key]!)} and the argument ${key} are both given; give one`);
    }
    given[key] = argument;
  }
  const configured = configFile === undefined ? {} : await readConfig(configFile, fields, command.name);
  const known: AnyFields = { ...sharedFields, ...fields };
  const isFlag = (key: string): boolean =>
    Object.hasOwn(known, key) && !(command.argumentOnly && key === command.argument);
  const nameOf = (key: string): string => (isFlag(key) ? flagOf(key, known[key]!) : key);
  const united = (values: Readonly<Record<string, unknown>>): Record<string, unknown> =>
    Object.hasOwn(command.fields, "precision") ? unitePrecision(values, nameOf) : values;
  const all: Record<string, unknown> = { ...united(configured), ...united(given) };
  const refuse = (key: string, reason: string | undefined): CllmError => {
    const why = reason === undefined ? "" : `: ${reason}`;
    return new CllmError("usage", `cllm ${command.name} does not use ${nameOf(key)}${why}; omit it`);
  };
  const foreign = Object.keys(all).find((key) => Object.hasOwn(sharedFields, key) && !isUsed(command, key));
  if (foreign !== undefined) throw refuse(foreign, command.foreign?.[foreign]);
  const missing = Object.keys(fields).find(
    (key) => all[key] === undefined && !fields[key]!.safeParse(undefined).success,
  );
  if (missing !== undefined) throw new CllmError("usage", isMissing(missing, fields[missing]!, nameOf));
  const settings = check(z.strictObject(fields), all, { what: `cllm ${command.name}`, nameOf });
  const unused = command.unused?.(settings) ?? {};
  const idle = Object.keys(all).find((key) => Object.hasOwn(unused, key));
  if (idle !== undefined) throw refuse(idle, unused[idle]);
  return settings as unknown as Common;
}

/** What a required field is for, as its error says it. */
function isMissing(key: string, schema: z.ZodType, nameOf: (key: string) => string): string {
  const { meta, choices } = readField(schema);
  const name = nameOf(key);
  if (choices.length > 0) return `${name} is missing; give one of ${choices.join(", ")}`;
  return `${name} is missing; give ${name} <${meta.placeholder ?? "value"}> (${meta.description ?? ""})`;
}

async function readConfig(file: string, fields: AnyFields, name: string): Promise<Record<string, unknown>> {
  const options = { code: "usage", next: "give one JSON object with flags as keys" } as const;
  const config = parseJson(await readText(file, MAX_CONFIG_BYTES), `--config ${file}`, options);
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new CllmError("usage", `--config: ${file} must hold one JSON object with flags as keys`);
  }
  const unknown = Object.keys(config).find((key) => !Object.hasOwn(fields, key) && !Object.hasOwn(sharedFields, key));
  if (unknown !== undefined) {
    throw new CllmError("usage", unknownName(`--config ${file}: cllm ${name}`, unknown, Object.keys(fields)));
  }
  return config as Record<string, unknown>;
}
