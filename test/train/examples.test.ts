/** What fits a sequence is what a batch can be made of; what is set aside is never trained on. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeBatch } from "../../src/train/batch.ts";
import { exampleLengths, splitExamples } from "../../src/train/examples.ts";
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

describe("examples that are set aside", () => {
  const grouped = fc
    .array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 30 })
    .map((sizes) => sizes.flatMap((size, group) => Array.from({ length: size }, () => ({ ...example(1, 1), group }))));

  test("are whole groups, at most half of them, and nothing else is lost", () => {
    fc.assert(
      fc.property(grouped, fc.nat(40), fc.nat(), (examples, count, seed) => {
        const { training, heldOut } = splitExamples(examples, count, seed);
        expect([...training, ...heldOut].length).toBe(examples.length);
        const [taught, aside] = [training, heldOut].map((list) => new Set(list.map(({ group }) => group)));
        expect([...aside!].filter((group) => taught!.has(group))).toEqual([]); // no turn of a talk that was trained on
        expect(aside!.size).toBeLessThanOrEqual((taught!.size + aside!.size) / 2);
        const groups = new Set(examples.map(({ group }) => group)).size;
        if (aside!.size < Math.floor(groups / 2)) expect(heldOut.length).toBeGreaterThanOrEqual(count);
      }),
    );
  });

  test("are those of before where each record is one example", () => {
    const alone = Array.from({ length: 20 }, (_, i) => ({ ...example(1, 1), promptIds: Int32Array.of(i) }));
    const ofRecords = alone.map((each, group) => ({ ...each, group }));
    const idsOf = (examples: readonly Example[]) => examples.map(({ promptIds }) => promptIds[0]);
    const aside = idsOf(splitExamples(alone, 6, 3).heldOut);
    expect(aside).toHaveLength(6);
    expect(idsOf(splitExamples(ofRecords, 6, 3).heldOut)).toEqual(aside);
  });
});
