/** JSON Schema as grammars: random texts of a schema validate against it, as `ajv` says. */
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileFormat } from "../../src/grammar/format.ts";
import type { Constraint } from "../../src/grammar/types.ts";
import type { Tokens } from "../../src/grammar/vocabulary.ts";

/** Every byte is a token; the encoder is the bytes themselves. */
const tokens: Tokens = {
  size: 256,
  bytes: (id) => Uint8Array.of(id),
  encode: (text) => Int32Array.from(new TextEncoder().encode(text)),
};
const ajv = new Ajv2020({ strict: false, ownProperties: true, validateFormats: false, logger: false });
const compile = (schema: unknown, strict = true): Constraint =>
  compileFormat({ type: "json_schema", schema, strict }, tokens);

/** A text that the grammar allows, by random choices that prefer an end; null where it gets long. */
function write(constraint: Constraint, next: () => number): string | null {
  const bytes: number[] = [];
  let state = constraint.start;
  while (bytes.length < 400) {
    const allowed = Array.from({ length: 256 }, (_, byte) => byte).filter(
      (byte) => constraint.next(state, byte) !== null,
    );
    const printable = allowed.filter((byte) => byte < 0x7f);
    const closing = allowed.filter((byte) => '"]},'.includes(String.fromCharCode(byte)));
    if (constraint.canEnd(state) && (allowed.length === 0 || next() % 3 > 0))
      return Buffer.from(bytes).toString("utf8");
    const from = closing.length > 0 && next() % 4 === 0 ? closing : printable.length > 0 ? printable : allowed;
    if (from.length === 0) throw new Error(`nothing may follow ${Buffer.from(bytes).toString("utf8")}`);
    const byte = from[next() % from.length]!;
    bytes.push(byte);
    state = constraint.next(state, byte)!;
  }
  return null;
}

