/** Requests with a form, penalties and log probabilities through the library, on a scripted model. */
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { type GenerateOptions, PLAIN_DECODERS } from "../../src/generate/types.ts";
import { hash } from "../../src/hash.ts";
import { scriptedLanguageModel } from "./scripted-language-model.ts";

const schema = {
  type: "object",
  properties: { name: { type: "string", maxLength: 6 }, tall: { type: "boolean" }, size: { enum: [1, 22, null] } },
  required: ["name", "tall", "size"],
};
/** Tokens that depend on all before them. */
const next = (context: Int32Array): number => hash(context.length, context.at(-1)!) % 300;

describe("a request with a form", () => {
  test("has an answer of the form, the same by every decoder, and its value", async () => {
    await using model = scriptedLanguageModel({ next });
    for (const more of [{}, { temperature: 1.5, seed: 3, topP: 0.9, repetitionPenalty: 1.2, logprobs: 2 }]) {
      const request: GenerateOptions = {
        prompt: "the",
        maxNewTokens: 200,
        format: { type: "json_schema", schema },
        ...more,
      };
      const plain = await model.generate({ ...request, decoder: "ar" });
      expect(plain.finishReason).toBe("stop");
      expect(plain.parsed).toEqual(JSON.parse(plain.text));
      expect(Object.keys(plain.parsed as object)).toEqual(["name", "tall", "size"]);
      for (const decoder of PLAIN_DECODERS) {
        const { text, tokens, parsed, logprobs } = await model.generate({ ...request, decoder });
        expect({ text, tokens, parsed, logprobs }).toEqual({
          text: plain.text,
          tokens: plain.tokens,
          parsed: plain.parsed,
          logprobs: plain.logprobs,
        });
      }
    }
  });

  test("takes fewer passes than tokens where the form leaves no choice", async () => {
    await using model = scriptedLanguageModel({ next });
    const { stats } = await model.generate({
      ...{ prompt: "the", format: { type: "json_schema", schema: { const: "a fixed text" } }, decoder: "jacobi" },
    });
    expect(stats.newTokens).toBeGreaterThan(4);
    expect(stats.forwards).toBeLessThan(stats.newTokens / 2);
  });

  test("says `length` where the budget ends it, and has no value then", async () => {
    await using model = scriptedLanguageModel({ next });
    const format = { type: "json_schema", schema: { type: "string", pattern: "^a{2,40}$" } } as const;
    for (let maxNewTokens = 5; maxNewTokens < 9; maxNewTokens++) {
      const { parsed, finishReason, text } = await model.generate({ prompt: "the", format, maxNewTokens });
      if (finishReason === "length") expect(parsed).toBeNull();
      else expect(parsed).toBe(JSON.parse(text));
    }
  });

  test("of a zod schema gives a value of its type", async () => {
    await using model = scriptedLanguageModel({ next });
    const format = z.object({ on: z.boolean(), of: z.enum(["a", "b"]).transform((letter) => letter.toUpperCase()) });
    const { parsed } = await model.generate({ prompt: "the", format, maxNewTokens: 80 });
    const value: { on: boolean; of: string } | null = parsed;
    expect(["A", "B"]).toContain(value!.of);
  });

  test("is refused before any pass where no answer can have it", async () => {
    await using model = scriptedLanguageModel({ next });
    const refused: readonly (readonly [object, string])[] = [
      [{ format: { type: "jsn" } }, "json_schema"],
      [{ format: "json" }, "format"],
      [{ format: { type: "json_schema", schema: { not: {} } } }, "# can never be satisfied"],
      [{ format: { type: "json_schema", schema, strickt: true } }, "format"],
      [{ format: { type: "json_schema", schema }, maxNewTokens: 3 }, "maxNewTokens is 3"],
      [{ format: { type: "regex", pattern: "(a{1,2000}){1,2000}" } }, "states"],
      [{ format: { type: "grammar", grammar: "root ::= root" } }, "root"],
      [{ format: { type: "json" }, ignoreEos: true }, "ignoreEos"],
      [{ format: z.date() }, "zod"],
      [{ logitBias: { the: 3 } }, "logitBias"],
      [{ logitBias: { 100000: 3 } }, "100000"],
      [{ logprobs: 21 }, "logprobs"],
      [{ repetitionPenalty: 0 }, "repetitionPenalty"],
    ];
    for (const [wrong, words] of refused) {
      const asked = model.generate({ prompt: "the", ...wrong } as GenerateOptions);
      await expect(asked, JSON.stringify(wrong)).rejects.toMatchObject({
        code: "usage",
        message: expect.stringContaining(words),
      });
    }
    expect(model.opened.every(({ passes }) => passes.length === 0)).toBe(true);
  });
});

describe("penalties, biases and log probabilities", () => {
  test("change the choice, and are told for each token", async () => {
    await using model = scriptedLanguageModel({ next: (context) => (context.at(-1)! % 2 === 0 ? 40 : 42) });
    const plain = await model.generate({ prompt: "the", maxNewTokens: 12, ignoreEos: true });
    const biased = await model.generate({
      prompt: "the",
      maxNewTokens: 12,
      ignoreEos: true,
      logitBias: { 40: -50, 42: -50 },
    });
    expect(new Set(plain.tokens).size).toBeLessThan(3);
    expect([...biased.tokens].some((id) => id === 40 || id === 42)).toBe(false);
    const punished = await model.generate({
      prompt: "the",
      maxNewTokens: 12,
      ignoreEos: true,
      frequencyPenalty: 2,
      logprobs: 1,
    });
    expect(new Set(punished.tokens).size).toBeGreaterThan(new Set(plain.tokens).size);
    expect(punished.logprobs!.map(({ id }) => id)).toEqual([...punished.tokens]);
    for (const { logprob, top } of punished.logprobs!) expect(logprob).toBeLessThanOrEqual(top[0]!.logprob);
  });

  test("come with the chunks, too", async () => {
    await using model = scriptedLanguageModel();
    const stream = model.stream({ prompt: "the", maxNewTokens: 10, logprobs: 0 });
    const told: number[] = [];
    for await (const { logprobs = [] } of stream) for (const { id } of logprobs) told.push(id);
    expect(told).toEqual([...(await stream.result).tokens]);
  });
});
