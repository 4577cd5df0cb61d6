/** Draft rows beside the rows that verify: what they gain where the adapter is good, and that they cost little where it is not. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Acceptance } from "../../src/decode/acceptance.ts";
import { SHARE, START } from "../../src/decode/accounts.ts";
import { AutoMemory, auto } from "../../src/decode/auto.ts";
import { costModel } from "../../src/decode/cost.ts";
import { planDrafts } from "../../src/decode/draft-window.ts";
import { Grove } from "../../src/decode/forest.ts";
import { jacobi } from "../../src/decode/jacobi.ts";
import { multiblock } from "../../src/decode/multiblock.ts";
import { Regimes } from "../../src/decode/regimes.ts";
import type { Iteration } from "../../src/decode/types.ts";
import { chaoticModel, type ScriptedModel, scriptedSession } from "../../src/runtime/scripted.ts";
import { costs, greedy, models } from "./arbitrary.ts";

const PROMPT = Int32Array.of(1, 2, 3);
const LENGTH = 64;

/** A model whose text no guess of its own foresees, and an adapter that knows each token of it with `share`. */
async function knownText(share: number, seed = 1): Promise<ScriptedModel> {
  const target = chaoticModel(50, seed);
  const text = await greedy(target, PROMPT, { maxNewTokens: 2 * LENGTH });
  const lucky = (at: number): boolean => ((at * 7919 + seed) % 100) / 100 < share;
  return {
    ...target,
    draft: (context) => {
      const at = context.length - PROMPT.length;
      return lucky(at) ? (text[at] ?? 0) : 49;
    },
  };
}

async function all(decoding: AsyncIterable<Iteration>): Promise<Iteration[]> {
  const iterations: Iteration[] = [];
  for await (const iteration of decoding) iterations.push(iteration);
  return iterations;
}

describe("an adapter that knows the text", () => {
  test("lets jacobi settle half a window in each pass: what settles leaves as many fresh guesses", async () => {
    const model = await knownText(1);
    const passes = await all(jacobi(scriptedSession(model), PROMPT, { maxNewTokens: LENGTH, blockSize: 16 }));
    expect(passes.length).toBeLessThanOrEqual(2 + Math.ceil(LENGTH / 8));
    const without = await all(jacobi(scriptedSession(model), PROMPT, { maxNewTokens: LENGTH, draftRows: 0 }));
    expect(without.length).toBeGreaterThan(0.9 * LENGTH);
    const blocks = await all(multiblock(scriptedSession(model), PROMPT, { maxNewTokens: LENGTH, blockSize: 16 }));
    expect(blocks.length).toBeLessThan(LENGTH / 6);
  });

  test("refines as many guesses as there are draft rows, and verifies what may be right of them", async () => {
    const model = await knownText(1);
    const session = scriptedSession(model);
    const [first, second] = await all(jacobi(session, PROMPT, { maxNewTokens: LENGTH, blockSize: 4, draftRows: 10 }));
    expect(first).toMatchObject({ trunk: PROMPT.length, rows: PROMPT.length + 10 }); // they begin in the prompt's pass
    expect(first!.draft!.length).toBe(10);
    expect(second).toMatchObject({ trunk: 4, rows: 14 });
    expect(second!.accepted.length).toBe(4);
    expect(session.passes[0]).toEqual({ trunk: PROMPT.length - 1, rows: PROMPT.length - 1 }); // branches need a cache
  });

  test("begins in the pass behind a prompt of one token, which has no cache to branch from", async () => {
    const model = await knownText(1);
    const one = PROMPT.subarray(0, 1);
    const [first, second] = await all(jacobi(scriptedSession(model), one, { maxNewTokens: LENGTH, blockSize: 4 }));
    expect([first, second]).toMatchObject([
      { trunk: 1, rows: 1 },
      { trunk: 4, rows: 8 },
    ]);
  });

  test("is often right in second place: such a token and the one behind it settle in the next pass", async () => {
    const model = await knownText(0);
    const text = await greedy(model, PROMPT, { maxNewTokens: 2 * LENGTH });
    const knowing = { ...model, second: (context: Int32Array) => text[context.length - PROMPT.length] ?? 0 };
    const settled = async (alternatives: number): Promise<number> =>
      (await all(jacobi(scriptedSession(knowing), PROMPT, { maxNewTokens: LENGTH, blockSize: 8, alternatives })))
        .length;
    expect(await settled(0)).toBeGreaterThan(0.9 * LENGTH);
    expect(await settled(4)).toBeLessThan(0.7 * LENGTH);
  });

  test("makes auto as fast where passes cost the same, with both numbers within its limit", async () => {
    const flat = new Map([[1, 10]]);
    const passes = await all(auto(scriptedSession(await knownText(1)), PROMPT, { maxNewTokens: LENGTH, costs: flat }));
    expect(passes.length).toBeLessThan(LENGTH / 5);
    for (const { rows, prefill } of passes) if (!prefill) expect(rows).toBeLessThanOrEqual(32);
  });

  test("is used by auto only as far as draft rows pay", async () => {
    const plain = new Map([
      [1, 10],
      [32, 20],
    ]);
    const draftCosts = new Map([
      [2, 200],
      [32, 400],
    ]);
    const options = { maxNewTokens: LENGTH, costs: plain, draftCosts };
    const passes = await all(auto(scriptedSession(await knownText(1)), PROMPT, options));
    expect(passes.every(({ trunk, rows, prefill }) => prefill || trunk === rows)).toBe(true);
  });
});

