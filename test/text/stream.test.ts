/** Streaming text equals decoding the whole, for any tokens in any chunks, and decoding agrees with plain twins. */
import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { joinByRank, ranksByScore } from "../../src/text/sentence-piece.ts";
import { createDetokenizer } from "../../src/text/stream.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { byteLevelSource, sentencePieceSource, tokenizerJson } from "./tiny-tokenizers.ts";

const PADDING = 10; // embeddings beyond the last token, as many models have
const options = fc.record({ skipSpecialTokens: fc.boolean(), continuation: fc.boolean() });
const texts = fc.string({
  unit: fc.oneof(fc.constantFrom(" ", "▁", "é", "👩‍👩‍👧", "\ufeff", "<s>", "<|end|>", "a"), fc.string()),
});

for (const [name, source] of [
  ["byte-level", byteLevelSource()] as const,
  ["SentencePiece", sentencePieceSource()] as const,
]) {
  const tokenizer = createTokenizer(source, source.tokens.length + PADDING);
  const randomIds = fc.array(
    fc.oneof(
      fc.integer({ min: 0, max: tokenizer.vocabSize - 1 }),
      fc.integer({ min: 0, max: 260 }), // single bytes, in both vocabularies
      fc.constantFrom(...tokenizer.specialIds),
      texts.map((text) => tokenizer.encode(text)[1] ?? 0),
    ),
    { maxLength: 40 },
  );
  const ids = fc.oneof(
    randomIds,
    texts.map((text) => [...tokenizer.encode(text)]),
  );

  describe(name, () => {
    test("chunks together give the whole text", () => {
      fc.assert(
        fc.property(
          ids,
          fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 40 }),
          options,
          (ids, sizes, options) => {
            const detokenizer = createDetokenizer(tokenizer, options);
            let text = "";
            let at = 0;
            for (const size of [...sizes, ids.length]) {
              const piece = detokenizer.push(ids.slice(at, at + size));
              expect(/^\p{Surrogate}|\p{Surrogate}$/u.test(piece)).toBe(false);
              text += piece;
              at += size;
              expect(tokenizer.decode(ids, options).startsWith(text)).toBe(true);
            }
            expect(text + detokenizer.end()).toBe(tokenizer.decode(ids, options));
          },
        ),
        { numRuns: 1000 },
      );
    });

    test("a complete character is given out at once", () => {
      fc.assert(
        fc.property(texts, (text) => {
          const detokenizer = createDetokenizer(tokenizer, { continuation: true });
          const ids = tokenizer.encode(text);
          expect(detokenizer.push(ids)).toBe(tokenizer.decode(ids, { continuation: true }));
          expect(detokenizer.end()).toBe("");
        }),
      );
    });

    test("a detokenizer starts afresh after the end", () => {
      const detokenizer = createDetokenizer(tokenizer);
      const ids = tokenizer.encode(" é x", { addSpecialTokens: false });
      const twice = [detokenizer.push(ids) + detokenizer.end(), detokenizer.push(ids) + detokenizer.end()];
      expect(twice).toEqual([" é x", " é x"]);
    });

    test("text survives encoding and decoding", () => {
      fc.assert(
        fc.property(texts, (text) => {
          fc.pre(!/[▁]|<|\p{Surrogate}/u.test(text)); // ▁ is a space to SentencePiece, and special tokens have no space
          expect(tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: false }))).toBe(text);
        }),
      );
    });

    test.each([-1, tokenizer.vocabSize, 0.5, Number.NaN])("refuses id %d", (id) => {
      expect(() => tokenizer.decode([id])).toThrow(expect.objectContaining({ code: "bad-input" }));
    });
  });
}

test("decoding agrees with the library's byte-level decoder", () => {
  const source = byteLevelSource();
  const tokenizer = createTokenizer(source, source.tokens.length);
  const library = new LibraryTokenizer(
    { ...tokenizerJson(), post_processor: null, decoder: { type: "ByteLevel" } },
    { clean_up_tokenization_spaces: false },
  );
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: source.tokens.length - 1 }), { minLength: 1 }), (ids) => {
      expect(tokenizer.decode(ids)).toBe(library.decode(ids));
    }),
  );
});

test("pieces are joined best score first, leftmost first", () => {
  const piece = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 });
  const scores = fc.dictionary(piece, fc.integer({ min: -5, max: 0 }), { maxKeys: 25, noNullPrototype: true });
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 20 }), scores, (text, scores) => {
      const ranks = ranksByScore(new Map(Object.entries(scores)));
      const plain = [...text];
      for (;;) {
        let best = -1;
        for (let i = 0; i + 1 < plain.length; i++) {
          const score = scores[plain[i]! + plain[i + 1]!];
          if (score !== undefined && (best < 0 || score > scores[plain[best]! + plain[best + 1]!]!)) best = i;
        }
        if (best < 0) break;
        plain.splice(best, 2, plain[best]! + plain[best + 1]!);
      }
      expect(joinByRank([...text], ranks)).toEqual(plain);
    }),
    { numRuns: 2000 },
  );
});
