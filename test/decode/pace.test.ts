/** What passes take beside what they are said to cost is found from the passes. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { costModel } from "../../src/decode/cost.ts";
import { Pace } from "../../src/decode/pace.ts";

const said = costModel(
  new Map([
    [1, 10],
    [8, 20],
    [16, 40],
  ]),
);

/** A pace that saw passes of these sizes, which took what `takes` says. */
function seen(sizes: readonly number[], takes: (ms: number) => number, rounds = 40): Pace {
  const pace = new Pace();
  for (let round = 0; round < rounds; round++)
    for (const size of sizes) pace.observe(said(size), takes(said(size)), said(1));
  return pace;
}

test("without observations, or a clock, costs are what is said", () => {
  for (const pace of [new Pace(), seen([1, 16], () => 0)])
    for (const size of [1, 4, 8, 16, 30]) expect(pace.corrected(said)(size)).toBe(said(size));
});

test("a time on top and a factor are found, whatever sizes were run", () => {
  const line = fc.record({
    onTop: fc.double({ min: 0, max: 15, noNaN: true }),
    factor: fc.double({ min: 0.7, max: 1.8, noNaN: true }),
  });
  fc.assert(
    fc.property(line, ({ onTop, factor }) => {
      const corrected = seen([1, 8, 16], (ms) => onTop + factor * ms).corrected(said);
      for (const size of [1, 8, 16]) {
        const taken = onTop + factor * said(size);
        expect(Math.abs(corrected(size) - taken) / taken).toBeLessThan(0.15);
      }
    }),
  );
});

test("passes of one size move all costs the way they went", () => {
  const slower = seen([1], (ms) => ms + 8).corrected(said);
  expect(slower(1)).toBeGreaterThan(15);
  expect(slower(16) / slower(1)).toBeLessThan(said(16) / said(1));
});

test("costs stay positive and never fall with more tokens, whatever was seen", () => {
  const passes = fc.array(fc.tuple(fc.integer({ min: 1, max: 32 }), fc.double({ min: 0, max: 1e4, noNaN: true })), {
    maxLength: 50,
  });
  fc.assert(
    fc.property(passes, (all) => {
      const pace = new Pace();
      for (const [size, ms] of all) pace.observe(said(size), ms, said(1));
      const corrected = pace.corrected(said);
      for (let size = 1; size < 32; size++) {
        expect(corrected(size)).toBeGreaterThan(0);
        expect(corrected(size + 1)).toBeGreaterThanOrEqual(corrected(size));
      }
    }),
  );
});
