/** Laws of the calibration: what is measured is kept, and a cache is believed only where it is about the same thing. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { CllmError } from "../../src/error.ts";
import {
  type Activity,
  CALIBRATED_SIZES,
  type Calibration,
  calibrate,
  measuredOnce,
  measurePassCosts,
} from "../../src/generate/calibrate.ts";
import { cachedPassCosts } from "../../src/generate/cost-store.ts";
import type { PassCosts } from "../../src/generate/types.ts";
import { hash } from "../../src/hash.ts";
import { chaoticModel, scriptedSession } from "../../src/runtime/scripted.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-calibrate-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("measuring", () => {
  test("runs passes of every size and leaves the session empty", async () => {
    const session = scriptedSession(chaoticModel(100));
    let passes = 0;
    const costs = await measurePassCosts(session, { onPass: () => passes++ });
    expect([...costs.keys()]).toEqual(CALIBRATED_SIZES);
    for (const ms of costs.values()) expect(ms).toBeGreaterThan(0);
    expect(session.length).toBe(0);
    for (const size of CALIBRATED_SIZES)
      expect(session.passes.filter(({ rows }) => rows === size).length).toBeGreaterThan(1);
    const rounds = passes / CALIBRATED_SIZES.length;
    const run = session.passes.length - 1; // one is the context
    expect(run).toBeGreaterThanOrEqual(passes);
    const warming = 32;
    expect(run).toBeLessThanOrEqual(passes + 2 * rounds + warming); // a token alone runs three times, unless passes are long
  });

  test("lets every pass look back at the same context", async () => {
    const session = scriptedSession(chaoticModel(100));
    const lengths: number[] = [];
    const forward = session.forward.bind(session);
    session.forward = (tokens) => {
      lengths.push(session.length);
      return forward(tokens);
    };
    await measurePassCosts(session);
    expect(lengths[0]).toBe(0);
    for (const length of lengths.slice(1)) expect(length).toBe(64);
  });

  /** The costs where the n-th pass of so many tokens takes so long. */
  async function measureWith(msOf: (rows: number, pass: number) => number): Promise<PassCosts> {
    const session = scriptedSession(chaoticModel(100));
    const forward = session.forward.bind(session);
    let [clock, passes] = [0, 0];
    vi.spyOn(performance, "now").mockImplementation(() => clock);
    session.forward = (tokens) => {
      clock += msOf(tokens.length, passes++);
      return forward(tokens);
    };
    return await measurePassCosts(session).finally(() => vi.restoreAllMocks());
  }
  const round = 2 + CALIBRATED_SIZES.length; // passes

  test("does not take a slow moment for what a pass costs", async () => {
    // The context and two rounds are slowed by another program.
    const costs = await measureWith((rows, pass) => 10 + rows + (pass <= 2 * round ? 15 + (pass % 7) : 0));
    for (const size of CALIBRATED_SIZES) expect(costs.get(size)).toBeCloseTo(10 + size);
  });

  test("compares sizes within a round, whatever the machine's pace is in it", async () => {
    const costs = await measureWith(
      (rows, pass) => (10 + rows) * [1, 3, 1.5, 2][Math.floor(Math.max(0, pass - 1) / round) % 4]!,
    );
    for (const size of CALIBRATED_SIZES) expect(costs.get(size)! / costs.get(1)!).toBeCloseTo((10 + size) / 11);
  });

  describe("beside others' passes", () => {
    /** Passes cost 10 + rows; a neighbour's pass of 20 falls into each from the `first`-th on, up to the `last`-th. */
    async function beside(first: number, last: number): Promise<Calibration> {
      const session = scriptedSession(chaoticModel(100));
      const forward = session.forward.bind(session);
      let [clock, passes, begun] = [0, 0, 0];
      vi.spyOn(performance, "now").mockImplementation(() => clock);
      session.forward = (tokens) => {
        const met = passes >= first && passes <= last;
        passes++;
        begun += met ? 2 : 1;
        clock += 10 + tokens.length + (met ? 20 : 0);
        return forward(tokens);
      };
      const activity = (): Activity => ({ begun, running: 0 });
      return await calibrate(session, { activity }).finally(() => vi.restoreAllMocks());
    }

    test("is given up soon, with the costs of a usual machine", async () => {
      const { costs, verdict } = await beside(3, Number.POSITIVE_INFINITY);
      expect(verdict).toBe("disturbed");
      expect(costs.get(32)! / costs.get(1)!).toBeCloseTo(3.48);
    });

    test("does not begin while they run", async () => {
      const session = scriptedSession(chaoticModel(100));
      const { verdict } = await calibrate(session, { activity: () => ({ begun: 1, running: 1 }) });
      expect([verdict, session.passes.length]).toEqual(["disturbed", 0]);
    });

    test("leaves out a round that one falls into", async () => {
      const { costs, verdict } = await beside(2 * round, 2 * round + 3);
      expect(verdict).toBe("good");
      for (const size of CALIBRATED_SIZES) expect(costs.get(size)).toBeCloseTo(10 + size);
    });
  });

  test("says where the machine did other things all the while", async () => {
    const verdictOf = async (share: number): Promise<string> => {
      const session = scriptedSession(chaoticModel(100));
      const forward = session.forward.bind(session);
      let [clock, passes] = [0, 0];
      vi.spyOn(performance, "now").mockImplementation(() => clock);
      session.forward = (tokens) => {
        clock += (10 + tokens.length) * (1 + (share * (hash(passes++) % 1000)) / 1000);
        return forward(tokens);
      };
      return (await calibrate(session).finally(() => vi.restoreAllMocks())).verdict;
    };
    expect([await verdictOf(0), await verdictOf(0.1), await verdictOf(3)]).toEqual(["good", "good", "noisy"]);
  });

  test("leaves out what a small context has no room for", async () => {
    const session = scriptedSession({ ...chaoticModel(100), contextLength: 20 });
    expect([...(await measurePassCosts(session)).keys()]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 10]);
  });

  test("ends when it is aborted", async () => {
    const measuring = measurePassCosts(scriptedSession(chaoticModel(100)), { signal: AbortSignal.abort() });
    await expect(measuring).rejects.toMatchObject({ code: "aborted" });
    await expect(measuring).rejects.toBeInstanceOf(CllmError);
  });
});

