/**
 * Stop strings in text that comes in chunks. The text ends where a stop string is first complete, wherever the chunks
 * were cut; until then only what may be the beginning of one is held back. Knows no tokens.
 */
import { CllmError } from "../error.ts";

export interface StopMatch {
  /** Text that is safe to give out now. */
  readonly text: string;
  /** The stop string that ended the text, or null while it goes on. It is not part of any `text`. */
  readonly stop: string | null;
}

export interface StopMatcher {
  /** Takes the next chunk. After a stop, every further chunk gives nothing. */
  push(chunk: string): StopMatch;
  /** The text ends here: gives out what was held back. */
  end(): string;
}

/**
 * Looks for `stops`. Of those complete at the same character, the longest counts. The cost is linear in the text
 * (Knuth, Morris and Pratt, 1977, one automaton per stop string). Throws `bad-input` for an empty stop string, or one
 * that holds half a surrogate pair, which no text can contain.
 */
export function createStopMatcher(stops: readonly string[]): StopMatcher {
  for (const stop of stops) {
    if (stop === "" || /\p{Surrogate}/u.test(stop)) {
      throw new CllmError("bad-input", `the stop string ${JSON.stringify(stop)} is not usable: give whole characters`);
    }
  }
  const borders = stops.map(bordersOf);
  const matched = new Int32Array(stops.length); // how much of each stop string the text ends with
  let held = ""; // the longest of those beginnings
  let stopped: string | null = null;

  return {
    push(chunk) {
      if (stopped !== null) return { text: "", stop: stopped };
      const text = held + chunk;
      for (let i = held.length; i < text.length; i++) {
        let stop = "";
        for (let s = 0; s < stops.length; s++) {
          matched[s] = advance(stops[s]!, borders[s]!, matched[s]!, text[i]!);
          if (matched[s] === stops[s]!.length && stops[s]!.length > stop.length) stop = stops[s]!;
        }
        if (stop !== "") {
          stopped = stop;
          held = "";
          return { text: text.slice(0, i + 1 - stop.length), stop };
        }
      }
      const safe = text.length - matched.reduce((longest, length) => Math.max(longest, length), 0);
      held = text.slice(safe);
      return { text: text.slice(0, safe), stop: null };
    },
    end() {
      const rest = held;
      held = "";
      matched.fill(0);
      return rest;
    },
  };
}

/** For each beginning of `stop`, the length of its longest proper beginning that is also its end. */
function bordersOf(stop: string): Int32Array {
  const borders = new Int32Array(stop.length); // borders[i] is of stop[0..i]
  for (let i = 1; i < stop.length; i++) borders[i] = advance(stop, borders, borders[i - 1]!, stop[i]!);
  return borders;
}

/** How much of `stop` is matched after `character`, where `length < stop.length` of it was before. */
function advance(stop: string, borders: Int32Array, length: number, character: string): number {
  let matched = length;
  while (matched > 0 && stop[matched] !== character) matched = borders[matched - 1]!;
  return stop[matched] === character ? matched + 1 : 0;
}
