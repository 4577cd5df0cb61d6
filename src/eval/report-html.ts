/**
 * An evaluation as a page to read and to send around: its table beside the published results, charts, trajectories, and
 * the settings that reproduce it. Every text from models, data and settings is escaped. Measures nothing.
 */

import { escaped } from "../drawing/markup.ts";
import { VERDICTS } from "../tasks/task.ts";
import type { StoredSettings } from "./answers-file.ts";
import { acceptedCharts, blockSizeChart, colorsOf, scatterChart } from "./charts.ts";
import { DASH, escapedToken, fixed, stacked, stackedInterval } from "./markup.ts";
import { page } from "./page.ts";
import type { PublishedResult } from "./published.ts";
import type { Trace } from "./records.ts";
import type { ContenderSummary, EvaluationSummary, TokenText } from "./summary.ts";
import { traceTables } from "./trace-tables.ts";

export interface ReportInput {
  readonly task: string;
  readonly summary: EvaluationSummary;
  readonly settings: StoredSettings;
  readonly traces: readonly Trace[];
  readonly tokenText: TokenText;
  readonly published: readonly PublishedResult[];
  /** For people: when, and by which commit. */
  readonly made: string;
}

export function reportHtml(input: ReportInput): string {
  const { task, summary, made } = input;
  const { questions } = summary;
  const asked = `${questions} ${questions === 1 ? "question" : "questions"}`;
  const body = [
    `<h1>${escaped(task)}: ${asked}</h1>`,
    `<p class="note">${escaped(made)}</p>`,
    ...contenderTable(summary),
    ...endedTable(summary),
    ...scatterSection(summary, input.published),
    ...publishedTable(input.published),
    ...chartSections(summary),
    ...traceSections(input),
    ...verdictTable(summary),
    "<h2>Settings</h2>",
    `<pre>${escaped(JSON.stringify(input.settings, null, 2))}</pre>`,
  ];
  return page(`${task}: ${asked}`, body.join("\n"));
}

function table(head: readonly string[], lines: readonly string[]): string {
  const cells = head.map((name) => `<th scope="col">${name}</th>`).join("");
  return `<div class="wide"><table><thead><tr>${cells}</tr></thead><tbody>\n${lines.join("\n")}\n</tbody></table></div>`;
}

const line = (name: string, cells: readonly string[], kind = ""): string =>
  `<tr${kind === "" ? "" : ` class="${kind}"`}><th scope="row">${escaped(name)}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;

function contenderTable(summary: EvaluationSummary): readonly string[] {
  const { contenders, target } = summary;
  const rated = contenders.some(({ rating }) => rating !== null);
  const lines = contenders.map((contender) =>
    line(
      contender.name,
      [
        rated ? stackedInterval(contender.rating, 2) : stackedInterval(contender.score, 1, 100),
        stackedInterval(contender.againstTarget?.difference ?? null, 1, 100),
        fixed(contender.againstTarget?.p, 3),
        speedCell(contender),
        stackedInterval(contender.speedup, 2),
        stackedInterval(contender.speedupOverAr, 2),
        fixed(contender.tokensPerForward, 2),
        contender.differing === 0 ? "0" : `<span class="bad">${contender.differing}</span>`,
      ],
      contender.name === target ? "target" : "",
    ),
  );
  const head = [
    "contender",
    rated ? "rating of 10" : "score, %",
    "points over the target",
    "p",
    "tokens/s",
    "speed-up over the target",
    "over its own AR",
    "tokens per forward",
    "answers unlike AR",
  ];
  return [
    table(head, lines),
    `<p class="note">The target is ${escaped(target)}. In small print 95 % intervals: Wilson's of a score, else by drawing
questions anew, in pairs. p is McNemar's exact test. Tokens per second: decoding only, median over the questions and quartiles.</p>`,
  ];
}

function speedCell({ tokensPerSecond: speed }: ContenderSummary): string {
  return speed === null ? DASH : stacked(fixed(speed.median, 1), fixed(speed.q1, 1), fixed(speed.q3, 1));
}

/** Where the budget ended answers: how many, and what the figures are without them. */
function endedTable({ contenders, endedQuestions }: EvaluationSummary): readonly string[] {
  if (contenders.every(({ cutOff }) => cutOff === 0)) return [];
  const lines = contenders.map(({ name, cutOff, ended }) =>
    line(name, [String(cutOff), stackedInterval(ended.speedup, 2), fixed(ended.tokensPerForward, 2)]),
  );
  return [
    "<h2>Answers that end by themselves</h2>",
    table(["contender", "answers that the budget ended", "speed-up over the target", "tokens per forward"], lines),
    `<p class="note">Many answers that never end loop, and loops are written fast. The last two columns are over the
${endedQuestions} questions that all contenders' answers end on by themselves.</p>`,
  ];
}

