/** Laws of the memory of earlier answers: what it says was written, it is bounded, scopes see nothing of each other. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KnownNgrams } from "../../src/decode/known-ngrams.ts";
import { followers, LONGEST_ORDER, NgramCounts, ORDERS } from "../../src/decode/ngram-counts.ts";
import { speculative } from "../../src/decode/speculative.ts";
import { fromSuffixes } from "../../src/decode/suffix-draft.ts";
import { countAnswer, knownAnswers, SuffixMemory } from "../../src/decode/suffix-memory.ts";
import { hash } from "../../src/hash.ts";
import { consistentModel, scriptedSession } from "../../src/runtime/scripted.ts";

const ids = (maxLength: number, most = 3): fc.Arbitrary<Int32Array> =>
  fc.array(fc.nat(most), { maxLength }).map((tokens) => Int32Array.from(tokens));

/** How much of the end of `text` was seen before `token` in an answer, up to eight tokens: by definition. */
function matchBefore(entries: readonly [Int32Array, Int32Array][], text: readonly number[], token: number): number {
  const lengths = entries.flatMap(([prompt, answer]) => {
    const tail = [...prompt.slice(-16)];
    const entry = [...tail, ...answer];
    return entry.map((id, place) => {
      if (place < tail.length || id !== token) return 0;
      let match = 0;
      while (match < Math.min(LONGEST_ORDER, place, text.length) && entry[place - 1 - match] === text.at(-1 - match))
        match++;
      return match;
    });
  });
  return Math.max(0, ...lengths);
}

test("foretells what followed the longest suffix of the text in an answer, and nothing else", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(ids(20, 9), ids(20, 9)), { maxLength: 4 }),
      ids(12, 9),
      fc.integer({ min: 1, max: 8 }),
      (entries, text, longest) => {
        const memory = new SuffixMemory(1).scoped();
        for (const [prompt, answer] of entries) memory.add(prompt, answer);
        const draft = new Int32Array(longest);
        const { match, length } = memory.foretell(text, draft);
        const context = [...text];
        const bestOf = () => Math.max(0, ...Array.from({ length: 10 }, (_, id) => matchBefore(entries, context, id)));
        const lengthOf = (tokens: number) => ORDERS.findLast((order) => order <= tokens) ?? 0;
        expect(match).toBe(bestOf() < 2 ? 0 : lengthOf(bestOf()));
        for (const token of draft.subarray(0, length)) {
          expect(lengthOf(matchBefore(entries, context, token))).toBe(lengthOf(bestOf()));
          context.push(token);
        }
        if (length < longest) expect(bestOf()).toBeLessThan(2); // it goes on as far as anything is known
      },
    ),
  );
});

test("says what most answers said, and of equals what the latest one said", () => {
  const memory = new SuffixMemory(1).scoped();
  const none = new Int32Array(0);
  for (const answer of [
    [1, 2, 3, 4],
    [1, 2, 5, 6],
    [7, 1, 2, 5, 8],
  ])
    memory.add(none, Int32Array.from(answer));
  const draft = new Int32Array(8);
  const { length } = memory.foretell(Int32Array.of(1, 2), draft);
  expect([...draft.subarray(0, length)]).toEqual([5, 8]);
});

test("is bounded whatever is added, forgets what was seen least, and knows the newest", () => {
  const hostile = [
    () => new Int32Array(5000).fill(1),
    (i: number) => Int32Array.from({ length: 3000 }, (_, j) => (j % 2) + (i % 3)),
    (i: number) => Int32Array.from({ length: 200 }, (_, j) => hash(i, j) % 50_000),
  ];
  for (const [kind, answerOf] of hostile.entries()) {
    const memory = new SuffixMemory(0.1);
    const view = memory.scoped();
    for (let i = 0; i < 60; i++) {
      view.add(Int32Array.of(9, 9, i), answerOf(i));
      expect(memory.bytes).toBeLessThanOrEqual(1e5);
      const last = answerOf(i).subarray(-20);
      const draft = new Int32Array(10);
      const { length } = view.foretell(last.subarray(0, 10), draft);
      if (kind === 2) expect([...draft.subarray(0, length)]).toEqual([...last.subarray(10)]);
      else expect(length).toBeGreaterThan(0);
    }
    if (kind !== 2) continue;
    expect(view.foretell(answerOf(0).subarray(0, 10), new Int32Array(4)).length).toBe(0); // forgotten
    expect(memory.length).toBeGreaterThan(3000);
  }
});

test("an answer that it has takes no more room", () => {
  const memory = new SuffixMemory(1);
  const [prompt, answer] = [Int32Array.of(1, 2, 3), Int32Array.from({ length: 50 }, (_, i) => i)];
  memory.scoped().add(prompt, answer);
  const { length } = memory;
  for (let i = 0; i < 10; i++) memory.scoped().add(prompt, answer);
  expect(memory.length).toBe(length);
  memory.scoped("other").add(prompt, answer);
  expect(memory.length).toBe(2 * length);
});

