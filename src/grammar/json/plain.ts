/**
 * Keywords about the value itself, its items and its properties, as cases: what each demands, and what fails it. Knows no keyword
 * that applies schemas to the same value.
 */
import {
  ANY_BOOLEAN,
  ANY_NULL,
  ANY_NUMBER,
  ANY_OBJECT,
  ANY_STRING,
  anyArray,
  type Case,
  type Layer,
  layer,
  type Pattern,
  type Witness,
} from "./cases.ts";
import { FORMATS } from "./formats.ts";
import { type SchemaObject, typesOf } from "./keywords.ts";
import { ANYTHING, NOTHING_MATCHES, type Node, type Nodes, type ValueNode } from "./nodes.ts";

/** A schema's subschemas as nodes. */
export interface Reader {
  readonly place: string;
  readonly nodes: Nodes;
  child(...path: readonly (string | number)[]): Node;
}

const INFINITE = Number.POSITIVE_INFINITY;
const EMPTY_ARRAY = anyArray(ANYTHING);

/** The cases that `type` and the keywords of each type leave. `track`: they say what was looked at. */
export function plainCases(
  schema: SchemaObject,
  reader: Reader,
  track: boolean,
  everything: readonly Case[],
): readonly Case[] {
  const types = typesOf(schema);
  const numeric = types.includes("number") || types.includes("integer");
  const found = everything.flatMap((each): Case[] => {
    if (!(each.type === "number" ? numeric : types.includes(each.type))) return [];
    switch (each.type) {
      case "number":
        return [numberOf(schema, reader.place, !types.includes("number"))];
      case "string":
        return [stringOf(schema, reader.place)];
      case "array":
        return [arrayOf(schema, reader, track)];
      case "object":
        return [objectOf(schema, reader, track)];
      default:
        return [each];
    }
  });
  return found.filter((each) => {
    if (each.type === "array" || each.type === "string") return each.least <= each.most;
    if (each.type === "object") return Math.max(each.least, each.required.size) <= each.most;
    if (each.type !== "number") return true;
    const { low, high } = each;
    return low.value < high.value || (low.value === high.value && low.closed && high.closed);
  });
}

/** What fails one of the same keywords. */
export function plainNegations(schema: SchemaObject, reader: Reader, everything: readonly Case[]): readonly Case[] {
  return [
    ...typeNegations(schema, everything),
    ...numberNegations(schema, reader.place),
    ...stringNegations(schema, reader.place),
    ...arrayNegations(schema, reader),
    ...objectNegations(schema, reader),
  ];
}

function typeNegations(schema: SchemaObject, everything: readonly Case[]): readonly Case[] {
  if (!("type" in schema)) return [];
  const types = typesOf(schema);
  return everything.flatMap((each): Case[] => {
    if (each.type !== "number") return types.includes(each.type) ? [] : [each];
    if (types.includes("number")) return [];
    return [types.includes("integer") ? { ...ANY_NUMBER, whole: false } : each];
  });
}

function numberOf(schema: SchemaObject, place: string, whole: boolean): Case {
  const { minimum = -INFINITE, maximum = INFINITE } = schema as Record<string, number>;
  const above = (schema["exclusiveMinimum"] as number | undefined) ?? -INFINITE;
  const below = (schema["exclusiveMaximum"] as number | undefined) ?? INFINITE;
  const step = schema["multipleOf"] as number | undefined;
  return {
    ...ANY_NUMBER,
    low: above >= minimum ? { value: above, closed: false } : { value: minimum, closed: true },
    high: below <= maximum ? { value: below, closed: false } : { value: maximum, closed: true },
    whole: whole || step === 1 ? true : null,
    steps: step === undefined || step === 1 ? [] : [{ step, place }],
  };
}

function numberNegations(schema: SchemaObject, place: string): readonly Case[] {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema as Record<string, number>;
  const found: Case[] = [];
  const below = (value: number | undefined, closed: boolean) => {
    if (value !== undefined) found.push({ ...ANY_NUMBER, high: { value, closed } });
  };
  const above = (value: number | undefined, closed: boolean) => {
    if (value !== undefined) found.push({ ...ANY_NUMBER, low: { value, closed } });
  };
  below(minimum, false);
  below(exclusiveMinimum, true);
  above(maximum, false);
  above(exclusiveMaximum, true);
  if (multipleOf === 1) found.push({ ...ANY_NUMBER, whole: false });
  else if (multipleOf !== undefined) found.push({ ...ANY_NUMBER, unlike: [{ step: multipleOf, place }] });
  return found;
}

const opposite = (keyword: string, place: string): string =>
  `the schema needs values that fail ${keyword} at ${place}, because of not, if or oneOf; say there what holds`;

function stringOf(schema: SchemaObject, place: string): Case {
  const { minLength = 0, maxLength = INFINITE } = schema as Record<string, number>;
  return {
    ...ANY_STRING,
    least: minLength,
    most: maxLength,
    matching: [...patternOf(schema, place), ...formatOf(schema, place)],
  };
}

