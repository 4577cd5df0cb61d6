/**
 * Tokenizers from one format's words into the other's: the same ids, as the reference implementations gave them for the
 * fixtures, and a refusal by name where the other format has no words.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { HuggingFaceTokenizerSource, TokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";
import { toGgufTokenizer } from "../../src/text/to-gguf.ts";
import { toHuggingFaceTokenizer } from "../../src/text/to-huggingface.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { byteLevelSource, fixture, sentencePieceSource, tokenizerJson } from "./tiny-tokenizers.ts";

const { kinds, tokens: byteTokens, merges, added, texts } = fixture("byte-level");
const byteVocab = Object.fromEntries(byteTokens.map((token: string, id: number) => [token, id]));
const byteCount = byteTokens.length + added.length;
const pieces = fixture("sentencepiece-tokenizer-json");
const { tokens: spTokens, cases: spCases } = fixture("sentencepiece");

function huggingFace(json: object, model: object): HuggingFaceTokenizerSource {
  const tokenizerConfig = { bos_token: "<s>", eos_token: "</s>" };
  return { kind: "huggingface", tokenizerJson: { ...json, model }, tokenizerConfig, chatTemplate: "{{ messages }}" };
}

function byteLevelJson(kind: string): HuggingFaceTokenizerSource {
  const { ids, ignore_merges, ...json } = kinds[kind];
  const model = { type: "BPE", vocab: byteVocab, merges, ignore_merges };
  return huggingFace({ ...json, added_tokens: added }, model);
}

function spJson(kind: string): HuggingFaceTokenizerSource {
  const { cases, model, ...json } = pieces[kind];
  const vocab = Object.fromEntries(spTokens.map((token: string, id: number) => [token, id]));
  return huggingFace(json, { ...model, vocab, merges: pieces.merges });
}

/** Both give the same ids for texts of any kind, with and without special tokens, and the same text back. */
function expectSame(one: TokenizerSource, other: TokenizerSource, vocabSize: number, more: fc.Arbitrary<string>): void {
  const [a, b] = [createTokenizer(one, vocabSize), createTokenizer(other, vocabSize)];
  fc.assert(
    fc.property(fc.oneof(more, fc.string({ unit: "grapheme" })), fc.boolean(), (text, addSpecialTokens) => {
      const ids = a.encode(text, { addSpecialTokens });
      expect([...b.encode(text, { addSpecialTokens })]).toEqual([...ids]);
      expect(b.decode(ids)).toBe(a.decode(ids));
    }),
    { numRuns: 60 },
  );
  expect([...b.specialIds].sort()).toEqual([...a.specialIds].sort());
}

const byteTexts = fc.array(fc.constantFrom(...(texts as string[]))).map((parts) => parts.join(" "));
const spTexts = fc.array(fc.constantFrom(...spCases.map(({ text }: { text: string }) => text))).map((p) => p.join(" "));

describe("a GGUF file's tokenizer as tokenizer.json", () => {
  test.each(["llama-bpe", "smollm", "qwen2", "gpt-2", "tekken", "deepseek-coder", null])("byte-level, %s", (pre) => {
    const source = byteLevelSource(pre);
    const vocabSize = source.tokens.length;
    const made = toHuggingFaceTokenizer(source, { vocabSize, contextLength: 99 });
    expectSame(source, made, vocabSize, byteTexts);
    expect(made.tokenizerConfig).toMatchObject({ bos_token: "<|begin|>", eos_token: "<|end|>", model_max_length: 99 });
    expect(toHuggingFaceTokenizer(made, { vocabSize, contextLength: 99 })).toBe(made);
  });

  test.each([true, false])("SentencePiece, with a space before the text: %s", (addSpacePrefix) => {
    const source = { ...sentencePieceSource(), addSpacePrefix, addEos: true };
    const vocabSize = source.tokens.length;
    expectSame(source, toHuggingFaceTokenizer(source, { vocabSize, contextLength: 99 }), vocabSize, spTexts);
  });
});

describe("a tokenizer.json in GGUF's words", () => {
  test.each(Object.keys(kinds))("byte-level, %s", (kind) => {
    const source = byteLevelJson(kind);
    const vocabSize = byteCount + 7;
    let made: ReturnType<typeof toGgufTokenizer>;
    try {
      made = toGgufTokenizer(source, vocabSize);
    } catch (error) {
      expect(error).toMatchObject({ code: "unsupported" });
      return;
    }
    expect(made.tokens).toHaveLength(vocabSize);
    expectSame(source, made, vocabSize, byteTexts);
    expect(made.chatTemplate).toBe("{{ messages }}");
  });

  test("most of the fixtures' pre-tokenizers have a name there", () => {
    const named = Object.keys(kinds).filter((kind) => {
      try {
        return toGgufTokenizer(byteLevelJson(kind), byteCount).pre !== null;
      } catch {
        return false;
      }
    });
    expect(named).toEqual(expect.arrayContaining(["llama-bpe", "smollm", "qwen2", "gpt-2"]));
  });

  test("SentencePiece, whose scores come from the merges", () => {
    const source = spJson("legacy");
    const made = toGgufTokenizer(source, spTokens.length);
    expect(made).toMatchObject({ model: "llama", addBos: true, addSpacePrefix: true, bosTokenId: 1, eosTokenId: 2 });
    expectSame(source, made, spTokens.length, spTexts);
  });

  const json = tokenizerJson();
  const post = { type: "TemplateProcessing", single: [{ SpecialToken: { id: "Z" } }, { Sequence: { id: "A" } }] };
  test.each([
    ["a pre-tokenizer without a name", { pre_tokenizer: { type: "Digits", individual_digits: false } }, "Digits"],
    ["a normalizer", { normalizer: { type: "Lowercase" } }, "Lowercase"],
    ["a token that takes the space before it", { added_tokens: [{ ...added[0], lstrip: true }] }, "lstrip"],
    [
      "a strange token before every text",
      { post_processor: { ...post, special_tokens: { Z: { ids: [40] } } } },
      "before",
    ],
  ])("%s is refused by name", (_, change, message) => {
    const source = { ...huggingFace({}, {}), tokenizerJson: { ...json, ...change } };
    expect(() => toGgufTokenizer(source, byteCount)).toThrow(expect.objectContaining({ code: "unsupported" }));
    expect(() => toGgufTokenizer(source, byteCount)).toThrow(message);
  });

  test("merges that no scores can stand for are refused", () => {
    const source = spJson("legacy");
    const { model } = source.tokenizerJson as { model: { merges: unknown[] } };
    const fewer = { ...source.tokenizerJson, model: { ...model, merges: model.merges.slice(1) } };
    expect(() => toGgufTokenizer({ ...source, tokenizerJson: fewer }, spTokens.length)).toThrow(/words/);
  });
});
