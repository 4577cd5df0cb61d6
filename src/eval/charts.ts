/**
 * The charts of an evaluation as SVG: speed against score, how many tokens passes accept, speed against block size. Empty
 * texts where there is nothing to draw. Colours are classes, which the page defines for light and dark.
 */
import { axes, type Frame, linearScale, px } from "../drawing/axes.ts";
import { placeLabels } from "../drawing/labels.ts";
import { escaped } from "../drawing/markup.ts";
import { inlineSvg, LIGHT } from "../drawing/picture.ts";
import { fixed } from "./markup.ts";
import type { PublishedResult } from "./published.ts";
import type { ContenderSummary, EvaluationSummary } from "./summary.ts";

const WIDE: Frame = { width: 760, height: 400, left: 52, right: 24, top: 34, bottom: 44 };
const SMALL: Frame = { width: 360, height: 190, left: 46, right: 12, top: 28, bottom: 42 };

/** One class for each model; with more models than colours they repeat, and labels tell them apart. */
const COLORS = LIGHT.series.length;
const colorOf = (models: readonly string[], model: string): string => `c${models.indexOf(model) % COLORS}`;
const modelsOf = ({ contenders }: EvaluationSummary): string[] => [...new Set(contenders.map(({ model }) => model))];

/** The legend: which model has which colour. */
export function colorsOf(summary: EvaluationSummary): readonly { readonly model: string; readonly color: string }[] {
  const models = modelsOf(summary);
  return models.map((model) => ({ model, color: colorOf(models, model) }));
}

interface Dot {
  readonly speedup: number;
  readonly score: number;
  readonly label: string;
  readonly says: string;
  readonly color: string;
  readonly intervals: { readonly speedup: readonly number[]; readonly score: readonly number[] } | null;
}

/** Speed-ups, because tokens per second of different machines do not compare. */
export function scatterChart(summary: EvaluationSummary, published: readonly PublishedResult[]): string {
  const rated = summary.contenders.some(({ rating }) => rating !== null);
  const own = summary.contenders.flatMap((contender) => ownDot(contender, rated, modelsOf(summary)));
  if (own.length === 0) return "";
  const others = published.flatMap(({ system, score, speedup, tokensPerSecond, hardware, source }): Dot[] => {
    if (score === null) return [];
    const says = `published: ${system}, ${speedup}×, score ${score}, ${tokensPerSecond} tokens/s on ${hardware} (${source})`;
    return [{ speedup, score, label: `${system}, published`, says, color: "published", intervals: null }];
  });
  const dots = [...own, ...others];
  const highest = Math.max(...dots.map(({ speedup, intervals }) => Math.max(speedup, ...(intervals?.speedup ?? []))));
  const frame = WIDE;
  const x = linearScale(0, highest, frame.left, frame.width - frame.right);
  const y = linearScale(0, rated ? 10 : 100, frame.height - frame.bottom, frame.top);
  const places = placeLabels(
    dots.map(({ speedup, score, label }) => ({ x: x(speedup), y: y(score), label })),
    frame,
    dots.flatMap(({ speedup, score, intervals }) => {
      if (intervals === null) return [];
      const [left, right] = intervals.speedup.map((v) => x(v)) as [number, number];
      const [bottom, top] = intervals.score.map((v) => y(v)) as [number, number];
      return [
        { x: left, y: y(score) - 2, width: right - left, height: 4 },
        { x: x(speedup) - 2, y: top, width: 4, height: bottom - top },
      ];
    }),
  );
  const drawn = dots.map(({ speedup, score, color, says, intervals, label }, index) => {
    const [cx, cy] = [px(x(speedup)), px(y(score))];
    const place = places[index];
    const whiskers =
      intervals === null
        ? ""
        : `<path class="whisker ${color}" d="M${intervals.speedup.map((v) => `${px(x(v))},${cy}`).join("L")}M${intervals.score.map((v) => `${cx},${px(y(v))}`).join("L")}"/>`;
    const mark =
      intervals === null
        ? `<path class="hollow" d="M${cx},${px(y(score) - 6)}l6,6l-6,6l-6,-6z"/>`
        : `<circle class="dot ${color}" cx="${cx}" cy="${cy}" r="5.5"/>`;
    const text = place
      ? `<text class="label ${color}" x="${px(place.x)}" y="${px(place.y)}">${escaped(label)}</text>`
      : "";
    return `<g tabindex="0" role="img" aria-label="${escaped(says)}"><title>${escaped(says)}</title>${whiskers}${mark}${text}</g>`;
  });
  const yName = rated ? "rating, of 10" : "score, %";
  const content = [axes(frame, x, y, "speed-up over the target, one token at a time", yName), ...drawn].join("\n");
  return inlineSvg(frame, "Speed against score: each contender and published results", content);
}

