/** Stop strings: the same end however the text is cut into chunks, and nothing held back that need not be. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { createStopMatcher } from "../../src/text/stop.ts";

const letters = (max: number) => fc.string({ unit: fc.constantFrom("a", "b", "ab", "👍"), maxLength: max });
const stopList = fc.array(
  letters(5).filter((stop) => stop !== ""),
  { maxLength: 4 },
);

/** The plain twin: the first prefix of the text that ends with a stop string, found with `indexOf`. */
function firstStop(text: string, stops: readonly string[]): { text: string; stop: string | null } {
  const ends = stops.flatMap((stop) => (text.includes(stop) ? [text.indexOf(stop) + stop.length] : []));
  if (ends.length === 0) return { text, stop: null };
  const upTo = text.slice(0, Math.min(...ends));
  const stop = stops.filter((stop) => upTo.endsWith(stop)).reduce((a, b) => (b.length > a.length ? b : a), "");
  return { text: upTo.slice(0, upTo.length - stop.length), stop };
}

test("text in any chunks ends where the plain search says", () => {
  fc.assert(
    fc.property(fc.array(letters(6), { maxLength: 8 }), stopList, (chunks, stops) => {
      const matcher = createStopMatcher(stops);
      let text = "";
      let stop: string | null = null;
      for (const chunk of chunks) {
        const match = matcher.push(chunk);
        text += match.text;
        stop = match.stop;
      }
      if (stop === null) text += matcher.end();
      expect({ text, stop }).toEqual(firstStop(chunks.join(""), stops));
    }),
    { numRuns: 2000 },
  );
});

test("only the longest possible beginning of a stop string is held back", () => {
  fc.assert(
    fc.property(fc.array(letters(6), { maxLength: 8 }), stopList, (chunks, stops) => {
      const matcher = createStopMatcher(stops);
      let given = 0;
      let seen = "";
      for (const chunk of chunks) {
        const { text, stop } = matcher.push(chunk);
        if (stop !== null) return;
        given += text.length;
        seen += chunk;
        const held = seen.slice(given);
        const beginnings = stops.flatMap((s) => Array.from({ length: s.length }, (_, i) => s.slice(0, i)));
        const longest = Math.max(0, ...beginnings.filter((b) => seen.endsWith(b)).map((b) => b.length));
        expect(held.length).toBe(longest);
      }
    }),
    { numRuns: 1000 },
  );
});

test("after a stop nothing more comes", () => {
  const matcher = createStopMatcher(["END"]);
  expect(matcher.push("text EN")).toEqual({ text: "text ", stop: null });
  expect(matcher.push("D and more")).toEqual({ text: "", stop: "END" });
  expect(matcher.push("still more")).toEqual({ text: "", stop: "END" });
  expect(matcher.end()).toBe("");
});

test("a long stop string costs no more than the text", () => {
  const stop = `${"a".repeat(100_000)}b`;
  const matcher = createStopMatcher([stop]);
  let text = "";
  for (let i = 0; i < 200; i++) text += matcher.push("a".repeat(1_000)).text;
  expect(text.length).toBe(100_000);
  expect(matcher.push("b").stop).toBe(stop);
});

test.each(["", "\ud83d", "x\udc4d"])("refuses the stop string %j", (stop) => {
  expect(() => createStopMatcher([stop])).toThrow(expect.objectContaining({ code: "bad-input" }));
});
