/**
 * The keywords of JSON Schema (draft 2020-12) and what each of them must be. Knows no grammar.
 */
import { CllmError } from "../../error.ts";

export type Schema = boolean | { readonly [key: string]: unknown };
export type SchemaObject = { readonly [key: string]: unknown };

export const TYPES = ["null", "boolean", "object", "array", "number", "string", "integer"] as const;
export type JsonType = (typeof TYPES)[number];

/** Keywords of older drafts that say what newer ones say otherwise: to ignore them would let through what does not validate. */
const OLDER: ReadonlyMap<string, string> = new Map([
  ["dependencies", "dependentRequired or dependentSchemas"],
  ["additionalItems", "prefixItems and items"],
  ["$recursiveRef", "$dynamicRef"],
  ["$recursiveAnchor", "$dynamicAnchor"],
]);

/** What a keyword that is kept must be. */
const FORMS: Readonly<Record<string, (value: unknown) => boolean>> = {
  $ref: isText,
  $dynamicRef: isText,
  type: (value) => (Array.isArray(value) ? value.every(isType) : isType(value)),
  enum: Array.isArray,
  anyOf: isSchemas,
  oneOf: isSchemas,
  allOf: isSchemas,
  not: isSchema,
  if: isSchema,
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: isSchema,
  else: isSchema,
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
  contains: isSchema,
  minContains: isCount,
  maxContains: isCount,
  unevaluatedItems: isSchema,
  uniqueItems: (value) => typeof value === "boolean",
  properties: isSchemaMap,
  patternProperties: isSchemaMap,
  propertyNames: isSchema,
  unevaluatedProperties: isSchema,
  dependentSchemas: isSchemaMap,
  dependentRequired: (value) => isObject(value) && Object.values(value).every(isTexts),
  required: isTexts,
  additionalProperties: isSchema,
  minProperties: isCount,
  maxProperties: isCount,
};

/** Throws `usage` with the place of a keyword that is of an older draft, or not of its form. */
export function checkKeywords(schema: SchemaObject, place: string): void {
  for (const [key, value] of Object.entries(schema)) {
    const newer = OLDER.get(key);
    if (newer !== undefined)
      throw new CllmError("usage", `the schema has ${key} at ${place}, which draft 2020-12 has not; write ${newer}`);
    const form = FORMS[key];
    if (form === undefined) continue; // by the draft, a keyword that nobody knows is an annotation
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

function isSchemaMap(value: unknown): boolean {
  return isObject(value) && Object.values(value).every(isSchema);
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every(isText);
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