const SCHEMAS: readonly unknown[] = [
  true,
  { type: ["integer", "null"] },
  { type: "integer", minimum: -120, maximum: 1004 },
  { type: "integer", exclusiveMinimum: -7, exclusiveMaximum: 8, multipleOf: 3 },
  { type: "number", minimum: -1.25, maximum: 3.5 },
  { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 0.05 },
  { type: "number", exclusiveMaximum: -12.5 },
  { type: "string", minLength: 2, maxLength: 4 },
  { type: "string", pattern: '^[a-c]{2,4}$|x"y' },
  { type: "string", pattern: "a\\n" },
  { enum: [1, "two", { three: [3] }, null] },
  { const: 'a"b' },
  {
    type: "array",
    prefixItems: [{ type: "boolean" }, { type: "null" }],
    items: { type: "integer" },
    minItems: 1,
    maxItems: 4,
  },
  { type: "array", items: false },
  { type: "object", properties: { a: { type: "integer" }, b: { type: "boolean" }, ab: true }, required: ["b"] },
  {
    type: "object",
    properties: { a: {}, b: {}, c: {} },
    minProperties: 1,
    maxProperties: 2,
    additionalProperties: false,
  },
  { type: "object", properties: { a: { type: "null" } }, additionalProperties: { type: "integer" } },
  { type: "object", required: ["x y"], maxProperties: 2 },
  {
    anyOf: [
      { type: "string", maxLength: 2 },
      { type: "integer", minimum: 3 },
    ],
  },
  {
    oneOf: [
      { type: "string" },
      { type: "object", properties: { k: { const: 1 } }, required: ["k"] },
      { type: "object", properties: { k: { const: 2 } }, required: ["k"] },
    ],
  },
  {
    allOf: [
      { properties: { a: { type: "number" } }, required: ["a"] },
      { properties: { a: { minimum: 2 }, b: { type: "null" } } },
    ],
    type: "object",
  },
  {
    $ref: "#/$defs/tree",
    $defs: {
      tree: {
        type: "object",
        properties: { v: { type: "integer" }, kids: { type: "array", items: { $ref: "#/$defs/tree" }, maxItems: 2 } },
        required: ["v"],
      },
    },
  },
  {
    properties: { a: { $ref: "#/properties/b" }, b: { type: "boolean" } },
    type: "object",
    anyOf: [{ required: ["a"] }, { required: ["b"] }],
  },
  { not: { type: ["integer", "string", "object"] } },
  { type: "object", properties: { a: { not: { const: 1 }, type: "integer" }, b: { not: {} } }, required: ["a"] },
  { type: "string", not: { enum: ["a", "b", ""] }, maxLength: 2 },
  { type: "number", not: { minimum: 0, maximum: 5 }, minimum: -3 },
  { oneOf: [{ type: "string", minLength: 2 }, { maxLength: 3 }] },
  { oneOf: [{ multipleOf: 3 }, { minimum: 10 }], type: "integer", maximum: 40, minimum: 0, not: { const: 7 } },
  { type: "string", pattern: "^a", minLength: 3, maxLength: 5, not: { pattern: "z" } },
  { type: "string", format: "date", allOf: [{ pattern: "^20" }, { pattern: "-0[1-3]-" }] },
  {
    type: "object",
    patternProperties: { "^n": { type: "integer" }, s$: { minimum: 4 } },
    properties: { ns: { maximum: 9 }, q: true },
    additionalProperties: { type: "null" },
    required: ["n"],
  },
  { type: "object", propertyNames: { pattern: "^[a-c]+$", maxLength: 3 }, maxProperties: 2, minProperties: 1 },
  { type: "object", not: { additionalProperties: { type: "integer" }, properties: { k: { const: 2 } } } },
  {
    type: "array",
    contains: { type: "integer" },
    minContains: 2,
    maxContains: 3,
    items: { type: ["integer", "null"] },
  },
  { type: "array", not: { contains: { const: null } }, minItems: 1, maxItems: 3 },
  { type: "array", uniqueItems: true, items: { enum: ["a", 1, null] }, minItems: 2 },
  { type: "array", uniqueItems: true, prefixItems: [{ type: "string" }, { type: "null" }], items: false },
  {
    type: "object",
    if: { properties: { kind: { const: "x" } }, required: ["kind"] },
    ["then" as string]: { properties: { v: { type: "integer" } }, required: ["v"] },
    else: { properties: { v: { type: "string" } } },
    properties: { kind: { enum: ["x", "y"] }, v: true },
  },
  { type: "object", dependentRequired: { a: ["b"] }, properties: { a: { type: "null" }, b: { type: "null" } } },
  { type: "object", dependentSchemas: { a: { properties: { b: { const: 1 } }, required: ["b"] } } },
  {
    type: "object",
    anyOf: [
      { properties: { a: { const: 1 } }, required: ["a"] },
      { properties: { b: { const: 2 } }, required: ["b"] },
    ],
    unevaluatedProperties: false,
  },
  {
    type: "array",
    prefixItems: [{ type: "null" }],
    contains: { type: "integer" },
    unevaluatedItems: { type: "boolean" },
  },
  { enum: [{ a: [1, { b: null }] }, [], [2]], not: { type: "array", maxItems: 0 } },
  {
    $id: "https://a.test/x",
    $ref: "y#named",
    $defs: { y: { $id: "y", $defs: { z: { $anchor: "named", type: "null" } } } },
  },
  { type: "number", multipleOf: 0.25, minimum: -1, maximum: 2 },
];

/** A schema each of whose parts holds the next one twice. */
function doubling(twice: (a: object, b: object) => object): object {
  const parts = Array.from({ length: 40 }, (_, i) => {
    const next = { $ref: `#/$defs/d${i + 1}` };
    return [`d${i}`, twice(next, { ...next, required: [`k${i}`] })];
  });
  return { $ref: "#/$defs/d0", $defs: { ...Object.fromEntries(parts), d40: { type: "object" } } };
}

