/** What a reply's text depends on beside its tokens. */
import { describe, expect, test } from "vitest";
import { check } from "../../src/generate/check.ts";
import { requestSchema } from "../../src/generate/options.ts";
import type { PromptInput } from "../../src/generate/types.ts";
import { createWriter } from "../../src/generate/writer.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";

const words = ["<unk>", "<s>", "</s>", "▁Hello", "▁there", "!"];
const tokenizer = createTokenizer(
  {
    ...{ kind: "gguf", model: "llama", pre: null, tokens: words, scores: Float32Array.from(words, (_, i) => -i) },
    ...{ tokenTypes: Int32Array.of(2, 3, 3, 1, 1, 1), merges: null, bosTokenId: 1, eosTokenId: 2, unknownTokenId: 0 },
    ...{ padTokenId: null, addBos: true, addEos: false, addSpacePrefix: true, chatTemplate: null },
  },
  words.length,
);

function reply(input: PromptInput): string {
  const writer = createWriter(check(requestSchema, input, { what: "the request" }), tokenizer, {
    own: new Set(),
    asked: new Set(),
  });
  return writer.write(Int32Array.of(3, 4, 5)).text + writer.end().rest.text;
}

describe("the space before the first word", () => {
  test("is text where the reply goes on from a prompt", () => {
    expect(reply({ prompt: "Say" })).toBe(" Hello there!");
  });

  test("is none where the reply is an answer", () => {
    expect(reply({ messages: [{ role: "user", content: "Say" }] })).toBe("Hello there!");
  });
});
