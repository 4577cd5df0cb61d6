/**
 * A run as a picture: loss, tokens per forward and accuracy over its steps, one below the other, as one SVG without outside
 * parts, in the reader's light or dark scheme. Knows only the log's records.
 */
import { axes, exactScale, type Frame, linearScale, polyline, px } from "../drawing/axes.ts";
import { escaped } from "../drawing/markup.ts";
import { type Scheme, svgFile } from "../drawing/picture.ts";
import type { TrainRecord } from "./train.ts";

interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [step: number, value: number])[];
  readonly color: string;
}

const FRAME = { width: 720, left: 64, right: 20 } as const;
const PANEL = 170;
const [TOP, BETWEEN, BOTTOM] = [54, 46, 8];
const MOST_DOTS = 60;
const COLORS = { ar: "c0", consistency: "c1", measure: "c2" } as const;

const rules = ({ series }: Scheme): string =>
  `.line { fill: none; stroke-width: 1.6; stroke-linejoin: round; } ` +
  series.map((color, i) => `.line.c${i} { stroke: ${color}; } .dot.c${i} { fill: ${color}; }`).join(" ");

/** The picture of a run. Noisy per-step losses are shown as running means over a fiftieth of the run. */
export function curvesSvg(title: string, records: readonly TrainRecord[]): string {
  const steps = records.filter((record) => record.type === "step");
  const evaluations = records.filter((record) => record.type === "evaluation");
  const losses: Curve[] = [
    { name: "AR loss", color: COLORS.ar, points: smooth(steps.map(({ step, arLoss }) => [step, arLoss])) },
    {
      name: "consistency loss",
      color: COLORS.consistency,
      points: smooth(steps.map(({ step, consistencyLoss }) => [step, consistencyLoss])),
    },
    ...headCurves(steps),
    {
      name: "held-out loss",
      color: COLORS.measure,
      points: evaluations.flatMap(({ step, heldOutLoss }) =>
        heldOutLoss == null ? [] : [[step, heldOutLoss] as const],
      ),
    },
  ].filter(({ points }) => points.length > 0);
  const measured = (name: string, of: (record: (typeof evaluations)[number]) => number): Curve[] => [
    { name, color: COLORS.measure, points: evaluations.map((record) => [record.step, of(record)]) },
  ];
  const panels = [
    losses,
    measured("tokens per forward", ({ tokensPerForward }) => tokensPerForward),
    measured("accuracy", ({ accuracy }) => accuracy),
  ].filter((curves) => curves.some(({ points }) => points.length > 0));
  const last = records.reduce((largest, { step }) => Math.max(largest, step), 1);
  const height = TOP + panels.length * (PANEL + BETWEEN) + BOTTOM;
  const drawn = panels.map((curves, index) => {
    const top = TOP + index * (PANEL + BETWEEN);
    return panel(curves, { ...FRAME, top, height: top + PANEL + 34, bottom: 34 }, last, index === panels.length - 1);
  });
  return svgFile({ ...FRAME, height }, title, rules, drawn);
}

/** One for each Medusa head; none without. */
function headCurves(steps: readonly Extract<TrainRecord, { type: "step" }>[]): Curve[] {
  const heads = steps.reduce((most, { headLosses = [] }) => Math.max(most, headLosses.length), 0);
  return Array.from({ length: heads }, (_, head) => ({
    name: `head ${head + 1}`,
    color: `c${(head + 3) % 5}`,
    points: smooth(steps.map(({ step, headLosses }) => [step, headLosses?.[head] ?? null])),
  }));
}

/** One panel with its axis from nothing, or from the smallest value where that is far from it, to the largest. */
function panel(curves: readonly Curve[], frame: Frame, last: number, lowest: boolean): string {
  const values = curves.flatMap(({ points }) => points.map(([, value]) => value));
  const least = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const base = frame.height - frame.bottom;
  const x = exactScale(0, last, frame.left, frame.width - frame.right);
  const y = linearScale(least > 0.6 * most ? least : Math.min(0, least), most, base, frame.top, 4);
  let legend: number = frame.left;
  return [
    axes(frame, x, y, lowest ? "step" : "", ""),
    ...curves.flatMap(({ name, points, color }) => {
      const at = legend;
      legend += 34 + 7 * name.length;
      const dot = ([step, value]: readonly [number, number]): string =>
        `<circle class="dot ${color}" r="2.6" cx="${px(x(step))}" cy="${px(y(value))}"/>`;
      return [
        `<line class="line ${color}" x1="${at}" x2="${at + 16}" y1="${frame.top - 12}" y2="${frame.top - 12}"/>`,
        `<text x="${at + 22}" y="${frame.top - 8}">${escaped(name)}</text>`,
        polyline(points, x, y, `line ${color}`),
        ...(points.length > MOST_DOTS ? [] : points.map(dot)),
      ];
    }),
  ].join("\n");
}

/** Running means, each over the last fiftieth of the steps. */
function smooth(points: readonly (readonly [number, number | null])[]): [number, number][] {
  const known = points.filter((point): point is readonly [number, number] => point[1] !== null);
  const width = Math.max(1, Math.floor(known.length / 50));
  const means: [number, number][] = [];
  let sum = 0;
  for (const [i, [step, value]] of known.entries()) {
    sum += value - (i >= width ? (known[i - width]?.[1] ?? 0) : 0);
    means.push([step, sum / Math.min(width, i + 1)]);
  }
  const every = Math.max(1, Math.floor(means.length / 400));
  return means.filter((_, i) => i % every === 0 || i === means.length - 1);
}
