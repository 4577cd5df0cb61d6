/**
 * A trajectory as a picture: a grid of tokens, one line per point, in three colours. One file without outside parts, in
 * the reader's light or dark scheme.
 */

import { tokensPerForward } from "../decode/tokens-per-forward.ts";
import { escaped } from "../drawing/markup.ts";
import { type Scheme, svgFile } from "../drawing/picture.ts";
import { formatPasses, formatToken } from "./format.ts";

export interface TracedBlock {
  /** Token ids of each point; the last point is the fixed point. */
  readonly points: readonly (readonly number[])[];
  /** The same as text. */
  readonly texts: readonly (readonly string[])[];
  /** Leading tokens of each point that are those of the fixed point. */
  readonly settled: readonly number[];
  /** Tokens that each pass settled; the first token came with the pass before them. */
  readonly accepted: readonly number[];
  readonly forwards: number;
}

const CELL = { width: 76, height: 22, gap: 2 };
const MARGIN = 20;
const LABEL = 34; // room for the numbers of the points
const HEAD = 84; // title and legend
const BLOCK_HEAD = 34;
const LONGEST = 9; // characters that fit a cell

const rules = ({ settled, early, open }: Scheme): string =>
  "text:not(.title) { font-family: ui-monospace, Menlo, Consolas, monospace; white-space: pre; } " +
  `.open { fill: ${open}; } .early { fill: ${early}; } .settled { fill: ${settled}; }`;

const LEGEND = [
  ["settled", "settled"],
  ["early", "right before its turn"],
  ["open", "not right yet"],
] as const;

/** The blocks one below the other. */
export function trajectorySvg(title: string, blocks: readonly TracedBlock[]): string {
  const columns = Math.max(...blocks.map(({ points }) => points[0]!.length));
  const width = Math.max(2 * MARGIN + LABEL + columns * (CELL.width + CELL.gap), 560);
  const parts: string[] = [];
  let y = HEAD;
  for (const [index, block] of blocks.entries()) {
    parts.push(drawBlock(block, index, y));
    y += BLOCK_HEAD + block.points.length * (CELL.height + CELL.gap) + MARGIN;
  }
  const legend = LEGEND.map(([kind, meaning], index) => {
    const x = MARGIN + index * 200;
    return `<rect class="${kind}" x="${x}" y="50" width="16" height="16" rx="3"/><text class="faint" x="${x + 24}" y="62">${meaning}</text>`;
  });
  return svgFile({ width, height: y, left: MARGIN }, title, rules, [...legend, ...parts]);
}

function drawBlock({ points, texts, settled, accepted, forwards }: TracedBlock, index: number, top: number): string {
  const fixedPoint = points.at(-1)!;
  const perPass = tokensPerForward(accepted).toFixed(2);
  const note = `block ${index + 1}: the first of ${fixedPoint.length} tokens comes with the prompt, the others in ${formatPasses(forwards)}, ${perPass} per pass`;
  const lines = [`<text class="faint" x="${MARGIN}" y="${top + 18}">${note}</text>`];
  for (const [index, point] of points.entries()) {
    const y = top + BLOCK_HEAD + index * (CELL.height + CELL.gap);
    lines.push(`<text class="faint" x="${MARGIN}" y="${y + 15}">${index}</text>`);
    for (const [column, id] of point.entries()) {
      const x = MARGIN + LABEL + column * (CELL.width + CELL.gap);
      const kind = column < settled[index]! ? "settled" : id === fixedPoint[column] ? "early" : "open";
      const text = escaped(formatToken(texts[index]![column]!, LONGEST));
      lines.push(
        `<rect class="${kind}" x="${x}" y="${y}" width="${CELL.width}" height="${CELL.height}" rx="3"/>` +
          `<text x="${x + 5}" y="${y + 15}">${text}</text>`,
      );
    }
  }
  return lines.join("\n");
}