function verdictTable({ contenders }: EvaluationSummary): readonly string[] {
  const seen = VERDICTS.filter((verdict) => contenders.some(({ verdicts }) => verdicts[verdict] !== undefined));
  const measures = [...new Set(contenders.flatMap((contender) => Object.keys(contender.measures)))];
  if (seen.length === 0) return [];
  const lines = contenders.map((contender) =>
    line(contender.name, [
      ...seen.map((verdict) => String(contender.verdicts[verdict] ?? 0)),
      ...measures.map((name) => fixed(contender.measures[name], 3)),
      String(contender.newTokens),
    ]),
  );
  const head = ["contender", ...seen, ...measures.map((name) => `mean of ${escaped(name)}`), "new tokens"];
  return ["<h2>Verdicts</h2>", table(head, lines)];
}

const stackedText = (text: string, below: string): string => `${escaped(text)}<small>${escaped(below)}</small>`;

const READ: Readonly<Record<PublishedResult["read"], string>> = {
  quoted: "quoted from the paper",
  plot: "read off the authors' plot",
  authors: "the authors' text",
};

function publishedTable(published: readonly PublishedResult[]): readonly string[] {
  if (published.length === 0) return [];
  const lines = published.map((one) => {
    const { system, variant, model, hardware, tokensPerSecond, speedup, score, tokensPerForward, source, read } = one;
    const what = variant === null ? system : `${system} (${variant})`;
    const figures = [fixed(score, 1), fixed(tokensPerSecond, 1), fixed(speedup, 1), fixed(tokensPerForward, 1)];
    return line(what, [...figures, stackedText(model, hardware), stackedText(source, READ[read])]);
  });
  const head = ["published", "score", "tokens/s", "speed-up", "tokens per forward", "model and hardware", "source"];
  return [
    "<h2>Published</h2>",
    table(head, lines),
    `<p class="note">Other models on other hardware, not measured here: compare ratios, and those with care. The source is that of
the speed.</p>`,
  ];
}

function scatterSection(summary: EvaluationSummary, published: readonly PublishedResult[]): readonly string[] {
  const scatter = scatterChart(summary, published);
  if (scatter === "") return [];
  const chips = colorsOf(summary).map(({ model, color }) => `<span class="chip ${color}"></span>${escaped(model)} `);
  return [
    "<h2>Speed against score</h2>",
    `<p class="note">${chips.join("")} with 95 % intervals. Hollow: published results, whose speed-up is over their own baseline.</p>`,
    scatter,
  ];
}

function chartSections(summary: EvaluationSummary): readonly string[] {
  const accepted = acceptedCharts(summary);
  const sizes = blockSizeChart(summary);
  const many = `<div class="many">${accepted.join("\n")}</div>`;
  return [
    ...(accepted.length === 0 ? [] : ["<h2>Tokens accepted in a pass</h2>", many]),
    ...(sizes === "" ? [] : ["<h2>Speed against block size</h2>", sizes]),
  ];
}

function traceSections({ summary, traces, tokenText }: ReportInput): readonly string[] {
  if (summary.traces.length === 0) return [];
  const lines = summary.traces.map((one) =>
    line(`${one.model}, blocks of ${one.blockSize}`, [
      String(one.questions),
      String(one.blocks),
      fixed(one.iterationsPerBlock, 2),
      fixed(one.fastForwarded, 2),
      fixed(one.stationary, 2),
      String(one.distinctCollocations),
    ]),
  );
  const head = [
    "trajectories",
    "questions",
    "blocks",
    "iterations per block",
    "fast-forwarded tokens per iteration",
    "stationary tokens per block",
    "different collocations",
  ];
  const common = summary.traces.filter(({ collocations }) => collocations.length > 0);
  const lists = common.map(({ model, blockSize, collocations }) => {
    const items = collocations.map(
      ({ texts, count }) =>
        `<tr><td class="text"><code>${texts.map((text) => escapedToken(text)).join("│")}</code></td><td>${count}</td></tr>`,
    );
    const caption = `<h3>${escaped(`${model}, blocks of ${blockSize}`)}</h3>`;
    return `<div>${caption}<table><thead><tr><th class="text" scope="col">settled together</th><th scope="col">times</th></tr></thead><tbody>${items.join("\n")}</tbody></table></div>`;
  });
  return [
    "<h2>Trajectories</h2>",
    table(head, lines),
    `<p class="note"><span class="key settled">settled</span><span class="key early">right before its turn</span><span class="key open">not right yet</span>
Line 0 is the draft; a pass makes each next line. Arrow keys move a slider.</p>`,
    traceTables(traces, tokenText),
    ...(lists.length === 0 ? [] : ["<h2>Commonest collocations</h2>", `<div class="many">${lists.join("\n")}</div>`]),
  ];
}
