/** `auto` with a draft that takes time: it is asked where that pays, dropped where it does not, and tried again later. */
import { describe, expect, test } from "vitest";
import { AskedDraft } from "../../src/decode/asked-draft.ts";
import { AutoMemory, auto } from "../../src/decode/auto.ts";
import { costModel } from "../../src/decode/cost.ts";
import type { DraftPolicy } from "../../src/decode/drafts.ts";
import { hash } from "../../src/hash.ts";
import { chaoticModel, scriptedSession } from "../../src/runtime/scripted.ts";
import { greedy } from "./arbitrary.ts";

const COSTS = new Map([
  [1, 10],
  [4, 11],
  [8, 13],
  [16, 17],
  [32, 28],
]);
const LENGTH = 128;

/** A world whose only clock goes on by what passes and guesses take. */
function world({ guessMs, openingMs = 0, right }: { guessMs: number; openingMs?: number; right: number }) {
  const cost = costModel(COSTS);
  const memory = new AutoMemory();
  const quality = { right };
  let now = 0;
  let known: number[] = [];
  const draft: DraftPolicy = (prompt) => {
    now += 0;
    let opened = false;
    return {
      guess(text, guesses, { count }) {
        now += count * guessMs + (opened ? 0 : openingMs);
        opened = true;
        const from = text.length + guesses.length - prompt.length;
        return Int32Array.from({ length: count }, (_, i) =>
          hash(from, i, 5) % 1000 < 1000 * quality.right ? (known[from + i] ?? 0) : 0,
        );
      },
      [Symbol.asyncDispose]: async () => {},
    };
  };
  return {
    quality,
    /** Milliseconds of decoding a new text, over those of one token per pass. */
    async text(seed: number): Promise<{ time: number; asked: boolean }> {
      const model = chaoticModel(30_000, seed);
      const prompt = Int32Array.from({ length: 20 }, (_, i) => hash(seed, i) % 30_000);
      known = await greedy(model, prompt, { maxNewTokens: LENGTH });
      const session = scriptedSession(model);
      const forward = session.forward.bind(session);
      session.forward = async (tokens, forest) => {
        now += cost(tokens.length);
        return forward(tokens, forest);
      };
      const begin = now;
      let passes = 0;
      const options = { maxNewTokens: LENGTH, costs: COSTS, memory, draft, clock: () => now };
      for await (const { prefill } of auto(session, prompt, options)) passes += prefill ? 0 : 1;
      const prefilled = cost(prompt.length);
      return { time: (now - begin - prefilled) / (cost(1) * (LENGTH - 1)), asked: passes < LENGTH - 1 };
    },
  };
}

describe("auto with a draft that takes time", () => {
  test("is much faster where guesses are cheap and mostly right", async () => {
    const { text } = world({ guessMs: 0.5, openingMs: 20, right: 0.85 });
    await text(1);
    expect((await text(2)).time).toBeLessThan(0.5);
  });

  test.each([
    ["guesses cost more than the passes that they save", { guessMs: 12, right: 0.9 }],
    ["guesses are wrong", { guessMs: 0.5, right: 0 }],
    ["opening takes longer than the text", { guessMs: 0.5, openingMs: 2000, right: 0.9 }],
  ])("drops it where %s", async (_, how) => {
    const { text } = world(how);
    await text(1);
    let time = 0;
    for (let seed = 2; seed < 8; seed++) time += (await text(seed)).time / 6;
    expect(time).toBeLessThan(1.03);
  });

  test("tries again after some requests, and stays with what has become good", async () => {
    const { text, quality } = world({ guessMs: 0.5, right: 0 });
    for (let seed = 1; seed < 4; seed++) await text(seed);
    quality.right = 0.9;
    const times: number[] = [];
    for (let seed = 4; seed < 60 && (times.at(-1) ?? 1) > 0.6; seed++) times.push((await text(seed)).time);
    expect(times.at(-1)).toBeLessThan(0.6);
  });
});

test("what a first question costs is spread over as many tokens as texts have, not over the budget", async () => {
  const record = new AutoMemory().asked(() => ({
    guess: () => new Int32Array(0),
    [Symbol.asyncDispose]: async () => {},
  }));
  const asked = new AskedDraft(record, { source: null as never, promptLength: 100, unitMs: 10, clock: () => 0 });
  record.openingMs.observe(2);
  expect(asked.opening(1000)).toBeCloseTo(0.02);
  record.length.observe(10);
  expect(asked.opening(1000)).toBeCloseTo(2);
  const memory = new AutoMemory();
  const draft: DraftPolicy = () => ({ guess: () => new Int32Array(0), [Symbol.asyncDispose]: async () => {} });
  const passes = auto(scriptedSession(chaoticModel(50, 1)), Int32Array.of(1), {
    maxNewTokens: 60,
    costs: COSTS,
    memory,
    draft,
  });
  for await (const { prefill } of passes) if (!prefill) break;
  expect(memory.asked(draft).length.or(0)).toBeLessThan(20);
  expect(memory.asked(draft).length.or(0)).toBeGreaterThan(1);
});
