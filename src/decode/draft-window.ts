/**
 * The guesses that draft rows refine from pass to pass, as a window that moves over the text: which of them are worth verifying, and
 * how many rows of either kind promise most. Knows neither passes nor where new guesses come from.
 */

import type { Session, TokenIds } from "../runtime/session.ts";
import type { Acceptance } from "./acceptance.ts";

/** The guesses worth verifying: those before the draft tokens at the end, which no text has. */
export function worthVerifying(guesses: TokenIds, { draftToken }: Pick<Session, "draftToken">): TokenIds {
  let end = guesses.length;
  while (end > 0 && guesses[end - 1] === draftToken) end--;
  return guesses.subarray(0, end);
}

/** Rows of a pass: those that verify, and the draft rows that refine. */
export interface DraftPlan {
  readonly verify: number;
  readonly drafts: number;
  /** Tokens that such passes settle in the time of a pass of one row. */
  readonly promise: number;
}

/** What planning looks at. */
export interface DraftOutlook {
  /** How often refined guesses were right, by depth; and what is thought of the first one before any was seen. */
  readonly record: Acceptance;
  readonly prior: number;
  /** Most rows that verify, and most rows of a pass. */
  readonly most: number;
  readonly rows: number;
  /** What a pass with draft rows costs more than one of one row, as a share of that, by its rows. */
  readonly loss: Float64Array;
  /** Draft rows of the pass before: others must promise `stay` times as much, because each change costs guesses. */
  readonly last: number;
  readonly stay: number;
  /** Whether so much may be lost by a pass. Default: any loss. */
  readonly affords?: (loss: number) => boolean;
}

/**
 * The numbers of rows that promise the most tokens per time, one such pass after another. A window of g draft rows goes on with what is
 * left of it when k tokens settled, so these solve k = f(g + 1 - k), as a Jacobi window of g + 1 rows does; and with v rows
 * that verify, no more than f(v - 1) settle.
 */
export function planDrafts(outlook: DraftOutlook): DraftPlan {
  const { record, prior, most, rows, loss, last, stay, affords = () => true } = outlook;
  const settled = new Float64Array(rows + 1);
  const steady = new Float64Array(rows + 1);
  record.expect(settled, Math.min(most, rows - 1), prior);
  record.expectWindow(steady, rows, prior);
  let best: DraftPlan = { verify: 1, drafts: 0, promise: 0 };
  let worth = 0;
  for (let drafts = 1; drafts < rows; drafts++) {
    for (let verify = 1; verify <= Math.min(most, rows - drafts); verify++) {
      const tokens = Math.min(settled[verify] as number, steady[drafts + 1] as number);
      const promise = tokens / (1 + (loss[verify + drafts] as number));
      const kept = drafts === last ? promise * stay : promise;
      if (kept <= worth || !affords(loss[verify + drafts] as number)) continue;
      worth = kept;
      best = { verify, drafts, promise };
    }
  }
  return best;
}
