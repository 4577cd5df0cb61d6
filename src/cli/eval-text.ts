/** An evaluation as tables for people. Measures nothing. */

import { DASH, fixed, withInterval } from "../eval/markup.ts";
import type { ContenderSummary, EvaluationSummary } from "../eval/summary.ts";
import { VERDICTS } from "../tasks/task.ts";
import { formatTable, formatToken } from "./format.ts";
import type { Colors } from "./terminal.ts";

const LONGEST_TOKEN = 24;
const COLLOCATIONS = 5;

export function evaluationText(summary: EvaluationSummary, colors: Colors): string {
  const answers = [contenderTable(summary, colors), endedTable(summary, colors), verdictTable(summary, colors)];
  const tables = [...answers, traceTable(summary, colors)];
  return tables.filter((table) => table !== "").join("\n");
}

/** The fastest one's speed in green, what must not differ in red. */
function contenderTable({ contenders }: EvaluationSummary, colors: Colors): string {
  const rated = contenders.some(({ rating }) => rating !== null);
  const fastest = Math.max(...contenders.map(({ tokensPerSecond }) => tokensPerSecond?.median ?? 0));
  const lines = contenders.map((contender) => {
    const { tokensPerSecond: speed, differing, againstTarget } = contender;
    const median = fixed(speed?.median, 1);
    return [
      contender.name,
      rated ? withInterval(contender.rating, 2) : withInterval(contender.score, 1, 100),
      againstTarget === null ? DASH : withInterval(againstTarget.difference, 1, 100),
      againstTarget === null ? DASH : fixed(againstTarget.p, 3),
      speed?.median === fastest ? colors.green(median) : median,
      speed === null ? DASH : `${fixed(speed.q1, 1)}-${fixed(speed.q3, 1)}`,
      withInterval(contender.speedup, 2),
      fixed(contender.tokensPerForward, 2),
      differing === 0 ? "0" : colors.red(String(differing)),
    ];
  });
  const head = ["contender", rated ? "rating" : "score, %", "over the target", "p", "tokens/s", "quartiles"];
  return formatTable([...head, "speed-up", "tokens/pass", "unlike ar"], lines, colors);
}

/** Where the budget ended answers: how many, and what the figures are without them. */
function endedTable({ contenders, endedQuestions }: EvaluationSummary, colors: Colors): string {
  if (contenders.every(({ cutOff }) => cutOff === 0)) return "";
  const lines = contenders.map(({ name, cutOff, ended }) => [
    name,
    String(cutOff),
    withInterval(ended.speedup, 2),
    fixed(ended.tokensPerForward, 2),
  ]);
  const which = `on the ${endedQuestions} that all end`;
  return formatTable([which, "cut off", "speed-up", "tokens/pass"], lines, colors);
}

function verdictTable({ contenders }: EvaluationSummary, colors: Colors): string {
  const seen = VERDICTS.filter((verdict) => contenders.some(({ verdicts }) => verdicts[verdict] !== undefined));
  const measures = [...new Set(contenders.flatMap((contender) => Object.keys(contender.measures)))];
  const cells = (contender: ContenderSummary): string[] => [
    ...seen.map((verdict) => String(contender.verdicts[verdict] ?? 0)),
    ...measures.map((name) => fixed(contender.measures[name], 3)),
  ];
  const lines = contenders.map((contender) => [contender.name, ...cells(contender)]);
  return formatTable(["verdicts", ...seen, ...measures], lines, colors);
}

function traceTable({ traces }: EvaluationSummary, colors: Colors): string {
  if (traces.length === 0) return "";
  const lines = traces.map((trace) => [
    `${trace.model}, blocks of ${trace.blockSize}`,
    String(trace.blocks),
    fixed(trace.iterationsPerBlock, 2),
    fixed(trace.fastForwarded, 2),
    fixed(trace.stationary, 2),
    String(trace.distinctCollocations),
  ]);
  const head = ["trajectories", "blocks", "iterations/block", "fast-forwarded", "stationary/block", "collocations"];
  const lists = traces
    .filter(({ collocations }) => collocations.length > 0)
    .map(({ model, collocations }) => {
      const lines = collocations
        .slice(0, COLLOCATIONS)
        .map(({ texts, count }) => [texts.map((text) => formatToken(text, LONGEST_TOKEN)).join("│"), String(count)]);
      return formatTable([`${model}: settled together`, "times"], lines, colors);
    });
  return [formatTable(head, lines, colors), ...lists].join("\n");
}
