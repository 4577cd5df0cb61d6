/** Constrained decoding: every decoder writes what `ar` writes under the same grammar, greedy and sampled. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ChoiceOptions, chosen } from "../../src/decode/choice.ts";
import { compileFormat, type Format } from "../../src/grammar/format.ts";
import type { Tokens } from "../../src/grammar/vocabulary.ts";
import { chaoticModel, consistentModel, ngramModel, scriptedSession } from "../../src/runtime/scripted.ts";
import { autoregressive, contenders, withHeads, write } from "./arbitrary.ts";

const PIECES = [
  ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)),
  ...["\n", "\u00e9", '{"', '":', '": ', '", "', "true", "false", "null", "name", "ab", "abc", '"a', "}}"],
];
const END = 0;

/** A vocabulary of a few pieces, the end of text first; all bytes of the formats below are in it. */
const tokens: Tokens = {
  size: PIECES.length + 1,
  bytes: (id) => new TextEncoder().encode(PIECES[id - 1] ?? ""),
  encode(text) {
    const ids: number[] = [];
    for (let at = 0; at < text.length; ) {
      let best = -1;
      for (const [i, piece] of PIECES.entries())
        if (text.startsWith(piece, at) && (best < 0 || piece.length > PIECES[best]!.length)) best = i;
      if (best < 0) break;
      ids.push(best + 1);
      at += PIECES[best]!.length;
    }
    return Int32Array.from(ids);
  },
};

const FORMATS: readonly Format[] = [
  { type: "json" },
  { type: "regex", pattern: "(ab|abc){2,5}x?" },
  { type: "regex", pattern: "[abc]+[0-9]{2}|(xyz)*" },
  { type: "grammar", grammar: 'root ::= "{" root "}" | "a" root | "b"' },
  {
    type: "json_schema",
    schema: {
      type: "object",
      properties: { name: { type: "string", maxLength: 5 }, abc: { type: "boolean" }, x: { enum: [10, 12, null] } },
      required: ["name", "abc"],
    },
  },
  { type: "json_schema", schema: { type: "array", items: { type: "integer", minimum: 8, maximum: 129 }, maxItems: 3 } },
  { type: "tags", tags: [{ begin: "a", content: { type: "json" }, end: "b" }] },
];
const constraints = FORMATS.map((format) => compileFormat(format, tokens));

const choices: fc.Arbitrary<ChoiceOptions> = fc
  .record({
    constraint: fc.constantFrom(...constraints),
    temperature: fc.constantFrom(0, 0, 0.7, 2),
    topK: fc.constantFrom(0, 3),
    topP: fc.constantFrom(1, 0.8),
    seed: fc.nat(5),
    repetitionPenalty: fc.constantFrom(1, 1, 1.3),
    frequencyPenalty: fc.constantFrom(0, 0.4),
    logprobs: fc.constantFrom(undefined, 2),
  })
  .map((options) => ({ ...options, endIds: new Set([END]) }));

const random = fc
  .record({
    kind: fc.constantFrom(ngramModel, consistentModel, (size: number, _: number, seed: number) =>
      chaoticModel(size, seed),
    ),
    degree: fc.constantFrom(0.5, 0.9, 1),
    seed: fc.nat(),
    sideError: fc.constantFrom(0, 1),
  })
  .map(({ kind, degree, seed, sideError }) => ({
    ...withHeads(kind(tokens.size, degree, seed), { count: 3, top: 3, right: 3, seed }),
    sideError,
    contextLength: 128,
  }));

describe("a constrained choice", () => {
  test("is the same under every decoder, and what the grammar allows", async () => {
    await fc.assert(
      fc.asyncProperty(
        contenders,
        random,
        choices,
        fc.array(fc.nat(tokens.size - 1), { minLength: 1, maxLength: 10 }),
        fc.integer({ min: 1, max: 40 }),
        async (contender, model, choice, ids, maxNewTokens) => {
          const prompt = Int32Array.from(ids);
          const options = { maxNewTokens, stopIds: new Set([END]) };
          const written = async (by: typeof contender) => {
            const session = scriptedSession(model);
            const over = chosen(session, prompt, choice);
            const { tokens: all } = await write(by, session, prompt, options, { over });
            const scores = "score" in over ? all.map((_, i) => over.score(prompt.length + i)) : [];
            return { all, scores, passes: session.passes.length };
          };
          const plain = await written(autoregressive);
          const parallel = await written(contender);
          expect(parallel.all).toEqual(plain.all);
          expect(parallel.scores).toEqual(plain.scores);
          expect(parallel.passes).toBeLessThanOrEqual(plain.passes);
          const { constraint } = choice;
          let state: number | null = constraint!.start;
          for (const id of plain.all) {
            if (id === END) expect(constraint!.canEnd(state!)).toBe(true);
            else state = constraint!.next(state!, id);
            expect(state).not.toBeNull();
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});
