import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FreeDrafts, freeRecords } from "../../src/decode/free-drafts.ts";

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
          const text = Int32Array.from(ids);
          const drafts = new FreeDrafts(freeRecords(), 10);
          drafts.offer(text, longest);
          const offered = drafts.sources.map(({ draft }) => [...draft]).filter((draft) => draft.length > 0);
          const seen = ids.lastIndexOf(ids.at(-1)!, -2) >= 0 && ids.length > 1;
          expect(offered.length).toBe(seen && longest > 0 ? 1 : 0);
          for (const draft of offered) expect(draft.length).toBe(longest);
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

  test("learn how good their drafts are from text that others wrote, at every depth", () => {
    const circle = Int32Array.from({ length: 100 }, (_, i) => i % 7);
    const records = freeRecords();
    follow(new FreeDrafts(records, 10), circle, 8);
    const longMatch = records.lookup.at(-1)!; // by now the whole text matches
    for (let depth = 0; depth < 8; depth++) expect(longMatch.rate(depth, 0)).toBeGreaterThan(0.6);

    const noise = Int32Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? 0 : i)); // after 0 always something new
    const bad = freeRecords();
    follow(new FreeDrafts(bad, 10), noise, 8);
    expect(bad.lookup[0]!.rate(0, 1)).toBeLessThan(0.1);
  });

  test("judge matches of different length apart", () => {
    // After 1 2 3 comes 4; after 3 alone comes something new each time.
    const ids: number[] = [];
    for (let i = 0; i < 60; i++) ids.push(1, 2, 3, 4, 100 + i, 3, 200 + i);
    const records = freeRecords();
    follow(new FreeDrafts(records, 10), Int32Array.from(ids), 8, 1);
    expect(records.lookup[0]!.rate(0, 0.5)).toBeLessThan(0.6);
    expect(records.lookup[3]!.rate(0, 0.5)).toBeGreaterThan(0.9);
  });
});
