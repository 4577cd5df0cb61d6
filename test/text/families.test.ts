/**
 * Tokenizers in the forms that the model families' tokenizer.json have, against Hugging Face's tokenizers: tokens that strip,
 * byte fallback, splits of every kind, added tokens of both kinds. How the fixture was made is in fixtures/README.md.
 */
import { describe, expect, test } from "vitest";
import type { HuggingFaceTokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";
import { phi3 } from "../../src/model/families/phi3.ts";
import { toGgufTokenizer } from "../../src/text/to-gguf.ts";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { fixture } from "./tiny-tokenizers.ts";

interface Case {
  readonly text: string;
  readonly ids: number[];
  /** How many ids are put around the text. */
  readonly bare: number;
  readonly all: string;
  readonly plain: string;
}

const { forms } = fixture("families");
const vocabularies = {
  sentencepiece: { tokens: fixture("sentencepiece").tokens, merges: fixture("sentencepiece-tokenizer-json").merges },
  "byte-level": fixture("byte-level"),
};

type Json = Record<string, unknown>;

/** The source of a form, and how many tokens it has. */
function sourceOf(name: string, added: (token: Json) => Json = (token) => token): [HuggingFaceTokenizerSource, number] {
  const { vocabulary, json } = forms[name];
  const { tokens, merges } = vocabularies[vocabulary as keyof typeof vocabularies];
  const vocab = Object.fromEntries(tokens.map((token: string, id: number) => [token, id]));
  const added_tokens: Json[] = json.added_tokens.map(added);
  const tokenizerJson = { ...json, added_tokens, model: { ...json.model, vocab, merges } };
  const size = 1 + Math.max(tokens.length - 1, ...added_tokens.map(({ id }) => id as number));
  const tokenizerConfig = { bos_token: "<s>" };
  return [{ kind: "huggingface", tokenizerJson, tokenizerConfig, chatTemplate: null }, size];
}

describe.each(Object.keys(forms))("%s", (name) => {
  let made: Tokenizer | undefined;
  test.each(forms[name].cases as Case[])("$text", ({ text, ids, bare, all, plain }) => {
    made ??= createTokenizer(...sourceOf(name));
    const tokenizer = made;
    expect([...tokenizer.encode(text)]).toEqual(ids);
    expect([...tokenizer.encode(text, { addSpecialTokens: false })]).toEqual(ids.slice(bare));
    expect(tokenizer.decode(ids)).toBe(all);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(plain);
  });
});

describe("as GGUF metadata", () => {
  test.each(["gemma", "granite", "olmo-2"])("%s gives the same ids", (name) => {
    const [source, size] = sourceOf(name);
    const tokenizer = createTokenizer(toGgufTokenizer(source, size), size);
    for (const { text, ids, all } of forms[name].cases as Case[]) {
      if (text.includes("\u2581")) continue; // it stands for a space there
      expect([...tokenizer.encode(text)], text).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(all);
    }
  });

  test("tokens of Phi-3 strip, which no file says", () => {
    const [source, size] = sourceOf("phi-3", (token) => ({ ...token, lstrip: false, rstrip: false }));
    const plain = toGgufTokenizer(source, size);
    const strippingIds = plain.tokens.flatMap((token, id) => (phi3.gguf.strips?.(token) ? [id] : []));
    const tokenizer = createTokenizer({ ...plain, strippingIds }, size);
    for (const { text, ids } of forms["phi-3"].cases as Case[]) {
      expect([...tokenizer.encode(text, { addSpecialTokens: false })], text).toEqual(ids);
    }
  });

  test("tokens that strip are refused where nothing would say so", () => {
    expect(() => toGgufTokenizer(...sourceOf("phi-4-mini"))).toThrow('the token "<|tool|>" with rstrip');
  });
});
