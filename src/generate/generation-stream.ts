/**
 * A generation as it comes and as a whole: one object to iterate over, with a promise of what it amounts to. Knows nothing of
 * how chunks are made.
 */
import { CllmError } from "../error.ts";
import type { Chunk, Generation, GenerationStream } from "./types.ts";

/**
 * Nothing runs before the first chunk or the result is asked for. Asking for the result first reads everything at once;
 * what was read is kept for a later iteration.
 */
export function generationStream(chunks: AsyncGenerator<Chunk, Generation, void>): GenerationStream {
  const read: Promise<IteratorResult<Chunk, void>>[] = []; // for the reader to come
  let begun = false;
  let resolve!: (generation: Generation) => void;
  let reject!: (error: unknown) => void;
  const result = new Promise<Generation>((...settle) => {
    [resolve, reject] = settle;
  });
  result.catch(() => {}); // iterating throws the error too

  async function pull(): Promise<IteratorResult<Chunk, void>> {
    begun = true;
    try {
      const next = await chunks.next();
      if (!next.done) return next;
      if (next.value !== undefined) resolve(next.value); // it comes once; then a generator is only done
      return { done: true, value: undefined };
    } catch (error) {
      reject(error);
      throw error;
    }
  }
  async function readAll(): Promise<void> {
    for (;;) {
      const next = pull();
      read.push(next);
      if ((await next).done) return;
    }
  }
  async function leave(): Promise<IteratorResult<Chunk, void>> {
    begun = true;
    read.length = 0;
    await chunks.return(undefined as never);
    reject(new CllmError("aborted", "the generation was left before its end"));
    return { done: true, value: undefined };
  }

  return {
    get result() {
      if (!begun) readAll().catch(() => {});
      return result;
    },
    next: () => read.shift() ?? pull(),
    return: leave,
    [Symbol.asyncIterator]() {
      return this;
    },
    [Symbol.asyncDispose]: async () => void (await leave()),
  };
}
