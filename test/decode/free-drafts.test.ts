import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FreeDrafts, type FreeRecords, freeRecords } from "../../src/decode/free-drafts.ts";
import { SuffixMemory } from "../../src/decode/suffix-memory.ts";

/** Offers drafts before each token of `text` from `start` on, and tells what came. */
function follow(drafts: FreeDrafts, text: Int32Array, start: number, longest = 8): void {
  for (let at = start; at < text.length; at++) {
    drafts.offer(text.subarray(0, at), longest);
    drafts.learn(text.subarray(at, at + 1), new Int32Array(0), new Int32Array(0));
  }
}

describe("free drafts", () => {
  test("offer what followed the text's end before, no longer than asked, and nothing else", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(5), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 0, max: 10 }),
        (ids, longest) => {
          const drafts = new FreeDrafts(freeRecords(), 10);
          drafts.offer(Int32Array.from(ids), longest);
          const offered = drafts.sources.map(({ draft }) => [...draft]).filter((draft) => draft.length > 0);
          const seen = ids.slice(0, -1).includes(ids.at(-1)!);
          expect(offered.length).toBe(seen && longest > 0 ? 1 : 0);
          for (const draft of offered) {
            expect(draft.length).toBeLessThanOrEqual(longest);
            const all = [...ids, ...draft];
            const followed = (i: number) => ids.some((id, at) => at > 0 && ids[at - 1] === all[i - 1] && id === all[i]);
            for (let i = ids.length; i < all.length; i++) expect(followed(i)).toBe(true);
          }
        },
      ),
    );
  });

  test("offer what a pass wrote behind a rejected guess, when the guess comes true later", () => {
    const drafts = new FreeDrafts(freeRecords(), 10);
    const offers = (text: number[], longest: number) => {
      drafts.offer(Int32Array.from(text), longest);
      return drafts.sources.map(({ draft }) => [...draft]).filter((draft) => draft.length > 0);
    };
    drafts.learn(Int32Array.of(1), Int32Array.of(5, 6), Int32Array.of(6, 7));
    expect(offers([1, 2], 9)).toEqual([]);
    expect(offers([1, 2, 5], 9)).toEqual([[6, 7]]);
    expect(offers([1, 2, 5], 1)).toEqual([[6]]);
  });

  /** Tokens that a pass with the offered n-grams is expected to accept. */
  function promised(records: FreeRecords, text: readonly number[], longest = 8): number {
    const drafts = new FreeDrafts(records, 10);
    drafts.offer(Int32Array.from(text), longest);
    const expected = new Float64Array(12);
    drafts.sources[0]!.expect(expected);
    return expected[drafts.sources[0]!.draft.length + 1]!;
  }

  test("learn how good their drafts are from text that others wrote, at every depth", () => {
    const circle = Int32Array.from({ length: 300 }, (_, i) => i % 7);
    const records = freeRecords();
    const before = promised(records, [...circle]);
    follow(new FreeDrafts(records, 10), circle, 8);
    expect(promised(records, [...circle])).toBeGreaterThan(before);
    expect(promised(records, [...circle])).toBeGreaterThan(7);

    const noise = Int32Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? 0 : i)); // after 0 always something new
    const bad = freeRecords();
    follow(new FreeDrafts(bad, 10), noise, 8);
    expect(promised(bad, [...noise, 0])).toBeLessThan(1.1);
  });

  test("judge matches of different length apart", () => {
    // After 1 2 3 comes 4; after 3 alone comes something new each time.
    const ids: number[] = [];
    for (let i = 0; i < 60; i++) ids.push(1, 2, 3, 4, 100 + i, 3, 200 + i);
    const records = freeRecords();
    follow(new FreeDrafts(records, 10), Int32Array.from(ids), 8, 1);
    expect(promised(records, [...ids, 900, 3], 1)).toBeLessThan(1.6);
    expect(promised(records, [...ids, 1, 2, 3], 1)).toBeGreaterThan(1.85);
  });

  test("draw on earlier answers where the text says nothing, and on both where both do", () => {
    const answers = new SuffixMemory(1).scoped();
    for (let i = 0; i < 3; i++) answers.add(Int32Array.of(1), Int32Array.of(2, 3, 4, 5));
    const offer = (text: number[]) => {
      const drafts = new FreeDrafts(freeRecords(), 10, { answers });
      drafts.offer(Int32Array.from(text), 8);
      return [...drafts.sources[0]!.draft];
    };
    expect(offer([1, 2])).toEqual([3, 4, 5]);
    expect(offer([9, 8, 9])[0]).toBe(8);
    expect(offer([7])).toEqual([]);
  });
});
