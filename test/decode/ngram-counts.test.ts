/** Laws of the counts of n-grams: what they say came, by definition while there is room, and bounded whatever is counted. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { KnownNgrams } from "../../src/decode/known-ngrams.ts";
import { followers, NgramCounts, ORDERS } from "../../src/decode/ngram-counts.ts";
import { hash } from "../../src/hash.ts";

const text = (most: number, maxLength = 60) =>
  fc.array(fc.nat(most), { minLength: 1, maxLength }).map((ids) => Int32Array.from(ids));

function countAll(counts: NgramCounts, ids: Int32Array, scope = 0): void {
  for (let at = 1; at < ids.length; at++) counts.count(ids, at, scope);
}

/** What followed the last `order` tokens of a text within it, by token. */
function definition(ids: Int32Array, order: number): Map<number, number> {
  const found = new Map<number, number>();
  for (let at = order; at < ids.length; at++) {
    const same = ids.subarray(at - order, at).every((id, i) => id === ids[ids.length - order + i]);
    if (same) found.set(ids[at]!, (found.get(ids[at]!) ?? 0) + 1);
  }
  return found;
}

test("say how often the commonest follower came, and how often any did", () => {
  fc.assert(
    fc.property(text(3), (ids) => {
      const counts = new NgramCounts(1e6);
      countAll(counts, ids);
      const found = followers();
      const known = counts.look(ids, ids.length, found);
      for (const [i, order] of ORDERS.entries()) {
        const came = order > ids.length ? new Map<number, number>() : definition(ids, order);
        if (came.size === 0) {
          expect(known).toBeLessThanOrEqual(i);
          continue;
        }
        expect(known).toBeGreaterThan(i);
        expect(found.totals[i]).toBe([...came.values()].reduce((sum, n) => sum + n, 0));
        if (came.size > 2) expect(came.has(found.ids[i]!)).toBe(true);
        else {
          expect(found.votes[i]).toBe(Math.max(...came.values()));
          expect(came.get(found.ids[i]!)).toBe(found.votes[i]);
        }
      }
    }),
  );
});

test("of equals the latest is the commonest", () => {
  const counts = new NgramCounts(1e4);
  countAll(counts, Int32Array.of(1, 2, 1, 3, 1));
  const found = followers();
  counts.look(Int32Array.of(1), 1, found);
  expect([found.ids[0], found.votes[0], found.totals[0]]).toEqual([3, 1, 2]);
});

test("a follower that comes again and again stays the commonest, and its counts stay small", () => {
  const counts = new NgramCounts(1e4);
  countAll(
    counts,
    Int32Array.from({ length: 100_000 }, (_, i) => (i % 10 === 9 ? 7 : i % 2)),
  );
  const found = followers();
  counts.look(Int32Array.of(0), 1, found);
  expect(found.ids[0]).toBe(1);
  expect(found.votes[0]).toBeLessThan(256);
  expect(found.votes[0]! / found.totals[0]!).toBeGreaterThan(0.7);
});

test("are bounded, and get more than half full before anything is forgotten", () => {
  const counts = new NgramCounts(1e6);
  const ids = Int32Array.from({ length: 40_000 }, (_, i) => hash(i) % 50_000);
  for (let at = 1; at < ids.length; at++) {
    counts.count(ids, at);
    expect(counts.bytes).toBeLessThanOrEqual(1e6);
  }
  expect(16 * counts.length).toBeGreaterThan(0.5e6);
  const found = followers();
  expect(counts.look(ids, ids.length - 1, found)).toBe(ORDERS.length); // the newest is known
  expect(found.ids.at(-1)).toBe(ids.at(-1));
});

test("what has faded is not known: every follower that is found came at least once", () => {
  fc.assert(
    fc.property(text(40, 300), (ids) => {
      const counts = new NgramCounts(512); // so small that most of it is forgotten
      countAll(counts, ids);
      const found = followers();
      for (let end = 1; end <= ids.length; end++) {
        const known = counts.look(ids, end, found);
        if (known > 0) expect(found.totals[known - 1]).toBeGreaterThan(0);
        for (const [order, total] of found.totals.entries()) {
          if (total === 0) continue;
          expect(order).toBeLessThan(known);
          expect(found.votes[order]).toBeGreaterThan(0);
          expect(found.totals[order]).toBeGreaterThanOrEqual(found.votes[order]!);
        }
      }
    }),
  );
});

test("a scope sees no counts of another one", () => {
  fc.assert(
    fc.property(text(3), text(3), (mine, others) => {
      const [alone, shared] = [new NgramCounts(1e5), new NgramCounts(1e5)];
      countAll(alone, mine, 1);
      countAll(shared, mine, 1);
      countAll(shared, others, 2);
      const [a, b] = [followers(), followers()];
      expect(shared.look(others, others.length, b, 1)).toBe(alone.look(others, others.length, a, 1));
      expect(b).toEqual({ ...a, ids: b.ids, votes: b.votes });
      for (const [order, total] of a.totals.entries()) if (total > 0) expect(b.ids[order]).toBe(a.ids[order]);
    }),
  );
});

test("as a table say the same, without what was followed too seldom", () => {
  fc.assert(
    fc.property(text(5, 200), fc.integer({ min: 1, max: 4 }), (ids, least) => {
      const counts = new NgramCounts(1e6);
      countAll(counts, ids);
      countAll(counts, ids, 3); // a table is of scope 0 alone
      const again = new KnownNgrams(counts.table(least));
      const [whole, some] = [followers(), followers()];
      for (let end = 0; end <= ids.length; end++) {
        counts.look(ids, end, whole);
        again.look(ids, end, some);
        for (const [order, total] of whole.totals.entries()) {
          const kept = total >= least;
          expect(some.totals[order]).toBe(kept ? total : 0);
          if (kept) expect([some.ids[order], some.votes[order]]).toEqual([whole.ids[order], whole.votes[order]]);
        }
      }
    }),
  );
});

test("none and very many entries are taken too", () => {
  const none = new KnownNgrams(new NgramCounts(1e6).table());
  expect(none.length).toBe(0);
  expect(none.look(Int32Array.of(1, 2, 3), 3, followers())).toBe(0);
  const counts = new NgramCounts(1e8);
  countAll(
    counts,
    Int32Array.from({ length: 60_000 }, (_, i) => hash(i) % 50_000),
  );
  const table = counts.table();
  const again = new KnownNgrams(table);
  expect(again.length).toBe(counts.length);
  for (let at = 4; at < table.length; at += 4) if (table[at]! <= table[at - 4]!) expect.unreachable("in order");
});
