/** Medusa heads as a draft: the likeliest guess of each, behind the last token. Knows no tree and no pass. */
import type { DraftPolicy } from "./drafts.ts";
import type { Transcript } from "./transcript.ts";

/** `row` says which row of the last pass the last token follows: that is what the heads read. */
export function fromHeads(text: Pick<Transcript, "headGuesses">, row: () => number): DraftPolicy {
  return () => ({
    async guess(_text, _guesses, { count }) {
      const found = await text.headGuesses(row());
      return Int32Array.from(found.slice(0, count), (ids) => ids[0] as number);
    },
    [Symbol.asyncDispose]: async () => {},
  });
}
