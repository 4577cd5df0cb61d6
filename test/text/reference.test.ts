/**
 * Our tokenizers against the reference implementations' own ids, on tiny vocabularies: SentencePiece, and Hugging Face's
 * tokenizers with each pre-tokenizer. How the fixtures were made is in fixtures/README.md.
 */
import { describe, expect, test } from "vitest";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { byteLevelSource, fixture, sentencePieceSource, tokenizerJson } from "./tiny-tokenizers.ts";

interface Case {
  readonly text: string;
  readonly ids: number[];
  readonly decoded: string;
}

describe("SentencePiece BPE from GGUF metadata", () => {
  const source = sentencePieceSource();
  const tokenizer = createTokenizer(source, source.tokens.length);

  test.each(fixture("sentencepiece").cases as Case[])("gives sentencepiece's ids for $text", (example) => {
    expect([...tokenizer.encode(example.text, { addSpecialTokens: false })]).toEqual(example.ids);
    expect(tokenizer.decode(example.ids)).toBe(example.decoded);
  });

  test("puts the beginning-of-sequence token first", () => {
    const bare = tokenizer.encode("Hello", { addSpecialTokens: false });
    expect([...tokenizer.encode("Hello")]).toEqual([1, ...bare]);
  });
});

describe("tokenizer.json with SentencePiece's conventions", () => {
  const { merges, legacy, metaspace, words } = fixture("sentencepiece-tokenizer-json");
  const { tokens } = fixture("sentencepiece");
  const vocab = Object.fromEntries(tokens.map((token: string, id: number) => [token, id]));

  for (const [name, { cases, model, ...json }] of Object.entries({ legacy, metaspace, words })) {
    const tokenizer = createTokenizer(
      {
        kind: "huggingface",
        tokenizerJson: { ...json, model: { ...model, vocab, merges } },
        tokenizerConfig: { bos_token: "<s>", eos_token: { content: "</s>" } },
        chatTemplate: null,
      },
      tokens.length,
    );
    test.each(cases as Case[])(`gives the ids of tokenizers for $text (${name})`, ({ text, ids, decoded }) => {
      expect([...tokenizer.encode(text)]).toEqual(ids);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(decoded);
    });
    test(`knows the special tokens (${name})`, () => {
      expect([tokenizer.bosTokenId, tokenizer.eosTokenId]).toEqual([1, 2]);
      expect(tokenizer.specialIds).toEqual(new Set([0, 1, 2]));
    });
  }
});

describe("byte-level BPE", () => {
  const { kinds, texts } = fixture("byte-level");

  for (const pre of Object.keys(kinds)) {
    const { ids, ignore_merges, ...json } = kinds[pre];
    const source = byteLevelSource(pre);
    const gguf = createTokenizer(source, source.tokens.length);
    const base = tokenizerJson();
    const huggingFace = createTokenizer(
      {
        kind: "huggingface",
        tokenizerJson: { ...base, ...json, model: { ...(base["model"] as object), ignore_merges } },
        tokenizerConfig: {},
        chatTemplate: null,
      },
      source.tokens.length,
    );

    test.each((texts as string[]).map((text, i) => ({ text, wanted: ids[i] as number[] })))(
      `gives the ids of tokenizers for $text (${pre})`,
      ({ text, wanted }) => {
        expect([...gguf.encode(text, { addSpecialTokens: false })]).toEqual(wanted);
        expect([...huggingFace.encode(text)]).toEqual(wanted);
        const normal = pre === "qwen2" ? text.normalize("NFC") : text;
        expect(gguf.decode(wanted)).toBe(normal);
        expect(huggingFace.decode(wanted)).toBe(normal);
      },
    );

    test(`starts a text as the family does where the file does not say (${pre})`, () => {
      const starts = gguf.encode("x")[0] === gguf.bosTokenId;
      expect(starts).toBe(pre === "llama-bpe" || pre === "tekken");
    });
  }

  test("cuts text differently with each pre-tokenizer", () => {
    const written = new Set(Object.values<{ ids: number[][] }>(kinds).map(({ ids }) => JSON.stringify(ids)));
    expect(written.size).toBe(Object.keys(kinds).length);
  });
});
