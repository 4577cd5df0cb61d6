/** Fingerprints tell models and tokenizers apart, and nothing else. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { identify, tokenizerFingerprint } from "../../src/trajectory/identity.ts";
import { type TinyOptions, writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { byteLevelSource, sentencePieceSource, tokenizerJson } from "../text/tiny-tokenizers.ts";

const folder = mkdtempSync(join(tmpdir(), "cllm-identity-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function identityOf(name: string, options: TinyOptions) {
  const checkpoint = await openCheckpoint(writeTinyCheckpoint(join(folder, name), options));
  try {
    return await identify(checkpoint, createTokenizer(checkpoint.tokenizer, checkpoint.config.vocabSize));
  } finally {
    await checkpoint.close();
  }
}

test("the same weights elsewhere are the same model under another name, others are not", async () => {
  const one = await identityOf("one", { seed: 1 });
  expect(await identityOf("elsewhere", { seed: 1 })).toEqual({ ...one, name: "elsewhere" });
  const other = await identityOf("other", { seed: 2 });
  expect(other).toMatchObject({ vocabSize: one.vocabSize, tokenizer: one.tokenizer });
  expect(other.weights).not.toBe(one.weights);
});

test("a tokenizer is the same in every format", () => {
  const gguf = byteLevelSource();
  const size = gguf.tokens.length;
  const json = {
    kind: "huggingface" as const,
    tokenizerJson: tokenizerJson(),
    tokenizerConfig: {},
    chatTemplate: null,
  };
  const one = tokenizerFingerprint(createTokenizer(gguf, size));
  expect(tokenizerFingerprint(createTokenizer(json, size))).toBe(one);
  const swapped = { ...gguf, tokens: [gguf.tokens[1]!, gguf.tokens[0]!, ...gguf.tokens.slice(2)] };
  expect(tokenizerFingerprint(createTokenizer(swapped, size))).not.toBe(one);
  expect(tokenizerFingerprint(createTokenizer(gguf, size + 1))).not.toBe(one);
  const pieces = sentencePieceSource();
  expect(tokenizerFingerprint(createTokenizer(pieces, pieces.tokens.length))).not.toBe(one);
});
