/** Ids without a text: no decoder writes one, all write the same, greedy and sampled, and passes cost what they did. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { chosen, sampled } from "../../src/decode/choice.ts";
import { withoutIds } from "../../src/decode/silent.ts";
import { scriptedSession } from "../../src/runtime/scripted.ts";
import type { Contender } from "./arbitrary.ts";
import { autoregressive, contenders, models, requests } from "./arbitrary.ts";

async function written(contender: Contender, ...[session, prompt, options]: Parameters<Contender["decode"]>) {
  const tokens: number[] = [];
  for await (const { accepted } of contender.decode(session, prompt, options)) tokens.push(...accepted);
  return tokens;
}

test("no decoder writes them, and all write what ar writes", async () => {
  const choices = fc.record({ temperature: fc.constantFrom(0, 0, 1), seed: fc.nat(9), topK: fc.constantFrom(0, 2) });
  const penalties = fc.constantFrom({}, { repetitionPenalty: 1.3 });
  const silentIds = fc.uniqueArray(fc.integer({ min: 1, max: 39 }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(contenders, models, requests, choices, penalties, silentIds),
      async ([contender, model, { prompt, options }, choice, penalty, ids]) => {
        const silent = new Set(ids.filter((id) => id < model.vocabSize));
        const session = () => chosen(withoutIds(scriptedSession(model), silent), prompt, { ...choice, ...penalty });
        const expected = await written(autoregressive, session(), prompt, options);
        expect(expected.filter((id) => silent.has(id))).toEqual([]);
        expect(await written(contender, session(), prompt, options)).toEqual(expected);
      },
    ),
    { numRuns: 150 },
  );
});

test("a session whose next tokens all have a text runs each pass once", async () => {
  const model = { vocabSize: 8, next: (ids: ArrayLike<number>) => (ids.length % 3) + 1 };
  const plain = scriptedSession(model);
  const wrapped = withoutIds(plain, new Set([7]));
  const prompt = Int32Array.of(0, 1);
  const tokens = await written(autoregressive, wrapped, prompt, { maxNewTokens: 6 });
  expect(plain.passes.length).toBe(tokens.length);
  expect(withoutIds(plain, new Set())).toBe(plain);
});

test("the likeliest of all other ids comes instead, and is what sampling at temperature 0 gives", async () => {
  const model = { vocabSize: 6, next: () => 5 };
  const tokens = Int32Array.of(1, 2, 3);
  const logits = await scriptedSession(model).logits(tokens);
  const best = [0, 1, 2].map((row) =>
    logits.subarray(6 * row, 6 * row + 5).reduce((a, x, i, all) => (x > all[a]! ? i : a), 0),
  );
  const silent = new Set([5]);
  expect([...(await withoutIds(scriptedSession(model), silent).forward(tokens))]).toEqual(best);
  const last = await withoutIds(scriptedSession(model), silent).prefill?.(tokens, 1);
  if (last !== undefined) expect([...last]).toEqual(best.slice(-1));
  const cold = sampled(withoutIds(scriptedSession(model), silent), { temperature: 0 });
  expect([...(await cold.forward(tokens))]).toEqual(best);
});
