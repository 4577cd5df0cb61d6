/**
 * Trajectories as tables to step through: a line for each point, a column for each token, settled ones first. Without
 * scripts all lines show. Knows token texts only through a function.
 */
import { commonPrefix } from "../decode/prefix.ts";
import { escaped } from "../drawing/markup.ts";
import { acceptedPerIteration, stationaryPositions } from "../trajectory/measure.ts";
import { escapedToken, fixed } from "./markup.ts";
import type { Trace } from "./records.ts";
import type { TokenText } from "./summary.ts";

/** Of each answer; a page should stay small enough to open. */
const MOST_BLOCKS = 4;
const LONGEST_TOKEN = 14;

/** One folded part for each question and model. */
export function traceTables(traces: readonly Trace[], tokenText: TokenText): string {
  const drawn = traces.filter(({ blocks }) => blocks.length > 0);
  return drawn.map((trace, index) => traceDetails(trace, tokenText, index === 0)).join("\n");
}

function traceDetails({ model, question, blocks, completion }: Trace, tokenText: TokenText, open: boolean): string {
  const iterations = blocks.map(asPoints).reduce((sum, points) => sum + acceptedPerIteration(points).length, 0);
  const perPass = fixed(completion.length / Math.max(1, iterations), 2);
  const shown = blocks.slice(0, MOST_BLOCKS);
  const tables = shown.map((points, index) => blockTable(points, index, (id) => tokenText(model, id)));
  const left = blocks.length - shown.length;
  const more = left > 0 ? `<p class="note">and ${left} more ${left === 1 ? "block" : "blocks"}</p>` : "";
  const head = `${escaped(model)}, question ${escaped(question)}: ${completion.length} tokens, ${perPass} per pass`;
  return `<details${open ? " open" : ""}><summary>${head}</summary>\n${tables.join("\n")}${more}</details>`;
}

const asPoints = (points: readonly (readonly number[])[]): readonly Int32Array[] =>
  points.map((point) => Int32Array.from(point));

function blockTable(raw: readonly (readonly number[])[], index: number, textOf: (id: number) => string): string {
  const points = asPoints(raw);
  const fixedPoint = points.at(-1)!;
  const stationary = new Set(stationaryPositions(points));
  const passes = acceptedPerIteration(points).length;
  const lines = points.map((point, index) => {
    const settled = commonPrefix(point, fixedPoint);
    const cells = [...point].map((id, column) => {
      const kind = column < settled ? "settled" : id === fixedPoint[column] ? "early" : "open";
      return `<td class="${kind}">${escapedToken(textOf(id), LONGEST_TOKEN)}</td>`;
    });
    return `<tr data-says="${index === 0 ? "draft" : `after pass ${index}`}: ${settled} of ${point.length} settled"><th scope="row">${index}</th>${cells.join("")}</tr>`;
  });
  const last = points.length - 1;
  const name = `block ${index + 1}: ${fixedPoint.length} tokens in ${passes} ${passes === 1 ? "pass" : "passes"}, ${stationary.size} right before their turn`;
  return [
    `<div class="block"><p>${name}</p>`,
    `<label class="step" hidden>pass <input type="range" min="0" max="${last}" value="${last}" aria-label="pass of block ${index + 1}"> <output></output></label>`,
    `<div class="wide"><table class="trace"><tbody>${lines.join("\n")}</tbody></table></div></div>`,
  ].join("\n");
}
