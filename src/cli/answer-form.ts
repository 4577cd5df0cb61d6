/**
 * The flags that say which form an answer must have: a JSON Schema, a regular expression or a grammar. Knows no model.
 */
import * as z from "zod";
import { CllmError } from "../error.ts";
import { parseJson } from "../files/json.ts";
import { readText } from "../files/text.ts";
import type { Fields } from "../generate/options.ts";
import type { Format } from "../grammar/format.ts";

const MAX_BYTES = 1 << 20;

export interface FormSettings {
  readonly jsonSchema: string | undefined;
  readonly regex: string | undefined;
  readonly grammar: string | undefined;
}

export const formFields: Fields<FormSettings> = {
  jsonSchema: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "JSON that validates against the schema of this file", placeholder: "file" }),
  regex: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "a text that this regular expression matches as a whole", placeholder: "pattern" }),
  grammar: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "a text of the EBNF grammar (GBNF) of this file", placeholder: "file" }),
};

/** The format that the flags ask for; undefined for any text. Throws `usage` for two of them, and what reading throws. */
export async function answerForm({ jsonSchema, regex, grammar }: FormSettings): Promise<Format | undefined> {
  const given = Object.entries({ "--json-schema": jsonSchema, "--regex": regex, "--grammar": grammar }).filter(
    ([, value]) => value !== undefined,
  );
  if (given.length > 1) {
    throw new CllmError("usage", `${given[0]![0]} and ${given[1]![0]} are both given; an answer has one form`);
  }
  if (jsonSchema !== undefined) {
    const text = await readText(jsonSchema, MAX_BYTES);
    const schema = parseJson(text, `--json-schema ${jsonSchema}`, { code: "usage", next: "give one JSON Schema" });
    return { type: "json_schema", schema };
  }
  if (grammar !== undefined) return { type: "grammar", grammar: await readText(grammar, MAX_BYTES) };
  return regex === undefined ? undefined : { type: "regex", pattern: regex };
}
