/** Values from one side of an asynchronous boundary to the other, in order. Knows nothing of what they are. */

export interface MailboxOptions {
  /** Called where the reader leaves before the end. */
  readonly onLeave?: () => void;
  /** Called once when there will be no more, for whatever reason. */
  readonly onEnd?: () => void;
}

interface Reader<T> {
  resolve(result: IteratorResult<T, void>): void;
  reject(error: unknown): void;
}

/** A queue with one reader, who iterates over it: `push`, then `close` or `fail`. */
export class Mailbox<T> implements AsyncIterableIterator<T> {
  readonly #values: T[] = [];
  readonly #options: MailboxOptions;
  #end: { readonly error?: unknown } | null = null;
  #reader: Reader<T> | null = null;

  constructor(options: MailboxOptions = {}) {
    this.#options = options;
  }

  /** One more value; none after the end. */
  push(value: T): void {
    if (this.#end !== null) return;
    const reader = this.#take();
    if (reader === null) this.#values.push(value);
    else reader.resolve({ done: false, value });
  }

  /** There is nothing behind what is in it. The first end counts. */
  close(): void {
    if (this.#finish({})) this.#take()?.resolve({ done: true, value: undefined });
  }

  /** Behind what is in it, the reader gets `error`. The first end counts. */
  fail(error: unknown): void {
    if (this.#finish({ error })) this.#take()?.reject(error);
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#values.length > 0) return Promise.resolve({ done: false, value: this.#values.shift()! });
    if (this.#end === null) {
      return new Promise((resolve, reject) => {
        this.#reader = { resolve, reject };
      });
    }
    return "error" in this.#end ? Promise.reject(this.#end.error) : Promise.resolve({ done: true, value: undefined });
  }

  return(): Promise<IteratorResult<T, void>> {
    this.#values.length = 0;
    if (this.#end === null) this.#options.onLeave?.();
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #finish(end: { readonly error?: unknown }): boolean {
    if (this.#end !== null) return false;
    this.#end = end;
    this.#options.onEnd?.();
    return true;
  }

  #take(): Reader<T> | null {
    const reader = this.#reader;
    this.#reader = null;
    return reader;
  }
}
