/** Modules written as TypeScript run as WebAssembly does: numbers, loops, conditions, vectors and a memory that grows. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { f32, f32x4, func, i8x16, i32, i32x4, loop, v128, WasmModule, when } from "../../src/wasm/assembler.ts";

test("integers of any size are constants", () => {
  const numbers = fc.oneof(fc.integer(), fc.constantFrom(0, -1, 63, 64, -64, -65, 2 ** 31 - 1, -(2 ** 31)));
  fc.assert(
    fc.property(numbers, (value) => {
      const store = func("store", {}, {}, () => [v128.store(i32.of(0), i32x4.splat(i32.of(value)))]);
      const module = new WasmModule([store]);
      module.run("store");
      expect([...new Int32Array(module.memory(), 0, 4)]).toEqual([value, value, value, value]);
    }),
  );
});

test("a loop runs up to its end and not at all where it is there, and a condition holds or not", () => {
  /** The largest of some numbers that lie one behind the other. */
  const most = func("most", { at: "i32", end: "i32", to: "i32" }, { largest: "f32" }, (scope) => {
    const { get, set } = scope;
    return [
      set("largest", f32.of(0)),
      loop(scope, "at", get("end"), i32.of(4), [
        when(f32.gt(f32.load(get("at")), get("largest")), [set("largest", f32.load(get("at")))]),
      ]),
      f32.store(get("to"), get("largest")),
    ];
  });
  const module = new WasmModule([most]);
  fc.assert(
    fc.property(fc.array(fc.float({ noNaN: true }), { maxLength: 40 }), (values) => {
      const memory = new Float32Array(module.memory());
      memory.set(values);
      module.run("most", 0, 4 * values.length, 4000);
      expect(memory[1000]).toBe(Math.fround(Math.max(0, ...values)) || 0);
    }),
  );
});

test("vectors: bytes by their places, sums of four, the larger of two", () => {
  const weave = func("weave", {}, {}, () => [
    v128.store(
      i32.of(32),
      i8x16.shuffle(
        v128.load(i32.of(0)),
        v128.load(i32.of(16)),
        Array.from({ length: 16 }, (_, i) => (i >> 1) + 16 * (i & 1)),
      ),
    ),
  ]);
  const sum = func("sum", {}, {}, () => [
    v128.store(i32.of(32), f32x4.add(v128.load(i32.of(0)), v128.load(i32.of(0), 16))),
    v128.store(i32.of(48), f32x4.max(v128.load(i32.of(0)), v128.load(i32.of(0), 16))),
  ]);
  const module = new WasmModule([weave, sum]);
  const bytes = new Uint8Array(module.memory());
  for (let i = 0; i < 32; i++) bytes[i] = i;
  module.run("weave");
  expect([...bytes.subarray(32, 40)]).toEqual([0, 16, 1, 17, 2, 18, 3, 19]);
  const floats = new Float32Array(module.memory());
  floats.set([1, 2, 3, 4, 10, -20, 30, -40]);
  module.run("sum");
  expect([...floats.subarray(8, 16)]).toEqual([11, -18, 33, -36, 10, 2, 30, 4]);
});

test("the memory grows, and keeps what is in it", () => {
  const module = new WasmModule([func("nothing", {}, {}, () => [])]);
  new Uint8Array(module.memory(10))[7] = 42;
  const grown = module.memory(1_000_000);
  expect(grown.byteLength).toBeGreaterThanOrEqual(1_000_000);
  expect(new Uint8Array(grown)[7]).toBe(42);
  expect(module.memory(5)).toBe(grown);
});

test("a variable that is not declared is named", () => {
  expect(() => func("half", { at: "i32" }, {}, ({ get }) => [get("to")])).toThrow("half has no variable to");
});

test("a module that some browsers would refuse is refused everywhere", () => {
  const long = func("long", {}, { x: "v128" }, ({ get, set }) =>
    Array.from({ length: 1100 }, () => set("x", get("x"))),
  );
  expect(() => new WasmModule([long])).toThrow(/browsers take 4096/);
});
