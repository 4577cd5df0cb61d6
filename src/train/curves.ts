/**
 * A run as a picture: loss, tokens per forward and accuracy over its steps, one below the other, as one SVG without outside
 * parts, in the reader's light or dark scheme. Knows only the log's records.
 */
import type { TrainRecord } from "./train.ts";

interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [step: number, value: number])[];
  readonly color: string;
}

const WIDTH = 720;
const PANEL = 170;
const MARGIN = { left: 64, right: 20, top: 54, between: 46, bottom: 30 };
const COLORS = { ar: "a", consistency: "b", measure: "c" } as const;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #1b1f24; } .title { font-size: 15px; font-weight: 600; }
  .faint { fill: #5a636d; } .paper { fill: #ffffff; } .grid { stroke: #dfe3e7; stroke-width: 1; }
  .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; } .a { stroke: #1f6feb; } .b { stroke: #c2410c; } .c { stroke: #1a7f4b; }
  .dot { stroke: none; } .dot.a { fill: #1f6feb; } .dot.b { fill: #c2410c; } .dot.c { fill: #1a7f4b; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e8eb; } .faint { fill: #98a2ad; } .paper { fill: #0f1419; } .grid { stroke: #2b323a; }
    .a { stroke: #58a6ff; } .b { stroke: #fb923c; } .c { stroke: #4ade80; }
    .dot.a { fill: #58a6ff; } .dot.b { fill: #fb923c; } .dot.c { fill: #4ade80; }
  }
`;

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
  const height = MARGIN.top + panels.length * (PANEL + MARGIN.between) + MARGIN.bottom - MARGIN.between + 24;
  const drawn = panels.map((curves, index) => panel(curves, MARGIN.top + index * (PANEL + MARGIN.between), last));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title><style>${STYLE}</style>`,
    `<rect class="paper" width="100%" height="100%"/>`,
    `<text class="title" x="${MARGIN.left}" y="26">${escaped(title)}</text>`,
    ...drawn,
    `<text class="faint" x="${WIDTH - MARGIN.right}" y="${height - 8}" text-anchor="end">step</text>`,
    "</svg>\n",
  ].join("\n");
}

/** One panel with its axis from nothing, or from the smallest value where that is far from it, to the largest, in round steps. */
function panel(curves: readonly Curve[], top: number, last: number): string {
  const values = curves.flatMap(({ points }) => points.map(([, value]) => value));
  const lowest = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const highest = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const bottom = lowest > 0.6 * highest ? lowest : Math.min(0, lowest);
  const tick = roundStep((highest - bottom || Math.abs(highest) || 1) / 4);
  const from = Math.floor(bottom / tick) * tick;
  const to = Math.max(Math.ceil(highest / tick), Math.floor(from / tick) + 1) * tick;
  const x = (step: number): number => MARGIN.left + (step / last) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (value: number): number => top + PANEL - ((value - from) / (to - from)) * PANEL;
  const ticks = Array.from({ length: Math.round((to - from) / tick) + 1 }, (_, i) => from + i * tick);
  const round = (n: number): string => n.toFixed(1);
  let legend = MARGIN.left;
  return [
    ...ticks.flatMap((value) => [
      `<line class="grid" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${round(y(value))}" y2="${round(y(value))}"/>`,
      `<text class="faint" x="${MARGIN.left - 8}" y="${round(y(value) + 4)}" text-anchor="end">${label(value)}</text>`,
    ]),
    ...curves.flatMap(({ name, points, color }) => {
      const at = legend;
      legend += 34 + 7 * name.length;
      const path = points.map(([step, value]) => `${round(x(step))},${round(y(value))}`).join(" ");
      const dots =
        points.length > 60
          ? []
          : points.map(([s, v]) => `<circle class="dot ${color}" r="2.6" cx="${round(x(s))}" cy="${round(y(v))}"/>`);
      return [
        `<line class="line ${color}" x1="${at}" x2="${at + 16}" y1="${top - 12}" y2="${top - 12}"/>`,
        `<text x="${at + 22}" y="${top - 8}">${escaped(name)}</text>`,
        `<polyline class="line ${color}" points="${path}"/>`,
        ...dots,
      ];
    }),
    ...[0, 0.25, 0.5, 0.75, 1].map((share) => {
      const step = Math.round(share * last);
      return `<text class="faint" x="${round(x(step))}" y="${top + PANEL + 16}" text-anchor="middle">${step}</text>`;
    }),
  ].join("\n");
}

/** The next larger of 1, 2, 2.5, 5 and their tenfolds. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= step * 0.999) as number);
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

const label = (value: number): string => String(Number(value.toPrecision(4)));

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
