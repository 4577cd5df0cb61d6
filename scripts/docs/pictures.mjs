/**
 * The pictures of README and documentation, as SVG for light and dark pages, from stored results alone. Knows no
 * measurement and no page.
 *
 *     node scripts/docs/pictures.mjs [--check]
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readResult, root } from "./tables.mjs";

const FOLDER = join(root, "docs/pictures");
const MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";
const SANS = "system-ui, -apple-system, 'Segoe UI', sans-serif";
const THEMES = {
  light: {
    page: "#ffffff",
    panel: "#f6f8fa",
    line: "#d0d7de",
    text: "#1f2328",
    soft: "#59636e",
    one: "#8c5e00",
    many: "#0b6bcb",
    settled: "#d3f0dc",
    guess: "#fff1d6",
  },
  dark: {
    page: "#0d1117",
    panel: "#161b22",
    line: "#3d444d",
    text: "#f0f6fc",
    soft: "#9198a1",
    one: "#e3b341",
    many: "#58a6ff",
    settled: "#14532d",
    guess: "#4d3800",
  },
};

const escaped = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const round = (number) => Number(number.toFixed(2));

function svg(width, height, title, body, style = "") {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">
<title>${escaped(title)}</title>
${style ? `<style>${style}</style>\n` : ""}${body}
</svg>
`;
}

function text(x, y, content, { size = 13, fill, anchor = "start", weight = 400, family = SANS, extra = "" }) {
  return `<text x="${round(x)}" y="${round(y)}" font-family="${family}" font-size="${size}" font-weight="${weight}" fill="${fill}" text-anchor="${anchor}"${extra}>${escaped(content)}</text>`;
}

/** Where lines of at most `columns` letters begin in a text, broken behind spaces. */
function lineStarts(text, columns) {
  const starts = [0];
  while (text.length - starts.at(-1) > columns) {
    const start = starts.at(-1);
    const space = text.lastIndexOf(" ", start + columns);
    starts.push(space > start ? space + 1 : start + columns);
  }
  return starts;
}

/** One question after another, answered one by one on the left and with `auto` on the right, in recorded time. */
function race(theme) {
  const SLOWER = 8;
  const { answers } = readResult("race");
  const [width, top, columns, panel, lineHeight] = [860, 74, 50, 416, 16];
  const letter = (panel - 28) / columns;
  const layout = answers.map(({ ar }) =>
    lineStarts(
      ar.chunks
        .map(({ text }) => text)
        .join("")
        .trimStart(),
      columns,
    ),
  );
  const tops = [top];
  for (const starts of layout) tops.push(tops.at(-1) + 16 + starts.length * lineHeight + 10);
  const bottom = tops.at(-1);
  const height = bottom + 40;
  const totals = ["ar", "auto"].map((decoder) => answers.reduce((sum, answer) => sum + answer[decoder].ms, 0));
  const loopMs = Math.max(...totals) * SLOWER + 4000;
  const styles = [];
  const parts = [`<rect width="${width}" height="${height}" rx="8" fill="${theme.page}"/>`];
  /** An element that appears at a time and stays until the loop begins again. */
  const appearing = (ms, element) => {
    const at = round((100 * ms) / loopMs);
    const name = `a${styles.length}`;
    const frames = `0%,${at}%{opacity:0}${round(at + 0.01)}%,100%{opacity:1}`;
    styles.push(`@keyframes ${name}{${frames}}.${name}{animation:${name} ${loopMs}ms linear infinite}`);
    return `<g class="${name}">${element}</g>`;
  };
  /** Pieces of a chunk of text, each on one line: `[line, column, text]`. */
  const pieces = (starts, from, chunk) => {
    const found = [];
    for (let i = from; i < from + chunk.length; ) {
      const line = starts.findLastIndex((start) => start <= i);
      const end = Math.min(from + chunk.length, starts[line + 1] ?? Number.POSITIVE_INFINITY);
      found.push([line, i - starts[line], chunk.slice(i - from, end - from)]);
      i = end;
    }
    return found;
  };
  for (const [side, decoder] of ["ar", "auto"].entries()) {
    const left = 8 + side * (panel + 12);
    const colour = decoder === "ar" ? theme.one : theme.many;
    const frame = `width="${panel}" height="${bottom - 8}" rx="6" fill="${theme.panel}" stroke="${theme.line}"`;
    parts.push(`<rect x="${left}" y="8" ${frame}/>`);
    const name = decoder === "ar" ? "one token per pass" : "several tokens per pass";
    parts.push(text(left + 14, 34, name, { size: 15, weight: 600, fill: colour }));
    const count = (key) => answers.reduce((sum, answer) => sum + answer[decoder][key], 0);
    const counts = `${count("tokens")} tokens, ${count("passes")} passes`;
    parts.push(text(left + 14, 54, counts, { size: 12, fill: theme.soft }));
    let begin = 0;
    for (const [i, answer] of answers.entries()) {
      const y = tops[i];
      const shown = answer.question.length > 64 ? `${answer.question.slice(0, 63)}…` : answer.question;
      parts.push(appearing(begin * SLOWER, text(left + 14, y + 12, shown, { size: 11, fill: theme.soft })));
      let written = 0;
      for (const [k, chunk] of answer[decoder].chunks.entries()) {
        const piece = k === 0 ? chunk.text.trimStart() : chunk.text;
        const fill = k % 2 === 1 && decoder !== "ar" ? colour : theme.text;
        for (const [line, column, part] of pieces(layout[i], written, piece)) {
          if (part.trim() === "") continue;
          const extra = ` textLength="${round(part.length * letter)}" lengthAdjust="spacingAndGlyphs" xml:space="preserve"`;
          const style = { size: 12.5, family: MONO, fill, extra };
          const drawn = text(left + 14 + column * letter, y + 28 + line * lineHeight, part, style);
          parts.push(appearing((begin + chunk.ms) * SLOWER, drawn));
        }
        written += piece.length;
      }
      begin += answer[decoder].ms;
    }
    const done = { size: 15, weight: 600, fill: colour, anchor: "end" };
    parts.push(appearing(begin * SLOWER, text(left + panel - 14, 34, `${(begin / 1000).toFixed(2)} s`, done)));
  }
  const caption = `the same model, the same text; recorded times, shown ${SLOWER} times slower`;
  parts.push(text(width / 2, height - 14, caption, { size: 12, fill: theme.soft, anchor: "middle" }));
  const still = "@media (prefers-reduced-motion: reduce){g{animation:none !important}}";
  const seconds = totals.map((ms) => (ms / 1000).toFixed(2));
  const title = `The same model answers ${answers.length} questions: ${seconds[0]} s with one token per pass, ${seconds[1]} s with several`;
  return svg(width, height, title, parts.join("\n"), styles.join("") + still);
}

