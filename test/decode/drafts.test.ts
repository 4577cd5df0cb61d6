import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { constant, type DraftPolicy, fromLookup, fromPrompt, given, repeatLast } from "../../src/decode/drafts.ts";
import { LONGEST_MATCH, NgramIndex, NgramPool } from "../../src/decode/ngrams.ts";

const ids = (maxLength: number, minLength = 0, max = 3) =>
  fc.array(fc.nat(max), { minLength, maxLength }).map((tokens) => Int32Array.from(tokens));

/** What `NgramIndex` promises, by search from the end of the text. */
function lookUp(text: Int32Array, context: Int32Array, maxNgram: number, length: number) {
  for (let n = Math.min(maxNgram, context.length); n > 0; n--)
    for (let at = text.length - 1; at >= n; at--) {
      let match = 0;
      while (match < Math.min(at, context.length, LONGEST_MATCH) && text[at - 1 - match] === context.at(-1 - match))
        match++;
      if (match < n) continue;
      const all = [...text];
      for (let i = 0; i < length; i++) all.push(all[at + i]!);
      return { match, draft: all.slice(text.length) };
    }
  return { match: 0, draft: new Array<number>(length).fill(-1) };
}

describe("the n-gram index", () => {
  test("finds the latest occurrence of the longest end, however the text grew", () => {
    fc.assert(
      fc.property(
        ids(60),
        fc.array(fc.nat(60)),
        ids(20),
        fc.boolean(),
        fc.integer({ min: 1, max: 5 }),
        fc.nat(12),
        (text, cuts, other, own, maxNgram, length) => {
          const index = new NgramIndex(maxNgram);
          for (const cut of cuts.sort((a, b) => a - b)) index.update(text.subarray(0, cut));
          index.update(text);
          const context = own ? text : other;
          const draft = new Int32Array(length).fill(-1);
          const match = index.draft(context, draft);
          const expected = lookUp(text, context, maxNgram, length);
          expect({ match, draft: [...draft] }).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("continues a circle without end", () => {
    const index = new NgramIndex(2);
    const text = Int32Array.of(9, 1, 2, 3, 1, 2);
    index.update(text);
    const draft = new Int32Array(7);
    expect(index.draft(text, draft)).toBe(2);
    expect([...draft]).toEqual([3, 1, 2, 3, 1, 2, 3]);
  });
});

describe("the n-gram pool", () => {
  test("keeps the latest few continuations of each token, each once", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4 }), fc.array(fc.tuple(fc.nat(2), ids(2, 0, 2))), (perKey, added) => {
        const pool = new NgramPool(perKey);
        for (const [key, continuation] of added) pool.add(key, continuation);
        for (let key = 0; key <= 2; key++) {
          const expected: string[] = [];
          for (const [k, continuation] of added.toReversed())
            if (k === key && continuation.length > 0 && !expected.includes(continuation.join()))
              expected.push(continuation.join());
          expect(pool.after(key).map((continuation) => continuation.join())).toEqual(expected.slice(0, perKey));
          expect(pool.latest(key)?.join()).toBe(expected.slice(0, perKey)[0]);
        }
      }),
    );
  });

  test("keeps copies", () => {
    const pool = new NgramPool(1);
    const buffer = Int32Array.of(1, 2);
    pool.add(0, buffer);
    buffer.fill(9);
    expect(pool.latest(0)).toEqual(Int32Array.of(1, 2));
  });

  test("recycles what a pass wrote behind rejected guesses", () => {
    const pool = new NgramPool(2);
    // 5 was followed by 6, which was the next guess; that by 7, the next guess again; that by 8, which was not.
    pool.recycle(Int32Array.of(5, 6, 7, 4), Int32Array.of(6, 7, 8, 1), 3);
    expect(pool.latest(5)).toEqual(Int32Array.of(6, 7, 8));
    expect(pool.latest(6)).toEqual(Int32Array.of(7, 8));
    expect(pool.latest(7)).toEqual(Int32Array.of(8));
    expect(pool.latest(4)).toEqual(Int32Array.of(1));
  });
});

describe("draft policies", () => {
  const policies = fc.oneof(
    fc.nat().map((seed) => ({ policy: fromPrompt(seed), closed: true })),
    fc.constant({ policy: repeatLast, closed: true }),
    fc.integer({ min: 1, max: 3 }).map((n) => ({ policy: fromLookup(n), closed: true })),
    ids(40).map((completion) => ({ policy: given(completion), closed: false })),
  );

  const guess = async (
    policy: DraftPolicy,
    text: Int32Array,
    guesses: Int32Array,
    prompt: Int32Array,
    count: number,
  ) => {
    await using draft = await policy(prompt);
    return draft.guess(text, guesses, { count, signal: undefined });
  };
  const none = new Int32Array(0);

  test("give as many guesses as they are asked for, of tokens they have seen, the same ones again", async () => {
    await fc.assert(
      fc.asyncProperty(
        policies,
        ids(20, 1),
        ids(20, 1),
        ids(9),
        fc.integer({ min: 1, max: 12 }),
        async ({ policy, closed }, prompt, written, guesses, count) => {
          const text = Int32Array.of(...prompt, ...written);
          const first = await guess(policy, text, guesses, prompt, count);
          expect(first.length).toBe(count);
          expect(await guess(policy, text, guesses, prompt, count)).toEqual(first);
          if (closed) for (const id of first) expect(text.includes(id) || guesses.includes(id)).toBe(true);
        },
      ),
    );
  });

  test("a given completion lines up with the text, and what lies past its end is another draft's", async () => {
    await fc.assert(
      fc.asyncProperty(
        ids(9, 1),
        ids(30, 1, 99),
        fc.nat(),
        ids(4),
        fc.integer({ min: 1, max: 9 }),
        async (prompt, completion, cut, guesses, count) => {
          const written = completion.subarray(0, 1 + (cut % completion.length));
          const text = Int32Array.of(...prompt, ...written);
          const rest = completion.subarray(written.length + guesses.length).subarray(0, count);
          const found = await guess(given(completion, constant(7)), text, guesses, prompt, count);
          expect([...found]).toEqual([...rest, ...new Array<number>(count - rest.length).fill(7)]);
        },
      ),
    );
  });

  test("prompt tokens are picked from all of the prompt, and differently by seed and position", async () => {
    const prompt = Int32Array.from({ length: 10 }, (_, i) => 100 + i);
    const one = await guess(fromPrompt(1), prompt, none, prompt, 200);
    expect(new Set(one).size).toBe(10);
    expect(await guess(fromPrompt(2), prompt, none, prompt, 200)).not.toEqual(one);
    const further = await guess(fromPrompt(1), Int32Array.of(...prompt, 100), none, prompt, 199);
    expect(further).toEqual(one.subarray(1));
    expect(await guess(fromPrompt(1), prompt, prompt.subarray(0, 1), prompt, 199)).toEqual(further);
  });
});
