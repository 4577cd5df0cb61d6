/** Two tiny real tokenizers for tests, one of each writing, from the fixtures. */
import { readFileSync } from "node:fs";
import type { GgufTokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";

// biome-ignore lint/suspicious/noExplicitAny: fixtures are as they were written
export function fixture(name: string): any {
  return JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), "utf8"));
}

/** A SentencePiece vocabulary of 900 tokens with all byte tokens; `<s>` is 1, `</s>` 2, `<sep>` user defined. */
export function sentencePieceSource(): GgufTokenizerSource {
  const { cases, made_with, ...metadata } = fixture("sentencepiece");
  const scores = Float32Array.from(metadata.scores);
  return { ...metadata, scores, tokenTypes: Int32Array.from(metadata.tokenTypes) };
}

/** A byte-level vocabulary of all bytes and 444 merges, with `<|begin|>` and `<|end|>` as its last two tokens. */
export function byteLevelSource(pre: string | null = "llama-bpe"): GgufTokenizerSource {
  const { tokens, merges, special } = fixture("byte-level");
  return {
    kind: "gguf",
    model: "gpt2",
    pre,
    tokens: [...tokens, ...special],
    scores: null,
    tokenTypes: Int32Array.from([...tokens, ...special], (token) => (special.includes(token) ? 3 : 1)),
    merges,
    bosTokenId: tokens.length,
    eosTokenId: tokens.length + 1,
    unknownTokenId: null,
    padTokenId: null,
    addBos: null,
    addEos: null,
    addSpacePrefix: null,
    chatTemplate: null,
  };
}

/** A `tokenizer.json` over the byte-level vocabulary. */
export function tokenizerJson(): Record<string, unknown> {
  const { kinds, tokens, merges, added } = fixture("byte-level");
  const { ids, ignore_merges, ...json } = kinds["llama-bpe"];
  const vocab = Object.fromEntries(tokens.map((token: string, id: number) => [token, id]));
  return { ...json, added_tokens: added, model: { type: "BPE", vocab, merges, ignore_merges } };
}