/** A block of tokens converging, pass by pass: what is settled, what was guessed. */
function convergence(theme) {
  const { points, settled, tokens, prompt } = readResult("trajectory");
  const rows = points.length;
  const [left, top, cell, rowHeight] = [96, 64, 84, 34];
  const width = left + tokens * cell + 16;
  const height = top + rows * rowHeight + 40;
  const parts = [`<rect width="${width}" height="${height}" rx="8" fill="${theme.page}"/>`];
  parts.push(text(16, 28, `after “${prompt}”`, { size: 14, weight: 600, fill: theme.text }));
  parts.push(text(16, 48, "each row is one pass; green tokens are final", { size: 12, fill: theme.soft }));
  for (const [r, point] of points.entries()) {
    const y = top + r * rowHeight;
    parts.push(text(16, y + 21, r === 0 ? "guess" : `pass ${r}`, { size: 13, fill: theme.soft }));
    for (const [c, token] of point.entries()) {
      const fill = c < settled[r] ? theme.settled : theme.guess;
      const x = left + c * cell;
      parts.push(`<rect x="${x}" y="${y + 3}" width="${cell - 4}" height="${rowHeight - 6}" rx="4" fill="${fill}"/>`);
      const shown = token.replaceAll("\n", "⏎").trim();
      parts.push(
        text(x + (cell - 4) / 2, y + 21, shown.length > 10 ? `${shown.slice(0, 9)}…` : shown, {
          size: 11.5,
          family: MONO,
          fill: theme.text,
          anchor: "middle",
        }),
      );
    }
  }
  parts.push(
    text(16, height - 14, `${tokens} tokens in ${rows - 1} passes, the tokens of one-by-one decoding`, {
      size: 12,
      fill: theme.soft,
    }),
  );
  return svg(
    width,
    height,
    `Jacobi decoding: a block of ${tokens} guessed tokens is right after ${rows - 1} passes`,
    parts.join("\n"),
  );
}

const numberOf = (cell) => (typeof cell === "number" ? cell : cell?.value);

