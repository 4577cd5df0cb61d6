/** Laws of the sequences that a model keeps: what they hold is what was run, they are reused for it, and each ends once. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { commonPrefix } from "../../src/decode/prefix.ts";
import { CllmError } from "../../src/error.ts";
import { Sequence } from "../../src/generate/sequence.ts";
import { type SequenceLease, SequencePool } from "../../src/generate/sequence-pool.ts";
import { chaoticModel, type ScriptedSession, scriptedSession } from "../../src/runtime/scripted.ts";
import type { Session } from "../../src/runtime/session.ts";

const ids = fc.array(fc.nat(3), { minLength: 1, maxLength: 12 }).map((tokens) => Int32Array.from(tokens));

/** A pool over scripted sessions, and how often each of them was disposed. */
function watchedPool(keep: number, wrap: (session: Session) => Session = (session) => session) {
  const opened: ScriptedSession[] = [];
  const disposed = new Map<Session, number>();
  const open = (): Session => {
    const session = scriptedSession(chaoticModel(4));
    opened.push(session);
    const dispose = async (): Promise<void> => {
      disposed.set(session, (disposed.get(session) ?? 0) + 1);
      await session.dispose();
    };
    return wrap(Object.create(session, { dispose: { value: dispose } }) as Session);
  };
  const alive = (): number => opened.filter((session) => !disposed.has(session)).length;
  return { pool: new SequencePool(open, keep), opened, disposed, alive };
}

const fill = async ({ session }: SequenceLease, prompt: Int32Array): Promise<void> => {
  const rest = prompt.subarray(session.length);
  if (rest.length > 0) await session.forward(rest);
};

test("a sequence knows what its cache holds, whatever is run and cut off", async () => {
  const step = fc.oneof(
    ids.map((tokens) => ({ kind: "chain" as const, tokens })),
    fc.tuple(ids, fc.nat()).map(([tokens, at]) => ({ kind: "forest" as const, tokens, at })),
    fc.nat(30).map((length) => ({ kind: "truncate" as const, length })),
    fc.constant({ kind: "wrong" as const }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const inner = scriptedSession(chaoticModel(4));
      const sequence = new Sequence(inner);
      for (const step of steps) {
        if (step.kind === "chain") await sequence.forward(step.tokens);
        else if (step.kind === "forest") {
          const parents = step.tokens.map((_, i) => (i <= step.at % step.tokens.length ? i - 1 : 0));
          await sequence.logits(step.tokens, { parents });
        } else if (step.kind === "truncate") sequence.truncate(Math.min(step.length, sequence.length));
        else await expect(sequence.forward(Int32Array.of(9))).rejects.toMatchObject({ code: "bad-input" });
        expect(sequence.tokens).toEqual(inner.cached);
        expect(sequence.broken).toBe(steps.slice(0, steps.indexOf(step) + 1).some(({ kind }) => kind === "wrong"));
      }
    }),
  );
});

describe("a pool", () => {
  test("gives what any of its sequences shares with the prompt, but for the last token, and keeps no more than it may", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(3),
        fc.array(fc.tuple(ids, fc.nat(3), fc.boolean()), { minLength: 1, maxLength: 10 }),
        async (keep, requests) => {
          const { pool, alive, disposed } = watchedPool(keep);
          const running: { lease: SequenceLease; prompt: Int32Array }[] = [];
          for (const [prompt, end, cached] of requests) {
            const lease = pool.acquire(prompt, { cached });
            const held = (lease.session as Sequence).tokens;
            expect(held).toEqual(prompt.subarray(0, held.length));
            expect(held.length).toBeLessThan(prompt.length);
            if (!cached) expect(held.length).toBe(0);
            const beside = running.map((other) => commonPrefix(other.prompt, prompt));
            if (cached) expect(held.length).toBeGreaterThanOrEqual(Math.min(prompt.length - 1, Math.max(0, ...beside)));
            await fill(lease, prompt);
            running.push({ lease, prompt });
            if (end < running.length) await running.splice(end, 1)[0]!.lease[Symbol.asyncDispose]();
            expect(pool.counts.inUse).toBe(running.length);
            expect(pool.counts.kept).toBeLessThanOrEqual(keep);
            expect(alive()).toBe(pool.counts.inUse + pool.counts.kept);
          }
          await pool.dispose();
          for (const { lease } of running) await lease[Symbol.asyncDispose]();
          expect(alive()).toBe(0);
          for (const times of disposed.values()) expect(times).toBe(1);
        },
      ),
    );
  });

  test("takes a lease back once, however often it is given back", async () => {
    const { pool, alive } = watchedPool(2);
    const lease = pool.acquire(Int32Array.of(1, 2));
    await fill(lease, Int32Array.of(1, 2));
    await Promise.all([lease[Symbol.asyncDispose](), lease[Symbol.asyncDispose]()]);
    await lease[Symbol.asyncDispose]();
    expect(pool.counts).toEqual({ inUse: 0, kept: 1 });
    const [one, other] = [pool.acquire(Int32Array.of(1, 2)), pool.acquire(Int32Array.of(1, 2))];
    expect(one.session).not.toBe(other.session);
    expect(alive()).toBe(2);
  });

  test("does not keep a sequence whose pass failed", async () => {
    const { pool, alive } = watchedPool(2);
    const lease = pool.acquire(Int32Array.of(1, 2));
    await expect(lease.session.forward(Int32Array.of(99))).rejects.toBeInstanceOf(CllmError);
    await lease[Symbol.asyncDispose]();
    expect(pool.counts).toEqual({ inUse: 0, kept: 0 });
    expect(alive()).toBe(0);
  });

  test("waits for a pass that is under way before it disposes, and then gives no more", async () => {
    let finish = (): void => {};
    const { pool, alive } = watchedPool(1, (session) =>
      Object.create(session, {
        forward: {
          value: async (tokens: Int32Array) => {
            await new Promise<void>((resolve) => {
              finish = resolve;
            });
            return session.forward(tokens);
          },
        },
      }),
    );
    const lease = pool.acquire(Int32Array.of(1, 2));
    const pass = lease.session.forward(Int32Array.of(1));
    const disposal = pool.dispose();
    await new Promise(setImmediate);
    expect(alive()).toBe(1);
    expect(() => pool.acquire(Int32Array.of(1))).toThrow(expect.objectContaining({ code: "disposed" }));
    finish();
    expect((await pass).length).toBe(1);
    await disposal;
    expect(alive()).toBe(0);
  });
});
