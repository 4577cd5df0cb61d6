/** Fewer layers of a model: which ones stay, and that what is left is those, under the numbers that a smaller model has. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { fewerLayers, keptLayers } from "../../recipes/fewer-layers.ts";
import { BASE, randomWeights } from "../model/random-model.ts";

test("are the first ones and the last", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (layers, kept) => {
      if (kept > layers) return void expect(() => keptLayers(layers, kept)).toThrow(RangeError);
      const found = keptLayers(layers, kept);
      expect(found).toHaveLength(kept);
      expect(found.at(-1)).toBe(layers - 1);
      expect(found.slice(0, -1)).toEqual(Array.from({ length: kept - 1 }, (_, i) => i));
    }),
  );
});

test("have their tensors as they were, and all that belongs to no layer", async () => {
  const config = { ...BASE, layers: 4 };
  const weights = randomWeights(config);
  const left = fewerLayers(weights, keptLayers(4, 2));
  const same = (name: string): boolean => !name.startsWith("model.layers.");
  expect(left.names().filter(same)).toEqual(weights.names().filter(same));
  expect(left.names().filter((name) => !same(name))).toHaveLength(
    weights.names().filter((name) => /^model\.layers\.[03]\./.test(name)).length,
  );
  for (const name of left.names()) {
    const before = name.replace(/^model\.layers\.1\./, "model.layers.3.");
    expect(left.shape(name)).toEqual(weights.shape(before));
    expect(await left.read(name)).toEqual(await weights.read(before));
  }
});