function patternOf(schema: SchemaObject, place: string): Pattern[] {
  const source = schema["pattern"] as string | undefined;
  return source === undefined ? [] : [{ source, whole: false, place }];
}

function formatOf(schema: SchemaObject, place: string): Pattern[] {
  const name = schema["format"] as string | undefined;
  const source = name !== undefined && Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined;
  return source === undefined ? [] : [{ source, whole: true, place }];
}

function stringNegations(schema: SchemaObject, place: string): readonly Case[] {
  const { minLength = 0, maxLength = INFINITE } = schema as Record<string, number>;
  const found: Case[] = patternOf(schema, place).map((pattern) => ({ ...ANY_STRING, unlike: [pattern] }));
  if (minLength > 0) found.push({ ...ANY_STRING, most: minLength - 1 });
  if (maxLength < INFINITE) found.push({ ...ANY_STRING, least: maxLength + 1 });
  if (formatOf(schema, place).length > 0) found.push({ ...ANY_STRING, refused: opposite("format", place) });
  return found;
}

function prefixOf(schema: SchemaObject, { child }: Reader): Node[] {
  return ((schema["prefixItems"] ?? []) as unknown[]).map((_, i) => child("prefixItems", i));
}

/** How many items, and how many of those that `contains` describes, with JSON Schema's defaults. */
const arrayLimits = ({ minItems, maxItems, minContains, maxContains }: SchemaObject): Record<Limit, number> =>
  ({
    minItems: minItems ?? 0,
    maxItems: maxItems ?? INFINITE,
    minContains: minContains ?? 1,
    maxContains: maxContains ?? INFINITE,
  }) as Record<Limit, number>;

type Limit = "minItems" | "maxItems" | "minContains" | "maxContains";

function arrayOf(schema: SchemaObject, reader: Reader, track: boolean): Case {
  const { minItems, maxItems, minContains, maxContains } = arrayLimits(schema);
  const prefix = prefixOf(schema, reader);
  const items = "items" in schema ? reader.child("items") : ANYTHING;
  const contained = "contains" in schema ? reader.child("contains") : null;
  const never = [...prefix, items].findIndex(({ kind }) => kind === "nothing");
  const counts = contained !== null && (minContains > 0 || maxContains < INFINITE);
  const first = "items" in schema ? INFINITE : prefix.length;
  return {
    ...EMPTY_ARRAY,
    ...{ prefix, items },
    least: Math.max(minItems, contained === null ? 0 : minContains),
    most: Math.min(maxItems, never < 0 ? INFINITE : never),
    contains: counts ? [{ node: contained, from: 0, least: minContains, most: maxContains }] : [],
    unique: schema["uniqueItems"] === true ? reader.place : null,
    ...(track && { seen: { first, matching: contained === null ? [] : [contained] } }),
  };
}

function arrayNegations(schema: SchemaObject, reader: Reader): readonly Case[] {
  const { minItems, maxItems, minContains, maxContains } = arrayLimits(schema);
  const { nodes, place } = reader;
  const found: Case[] = [];
  const prefix = prefixOf(schema, reader);
  if (minItems > 0) found.push({ ...EMPTY_ARRAY, most: minItems - 1 });
  if (maxItems < INFINITE) found.push({ ...EMPTY_ARRAY, least: maxItems + 1 });
  for (const [i, node] of prefix.entries())
    if (node !== ANYTHING) {
      const before = Array.from({ length: i }, () => ANYTHING);
      found.push({ ...EMPTY_ARRAY, prefix: [...before, nodes.not(node)], least: i + 1 });
    }
  const some = (node: Node, from: number, least: number, most: number) =>
    found.push({ ...EMPTY_ARRAY, least: from + least, contains: [{ node, from, least, most }] });
  if ("items" in schema && reader.child("items") !== ANYTHING)
    some(nodes.not(reader.child("items")), prefix.length, 1, INFINITE);
  if ("contains" in schema) {
    if (minContains > 0) some(reader.child("contains"), 0, 0, minContains - 1);
    if (maxContains < INFINITE) some(reader.child("contains"), 0, maxContains + 1, INFINITE);
  }
  if (schema["uniqueItems"] === true) found.push({ ...EMPTY_ARRAY, least: 2, refused: opposite("uniqueItems", place) });
  return found;
}

/** What `properties`, `patternProperties` and `additionalProperties` of one schema say; null where there are none. */
function layerOf(schema: SchemaObject, { place, child }: Reader): Layer | null {
  const names = Object.keys((schema["properties"] ?? {}) as SchemaObject);
  const patterns = Object.keys((schema["patternProperties"] ?? {}) as SchemaObject);
  if (names.length === 0 && patterns.length === 0 && !("additionalProperties" in schema)) return null;
  return {
    named: new Map(names.map((name) => [name, child("properties", name)])),
    patterns: patterns.map((source) => ({
      pattern: { source, whole: false, place: `${place}/patternProperties` },
      node: child("patternProperties", source),
    })),
    other: "additionalProperties" in schema ? child("additionalProperties") : null,
    lists: names.length > 0,
  };
}

