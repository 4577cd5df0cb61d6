/**
 * A browser cannot stop synchronous work: it runs to its end. Steps and sizes still bound templates; a regular expression that never
 * ends is ended with the worker that it runs in. The twin of `within-time.ts`.
 */

/** Never thrown here. */
export class TimeLimitError extends Error {
  override readonly name: string = "TimeLimitError";
}

export function withinTime<T>(_timeoutMs: number, work: () => T): T {
  return work();
}
