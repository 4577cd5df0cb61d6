/** Values from one side to the other of an asynchronous boundary, in order. Knows nothing of what they are. */

/** A queue with one reader. */
export class Mailbox<T> {
  readonly #values: T[] = [];
  #failure: { readonly error: unknown } | null = null;
  #reader: { resolve(value: T): void; reject(error: unknown): void } | null = null;

  push(value: T): void {
    const reader = this.#reader;
    this.#reader = null;
    if (reader === null) this.#values.push(value);
    else reader.resolve(value);
  }

  /** After what is in it already, every `take` throws `error`; the first failure counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#reader?.reject(error);
    this.#reader = null;
  }

  /** The next value, as soon as there is one. */
  take(): Promise<T> {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift()!);
    if (this.#failure !== null) return Promise.reject(this.#failure.error);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }
}

/**
 * Runs `source` as fast as it can, whatever its reader does: a client that reads slowly keeps no model busy. A reader that
 * stops calls `stop`, which should make the source end, and waits for that.
 */
export async function* eager<T, R>(source: AsyncGenerator<T, R, void>, stop: () => void): AsyncGenerator<T, R, void> {
  const box = new Mailbox<IteratorResult<T, R>>();
  const pump = async (): Promise<void> => {
    try {
      for (let done: boolean | undefined = false; !done; ) {
        const result = await source.next();
        box.push(result);
        done = result.done;
      }
    } catch (error) {
      box.fail(error);
    }
  };
  const pumped = pump();
  let over = false;
  try {
    for (;;) {
      const { done, value } = await box.take();
      over = done === true;
      if (done) return value;
      yield value;
    }
  } finally {
    if (!over) stop();
    await pumped;
  }
}
