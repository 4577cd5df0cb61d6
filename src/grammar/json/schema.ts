/**
 * JSON Schema (draft 2020-12) as a grammar of the texts that validate: on one line, with properties in the schema's order.
 * Every subschema is a rule named by its place, so that errors name it too. Knows no tokens.
 */
import { CllmError } from "../../error.ts";
import { among, choice, type Expression, NOTHING, repeat, rule, type Source, sequence, text } from "../expression.ts";
import { parseRegex } from "../regex.ts";
import { FORMATS } from "./formats.ts";
import {
  checkKeywords,
  hasType,
  isObject,
  isSchema,
  type JsonType,
  type Schema,
  type SchemaObject,
  says,
  typesOf,
} from "./keywords.ts";
import { apart, merge } from "./merge.ts";
import { integersBetween, numbersBetween } from "./ranges.ts";
import { CHARACTER, escaped, INTEGER, listed, NUMBER, otherKey, pair, quoted, written } from "./text.ts";

export interface SchemaOptions {
  /** Write no properties that the schema does not name, unless it says what they are. */
  readonly strict: boolean;
}

const MAX_BYTES = 1_000_000;
const MAX_DEPTH = 100;
const MOST_MULTIPLES = 10_000;
const MOST_RULES = 20_000; // and as many merges
const MOST_PROPERTIES = 1000;
const MOST_COUNTED = 64; // properties of an object whose number is limited
const STRING = "string";
const ANY = "any value";

/** Throws `usage` with the place of what is no schema, is not supported, or cannot be kept to. */
export function schemaSource(schema: unknown, { strict }: SchemaOptions): Source {
  if (!isSchema(schema))
    throw new CllmError("usage", "the schema is no JSON Schema: it must be an object, true or false");
  let size: number;
  try {
    size = JSON.stringify(schema).length;
  } catch (error) {
    throw new CllmError("usage", "the schema holds itself or is nested too deeply; use $ref for what repeats", {
      cause: error,
    });
  }
  if (size > MAX_BYTES)
    throw new CllmError("usage", `the schema has ${size} characters; at most ${MAX_BYTES} are read`);
  return new Reader(schema, strict).read();
}

class Reader {
  readonly #schema: Schema;
  readonly #strict: boolean;
  readonly #rules = new Map<string, Expression>();
  #depth = 0;
  #merges = 0;

  constructor(schema: Schema, strict: boolean) {
    this.#schema = schema;
    this.#strict = strict;
  }

  read(): Source {
    this.#rules.set(STRING, quoted(repeat(CHARACTER, 0)));
    this.#rules.set(
      ANY,
      choice(
        ...["null", "true", "false"].map(text),
        NUMBER,
        rule(STRING),
        sequence(text("["), choice(listed(rule(ANY), rule(ANY)), text("")), text("]")),
        sequence(
          text("{"),
          choice(listed(pair(rule(STRING), rule(ANY)), pair(rule(STRING), rule(ANY))), text("")),
          text("}"),
        ),
      ),
    );
    return { root: this.#rule(this.#schema, "#"), rules: this.#rules };
  }

  /** The rule of a subschema, made if it is new. */
  #rule(schema: Schema, place: string): string {
    if (schema === true || (isObject(schema) && Object.keys(schema).length === 0)) return ANY;
    if (this.#rules.has(place)) return place;
    this.#requireRoom(this.#rules.size, place);
    if (++this.#depth > MAX_DEPTH)
      throw new CllmError("usage", `the schema is nested more than ${MAX_DEPTH} deep at ${place.slice(0, 200)}`);
    this.#rules.set(place, NOTHING); // until its inside is known, which may call it
    this.#rules.set(place, this.#expression(schema, place));
    this.#depth--;
    return place;
  }

  #requireRoom(count: number, place: string): void {
    if (count < MOST_RULES) return;
    throw new CllmError(
      "usage",
      `the schema grows past ${MOST_RULES} parts at ${place.slice(0, 200)}; let it repeat less`,
    );
  }

  #call(schema: Schema, place: string): Expression {
    return rule(this.#rule(schema, place));
  }

