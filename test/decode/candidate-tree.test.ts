/** Trees of candidates: the likeliest paths, and the branches that they become. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { plantCandidates, promisingPaths, type TreePath } from "../../src/decode/candidate-tree.ts";
import { Grove } from "../../src/decode/forest.ts";

const rates = fc.array(fc.array(fc.double({ min: 0.001, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 3 }), {
  minLength: 1,
  maxLength: 4,
});

/** Every path through the candidates. */
function allPaths(ranks: readonly (readonly number[])[], path: TreePath = []): TreePath[] {
  const further = (ranks[path.length] ?? []).flatMap((_, rank) => allPaths(ranks, [...path, rank]));
  return path.length === 0 ? further : [path, ...further];
}

describe("the most promising paths", () => {
  test("are the likeliest of all, without the given ones, each behind its parent", () => {
    fc.assert(
      fc.property(rates, fc.integer({ min: 0, max: 40 }), fc.nat(4), (ofPlaces, nodes, given) => {
        const worth = (path: TreePath): number => path.reduce((product, rank, i) => product * ofPlaces[i]![rank]!, 1);
        const isGiven = (path: TreePath): boolean => path.length <= given && path.every((rank) => rank === 0);
        const paths = promisingPaths(ofPlaces, nodes, given);
        const others = allPaths(ofPlaces).filter((path) => !isGiven(path));
        expect(paths.length).toBe(Math.min(nodes, others.length));
        const best = others.map(worth).sort((a, b) => b - a);
        expect(paths.map(worth)).toEqual(best.slice(0, paths.length));
        const seen = new Set<string>([""]);
        for (const path of paths) {
          const parent = path.slice(0, -1);
          expect(seen.has(path.join())).toBe(false);
          expect(seen.has(parent.join()) || isGiven(parent)).toBe(true);
          seen.add(path.join());
        }
      }),
    );
  });

  test("are none where there are no candidates", () => {
    expect(promisingPaths([], 8)).toEqual([]);
    expect(promisingPaths([[], [1]], 8)).toEqual([]);
    expect(promisingPaths([[0.5], [], [1]], 8)).toEqual([[0]]);
  });
});

describe("branches", () => {
  const candidates = [Int32Array.of(5, 6), Int32Array.of(7, 8)];

  test("stand behind the trunk's own rows and behind one another", () => {
    const grove = new Grove(16);
    grove.plant(Int32Array.of(1, 4, 5)); // the last token, a known one, and the first candidate of the first place
    const paths = [[1], [0, 1], [0], [1, 0]];
    plantCandidates(grove, { candidates, paths, chain: [0], at: 1 }, () => true);
    expect(grove.rows).toBe(6);
    expect(grove.trunk).toBe(3);
    // 1 4 6 7 9 is what the model writes: the branch of 6 and 7 foresaw it, and says what follows.
    const next = Int32Array.of(4, 6, 0, 7, 0, 9);
    expect([...grove.suggestion(next, 2)]).toEqual([7, 9]);
  });

  test("end where there is no room, with all that would stand behind them", () => {
    const grove = new Grove(16);
    grove.plant(Int32Array.of(1, 5));
    plantCandidates(grove, { candidates, paths: [[1], [1, 0], [0, 1]], chain: [0], at: 0 }, (rows) => rows < 3);
    expect(grove.rows).toBe(3);
  });
});
