/** Formats that explode end soon: compiled within a second of the processor, or refused by their place; and so is every mask. */
import { expect, test } from "vitest";
import { CllmError } from "../../src/error.ts";
import { compileFormat, type Format } from "../../src/grammar/format.ts";
import type { Tokens } from "../../src/grammar/vocabulary.ts";

const tokens: Tokens = {
  size: 256,
  bytes: (id) => Uint8Array.of(id),
  encode: (text) => Int32Array.from(new TextEncoder().encode(text)),
};
const list = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const named = (count: number, make: (i: number) => unknown): object =>
  Object.fromEntries(list(count, (i) => [`p${i}`, make(i)]));
const rules = (count: number, make: (i: number) => string): string =>
  `root ::= r0\n${list(count, (i) => `r${i} ::= ${i === count - 1 ? '"x"' : make(i)}`).join("\n")}`;
const needs = (i: number) => ({ properties: { [`k${i}`]: { type: "integer" } }, required: [`k${i}`] });

const SCHEMAS: Readonly<Record<string, unknown>> = {
  "a pattern and a length": { type: "string", pattern: "^(\\S+ )+\\S+$", maxLength: 900 },
  "a pattern of two to the sixteenth states": {
    type: "string",
    allOf: [{ pattern: "(a|b)*a(a|b){15}" }, { maxLength: 40 }],
  },
  "many texts": { enum: list(20_000, (i) => `value number ${i}`) },
  "many objects": { enum: list(3000, (i) => ({ a: i, b: `x${i}` })) },
  "branches and what is left over": { anyOf: list(12, needs), unevaluatedProperties: false },
  "many conditions": {
    allOf: list(16, (i) => ({ if: needs(i), ["then" as string]: { required: [`q${i}`] } })),
    type: "object",
  },
  "counts in counts": {
    type: "object",
    properties: named(50, () => ({ properties: named(64, () => ({})), maxProperties: 40 })),
  },
  "counted items": { type: "array", contains: { type: "integer" }, minContains: 300, maxContains: 400, maxItems: 450 },
  "many patterns": {
    type: "object",
    properties: named(600, (i) => ({ type: "string", pattern: `^[a-z]{1,40}${i}$`, maxLength: 60 })),
  },
  "items nested in a list": { type: "array", prefixItems: list(20_000, () => ({ type: "null" })) },
};
const FORMATS: Readonly<Record<string, Format>> = {
  "repetitions of repetitions": { type: "regex", pattern: "(((a?){30}){30}){30}" },
  "an ambiguous repetition": { type: "regex", pattern: "(\\w{1,500}\\s?){1,100}" },
  "rules in a row": { type: "grammar", grammar: rules(8000, (i) => `"a" r${i + 1} | r${Math.min(i + 2, 7999)} "b"`) },
  ...Object.fromEntries(Object.entries(SCHEMAS).map(([name, schema]) => [name, { type: "json_schema", schema }])),
};

test.each(Object.entries(FORMATS))("%s ends soon", (_, format) => {
  const before = process.cpuUsage();
  let refused = "";
  try {
    const constraint = compileFormat(format, tokens);
    let state = constraint.start;
    for (let i = 0; i < 50; i++) {
      const mask = constraint.allowed(state);
      const token = list(256, (id) => 255 - id).find((id) => ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1);
      if (token === undefined) break;
      state = constraint.next(state, token)!;
    }
  } catch (error) {
    if (!(error instanceof CllmError)) throw error;
    expect(error.code).toBe("usage");
    refused = error.message;
  }
  // Three times what it takes on a quiet machine: a bound on work, not a timing.
  expect(process.cpuUsage(before).user / 1e6, refused).toBeLessThan(3);
});
