/** Points that begin with gaps: one token in the place of every guess, in training as in decoding. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { auto } from "../../src/decode/auto.ts";
import { sampled } from "../../src/decode/choice.ts";
import { constant } from "../../src/decode/drafts.ts";
import { jacobi } from "../../src/decode/jacobi.ts";
import { trajectory } from "../../src/decode/trajectory.ts";
import type { Decoder, Iteration } from "../../src/decode/types.ts";
import { chaoticModel, consistentModel, scriptedSession } from "../../src/runtime/scripted.ts";
import type { Session } from "../../src/runtime/session.ts";
import { advance, type Example, freshGuesses, LEADING, noisySegment } from "../../src/train/objectives.ts";
import { trainedConfig, trainSettings } from "../../src/train/settings.ts";
import { collectOne } from "../../src/trajectory/collect.ts";
import { BASE } from "../model/random-model.ts";

const tokens = (length: number) => fc.array(fc.integer({ min: 2, max: 9 }), { minLength: length, maxLength: 30 });
const examples: fc.Arbitrary<Example> = fc
  .record({ prompt: tokens(1), completion: tokens(4) })
  .map(({ prompt, completion }) => ({
    promptIds: Int32Array.from(prompt),
    completionIds: Int32Array.from(completion),
  }));

test("fresh guesses are those that decoding drafts", async () => {
  await fc.assert(
    fc.asyncProperty(examples, fc.integer({ min: 1, max: 20 }), fc.nat(1), async (example, count, token) => {
      await using draft = await constant(token)(example.promptIds);
      const guesses = await draft.guess(example.promptIds, new Int32Array(0), { count, signal: undefined });
      expect(freshGuesses(example, count, token, 3)).toEqual(guesses);
      const drawn = freshGuesses(example, count, undefined, 3);
      expect([...drawn].every((id) => example.promptIds.includes(id))).toBe(true);
    }),
  );
});

test("gaps come in behind what a pass refined", () => {
  fc.assert(
    fc.property(examples, fc.integer({ min: 1, max: 12 }), (example, count) => {
      const guesses = freshGuesses(example, count, 0);
      const next = new Int32Array(count + 1).fill(1); // as wrong as the gaps
      const moved = advance(example, { start: 0, guesses }, next, 0);
      if (moved === null) return;
      expect(moved.start).toBe(1);
      expect([...moved.guesses]).toEqual(Array.from({ length: count }, () => 1));
      const fewer = advance(example, { start: 0, guesses }, next.subarray(0, 2), 0);
      expect([...fewer!.guesses]).toEqual(Array.from({ length: count }, (_, i) => (i === 0 ? 1 : 0)));
    }),
  );
});

test("a leading point is the prompt's last token and what the completion begins with", () => {
  fc.assert(
    fc.property(examples, fc.integer({ min: 1, max: 12 }), fc.nat(), (example, count, seed) => {
      const { promptIds, completionIds } = example;
      const point = { start: LEADING, guesses: freshGuesses(example, count, 0) };
      const { tokens, targets, after } = noisySegment(example, point);
      const length = Math.min(count + 1, completionIds.length);
      expect(tokens).toHaveLength(length);
      expect(tokens[0]).toBe(promptIds.at(-1));
      expect(after).toBe(promptIds.length - 1); // it sees the prompt but for that token
      for (let i = 0; i < length; i++) expect([-1, completionIds[i]]).toContain(targets[i]);
      expect(targets[0]).toBe(-1); // which is for the clean text to learn
      const moved = advance(example, point, completionIds.slice(0, length), 0, seed);
      if (moved !== null) expect(moved.start).toBeGreaterThanOrEqual(0);
    }),
  );
});

test("a model that was taught leading points drafts in its prompt's pass, with the text that it had", async () => {
  const model = { ...consistentModel(12, 1, 5), contextLength: 64 };
  const prompt = Int32Array.of(3, 4, 5);
  const options = {
    maxNewTokens: 8,
    costs: new Map([
      [1, 1],
      [16, 1.2],
    ]),
  };
  const passes = async (leadingDraft: boolean, decoder: Decoder): Promise<Iteration[]> => {
    const session = scriptedSession({ ...model, leadingDraft });
    const iterations: Iteration[] = [];
    for await (const iteration of decoder(session, prompt, options)) iterations.push(iteration);
    return iterations;
  };
  const textOf = (iterations: readonly Iteration[]) => iterations.flatMap(({ accepted }) => [...accepted]);
  for (const decoder of [jacobi, auto] as Decoder[]) {
    const [plain, leading] = [await passes(false, decoder), await passes(true, decoder)];
    expect(textOf(leading)).toEqual(textOf(plain));
    expect([plain[0]!.trunk, leading[0]!.trunk]).toEqual([3, 10]); // 8 of the block, the first of them the prompt's last
    expect(leading.length).toBeLessThan(plain.length);
  }
  const settings = trainSettings({ objective: "consistency", draftToken: 7, leadingPoints: 1 });
  expect(trainedConfig(BASE, settings)).toMatchObject({ draftTokenId: 7, leadingDraft: true });
  const without = trainSettings({ objective: "consistency", draftToken: 7 });
  expect(trainedConfig({ ...BASE, leadingDraft: true }, without).leadingDraft).toBeUndefined();
  const fineTuned = trainSettings({ objective: "ar", draftToken: 7 });
  expect(trainedConfig({ ...BASE, leadingDraft: true }, fineTuned).leadingDraft).toBe(true);
});

test("every decoder drafts what its session says, and samples keep it", async () => {
  const model = { ...chaoticModel(12, 5), contextLength: 64 };
  const prompt = Int32Array.of(3, 4, 5);
  const drafted = (draftToken: number | undefined): Session => {
    const session = scriptedSession(model);
    return Object.defineProperty(session, "draftToken", { value: draftToken });
  };
  const { points } = await trajectory(drafted(11), prompt, { blockSize: 6 });
  expect([...points[0]!.subarray(1)]).toEqual([11, 11, 11, 11, 11]);
  const { blocks } = await collectOne(
    drafted(11),
    { dataId: "a", promptIds: prompt, labelIds: null },
    { blockSize: 6 },
  );
  expect([...blocks[0]![0]!.subarray(1)]).toEqual([11, 11, 11, 11, 11]);
  const others = await trajectory(drafted(undefined), prompt, { blockSize: 6 });
  expect([...others.points[0]!.subarray(1)].every((id) => prompt.includes(id))).toBe(true);
  expect(sampled(drafted(11), { temperature: 1 }).draftToken).toBe(11);
  const settings = trainSettings({ objective: "consistency", draftToken: 7 });
  expect(trainedConfig(BASE, settings).draftTokenId).toBe(7);
  expect(trainedConfig(BASE, trainSettings({}))).toBe(BASE);
});
