/** How far an evaluation is, for people, and how to go on where it was stopped. Knows no flags and no report. */
import type { Evaluation, EvaluationProgress } from "../eval/run.ts";
import type { WorkFolder } from "../files/remote.ts";
import { formatDuration } from "./format.ts";
import type { Terminal } from "./terminal.ts";

const NOTE_EVERY_MS = 30_000; // where no bar can be shown
const FIRST_NOTE = 8; // answers after which the time left can be told

/** Shows how far it is and how long it will take, and says how to go on where it was stopped. */
export async function followEvaluation(
  run: AsyncGenerator<EvaluationProgress, Evaluation, void>,
  path: string,
  work: WorkFolder,
  terminal: Terminal,
): Promise<Evaluation> {
  let begin = performance.now();
  let noted: number | null = null;
  let progress: EvaluationProgress | null = null;
  try {
    for (;;) {
      const { done, value } = await run.next();
      if (done) return value;
      const { stage, what, resumed } = value;
      await work.sync();
      if (progress === null && stage !== "trace" && resumed > 0) {
        terminal.note(`going on with ${path}: ${resumed} answers are there`);
      }
      if (progress?.stage !== stage) begin = performance.now(); // the first of a stage tells nothing of its time
      progress = value;
      const unit = stage === "warm up" ? "contenders" : stage === "answer" ? "answers" : "trajectories";
      terminal.progress({ stage, what, done: value.done, total: value.total, unit });
      if (process.stderr.isTTY || stage !== "answer") continue;
      const now = performance.now();
      if (noted === null ? value.done !== FIRST_NOTE : now - noted < NOTE_EVERY_MS) continue;
      noted = now;
      const left = ((now - begin) / Math.max(1, value.done - 1)) * (value.total - value.done);
      terminal.note(`${value.done} of ${value.total} answers, about ${formatDuration(left)} left`);
    }
  } catch (error) {
    terminal.endProgress();
    if (progress !== null || terminal.signal.aborted) {
      terminal.note(`stopped: ${keptAnswers(progress, path)}; run the same command again to go on`);
    }
    throw error;
  } finally {
    terminal.endProgress();
  }
}

/** What an evaluation that was stopped leaves behind. */
function keptAnswers(progress: EvaluationProgress | null, path: string): string {
  if (progress?.stage === "trace") return `all answers are in ${path}`;
  if (progress?.stage === "answer") {
    const { done, total, resumed } = progress;
    return `${done + resumed} of ${total + resumed} answers are in ${path}`;
  }
  return progress === null || progress.resumed === 0
    ? "no question was asked yet"
    : `${progress.resumed} answers are in ${path}`;
}
