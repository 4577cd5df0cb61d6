/** The bound on a text's tokens: never more than there are, and of use where a text is long. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { modelFolder } from "../../scripts/real-data.mjs";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { HuggingFaceTokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { tinyTokenizerSource } from "../generate/tiny-checkpoint.ts";

const root = join(import.meta.dirname, "../..");
const shared = modelFolder();
const directories = existsSync(shared)
  ? readdirSync(shared)
      .map((name) => join(shared, name))
      .filter((path) => path.endsWith(".gguf") || existsSync(join(path, "config.json")))
  : [];
if (directories.length === 0) process.stderr.write(`No real tokenizers are tested: ${shared} is not there.\n`);

async function tokenizerAt(path: string): Promise<Tokenizer> {
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  return createTokenizer(checkpoint.tokenizer, checkpoint.config.vocabSize);
}

const { source, vocabSize } = tinyTokenizerSource();
/** The tiny tokenizer with other parts. */
const tinyWith = (more: object): Tokenizer => {
  const tokenizerJson = { ...(source.tokenizerJson as object), ...more };
  return createTokenizer({ ...source, tokenizerJson } as HuggingFaceTokenizerSource, vocabSize);
};

function requireBound(tokenizer: Tokenizer): void {
  let longest = "";
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const text = tokenizer.tokenText(id);
    if (!text.includes("\ufffd") && text.length > longest.length) longest = text;
  }
  const pieces = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 20 }),
    fc.string({ unit: "binary", maxLength: 20 }),
    fc.constantFrom(longest, longest.repeat(3), "the and ing", "   ", "\n\n", "e\u0301", "\u1100\u1161\u11a8"),
    fc.integer({ min: 0, max: tokenizer.vocabSize - 1 }).map((id) => tokenizer.tokenText(id)),
  );
  const texts = fc.tuple(fc.array(pieces, { maxLength: 12 }), fc.integer({ min: 1, max: 20 }));
  fc.assert(
    fc.property(texts, ([parts, times]) => {
      const text = parts.join("").repeat(times);
      const { length } = tokenizer.encode(text, { addSpecialTokens: false });
      expect(tokenizer.fewestTokens(text)).toBeLessThanOrEqual(length);
    }),
    { numRuns: 200 },
  );
}

describe("is never more than there are", () => {
  test("in a tiny vocabulary, plain and composed", () => {
    requireBound(tinyWith({}));
    requireBound(tinyWith({ normalizer: { type: "NFC" } }));
  });

  test("in the model that ships", async () => requireBound(await tokenizerAt(join(root, "models/text-to-sql"))));

  test.each(directories)("in %s", async (path) => requireBound(await tokenizerAt(path)));
});

describe("is of use, or is 0", () => {
  const long = "x".repeat(100_000);

  test("for a long text", async () => {
    const shipped = await tokenizerAt(join(root, "models/text-to-sql"));
    expect(shipped.fewestTokens("x".repeat(1_000_000))).toBeGreaterThan(50_000);
    expect(tinyWith({}).fewestTokens(long)).toBeGreaterThan(5000);
  });

  test.each([
    ["lower case", { normalizer: { type: "Lowercase" } }],
    ["a text that is stripped", { normalizer: { type: "Strip", strip_left: true, strip_right: true } }],
    ["compatible characters", { normalizer: { type: "Sequence", normalizers: [{ type: "NFKC" }] } }],
    ["replacements", { normalizer: { type: "Replace", pattern: { Regex: "x+" }, content: "x" } }],
  ])("with %s it is 0", (_, more) => {
    expect(tinyWith(more).fewestTokens(long)).toBe(0);
  });

  test("white space beside tokens that take it does not count", () => {
    const { added_tokens } = source.tokenizerJson as { added_tokens: object[] };
    const tokenizer = tinyWith({ added_tokens: added_tokens.map((token) => ({ ...token, lstrip: true })) });
    expect(tokenizer.fewestTokens(" ".repeat(100_000))).toBe(0);
    expect(tokenizer.fewestTokens(long)).toBeGreaterThan(5000);
  });
});
