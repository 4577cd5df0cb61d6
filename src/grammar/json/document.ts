/**
 * A schema as a document: its subschemas by place, the resources that `$id` makes of parts of it, and where references lead (JSON
 * Schema Core 2020-12, section 8). Knows no grammar.
 */
import { CllmError } from "../../error.ts";
import { isObject, isSchema, type Schema, type SchemaObject } from "./keywords.ts";

/** A part of the document with an identifier of its own, or the whole. */
export interface Resource {
  readonly uri: string;
  readonly place: string;
  /** Places by `$anchor` and `$dynamicAnchor`. */
  readonly anchors: Map<string, string>;
  readonly dynamic: Map<string, string>;
}

/** A subschema with the place where it stands, such as `#/properties/a`. */
export interface Located {
  readonly schema: Schema;
  readonly place: string;
  readonly resource: Resource;
}

const BASE = "https://schema.invalid/";
const ONES = [
  ...["not", "if", "then", "else", "contains", "items", "additionalProperties", "propertyNames"],
  ...["unevaluatedItems", "unevaluatedProperties", "contentSchema"],
];
const LISTS = ["allOf", "anyOf", "oneOf", "prefixItems"];
const MAPS = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

export class Document {
  readonly root: Located;
  /** Whether a reference depends on the way that led to it. */
  readonly dynamic: boolean;
  readonly #places = new Map<string, Located>();
  readonly #resources = new Map<string, Resource>();

  constructor(schema: Schema) {
    let dynamic = false;
    const waiting: { schema: Schema; place: string; resource: Resource | null }[] = [
      { schema, place: "#", resource: null },
    ];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { place } = next;
      const resource = this.#resourceOf(next.schema, place, next.resource);
      this.#places.set(place, { schema: next.schema, place, resource });
      if (!isObject(next.schema)) continue;
      if ("$dynamicRef" in next.schema) dynamic = true;
      for (const key of ["$anchor", "$dynamicAnchor"] as const) {
        const name = next.schema[key];
        if (typeof name !== "string") continue;
        resource.anchors.set(name, place);
        if (key === "$dynamicAnchor") resource.dynamic.set(name, place);
      }
      for (const [path, child] of childrenOf(next.schema))
        waiting.push({ schema: child, place: `${place}/${path}`, resource });
    }
    this.dynamic = dynamic;
    this.root = this.#places.get("#")!;
  }

  /** A subschema of another one, by its keyword and where it stands in there. */
  child(parent: Located, ...path: readonly (string | number)[]): Located {
    const place = `${parent.place}/${path.map((part) => escapePointer(String(part))).join("/")}`;
    const known = this.#places.get(place);
    if (known !== undefined) return known;
    const schema = path.reduce<unknown>((value, part) => (value as SchemaObject)[part], parent.schema) as Schema;
    return { schema, place, resource: parent.resource };
  }

  /** Where a `$ref` or the first step of a `$dynamicRef` leads. Throws `usage` where that is nowhere in the document. */
  target(from: Located, keyword: string, ref: string): Located {
    const refuse = (why: string): never => {
      throw new CllmError(
        "usage",
        `the schema's ${keyword} ${ref.slice(0, 200)} at ${from.place.slice(0, 200)} ${why}; refer to a place such as #/$defs/name`,
      );
    };
    const [uri, fragment] = this.#parts(ref, from.resource.uri) ?? refuse("is no reference");
    const resource = this.#resources.get(uri) ?? refuse("is not a place of this schema");
    if (fragment !== "" && !fragment.startsWith("/")) {
      const place = resource.anchors.get(fragment) ?? refuse("is not a place of this schema");
      return this.#places.get(place)!;
    }
    return this.#along(resource, fragment) ?? refuse("leads to no schema");
  }

  /** Where a `$dynamicRef` leads: the outermost resource on the way here that has the dynamic anchor decides. */
  dynamicTarget(from: Located, ref: string, scope: readonly Resource[]): Located {
    const first = this.target(from, "$dynamicRef", ref);
    const name = this.#parts(ref, from.resource.uri)![1];
    if (first.resource.dynamic.get(name) !== first.place) return first;
    const outermost = scope.find((resource) => resource.dynamic.has(name));
    return outermost === undefined ? first : this.#places.get(outermost.dynamic.get(name)!)!;
  }

  #along(resource: Resource, pointer: string): Located | null {
    let at: Located = this.#places.get(resource.place)!;
    let value: unknown = at.schema;
    let place = resource.place;
    for (const part of pointer.split("/").slice(1)) {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      if (!(isObject(value) || Array.isArray(value)) || !Object.hasOwn(value, key)) return null;
      value = (value as SchemaObject)[key];
      place += `/${part}`;
      const known = this.#places.get(place);
      if (known !== undefined) at = known;
    }
    if (!isSchema(value)) return null;
    return at.place === place ? at : { schema: value, place, resource: at.resource };
  }

  /** The resource that a reference names, and the place in it. */
  #parts(ref: string, base: string): [string, string] | null {
    if (ref === "" || ref.startsWith("#")) return [base, decoded(ref.slice(1))]; // also where there is no `URL`
    try {
      const { href, hash } = new URL(ref, base);
      const uri = hash === "" ? href.replace(/#$/, "") : href.slice(0, -hash.length);
      return [uri, decoded(hash.slice(1))];
    } catch {
      return null;
    }
  }

  #resourceOf(schema: Schema, place: string, parent: Resource | null): Resource {
    const id = isObject(schema) && typeof schema["$id"] === "string" ? schema["$id"] : "";
    const uri = this.#parts(id, parent?.uri ?? BASE)?.[0] ?? BASE;
    if (parent !== null && (id === "" || uri === parent.uri)) return parent;
    const resource: Resource = { uri, place, anchors: new Map(), dynamic: new Map() };
    this.#resources.set(uri, resource);
    return resource;
  }
}

function* childrenOf(schema: SchemaObject): Generator<[string, Schema]> {
  for (const key of ONES) if (isSchema(schema[key])) yield [key, schema[key]];
  for (const key of LISTS)
    if (Array.isArray(schema[key]))
      for (const [i, each] of (schema[key] as unknown[]).entries()) if (isSchema(each)) yield [`${key}/${i}`, each];
  for (const key of MAPS)
    if (isObject(schema[key]))
      for (const [name, each] of Object.entries(schema[key]))
        if (isSchema(each)) yield [`${key}/${escapePointer(name)}`, each];
}

function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment; // written as it is
  }
}

export function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
