/** The grammar engine against plain twins: regular expressions against the language's own, masks against one token after the other. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileFormat, type Format } from "../../src/grammar/format.ts";
import type { Constraint } from "../../src/grammar/types.ts";
import type { Tokens } from "../../src/grammar/vocabulary.ts";

const PIECES = [...'abc01- {}[]",:.\u00e9\u{1f600}', "ab", "bca", '{"', '":', "01", "tr", "ue", "null", "false"];
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Every byte by itself, and some pieces. */
const tokens: Tokens = {
  size: 256 + PIECES.length,
  bytes: (id) => (id < 256 ? Uint8Array.of(id) : bytesOf(PIECES[id - 256]!)),
  encode: (text) => Int32Array.from(bytesOf(text)),
};

function accepts(constraint: Constraint, text: string): boolean {
  let state: number | null = constraint.start;
  for (const byte of bytesOf(text)) {
    state = constraint.next(state, byte);
    if (state === null) return false;
  }
  return constraint.canEnd(state);
}

const compile = (format: Format): Constraint => compileFormat(format, tokens);
const regex = (pattern: string): Constraint => compile({ type: "regex", pattern });

const patterns: fc.Arbitrary<string> = fc.letrec((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom("a", "b", "\u00e9", ".", "[ab]", "[^a]", "\\d", "\\w", "[a-c0]", "\\u{1f600}"),
    fc.tuple(tie("pattern"), tie("pattern")).map(([a, b]) => `${a}${b}`),
    fc.tuple(tie("pattern"), tie("pattern")).map(([a, b]) => `(?:${a}|${b})`),
    fc
      .tuple(tie("pattern"), fc.constantFrom("*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"))
      .map(([a, q]) => `(${a})${q}`),
  ),
})).pattern as fc.Arbitrary<string>;
const texts = fc
  .array(fc.constantFrom("a", "b", "c", "0", "1", "\u00e9", "\u{1f600}", "\n"), { maxLength: 8 })
  .map((all) => all.join(""));

describe("a regular expression", () => {
  test("matches what the language's own matches", () => {
    fc.assert(
      fc.property(patterns, texts, (pattern, text) => {
        expect(accepts(regex(pattern), text)).toBe(new RegExp(`^(?:${pattern})$`, "u").test(text));
      }),
      { numRuns: 500 },
    );
  });

  test("is refused by its place where it is not regular, damaged or exploding", () => {
    for (const pattern of [
      "(?=a)b",
      "(?<!a)b",
      "(a)\\1",
      "a\\b",
      "a**",
      "(",
      ")",
      "[a",
      "a{3,1}",
      "*",
      "\\p{L}",
      "x^",
      "\\xq",
    ])
      expect(() => regex(pattern), pattern).toThrow(/character \d+|states/);
    expect(() => regex("(a{1,2000}){1,2000}")).toThrow("states");
    expect(() => regex("[^\\u{0}-\\u{10ffff}]")).toThrow("no text matches");
  });
});

const FORMATS: readonly Format[] = [
  { type: "json" },
  { type: "regex", pattern: "(ab|bca){2,4}\u00e9?|.{3}" },
  { type: "grammar", grammar: 'root ::= "{" root "}" | "a" root | "b" # nested\n' },
  { type: "json_schema", schema: { type: "array", items: { enum: [true, null, 10, "ab"] }, minItems: 1 } },
  {
    type: "json_schema",
    schema: {
      $ref: "#/$defs/t",
      $defs: { t: { type: "object", properties: { a: { $ref: "#/$defs/t" }, b: { type: "string", maxLength: 3 } } } },
    },
  },
  { type: "tags", tags: [{ begin: "ab", content: { type: "json" }, end: "c" }], required: true },
];

describe("what a grammar allows", () => {
  test("is each token that it takes, and what it forces is the only way on", () => {
    fc.assert(
      fc.property(fc.constantFrom(...FORMATS), fc.array(fc.nat(), { maxLength: 14 }), (format, picks) => {
        const constraint = compile(format);
        let state = constraint.start;
        for (const pick of picks) {
          const mask = constraint.allowed(state);
          const allowed: number[] = [];
          for (let id = 0; id < tokens.size; id++) {
            const bit = (mask[id >>> 5]! >>> (id & 31)) & 1;
            expect(bit === 1).toBe(constraint.next(state, id) !== null);
            if (bit === 1) allowed.push(id);
          }
          if (allowed.length === 0) {
            expect(constraint.canEnd(state)).toBe(true);
            return;
          }
          let forced: number | null = state;
          for (const id of constraint.forced(state)) {
            expect(constraint.canEnd(forced!)).toBe(false);
            const others = Array.from({ length: 256 }, (_, byte) => byte).filter(
              (byte) => constraint.next(forced!, byte) !== null,
            );
            expect(others).toHaveLength(1);
            forced = constraint.next(forced!, id);
          }
          const chosen = allowed.filter((id) => id < 128 || id >= 256);
          state = constraint.next(
            state,
            (chosen.length > 0 ? chosen : allowed)[pick % (chosen.length || allowed.length)]!,
          )!;
        }
      }),
      { numRuns: 150 },
    );
  });

  test("is refused where no text could end it", () => {
    const grammar = (text: string) => () => compile({ type: "grammar", grammar: text });
    expect(grammar('root ::= root "a" | "b"')).toThrow("calls itself before");
    expect(grammar('root ::= "a" root')).toThrow("can never be satisfied");
    expect(grammar("root ::= other")).toThrow("other");
    expect(grammar('start ::= "a"')).toThrow("no rule root");
    expect(grammar('root ::= "a" )')).toThrow("line 1");
  });
});

describe("tags", () => {
  const tag = { begin: "ab", content: { type: "regex", pattern: "0+" } as const, end: "c" };
  const of = (more: object) => compile({ type: "tags", tags: [tag], ...more });
  test("bind the text from their beginning to their end, and nothing else", () => {
    for (const [text, plain, required, single, only] of [
      ["", true, false, true, true],
      ["b and a", true, false, true, false],
      ["aab00c", true, true, true, false],
      ["ab0c", true, true, true, true],
      ["ab0c ab0c", true, true, false, false],
      ["ab0cab00c", true, true, false, true],
      ["ab0", false, false, false, false],
      ["abx", false, false, false, false],
    ] as const) {
      const found = [of({}), of({ required: true }), of({ single: true }), of({ only: true })].map((each) =>
        accepts(each, text),
      );
      expect(found, text).toEqual([plain, required, single, only]);
    }
  });
});
