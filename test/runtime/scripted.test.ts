import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chaoticModel,
  consistentModel,
  ngramModel,
  type ScriptedModel,
  scriptedSession,
} from "../../src/runtime/scripted.ts";

const models: fc.Arbitrary<ScriptedModel> = fc
  .tuple(
    fc.constantFrom(ngramModel, consistentModel, (v: number, _: number, s: number) => chaoticModel(v, s)),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.nat(),
  )
  .map(([kind, degree, seed]) => kind(20, degree, seed));
const ids = fc.array(fc.nat(19), { minLength: 1, maxLength: 12 }).map((tokens) => Int32Array.from(tokens));
const forests = ids.chain((tokens) =>
  fc
    .tuple(
      ...[...tokens.keys()].map((i) =>
        fc.oneof(
          { weight: 2, arbitrary: fc.constant(i - 1) },
          { weight: 1, arbitrary: fc.integer({ min: -1, max: i - 1 }) },
        ),
      ),
    )
    .map((parents) => ({ tokens, parents: Int32Array.from(parents) })),
);

describe("the scripted session", () => {
  test("gives each row what its own path alone would give, and keeps the trunk", async () => {
    await fc.assert(
      fc.asyncProperty(models, ids, forests, async (model, cached, { tokens, parents }) => {
        const session = scriptedSession(model);
        await session.forward(cached);
        const next = await session.forward(tokens, { parents });
        for (const row of tokens.keys()) {
          const path: number[] = [];
          for (let i = row; i >= 0; i = parents[i]!) path.unshift(tokens[i]!);
          const alone = scriptedSession(model);
          await alone.forward(cached);
          expect(next[row]).toBe((await alone.forward(Int32Array.from(path))).at(-1));
        }
        let trunk = 0;
        while (trunk < tokens.length && parents[trunk] === trunk - 1) trunk++;
        expect([...session.cached]).toEqual([...cached, ...tokens.subarray(0, trunk)]);
        expect(session.passes).toEqual([
          { trunk: cached.length, rows: cached.length },
          { trunk, rows: tokens.length },
        ]);
      }),
    );
  });

  test("forgets what is truncated, as if it had never been run", async () => {
    await fc.assert(
      fc.asyncProperty(models, ids, ids, ids, fc.nat(), async (model, first, second, third, at) => {
        const session = scriptedSession(model);
        await session.forward(first);
        const length = at % (first.length + 1);
        await session.forward(second);
        session.truncate(length);
        const fresh = scriptedSession(model);
        if (length > 0) await fresh.forward(first.subarray(0, length));
        expect(await session.forward(third)).toEqual(await fresh.forward(third));
        expect(session.cached).toEqual(fresh.cached);
      }),
    );
  });

  test("gives logits whose argmax is the next token", async () => {
    await fc.assert(
      fc.asyncProperty(models, forests, async (model, { tokens, parents }) => {
        const next = await scriptedSession(model).forward(tokens, { parents });
        const logits = await scriptedSession(model).logits(tokens, { parents });
        expect(logits.length).toBe(tokens.length * 20);
        for (const [i, id] of next.entries()) {
          const row = [...logits.subarray(20 * i, 20 * (i + 1))];
          expect(row.indexOf(Math.max(...row))).toBe(id);
        }
        const byLogits = scriptedSession({
          vocabSize: 20,
          logits: () => Float32Array.from({ length: 20 }, (_, id) => (id === 3 || id === 7 ? 1 : 0)),
        });
        expect([...(await byLogits.forward(tokens))]).toEqual([...tokens].map(() => 3)); // ties go to the smallest id
      }),
    );
  });

  test("gets side rows wrong when told to, and never the trunk", async () => {
    const model = chaoticModel(20);
    const tokens = Int32Array.of(1, 2, 3, 4);
    const parents = Int32Array.of(-1, 0, 0, 2);
    const right = await scriptedSession(model).forward(tokens, { parents });
    const wrong = await scriptedSession({ ...model, sideError: 1 }).forward(tokens, { parents });
    expect([...wrong].map((id, i) => id === right[i])).toEqual([true, true, false, false]);
  });

  test("throws the errors of a session", async () => {
    const session = scriptedSession({ ...chaoticModel(20), contextLength: 4 });
    await expect(session.forward(new Int32Array(0))).rejects.toMatchObject({ code: "bad-input" });
    await expect(session.forward(Int32Array.of(20))).rejects.toMatchObject({ code: "bad-input" });
    await expect(session.forward(Int32Array.of(-1))).rejects.toMatchObject({ code: "bad-input" });
    await expect(session.forward(new Int32Array(5))).rejects.toMatchObject({ code: "context-overflow" });
    await session.forward(Int32Array.of(1, 2, 3));
    await expect(session.forward(Int32Array.of(1, 2), { parents: Int32Array.of(-1, -1) })).rejects.toMatchObject({
      code: "context-overflow", // side rows need room too
    });
    for (const length of [4, -1, 0.5, Number.NaN])
      expect(() => session.truncate(length)).toThrow(expect.objectContaining({ code: "bad-input" }));
    expect(session.length).toBe(3);
    await session.dispose();
    await expect(session.forward(Int32Array.of(1))).rejects.toMatchObject({ code: "disposed" });
  });

  test("notices broken protocol", async () => {
    const session = scriptedSession(chaoticModel(20));
    const first = session.forward(Int32Array.of(1));
    expect(() => session.truncate(0)).toThrow(/during a pass/);
    await expect(session.logits(Int32Array.of(1))).rejects.toThrow(/before the one before it/);
    await first;
    for (const parents of [[0, 0], [-2, 0], [-1, 1], [-1]])
      await expect(session.forward(Int32Array.of(1, 2), { parents: Int32Array.from(parents) })).rejects.toThrow(
        /malformed forest/,
      );
    await session.forward(Int32Array.of(1)); // and goes on
    expect(session.length).toBe(2);
  });
});

test("the models are what they are called", async () => {
  const after = (model: ScriptedModel, context: number[]) =>
    scriptedSession(model)
      .forward(Int32Array.from(context))
      .then((next) => next.at(-1));
  await fc.assert(
    fc.asyncProperty(fc.nat(), ids, ids, async (seed, one, other) => {
      const [a, b] = [[...one], [...other]];
      expect(await after(ngramModel(20, 1, seed), [...a, 5])).toBe(await after(ngramModel(20, 1, seed), [...b, 5]));
      b.length = a.length = Math.min(a.length, b.length);
      expect(await after(consistentModel(20, 1, seed), [4, ...a])).toBe(
        await after(consistentModel(20, 1, seed), [4, ...b]),
      );
    }),
  );
  const changed = async (model: ScriptedModel) => {
    let changes = 0;
    for (let i = 0; i < 20; i++)
      if ((await after(model, [1, i, 1, 1, 1])) !== (await after(model, [1, 0, 1, 1, 1]))) changes++;
    return changes;
  };
  expect(await changed(chaoticModel(1000))).toBe(19);
  expect(await changed(consistentModel(1000, 0))).toBe(19);
  expect(await changed(ngramModel(1000, 0))).toBe(19);
});
