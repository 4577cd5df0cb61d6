/** Whatever is appended, dropped and copied, the rows of a sequence are where the engine looks for them, in few places more. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { HostCache } from "../../src/runtime/host-cache.ts";

const SHAPE = { layers: 1, kvHeads: 3, headSize: 2, contextLength: 1500 };
const STREAMS = 2 * SHAPE.layers * SHAPE.kvHeads;

/** A sequence of rows, each known by a number, and the cache that ought to hold them. */
class Sequence {
  readonly cache: HostCache;
  rows: number[] = [];

  constructor(whole: boolean) {
    this.cache = new HostCache(SHAPE, whole);
  }

  append(numbers: readonly number[]): void {
    const count = numbers.length;
    this.cache.reserve(this.rows.length + count, this.rows.length);
    const pass = new Float32Array(STREAMS * count * SHAPE.headSize);
    for (let stream = 0; stream < STREAMS; stream++) {
      for (const [i, number] of numbers.entries()) {
        pass.set([number, stream], (stream * count + i) * SHAPE.headSize);
      }
    }
    this.cache.append(pass, count, 0, count, this.rows.length);
    this.rows.push(...numbers);
  }

  expectRows(): void {
    const { capacity, buffers } = this.cache;
    expect(capacity).toBeGreaterThanOrEqual(this.rows.length);
    expect(capacity).toBeLessThanOrEqual(SHAPE.contextLength);
    const heads = STREAMS / buffers.length;
    for (const [i, buffer] of buffers.entries()) {
      expect(buffer.length).toBe(heads * capacity * SHAPE.headSize);
      for (let head = 0; head < heads; head++) {
        const start = head * capacity * SHAPE.headSize;
        const found = buffer.subarray(start, start + this.rows.length * SHAPE.headSize);
        const stream = i * heads + head;
        expect(found).toEqual(Float32Array.from(this.rows.flatMap((number) => [number, stream])));
      }
    }
  }
}

const steps = fc.array(
  fc.oneof(
    fc.record({ append: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 400 })) }),
    fc.record({ keep: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ copy: fc.double({ min: 0, max: 1, noNaN: true }) }),
  ),
  { minLength: 1, maxLength: 12 },
);

test.each([
  ["in a buffer for each layer's keys and values", false],
  ["in one buffer", true],
])("%s, rows survive every growth, every return to fewer places and every copy", (_, whole) => {
  fc.assert(
    fc.property(steps, (all) => {
      let next = 1;
      let [one, other] = [new Sequence(whole), new Sequence(whole)];
      for (const step of all) {
        if ("append" in step) {
          const count = Math.min(step.append, SHAPE.contextLength - one.rows.length);
          if (count > 0) one.append(Array.from({ length: count }, () => next++));
          expect(one.cache.capacity - one.rows.length).toBeLessThan(64 + 256);
        } else if ("keep" in step) {
          one.rows.length = Math.floor(step.keep * one.rows.length);
        } else {
          const length = Math.floor(step.copy * one.rows.length);
          other.cache.reserve(length, 0);
          other.cache.copy(one.cache, length);
          other.rows = one.rows.slice(0, length);
          [one, other] = [other, one];
        }
        one.expectRows();
        other.expectRows();
      }
    }),
    { numRuns: 60 },
  );
});

test("buffers change when they have to and not with every pass", () => {
  const cache = new HostCache(SHAPE);
  let changes = 0;
  for (let length = 600; length < 1000; length++) if (cache.reserve(length, length - 1)) changes++;
  expect(changes).toBeLessThan(10);
  const { capacity } = cache;
  expect(cache.reserve(capacity - 100, 500)).toBe(false); // as after guesses that were dropped
  expect(cache.reserve(100, 50)).toBe(true);
  expect(cache.capacity).toBeLessThan(200);
  expect(cache.reserve(SHAPE.contextLength, 100)).toBe(true);
  expect(cache.capacity).toBe(SHAPE.contextLength);
});
