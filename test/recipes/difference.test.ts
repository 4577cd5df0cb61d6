/** The difference of two adapters in factors of a smaller rank: exact where the rank allows it, and the nearest there is where not. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { differenceAdapter, lowRankDifference, svd } from "../../recipes/difference.ts";
import type { Adapter, LoraModule } from "../../src/checkpoint/peft/types.ts";
import { gaussian } from "../model/random-model.ts";

function randomModule(seed: number, rank: number, inputs = 9, outputs = 7): LoraModule {
  const random = gaussian(seed);
  const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, random);
  return {
    rank,
    alpha: rank,
    scale: 1 + (seed % 3),
    a: numbers(rank * inputs),
    b: numbers(outputs * rank),
    inputs,
    outputs,
  };
}

/** scale · B A, `(outputs, inputs)`. */
const product = ({ rank, scale, a, b, inputs, outputs }: LoraModule): number[] =>
  Array.from({ length: outputs * inputs }, (_, at) => {
    const [i, j] = [Math.floor(at / inputs), at % inputs];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += b[i * rank + k]! * a[k * inputs + j]!;
    return scale * sum;
  });

const distance = (x: readonly number[], y: readonly number[]): number =>
  Math.hypot(...x.map((value, i) => value - y[i]!));

test("of enough ranks is the difference itself, and of fewer as near as its singular values say", () => {
  fc.assert(
    fc.property(fc.nat(999), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }), (seed, one, other) => {
      const [from, to] = [randomModule(seed, one), randomModule(seed + 1, other)];
      const [before, after] = [product(from), product(to)];
      const wanted = after.map((value, i) => value - before[i]!);
      const size = Math.hypot(...wanted);
      const exact = product(lowRankDifference(from, to, one + other));
      expect(distance(exact, wanted)).toBeLessThan(1e-5 * size + 1e-6); // factors are float32
      const rows = Array.from({ length: 7 }, (_, i) => wanted.slice(9 * i, 9 * (i + 1)));
      const { s } = svd(rows);
      for (let rank = 1; rank < one + other; rank++) {
        const rest = Math.hypot(...s.slice(rank));
        const found = distance(product(lowRankDifference(from, to, rank)), wanted);
        expect(Math.abs(found - rest)).toBeLessThan(1e-4 * size);
      }
    }),
    { numRuns: 20 },
  );
});

test("is a draft adapter for the base with the first one, and both are of the same matrices", () => {
  const adapter = (name: string, module: LoraModule): Adapter => ({
    ...{ name, baseModel: "owner/base", rankStabilized: false, draftTokenId: 4 },
    modules: new Map([["model.layers.0.mlp.up_proj", module]]),
  });
  const found = differenceAdapter(
    adapter("adapters/target", randomModule(1, 2)),
    adapter("cllm", randomModule(2, 2)),
    2,
  );
  expect(found).toMatchObject({ drafts: true, baseAdapter: "target", draftTokenId: 4, baseModel: "owner/base" });
  const wider = adapter("wider", randomModule(3, 2, 11));
  expect(() => differenceAdapter(adapter("target", randomModule(1, 2)), wider, 2)).toThrow(RangeError);
});
