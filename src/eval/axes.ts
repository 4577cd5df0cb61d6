/**
 * A chart's frame in SVG: round ticks, grid lines and their labels, and places for labels that do not cover each other.
 * Knows no figures.
 */
import { escaped } from "./markup.ts";

export interface Scale {
  (value: number): number;
  readonly ticks: readonly number[];
}

export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** From `low` to `high`, widened to round numbers, onto pixels. */
export function linearScale(low: number, high: number, from: number, to: number): Scale {
  const step = roundStep((high - low || Math.abs(high) || 1) / 5);
  const first = Math.floor(low / step + 1e-9) * step;
  const last = Math.max(Math.ceil(high / step - 1e-9) * step, first + step);
  const count = Math.round((last - first) / step);
  const ticks = Array.from({ length: count + 1 }, (_, i) => Number((first + i * step).toPrecision(10)));
  const place = (value: number): number => from + ((value - first) / (last - first)) * (to - from);
  return Object.assign(place, { ticks });
}

/** The next larger of 1, 2, 2.5, 5 and their tenfolds. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= step * 0.999)!;
}

export const px = (value: number): string => String(Number(value.toFixed(1)));

/** Grid, ticks and names of both axes. */
export function axes(frame: Frame, x: Scale | null, y: Scale, xName: string, yName: string): string {
  const { width, height, left, right, top, bottom } = frame;
  const base = height - bottom;
  const lines = y.ticks.map(
    (tick) =>
      `<line class="grid" x1="${left}" x2="${width - right}" y1="${px(y(tick))}" y2="${px(y(tick))}"/>` +
      `<text class="tick" x="${left - 8}" y="${px(y(tick) + 4)}" text-anchor="end">${tick}</text>`,
  );
  const marks = (x?.ticks ?? []).map(
    (tick) =>
      `<line class="grid" x1="${px(x!(tick))}" x2="${px(x!(tick))}" y1="${top}" y2="${base}"/>` +
      `<text class="tick" x="${px(x!(tick))}" y="${base + 18}" text-anchor="middle">${tick}</text>`,
  );
  return [
    ...lines,
    ...marks,
    `<text class="axis" x="${width - right}" y="${height - 4}" text-anchor="end">${escaped(xName)}</text>`,
    `<text class="axis" x="${left}" y="${top - 10}">${escaped(yName)}</text>`,
  ].join("\n");
}

/** An SVG that scales with the page and says in words what it shows. */
export function svg({ width, height }: Frame, title: string, content: string): string {
  return `<svg viewBox="0 0 ${width} ${height}" role="group" aria-label="${escaped(title)}">\n${content}\n</svg>`;
}

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * For each labelled point a place beside it where its label covers neither a point, nor an obstacle, nor an earlier
 * label; null where there is none. Points that come first choose first.
 */
export function placeLabels(
  points: readonly { readonly x: number; readonly y: number; readonly label: string }[],
  { width, right, left, top, height, bottom }: Frame,
  obstacles: readonly Box[] = [],
): (Pick<Box, "x" | "y"> | null)[] {
  const taken: Box[] = [...points.map(({ x, y }) => ({ x: x - 5, y: y - 5, width: 10, height: 10 })), ...obstacles];
  return points.map(({ x, y, label }) => {
    const size = { width: 6.4 * [...label].length, height: 13 };
    const places = [
      { x: x + 9, y: y - 6 },
      { x: x - 9 - size.width, y: y - 6 },
      { x: x - size.width / 2, y: y - 22 },
      { x: x - size.width / 2, y: y + 9 },
      { x: x + 9, y: y - 20 },
      { x: x + 9, y: y + 8 },
      { x: x - 9 - size.width, y: y - 20 },
      { x: x - 9 - size.width, y: y + 8 },
    ];
    const free = places
      .map((place) => ({ ...place, ...size }))
      .find((box) => {
        const inside =
          box.x >= left && box.x + box.width <= width - right + 8 && box.y >= top - 6 && box.y < height - bottom;
        return inside && taken.every((other) => !overlap(box, other));
      });
    if (free === undefined) return null;
    taken.push(free);
    return { x: free.x, y: free.y + 10 };
  });
}

const overlap = (a: Box, b: Box): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
