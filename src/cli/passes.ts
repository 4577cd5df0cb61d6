/** What landed together: a generation cut by its passes, and a colour for each. Measures nothing. */
import type { Generation } from "../generate/types.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Colors } from "./terminal.ts";

/** The text of each pass, the prefill's first. Empty where a pass ended inside a character. */
export function textByPass({ tokens, stats }: Generation, tokenizer: Tokenizer): string[] {
  const texts: string[] = [];
  let [end, shown] = [0, 0];
  for (const count of [stats.prefillTokens, ...stats.accepted]) {
    end += count;
    const text = tokenizer.decode(tokens.subarray(0, end), { skipSpecialTokens: true });
    const whole = end >= tokens.length ? text : text.replace(/\ufffd+$/, "");
    texts.push(whole.slice(shown));
    shown = Math.max(shown, whole.length);
  }
  return texts;
}

/** A colour for the n-th pass, unlike its neighbours'. */
export function passColor(pass: number, { cyan, yellow, magenta, green }: Colors): (text: string) => string {
  return [cyan, yellow, magenta, green][pass % 4]!;
}
