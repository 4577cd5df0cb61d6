/** Laws of drafts that take their time, fail, or are left: the text does not know of them, and each is disposed once. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Draft, type DraftPolicy, fromPrompt } from "../../src/decode/drafts.ts";
import { jacobi } from "../../src/decode/jacobi.ts";
import { fromSession } from "../../src/decode/session-draft.ts";
import { trajectory } from "../../src/decode/trajectory.ts";
import { consistentModel, type ScriptedSession, scriptedSession } from "../../src/runtime/scripted.ts";
import { drafted, greedy, models, plainModels, requests, write } from "./arbitrary.ts";

/** Drafts prompt tokens, and does `at` before its call of that number, the opening being call 0; counts its life. */
function watched(at: number, act: (signal: AbortSignal | undefined) => void | Promise<void>) {
  const life = { opened: 0, disposed: 0, calls: 0 };
  const policy: DraftPolicy = async (prompt, signal) => {
    const call = async (): Promise<void> => {
      if (life.calls++ === at) await act(signal);
    };
    await call();
    life.opened++;
    const draft = (await fromPrompt()(prompt)) as Draft;
    return {
      async guess(...args) {
        await call();
        return draft.guess(...args);
      },
      async [Symbol.asyncDispose]() {
        life.disposed++;
      },
    };
  };
  return { life, policy };
}

const outcome = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("a draft", () => {
  test("is opened once and disposed once, whether the text ends or is broken off", async () => {
    await fc.assert(
      fc.asyncProperty(drafted, models, requests, fc.nat(12), async (decoder, model, { prompt, options }, atMost) => {
        const { life, policy } = watched(-1, () => {});
        await write(decoder(policy), scriptedSession(model), prompt, options, { atMost });
        expect(life).toMatchObject(atMost === 0 ? { opened: 0, disposed: 0 } : { opened: 1, disposed: 1 });
      }),
    );
  });

  test("that throws ends the decoder with its own error, is disposed, and the session goes on", async () => {
    await fc.assert(
      fc.asyncProperty(drafted, models, requests, fc.nat(5), async (decoder, model, { prompt, options }, at) => {
        const expected = await greedy(model, prompt, options);
        const fault = new Error("the service is gone");
        const { life, policy } = watched(at, () => Promise.reject(fault));
        const session = scriptedSession(model);
        const tokens: number[] = [];
        const error = await outcome(
          (async () => {
            for await (const { accepted } of decoder(policy).decode(session, prompt, options)) tokens.push(...accepted);
          })(),
        );
        expect(error).toBe(life.calls > at ? fault : undefined);
        expect(tokens).toEqual(expected.slice(0, tokens.length));
        expect(life.disposed).toBe(life.opened);
        expect((await write(decoder(fromPrompt()), session, prompt, options)).tokens).toEqual(expected);
      }),
    );
  });

  test("that never answers, nor listens to the signal, holds nobody who aborts", async () => {
    await fc.assert(
      fc.asyncProperty(drafted, models, requests, fc.nat(5), async (decoder, model, { prompt, options }, at) => {
        const expected = await greedy(model, prompt, options);
        const abort = new AbortController();
        let answer = (): void => {};
        const { life, policy } = watched(at, (signal) => {
          expect(signal).toBe(abort.signal);
          setImmediate(() => abort.abort("enough"));
          return new Promise<void>((resolve) => {
            answer = resolve;
          });
        });
        const session = scriptedSession(model);
        const error = await outcome(write(decoder(policy), session, prompt, { ...options, signal: abort.signal }));
        if (life.calls > at) expect(error).toMatchObject({ code: "aborted", cause: "enough" });
        else expect(error).toBeUndefined();
        answer();
        await new Promise(setImmediate); // what opens too late is disposed then
        expect(life.disposed).toBe(life.opened);
        expect((await write(decoder(fromPrompt()), session, prompt, options)).tokens).toEqual(expected);
      }),
    );
  });

  test("cannot change the text by writing to what it was given, or to what it gave", async () => {
    const vandal: DraftPolicy = (prompt) => {
      prompt.fill(0);
      const kept: Int32Array[] = [];
      return {
        guess(text, guesses, { count }) {
          for (const ids of [text, guesses, ...kept]) ids.fill(1);
          kept.push(new Int32Array(count));
          return kept.at(-1)!;
        },
        [Symbol.asyncDispose]: async () => {},
      };
    };
    await fc.assert(
      fc.asyncProperty(drafted, models, requests, async (decoder, model, { prompt, options }) => {
        const { tokens } = await write(decoder(vandal), scriptedSession(model), prompt, options);
        expect(tokens).toEqual(await greedy(model, prompt, options));
      }),
    );
  });

  test("of the model itself is right in every guess, and its own sequence is disposed", async () => {
    await fc.assert(
      fc.asyncProperty(
        plainModels,
        requests,
        fc.integer({ min: 1, max: 6 }),
        async (model, { prompt, options }, most) => {
          const sessions: ScriptedSession[] = [];
          const open = (): ScriptedSession => {
            sessions.push(scriptedSession({ ...model, contextLength: 200 }));
            return sessions.at(-1)!;
          };
          const session = scriptedSession(model);
          const decoder = { name: "jacobi", decode: jacobi };
          const accepted: number[] = [];
          const policy = fromSession(open, { most });
          const own = { ...options, blockSize: 1 + most, form: "block" as const, draft: policy };
          const { tokens, iterations } = await write(decoder, session, prompt, own);
          for (const iteration of iterations.slice(1)) accepted.push(iteration.accepted.length);
          expect(tokens).toEqual(await greedy(model, prompt, options));
          for (const count of accepted.slice(0, -1)) expect(count).toBe(1 + most);
          expect(sessions.length).toBe(1);
          await expect(sessions[0]!.forward(prompt)).rejects.toMatchObject({ code: "disposed" });
        },
      ),
    );
  });

  test.each([
    [Int32Array.of(0, 30), "the draft guesses token id 30, outside the vocabulary of 30"],
    [Int32Array.of(-1), "the draft guesses token id -1"],
    [[1, 2], "no Int32Array"],
  ])("that guesses %j is told so", async (wrong, message) => {
    const life = { disposed: 0 };
    const policy: DraftPolicy = () => ({
      guess: () => wrong as Int32Array,
      async [Symbol.asyncDispose]() {
        life.disposed++;
      },
    });
    const work = trajectory(scriptedSession(consistentModel(30)), Int32Array.of(1, 2), { draft: policy });
    expect(await outcome(work)).toMatchObject({ code: "bad-input", message: expect.stringContaining(message) });
    expect(life.disposed).toBe(1);
  });
});
