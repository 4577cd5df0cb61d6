import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { given, repeatLast } from "../../src/decode/drafts.ts";
import { Grove } from "../../src/decode/forest.ts";
import { jacobi } from "../../src/decode/jacobi.ts";
import { lookahead } from "../../src/decode/lookahead.ts";
import { multiblock } from "../../src/decode/multiblock.ts";
import { trajectory } from "../../src/decode/trajectory.ts";
import type { Iteration } from "../../src/decode/types.ts";
import { chaoticModel, consistentModel, ngramModel, scriptedSession } from "../../src/runtime/scripted.ts";
import { drafts, greedy, plainModels } from "./arbitrary.ts";

const prompts = fc.array(fc.constantFrom(0, 1), { minLength: 1, maxLength: 12 }).map((ids) => Int32Array.from(ids));
const sizes = fc.integer({ min: 1, max: 16 });

async function passes(iterations: AsyncIterable<Iteration>): Promise<Iteration[]> {
  const all: Iteration[] = [];
  for await (const iteration of iterations) if (!iteration.prefill) all.push(iteration);
  return all;
}

describe("jacobi", () => {
  test("in block form reaches the fixed point of each block in at most n passes", async () => {
    await fc.assert(
      fc.asyncProperty(plainModels, prompts, sizes, drafts, async (model, prompt, blockSize, draft) => {
        const session = scriptedSession(model);
        let inBlock = 0;
        let left = blockSize;
        for (const { accepted, trunk } of await passes(
          jacobi(session, prompt, { blockSize, form: "block", draft, maxNewTokens: 40 }),
        )) {
          inBlock++;
          expect(trunk).toBeLessThanOrEqual(left);
          left -= accepted.length;
          expect(inBlock).toBeLessThanOrEqual(blockSize);
          if (left > 0) continue;
          inBlock = 0;
          left = blockSize;
        }
      }),
    );
  });

  test("on a consistent model takes two passes per block: one to write it, one to confirm it", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 2, max: 16 }),
        fc.integer({ min: 1, max: 6 }),
        async (seed, blockSize, blocks) => {
          const model = consistentModel(10_000, 1, seed); // so large that no guess is right by chance
          const run = await passes(
            jacobi(scriptedSession(model), Int32Array.of(1, 2), {
              blockSize,
              form: "block",
              maxNewTokens: 1 + blocks * blockSize,
            }),
          );
          expect(run.length).toBe(2 * blocks);
        },
      ),
    );
  });

  test("with the true completion as its draft takes ceil(n / blockSize) passes, in either form", async () => {
    await fc.assert(
      fc.asyncProperty(
        plainModels,
        prompts,
        sizes,
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom("window" as const, "block" as const),
        async (model, prompt, blockSize, maxNewTokens, form) => {
          const completion = Int32Array.from(await greedy(model, prompt, { maxNewTokens }));
          const run = await passes(
            jacobi(scriptedSession(model), prompt, { blockSize, form, maxNewTokens, draft: given(completion) }),
          );
          expect(run.length).toBe(Math.ceil((maxNewTokens - 1) / blockSize));
        },
      ),
    );
  });

  test("as a window keeps blockSize tokens in flight, and every refined guess", async () => {
    await fc.assert(
      fc.asyncProperty(plainModels, prompts, sizes, async (model, prompt, blockSize) => {
        const run = await passes(jacobi(scriptedSession(model), prompt, { blockSize, maxNewTokens: 40 }));
        let left = 39;
        for (const { trunk, accepted, draft } of run) {
          expect(trunk).toBe(Math.min(blockSize, left));
          expect(draft!.length).toBe(trunk - accepted.length);
          left -= accepted.length;
        }
        expect(left).toBe(0);
      }),
    );
  });
});

