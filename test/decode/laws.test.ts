import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CllmError } from "../../src/error.ts";
import { consistentModel, scriptedSession } from "../../src/runtime/scripted.ts";
import { autoregressive, contenders, greedy, models, requests, withHeads, write } from "./arbitrary.ts";

const all = fc.oneof({ weight: 1, arbitrary: fc.constant(autoregressive) }, { weight: 8, arbitrary: contenders });

describe("every decoder", () => {
  test("writes what greedy decoding writes, in no more passes, and keeps the law of the cache", async () => {
    await fc.assert(
      fc.asyncProperty(all, models, requests, async (contender, model, { prompt, options }) => {
        const expected = await greedy(model, prompt, options);
        const session = scriptedSession(model);
        const { tokens, iterations } = await write(contender, session, prompt, options);
        expect(tokens).toEqual(expected);
        expect(iterations.length).toBeLessThanOrEqual(expected.length);
        expect(session.passes.length).toBeLessThanOrEqual(iterations.length + 1); // the prompt's
      }),
      { numRuns: 1000 },
    );
  });

  test("continues from any cached prefix of the prompt", async () => {
    await fc.assert(
      fc.asyncProperty(all, models, requests, fc.nat(30), async (contender, model, { prompt, options }, cached) => {
        const expected = await greedy(model, prompt, options);
        const session = scriptedSession(model);
        const held = Math.min(cached, prompt.length);
        if (held > 0) await session.forward(prompt.subarray(0, held));
        const { tokens, iterations } = await write(contender, session, prompt, options);
        expect(tokens).toEqual(expected);
        const [first] = iterations;
        expect(first!.rows).toBeGreaterThanOrEqual(Math.max(1, prompt.length - held));
        expect(first!.rows).toBeLessThan(Math.max(1, prompt.length - held) + options.maxNewTokens); // with guesses
      }),
    );
  });

  test("can be broken off after any iteration, and the session goes on as if it had never run", async () => {
    await fc.assert(
      fc.asyncProperty(
        all,
        all,
        models,
        requests,
        fc.nat(12),
        async (first, second, model, { prompt, options }, atMost) => {
          const expected = await greedy(model, prompt, options);
          const session = scriptedSession(model);
          const { tokens } = await write(first, session, prompt, options, { atMost });
          expect(tokens).toEqual(expected.slice(0, tokens.length));
          expect((await write(second, session, prompt, options)).tokens).toEqual(expected);
        },
      ),
    );
  });

  test("stops between passes when the signal fires, and the session stays usable", async () => {
    await fc.assert(
      fc.asyncProperty(all, models, requests, fc.nat(6), async (contender, model, { prompt, options }, passes) => {
        const expected = await greedy(model, prompt, options);
        const session = scriptedSession(model);
        const controller = new AbortController();
        const tokens: number[] = [];
        if (passes === 0) controller.abort("enough");
        const run = async () => {
          for await (const { accepted } of contender.decode(session, prompt, {
            ...options,
            signal: controller.signal,
          })) {
            tokens.push(...accepted);
            if (session.passes.length === passes) controller.abort("enough");
          }
        };
        const error = await run().then(
          () => undefined,
          (error: unknown) => error,
        );
        expect(tokens).toEqual(expected.slice(0, tokens.length));
        if (tokens.length < expected.length) {
          expect(error).toMatchObject({ code: "aborted", cause: "enough" });
          expect(session.passes.length).toBe(passes);
        } else expect(error).toBeUndefined();
        expect((await write(contender, session, prompt, options)).tokens).toEqual(expected);
      }),
    );
  });

  test("writes the next turn of a conversation on what the cache holds", async () => {
    await fc.assert(
      fc.asyncProperty(all, models, requests, async (contender, model, { prompt, options }) => {
        const session = scriptedSession({ ...model, contextLength: 200 });
        const { tokens } = await write(contender, session, prompt, options);
        const longer = Int32Array.of(...prompt, ...tokens, 0, 1);
        const { iterations } = await write(contender, session, longer, options);
        const [first] = iterations;
        expect(first!.rows).toBeGreaterThanOrEqual(3); // the last token written, and the two new ones
        expect(first!.rows).toBeLessThan(3 + options.maxNewTokens); // and guesses
        expect(iterations.flatMap(({ accepted }) => [...accepted])).toEqual(
          await greedy({ ...model, contextLength: 200 }, longer, options),
        );
      }),
      { numRuns: 50 },
    );
  });

  test("fits the context to the last token, and refuses a request beyond it before any work", async () => {
    await fc.assert(
      fc.asyncProperty(all, models, requests, async (contender, model, { prompt, options }) => {
        const contextLength = prompt.length + options.maxNewTokens;
        const exact = scriptedSession({ ...model, contextLength });
        expect((await write(contender, exact, prompt, options)).tokens).toEqual(await greedy(model, prompt, options));

        const short = scriptedSession({ ...model, contextLength: contextLength - 1 });
        await expect(write(contender, short, prompt, options)).rejects.toMatchObject({
          code: "context-overflow",
          message: expect.stringContaining(": 1 too many;"),
        });
        expect(short.passes).toEqual([]);
      }),
    );
  });

  test("refuses an empty prompt and a senseless budget", async () => {
    await fc.assert(
      fc.asyncProperty(all, models, fc.constantFrom(0, -1, 1.5, Number.NaN), async (contender, model, maxNewTokens) => {
        const session = scriptedSession(model);
        const empty = write(contender, session, new Int32Array(0), { maxNewTokens: 4 });
        await expect(empty).rejects.toMatchObject({ code: "bad-input" });
        const senseless = write(contender, session, Int32Array.of(1), { maxNewTokens });
        await expect(senseless).rejects.toMatchObject({ code: "usage" });
        await expect(senseless).rejects.toBeInstanceOf(CllmError);
      }),
      { numRuns: 50 },
    );
  });

  test("hands out tokens that later passes do not overwrite", async () => {
    await fc.assert(
      fc.asyncProperty(contenders, fc.nat(), async (contender, seed) => {
        const session = scriptedSession(
          withHeads(consistentModel(30, 0.8, seed), { count: 3, top: 3, right: 3, seed }),
        );
        const seen: [Int32Array, number[]][] = [];
        for await (const { accepted, draft } of contender.decode(session, Int32Array.of(1, 2), { maxNewTokens: 40 }))
          for (const ids of draft ? [accepted, draft] : [accepted]) seen.push([ids, [...ids]]);
        for (const [ids, then] of seen) expect([...ids]).toEqual(then);
      }),
    );
  });
});