/** Horizontal bars with their values, each with a name. */
function bars(theme, title, unit, entries, digits = 2) {
  const [left, top, rowHeight, barWidth] = [250, 52, 28, 380];
  const width = left + barWidth + 70;
  const height = top + entries.length * rowHeight + 34;
  const most = Math.max(...entries.map(({ value }) => value));
  const parts = [
    `<rect width="${width}" height="${height}" rx="8" fill="${theme.page}"/>`,
    text(16, 28, title, { size: 14, weight: 600, fill: theme.text }),
  ];
  for (const [i, { name, value, strong }] of entries.entries()) {
    const y = top + i * rowHeight;
    const length = round((barWidth * value) / most);
    parts.push(text(left - 10, y + 16, name, { size: 12.5, fill: theme.text, anchor: "end" }));
    parts.push(
      `<rect x="${left}" y="${y + 3}" width="${length}" height="${rowHeight - 9}" rx="3" fill="${strong ? theme.many : theme.one}"/>`,
    );
    parts.push(text(left + length + 8, y + 16, value.toFixed(digits), { size: 12.5, fill: theme.text }));
  }
  parts.push(text(left, height - 14, unit, { size: 12, fill: theme.soft }));
  const values = entries.map(({ name, value }) => `${name} ${value.toFixed(digits)}`).join(", ");
  return svg(width, height, `${title}: ${values}`, parts.join("\n"));
}

function tokensPerPass(theme) {
  const entries = ["spider-zen4", "spider-drafts"]
    .flatMap((name) => readResult(name).rows)
    .filter(({ decoder }) => decoder !== "`ar`")
    .map(({ contender, decoder, tokensPerForward }) => ({
      name: `${contender}, ${decoder.replaceAll("`", "")}`,
      value: numberOf(tokensPerForward),
      strong: contender === "CLLM",
    }));
  entries.sort((a, b) => b.value - a.value);
  return bars(
    theme,
    "Tokens per pass by decoder, Spider",
    "tokens that one pass writes on average; one by one writes 1",
    entries,
  );
}

/** Points on two axes, each with a name. */
function scatter(theme, title, { xLabel, yLabel, xRange, yRange, xTicks, yTicks }, points) {
  const [width, height, left, top, right, bottom] = [720, 410, 64, 64, 24, 52];
  const x = (value) => left + ((value - xRange[0]) / (xRange[1] - xRange[0])) * (width - left - right);
  const y = (value) => height - bottom - ((value - yRange[0]) / (yRange[1] - yRange[0])) * (height - top - bottom);
  const parts = [
    `<rect width="${width}" height="${height}" rx="8" fill="${theme.page}"/>`,
    text(16, 28, title, { size: 14, weight: 600, fill: theme.text }),
  ];
  for (const tick of yTicks) {
    parts.push(
      `<line x1="${left}" x2="${width - right}" y1="${round(y(tick))}" y2="${round(y(tick))}" stroke="${theme.line}" stroke-width="0.7"/>`,
    );
    parts.push(text(left - 8, y(tick) + 4, String(tick), { size: 12, fill: theme.soft, anchor: "end" }));
  }
  for (const tick of xTicks)
    parts.push(text(x(tick), height - bottom + 20, String(tick), { size: 12, fill: theme.soft, anchor: "middle" }));
  parts.push(text((left + width - right) / 2, height - 12, xLabel, { size: 12.5, fill: theme.soft, anchor: "middle" }));
  parts.push(text(14, top - 14, yLabel, { size: 12.5, fill: theme.soft }));
  for (const { name, at, strong, below } of points) {
    parts.push(
      `<circle cx="${round(x(at[0]))}" cy="${round(y(at[1]))}" r="5.5" fill="${strong ? theme.many : theme.one}"/>`,
    );
    const end = x(at[0]) > width * 0.72;
    parts.push(
      text(x(at[0]) + (end ? -10 : 10), y(at[1]) + (below ? 18 : -6), name, {
        size: 12,
        fill: theme.text,
        anchor: end ? "end" : "start",
      }),
    );
  }
  const described = points.map(({ name, at }) => `${name}: ${at[0]} and ${at[1]}`).join("; ");
  return svg(width, height, `${title}. ${described}`, parts.join("\n"));
}