  #expression(schema: Schema, place: string): Expression {
    if (schema === true) return rule(ANY);
    if (schema === false) return NOTHING;
    checkKeywords(schema, place);
    const { $ref: ref, ...besides } = schema;
    if (ref !== undefined) {
      const [target, at] = this.#resolve(ref as string, place);
      if (!Object.keys(besides).some((key) => says(key))) return this.#call(target, at);
      return this.#merged(target, besides, place);
    }
    const { allOf, ...single } = schema;
    if (allOf !== undefined) {
      const all = (allOf as Schema[]).reduce(
        (one, part, i) => this.#flat(one, part, `${place}/allOf/${i}`),
        single as Schema,
      );
      return this.#again(all, place);
    }
    for (const key of ["anyOf", "oneOf"] as const) {
      const { [key]: parts, ...base } = schema;
      if (parts === undefined) continue;
      const alone = !Object.keys(base).some(says);
      const branches = (parts as Schema[]).map((part, i) =>
        alone ? part : this.#flat(base, part, `${place}/${key}/${i}`),
      );
      if (key === "oneOf") this.#requireApart(branches, place);
      return among(branches.map((branch, i) => this.#call(branch, `${place}/${key}/${i}`)));
    }
    if ("const" in schema || "enum" in schema) return this.#fixed(schema, place);
    return among(typesOf(schema).map((type) => this.#typed(type, schema, place)));
  }

  /** Both at once; a reference in either is followed. */
  #flat(a: Schema, b: Schema, place: string): Schema {
    this.#requireRoom(this.#merges++, place);
    const [ours, theirs] = [this.#followed(a, place), this.#followed(b, place)];
    if (isObject(ours)) checkKeywords(ours, place);
    if (isObject(theirs)) checkKeywords(theirs, place);
    return merge(ours, theirs, place);
  }

  #followed(schema: Schema, place: string): Schema {
    let found = schema;
    for (let hops = 0; isObject(found) && found["$ref"] !== undefined; hops++) {
      if (hops > MAX_DEPTH) throw new CllmError("usage", `the schema's $ref at ${place} leads back to itself`);
      const { $ref: ref, ...besides } = found;
      const [target] = this.#resolve(ref as string, place);
      found = Object.keys(besides).some(says) ? merge(target, besides, place) : target;
    }
    return found;
  }

  #merged(a: Schema, b: Schema, place: string): Expression {
    return this.#again(this.#flat(a, b, place), place);
  }

  #again(schema: Schema, place: string): Expression {
    if (++this.#depth > MAX_DEPTH)
      throw new CllmError("usage", `the schema at ${place.slice(0, 200)} is made of itself without end`);
    const expression = this.#expression(schema, place);
    this.#depth--;
    return expression;
  }

  /** A subschema by its reference, and its place. */
  #resolve(ref: string, place: string): [Schema, string] {
    const refuse = (why: string): never => {
      throw new CllmError(
        "usage",
        `the schema's $ref ${ref.slice(0, 200)} at ${place} ${why}; refer to a place such as #/$defs/name`,
      );
    };
    if (ref !== "#" && !ref.startsWith("#/")) refuse("is not a place of this schema");
    let found: unknown = this.#schema;
    for (const part of ref.split("/").slice(1)) {
      let key = part;
      try {
        key = decodeURIComponent(part);
      } catch {
        // written as it is
      }
      key = key.replaceAll("~1", "/").replaceAll("~0", "~");
      found =
        (isObject(found) || Array.isArray(found)) && Object.hasOwn(found, key)
          ? (found as SchemaObject)[key]
          : undefined;
    }
    if (!isSchema(found)) return refuse("leads to no schema");
    return [found, ref];
  }

  #requireApart(branches: readonly Schema[], place: string): void {
    for (const [i, a] of branches.entries())
      for (const [j, b] of branches.entries())
        if (i < j && !apart(this.#followed(a, place), this.#followed(b, place)))
          throw new CllmError(
            "usage",
            `the schema's oneOf at ${place} has branches ${i} and ${j} that one value may match together; use anyOf, or tell ` +
              "them apart by a required property with const",
          );
  }

  #fixed(schema: SchemaObject, place: string): Expression {
    const values = ("const" in schema ? [schema["const"]] : schema["enum"]) as unknown[];
    const allowed = "const" in schema && "enum" in schema ? (schema["enum"] as unknown[]).map(written) : null;
    const other = Object.keys(schema).find((key) => says(key) && !["const", "enum", "type"].includes(key));
    if (other !== undefined && other !== "format")
      throw new CllmError(
        "usage",
        `the schema has ${other} beside const or enum at ${place}; leave only the values that hold`,
      );
    const types = typesOf(schema);
    return among(
      values
        .filter((value) => hasType(value, types) && (allowed === null || allowed.includes(written(value))))
        .map((value) => text(written(value))),
    );
  }

