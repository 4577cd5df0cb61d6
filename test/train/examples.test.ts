/** What fits a sequence is what a batch can be made of; what is set aside is never trained on. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeBatch } from "../../src/train/batch.ts";
import { exampleLengths } from "../../src/train/examples.ts";
import type { Example } from "../../src/train/objectives.ts";
import { type TrainFields, trainSettings } from "../../src/train/settings.ts";
import { shuffled } from "../../src/train/source.ts";
import type { Trainer } from "../../src/train/trainer.ts";

const BLOCK = 4;
/** An example with points of each block: all wrong, then half right, then right. */
function example(prompt: number, completion: number): Example {
  const completionIds = Int32Array.from({ length: completion }, (_, i) => 2 + i);
  const blocks = Array.from({ length: Math.ceil(completion / BLOCK) }, (_, block) => {
    const fixed = completionIds.subarray(block * BLOCK, (block + 1) * BLOCK);
    return [fixed.map(() => 1), fixed.map((id, i) => (i < fixed.length / 2 ? id : 1)), fixed];
  });
  return { promptIds: Int32Array.from({ length: prompt }, (_, i) => 50 + i), completionIds, blocks };
}

const cases = fc.record({
  lengths: fc.array(fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 30 })), {
    minLength: 1,
    maxLength: 8,
  }),
  sequenceLength: fc.integer({ min: 8, max: 90 }),
  fields: fc.record({
    consistency: fc.constantFrom<TrainFields["consistency"]>("global", "local", "progressive"),
    objective: fc.constantFrom<TrainFields["objective"]>("ar", "consistency"),
    pointsPerExample: fc.integer({ min: 1, max: 5 }),
  }),
});

describe("examples that are said to fit", () => {
  test("do: a batch skips none, with stored points of every kind", async () => {
    const nothing = {} as Trainer; // stored points need no model
    await fc.assert(
      fc.asyncProperty(cases, async ({ lengths, sequenceLength, fields }) => {
        const settings = trainSettings({ ...fields, sequenceLength, blockSize: BLOCK, points: "stored", batch: 1 });
        const examples = lengths.map(([prompt, completion]) => example(prompt, completion));
        let usable: Example[];
        try {
          usable = exampleLengths(examples, settings, 1000).usable;
        } catch {
          return; // none fits, which is said before any work
        }
        const { packs, skipped } = await makeBatch(nothing, shuffled(usable, 1), 0, settings);
        expect(skipped).toBe(0);
        const used = packs[0]!.segments.reduce((sum, { tokens }) => sum + tokens.length, 0);
        expect(used).toBeLessThanOrEqual(sequenceLength);
      }),
    );
  });

  test("and a source of others is a clear error, not a stack", async () => {
    const settings = trainSettings({ objective: "ar", sequenceLength: 8 });
    const source = shuffled([example(20, 20)], 1);
    await expect(makeBatch({} as Trainer, source, 0, settings)).rejects.toMatchObject({
      ...{ code: "bad-input", message: expect.stringMatching(/raise sequenceLength/) },
    });
  });

  test("of 200,000 none of which fits, the shortest is named", () => {
    const examples = Array.from({ length: 200_000 }, () => example(30, 1));
    const settings = trainSettings({ sequenceLength: 8 });
    expect(() => exampleLengths(examples, settings, 1000)).toThrow(/the shortest takes 30 tokens/);
  });
});
