/** Decoders side by side as a table for people. Measures nothing. */
import { formatTable } from "./format.ts";
import type { DecoderSummary } from "./measure.ts";
import type { Colors } from "./terminal.ts";

/** One line for each decoder, the fastest one's speed in green and mismatches in red. */
export function decoderTable(summaries: readonly DecoderSummary[], colors: Colors): string {
  const best = Math.max(...summaries.map(({ tokensPerSecond }) => tokensPerSecond));
  const lines = summaries.map((summary) => {
    const [q1, q3] = summary.tokensPerSecondQuartiles;
    const speed = fixed(summary.tokensPerSecond, 1);
    return [
      summary.name,
      summary.tokensPerSecond === best ? colors.green(speed) : speed,
      `${fixed(q1, 1)}-${fixed(q3, 1)}`,
      `${fixed(summary.speedup, 2)}x`,
      fixed(summary.tokensPerForward, 2),
      summary.mismatches === 0 ? "0" : colors.red(String(summary.mismatches)),
    ];
  });
  return formatTable(["decoder", "tokens/s", "quartiles", "speed-up", "tokens/pass", "mismatches"], lines, colors);
}

const fixed = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : "-");
