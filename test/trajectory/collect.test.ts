/** Collected trajectories are what Jacobi decoding visits, and their fixed points what autoregressive decoding writes. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jacobi } from "../../src/decode/jacobi.ts";
import { createEngine, type Engine } from "../../src/runtime/engine.ts";
import { chaoticModel, type ScriptedSession, scriptedSession } from "../../src/runtime/scripted.ts";
import type { Session, TokenIds } from "../../src/runtime/session.ts";
import { type CollectOptions, collect, draftOf } from "../../src/trajectory/collect.ts";
import { acceptedPerIteration } from "../../src/trajectory/measure.ts";
import type { CollectedCompletion, CollectionPrompt } from "../../src/trajectory/types.ts";
import { greedy, models, requests } from "../decode/arbitrary.ts";
import { BASE, randomIds, randomWeights } from "../model/random-model.ts";

async function collectAll(
  open: () => Session,
  list: readonly CollectionPrompt[],
  options: CollectOptions,
): Promise<CollectedCompletion[]> {
  const found: CollectedCompletion[] = [];
  for await (const completion of collect(open, list, options)) found.push(completion);
  return found;
}

const join = (parts: readonly TokenIds[]): number[] => parts.flatMap((part) => [...part]);

/** What the pass over a point gives, by definition: a fresh sequence over everything before each position. */
async function successor(open: () => Session, prefix: readonly number[], point: TokenIds): Promise<number[]> {
  await using session = open();
  const all = Int32Array.from([...prefix, ...point.subarray(0, -1)]);
  return [...(await session.forward(all)).subarray(prefix.length - 1)];
}

/** The laws of one completion. */
async function checkLaws(open: () => Session, completion: CollectedCompletion, blockSize: number, seed: number) {
  const { dataId, promptIds, completionIds, blocks } = completion;
  expect(join(blocks.map((points) => points.at(-1)!))).toEqual([...completionIds]);
  const draft = draftOf(promptIds, seed, dataId);
  let prefix = [...promptIds];
  for (const [b, points] of blocks.entries()) {
    const length = Math.min(blockSize, completionIds.length - b * blockSize);
    expect([...points[0]!]).toEqual(Array.from({ length }, (_, i) => draft(b, i)));
    expect(new Set(points.map((point) => point.join())).size).toBe(points.length);
    expect(points.length).toBeLessThanOrEqual(length + 1);
    for (const [j, point] of points.entries()) {
      const next = await successor(open, prefix, point);
      expect(next).toEqual([...(points[j + 1] ?? point)]);
    }
    prefix = [...prefix, ...points.at(-1)!];
  }
}

const blockSizes = fc.integer({ min: 1, max: 9 });

