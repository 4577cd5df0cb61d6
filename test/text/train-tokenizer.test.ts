/** The trainer of tokenizers: its laws on random texts, and a plain twin that counts everything anew for each merge. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import {
  countWords,
  END_TOKEN,
  type Merge,
  PAD_TOKEN,
  type TokenizerJson,
  trainedTokenizerConfig,
  trainMerges,
  trainTokenizer,
} from "../../src/text/train-tokenizer.ts";

const SPACE = "\u0120"; // a space in the byte alphabet

function tokenizerOf(json: TokenizerJson): Tokenizer {
  const vocabSize = Object.keys(json.model.vocab).length;
  return createTokenizer(
    { kind: "huggingface", tokenizerJson: json, tokenizerConfig: trainedTokenizerConfig(128), chatTemplate: null },
    vocabSize,
  );
}

/** The same merges, with every pair of every word counted anew each time. */
function plainMerges(counts: ReadonlyMap<string, number>, limit: number): Merge[] {
  let words = Array.from(counts, ([word, count]) => ({ symbols: [...word], count }));
  const merges: Merge[] = [];
  for (;;) {
    const pairs = new Map<string, number>();
    for (const { symbols, count } of words) {
      for (let i = 0; i + 1 < symbols.length; i++) {
        const [left, right] = [symbols[i]!, symbols[i + 1]!];
        if (mayMerge(symbols, left, right)) pairs.set(`${left} ${right}`, (pairs.get(`${left} ${right}`) ?? 0) + count);
      }
    }
    const order = [...pairs].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    const [best] = order;
    if (!best || best[1] < 2 || merges.length === limit) return merges;
    const [left, right] = best[0].split(" ") as [string, string];
    merges.push([left, right]);
    words = words.map(({ symbols, count }) => {
      return { symbols: mayMerge(symbols, left, right) ? joined(symbols, left, right) : symbols, count };
    });
  }
}

/** A space joins all of the rest or nothing; `s` all before it but a space, another `s`, or nothing. */
function mayMerge(symbols: string[], left: string, right: string): boolean {
  if (left === SPACE) return symbols.length === 2;
  if (right !== "s" || left === "s") return true;
  return symbols.join("") === left + right || symbols.join("") === SPACE + left + right;
}

function joined(symbols: string[], left: string, right: string): string[] {
  const [first, second, ...rest] = symbols;
  if (first === undefined) return [];
  if (first === left && second === right) return [left + right, ...joined(rest, left, right)];
  return [first, ...joined(symbols.slice(1), left, right)];
}

const word = fc.stringMatching(/^[abs]{1,6}$/);
const text = fc.array(fc.oneof(word, fc.constantFrom("_", "'", "12", "\n", "(*)")), { maxLength: 30 }).chain((parts) =>
  fc.array(fc.boolean(), { minLength: parts.length, maxLength: parts.length }).map((spaces) => {
    return parts.map((part, i) => (spaces[i] ? ` ${part}` : part)).join("");
  }),
);

describe("merges", () => {
  test("are those of the plain twin", () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 5 }), fc.nat(40), (corpus, limit) => {
        const counts = countWords(corpus);
        expect(trainMerges(counts, limit)).toEqual(plainMerges(counts, limit));
      }),
    );
  });

  test("end where no pair occurs twice", () => {
    expect(trainMerges(countWords(["ab cd"]), 10)).toEqual([]);
    expect(trainMerges(countWords(["ab ab"]), 10)).toEqual([["a", "b"]]);
  });
});

describe("a trained tokenizer", () => {
  test("gives every text back, whatever it was trained on", () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), fc.string({ unit: "grapheme" }), (corpus, other) => {
        const tokenizer = tokenizerOf(trainTokenizer(corpus, { vocabSize: 300 }));
        for (const each of [...corpus, other]) expect(tokenizer.decode(tokenizer.encode(each))).toBe(each);
      }),
      { numRuns: 30 },
    );
  });

  test("cuts a word the same with and without a space before it", () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 5 }), word, (corpus, any) => {
        const tokenizer = tokenizerOf(trainTokenizer(corpus, { vocabSize: 320 }));
        const pieces = (written: string) => [...tokenizer.encode(written)].map((id) => tokenizer.tokenText(id));
        const spaced = pieces(` ${any}`);
        const whole = spaced[0] === " " ? spaced.slice(1) : [spaced[0]!.slice(1), ...spaced.slice(1)];
        expect(whole).toEqual(pieces(any));
      }),
    );
  });

  test("takes digits one by one, and gives frequent words and their plurals the same first token", () => {
    const json = trainTokenizer(Array(9).fill("table singer: id, name 2024\nall singers"), { vocabSize: 320 });
    const tokenizer = tokenizerOf(json);
    const pieces = (written: string) => [...tokenizer.encode(written)].map((id) => tokenizer.tokenText(id));
    expect(pieces(" singer singers 2024")).toEqual([" singer", " singers", " ", "2", "0", "2", "4"]);
    expect(pieces(".singer_id")).toEqual([".", "singer", "_", "id"]);
    expect(pieces(" names")).toEqual([" name", "s"]);
  });

  test("begins with the special tokens, which configuration and vocabulary agree on", () => {
    const tokenizer = tokenizerOf(trainTokenizer(["a b"], { vocabSize: 258 }));
    expect([...tokenizer.encode(PAD_TOKEN + END_TOKEN)]).toEqual([0, 1]);
    expect(tokenizer.eosTokenId).toBe(1);
    expect(tokenizer.vocabSize).toBe(258);
  });

  test("is what GGUF files call smollm", () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), fc.string({ unit: "grapheme" }), (corpus, other) => {
        const json = trainTokenizer(corpus, { vocabSize: 300 });
        const tokens: string[] = [];
        for (const [token, id] of Object.entries(json.model.vocab)) tokens[id] = token;
        const gguf = createTokenizer(
          {
            ...{ kind: "gguf", model: "gpt2", pre: "smollm", tokens, scores: null, merges: json.model.merges },
            ...{ tokenTypes: Int32Array.from(tokens, (_, id) => (id < 2 ? 3 : 1)), bosTokenId: null, eosTokenId: 1 },
            ...{ unknownTokenId: null, padTokenId: 0, addBos: false, addEos: false, addSpacePrefix: null },
            chatTemplate: null,
          },
          tokens.length,
        );
        for (const each of [...corpus, other]) expect(gguf.encode(each)).toEqual(tokenizerOf(json).encode(each));
      }),
      { numRuns: 30 },
    );
  });

  test("depends on its corpus only", () => {
    const corpus = ["singer singers", "concert singer", "concerts"];
    expect(trainTokenizer(corpus, { vocabSize: 300 })).toEqual(trainTokenizer(corpus, { vocabSize: 300 }));
  });

  test("needs room for all bytes", () => {
    expect(() => trainTokenizer([], { vocabSize: 257 })).toThrow(
      expect.objectContaining({ code: "usage", message: expect.stringContaining("258") }),
    );
  });
});
