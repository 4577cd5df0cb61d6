/**
 * A trajectory as text: one line per point, one column per token, so that one sees each place settle. Settled tokens are
 * green, or end at a bar where there is no colour.
 */
import { tokensPerForward } from "../decode/tokens-per-forward.ts";
import { formatPasses, formatToken } from "./format.ts";
import type { Terminal } from "./terminal.ts";
import type { TracedBlock } from "./trajectory-svg.ts";

/** A token longer than this is cut; the columns should fit a screen. */
const LONGEST = 12;

export function trajectoryText(
  { texts, settled, accepted, forwards }: TracedBlock,
  terminal: Pick<Terminal, "colors">,
): string {
  const { colors } = terminal;
  const points = texts.map((point) => point.map((text) => formatToken(text, LONGEST)));
  const size = points[0]!.length;
  const widths = Array.from({ length: size }, (_, column) =>
    Math.max(...points.map((point) => widthOf(point[column]!))),
  );
  const digits = String(size).length;
  const lines = points.map((point, index) => {
    const right = settled[index]!;
    const cells = point.map((text, column) => text + " ".repeat(widths[column]! - widthOf(text)));
    const done = cells.slice(0, right).join(" ");
    const open = cells.slice(right).join(" ");
    const label = `${String(index).padStart(2)}  ${String(right).padStart(digits)}/${size}  `;
    return `${colors.dim(label)}${colors.green(done)}${open === "" ? "" : `${colors.dim("│")}${open}`}`.trimEnd();
  });
  const perPass = tokensPerForward(accepted).toFixed(2);
  const head = `the first of ${size} tokens comes with the prompt, the others in ${formatPasses(forwards)}, ${perPass} per pass; point, settled, tokens: settled ones stand before the bar`;
  return `${colors.bold(head)}\n${lines.join("\n")}\n`;
}

/** Columns that a text takes: two for East Asian wide characters and pictures, none for marks. */
function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mark}/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]|\p{Extended_Pictographic}/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}
