/**
 * Counts what compiling a format takes, so that one that explodes ends in an error, on every machine the same one, and soon: nobody
 * waits for it longer than half a second. Knows no notation.
 */
import { CllmError } from "../error.ts";

const MOST = 800_000; // about half a microsecond each

export class Work {
  #done = 0;

  /** So many steps were taken at a place, which is named where they are too many. */
  spend(steps: number, place: string): void {
    this.#done += steps;
    if (this.#done > MOST)
      throw new CllmError(
        "usage",
        `the format takes too long to compile: it grows without end at ${place.slice(0, 200)}; repeat or combine less there`,
      );
  }
}

/** Work at a place. */
export interface At {
  readonly work: Work;
  readonly place: string;
}
