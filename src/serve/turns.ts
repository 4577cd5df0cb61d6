/** Who may go on next, where everything happens in one thread. Knows nothing of what is done in a turn. */

/**
 * A gate that lets callers through, first come first served, `width` of them in each round of the event loop. So
 * requests that come back after every pass get one pass each in turn, and messages are read in between.
 */
export function createTurns(width = 1): () => Promise<void> {
  const waiting: (() => void)[] = [];
  const next = (): void => {
    for (const go of waiting.splice(0, width)) go();
    if (waiting.length > 0) setImmediate(next);
  };
  return () =>
    new Promise((resolve) => {
      if (waiting.push(resolve) === 1) setImmediate(next);
    });
}
