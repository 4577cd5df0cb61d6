/**
 * Where a command writes: the result to standard output, notes and progress to standard error, colour and bars only on
 * a terminal. Knows no command.
 */
import cliProgress from "cli-progress";
import pc from "picocolors";
import { CllmError } from "../error.ts";
import { formatBytes } from "./format.ts";

export type Colors = ReturnType<typeof pc.createColors>;

/** Something that takes long; the library's `Progress` is one of these. */
export interface Progress {
  readonly stage: string;
  readonly what: string;
  readonly done: number;
  /** 0 while unknown. */
  readonly total: number;
  readonly unit: string;
}

/** How the user wants to be written to. */
export interface TerminalOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly color: boolean;
}

export interface Terminal {
  readonly json: boolean;
  /** Standard output is a terminal, so what is there can be redrawn. */
  readonly interactive: boolean;
  /** Columns of the terminal, 100 where there is none. */
  readonly columns: number;
  /** Colours for standard output: none where it is piped, or where NO_COLOR or --no-color says so. */
  readonly colors: Colors;
  /** Aborted by Ctrl-C, by a termination signal, and when standard output is closed by its reader. */
  readonly signal: AbortSignal;
  /** A command that takes longer than a second to end after the signal says so; the process ends at the latest then. */
  allow(graceMs: number): void;
  /** Part of the result, as it is. */
  write(text: string): void;
  /** A line for people, on standard error; nothing with --quiet. */
  note(line: string): void;
  /** Shows a bar for what takes more than a moment. */
  readonly progress: (progress: Progress) => void;
  /** Takes the bar away; the next progress shows it again. */
  endProgress(): void;
}

/** A bar shows only for what has gone on this long. */
const BAR_DELAY_MS = 400;

export function createTerminal(
  { json, quiet, color }: TerminalOptions,
  signal: AbortSignal,
  allow: (graceMs: number) => void = () => {},
): Terminal {
  const { stdout, stderr } = process;
  const { NO_COLOR, FORCE_COLOR } = process.env;
  const forced = Boolean(FORCE_COLOR) && FORCE_COLOR !== "0";
  const colorful = (stream: NodeJS.WriteStream): boolean => color && !NO_COLOR && (stream.isTTY === true || forced);
  const dim = pc.createColors(colorful(stderr)).dim;
  const bar = quiet || stderr.isTTY !== true ? null : createBar();
  return {
    json,
    interactive: stdout.isTTY === true && !json,
    columns: stdout.columns || 100,
    colors: pc.createColors(colorful(stdout) && !json),
    signal,
    allow,
    write: (text) => void stdout.write(text),
    note: (line) => {
      bar?.stop();
      if (!quiet) stderr.write(`${dim(line)}\n`);
    },
    progress: (progress) => bar?.update(progress),
    endProgress: () => bar?.stop(),
  };
}

interface Bar {
  update(progress: Progress): void;
  stop(): void;
}

function createBar(): Bar {
  let stage = "";
  let since = 0;
  let bar: cliProgress.SingleBar | null = null;
  const stop = (): void => {
    bar?.stop();
    bar = null;
    stage = "";
  };
  return {
    stop,
    update: (progress) => {
      const key = progress.stage === "download" ? `download ${progress.what}` : progress.stage;
      if (key !== stage) {
        stop();
        [stage, since] = [key, performance.now()];
      }
      const sudden = progress.total === 1; // what has no steps may block the process, so it is shown at once
      if (bar === null && !sudden && performance.now() - since < BAR_DELAY_MS) return;
      if (bar === null) {
        bar = new cliProgress.SingleBar(
          { format: formatBar, stream: process.stderr, hideCursor: true, clearOnComplete: true, fps: 20 },
          cliProgress.Presets.shades_classic,
        );
        bar.start(progress.total || 1, progress.done, { progress, since });
      }
      bar.setTotal(progress.total || 1);
      bar.update(progress.done, { progress, since });
      if (progress.total > 0 && progress.done >= progress.total) stop();
    },
  };
}

function formatBar(
  _options: cliProgress.Options,
  { progress: share }: cliProgress.Params,
  { progress, since }: { readonly progress: Progress; readonly since: number },
): string {
  const { stage, what, done, total, unit } = progress;
  if (total === 1) return `${stage.padEnd(9)} ${what}`;
  const width = 24;
  const filled = total > 0 ? Math.round(Math.min(1, share) * width) : 0;
  const count =
    unit === "bytes" ? `${formatBytes(done)}${total ? ` of ${formatBytes(total)}` : ""}` : `${done}/${total} ${unit}`;
  const seconds = (performance.now() - since) / 1000;
  const left = total > 0 && done > 0 ? `, ${Math.ceil((seconds * (total - done)) / done)} s left` : "";
  const line = `${stage.padEnd(9)} ${"█".repeat(filled)}${"░".repeat(width - filled)} ${count}${left}  ${what}`;
  return line.slice(0, (process.stderr.columns || 80) - 1);
}

/** What a failure becomes for its reader: one line, or one JSON object; the stack only where CLLM_DEBUG=1 asks for it. */
export function formatError(error: unknown, json: boolean): string {
  const code = error instanceof CllmError ? error.code : "internal";
  const message = (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, " ");
  const line = json ? JSON.stringify({ error: { code, message } }) : `cllm: error[${code}]: ${message}`;
  if (process.env["CLLM_DEBUG"] !== "1" || !(error instanceof Error)) return line;
  return `${line}\n${error.stack}${error.cause ? `\ncaused by ${stackOf(error.cause)}` : ""}`;
}

function stackOf(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