test("costs are noisy where another program has the processors all along, however steady they are", async () => {
  const verdictOf = async (share: number): Promise<string> => {
    let time = 0;
    const session = scriptedSession(chaoticModel(100));
    return (await calibrate(session, { clock: () => time++, share: () => share })).verdict;
  };
  expect([await verdictOf(1), await verdictOf(0.85), await verdictOf(0.6)]).toEqual(["good", "good", "noisy"]);
});

const good = (costs: PassCosts): Calibration => ({ costs, verdict: "good" });

test("what is noisy is believed for a while, what was disturbed not at all", async () => {
  let [time, begun] = [0, 0];
  const verdicts = ["disturbed", "disturbed", "noisy", "noisy", "good"] as const;
  const measure = async (): Promise<Calibration> => ({ costs: new Map([[2, 9 - begun]]), verdict: verdicts[begun++]! });
  const costs = measuredOnce(measure, () => time);
  const ask = async (after: number): Promise<number | undefined> => {
    time += after;
    return (await costs()).get(2);
  };
  expect([await ask(0), await ask(1), await ask(1), await ask(1000), await ask(18_000)]).toEqual([9, 8, 7, 7, 7]);
  expect([await ask(2000), await ask(30_000), await ask(20_000), await ask(1e9)]).toEqual([6, 6, 5, 5]); // twice as long
});

test("of two noisy results the faster passes count, and a good one takes their place", async () => {
  const results: Calibration[] = [
    {
      costs: new Map([
        [1, 10],
        [2, 30],
      ]),
      verdict: "noisy",
    },
    {
      costs: new Map([
        [1, 12],
        [2, 11],
      ]),
      verdict: "noisy",
    },
    {
      costs: new Map([
        [1, 11],
        [2, 12],
      ]),
      verdict: "good",
    },
  ];
  let time = 0;
  const costs = measuredOnce(
    async () => results.shift()!,
    () => time,
  );
  const ask = async (): Promise<number[]> => {
    time += 1e9;
    return [...(await costs()).values()];
  };
  expect([await ask(), await ask(), await ask()]).toEqual([
    [10, 30],
    [10, 11],
    [11, 12],
  ]);
});