describe("a JSON Schema", () => {
  test("allows only what validates", () => {
    let written = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...SCHEMAS),
        fc.boolean(),
        fc.infiniteStream(fc.nat(1000)),
        (schema, strict, stream) => {
          const text = write(compile(schema, strict), () => stream.next().value as number);
          if (text === null) return;
          written++;
          expect(ajv.validate(schema as object, JSON.parse(text)), `${JSON.stringify(schema)}: ${text}`).toBe(true);
        },
      ),
      { numRuns: 600 },
    );
    expect(written).toBeGreaterThan(200);
  });

  const accepts = (schema: unknown, text: string, strict = true): boolean => {
    const constraint = compile(schema, strict);
    let state: number | null = constraint.start;
    for (const id of tokens.encode(text)) {
      state = constraint.next(state, id);
      if (state === null) return false;
    }
    return constraint.canEnd(state);
  };

  test("lets in what people write", () => {
    const person = {
      type: "object",
      properties: { name: { type: "string" }, tags: { type: "array", items: { type: "string" } } },
      required: ["name"],
    };
    expect(accepts(person, '{"name": "Jos\u00e9 \\"J\\" \\u00e9", "tags": ["a", "b"]}')).toBe(true);
    expect(accepts(person, '{"name": "", "more": [1.5e3, {"x": null}]}')).toBe(false);
    expect(accepts(person, '{"name": "", "more": [1.5e3, {"x": null}]}', false)).toBe(true);
    expect(accepts(person, '{"name": "", "name": ""}', false)).toBe(false);
    expect(accepts({ type: "string", format: "date-time" }, '"2024-02-28T23:59:59Z"')).toBe(true);
    expect(accepts({ type: "string", format: "date-time" }, '"2024-13-28T23:59:59Z"')).toBe(false);
  });

  test("leaves out no valid text of a keyword", () => {
    const accepted: readonly (readonly [unknown, string])[] = [
      [{ not: { type: "integer" } }, "1.5"],
      [{ type: "number", not: { const: 3 } }, "3.25"],
      [{ oneOf: [{ multipleOf: 3 }, { minimum: 10 }], type: "integer" }, "13"],
      [{ type: "object", patternProperties: { "^n": { type: "integer" } } }, '{"n1": 4, "x": null}'],
      [{ type: "object", propertyNames: { maxLength: 1 } }, '{"a": 4, "b": null}'],
      [{ type: "array", contains: { const: 1 }, maxContains: 2 }, "[0, 1, 2, 1, 3]"],
      [{ type: "array", uniqueItems: true, items: { type: "boolean" } }, "[true, false]"],
      [{ if: { type: "string" }, ["then" as string]: { minLength: 2 }, else: { type: "null" } }, '"ab"'],
      [
        { allOf: [{ properties: { a: true } }], properties: { b: true }, unevaluatedProperties: false },
        '{"b": 1, "a": 2}',
      ],
      [{ type: "string", pattern: "b", maxLength: 3, not: { const: "abc" } }, '"abd"'],
    ];
    for (const [schema, text] of accepted) expect(accepts(schema, text, false), JSON.stringify(schema)).toBe(true);
  });

  test("is refused with its place where it cannot be kept to", () => {
    const refused: readonly (readonly [unknown, string])[] = [
      [{ properties: { a: { dependencies: {} } } }, "dependencies at #/properties/a"],
      [{ items: { uniqueItems: true, type: "array" } }, "uniqueItems at #/items"],
      [{ not: { type: "string", format: "date" }, type: "string" }, "format at #/not"],
      [{ patternProperties: { "(?=a)": {} }, type: "object" }, "the pattern at #/patternProperties"],
      [{ type: "array", contains: {}, minContains: 600 }, "contains beside 600"],
      [{ allOf: [{ pattern: "(a|b)*a(a|b){15}" }, { maxLength: 40 }], type: "string" }, "takes too long"],
      [{ anyOf: [{ not: { $ref: "#" } }] }, "made of itself"],
      [doubling((a, b) => ({ oneOf: [a, b], type: "object" })), "takes too long"],
      [{ type: "text" }, 'type: "text" at #'],
      [{ $ref: "other.json" }, "other.json"],
      [{ $ref: "#/$defs/none" }, "leads to no schema"],
      [{ $ref: "#/$defs/x", $defs: { x: { $ref: "#/$defs/x" } } }, "made of itself"],
      [{ type: "object", properties: { a: { $ref: "#" } }, required: ["a"] }, "can never be satisfied"],
      [{ allOf: [{ $ref: "#" }] }, "#"],
      [{ oneOf: [{ type: "string" }, { type: "string" }] }, "can never be satisfied"],
      [{ type: "string", pattern: "(?=a)" }, "the pattern at #"],
      [{ type: "string", minLength: 300_000 }, "states"],
      [{ type: "integer", minimum: 3, maximum: 2 }, "no text matches"],
      [{ type: "number", multipleOf: 0.1 }, "multipleOf 0.1"],
      [JSON.parse(`${'{"items":'.repeat(200)}{}${"}".repeat(200)}`), "nested"],
      [5, "no JSON Schema"],
      [
        { properties: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`p${i}`, {}])) },
        "1001 properties at #",
      ],
      [doubling((a, b) => ({ anyOf: [a, b], type: "object" })), "takes too long"],
    ];
    for (const [schema, place] of refused)
      expect(() => compile(schema), JSON.stringify(schema).slice(0, 100)).toThrow(place);
  });
});
