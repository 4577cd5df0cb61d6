/** Damaged, lying and foreign tokenizers: one clear error each, at creation; anything that loads also works. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { GgufTokenizerSource, TokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";
import { CllmError } from "../../src/error.ts";
import { createDetokenizer } from "../../src/text/stream.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { byteLevelSource, sentencePieceSource, tokenizerJson } from "./tiny-tokenizers.ts";

const byteLevel = byteLevelSource();
const sentencePiece = sentencePieceSource();
const json = tokenizerJson();
const model = json["model"] as Record<string, unknown>;
const vocab = model["vocab"] as Record<string, number>;
const VOCAB_SIZE = byteLevel.tokens.length;

function huggingFace(changes: object, tokenizerConfig: object = {}): TokenizerSource {
  return { kind: "huggingface", tokenizerJson: { ...json, ...changes }, tokenizerConfig, chatTemplate: null };
}

function fails(source: TokenizerSource, code: string, words: string, vocabSize: number = VOCAB_SIZE): void {
  expect(() => createTokenizer(source, vocabSize)).toThrow(
    expect.objectContaining({ name: "CllmError", code, message: expect.stringContaining(words) }),
  );
}

describe("GGUF metadata", () => {
  const twice = byteLevel.tokens.with(7, byteLevel.tokens[5]!);
  const bad: [string, GgufTokenizerSource, string, string][] = [
    ["another kind of tokenizer", { ...byteLevel, model: "bert" }, "unsupported", '"bert"'],
    ["an unknown pre-tokenizer", { ...byteLevel, pre: "klingon" }, "unsupported", "llama-bpe"],
    ["no tokens", { ...byteLevel, tokens: [] }, "bad-file", "no tokens"],
    ["a token twice", { ...byteLevel, tokens: twice }, "bad-file", "listed twice, as token 5 and 7"],
    ["an endless token", { ...byteLevel, tokens: byteLevel.tokens.with(3, "x".repeat(9_000)) }, "bad-file", "token 3"],
    ["no merges", { ...byteLevel, merges: null }, "bad-file", "tokenizer.ggml.merges"],
    ["half a merge", { ...byteLevel, merges: ["a"] }, "bad-file", "merge 0"],
    ["a merge of three", { ...byteLevel, merges: ["a b c"] }, "bad-file", "merge 0"],
    ["a merge of strangers", { ...byteLevel, merges: ["zz zz"] }, "bad-file", '"zz"'],
    ["types for other tokens", { ...byteLevel, tokenTypes: new Int32Array(3) }, "bad-file", "3 token types"],
    ["an end beyond the tokens", { ...byteLevel, eosTokenId: VOCAB_SIZE }, "bad-file", "end-of-sequence"],
    ["a beginning that is no id", { ...byteLevel, bosTokenId: -1 }, "bad-file", "beginning-of-sequence"],
    ["a beginning wanted and not named", { ...byteLevel, addBos: true, bosTokenId: null }, "bad-file", "beginning"],
    ["an end wanted and not named", { ...byteLevel, addEos: true, eosTokenId: null }, "bad-file", "end-of-sequence"],
  ];
  test.each(bad)("with %s", (_, source, code, words) => fails(source, code, words));

  test("with no scores, too few, or scores that are none", () => {
    const size = sentencePiece.tokens.length;
    fails({ ...sentencePiece, scores: null }, "bad-file", "tokenizer.ggml.scores", size);
    fails({ ...sentencePiece, scores: new Float32Array(5) }, "bad-file", "5 scores", size);
    fails({ ...sentencePiece, scores: new Float32Array(size).fill(Number.NaN) }, "bad-file", "not a number", size);
  });

  test("with more tokens than the model has embeddings", () => {
    fails(
      byteLevel,
      "bad-file",
      `${VOCAB_SIZE} tokens, but the model's vocab_size is ${VOCAB_SIZE - 1}`,
      VOCAB_SIZE - 1,
    );
  });

  test("without token types or a pre-tokenizer still makes a tokenizer that brings text back", () => {
    const tokenizer = createTokenizer({ ...byteLevel, tokenTypes: null, pre: null }, VOCAB_SIZE);
    expect(tokenizer.decode(tokenizer.encode("Price: $12345!"))).toBe("Price: $12345!");
    const pieces = createTokenizer({ ...sentencePiece, tokenTypes: null }, sentencePiece.tokens.length);
    expect(pieces.decode(pieces.encode("héllo 中"), { skipSpecialTokens: true })).toBe("héllo 中");
  });

  test("that wants the sequence's ends gets both, and none when asked for none", () => {
    const tokenizer = createTokenizer({ ...byteLevel, addBos: true, addEos: true }, VOCAB_SIZE);
    const ids = [...tokenizer.encode("a")];
    expect([ids.at(0), ids.at(-1)]).toEqual([tokenizer.bosTokenId, tokenizer.eosTokenId]);
    expect([...tokenizer.encode("a", { addSpecialTokens: false })]).toEqual(ids.slice(1, -1));
  });
});

describe("tokenizer.json", () => {
  const added = (token: object) => ({ added_tokens: [token] });
  const bad: [string, object, string, string][] = [
    ["no model", { model: undefined }, "bad-file", "its model"],
    ["a model of another kind", { model: { type: "WordPiece", vocab: {} } }, "unsupported", '"WordPiece"'],
    ["a Unigram model", { model: { type: "Unigram", vocab: [] } }, "unsupported", '"Unigram"'],
    ["word endings", { model: { ...model, end_of_word_suffix: "</w>" } }, "unsupported", "end_of_word_suffix"],
    ["a list for a vocabulary", { model: { ...model, vocab: [] } }, "bad-file", "its vocabulary"],
    ["an id that is none", { model: { ...model, vocab: { ...vocab, new: "1" } } }, "bad-file", '"new"'],
    ["a negative id", { model: { ...model, vocab: { ...vocab, new: -1 } } }, "bad-file", '"new"'],
    [
      "an id beyond the embedding",
      { model: { ...model, vocab: { a: VOCAB_SIZE } } },
      "bad-file",
      "do not belong together",
    ],
    ["a huge id", { model: { ...model, vocab: { a: 2 ** 53 } } }, "bad-file", "do not belong together"],
    ["an id twice", { model: { ...model, vocab: { ...vocab, new: 3 } } }, "bad-file", "token 3 is both"],
    ["no merges", { model: { ...model, merges: undefined } }, "bad-file", "merges"],
    ["merges of numbers", { model: { ...model, merges: [[1, 2]] } }, "bad-file", "merge 0"],
    ["an unknown token that is none", { model: { ...model, unk_token: "<none>" } }, "bad-file", "<none>"],
    ["added tokens that are none", { added_tokens: {} }, "bad-file", "added tokens"],
    ["an added token without a text", added({ id: 5 }), "bad-file", "token 5"],
    ["an empty added token", added({ id: VOCAB_SIZE - 1, content: "" }), "bad-file", "is empty"],
    ["an added token in another's place", added({ id: 5, content: "<new>" }), "bad-file", "token 5 is both"],
    ["an added token far away", added({ id: 10 ** 9, content: "<new>" }), "bad-file", "added token 0"],
    ["an added token with two ids", added({ id: VOCAB_SIZE - 1, content: "a" }), "bad-file", "listed twice"],
    ["added words", added({ id: VOCAB_SIZE - 1, content: "<w>", single_word: true }), "unsupported", "single words"],
    ["an unknown normalizer", { normalizer: { type: "Klingon" } }, "unsupported", '"Klingon"'],
    ["an approximate normalizer", { normalizer: { type: "Precompiled" } }, "unsupported", "Precompiled"],
    ["a nested nothing", { normalizer: { type: "Sequence" } }, "bad-file", "normalizers"],
    ["an unknown pre-tokenizer", { pre_tokenizer: { type: "Klingon" } }, "unsupported", '"Klingon"'],
    ["a regex that is none", { pre_tokenizer: split({ Regex: "(" }) }, "bad-file", "cannot be used"],
    ["a pattern that is none", { pre_tokenizer: split({}) }, "bad-file", "pattern"],
    [
      "a split of another kind",
      { pre_tokenizer: { ...split({ Regex: "a" }), behavior: "Contiguous", invert: true } },
      "unsupported",
      "Split",
    ],
    ["an unknown post-processor", { post_processor: { type: "Klingon" } }, "bad-file", "Klingon"],
    ["a broken post-processor", { post_processor: { type: "TemplateProcessing" } }, "bad-file", "cannot be used"],
    ["a bottomless normalizer", { normalizer: nested("normalizers") }, "bad-file", "cannot be used"],
    ["a bottomless decoder", { decoder: nested("decoders") }, "bad-file", "cannot be used"],
    ["no decoder", { decoder: null }, "unsupported", "decoder"],
    ["an unknown decoder", { decoder: { type: "WordPiece" } }, "unsupported", "WordPiece"],
  ];
  test.each(bad)("with %s", (_, changes, code, words) => fails(huggingFace(changes), code, words));

  test("with an added token just beyond the embedding works, until a text holds that token", () => {
    const tokenizer = createTokenizer(huggingFace(added({ id: VOCAB_SIZE, content: "<pad>" })), VOCAB_SIZE);
    expect(tokenizer.decode(tokenizer.encode("no padding"))).toBe("no padding");
    expect(() => tokenizer.encode("some <pad> here")).toThrow(
      expect.objectContaining({ code: "bad-input", message: expect.stringContaining(`"<pad>", token ${VOCAB_SIZE}`) }),
    );
  });

  test("with a regular expression that never ends gives an error when a text meets it", () => {
    const tokenizer = createTokenizer(huggingFace({ pre_tokenizer: split({ Regex: "(a|aa)+$" }) }), VOCAB_SIZE);
    expect(tokenizer.encode("aaa").length).toBeGreaterThan(0);
    expect(() => tokenizer.encode(`${"a".repeat(200)}!`)).toThrow(
      expect.objectContaining({ code: "bad-file", message: expect.stringContaining("regular expression") }),
    );
  });

  test("with tokens named after an object's own properties", () => {
    const names = ["__proto__", "constructor", "toString"];
    const tokens = [...names, ...Object.keys(vocab)];
    const special = { ...model, vocab: Object.fromEntries(tokens.map((token, id) => [token, id])) };
    const added_tokens = names.map((content, id) => ({ id, content, special: true }));
    const tokenizer = createTokenizer(huggingFace({ model: special, added_tokens }), tokens.length);
    expect([...tokenizer.encode("__proto__constructortoString")]).toEqual([0, 1, 2]);
    expect(tokenizer.decode([0, 1, 2])).toBe("__proto__constructortoString");
  });
});

function split(pattern: object): object {
  return { type: "Split", pattern, behavior: "Isolated", invert: false };
}

function nested(key: string): object {
  let node: object = {};
  for (let i = 0; i < 100_000; i++) node = { type: "Sequence", [key]: [node] };
  return node;
}

/** Whatever `source` is, it gives a `CllmError` or a tokenizer whose ids are in range and whose stream is sound. */
function survives(source: TokenizerSource, text: string): void {
  try {
    const tokenizer = createTokenizer(source, VOCAB_SIZE);
    const ids = tokenizer.encode(text);
    expect(ids.every((id) => id >= 0 && id < VOCAB_SIZE)).toBe(true);
    const detokenizer = createDetokenizer(tokenizer);
    expect(detokenizer.push(ids) + detokenizer.end()).toBe(tokenizer.decode(ids));
  } catch (error) {
    if (!(error instanceof CllmError)) throw error;
    expect(["bad-file", "unsupported", "bad-input"]).toContain(error.code);
  }
}

