/** What every chart relies on: scales hold their values, ticks are round and few, hostile text stays text, one copy of each. */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { axes, exactScale, linearScale } from "../../src/drawing/axes.ts";
import { escaped } from "../../src/drawing/markup.ts";
import { svgFile } from "../../src/drawing/picture.ts";

const finite = fc.double({ min: -1e9, max: 1e9, noNaN: true });

describe("a linear scale", () => {
  test("holds what it was made for, in order, between its ends", () => {
    fc.assert(
      fc.property(finite, finite, fc.integer({ min: 1, max: 8 }), (one, other, parts) => {
        const [low, high] = [Math.min(one, other), Math.max(one, other)];
        const scale = linearScale(low, high, 100, 500, parts);
        const [at, to] = [scale(low), scale(high)];
        expect(at).toBeGreaterThanOrEqual(100 - 1e-3);
        expect(to).toBeLessThanOrEqual(500 + 1e-3);
        expect(at).toBeLessThanOrEqual(to);
        expect(scale.ticks.length).toBeGreaterThan(1);
        expect(scale.ticks.length).toBeLessThanOrEqual(2 * parts + 3);
      }),
    );
  });

  test("has round ticks", () => {
    expect(linearScale(0, 97, 0, 1).ticks).toEqual([0, 20, 40, 60, 80, 100]);
    expect(linearScale(0.61, 0.97, 0, 1, 4).ticks).toEqual([0.6, 0.7, 0.8, 0.9, 1]);
    expect(linearScale(3, 3, 0, 1).ticks).toContain(3);
  });
});

test("an exact scale ends where its values end", () => {
  const scale = exactScale(0, 1000, 10, 110);
  expect([scale(0), scale(1000), [...scale.ticks]]).toEqual([10, 110, [0, 250, 500, 750, 1000]]);
  expect(exactScale(0, 1, 0, 1).ticks).toEqual([0, 1]);
});

test("whatever stands in a text, a picture keeps its form", () => {
  const frame = { width: 100, height: 100, left: 0, right: 0, top: 0, bottom: 0 };
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const scale = linearScale(0, 1, 0, 1);
      const svg = svgFile({ width: 100, height: 100, left: 0 }, text, () => "", [
        axes(frame, scale, scale, text, text),
      ]);
      expect(svg.replaceAll(/<\/?[a-z][^<>]*>/g, "")).not.toMatch(/[<>]|&(?!amp;|lt;|gt;|quot;|#39;)/);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: XML forbids them, which is the point
      expect(svg).not.toMatch(/[\0-\x08\x0b\x0c\x0e-\x1f]/);
      expect(svg.match(/<text/g)).toHaveLength(svg.match(/<\/text>/g)!.length);
    }),
  );
  expect(escaped(`<a href="x" title='y'>&`)).toBe("&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;");
});

test.each([
  ["escapes markup", /&quot;/, "src/drawing/markup.ts"],
  ["rounds ticks", /\[1, 2, 2\.5, 5, 10\]/, "src/drawing/axes.ts"],
  ["opens a picture file", /<svg xmlns/, "src/drawing/picture.ts"],
  ["interpolates quantiles", /Math\.ceil\(position\)/, "src/eval/statistics.ts"],
])("one file %s", (_, pattern, only) => {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  expect(files.map((path) => `src/${path}`).filter((path) => pattern.test(readFileSync(path, "utf8")))).toEqual([only]);
});
