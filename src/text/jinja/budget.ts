/**
 * Bounds on what a template may take: steps, sizes, depth and time. All of the interpreter's work is counted, and the
 * clock is read as the count goes on, so that nothing but this file is needed to stop a template. Knows no template.
 */

export interface TemplateLimits {
  /** Steps that a rendering may take; large values count as many. Real templates need some tens a message. */
  readonly maxSteps?: number | undefined;
  /** Longest text, and most elements of a list, that a template may make or write. */
  readonly maxSize?: number | undefined;
  /** For each rendering. */
  readonly timeoutMs?: number | undefined;
}

/** A template went past a limit; the message says which, going on from "the template". */
export class TemplateLimitError extends Error {
  override readonly name: string = "TemplateLimitError";
}

const CLOCK_STEPS = 5_000; // between two looks at the clock
const MAX_DEPTH = 200; // calls within calls
const CHARACTERS_PER_STEP = 64;

/** What is left of a rendering's limits. */
export class Budget {
  readonly maxSize: number;
  readonly #maxSteps: number;
  readonly #timeoutMs: number;
  readonly #deadline: number;
  #steps = 0;
  #nextLook = CLOCK_STEPS;
  #depth = 0;

  constructor({ maxSteps = 5_000_000, maxSize = 1 << 22, timeoutMs = 2_000 }: TemplateLimits = {}) {
    this.#maxSteps = maxSteps;
    this.maxSize = maxSize;
    this.#timeoutMs = timeoutMs;
    this.#deadline = performance.now() + timeoutMs;
  }

  /** Counts work. */
  step(count = 1): void {
    this.#steps += count;
    if (this.#steps > this.#maxSteps) {
      throw new TemplateLimitError(`did not come to an end within ${this.#maxSteps} steps`);
    }
    if (this.#steps < this.#nextLook) return;
    this.#nextLook = this.#steps + CLOCK_STEPS;
    if (performance.now() > this.#deadline) {
      throw new TemplateLimitError(`did not come to an end within ${this.#timeoutMs} ms`);
    }
  }

  /** Counts a value of so many elements before it is made. */
  size(elements: number): void {
    if (elements > this.maxSize) {
      throw new TemplateLimitError(`made a value of ${elements} elements, and at most ${this.maxSize} are allowed`);
    }
    this.step(elements);
  }

  /** Counts a text of so many UTF-16 units before it is made. */
  length(units: number): void {
    if (units > this.maxSize) this.size(units);
    this.step(1 + units / CHARACTERS_PER_STEP);
  }

  /** Counts a text that is there. */
  text(text: string): string {
    this.length(text.length);
    return text;
  }

  /** Runs a call within a call. */
  nested<T>(work: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new TemplateLimitError(`calls itself more than ${MAX_DEPTH} levels deep`);
    try {
      return work();
    } finally {
      this.#depth--;
    }
  }
}