function ownDot(contender: ContenderSummary, rated: boolean, models: readonly string[]): Dot[] {
  const { speedup, name, model, tokensPerSecond } = contender;
  const score = rated ? contender.rating : contender.score;
  if (speedup === null || score === null) return [];
  const scale = rated ? 1 : 100;
  const speed = `${fixed(tokensPerSecond?.median, 1)} tokens/s`;
  return [
    {
      speedup: speedup.estimate,
      score: score.estimate * scale,
      label: name,
      says: `${name}: ${fixed(speedup.estimate, 2)}×, score ${fixed(score.estimate * scale, 1)}, ${speed}`,
      color: colorOf(models, model),
      intervals: {
        speedup: [speedup.low, speedup.high],
        score: [score.low * scale, score.high * scale],
      },
    },
  ];
}

const MOST_BARS = 24;

/** One small chart for each contender whose passes accepted more than one token at times. */
export function acceptedCharts(summary: EvaluationSummary): readonly string[] {
  const models = modelsOf(summary);
  return summary.contenders
    .filter(({ acceptedPerPass }) => acceptedPerPass.length > 1)
    .map((contender) => acceptedChart(contender, colorOf(models, contender.model)));
}

function acceptedChart({ name, acceptedPerPass, tokensPerForward }: ContenderSummary, color: string): string {
  const passes = acceptedPerPass.reduce((sum, count) => sum + count, 0);
  const last = Math.min(acceptedPerPass.length, MOST_BARS);
  const counts = acceptedPerPass.slice(0, last);
  counts[last - 1]! += acceptedPerPass.slice(last).reduce((sum, count) => sum + count, 0);
  const shares = counts.map((count) => (100 * count) / passes);
  const frame = SMALL;
  const base = frame.height - frame.bottom;
  const y = linearScale(0, Math.max(...shares), base, frame.top);
  const step = (frame.width - frame.left - frame.right) / last;
  const bars = shares.map((share, index) => {
    const isRest = index === last - 1 && acceptedPerPass.length > last;
    const label = `${index + 1}${isRest ? "+" : ""}`;
    const left = frame.left + index * step + Math.min(2, step / 8);
    const width = step - 2 * Math.min(2, step / 8);
    const says = `${label} tokens: ${counts[index]} passes, ${fixed(share, 1)} %`;
    const tick =
      last <= 12 || index % 4 === 3 || index === 0
        ? `<text class="tick" x="${px(left + width / 2)}" y="${base + 16}" text-anchor="middle">${label}</text>`
        : "";
    return `<g><title>${says}</title><rect class="dot ${color}" x="${px(left)}" y="${px(y(share))}" width="${px(width)}" height="${px(base - y(share))}"/>${tick}</g>`;
  });
  const content = [axes(frame, null, y, "tokens accepted in a pass", "% of passes"), ...bars].join("\n");
  const says = `${name}, ${fixed(tokensPerForward, 2)} on average`;
  return `<figure><figcaption>${escaped(says)}</figcaption>${inlineSvg(frame, `Tokens accepted in a pass: ${says}`, content)}</figure>`;
}

const LETTER = 6.8; // pixels of one, about
const MOST_LABEL = 320;