  #typed(type: JsonType, schema: SchemaObject, place: string): Expression {
    switch (type) {
      case "null":
        return text("null");
      case "boolean":
        return choice(text("true"), text("false"));
      case "string":
        return this.#string(schema, place);
      case "integer":
      case "number":
        return this.#number(type, schema, place);
      case "array":
        return this.#array(schema, place);
      case "object":
        return this.#object(schema, place);
    }
  }

  #string(schema: SchemaObject, place: string): Expression {
    const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = schema as {
      minLength?: number;
      maxLength?: number;
    };
    const format = FORMATS[schema["format"] as string];
    const pattern = schema["pattern"] as string | undefined;
    const limited = minLength > 0 || maxLength < Number.POSITIVE_INFINITY;
    const given = [pattern !== undefined && "pattern", format !== undefined && "format", limited && "a length"].filter(
      Boolean,
    );
    if (given.length > 1 && !(format !== undefined && pattern === undefined))
      throw new CllmError(
        "usage",
        `the schema has ${given.join(" and ")} at ${place}, which cannot be kept together; keep one of them`,
      );
    if (pattern !== undefined)
      return quoted(escaped(parseRegex(pattern, { whole: false, what: `the pattern at ${place}` })));
    if (format !== undefined) {
      if (limited) throw new CllmError("usage", `the schema has a length beside format at ${place}; keep one of them`);
      return quoted(escaped(parseRegex(format, { whole: true })));
    }
    return limited ? quoted(repeat(CHARACTER, minLength, maxLength)) : rule(STRING);
  }

  #number(type: "integer" | "number", schema: SchemaObject, place: string): Expression {
    const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema as Record<string, number>;
    const above = (schema["exclusiveMinimum"] as number | undefined) ?? Number.NEGATIVE_INFINITY;
    const below = (schema["exclusiveMaximum"] as number | undefined) ?? Number.POSITIVE_INFINITY;
    const step = schema["multipleOf"] as number | undefined;
    const low = above >= minimum ? { value: above, closed: false } : { value: minimum, closed: true };
    const high = below <= maximum ? { value: below, closed: false } : { value: maximum, closed: true };
    const first = Math.ceil(low.value) + (low.closed || !Number.isInteger(low.value) ? 0 : 1);
    const last = Math.floor(high.value) - (high.closed || !Number.isInteger(high.value) ? 0 : 1);
    if (step !== undefined && step !== 1) return this.#multiples(step, first, last, place);
    if (type === "integer" || step === 1)
      return first === Number.NEGATIVE_INFINITY && last === Number.POSITIVE_INFINITY
        ? INTEGER
        : integersBetween(first, last);
    return low.value === Number.NEGATIVE_INFINITY && high.value === Number.POSITIVE_INFINITY
      ? NUMBER
      : numbersBetween(low, high);
  }

  /** Whole multiples between two numbers, listed: so many that a list is no burden, those nearest to 0 first. */
  #multiples(step: number, first: number, last: number, place: string): Expression {
    if (!Number.isInteger(step))
      throw new CllmError("usage", `the schema has multipleOf ${step} at ${place}; only whole numbers can be kept to`);
    const from = Math.max(first, -step * MOST_MULTIPLES);
    const to = Math.min(last, step * MOST_MULTIPLES);
    const found: Expression[] = [];
    for (let value = Math.ceil(from / step) * step; value <= to && found.length <= MOST_MULTIPLES; value += step)
      found.push(text(String(value + 0)));
    return among(found);
  }

  #array(schema: SchemaObject, place: string): Expression {
    const prefix = (schema["prefixItems"] ?? []) as Schema[];
    const {
      minItems = 0,
      maxItems = Number.POSITIVE_INFINITY,
      uniqueItems = false,
    } = schema as {
      minItems?: number;
      maxItems?: number;
      uniqueItems?: boolean;
    };
    if (uniqueItems && maxItems > 1)
      throw new CllmError(
        "usage",
        `the schema has uniqueItems at ${place}, which decoding cannot keep to; take it out, and check the answer for it`,
      );
    if (minItems > maxItems) return NOTHING;
    const items = (schema["items"] ?? true) as Schema;
    const item = (i: number): Expression =>
      i < prefix.length ? this.#call(prefix[i]!, `${place}/prefixItems/${i}`) : this.#call(items, `${place}/items`);
    // What follows the first i items: from the last of the prefix backwards.
    const known = Math.min(prefix.length, maxItems);
    const more = sequence(text(", "), item(prefix.length));
    const after = Math.max(known, 1);
    let rest: Expression = maxItems > after ? repeat(more, Math.max(0, minItems - after), maxItems - after) : text("");
    if (after < minItems && maxItems <= after) rest = NOTHING;
    for (let i = after - 1; i >= 1; i--) {
      const next = sequence(text(", "), item(i), rest);
      rest = i < minItems ? next : choice(next, text(""));
    }
    const some = maxItems === 0 ? NOTHING : sequence(item(0), rest);
    return sequence(text("["), minItems === 0 ? choice(some, text("")) : some, text("]"));
  }

  #object(schema: SchemaObject, place: string): Expression {
    const properties = Object.entries((schema["properties"] ?? {}) as Record<string, Schema>);
    const required = new Set((schema["required"] ?? []) as string[]);
    const further = schema["additionalProperties"] as Schema | undefined;
    const open = further ?? !(this.#strict && properties.length > 0);
    for (const name of required)
      if (!properties.some(([known]) => known === name)) properties.push([name, further ?? true]);
    const { minProperties = 0, maxProperties = Number.POSITIVE_INFINITY } = schema as {
      minProperties?: number;
      maxProperties?: number;
    };
    const counted = minProperties > required.size || maxProperties < Number.POSITIVE_INFINITY;
    const most = counted ? MOST_COUNTED : MOST_PROPERTIES;
    if (properties.length > most)
      throw new CllmError(
        "usage",
        `the schema has ${properties.length} properties at ${place}; at most ${most} are taken`,
      );
    // A key may be written twice, which counts once: only a first property is sure to be one.
    if (minProperties > Math.max(1, required.size) && open !== false)
      throw new CllmError(
        "usage",
        `the schema has minProperties ${minProperties} at ${place} without naming as many required properties; name them`,
      );
    const names = properties.map(([name]) => name);
    const extra =
      open === false
        ? null
        : pair(otherKey(names), this.#call(open, further === undefined ? ANY : `${place}/additionalProperties`));
    const values = properties.map(([name, value]) =>
      pair(text(JSON.stringify(name)), this.#call(value, `${place}/properties/${escapePointer(name)}`)),
    );
    /** What may follow where the properties before `i` are decided and `count` were written. */
    const rest = (i: number, count: number): Expression => {
      const name = `${place} after ${i} properties${count === 0 ? ", none written" : counted ? `, ${count} written` : ""}`;
      const state = Math.min(count, counted ? Number.POSITIVE_INFINITY : 1);
      if (!this.#rules.has(name)) {
        this.#rules.set(name, NOTHING);
        const comma = state === 0 ? text("") : text(", ");
        const parts: Expression[] = [];
        if (i < values.length) {
          if (count < maxProperties) parts.push(sequence(comma, values[i]!, rest(i + 1, counted ? count + 1 : 1)));
          if (!required.has(names[i]!)) parts.push(rest(i + 1, count));
        } else {
          if (count >= minProperties || !counted) parts.push(text(""));
          if (extra !== null) {
            const room = maxProperties - count;
            if (room > 0) parts.push(sequence(comma, extra, repeat(sequence(text(", "), extra), 0, room - 1)));
          }
        }
        this.#rules.set(name, among(parts));
      }
      return rule(name);
    };
    return sequence(text("{"), rest(0, 0), text("}"));
  }
}

function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