function quality(theme) {
  const points = readResult("spider-zen4").rows.map((row) => ({
    name: `${row.contender}, ${row.decoder.replaceAll("`", "")}`,
    at: [numberOf(row.right), numberOf(row.speedup)],
    strong: row.contender === "CLLM",
    below: row.id === "cllm-ar",
  }));
  const axes = {
    xLabel: "right answers, %",
    yLabel: "speed-up",
    xRange: [34, 38],
    yRange: [0, 2.5],
    xTicks: [34, 35, 36, 37, 38],
    yTicks: [0, 0.5, 1, 1.5, 2, 2.5],
  };
  return scatter(theme, "Speed against quality, Spider, 534 questions", axes, points);
}

function passCosts(theme) {
  const result = readResult("passes"); // the last line of `npm run bench -- speed`
  const series = ["int8", "fp32", "int4"]
    .filter((precision) => result[precision])
    .map((precision) => {
      const costs = Object.entries(result[precision].costs).map(([count, ms]) => [Number(count), ms]);
      return { name: precision, costs: costs.map(([count, ms]) => [count, ms / costs[0][1]]) };
    });
  const [width, height, left, top, right, bottom] = [720, 380, 64, 60, 150, 52];
  const rows = series[0].costs.map(([count]) => count);
  const most = Math.ceil(Math.max(...series.flatMap(({ costs }) => costs.map(([, ratio]) => ratio))));
  const x = (count) => left + (Math.log2(count) / Math.log2(Math.max(...rows))) * (width - left - right);
  const y = (ratio) => height - bottom - (ratio / most) * (height - top - bottom);
  const colours = [theme.many, theme.one, theme.soft];
  const parts = [
    `<rect width="${width}" height="${height}" rx="8" fill="${theme.page}"/>`,
    text(16, 28, "What a pass of several tokens costs, in passes of one token", {
      size: 14,
      weight: 600,
      fill: theme.text,
    }),
  ];
  for (let tick = 0; tick <= most; tick++) {
    parts.push(
      `<line x1="${left}" x2="${width - right}" y1="${round(y(tick))}" y2="${round(y(tick))}" stroke="${theme.line}" stroke-width="0.7"/>`,
    );
    parts.push(text(left - 8, y(tick) + 4, String(tick), { size: 12, fill: theme.soft, anchor: "end" }));
  }
  for (const count of rows)
    parts.push(text(x(count), height - bottom + 20, String(count), { size: 12, fill: theme.soft, anchor: "middle" }));
  parts.push(
    text((left + width - right) / 2, height - 12, "tokens of the pass", {
      size: 12.5,
      fill: theme.soft,
      anchor: "middle",
    }),
  );
  for (const [i, { name, costs }] of series.entries()) {
    const path = costs
      .map(([count, ratio], k) => `${k === 0 ? "M" : "L"}${round(x(count))} ${round(y(ratio))}`)
      .join("");
    parts.push(`<path d="${path}" fill="none" stroke="${colours[i]}" stroke-width="2.5"/>`);
    const [count, ratio] = costs.at(-1);
    parts.push(text(x(count) + 8, y(ratio) + 4, name, { size: 12.5, fill: colours[i], weight: 600 }));
  }
  const described = series
    .map(
      ({ name, costs }) =>
        `${name}: ${costs.map(([count, ratio]) => `${count} tokens ${ratio.toFixed(2)}`).join(", ")}`,
    )
    .join("; ");
  return svg(
    width,
    height,
    `What a pass of several tokens costs, in passes of one token. ${described}`,
    parts.join("\n"),
  );
}

/** Name of the picture, the results that it is made of, and how it is drawn. */
const PICTURES = [
  ["race", ["race"], race],
  ["jacobi", ["trajectory"], convergence],
  ["tokens-per-pass", ["spider-zen4", "spider-drafts"], tokensPerPass],
  ["speed-and-quality", ["spider-zen4"], quality],
  ["pass-costs", ["passes"], passCosts],
];

const check = process.argv.includes("--check");
mkdirSync(FOLDER, { recursive: true });
for (const [name, results, draw] of PICTURES) {
  if (!results.every((result) => existsSync(join(root, "bench/results", `${result}.json`)))) {
    console.error(`pictures: ${name} needs ${results.join(", ")} in bench/results`);
    process.exitCode = 1;
    continue;
  }
  for (const [mode, theme] of Object.entries(THEMES)) {
    const file = join(FOLDER, `${name}-${mode}.svg`);
    const drawn = draw(theme);
    if (existsSync(file) && readFileSync(file, "utf8") === drawn) continue;
    if (check) {
      console.error(`docs/pictures/${name}-${mode}.svg is not what bench/results gives; run npm run docs`);
      process.exitCode = 1;
    } else writeFileSync(file, drawn);
  }
}
