/**
 * A chart's frame in SVG: scales with round ticks, grid lines, their labels and lines through points. What every chart of the
 * project is drawn with; knows no figures. By hand, because it is some forty lines of arithmetic: d3-scale and d3-shape
 * would bring eight packages and their types for the ticks alone, Plot needs a DOM, Vega-Lite is large, uPlot draws on a canvas.
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

/** From `low` to `high`, widened to round numbers, onto pixels, in about `parts` steps. */
export function linearScale(low: number, high: number, from: number, to: number, parts = 5): Scale {
  const step = roundStep(spanOf(low, high) / parts);
  const first = Math.floor(low / step + 1e-9) * step;
  const last = Math.max(Math.ceil(high / step - 1e-9) * step, first + step);
  const count = Math.round((last - first) / step);
  const ticks = Array.from({ length: count + 1 }, (_, i) => Number((first + i * step).toPrecision(10)));
  const place = (value: number): number => from + ((value - first) / (last - first)) * (to - from);
  return Object.assign(place, { ticks });
}

/** From `low` to `high` and no further, onto pixels, with whole numbers as ticks at both ends and in equal parts between. */
export function exactScale(low: number, high: number, from: number, to: number, parts = 4): Scale {
  const shares = Array.from({ length: parts + 1 }, (_, i) => Math.round(low + (i / parts) * (high - low)));
  const place = (value: number): number => from + ((value - low) / (high - low || 1)) * (to - from);
  return Object.assign(place, { ticks: [...new Set(shares)] });
}

/** What an axis has to show: the difference of its ends, or their size where they are nearly equal. */
function spanOf(low: number, high: number): number {
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (size < 1e-200) return 1;
  return high - low > 1e-9 * size ? high - low : size;
}

/** The next larger of 1, 2, 2.5, 5 and their tenfolds. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= step * 0.999)!;
}

export const px = (value: number): string => String(Number(value.toFixed(1)));

/** A line through points of the data. */
export function polyline(
  points: readonly (readonly [x: number, y: number])[],
  x: Scale,
  y: Scale,
  kind: string,
): string {
  return `<polyline class="${kind}" points="${points.map((point) => `${px(x(point[0]))},${px(y(point[1]))}`).join(" ")}"/>`;
}

/** Grid, ticks and names of both axes; an axis without a name has none, one without a scale has no ticks. */
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
  const names = [
    xName && `<text class="axis" x="${width - right}" y="${height - 4}" text-anchor="end">${escaped(xName)}</text>`,
    yName && `<text class="axis" x="${left}" y="${top - 10}">${escaped(yName)}</text>`,
  ];
  return [...lines, ...marks, ...names.filter(Boolean)].join("\n");
}
