/** Which weights a run keeps: the laws of the choice, and the runs in which the score of before kept the wrong ones. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chooseWeights, consistencyScore, isBetter, type Measured } from "../../src/train/choice.ts";

type Objective = "ar" | "consistency";

const EXAMPLES = 32;
const measured = (step: number, right: number, tokensPerForward: number, heldOutLoss: number | null): Measured => ({
  ...{ step, examples: EXAMPLES, accuracy: right / EXAMPLES, tokensPerForward, heldOutLoss },
});
type Run = readonly Measured[];
const runs: fc.Arbitrary<Run> = fc
  .array(
    fc.tuple(
      fc.integer({ min: 0, max: EXAMPLES }),
      fc.double({ min: 1, max: 8, noNaN: true }),
      fc.option(fc.double({ min: 0, max: 9, noNaN: true })),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((list) => list.map(([right, speed, loss], i) => measured(100 * (i + 1), right, speed, loss)));

/** What a run keeps on the way, and takes in the end. */
function outcome(run: Run, objective: Objective) {
  let best: Measured | null = null;
  for (const now of run) if (isBetter(now, best, objective)) best = now;
  const last = run.at(-1)!;
  const chosen = chooseWeights(best, last, { objective, steps: last.step });
  return { best: best!, last, chosen, taken: run.find(({ step }) => step === chosen.step)! };
}

/** The rule until now: a strict maximum of the score, whatever the objective. */
function keptBefore(run: Run): Measured {
  let best: Measured | null = null;
  for (const now of run) if (best === null || consistencyScore(now) > consistencyScore(best)) best = now;
  return best!;
}

describe("fine-tuning", () => {
  test("takes the lowest held-out loss, the later of equal ones", () => {
    fc.assert(
      fc.property(runs, (run) => {
        const { taken } = outcome(run, "ar");
        const losses = run.map(({ heldOutLoss }) => heldOutLoss ?? Number.POSITIVE_INFINITY);
        const lowest = Math.min(...losses);
        expect(taken).toBe(run[losses.lastIndexOf(lowest)]);
      }),
    );
  });

  test("0.52 of the answers at 1.05 tokens per forward and less loss is better than 0.50 at 1.25", () => {
    const run = [
      { ...measured(100, 0, 1.25, 1.4), accuracy: 0.5 },
      { ...measured(200, 0, 1.05, 1.1), accuracy: 0.52 },
    ];
    expect(keptBefore(run).step).toBe(100);
    expect(outcome(run, "ar").chosen).toEqual({
      ...{ checkpoint: "final", step: 200, why: "the lowest held-out loss, 1.100" },
    });
  });

  test("that learns free-form answers by heart takes the weights from before it did", () => {
    const run = [measured(100, 0, 1, 2.1), measured(200, 0, 1, 1.4), measured(300, 0, 1, 1.9)];
    expect(keptBefore(run).step).toBe(100); // the first evaluation for ever: no answer is the data's to the last token
    const { chosen } = outcome(run, "ar");
    expect(chosen).toMatchObject({ checkpoint: "best", step: 200 });
    expect(chosen.why).toBe("the lowest held-out loss, 1.400; at the last step it is 1.900");
  });
});

describe("consistency", () => {
  test("of free-form answers, which the score cannot tell, takes the last weights and says so", () => {
    const run = [measured(100, 0, 1.1, 1.0), measured(200, 0, 1.9, 1.1), measured(300, 0, 3.1, 1.2)];
    expect(keptBefore(run).step).toBe(100);
    expect(outcome(run, "consistency").chosen).toEqual({
      ...{ checkpoint: "final", step: 300 },
      why: "no held-out answer came out as expected, so the score could not tell",
    });
  });

  test("is not decided by one answer that came out by luck", () => {
    const run = [measured(100, 1, 1.1, 1.0), measured(200, 0, 3.1, 1.1)];
    expect(keptBefore(run).step).toBe(100);
    expect(outcome(run, "consistency").chosen).toMatchObject({ checkpoint: "final", step: 200 });
  });

  test("takes the highest score where that is more than one answer ahead of the last weights", () => {
    fc.assert(
      fc.property(runs, (run) => {
        const { best, last, chosen } = outcome(run, "consistency");
        const highest = Math.max(...run.map(consistencyScore));
        const oneMore = consistencyScore({ ...last, accuracy: last.accuracy + 1 / EXAMPLES });
        const ahead = highest > 0 && best !== last && highest > oneMore;
        expect(consistencyScore(best)).toBe(highest);
        expect(chosen.checkpoint).toBe(ahead ? "best" : "final");
        expect(chosen.step).toBe(ahead ? best.step : last.step);
      }),
    );
  });

  test("equal scores go by held-out loss, then to the later one", () => {
    const [a, b, c] = [measured(100, 16, 2, 1.2), measured(200, 16, 2, 1.0), measured(300, 16, 2, 1.1)];
    expect(keptBefore([a, b, c]).step).toBe(100);
    expect(isBetter(b, a, "consistency")).toBe(true);
    expect(isBetter(c, b, "consistency")).toBe(false);
    expect(isBetter({ ...b, step: 300 }, b, "consistency")).toBe(true);
  });
});

test("a loss that is none loses against any, and where there is no other the last weights are taken", () => {
  for (const objective of ["ar", "consistency"] as const) {
    expect(isBetter(measured(2, 8, 2, null), measured(1, 8, 2, 5), objective)).toBe(false);
    expect(isBetter(measured(2, 8, 2, 5), measured(1, 8, 2, null), objective)).toBe(true);
    const { chosen } = outcome([measured(1, 8, 2, null), measured(2, 8, 2, null)], objective);
    expect(chosen.step).toBe(2);
  }
  expect(chooseWeights(null, null, { objective: "ar", steps: 7 })).toEqual({
    ...{ checkpoint: "final", step: 7, why: "nothing was held out to choose by" },
  });
});
