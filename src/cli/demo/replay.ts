/**
 * Generations beside each other as they came, slowed down so that one can follow: a line for each decoder, which grows by
 * what each pass brought. Decodes nothing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { passColor } from "../passes.ts";
import type { Terminal } from "../terminal.ts";

export interface Replayed {
  readonly label: string;
  /** The text of each pass. */
  readonly texts: readonly string[];
  /** How long all passes took. */
  readonly milliseconds: number;
  /** What stands behind the whole text at the end. */
  readonly verdict: string;
  /** Each pass in a colour of its own, or, without colour, a bar between passes. */
  readonly byPass: boolean;
}

const FRAME_MS = 40;
const CLEAR_LINE = "\r\x1b[2K";

/** On a terminal, plays the lines at the same time, `slowdown` times slower than they were. Leaves them whole. */
export async function replay(lines: readonly Replayed[], slowdown: number, terminal: Terminal): Promise<void> {
  const width = Math.max(...lines.map(({ label }) => label.length));
  if (terminal.interactive) {
    const begin = performance.now();
    const longest = Math.max(...lines.map(({ milliseconds }) => milliseconds)) * slowdown;
    terminal.write("\n".repeat(lines.length));
    for (let now = 0; now < longest; now = performance.now() - begin) {
      const drawn = lines.map((line) => {
        const passes = Math.floor((now / slowdown / line.milliseconds) * line.texts.length);
        return `${CLEAR_LINE}${drawLine(line, Math.min(passes, line.texts.length), width, terminal, terminal.columns - 1)}`;
      });
      terminal.write(`\x1b[${lines.length}A${drawn.join("\n")}\n`);
      await sleep(FRAME_MS, undefined, { signal: terminal.signal });
    }
    terminal.write(`\x1b[${lines.length}A`);
  }
  for (const line of lines) {
    const whole = drawLine(line, line.texts.length, width, terminal, Number.POSITIVE_INFINITY);
    terminal.write(`${terminal.interactive ? CLEAR_LINE : ""}${whole}  ${terminal.colors.dim(line.verdict)}\n`);
  }
}

/** The first passes of a line, at most `room` columns of it. */
function drawLine(
  { label, texts, byPass }: Replayed,
  passes: number,
  width: number,
  { colors }: Terminal,
  room: number,
): string {
  let left = room - width - 4;
  let drawn = `  ${colors.bold(label.padEnd(width))}  `;
  for (const [pass, text] of texts.slice(0, passes).entries()) {
    const line = text.replaceAll(/\p{Cc}/gu, " "); // what would move the cursor
    const shown = (pass === 0 ? line.trimStart() : line).slice(0, Math.max(0, left));
    left -= text.length;
    if (shown === "") continue;
    const bar = byPass && !colors.isColorSupported && pass > 0 ? "│" : "";
    drawn += bar + (byPass ? passColor(pass, colors)(shown) : shown);
  }
  return drawn;
}
