/** Points that begin with gaps: one token in the place of every guess, in training as in decoding. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { constant } from "../../src/decode/drafts.ts";
import { sampled } from "../../src/decode/sampling.ts";
import { trajectory } from "../../src/decode/trajectory.ts";
import { chaoticModel, scriptedSession } from "../../src/runtime/scripted.ts";
import type { Session } from "../../src/runtime/session.ts";
import { advance, type Example, freshGuesses } from "../../src/train/objectives.ts";
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

test("fresh guesses are those that decoding drafts", () => {
  fc.assert(
    fc.property(examples, fc.integer({ min: 1, max: 20 }), fc.nat(1), (example, count, token) => {
      const block = new Int32Array(count + 1);
      constant(token)(example.promptIds)(block, 1, example.promptIds);
      expect(freshGuesses(example, count, token, 3)).toEqual(block.subarray(1));
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
