/** Laws of a stream and its result: every chunk once and in order, whoever asks first, and a promise that always settles. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { generationStream } from "../../src/generate/generation-stream.ts";
import type { Chunk, Generation } from "../../src/generate/types.ts";

const generation = { text: "whole" } as Generation;
const fault = new Error("the engine failed");

/** Chunks that count their passes, and whether they were cleaned up. */
function source(length: number, fails: boolean) {
  const seen = { passes: 0, cleaned: 0 };
  async function* chunks(): AsyncGenerator<Chunk, Generation, void> {
    try {
      for (let i = 0; i < length; i++) {
        await null;
        seen.passes++;
        yield { text: String(i), tokens: Int32Array.of(i) };
      }
      if (fails) throw fault;
      return generation;
    } finally {
      seen.cleaned++;
    }
  }
  return { seen, stream: generationStream(chunks()) };
}

test("gives every chunk once and in order, and then the result, whenever that is asked for", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(8), fc.nat(9), fc.boolean(), fc.boolean(), async (length, askAt, fails, late) => {
      const { stream, seen } = source(length, fails);
      const texts: string[] = [];
      let result: Promise<Generation> | undefined;
      const read = async (): Promise<void> => {
        if (askAt === 0) result = stream.result;
        if (late) await new Promise(setImmediate);
        for await (const { text } of stream) {
          texts.push(text);
          if (texts.length === askAt) result = stream.result;
        }
      };
      const error = await read().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(texts).toEqual(Array.from({ length }, (_, i) => String(i)));
      expect(error).toBe(fails ? fault : undefined);
      if (fails) await expect(result ?? stream.result).rejects.toBe(fault);
      else expect(await (result ?? stream.result)).toBe(generation);
      expect(seen).toEqual({ passes: length, cleaned: 1 });
      expect((await stream.next()).done).toBe(true);
    }),
  );
});

test("nobody iterates, and the result comes all the same", async () => {
  const { stream } = source(3, false);
  expect(await stream.result).toBe(generation);
  const failing = source(3, true);
  await expect(failing.stream.result).rejects.toBe(fault);
});

test("is broken off: no further pass, cleaned up, and the result says so", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.boolean(), async (passes, ask) => {
      const { stream, seen } = source(9, false);
      let read = 0;
      for await (const _ of stream) if (++read === passes) break;
      expect(seen).toEqual({ passes, cleaned: 1 });
      if (ask) await expect(stream.result).rejects.toMatchObject({ code: "aborted" });
      expect((await stream.next()).done).toBe(true);
    }),
  );
});

test("never touched, it runs nothing", async () => {
  const { stream, seen } = source(3, false);
  await new Promise(setImmediate);
  await stream[Symbol.asyncDispose]();
  expect(seen).toEqual({ passes: 0, cleaned: 0 });
  await expect(stream.result).rejects.toMatchObject({ code: "aborted" });
});