describe("a trajectory", () => {
  test("is the fixed point iteration, from the draft to the greedy completion", async () => {
    await fc.assert(
      fc.asyncProperty(plainModels, prompts, sizes, drafts, async (model, prompt, blockSize, draft) => {
        const { points, settled, forwards } = await trajectory(scriptedSession(model), prompt, { blockSize, draft });
        const completion = await greedy(model, prompt, { maxNewTokens: blockSize });
        expect([...points.at(-1)!]).toEqual(completion);
        expect(points[0]![0]).toBe(completion[0]);
        for (const [j, point] of points.entries()) {
          // One Jacobi update by definition: all positions at once, on the point before, without a cache.
          const session = scriptedSession(model);
          const next = await session.forward(Int32Array.of(...prompt, ...point));
          const successor = points[j + 1] ?? point;
          expect([...next.subarray(prompt.length - 1, -1)]).toEqual([...successor]);
          if (j > 0) expect(point).not.toEqual(points[j - 1]);
          let right = 0;
          while (right < blockSize && point[right] === completion[right]) right++;
          expect(settled[j]).toBe(right);
        }
        expect(forwards).toBeGreaterThanOrEqual(points.length - 1);
        expect(forwards).toBeLessThanOrEqual(Math.min(points.length, Math.max(0, blockSize - 1)));
      }),
    );
  });

  test("starts from the draft it is given, and can be aborted", async () => {
    const { points } = await trajectory(scriptedSession(chaoticModel(50)), Int32Array.of(1), {
      blockSize: 6,
      draft: repeatLast,
    });
    expect(new Set(points[0]).size).toBe(1);
    const aborted = trajectory(scriptedSession(chaoticModel(50)), Int32Array.of(1), { signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("multiblock", () => {
  test("with one block and no pool is jacobi in block form, pass by pass", async () => {
    await fc.assert(
      fc.asyncProperty(plainModels, prompts, sizes, drafts, async (model, prompt, blockSize, draft) => {
        const shared = { blockSize, draft, maxNewTokens: 40 };
        const plain = await passes(jacobi(scriptedSession(model), prompt, { ...shared, form: "block" }));
        const multi = await passes(multiblock(scriptedSession(model), prompt, { ...shared, blocks: 1, poolSize: 0 }));
        const essence = ({ accepted, trunk, rows }: Iteration) => ({ accepted, trunk, rows });
        expect(multi.map(essence)).toEqual(plain.map(essence));
      }),
    );
  });

  test("starts the next block when enough of the last one is settled, and never has more than it may", async () => {
    const model = consistentModel(10_000, 0.8);
    const run = (blocks: number, ratio: number) =>
      passes(
        multiblock(scriptedSession(model), Int32Array.of(1, 2), {
          blockSize: 16,
          blocks,
          ratio,
          poolSize: 0,
          maxNewTokens: 300,
        }),
      );
    const longest = (iterations: Iteration[]) => Math.max(...iterations.map(({ trunk }) => trunk));
    const [one, late, two, three] = [await run(1, 0.1), await run(2, 1), await run(2, 0.1), await run(3, 0.1)];
    expect(longest(one)).toBe(16);
    expect(longest(late)).toBe(16); // a block that starts only when the last one is done is no pseudo block
    expect(longest(two)).toBeGreaterThan(16);
    expect(longest(two)).toBeLessThanOrEqual(32);
    expect(longest(three)).toBeGreaterThan(32);
    expect(longest(three)).toBeLessThanOrEqual(48);
    expect(two.length).toBeLessThan(one.length);
  });

  test("gains from rejected guesses where text repeats itself", async () => {
    const run = async (poolSize: number) => {
      let total = 0;
      for (let seed = 0; seed < 5; seed++)
        total += (
          await passes(
            multiblock(scriptedSession(ngramModel(60, 0.9, seed)), Int32Array.of(1, 2), {
              blockSize: 8,
              poolSize,
              maxNewTokens: 200,
            }),
          )
        ).length;
      return total;
    };
    expect(await run(4)).toBeLessThan(0.55 * (await run(0)));
  });

  test("refuses a senseless ratio", async () => {
    for (const ratio of [0, 1.1, Number.NaN]) {
      const run = passes(multiblock(scriptedSession(chaoticModel(9)), Int32Array.of(1), { ratio, maxNewTokens: 3 }));
      await expect(run).rejects.toMatchObject({ code: "usage", message: expect.stringContaining("ratio") });
    }
  });
});

describe("lookahead", () => {
  test("finds n-grams by itself: it gains where tokens depend on the one before, without any in the prompt", async () => {
    for (let seed = 0; seed < 5; seed++) {
      const model = ngramModel(100, 0.95, seed);
      const run = await passes(lookahead(scriptedSession(model), Int32Array.of(1), { maxNewTokens: 120 }));
      expect(run.length).toBeLessThan(0.7 * 119);
    }
  });

  test("gains from candidates beside the trunk, although they settle nothing themselves", async () => {
    const total = async (candidates: number) => {
      let all = 0;
      for (const vocabSize of [5, 10, 30])
        for (let seed = 0; seed < 8; seed++) {
          const options = { candidates, ngram: 4, maxNewTokens: 200 };
          const session = scriptedSession(ngramModel(vocabSize, 0.85, seed));
          all += (await passes(lookahead(session, Int32Array.of(1, 2), options))).length;
        }
      return all;
    };
    expect(await total(5)).toBeLessThan(0.98 * (await total(1)));
  });

  test("fills its window level by level, and carries no more rows than W (N-1) + G (N-1) + 1", async () => {
    await fc.assert(
      fc.asyncProperty(
        plainModels,
        prompts,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 2, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        async (model, prompt, window, ngram, candidates) => {
          const run = await passes(
            lookahead(scriptedSession({ ...model, contextLength: 500 }), prompt, {
              window,
              ngram,
              candidates,
              maxNewTokens: 40,
            }),
          );
          for (const { rows, trunk } of run) {
            // A draft can be longer than an n-gram: a path through the window, or a suggestion and an n-gram after it.
            expect(rows).toBeLessThanOrEqual(
              1 + Math.max(2 * ngram - 3, window + ngram - 1) + (window + candidates) * (ngram - 1),
            );
            expect(trunk).toBeGreaterThanOrEqual(1);
          }
        },
      ),
    );
  });
});

describe("a grove", () => {
  test("suggests the branch that foresaw what was accepted", async () => {
    const grove = new Grove(10);
    grove.plant(Int32Array.of(5, 6)); // 5, and the draft 6
    grove.branch(Int32Array.of(7, 8, 9)); // beside it
    grove.branch(Int32Array.of(7, 1));
    expect({ trunk: grove.trunk, rows: grove.rows }).toEqual({ trunk: 2, rows: 7 });
    // rows: 5 6 | 7 8 9 | 7 1; the pass writes 7 behind 5, so 6 is wrong; 8 behind 7, 9 behind 8, 4 behind 9
    expect([...grove.suggestion(Int32Array.of(7, 0, 8, 9, 4, 8, 0), 1)]).toEqual([8, 9, 4]);
    // a branch that agrees with the accepted token only says what comes after it
    expect([...grove.suggestion(Int32Array.of(7, 0, 3, 9, 4, 3, 0), 1)]).toEqual([3]);
    // 6 was right, and 7 behind it; no branch foresaw both, although the first two begin like the text
    expect([...grove.suggestion(Int32Array.of(6, 7, 8, 9, 4, 8, 0), 2)]).toEqual([]);
    // no branch foresaw 2
    expect([...grove.suggestion(Int32Array.of(2, 0, 3, 9, 4, 3, 0), 1)]).toEqual([]);
  });

  test("suggests nothing where a branch ends before what was accepted does", () => {
    const grove = new Grove(10);
    grove.plant(Int32Array.of(5, 6, 7));
    grove.branch(Int32Array.of(6));
    expect([...grove.suggestion(Int32Array.of(6, 7, 8, 7), 3)]).toEqual([]);
    expect([...grove.suggestion(Int32Array.of(6, 8, 8, 8), 2)]).toEqual([]);
  });

  test("lets the first branch lengthen a trunk of one token", () => {
    const grove = new Grove(10);
    grove.plant(Int32Array.of(5));
    grove.branch(Int32Array.of(7, 8));
    grove.branch(Int32Array.of(7, 8));
    expect({ trunk: grove.trunk, rows: grove.rows }).toEqual({ trunk: 3, rows: 5 });
  });
});