const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(
    -1,
    2 ** 31,
    2 ** 53,
    1e308,
    "",
    "\ud800",
    null,
    [],
    {},
    [[]],
    "Sequence",
    "Split",
    "Metaspace",
    "Digits",
  ),
);

test("a tokenizer.json with any part replaced fails clearly or works", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), junk, fc.string({ unit: "grapheme" }), (pick, which, value, text) => {
      const copy = structuredClone(json);
      const places: [Record<string, unknown>, string][] = [];
      const walk = (node: unknown, depth: number) => {
        if (typeof node !== "object" || node === null) return;
        for (const [key, child] of Object.entries(node).slice(0, 12)) {
          places.push([node as Record<string, unknown>, key]);
          if (depth < 6) walk(child, depth + 1);
        }
      };
      walk(copy, 0);
      const [node, key] = places[pick % places.length]!;
      if (which % 4 === 0) delete node[key];
      else node[key] = value;
      survives(
        {
          kind: "huggingface",
          tokenizerJson: JSON.parse(JSON.stringify(copy)),
          tokenizerConfig: { bos_token: value ?? null },
          chatTemplate: null,
        },
        text,
      );
    }),
    { numRuns: 300 },
  );
});

test("GGUF metadata with any list damaged fails clearly or works", () => {
  const ids = fc.option(fc.integer({ min: -2, max: VOCAB_SIZE + 2 }));
  const flag = fc.option(fc.boolean());
  const damage = fc.record(
    {
      model: fc.constantFrom("gpt2", "llama", "t5"),
      pre: fc.constantFrom(null, "default", "qwen2", "tekken", "x"),
      bosTokenId: ids,
      eosTokenId: ids,
      unknownTokenId: ids,
      addBos: flag,
      addEos: flag,
      addSpacePrefix: flag,
      merges: fc.option(fc.array(fc.oneof(fc.string(), fc.constantFrom("t h", "\u0120 a")), { maxLength: 5 })),
      scores: fc.option(fc.float32Array({ minLength: VOCAB_SIZE - 1, maxLength: VOCAB_SIZE })),
      tokenTypes: fc.option(fc.int32Array({ min: -1, max: 8, minLength: VOCAB_SIZE - 1, maxLength: VOCAB_SIZE })),
    },
    { requiredKeys: [] },
  );
  const renamed = fc.array(fc.tuple(fc.nat(VOCAB_SIZE - 1), fc.string()), { maxLength: 3 });
  fc.assert(
    fc.property(damage, renamed, fc.string({ unit: "grapheme" }), (damage, renamed, text) => {
      const tokens = [...byteLevel.tokens];
      for (const [id, token] of renamed) tokens[id] = token;
      survives({ ...byteLevel, ...damage, tokens }, text);
    }),
    { numRuns: 300 },
  );
});
