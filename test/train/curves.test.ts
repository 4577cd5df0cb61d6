/** A run's picture, however long the run was. */
import { expect, test } from "vitest";
import { curvesSvg } from "../../src/train/curves.ts";
import type { TrainRecord } from "../../src/train/train.ts";

const step = (step: number): TrainRecord => ({
  ...{ type: "step", step, loss: 1, arLoss: 2 + Math.sin(step), consistencyLoss: null, gradientNorm: 1 },
  ...{ learningRate: 1e-3, tokens: 8, seconds: 1, skipped: 0 },
});
const evaluation = (step: number): TrainRecord => ({
  ...{ type: "evaluation", step, examples: 8, accuracy: 0.5, tokensPerForward: 2, cutOff: 0, heldOutLoss: 1.5 },
  ...{ best: false, seconds: 1 },
});

test.each([3, 120_000, 300_000])("of %i steps, each of them evaluated, is drawn", (count) => {
  const records = Array.from({ length: count }, (_, i) => [step(i + 1), evaluation(i + 1)]).flat();
  const svg = curvesSvg("a run", records);
  expect(svg).toMatch(/^<svg /);
  for (const name of ["AR loss", "held-out loss", "tokens per forward", "accuracy"]) expect(svg).toContain(`>${name}<`);
  expect(svg).toContain(`>${count}<`); // the last step's label
  expect(svg).not.toMatch(/NaN|Infinity/);
});
