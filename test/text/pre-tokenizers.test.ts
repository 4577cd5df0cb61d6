/** The pre-tokenizers that GGUF files name cut texts as other people's engines do; see fixtures/pre-tokenizers.py. */
import { describe, expect, test } from "vitest";
import { byteLevelToken } from "../../src/text/byte-alphabet.ts";
import { nameOfPreTokenizer, PRE_TOKENIZER_NAMES, preTokenizerNamed } from "../../src/text/pre-tokenizers.ts";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { byteLevelSource, fixture } from "./tiny-tokenizers.ts";

interface Cuts {
  readonly texts: readonly string[];
  /** By name and text, the pieces with U+241F between. */
  readonly kinds: Readonly<Record<string, readonly string[]>>;
}
const { texts, kinds }: Cuts = fixture("pre-tokenizers");

/** A tokenizer whose tokens are all single bytes and these pieces: text that is cut so is written one piece, one token. */
function tokenizerOf(name: string, pieces: readonly string[]): Tokenizer {
  const alphabet = Array.from({ length: 256 }, (_, byte) => byteLevelToken(Uint8Array.of(byte)));
  const written = pieces.map((piece) => byteLevelToken(Buffer.from(piece)));
  const vocab = Object.fromEntries([...new Set([...alphabet, ...written])].map((token, id) => [token, id]));
  const splits = preTokenizerNamed(name).patterns.map((Regex) => ({
    type: "Split",
    pattern: { Regex },
    behavior: "Isolated",
  }));
  const tokenizerJson = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [...splits, { type: "ByteLevel", use_regex: false }] },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab, merges: [], ignore_merges: true },
  };
  const source = { kind: "huggingface" as const, tokenizerJson, tokenizerConfig: {}, chatTemplate: null };
  return createTokenizer(source, Object.keys(vocab).length);
}

describe.each(Object.keys(kinds))("%s", (name) => {
  const wanted = kinds[name]!.map((pieces) => (pieces === "" ? [] : pieces.split("\u241f")));
  const tokenizer = tokenizerOf(name, wanted.flat());

  test.each(texts.map((text, i) => ({ text, pieces: wanted[i]! })))(
    "cuts $text as tokenizers does",
    ({ text, pieces }) => {
      const ids = tokenizer.encode(text);
      expect(Array.from(ids, (id) => tokenizer.decode([id]))).toEqual(pieces);
    },
  );
});

test("every name makes a tokenizer that brings text back", () => {
  for (const name of PRE_TOKENIZER_NAMES) {
    const source = byteLevelSource(name);
    const tokenizer = createTokenizer(source, source.tokens.length);
    const { normalize } = preTokenizerNamed(name);
    for (const text of texts) {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      expect(tokenizer.decode(ids), name).toBe(normalize === null ? text : text.normalize(normalize));
    }
  }
});

test("names that share a pre-tokenizer are written as the first of them, the others as themselves", () => {
  const written = PRE_TOKENIZER_NAMES.map((name) => nameOfPreTokenizer(preTokenizerNamed(name)));
  expect(new Set(written).size).toBe(Object.keys(kinds).length);
  for (const name of Object.keys(kinds)) expect(nameOfPreTokenizer(preTokenizerNamed(name))).toBe(name);
});

test("llama.cpp's names are known, and others are refused with all that are", () => {
  // what llama.cpp compares `tokenizer.ggml.pre` with, but for SentencePiece vocabularies and encoders with separators
  const names = [
    ...[
      "default",
      "minicpm5",
      "llama3",
      "llama-v3",
      "llama-bpe",
      "falcon3",
      "falcon-h1",
      "pixtral",
      "midm-2.0",
      "lfm2",
    ],
    ...[
      "jina-v5-nano",
      "deepseek-llm",
      "deepseek-coder",
      "deepseek-v3",
      "spark2_5",
      "youtu",
      "falcon",
      "mpt",
      "starcoder",
    ],
    ...[
      "gpt-2",
      "phi-2",
      "jina-es",
      "jina-de",
      "gigachat",
      "jina-v2-es",
      "jina-v2-de",
      "a.x-4.0",
      "mellum",
      "modern-bert",
    ],
    ...[
      "jais-2",
      "refact",
      "command-r",
      "qwen2",
      "deepseek-r1-qwen",
      "kormo",
      "f2llmv2",
      "qwen35",
      "stablelm2",
      "olmo",
    ],
    ...[
      "dbrx",
      "smaug-bpe",
      "poro-chat",
      "glm4",
      "chatglm-bpe",
      "viking",
      "jais",
      "tekken",
      "smollm",
      "codeshell",
      "bloom",
    ],
    ...["gpt3-finnish", "exaone", "exaone4", "exaone-moe", "chameleon", "minerva-7b", "megrez", "gpt-4o", "llama4"],
    ...["kanana2", "talkie", "granite-embed-multi-97m", "tiny_aya", "cohere2moe", "superbpe", "trillion"],
    ...["granite-docling", "bailingmoe", "bailingmoe2", "llada-moe", "seed-coder", "hunyuan", "hunyuan-dense", "hy_v4"],
    ...["joyai-llm", "kimi-k2", "ufakzeka", "grok-2", "afmoe", "laguna", "minimax-m2", "solar-open", "mellum2"],
  ];
  expect([...PRE_TOKENIZER_NAMES].sort()).toEqual(names.sort());
  for (const name of ["klingon", "constructor", "gemma4"]) {
    const failure = { code: "unsupported", message: expect.stringContaining("seed-coder") };
    expect(() => preTokenizerNamed(name)).toThrow(expect.objectContaining(failure));
  }
});
