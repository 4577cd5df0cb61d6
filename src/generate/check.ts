/**
 * Options checked at the border, once: a value that does not fit its zod schema becomes one error that names the option,
 * the value, the limit and, for a name that does not exist, the near miss. Knows no particular option.
 */
import * as z from "zod";
import { CllmError, type ErrorCode } from "../error.ts";
import { nearMisses } from "../files/near-miss.ts";

/** One schema per key of `T`: what an object of that form is made of, ready to be spread into others. */
export type Fields<T> = { readonly [K in keyof T]-?: z.ZodType<T[K]> };

/** How a check reports: the command names its flags, the library its options. */
export interface CheckOptions {
  /** What the value is called where the error is not about one of its parts. */
  readonly what: string;
  /** The code of the error. Default: `usage`. */
  readonly code?: ErrorCode;
  /** How a top-level key is called in the error. Default: as it is. */
  readonly nameOf?: (key: string) => string;
}

/** Returns the value as the schema reads it, defaults filled in; throws one error about the first thing that is wrong. */
export function check<S extends z.ZodType>(schema: S, value: unknown, options: CheckOptions): z.output<S> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  throw new CllmError(options.code ?? "usage", describe(result.error.issues[0]!, schema, options));
}

function describe(issue: z.core.$ZodIssue, schema: z.ZodType, { what, nameOf = (key) => key }: CheckOptions): string {
  const [first, ...rest] = issue.path;
  if (issue.code === "unrecognized_keys") {
    const names = first === undefined && schema instanceof z.ZodObject ? Object.keys(schema.shape).map(nameOf) : [];
    const owner = first === undefined ? what : pathName(what, first, rest, nameOf);
    return unknownName(owner, nameOf(issue.keys[0]!), names, "takes no");
  }
  const subject = first === undefined ? what : pathName(what, first, rest, nameOf);
  if (issue.input === undefined && issue.code !== "custom") return `${subject} is missing; give ${expectation(issue)}`;
  const reason = rest.length === 0 && typeof first === "string" ? refusal(schema, first, issue.input) : undefined;
  const why = reason === undefined ? "" : `: ${reason}`;
  return `${subject} must be ${expectation(issue)}${issue.code === "custom" ? "" : `, not ${show(issue.input)}`}${why}`;
}

/** Why a value that other programs know is refused, where the field's `.meta({ refused })` has it by its name. */
function refusal(schema: z.ZodType, key: string, value: unknown): string | undefined {
  let field: unknown = schema instanceof z.ZodObject ? schema.shape[key] : undefined;
  while (field instanceof z.ZodDefault || field instanceof z.ZodOptional) field = field.unwrap();
  const refused = field instanceof z.ZodType ? field.meta()?.["refused"] : undefined;
  const reasons = (refused ?? {}) as Readonly<Record<string, string>>;
  return typeof value === "string" && Object.hasOwn(reasons, value) ? reasons[value] : undefined;
}

/** The message for a name that does not exist, with the near miss or else everything that does. */
export function unknownName(owner: string, name: string, known: readonly string[], verb: string = "has no"): string {
  const [near] = nearMisses(name, known, 1);
  const next =
    near !== undefined ? `; did you mean ${near}?` : known.length > 0 ? `; there are ${known.join(", ")}` : "";
  return `${owner} ${verb} ${name}${next}`;
}

function pathName(
  what: string,
  first: PropertyKey,
  rest: readonly PropertyKey[],
  nameOf: (key: string) => string,
): string {
  const head = typeof first === "string" ? nameOf(first) : `${what}[${String(first)}]`;
  return head + rest.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
}

const EXPECTED: Readonly<Record<string, string>> = {
  ...{ int: "a whole number", number: "a number", string: "a text", boolean: "true or false", array: "a list" },
  ...{ object: "an object", record: "an object" },
};

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "too_small":
    case "too_big": {
      const bound = issue.code === "too_small" ? issue.minimum : issue.maximum;
      const limit =
        issue.code === "too_small"
          ? issue.inclusive
            ? "at least"
            : "more than"
          : issue.inclusive
            ? "at most"
            : "less than";
      if (issue.origin === "string")
        return bound === 1 ? "a text that is not empty" : `${limit} ${bound} characters long`;
      if (issue.origin === "array") return bound === 1 ? "a list that is not empty" : `a list of ${limit} ${bound}`;
      return `${limit} ${bound}`;
    }
    case "invalid_value":
      return `${issue.values.length > 1 ? "one of " : ""}${issue.values.map(String).join(", ")}`;
    case "invalid_type":
      return EXPECTED[issue.expected] ?? `of type ${issue.expected}`;
    case "invalid_key":
      return issue.issues[0]?.message ?? issue.message;
    default:
      return issue.message;
  }
}

function show(value: unknown): string {
  if (typeof value === "number") return String(value);
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = "a value that is nested too deeply or holds itself"; // or a bigint
  }
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
