/** Laws of what drafts are made of, through the library: no text depends on a prediction, earlier answers or a draft of one's own. */
import { describe, expect, test } from "vitest";
import type { DraftPolicy } from "../../src/decode/drafts.ts";
import { requestSchema } from "../../src/generate/options.ts";
import { encodePrediction } from "../../src/generate/prediction.ts";
import type { DecoderName } from "../../src/generate/types.ts";
import { scriptedLanguageModel } from "./scripted-language-model.ts";

const ANSWER = "the cat and the dog sat on the mat, and the dog said that the cat had the hat";
const messages = [{ role: "user", content: "What?" }] as const;
const said = () => scriptedLanguageModel({ answers: () => ANSWER });

describe("a prediction", () => {
  test.each(["auto", "prediction"] as const)(
    "saves %s passes, and the figures say how much of it came true",
    async (decoder) => {
      const { text, stats } = await said().generate({ messages, decoder, prediction: ANSWER, blockSize: 16 });
      expect(text).toBe(ANSWER);
      expect(stats.tokensPerForward).toBeGreaterThan(6);
      expect(stats.rejectedPredictionTokens).toBe(0);
      expect(stats.acceptedPredictionTokens).toBe(stats.newTokens - 1); // the end of the answer is not in it
      const changed = ANSWER.replace("dog", "elephant");
      const other = (await said().generate({ messages, decoder, prediction: changed })).stats;
      expect(other.rejectedPredictionTokens).toBeGreaterThan(0);
      expect(other.forwards).toBeLessThan(other.newTokens / 2);
    },
  );

  test("counts the same whichever decoder writes, and is nothing where there is none", async () => {
    const counts = async (decoder: DecoderName, prediction?: string) => {
      const { stats } = await said().generate({ messages, decoder, prediction });
      return [stats.acceptedPredictionTokens, stats.rejectedPredictionTokens];
    };
    expect(await counts("ar", `${ANSWER} and more`)).toEqual(await counts("auto", `${ANSWER} and more`));
    expect(await counts("auto")).toEqual([0, 0]);
    expect(await counts("auto", "")).toEqual([0, 0]);
  });

  test("that does not tokenize back is a note, and one that is too long is cut", () => {
    const { tokenizer } = said();
    const notes: string[] = [];
    const ids = (text: string, context = 512) => encodePrediction(text, tokenizer, context, (line) => notes.push(line));
    expect(ids("the cat").length).toBeGreaterThan(0);
    expect(notes).toEqual([]);
    ids("half a pair \ud800 of surrogates");
    expect(notes.splice(0)).toEqual([expect.stringContaining("does not come back")]);
    expect(ids("a b ".repeat(1000), 10).length).toBeLessThanOrEqual(80);
    expect(notes.splice(0)).toEqual([expect.stringContaining("only the first 80")]);
  });

  test("is needed by the decoder of its name", async () => {
    const none = said().generate({ messages, decoder: "prediction" });
    await expect(none).rejects.toMatchObject({ code: "usage", message: expect.stringContaining("has no prediction") });
    expect(requestSchema.safeParse({ prediction: 7 }).success).toBe(false);
  });
});

describe("earlier answers", () => {
  const passes = async (model: ReturnType<typeof said>, request: object = {}): Promise<number> =>
    (await model.generate({ messages, decoder: "suffix", ...request })).stats.forwards;

  test("save passes where an answer comes again, to everybody by default, within a scope, and not for timings", async () => {
    const model = said();
    const first = await passes(model);
    expect(await passes(model)).toBeLessThan(first / 2);
    expect(await passes(model, { decoder: "auto" })).toBeLessThan(first / 2);
    expect(await passes(model, { cachePrompt: false })).toBe(first);
    expect(await passes(model, { memoryScope: "another key" })).toBe(first);
    expect(await passes(model, { memoryScope: "another key" })).toBeLessThan(first / 2);
  });

  test("are kept of a text that was broken off too", async () => {
    const model = said();
    const first = await passes(model);
    const other = said();
    for await (const { text } of other.stream({ messages, decoder: "ar" })) if (text.includes("mat")) break;
    expect(await passes(other)).toBeLessThan(first);
  });
});

describe("a draft of one's own", () => {
  const knowing = (model: ReturnType<typeof said>, life = { disposed: 0 }): DraftPolicy => {
    const answer = model.tokenizer.encode(ANSWER, { addSpecialTokens: false });
    return (prompt) => ({
      guess: (text, guesses, { count }) => {
        const start = text.length + guesses.length - prompt.length;
        return answer.slice(start, start + count);
      },
      [Symbol.asyncDispose]: async () => {
        life.disposed++;
      },
    });
  };

  test.each(["auto", "jacobi", "multiblock"] as const)("is asked by %s, and disposed", async (decoder) => {
    const model = said();
    const life = { disposed: 0 };
    const { text, stats } = await model.generate({ messages, decoder, draft: knowing(model, life) });
    expect(text).toBe(ANSWER);
    expect(stats.tokensPerForward).toBeGreaterThan(3);
    expect(life.disposed).toBe(1);
  });

  test("is refused where a decoder has no use for it", async () => {
    const model = said();
    const wrong = model.generate({ messages, decoder: "ar", draft: knowing(model) });
    await expect(wrong).rejects.toThrow(/decoder ar takes no draft; give it to auto, jacobi, multiblock/);
  });
});
