/** Packing changes nothing but the time: rows of a pack are those of plain sequences, and gradients add up. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ModelConfig } from "../../src/model/config.ts";
import { makeBatch } from "../../src/train/batch.ts";
import type { Example } from "../../src/train/objectives.ts";
import { layOut, type Pack, packLength, type Segment, segment } from "../../src/train/pack.ts";
import { type Parameters, randomParameters } from "../../src/train/parameters.ts";
import { trainSettings } from "../../src/train/settings.ts";
import { shuffled } from "../../src/train/source.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { BASE } from "../model/random-model.ts";

const config: ModelConfig = { ...BASE, vocabSize: 30, hiddenSize: 32, layers: 2, contextLength: 64 };
const ids = (min: number, max: number) =>
  fc
    .array(fc.integer({ min: 0, max: config.vocabSize - 1 }), { minLength: min, maxLength: max })
    .map((list) => Int32Array.from(list));

/** Segments in a tree: each follows some tokens of an earlier one, or nothing. */
const packs: fc.Arbitrary<Pack> = fc
  .array(fc.record({ tokens: ids(1, 6), parent: fc.nat(), after: fc.nat(), alone: fc.boolean() }), {
    minLength: 1,
    maxLength: 5,
  })
  .map((parts) => {
    const segments: Segment[] = [];
    for (const { tokens, parent, after, alone } of parts) {
      const targets = Int32Array.from(tokens, (id) => (id * 7 + 3) % config.vocabSize);
      const index = parent % Math.max(1, segments.length);
      const followed = segments[index];
      if (alone || followed === undefined) segments.push(segment(tokens, { targets }));
      else segments.push(segment(tokens, { parent: index, after: after % (followed.tokens.length + 1), targets }));
    }
    return { segments };
  });

/** The tokens that a segment's last token sees, itself included: what a plain sequence of it would be. */
function plainSequence({ segments }: Pack, index: number): { tokens: Int32Array; own: number } {
  const { tokens, parent, after } = segments[index]!;
  if (parent < 0) return { tokens, own: tokens.length };
  const before = plainSequence(pack(segments.slice(0, parent + 1)), parent);
  const seen = before.tokens.subarray(0, before.tokens.length - before.own + after);
  return { tokens: Int32Array.of(...seen, ...tokens), own: tokens.length };
}
const pack = (segments: Pack["segments"]): Pack => ({ segments });

/** Both packs' segments in one, the second's parents and teachers moved accordingly. */
function joinPacks(first: Pack, second: Pack): Pack {
  const moved = first.segments.length;
  return {
    segments: [
      ...first.segments,
      ...second.segments.map((part) => ({
        ...part,
        parent: part.parent < 0 ? -1 : part.parent + moved,
        teacher: part.teacher === null ? null : { ...part.teacher, segment: part.teacher.segment + moved },
      })),
    ],
  };
}

let parameters: Parameters;
let trainer: Trainer;
let pair: Trainer;
beforeAll(async () => {
  parameters = randomParameters(config, 3);
  for (const { data } of parameters.trained) for (let i = 0; i < data.length; i++) data[i]! *= 3; // far from uniform
  trainer = await Trainer.create(config, parameters, { batch: 1, threads: 1 });
  pair = await Trainer.create(config, parameters, { batch: 2, threads: 2 });
});
afterAll(async () => {
  await trainer.dispose();
  await pair.dispose();
});

/** Sums of float32 in another order. */
const TOLERANCE = 1e-4;
const close = (a: ArrayLike<number>, b: ArrayLike<number>): void => {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++)
    expect(Math.abs(a[i]! - b[i]!)).toBeLessThan(TOLERANCE * Math.max(1, Math.abs(b[i]!)));
};

describe("a pack", () => {
  test("has the cross entropies of plain sequences", async () => {
    await fc.assert(
      fc.asyncProperty(packs, async (whole) => {
        const packed = await trainer.gradients([whole]);
        const expected: number[] = [];
        for (const [index, { targets }] of whole.segments.entries()) {
          const { tokens, own } = plainSequence(whole, index);
          const all = new Int32Array(tokens.length).fill(-1);
          all.set(targets, tokens.length - own);
          expected.push(...(await trainer.gradients([pack([segment(tokens, { targets: all })])])).crossEntropies);
        }
        close(packed.crossEntropies, expected);
      }),
      { numRuns: 30 },
    );
  });

  test("joined to another, or beside it in a batch, changes neither", async () => {
    await fc.assert(
      fc.asyncProperty(packs, packs, async (one, other) => {
        fc.pre(packLength(one) + packLength(other) <= config.contextLength);
        const [a, b] = [await trainer.gradients([one]), await trainer.gradients([other])];
        const [ofA, ofB] = [await trainer.read(a), await trainer.read(b)];
        for (const both of [await trainer.gradients([joinPacks(one, other)]), await pair.gradients([one, other])]) {
          close(both.crossEntropies, [...a.crossEntropies, ...b.crossEntropies]);
          expect(Math.abs(both.loss - a.loss - b.loss)).toBeLessThan(TOLERANCE * Math.max(1, both.loss));
          for (const [i, gradient] of (await trainer.read(both)).entries()) {
            const largest = Math.max(...gradient.map(Math.abs), 1e-3);
            const off = gradient.map((g, j) => (g - ofA[i]![j]! - ofB[i]![j]!) / largest);
            expect(Math.max(...off.map(Math.abs))).toBeLessThan(2e-3);
          }
        }
      }),
      { numRuns: 10 },
    );
  });

  test("predicts what follows every row that counts", async () => {
    await fc.assert(
      fc.asyncProperty(packs, async (whole) => {
        const layout = layOut([whole]);
        const next = await trainer.predict(layout);
        // Cross entropy to the prediction is the smallest of all.
        const [best, worse] = await Promise.all(
          [0, 1].map((by) => {
            let row = 0;
            const segments = whole.segments.map((part) => ({
              ...part,
              targets: part.targets.map(() => (next[row++]! + by) % config.vocabSize),
            }));
            return trainer.gradients([pack(segments)]);
          }),
        );
        for (const [row, entropy] of best!.crossEntropies.entries()) {
          expect(entropy).toBeLessThanOrEqual(worse!.crossEntropies[row]! + 1e-6);
        }
      }),
      { numRuns: 10 },
    );
  });
});

