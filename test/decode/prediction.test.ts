/** Laws of predictions: the text does not depend on them, and what stands behind a changed part is of use again. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AutoMemory, auto } from "../../src/decode/auto.ts";
import { fromPrediction, PredictionCursor } from "../../src/decode/prediction.ts";
import { speculative } from "../../src/decode/speculative.ts";
import { hash } from "../../src/hash.ts";
import { scriptedSession } from "../../src/runtime/scripted.ts";

const FLAT = new Map([1, 2, 4, 8, 16, 32].map((rows) => [rows, 10 + rows / 10]));
const file = Int32Array.from({ length: 200 }, (_, i) => 1 + (hash(i) % 60)); // lines of code repeat themselves
const PROMPT = Int32Array.of(0);

/** A model that writes this text. */
const writing = (text: readonly number[]) => ({
  ...{ vocabSize: 100, contextLength: 512, next: (context: Int32Array) => text[context.length - 1] ?? 99 },
});

const edits = {
  "nothing changes": [...file],
  "one token is replaced": [...file.slice(0, 80), 70, ...file.slice(81)],
  "a token becomes three": [...file.slice(0, 80), 70, 71, 72, ...file.slice(81)],
  "a part is put in": [...file.slice(0, 80), ...Array.from({ length: 12 }, (_, i) => 70 + i), ...file.slice(80)],
  "a part is taken out": [...file.slice(0, 80), ...file.slice(140)],
  "parts change places": [...file.slice(100), ...file.slice(0, 100)],
};

describe.each(Object.entries(edits))("where %s", (_, text) => {
  const options = { maxNewTokens: text.length, blockSize: 16 };

  test("the decoder prediction needs few passes more than blocks", async () => {
    let passes = 0;
    const written: number[] = [];
    const session = scriptedSession(writing(text));
    for await (const { accepted } of speculative(session, PROMPT, { ...options, draft: fromPrediction(file) })) {
      written.push(...accepted);
      passes++;
    }
    expect(written).toEqual(text);
    expect(passes).toBeLessThanOrEqual(text.length / 16 + 18);
  });

  test("auto does too, and all tokens that are in both count as accepted", async () => {
    let passes = 0;
    const session = scriptedSession(writing(text));
    const memory = new AutoMemory();
    for await (const _pass of auto(session, PROMPT, { ...options, costs: FLAT, memory, prediction: file })) passes++;
    expect(passes).toBeLessThanOrEqual(text.length / 16 + 22);
    const cursor = new PredictionCursor(file);
    cursor.follow(Int32Array.from(text), 0);
    expect(cursor.counts.accepted).toBeGreaterThanOrEqual(Math.min(text.length, file.length) - 8);
  });
});

test("counts no token of the prediction twice, and none that the text does not have", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(3), { maxLength: 40 }),
      fc.array(fc.nat(5), { maxLength: 60 }),
      (predicted, written) => {
        const cursor = new PredictionCursor(Int32Array.from(predicted));
        cursor.follow(Int32Array.from(written), 0);
        const { accepted, rejected } = cursor.counts;
        expect(accepted + rejected).toBe(predicted.length);
        expect(accepted).toBeGreaterThanOrEqual(0);
        const inText = new Set(written);
        expect(accepted).toBeLessThanOrEqual(predicted.filter((id) => inText.has(id)).length);
        if (predicted.join() === written.join()) expect(rejected).toBe(0);
      },
    ),
  );
});

test("auto refuses tokens that the vocabulary lacks", async () => {
  const passes = auto(scriptedSession(writing([1])), PROMPT, {
    ...{ maxNewTokens: 1, costs: FLAT, prediction: Int32Array.of(100) },
  });
  await expect(passes.next()).rejects.toMatchObject({ code: "bad-input" });
});
