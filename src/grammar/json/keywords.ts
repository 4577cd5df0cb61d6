/**
 * Which keywords of JSON Schema (draft 2020-12) a grammar can keep, which say nothing about a text, and which are refused by
 * name and place, because an answer that ignored them would not validate. Knows no grammar.
 */
import { CllmError } from "../../error.ts";

export type Schema = boolean | { readonly [key: string]: unknown };
export type SchemaObject = { readonly [key: string]: unknown };

export const TYPES = ["null", "boolean", "object", "array", "number", "string", "integer"] as const;
export type JsonType = (typeof TYPES)[number];

/** Keywords that are kept. */
const KEPT: ReadonlySet<string> = new Set([
  ...["$ref", "type", "enum", "const", "anyOf", "oneOf", "allOf"],
  ...["minLength", "maxLength", "pattern", "format"],
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  ...["items", "prefixItems", "minItems", "maxItems", "uniqueItems"],
  ...["properties", "required", "additionalProperties", "minProperties", "maxProperties"],
]);

/** Keywords that describe or name, and say nothing about what is valid. */
const SILENT: ReadonlySet<string> = new Set([
  ...["$schema", "$id", "$comment", "$defs", "definitions", "$anchor", "$vocabulary"],
  ...["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"],
  ...["contentEncoding", "contentMediaType", "contentSchema"],
]);

/** Whether a keyword says anything about what is valid. */
export const says = (key: string): boolean => !SILENT.has(key);

/** Keywords of the draft that no answer is held to here. */
const REFUSED: ReadonlySet<string> = new Set([
  ...["not", "if", "then", "else", "contains", "minContains", "maxContains", "patternProperties", "propertyNames"],
  ...[
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedItems",
    "unevaluatedProperties",
    "additionalItems",
  ],
  ...["$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"],
]);

/** What a keyword that is kept must be. */
const FORMS: Readonly<Record<string, (value: unknown) => boolean>> = {
  $ref: isText,
  type: (value) => (Array.isArray(value) ? value.every(isType) : isType(value)),
  enum: Array.isArray,
  anyOf: isSchemas,
  oneOf: isSchemas,
  allOf: isSchemas,
  minLength: isCount,
  maxLength: isCount,
  pattern: isText,
  format: isText,
  minimum: Number.isFinite,
  maximum: Number.isFinite,
  exclusiveMinimum: Number.isFinite,
  exclusiveMaximum: Number.isFinite,
  multipleOf: (value) => Number.isFinite(value) && (value as number) > 0,
  items: isSchema,
  prefixItems: isSchemas,
  minItems: isCount,
  maxItems: isCount,
  uniqueItems: (value) => typeof value === "boolean",
  properties: (value) => isObject(value) && Object.values(value).every(isSchema),
  required: (value) => Array.isArray(value) && value.every(isText),
  additionalProperties: isSchema,
  minProperties: isCount,
  maxProperties: isCount,
};

/** Keywords that say nothing without another one of the same schema. */
const NEEDED: ReadonlyMap<string, readonly string[]> = new Map([
  ["if", ["then", "else"]],
  ["then", ["if"]],
  ["else", ["if"]],
  ["minContains", ["contains"]],
  ["maxContains", ["contains"]],
]);

/** Throws `usage` with the place of a keyword that is not kept, or not of its form. */
export function checkKeywords(schema: SchemaObject, place: string): void {
  for (const [key, value] of Object.entries(schema)) {
    if (SILENT.has(key) || NEEDED.get(key)?.every((other) => !(other in schema))) continue;
    if (key.startsWith("unevaluated") && value === true) continue;
    if (REFUSED.has(key)) {
      throw new CllmError(
        "usage",
        `the schema has ${key} at ${place}, which decoding cannot keep to; take it out, and check the answer for it`,
      );
    }
    const form = FORMS[key];
    if (form === undefined || !KEPT.has(key)) continue; // by the draft, a keyword that nobody knows is an annotation
    if (!form(value))
      throw new CllmError("usage", `the schema has ${key}: ${shown(value)} at ${place}, which is no such value`);
  }
}

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isSchema(value: unknown): value is Schema {
  return typeof value === "boolean" || isObject(value);
}

function isSchemas(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isSchema);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0;
}

function isType(value: unknown): value is JsonType {
  return TYPES.includes(value as JsonType);
}

function shown(value: unknown): string {
  const written = JSON.stringify(value) ?? String(value);
  return written.length > 60 ? `${written.slice(0, 57)}...` : written;
}

/** The types that a schema allows. */
export function typesOf({ type }: SchemaObject): readonly JsonType[] {
  if (type === undefined) return TYPES.filter((each) => each !== "integer");
  return (Array.isArray(type) ? type : [type]) as JsonType[];
}

/** Whether a value has one of these types. */
export function hasType(value: unknown, types: readonly JsonType[]): boolean {
  if (value === null) return types.includes("null");
  if (Array.isArray(value)) return types.includes("array");
  if (typeof value === "number")
    return types.includes("number") || (types.includes("integer") && Number.isInteger(value));
  return types.includes(typeof value as JsonType);
}