test("the divergence from the clean rows is theirs by definition, and has no gradient by the teacher", async () => {
  await using kl = await Trainer.create(config, parameters, { batch: 1, divergence: true, threads: 1 });
  const clean = Int32Array.of(1, 2, 3, 4, 5, 6);
  const targets = Int32Array.of(-1, 3, 4, 5, 6, 7);
  const noisy = Int32Array.of(3, 9, 9, 6);
  const weigh = (ar: number, consistency: number) => ({ ar, consistency });
  const both = pack([
    segment(clean, { targets }),
    segment(noisy, {
      ...{ parent: 0, after: 2, targets: Int32Array.of(-1, 5, 6, 7), term: "consistency" },
      teacher: { segment: 0, from: 2 },
    }),
  ]);
  const same = pack([
    both.segments[0]!,
    segment(clean.slice(2), {
      ...{ parent: 0, after: 2, targets: Int32Array.of(-1, 5, 6, 7), term: "consistency" },
      teacher: { segment: 0, from: 2 },
    }),
  ]);
  const [other, equal] = [await kl.gradients([both], weigh(0, 1)), await kl.gradients([same], weigh(0, 1))];
  expect(other.loss).toBeGreaterThan(1e-4);
  expect(Math.abs(equal.loss)).toBeLessThan(1e-5); // a distribution diverges by nothing from itself
  // Along the gradient the divergence falls, although the teacher is the same model: only the student's side is moved.
  const before = other.loss;
  const byTensor = await kl.read(other);
  for (const [i, { data }] of parameters.trained.entries())
    data.forEach((w, j) => {
      data[j] = w - 0.002 * byTensor[i]![j]!;
    });
  const after = (await kl.gradients([both], weigh(0, 1))).loss;
  for (const [i, { data }] of parameters.trained.entries())
    data.forEach((w, j) => {
      data[j] = w + 0.002 * byTensor[i]![j]!;
    });
  expect(after).toBeLessThan(before);
});

test("several completions of one prompt with leading points are what each is by itself", async () => {
  const promptIds = Int32Array.from({ length: 12 }, (_, i) => 2 + ((5 * i) % 20));
  const examples: Example[] = [3, 4, 5, 6].map((by) => ({
    promptIds,
    completionIds: Int32Array.from({ length: 9 }, (_, i) => 2 + ((by * i) % 25)),
  }));
  const length = 160;
  await using wide = await Trainer.create(config, parameters, { batch: 1, threads: 1, sequenceLength: length });
  const settings = trainSettings({
    ...{ objective: "consistency", blockSize: 6, pointsPerExample: 2, leadingPoints: 1, refinements: 0 },
    ...{ sequenceLength: length, draftToken: 1 },
  });
  const { packs } = await makeBatch(wide, shuffled(examples, 1), 0, settings);
  const whole = packs[0]!;
  const leading = whole.segments.filter(({ parent, after }) => parent >= 0 && after === 0);
  expect(leading.length).toBeGreaterThan(0); // a child of a clean text that has all of the prompt but its last token from another
  const expected: number[] = [];
  for (const [index, { targets }] of whole.segments.entries()) {
    const { tokens, own } = plainSequence(whole, index);
    const all = new Int32Array(tokens.length).fill(-1);
    all.set(targets, tokens.length - own);
    if (!all.some((target) => target >= 0)) continue;
    expected.push(...(await wide.gradients([pack([segment(tokens, { targets: all })])])).crossEntropies);
  }
  close((await wide.gradients([whole])).crossEntropies, expected);
});

test("the turns of a conversation share all that came before", async () => {
  const ids = Int32Array.from({ length: 60 }, (_, i) => 2 + ((7 * i) % 26));
  const examples = [10, 25, 40].map((at) => ({
    promptIds: ids.subarray(0, at),
    completionIds: ids.subarray(at, at + 9),
  }));
  await using wide = await Trainer.create(config, parameters, { batch: 1, threads: 1, sequenceLength: 64 });
  const inOrder = {
    size: null,
    example: (index: number): Example => examples[index] ?? { ...examples[0]!, promptIds: ids.subarray(0, 50) },
  };
  const { packs, next } = await makeBatch(wide, inOrder, 0, trainSettings({ sequenceLength: 64 }));
  expect(next).toBeGreaterThanOrEqual(3);
  const [first, second, third] = packs[0]!.segments;
  expect(first!.tokens).toHaveLength(18);
  expect(second).toMatchObject({ parent: 0, after: 18 }); // the first prompt and its answer, but for the token that ends it
  expect(second!.tokens).toHaveLength(25 + 8 - 18);
  expect(third!.parent).toBe(0);
});
