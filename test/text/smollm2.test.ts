/** The real tokenizer and chat template of SmolLM2, from its GGUF file, against the goldens and on real texts. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { dataSets, goldensFile, smolLM2 } from "../../scripts/real-data.mjs";
import { openGguf } from "../../src/checkpoint/gguf/open.ts";
import type { TokenizerSource } from "../../src/checkpoint/tokenizer-source.ts";
import { createChatTemplate } from "../../src/text/chat.ts";
import { createDetokenizer } from "../../src/text/stream.ts";
import { createTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";

const path = smolLM2();
const goldensPath = goldensFile();
const here = path.includes("SmolLM2-135M-Instruct") && existsSync(path) && existsSync(goldensPath);
if (!here) console.warn(`Skipped: SmolLM2's tokenizer needs ${path} and ${goldensPath}.`);

interface Goldens {
  readonly tokenizer: readonly { text: string; ids: number[] }[];
  readonly chat: readonly {
    messages: { role: string; content: string }[];
    text: string;
    add_generation_prompt: boolean;
  }[];
}

/** Every string of a JSON Lines file among the data sets, none where it is absent. */
function stringsIn(file: string): string[] {
  const dataPath = join(dataSets(), file);
  if (!existsSync(dataPath)) return [];
  const strings = (value: unknown): string[] =>
    typeof value === "string"
      ? [value]
      : typeof value === "object" && value
        ? Object.values(value).flatMap(strings)
        : [];
  return readFileSync(dataPath, "utf8")
    .trim()
    .split("\n")
    .flatMap((line) => strings(JSON.parse(line)));
}

describe.skipIf(!here)("SmolLM2", () => {
  const goldens: Goldens = here ? JSON.parse(readFileSync(goldensPath, "utf8")) : { tokenizer: [], chat: [] };
  let source: TokenizerSource;
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    const checkpoint = await openGguf(path);
    source = checkpoint.tokenizer;
    tokenizer = createTokenizer(source, checkpoint.config.vocabSize);
    await checkpoint.close();
  });

  test.each(goldens.tokenizer)("has the golden ids of $text", ({ text, ids }) => {
    expect([...tokenizer.encode(text, { addSpecialTokens: false })]).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  test.each(goldens.chat)(
    "writes the golden conversation of $messages",
    ({ messages, text, add_generation_prompt }) => {
      expect(createChatTemplate(source).render(messages, { addGenerationPrompt: add_generation_prompt })).toBe(text);
    },
  );

  test("skips special tokens only when asked", () => {
    const ids = tokenizer.encode("<|im_start|>user\nhi<|im_end|>");
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("user\nhi");
    expect([tokenizer.bosTokenId, tokenizer.eosTokenId, tokenizer.specialIds.size]).toEqual([1, 2, 17]);
  });

  test.each(["gsm8k/test.jsonl", "humaneval/HumanEval.jsonl", "mt_bench/question.jsonl"])(
    "brings back every text of %s, whole and token by token",
    (file) => {
      for (const text of stringsIn(file)) {
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids)).toBe(text);
        const detokenizer = createDetokenizer(tokenizer);
        let streamed = "";
        for (const id of ids) streamed += detokenizer.push([id]);
        expect(streamed + detokenizer.end()).toBe(text);
      }
    },
  );
});