function objectOf(schema: SchemaObject, reader: Reader, track: boolean): Case {
  const { minProperties = 0, maxProperties = INFINITE } = schema as Record<string, number>;
  const own = layerOf(schema, reader);
  const seen = {
    all: own !== null && own.other !== null,
    names: new Set(own?.named.keys()),
    patterns: own?.patterns.map(({ pattern }) => pattern) ?? [],
  };
  return {
    ...ANY_OBJECT,
    layers: own === null ? [] : [own],
    required: new Set((schema["required"] ?? []) as string[]),
    least: minProperties,
    most: maxProperties,
    names:
      "propertyNames" in schema && reader.child("propertyNames") !== ANYTHING ? [reader.child("propertyNames")] : [],
    ...(track && { seen }),
  };
}

const absent = (name: string): Case => ({
  ...ANY_OBJECT,
  layers: [layer({ named: new Map([[name, NOTHING_MATCHES]]) })],
});

function objectNegations(schema: SchemaObject, reader: Reader): readonly Case[] {
  const { minProperties = 0, maxProperties = INFINITE } = schema as Record<string, number>;
  const { nodes, place } = reader;
  const found: Case[] = ((schema["required"] ?? []) as string[]).map(absent);
  if (minProperties > 0) found.push({ ...ANY_OBJECT, most: minProperties - 1 });
  if (maxProperties < INFINITE) found.push({ ...ANY_OBJECT, least: maxProperties + 1 });
  const own = layerOf(schema, reader);
  const some = (witness: Omit<Witness, "place">, keyword: string) =>
    found.push({ ...ANY_OBJECT, some: [{ ...witness, place: `${place}/${keyword}` }] });
  if (own !== null) {
    for (const [name, node] of own.named) if (node !== ANYTHING) found.push(differing(name, node, nodes));
    for (const { pattern, node } of own.patterns)
      if (node !== ANYTHING) some({ names: { pattern }, node: nodes.not(node) }, "patternProperties");
    if (own.other !== null && own.other !== ANYTHING)
      some({ names: { besides: own }, node: nodes.not(own.other) }, "additionalProperties");
  }
  const names = "propertyNames" in schema ? reader.child("propertyNames") : ANYTHING;
  if (names !== ANYTHING) some({ names: { unlike: names }, node: ANYTHING }, "propertyNames");
  return found;
}

/** A property that is there and does not match. */
function differing(name: string, node: Node, nodes: Nodes): Case {
  return { ...ANY_OBJECT, layers: [layer({ named: new Map([[name, nodes.not(node)]]) })], required: new Set([name]) };
}

/** A fixed value, or all but that. */
export function caseOf(
  { value, label }: ValueNode,
  holds: boolean,
  nodes: Nodes,
  everything: readonly Case[],
): readonly Case[] {
  const type = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const others = everything.filter((each) => each.type !== type);
  const part = (key: string | number, inner: unknown) => nodes.value(inner, `${label}/${key}`);
  if (value === null) return holds ? [ANY_NULL] : others;
  if (typeof value === "boolean") {
    const values = [holds ? value : !value];
    return [...(holds ? [] : others), { ...ANY_BOOLEAN, values }];
  }
  if (typeof value === "number")
    return holds ? [{ ...ANY_NUMBER, values: [value + 0] }] : [...others, { ...ANY_NUMBER, except: [value + 0] }];
  if (typeof value === "string")
    return holds ? [{ ...ANY_STRING, values: [value] }] : [...others, { ...ANY_STRING, except: [value] }];
  if (Array.isArray(value)) {
    const prefix = value.map((each, i) => part(i, each));
    const { length } = value;
    if (holds) return [{ ...EMPTY_ARRAY, prefix, items: NOTHING_MATCHES, least: length, most: length }];
    const differs = prefix.map((node, i) => ({
      ...{ ...EMPTY_ARRAY, least: i + 1 },
      prefix: [...Array.from({ length: i }, () => ANYTHING), nodes.not(node)],
    }));
    const shorter = length > 0 ? [{ ...EMPTY_ARRAY, most: length - 1 }] : [];
    return [...others, ...shorter, ...differs, { ...EMPTY_ARRAY, least: length + 1 }];
  }
  const entries = Object.entries(value as SchemaObject).map(([key, each]) => [key, part(key, each)] as const);
  const own = layer({ named: new Map(entries), other: NOTHING_MATCHES });
  if (holds) return [{ ...ANY_OBJECT, layers: [own], required: new Set(entries.map(([key]) => key)) }];
  return [
    ...others,
    ...entries.flatMap(([key, node]) => [absent(key), differing(key, node, nodes)]),
    { ...ANY_OBJECT, some: [{ names: { besides: own }, node: ANYTHING, place: label }] },
  ];
}