test("a scope sees its own answers alone, also while the table grows and is full", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2), fc.nat(9)), { minLength: 1, maxLength: 40 }), (adds) => {
      const memory = new SuffixMemory(0.03);
      for (const [scope, seed] of adds) {
        const answer = Int32Array.from({ length: 60 }, (_, i) =>
          i < 8 ? i : 100 * (scope + 1) + (hash(seed, i) % 90),
        );
        memory.scoped(`key ${scope}`).add(new Int32Array(0), answer);
      }
      for (const scope of [0, 1, 2, 3]) {
        const draft = new Int32Array(8);
        const { length } = memory.scoped(`key ${scope}`).foretell(Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7), draft);
        for (const token of draft.subarray(0, length)) expect(Math.floor(token / 100)).toBe(scope + 1);
      }
    }),
  );
});

describe("counts that were made before", () => {
  const answers = fc.array(fc.tuple(ids(20, 1), ids(20, 1)), { maxLength: 4 }); // of two followers both are counted
  const countsOf = (entries: readonly [Int32Array, Int32Array][]): NgramCounts => {
    const counts = new NgramCounts(1e6);
    for (const [prompt, answer] of entries) countAnswer(counts, prompt, answer);
    return counts;
  };
  const knownOf = (entries: readonly [Int32Array, Int32Array][]) => new KnownNgrams(countsOf(entries).table());

  test("are seen as if the answers had been given here, by every scope", () => {
    fc.assert(
      fc.property(answers, answers, ids(12, 1), (before, given, text) => {
        const known = knownOf(before);
        const memory = new SuffixMemory(1, known);
        for (const [prompt, answer] of given) memory.scoped("mine").add(prompt, answer);
        const [all, mine, other, alone] = [followers(), followers(), followers(), followers()];
        const longest = countsOf([...before, ...given]).look(text, text.length, all);
        expect(memory.scoped("mine").look(text, text.length, mine)).toBe(longest);
        for (const [order, total] of all.totals.entries()) {
          expect(mine.totals[order]).toBe(total);
          if (total > 0) expect(mine.votes[order]).toBeLessThanOrEqual(all.votes[order]!); // the rival of each is not asked
        }
        expect(memory.scoped("other").look(text, text.length, other)).toBe(known.look(text, text.length, alone));
        expect([...other.totals]).toEqual([...alone.totals]);
      }),
    );
  });

  test("are alone in a view that keeps nothing", () => {
    const known = knownOf([[Int32Array.of(1), Int32Array.of(2, 3, 4)]]);
    const view = knownAnswers(known);
    view.add(Int32Array.of(1), Int32Array.of(2, 3, 9, 9));
    const draft = new Int32Array(4);
    expect(view.foretell(Int32Array.of(1, 2), draft)).toEqual({ match: 2, length: 2 });
    expect([...draft.subarray(0, 2)]).toEqual([3, 4]);
  });

  test("where they and answers differ, what more said is foretold", () => {
    const none = new Int32Array(0);
    const known = knownOf(
      Array.from({ length: 3 }, () => [none, Int32Array.of(1, 2, 3, 4)] as [Int32Array, Int32Array]),
    );
    const view = new SuffixMemory(1, known).scoped();
    const next = (): number => {
      const draft = new Int32Array(1);
      view.foretell(Int32Array.of(1, 2), draft);
      return draft[0]!;
    };
    for (let i = 0; i < 3; i++) view.add(none, Int32Array.of(1, 2, 7));
    expect(next()).toBe(7); // of equals what was said here
    const other = new SuffixMemory(1, known).scoped();
    other.add(none, Int32Array.of(1, 2, 7));
    const draft = new Int32Array(1);
    other.foretell(Int32Array.of(1, 2), draft);
    expect(draft[0]).toBe(3);
  });
});

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e9])("a bound of %s MB is refused", (megabytes) => {
  expect(() => new SuffixMemory(megabytes)).toThrow(/must be over 0 and up to 4096/);
});

describe("suffix decoding", () => {
  test("writes an answer that it has in as few passes as its blocks allow", async () => {
    const model = consistentModel(50, 0, 3);
    const prompt = Int32Array.of(4, 5, 6);
    const memory = new SuffixMemory(1).scoped();
    const run = async (): Promise<number[]> => {
      const accepted: Int32Array[] = [];
      const draft = fromSuffixes(memory, { perMatch: 8 });
      const passes = speculative(scriptedSession(model), prompt, { maxNewTokens: 64, blockSize: 16, draft });
      for await (const pass of passes) accepted.push(pass.accepted);
      memory.add(prompt, Int32Array.from(accepted.flatMap((tokens) => [...tokens])));
      return accepted.map(({ length }) => length);
    };
    const first = await run();
    const second = await run();
    expect(second.length).toBeLessThanOrEqual(5); // 64 tokens in blocks of 16
    expect(first.length).toBeGreaterThan(second.length);
  });

  test("takes what the text itself says where that agrees with more of it", async () => {
    const memory = new SuffixMemory(1).scoped();
    memory.add(new Int32Array(0), Int32Array.of(1, 2, 7));
    const source = await fromSuffixes(memory)(new Int32Array(0));
    const guess = async (text: number[]) =>
      [...(await source.guess(Int32Array.from(text), new Int32Array(0), { count: 4, signal: undefined }))].slice(0, 1);
    expect(await guess([9, 1, 2])).toEqual([7]);
    expect(await guess([8, 1, 2, 6, 9, 8, 1, 2])).toEqual([6]);
  });
});
