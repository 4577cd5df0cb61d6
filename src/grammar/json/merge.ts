/**
 * Two schemas that must hold at once, as one: what `allOf`, and `anyOf` beside other keywords, mean. Refuses by place what no
 * single schema can say. Knows no grammar.
 */
import { CllmError } from "../../error.ts";
import { hasType, type JsonType, type Schema, type SchemaObject, typesOf } from "./keywords.ts";
import { written } from "./text.ts";

type Combine = (a: never, b: never, place: string) => unknown;

const largest: Combine = (a: number, b: number) => Math.max(a, b);
const smallest: Combine = (a: number, b: number) => Math.min(a, b);

const COMBINED: Readonly<Record<string, Combine>> = {
  minLength: largest,
  minItems: largest,
  minProperties: largest,
  minimum: largest,
  exclusiveMinimum: largest,
  maxLength: smallest,
  maxItems: smallest,
  maxProperties: smallest,
  maximum: smallest,
  exclusiveMaximum: smallest,
  uniqueItems: (a: boolean, b: boolean) => a || b,
  required: (a: string[], b: string[]) => [...new Set([...a, ...b])],
  enum: (a: unknown[], b: unknown[]) => a.filter((each) => b.some((other) => written(other) === written(each))),
  allOf: (a: unknown[], b: unknown[]) => [...a, ...b],
};

/** Throws `usage` where the two cannot be put into one. */
export function merge(a: Schema, b: Schema, place: string): Schema {
  if (a === true) return b;
  if (b === true) return a;
  if (a === false || b === false) return false;
  const merged: Record<string, unknown> = { ...a, ...b };
  mergeTypes(a, b, merged);
  mergeProperties(a, b, merged, place);
  mergeItems(a, b, merged, place);
  const done = ["type", "properties", "additionalProperties", "items", "prefixItems"];
  for (const key of Object.keys(a)) {
    if (!(key in b) || done.includes(key) || written(a[key]) === written(b[key])) continue;
    const combine = COMBINED[key];
    if (combine !== undefined) merged[key] = combine(a[key] as never, b[key] as never, place);
    else if (key === "const") return false;
    else if (key === "anyOf" || key === "oneOf") {
      const { [key]: other, ...rest } = b;
      return merge(
        a,
        { ...rest, allOf: [...((rest["allOf"] as Schema[] | undefined) ?? []), { [key]: other }] },
        place,
      );
    } else if (["pattern", "format", "multipleOf", "$ref"].includes(key))
      throw new CllmError(
        "usage",
        `the schema has two different ${key} at ${place} that must hold at once; keep one of them`,
      );
  }
  return merged;
}

function mergeTypes(a: SchemaObject, b: SchemaObject, merged: Record<string, unknown>): void {
  if (!("type" in a && "type" in b)) return;
  const [ours, theirs] = [typesOf(a), typesOf(b)];
  const whole = (types: readonly JsonType[]) => types.includes("number") || types.includes("integer");
  const common: JsonType[] = ours.filter((each) => theirs.includes(each));
  if (!common.includes("number") && !common.includes("integer") && whole(ours) && whole(theirs)) common.push("integer");
  merged["type"] = common;
}

/** A property that only one names is what the other allows of further ones, too. */
function mergeProperties(a: SchemaObject, b: SchemaObject, merged: Record<string, unknown>, place: string): void {
  const [ours, theirs] = [propertiesOf(a), propertiesOf(b)];
  const [more, others] = [furtherOf(a), furtherOf(b)];
  if ("properties" in a || "properties" in b) {
    const names = new Set([...Object.keys(ours), ...Object.keys(theirs)]);
    merged["properties"] = Object.fromEntries(
      [...names].map((name) => [
        name,
        merge(ours[name] ?? more, theirs[name] ?? others, `${place}/properties/${name}`),
      ]),
    );
  }
  if ("additionalProperties" in a && "additionalProperties" in b)
    merged["additionalProperties"] = merge(more, others, `${place}/additionalProperties`);
}

function mergeItems(a: SchemaObject, b: SchemaObject, merged: Record<string, unknown>, place: string): void {
  const [ours, theirs] = [prefixOf(a), prefixOf(b)];
  const rest = (schema: SchemaObject) => (schema["items"] ?? true) as Schema;
  if (ours.length > 0 || theirs.length > 0)
    merged["prefixItems"] = Array.from({ length: Math.max(ours.length, theirs.length) }, (_, i) =>
      merge(ours[i] ?? rest(a), theirs[i] ?? rest(b), `${place}/prefixItems/${i}`),
    );
  if ("items" in a && "items" in b) merged["items"] = merge(rest(a), rest(b), `${place}/items`);
}

const propertiesOf = (schema: SchemaObject) => (schema["properties"] ?? {}) as Readonly<Record<string, Schema>>;
const furtherOf = (schema: SchemaObject) => (schema["additionalProperties"] ?? true) as Schema;
const prefixOf = (schema: SchemaObject) => (schema["prefixItems"] ?? []) as readonly Schema[];

/** Whether no value can match both schemas, as far as their types, fixed values and required fixed properties tell. */
export function apart(a: Schema, b: Schema): boolean {
  if (a === false || b === false) return true;
  if (a === true || b === true) return false;
  const [ours, theirs] = [fixedOf(a), fixedOf(b)];
  if (ours !== null && theirs !== null)
    return !ours.some((each) => theirs.some((other) => written(other) === written(each)));
  const [types, others] = [typesOf(a), typesOf(b)];
  if (ours !== null) return !ours.some((each) => hasType(each, others));
  if (theirs !== null) return !theirs.some((each) => hasType(each, types));
  const kind = (type: JsonType) => (type === "integer" ? "number" : type);
  const common = types.map(kind).filter((each) => others.map(kind).includes(each));
  if (common.length === 0) return true;
  if (common.some((each) => each !== "object")) return false;
  const [mine, yours] = [propertiesOf(a), propertiesOf(b)];
  const needed = (schema: SchemaObject, name: string) => ((schema["required"] ?? []) as string[]).includes(name);
  return Object.keys(mine).some(
    (name) => needed(a, name) && needed(b, name) && yours[name] !== undefined && apart(mine[name]!, yours[name]),
  );
}

function fixedOf(schema: SchemaObject): readonly unknown[] | null {
  if ("const" in schema) return [schema["const"]];
  return (schema["enum"] as unknown[] | undefined) ?? null;
}
