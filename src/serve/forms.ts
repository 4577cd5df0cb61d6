/**
 * The forms that a body asks its answer to have, by each of the names that clients know, as a format of the library. Knows no
 * grammar.
 */
import type { Format } from "../grammar/format.ts";
import type { JsonSchema, SharedBody } from "./fields.ts";
import { RequestError } from "./http-error.ts";

/** The format that a body names, and the field that does; null for none. Throws `usage` where it names several. */
export function formOf(body: SharedBody): { readonly field: string; readonly format: Format } | null {
  const { structured_outputs: several } = body;
  const named: readonly (readonly [field: string, format: Format | undefined])[] = [
    ["response_format", responseFormat(body.response_format)],
    ["guided_json", jsonFormat("guided_json", body.guided_json)],
    ["guided_regex", regexFormat(body.guided_regex)],
    ["guided_choice", choiceFormat(body.guided_choice)],
    ["guided_grammar", grammarFormat(body.guided_grammar)],
    ["structured_outputs.json", jsonFormat("structured_outputs.json", several?.json)],
    ["structured_outputs.regex", regexFormat(several?.regex)],
    ["structured_outputs.choice", choiceFormat(several?.choice)],
    ["structured_outputs.grammar", grammarFormat(several?.grammar)],
    ["json_schema", jsonFormat("json_schema", body.json_schema)],
    ["grammar", grammarFormat(body.grammar)],
  ];
  const [first, second] = named.filter(([, format]) => format !== undefined);
  if (first !== undefined && second !== undefined) {
    const message = `${first[0]} and ${second[0]} both say what form the answer has; give one`;
    throw new RequestError("usage", message, { param: second[0] });
  }
  return first?.[1] === undefined ? null : { field: first[0], format: first[1] };
}

function responseFormat(asked: SharedBody["response_format"]): Format | undefined {
  if (asked == null || asked.type === "text") return undefined;
  if (asked.type === "json_schema")
    return { type: "json_schema", schema: asked.json_schema.schema, strict: asked.json_schema.strict ?? true };
  return asked.schema == null ? { type: "json" } : { type: "json_schema", schema: asked.schema };
}

function jsonFormat(field: string, schema: JsonSchema | string | null | undefined): Format | undefined {
  if (schema == null || schema === "") return undefined;
  if (typeof schema !== "string") return { type: "json_schema", schema };
  try {
    return { type: "json_schema", schema: JSON.parse(schema) as unknown };
  } catch (error) {
    const message = `${field} is a text and no JSON: ${(error as Error).message.slice(0, 200)}; send the schema as an object`;
    throw new RequestError("usage", message, { param: field });
  }
}

const regexFormat = (pattern: string | null | undefined): Format | undefined =>
  pattern == null || pattern === "" ? undefined : { type: "regex", pattern };

const grammarFormat = (grammar: string | null | undefined): Format | undefined =>
  grammar == null || grammar === "" ? undefined : { type: "grammar", grammar };

function choiceFormat(texts: readonly string[] | null | undefined): Format | undefined {
  if (texts == null || texts.length === 0) return undefined;
  const grammar = `root ::= ${texts.map((text) => JSON.stringify(text)).join(" | ")}`;
  return { type: "grammar", grammar };
}