describe("on scripted models", () => {
  test("the fixed points are the greedy completion, and each point is its predecessor's pass", async () => {
    await fc.assert(
      fc.asyncProperty(models, requests, blockSizes, fc.nat(99), async (model, request, blockSize, seed) => {
        const { prompt, options } = request;
        const open = () => scriptedSession(model);
        const labelIds = Int32Array.of(1);
        const list = [
          { dataId: "a", promptIds: prompt, labelIds },
          { dataId: "b", promptIds: Int32Array.of(...prompt, 1), labelIds: null },
          { dataId: "c", promptIds: prompt.slice(0, 1), labelIds: null },
        ];
        const shorter = { ...options, maxNewTokens: Math.min(options.maxNewTokens, 39) };
        const found = await collectAll(open, list, { ...shorter, blockSize, seed });
        expect(found.map(({ dataId }) => dataId)).toEqual(["a", "b", "c"]);
        for (const [i, completion] of found.entries()) {
          expect(completion).toMatchObject(list[i]!);
          expect([...completion.completionIds]).toEqual(await greedy(model, list[i]!.promptIds, shorter));
          await checkLaws(open, completion, blockSize, seed);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("a completion depends on nothing but its own prompt", async () => {
    await fc.assert(
      fc.asyncProperty(models, requests, fc.nat(99), async (model, { prompt, options }, seed) => {
        const shorter = { ...options, maxNewTokens: Math.min(options.maxNewTokens, 30), blockSize: 5, seed };
        const list = ["x", "y", "z"].map((dataId, i) => ({
          dataId,
          promptIds: Int32Array.of(...prompt.subarray(0, prompt.length - (i % 2)), i % 2),
          labelIds: null,
        }));
        const open = () => scriptedSession(model);
        const together = await collectAll(open, list, shorter);
        const alone = await Promise.all(list.map((one) => collectAll(open, [one], shorter)));
        expect(together).toEqual(alone.flat());
      }),
      { numRuns: 40 },
    );
  });

  test("the passes are those of Jacobi decoding block by block, from the same drafts", async () => {
    await fc.assert(
      fc.asyncProperty(models, blockSizes, fc.nat(99), async (model, blockSize, seed) => {
        const [last = 0] = await greedy(model, Int32Array.of(0, 1, 1), { maxNewTokens: 1 });
        const promptIds = Int32Array.of(0, 1, 1, last);
        const maxNewTokens = 3 * blockSize;
        const one = { dataId: "a", promptIds, labelIds: null };
        const [found] = await collectAll(() => scriptedSession(model), [one], { maxNewTokens, blockSize, seed });
        const guesses = draftOf(promptIds, seed, "a");
        const passes: number[] = [];
        // A decoder's first pass is the prompt's and settles a token, which is the last one of the collected prompt.
        await using session = scriptedSession(model);
        await session.forward(promptIds.subarray(0, -1));
        const decoder = jacobi(session, promptIds.subarray(0, -1), {
          ...{ maxNewTokens: maxNewTokens + 1, blockSize, form: "block", draftRows: 0 },
          draft: () => ({
            guess(text, known, { count }) {
              const block = Math.floor((text.length - promptIds.length) / blockSize);
              return Int32Array.from({ length: count }, (_, i) => guesses(block, known.length + i));
            },
            [Symbol.asyncDispose]: async () => {},
          }),
        });
        expect((await decoder.next()).value).toMatchObject({ prefill: true });
        for await (const { accepted } of decoder) passes.push(accepted.length);
        expect(found!.blocks.flatMap(acceptedPerIteration)).toEqual(passes);
      }),
      { numRuns: 60 },
    );
  });

  test("prompts in flight together give the same, in their order", async () => {
    const ids = fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        models,
        fc.array(ids, { maxLength: 7 }),
        fc.integer({ min: 2, max: 4 }),
        async (model, prompts, parallel) => {
          const all = prompts.map((promptIds, i) => ({
            ...{ dataId: String(i), promptIds: Int32Array.from(promptIds), labelIds: null },
          }));
          let opened = 0;
          const open = () => {
            opened++;
            return scriptedSession(model);
          };
          const options = { maxNewTokens: 12, blockSize: 4 };
          const found = await collectAll(open, all, { ...options, parallel });
          expect(opened).toBe(Math.min(parallel, prompts.length));
          expect(found).toEqual(await collectAll(() => scriptedSession(model), all, options));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("what prompts in flight have in common is run once where it can be copied", async () => {
    const beginning = (group: number) => Array.from({ length: 40 }, (_, i) => (i * (group + 3)) % 9);
    const all = Array.from({ length: 24 }, (_, i) => ({
      ...{ dataId: String(i), promptIds: Int32Array.of(...beginning(Math.floor(i / 8)), i % 8, 1), labelIds: null },
    }));
    const rowsOf = async (copies: boolean) => {
      const sessions: ScriptedSession[] = [];
      const open = (): Session => {
        const session = scriptedSession(chaoticModel(9));
        sessions.push(session);
        return copies ? session : Object.create(session, { copyFrom: { value: undefined } });
      };
      const found = await collectAll(open, all, { maxNewTokens: 9, parallel: 4 });
      return { found, rows: sessions.flatMap(({ passes }) => passes).reduce((sum, { rows }) => sum + rows, 0) };
    };
    const [plain, copied] = [await rowsOf(false), await rowsOf(true)];
    expect(copied.found).toEqual(plain.found);
    expect(copied.rows).toBeLessThan(plain.rows - 4 * 40); // four or more of the twelve beginnings
  });

  test("it stops where the caller sees no worth in going on", async () => {
    const model = { vocabSize: 5, next: () => 3 };
    const one = { dataId: "a", promptIds: Int32Array.of(1), labelIds: null };
    const abandon = (ids: TokenIds): boolean => ids.length >= 8;
    const [found] = await collectAll(() => scriptedSession(model), [one], { maxNewTokens: 40, blockSize: 4, abandon });
    expect([...found!.completionIds]).toEqual(Array(8).fill(3));
  });

  test("what does not fit is an error with its id, and an abort ends it", async () => {
    const model = { vocabSize: 5, next: () => 3, contextLength: 10 };
    const open = () => scriptedSession(model);
    const long = { dataId: "far", promptIds: new Int32Array(8).fill(1), labelIds: null };
    await expect(collectAll(open, [long], { maxNewTokens: 3 })).rejects.toThrow(/prompt far: 8 tokens and 3 new ones/);
    expect((await collectAll(open, [long], {}))[0]!.completionIds.length).toBe(2);
    const full = { ...long, promptIds: new Int32Array(10).fill(1) };
    await expect(collectAll(open, [full], {})).rejects.toMatchObject({ code: "context-overflow" });
    await expect(collectAll(open, [{ ...long, promptIds: new Int32Array(0) }], {})).rejects.toThrow(
      /prompt far is empty/,
    );
    await expect(collectAll(open, [long], { blockSize: 0 })).rejects.toMatchObject({ code: "usage" });
    await expect(collectAll(open, [long], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
  });
});

describe.each(["fp32", "int8"] as const)("on a random model in %s", (precision) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine(BASE, randomWeights(BASE, { seed: 5 }), { precision, threads: 1 });
  });
  afterAll(() => engine.dispose());

  test("the same laws hold, to the last bit", async () => {
    const open = () => engine.session();
    for (const [seed, blockSize] of [3, 8, 16].entries()) {
      const list = [1, 9, 20].map((length) => ({
        dataId: `of ${length}`,
        promptIds: randomIds(length, BASE.vocabSize, seed + length),
        labelIds: null,
      }));
      const options = { maxNewTokens: 30, blockSize, seed, stopIds: new Set([7]) };
      for (const completion of await collectAll(open, list, options)) {
        await checkLaws(open, completion, blockSize, seed);
        expect(completion.completionIds.length === 30 || completion.completionIds.at(-1) === 7).toBe(true);
        await using session = open();
        let ids = completion.promptIds;
        for (const token of completion.completionIds) {
          expect((await session.forward(ids)).at(-1)).toBe(token);
          ids = Int32Array.of(token);
        }
      }
    }
  });
});
