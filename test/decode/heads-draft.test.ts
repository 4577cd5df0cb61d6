/** `auto` on a model with Medusa heads: they are asked where that pays, at one price for all of them, and dropped where it does not. */
import { expect, test } from "vitest";
import { AutoMemory, auto } from "../../src/decode/auto.ts";
import { costModel } from "../../src/decode/cost.ts";
import { hash } from "../../src/hash.ts";
import { chaoticModel, scriptedSession } from "../../src/runtime/scripted.ts";
import { greedy, withHeads } from "./arbitrary.ts";

const COSTS = new Map([
  [1, 10],
  [4, 11],
  [8, 13],
  [16, 17],
  [32, 28],
]);
const LENGTH = 128;

/** Texts one after the other, in a world whose only clock goes on by what passes and heads take. */
function world({ headsMs, right }: { readonly headsMs: number; readonly right: number }) {
  const cost = costModel(COSTS);
  const memory = new AutoMemory();
  let now = 0;
  return async (seed: number): Promise<{ passes: number; time: number; asked: number }> => {
    const model = withHeads(chaoticModel(30_000, seed), { count: 4, top: 1, right, seed });
    const prompt = Int32Array.from({ length: 20 }, (_, i) => hash(seed, i) % 30_000);
    const expected = await greedy(model, prompt, { maxNewTokens: LENGTH });
    const session = scriptedSession(model);
    const forward = session.forward.bind(session);
    session.forward = async (tokens, forest) => {
      now += cost(tokens.length);
      return forward(tokens, forest);
    };
    const guess = session.headGuesses!.bind(session);
    let asked = 0;
    session.headGuesses = async (row) => {
      asked++;
      now += headsMs;
      return guess(row);
    };
    const begin = now;
    const text: number[] = [];
    let passes = 0;
    for await (const { accepted, prefill } of auto(session, prompt, {
      ...{ maxNewTokens: LENGTH, costs: COSTS, memory, clock: () => now },
    })) {
      text.push(...accepted);
      passes += prefill ? 0 : 1;
    }
    expect(text).toEqual([...expected]);
    return { passes, asked, time: (now - begin - cost(prompt.length)) / (cost(1) * (LENGTH - 1)) };
  };
}

test("heads that are right settle a token each in every pass", async () => {
  const write = world({ headsMs: 1, right: 5 });
  await write(1);
  const { passes, time } = await write(2);
  expect(passes).toBeLessThan(LENGTH / 4);
  expect(time).toBeLessThan(0.35);
});

test("their price is that of a question, whatever the number of guesses", async () => {
  const write = world({ headsMs: 9, right: 5 }); // a guess apiece would cost nearly a pass
  for (let seed = 1; seed < 4; seed++) await write(seed);
  expect((await write(4)).time).toBeLessThan(0.6);
});

test("heads that are wrong, or cost more than they bring, are left alone but for a trial now and then", async () => {
  for (const settings of [
    { headsMs: 1, right: 0 },
    { headsMs: 60, right: 5 },
  ]) {
    const write = world(settings);
    for (let seed = 1; seed < 4; seed++) await write(seed);
    const { asked, time } = await write(4);
    expect(asked).toBe(0);
    expect(time).toBeLessThan(1.1);
  }
});

test("a draft of one's own goes before heads", async () => {
  const model = withHeads(chaoticModel(100, 1), { count: 2, top: 1, right: 5, seed: 1 });
  const session = scriptedSession(model);
  let asked = 0;
  session.headGuesses = () => Promise.reject(new Error("not asked for"));
  const draft = () => ({
    guess: () => {
      asked++;
      return new Int32Array(0);
    },
    [Symbol.asyncDispose]: async () => {},
  });
  for await (const _ of auto(session, Int32Array.of(1), { maxNewTokens: 20, costs: COSTS, draft }));
  expect(asked).toBeGreaterThan(0);
});