test("other programs that slow wide passes most of the time do not change how sizes compare", async () => {
  const session = scriptedSession(chaoticModel(100));
  const forward = session.forward.bind(session);
  let [clock, passes] = [0, 0];
  session.forward = (tokens) => {
    const ms = 10 + tokens.length / 2;
    const met = hash(passes++) % 100 < 60; // three passes out of five meet another program
    clock += met ? 3 * ms : ms;
    return forward(tokens);
  };
  const { costs } = await calibrate(session, { clock: () => clock });
  for (const size of CALIBRATED_SIZES) expect(costs.get(size)! / costs.get(1)!).toBeCloseTo((10 + size / 2) / 10.5);
});

test("measuring happens once for all who ask, and again where it failed", async () => {
  const outcomes = [new Error("interrupted"), good(new Map([[2, 1]])), good(new Map([[2, 9]]))];
  let begun = 0;
  const costs = measuredOnce(async () => {
    const outcome = outcomes[begun++]!;
    await new Promise((done) => setTimeout(done, 1));
    if (outcome instanceof Error) throw outcome;
    return outcome;
  });
  const [first, ...others] = await Promise.allSettled([costs(), costs(), costs()]);
  expect(first).toMatchObject({ status: "rejected", reason: outcomes[0] });
  for (const other of others) expect(other).toMatchObject({ status: "fulfilled", value: new Map([[2, 1]]) });
  expect(await costs()).toEqual(new Map([[2, 1]]));
  expect(begun).toBe(2);
});

describe("the cache", () => {
  const costs: PassCosts = new Map([
    [2, 1.5],
    [16, 3.25],
  ]);
  let folder = "";
  let measured = 0;
  let verdict: Calibration["verdict"] = "good";
  beforeEach(() => {
    folder = mkdtempSync(join(scratch, "cache-"));
    measured = 0;
    verdict = "good";
  });
  const measure = async (): Promise<Calibration> => {
    measured++;
    return { costs, verdict };
  };
  const file = (): string => join(folder, "calibration", readdirSync(join(folder, "calibration"))[0]!);

  test("measures once for the same key, and again for another", async () => {
    for (let i = 0; i < 3; i++) expect(await cachedPassCosts(folder, ["a", "int8", 2], measure)).toEqual(good(costs));
    expect(measured).toBe(1);
    await cachedPassCosts(folder, ["a", "fp32", 2], measure);
    await cachedPassCosts(folder, ["a", "int8", 4], measure);
    expect(measured).toBe(3);
    expect(readdirSync(join(folder, "calibration")).every((name) => name.endsWith(".json"))).toBe(true);
  });

  test.each([
    ["cut short", (text: string) => text.slice(0, text.length / 2)],
    ["empty", () => ""],
    ["of another key", (text: string) => text.replace("int8", "int9")],
    ["with costs that are none", (text: string) => text.replace("1.5", "-1")],
    ["with keys that nobody wrote", (text: string) => text.replace('{"key"', '{"x":1,"key"')],
  ])("that is %s is measured again and mended", async (_, damage) => {
    await cachedPassCosts(folder, ["a", "int8"], measure);
    const whole = readFileSync(file(), "utf8");
    writeFileSync(file(), damage(whole));
    expect(readFileSync(file(), "utf8")).not.toBe(whole);
    expect(await cachedPassCosts(folder, ["a", "int8"], measure)).toEqual(good(costs));
    expect(measured).toBe(2);
    expect(readFileSync(file(), "utf8")).toBe(whole);
  });

  test("keeps nothing that is not good", async () => {
    for (verdict of ["noisy", "disturbed"] as const) {
      measured = 0;
      for (let i = 0; i < 2; i++) expect(await cachedPassCosts(folder, ["a"], measure)).toEqual({ costs, verdict });
      expect(measured).toBe(2);
    }
  });

  test("that is older than a week is measured again", async () => {
    await cachedPassCosts(folder, ["a"], measure);
    const old = Date.now() / 1000 - 8 * 24 * 3600;
    utimesSync(file(), old, old);
    await cachedPassCosts(folder, ["a"], measure);
    await cachedPassCosts(folder, ["a"], measure);
    expect(measured).toBe(2);
  });

  test("that cannot be written is no error", async () => {
    const occupied = join(folder, "file");
    writeFileSync(occupied, "");
    expect(await cachedPassCosts(occupied, ["a"], measure)).toEqual(good(costs));
  });
});