/** Lines over the block sizes of each model's decoders; a dashed one for the model one token at a time. */
export function blockSizeChart(summary: EvaluationSummary): string {
  const models = modelsOf(summary);
  const timed = summary.contenders.filter(({ tokensPerSecond }) => tokensPerSecond !== null);
  const sized = timed.filter(({ blockSize }) => blockSize !== null);
  const sizes = [...new Set(sized.map(({ blockSize }) => blockSize!))].sort((a, b) => a - b);
  if (sizes.length < 2) return "";
  const longest = Math.max(...sized.map(({ model, decoder }) => [...`${model}, ${decoder}`].length));
  const frame = { ...WIDE, height: 320, right: Math.min(MOST_LABEL, longest * LETTER + 16) };
  const highest = Math.max(...timed.map(({ tokensPerSecond }) => tokensPerSecond!.q3));
  const y = linearScale(0, highest, frame.height - frame.bottom, frame.top);
  const step = (frame.width - frame.left - frame.right) / sizes.length;
  const x = (size: number): number => frame.left + (sizes.indexOf(size) + 0.5) * step;
  const labels: { readonly y: number; readonly text: string; readonly color: string }[] = [];
  const lines = models.flatMap((model) => {
    const color = colorOf(models, model);
    const own = sized.filter((contender) => contender.model === model);
    const decoders = [...new Set(own.map(({ decoder }) => decoder))];
    const ar = timed.find((contender) => contender.model === model && contender.decoder === "ar");
    const drawn = decoders.map((decoder) => {
      const points = own.filter((contender) => contender.decoder === decoder);
      const path = points.map((point) => `${px(x(point.blockSize!))},${px(y(point.tokensPerSecond!.median))}`);
      labels.push({ y: y(points.at(-1)!.tokensPerSecond!.median), text: `${model}, ${decoder}`, color });
      const dots = points.map(({ name, blockSize, tokensPerSecond: speed }) => {
        const says = `${name}: ${fixed(speed!.median, 1)} tokens/s`;
        const at = px(x(blockSize!));
        return `<g tabindex="0" role="img" aria-label="${escaped(says)}"><title>${escaped(says)}</title><path class="whisker ${color}" d="M${at},${px(y(speed!.q1))}V${px(y(speed!.q3))}"/><circle class="dot ${color}" cx="${at}" cy="${px(y(speed!.median))}" r="4.5"/></g>`;
      });
      return `<polyline class="line ${color}" points="${path.join(" ")}"/>${dots.join("")}`;
    });
    if (ar === undefined || own.length === 0) return drawn;
    const level = y(ar.tokensPerSecond!.median);
    labels.push({ y: level, text: ar.name, color });
    return [
      ...drawn,
      `<path class="line dashed ${color}" d="M${frame.left},${px(level)}H${frame.width - frame.right}"/>`,
    ];
  });
  const ticks = sizes.map(
    (size) =>
      `<text class="tick" x="${px(x(size))}" y="${frame.height - frame.bottom + 18}" text-anchor="middle">${size}</text>`,
  );
  const content = [
    axes(frame, null, y, "block size, tokens", "tokens/s, median and quartiles"),
    ...ticks,
    ...lines,
    ...sideLabels(labels, frame),
  ];
  return inlineSvg(frame, "Speed against block size", content.join("\n"));
}

/** Beside the ends of lines, moved apart where they would touch. */
function sideLabels(
  labels: readonly { readonly y: number; readonly text: string; readonly color: string }[],
  { width, right, top }: Frame,
): readonly string[] {
  let free = top - 8;
  return [...labels]
    .sort((a, b) => a.y - b.y)
    .map(({ y, text, color }) => {
      const at = Math.max(y + 4, free + 15);
      free = at;
      const letters = [...text];
      const room = Math.floor((right - 8) / LETTER);
      const shown = letters.length > room ? `…${letters.slice(1 - room).join("")}` : text;
      return `<text class="label ${color}" x="${width - right + 8}" y="${px(at)}">${escaped(shown)}</text>`;
    });
}