test("auto loses next to nothing by an adapter that is always wrong, in one request and the next", async () => {
  await fc.assert(
    fc.asyncProperty(models, costs, fc.nat(), async ({ draft: _, ...model }, measured, seed) => {
      const hopeless = {
        ...model,
        leadingDraft: false,
        draft: (context: Int32Array) => (context.length + seed) % model.vocabSize,
      };
      const cost = costModel(measured);
      const memory = new AutoMemory();
      for (let request = 0; request < 2; request++) {
        const session = scriptedSession(hopeless);
        const maxNewTokens = 40;
        const passes = await all(auto(session, Int32Array.of(0, 1), { maxNewTokens, costs: measured, memory }));
        const spent = passes.slice(1).reduce((sum, { rows }) => sum + cost(rows) / cost(1), 0);
        const written = passes.reduce((sum, { accepted }) => sum + accepted.length, 0);
        expect(written).toBe(maxNewTokens);
        expect(spent).toBeLessThanOrEqual((written - 1) * (1 + SHARE) + START + (request > 0 ? 3 : 0) + 1e-6);
      }
    }),
    { numRuns: 100 },
  );
});

test("auto takes draft rows again after a request without, where those before it were faster", async () => {
  const model = await knownText(1, 3);
  const memory = new AutoMemory();
  const draftCosts = new Map([
    [2, 12],
    [32, 14],
  ]);
  const counts: number[] = [];
  for (let request = 0; request < 4; request++) {
    const options = { maxNewTokens: LENGTH, costs: new Map([[1, 10]]), draftCosts, memory };
    counts.push((await all(auto(scriptedSession(model), PROMPT, options))).length);
  }
  const [first = 0, without = 0, ...later] = counts;
  expect(without).toBeGreaterThan(2 * first);
  expect(Math.max(...later)).toBeLessThanOrEqual(first);
});

test("draft rows are left out by whole requests where those without were faster, and tried again now and then", () => {
  const rate = fc.double({ min: 0.5, max: 4, noNaN: true });
  fc.assert(
    fc.property(
      rate,
      rate,
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 30, maxLength: 250 }),
      (on, off, lengths) => {
        fc.pre(Math.abs(on - off) > 1e-6);
        const regimes = new Regimes();
        const chosen = lengths.map((tokens) => {
          const drafts = regimes.next();
          regimes.learn(drafts, tokens, tokens / (drafts ? on : off));
          return drafts;
        });
        expect(chosen.slice(0, 2)).toEqual([true, false]);
        const slower = chosen.slice(2).filter((drafts) => drafts !== on > off).length;
        expect(slower).toBe([12, 36, 84, 180].filter((request) => request <= lengths.length - 2).length); // ever more seldom
      },
    ),
  );
});

describe("a plan of rows", () => {
  const rates = new Acceptance(1);
  for (let round = 0; round < 200; round++) rates.score(Int32Array.of(1, 1, 1, 1), Int32Array.of(1, 1, round % 2, 1));
  const outlook = { record: rates, prior: 0.6, most: 32, rows: 32, last: 0, stay: 1 };
  const losses = (perRow: number): Float64Array => Float64Array.from({ length: 33 }, (_, m) => perRow * (m - 1));

  test("has few rows where each costs, and as many as fit where they cost nothing", () => {
    const dear = planDrafts({ ...outlook, loss: losses(0.3) });
    const free = planDrafts({ ...outlook, loss: losses(0) });
    expect(dear.verify + dear.drafts).toBeLessThan(free.verify + free.drafts);
    expect(dear.promise).toBeLessThan(free.promise);
    expect(dear.verify).toBeLessThanOrEqual(dear.drafts + 1);
    expect(planDrafts({ ...outlook, loss: losses(3) }).promise).toBeLessThan(1);
  });

  test("never verifies more rows than it may", () => {
    for (const most of [1, 2, 5])
      expect(planDrafts({ ...outlook, most, loss: losses(0) }).verify).toBeLessThanOrEqual(most);
  });
});

test("draft rows behind a trunk of one row are not of the trunk", () => {
  const grove = new Grove(8);
  grove.plant(Int32Array.of(1));
  grove.drafts(Int32Array.of(2, 3));
  expect([grove.trunk, grove.rows]).toEqual([1, 3]);
  expect([...grove.refined(Int32Array.of(7, 8, 9), 1)]).toEqual([8, 9]);
  expect([...grove.refined(Int32Array.of(7, 8, 9), 3)]).toEqual([]);
  grove.plant(Int32Array.of(1));
  grove.branch(Int32Array.of(2));
  expect(grove.trunk).toBe(2);
});
