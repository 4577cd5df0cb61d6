/** An answer on the screen: what the model thinks is dim on a terminal, and not in a pipe. */
import pc from "picocolors";
import { expect, test } from "vitest";
import { createAnswerView } from "../../src/cli/answer-view.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import type { Chunk } from "../../src/generate/types.ts";

const tokens = new Int32Array(0);
const CHUNKS: Chunk[] = [
  { text: "", tokens, parts: [{ type: "reasoning", text: "Hm." }] },
  { text: "On", tokens },
  { text: "e.", tokens },
];

function shown(interactive: boolean, options: { colorPasses: boolean; silent?: boolean }, color = false): string {
  let written = "";
  const write = (text: string): void => {
    written += text;
  };
  const terminal = { interactive, colors: pc.createColors(color), write };
  const view = createAnswerView(options, terminal as unknown as Terminal);
  for (const chunk of CHUNKS) view.show(chunk);
  view.end();
  expect(view.text).toBe("One.");
  return written;
}

test("reasoning is shown on a terminal, before the answer, and left out of a pipe", () => {
  expect(shown(true, { colorPasses: false })).toBe("Hm.\n\nOne.\n");
  expect(shown(false, { colorPasses: true })).toBe("One.\n");
  expect(shown(true, { colorPasses: true, silent: true })).toBe("");
});

test("passes that are neighbours have different colours", () => {
  const codes = JSON.stringify(shown(true, { colorPasses: true }, true)).split("\\u001b[");
  const first = codes.find((code) => code.endsWith("On"));
  const second = codes.find((code) => code.endsWith("e."));
  expect(first).toBeDefined();
  expect(second?.slice(0, 3)).not.toBe(first?.slice(0, 3));
  expect(second).toBeDefined();
});
