/** Rotary scaling as configurations have it, against transformers' frequencies and magnitudes. How they were made: fixtures/make-rope.py. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readHuggingFaceConfig } from "../../src/checkpoint/huggingface/config.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { longestContext, withContextLength } from "../../src/model/context.ts";
import { ropeFrequencies } from "../../src/model/rope.ts";

interface Case {
  readonly name: string;
  readonly config: Record<string, unknown>;
  /** Tokens of the text; null: within the context. */
  readonly seen: number | null;
  readonly frequencies: readonly number[];
  readonly magnitude: number;
}

const { cases } = JSON.parse(readFileSync(new URL("fixtures/rope.json", import.meta.url), "utf8")) as { cases: Case[] };
const read = (config: Record<string, unknown>): ModelConfig =>
  readHuggingFaceConfig({ config, generation: null, hasHead: false, path: "tiny" });

test.each(cases)("$name", ({ config, seen, frequencies, magnitude }) => {
  const model = withContextLength(read(config), seen ?? undefined);
  const ours = ropeFrequencies(model);
  expect(ours).toHaveLength(frequencies.length);
  for (const [i, frequency] of frequencies.entries()) expect(Math.abs(ours[i]! / frequency - 1)).toBeLessThan(2e-6);
  const { ropeScaling } = model;
  const own = ropeScaling !== null && "magnitude" in ropeScaling ? ropeScaling.magnitude : 1;
  expect(own).toBeCloseTo(magnitude, 12);
});

test("LongRoPE ends at the original length unless more is asked for, and then at the longest", () => {
  const model = read(cases.find(({ name }) => name === "longrope, long")!.config);
  expect([model.contextLength, longestContext(model)]).toEqual([512, 4096]);
  expect(ropeFrequencies(withContextLength(model, 513))).not.toEqual(ropeFrequencies(model));
  expect(ropeFrequencies(withContextLength(model, 512))).toEqual(ropeFrequencies(model));
  expect(ropeFrequencies(withContextLength(model, 100))).toEqual(ropeFrequencies(model));
  expect(() => withContextLength(model, 4097)).toThrow("contextLength is 4097; the model can see 4096 tokens");
});

test("dynamic scaling changes nothing within the context, which is all that there is", () => {
  const model = read(cases.find(({ name }) => name === "dynamic")!.config);
  expect([model.ropeScaling, model.contextLength]).toEqual([null, 4096]);
  expect(() => withContextLength(model, 8192)).toThrow("at most");
});
