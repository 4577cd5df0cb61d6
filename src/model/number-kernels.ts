/**
 * Loops over all numbers of a model in WebAssembly, several numbers at a time: matrices are rotated, quantized, transposed and rounded to
 * halves by them. All arithmetic is float32, rounded after each operation. They work on a memory of their own, which callers copy to and from
 * in pieces. Knows no matrix.
 */
import {
  type Code,
  type Func,
  f32,
  f32x4,
  f64x2,
  func,
  i8x16,
  i16x8,
  i32,
  i32x4,
  loop,
  type Scope,
  v128,
  WasmModule,
  when,
} from "../wasm/assembler.ts";

/** Rows that are quantized together. Rows of numbers are filled up with zeros to a multiple of it. */
export const LANES = 16;
/** Bytes of results that are made before they are copied out: more would miss the processor's tables of pages. */
export const PANEL_BYTES: number = 2 ** 23;

const each = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const vectors = (names: readonly string[]): Record<string, "v128"> =>
  Object.fromEntries(names.map((name) => [name, "v128"] as const));

/** Lanes of two vectors of four, by their places: 0 to 3 of the first, 4 to 7 of the second. */
const lanes = (first: Code, second: Code, places: readonly number[]): Code =>
  i8x16.shuffle(
    first,
    second,
    places.flatMap((place) => each(4, (byte) => 4 * place + byte)),
  );

/** Added to a number, it leaves no room for what is behind the point: the sum's last bits are the nearest integer, ties to even. */
const ROUNDING = 1.5 * 2 ** 23;
const ROUNDING_BITS = new Int32Array(Float32Array.of(ROUNDING).buffer)[0] as number;
const rounding = f32x4.splat(f32.of(ROUNDING));
/** The nearest integers to numbers of up to 2^21, as they are after `ROUNDING` was added. */
const shifted = (vector: Code): Code => f32x4.add(vector, rounding);

/** Sixteen numbers to which `ROUNDING` was added, in four vectors, as signed bytes. */
const bytesOf = (...sums: readonly Code[]): Code => {
  const integers = sums.map((vector) => i32x4.sub(vector, i32x4.splat(i32.of(ROUNDING_BITS))));
  const [a, b, c, d] = integers as [Code, Code, Code, Code];
  return i8x16.narrow(i16x8.narrow(a, b), i16x8.narrow(c, d));
};

/** From the vector `most`, whose largest number is `largest`: what numbers are multiplied by to become bytes, in all lanes of `inverse`. */
const setInverse = ({ get, set }: Scope): Code[] => {
  const of = (lane: number): Code => f32x4.lane(get("most"), lane);
  const zero = f32x4.splat(f32.of(0));
  return [
    set("largest", f32.max(f32.max(of(0), of(1)), f32.max(of(2), of(3)))),
    set("inverse", zero),
    when(f32.gt(get("largest"), f32.of(0)), [set("inverse", f32x4.splat(f32.div(f32.of(127), get("largest"))))]),
  ];
};

/** Multiplies rows of `size` bytes by `signs`, number by number, and transforms them (Walsh-Hadamard). A row has four numbers at least. */
const rotate = func(
  "rotate",
  { row: "i32", end: "i32", size: "i32", signs: "i32" },
  { at: "i32", other: "i32", sign: "i32", half: "i32", base: "i32", ...vectors(["x", "y"]) },
  (scope) => {
    const { get, set, step } = scope;
    /** Sums and differences of lanes that are so far apart. */
    const stage = (swapped: readonly number[], kept: readonly number[]): Code[] => [
      set("y", lanes(get("x"), get("x"), swapped)),
      set("x", lanes(f32x4.add(get("x"), get("y")), f32x4.sub(get("y"), get("x")), kept)),
    ];
    const rowEnd = i32.add(get("row"), get("size"));
    return [
      loop(scope, "row", get("end"), get("size"), [
        set("at", get("row")),
        set("sign", get("signs")),
        loop(scope, "at", rowEnd, i32.of(16), [
          set("x", f32x4.mul(v128.load(get("at")), v128.load(get("sign")))),
          ...stage([1, 0, 3, 2], [0, 5, 2, 7]),
          ...stage([2, 3, 0, 1], [0, 1, 6, 7]),
          v128.store(get("at"), get("x")),
          step("sign", 16),
        ]),
        set("half", i32.of(16)),
        loop(scope, "half", get("size"), get("half"), [
          set("base", get("row")),
          loop(scope, "base", rowEnd, i32.add(get("half"), get("half")), [
            set("at", get("base")),
            loop(scope, "at", i32.add(get("base"), get("half")), i32.of(16), [
              set("other", i32.add(get("at"), get("half"))),
              set("x", v128.load(get("at"))),
              set("y", v128.load(get("other"))),
              v128.store(get("at"), f32x4.add(get("x"), get("y"))),
              v128.store(get("other"), f32x4.sub(get("x"), get("y"))),
            ]),
          ]),
        ]),
      ]),
    ];
  },
);

/** Steps of the second plane in one of the first. */
export const PLANE_STEPS = 254;

/**
 * Rows of `stride` bytes as signed bytes, each by its largest magnitude, and their scales. `fineRows` also writes what the bytes leave of
 * each number, in steps `PLANE_STEPS` times finer.
 */
function quantizingRows<const Name extends string>(name: Name, planes: 1 | 2): Func<Name> {
  const quarters = ["a", "b", "c", "d"];
  return func(
    name,
    { row: "i32", end: "i32", stride: "i32", bytes: "i32", scales: "i32", fine: "i32" },
    { at: "i32", largest: "f32", ...vectors(["most", "inverse", ...quarters]) },
    (scope) => {
      const { get, set, step } = scope;
      const value = (quarter: number): Code => f32x4.mul(v128.load(get("at"), 16 * quarter), get("inverse"));
      const rest = (name: string, quarter: number): Code =>
        shifted(f32x4.mul(f32x4.sub(value(quarter), f32x4.sub(get(name), rounding)), f32x4.splat(f32.of(PLANE_STEPS))));
      return [
        loop(scope, "row", get("end"), get("stride"), [
          set("at", get("row")),
          set("most", f32x4.splat(f32.of(0))),
          loop(scope, "at", i32.add(get("row"), get("stride")), i32.of(16), [
            set("most", f32x4.max(get("most"), f32x4.abs(v128.load(get("at"))))),
          ]),
          ...setInverse(scope),
          f32.store(get("scales"), f32.div(get("largest"), f32.of(127))),
          step("scales", 4),
          set("at", get("row")),
          loop(scope, "at", i32.add(get("row"), get("stride")), i32.of(64), [
            ...quarters.map((name, quarter) => set(name, shifted(value(quarter)))),
            v128.store(get("bytes"), bytesOf(...quarters.map(get))),
            step("bytes", 16),
            ...(planes === 2 ? [v128.store(get("fine"), bytesOf(...quarters.map(rest))), step("fine", 16)] : []),
          ]),
        ]),
      ];
    },
  );
}

/** Blocks of 32 numbers as bytes around 128, each by its largest magnitude, and their scales. */
const blocks = func(
  "blocks",
  { at: "i32", end: "i32", bytes: "i32", scales: "i32" },
  { largest: "f32", ...vectors(["most", "inverse"]) },
  (scope) => {
    const { get, set, step } = scope;
    const quarter = (index: number): Code => v128.load(get("at"), 16 * index);
    const rounded = (index: number): Code => shifted(f32x4.mul(quarter(index), get("inverse")));
    const around = i8x16.splat(i32.of(128));
    return [
      loop(scope, "at", get("end"), i32.of(128), [
        set(
          "most",
          each(8, (index) => f32x4.abs(quarter(index))).reduce((most, next) => f32x4.max(most, next)),
        ),
        ...setInverse(scope),
        f32.store(get("scales"), f32.div(get("largest"), f32.of(127))),
        step("scales", 4),
        ...[0, 4].map((from) =>
          v128.store(get("bytes"), i8x16.add(around, bytesOf(...each(4, (index) => rounded(from + index)))), 4 * from),
        ),
        step("bytes", 32),
      ]),
    ];
  },
);

/**
 * Transposes `LANES` rows of bytes, `stride` bytes apart, to columns `apart` bytes apart. Four times, each row is woven together with the one
 * eight rows below it.
 */
const transposeBytes = func(
  "transposeBytes",
  { at: "i32", end: "i32", stride: "i32", to: "i32", apart: "i32" },
  { from: "i32", ...vectors(each(LANES, (i) => [`even${i}`, `odd${i}`]).flat()) },
  (scope) => {
    const { get, set } = scope;
    const weave = (from: string, to: string): Code[] =>
      each(LANES, (i) => {
        const half = 8 * (i & 1);
        const pair = [get(`${from}${i >> 1}`), get(`${from}${(i >> 1) + 8}`)] as const;
        return set(
          `${to}${i}`,
          i8x16.shuffle(
            ...pair,
            each(16, (place) => half + (place >> 1) + 16 * (place & 1)),
          ),
        );
      });
    return [
      loop(scope, "at", get("end"), i32.of(LANES), [
        set("from", get("at")),
        ...each(LANES, (i) => [
          set(`even${i}`, v128.load(get("from"))),
          set("from", i32.add(get("from"), get("stride"))),
        ]).flat(),
        ...weave("even", "odd"),
        ...weave("odd", "even"),
        ...weave("even", "odd"),
        ...weave("odd", "even"),
        ...each(LANES, (i) => [
          v128.store(get("to"), get(`even${i}`)),
          set("to", i32.add(get("to"), get("apart"))),
        ]).flat(),
      ]),
    ];
  },
);

/** The same for four rows of floats. */
const transposeFloats = func(
  "transposeFloats",
  { at: "i32", end: "i32", stride: "i32", to: "i32", apart: "i32" },
  { from: "i32", ...vectors(each(4, (i) => [`row${i}`, `half${i}`]).flat()) },
  (scope) => {
    const { get, set } = scope;
    const half = (i: number): Code => get(`half${i}`);
    const columns = [
      lanes(half(0), half(2), [0, 1, 4, 5]),
      lanes(half(0), half(2), [2, 3, 6, 7]),
      lanes(half(1), half(3), [0, 1, 4, 5]),
      lanes(half(1), half(3), [2, 3, 6, 7]),
    ];
    return [
      loop(scope, "at", get("end"), i32.of(16), [
        set("from", get("at")),
        ...each(4, (i) => [
          set(`row${i}`, v128.load(get("from"))),
          set("from", i32.add(get("from"), get("stride"))),
        ]).flat(),
        ...[0, 2].flatMap((i) => [
          set(`half${i}`, lanes(get(`row${i}`), get(`row${i + 1}`), [0, 4, 1, 5])),
          set(`half${i + 1}`, lanes(get(`row${i}`), get(`row${i + 1}`), [2, 6, 3, 7])),
        ]),
        ...columns.flatMap((column) => [v128.store(get("to"), column), set("to", i32.add(get("to"), get("apart")))]),
      ]),
    ];
  },
);

/** Rows, and ranks, that `addLowRank` works on together. */
export const LOW_RANK_TILE = 4;

/**
 * Adds scale · B A to four rows of W, each sum in double and in the order of the ranks. `factors` are B's, sixteen doubles for each four ranks: row
 * by row, rank by rank. A lies from `a` up to `end` in rows of `stride` bytes of doubles; rows of W and of the sums, which begin as zeros, are as long in
 * numbers.
 */
const addLowRank = func(
  "addLowRank",
  { a: "i32", end: "i32", stride: "i32", factors: "i32", sums: "i32", rows: "i32", scale: "f64" },
  {
    at: "i32",
    left: "i32",
    from: "i32",
    ...vectors(["x0", "x1", "x2", "x3", "scales"]),
    ...vectors(each(16, (i) => `f${i}`)),
  },
  (scope) => {
    const { get, set, step } = scope;
    const rankAfter = (i: number): Code => (i === 0 ? get("from") : i32.add(rankAfter(i - 1), get("stride")));
    const addRow = (row: number): Code[] => [
      v128.store(
        get("at"),
        each(LOW_RANK_TILE, (i) => f64x2.mul(get(`f${LOW_RANK_TILE * row + i}`), get(`x${i}`))).reduce(
          (sum, product) => f64x2.add(sum, product),
          v128.load(get("at")),
        ),
      ),
      set("at", i32.add(get("at"), get("stride"))),
    ];
    const pair = f64x2.promote(v128.load64(get("rows")));
    return [
      loop(
        scope,
        "a",
        get("end"),
        i32.add(i32.add(get("stride"), get("stride")), i32.add(get("stride"), get("stride"))),
        [
          ...each(16, (i) => set(`f${i}`, f64x2.load(get("factors"), 8 * i))),
          step("factors", 128),
          set("from", get("a")),
          set("left", get("sums")),
          loop(scope, "from", i32.add(get("a"), get("stride")), i32.of(16), [
            ...each(LOW_RANK_TILE, (i) => set(`x${i}`, v128.load(rankAfter(i)))),
            set("at", get("left")),
            ...each(LOW_RANK_TILE, addRow).flat(),
            step("left", 16),
          ]),
        ],
      ),
      set("scales", f64x2.splat(get("scale"))),
      set("at", get("sums")),
      set("end", get("sums")),
      ...each(LOW_RANK_TILE, () => set("end", i32.add(get("end"), get("stride")))),
      loop(scope, "at", get("end"), i32.of(16), [
        v128.store64(get("rows"), f64x2.demote(f64x2.add(pair, f64x2.mul(get("scales"), v128.load(get("at")))))),
        step("rows", 8),
      ]),
    ];
  },
);

/** Magnitudes that are normal numbers in half precision, as float32 words: from 2^-14 to below 65536. */
const NORMAL_FROM = 0x38800000;
const NORMAL_TO = 0x47800000;
const INFINITE = 0x7f800000;
/** What the exponent's bias differs by, 127 - 15, in place. */
const REBASE = 112 << 23;
/** One half, whose last bit counts what the last of a half below 2^-14 does. */
const ONE_HALF = 0x3f000000;

/** The nearest halves, ties to even, eight at a time. Beyond the range: infinity. */
const halves = func(
  "halves",
  { at: "i32", end: "i32", to: "i32" },
  vectors(["sign0", "size0", "sign1", "size1"]),
  (scope) => {
    const { get, set, step } = scope;
    const all = (word: number): Code => i32x4.splat(i32.of(word));
    const split = (i: number): Code[] => {
      const word = v128.load(get("at"), 16 * i);
      return [
        set(`sign${i}`, v128.and(i32x4.shrU(word, i32.of(16)), all(0x8000))),
        set(`size${i}`, v128.and(word, all(0x7fffffff))),
      ];
    };
    const half = (i: number): Code => {
      const size = get(`size${i}`);
      const above = (word: number): Code => i32x4.gt(size, all(word));
      const even = v128.and(i32x4.shrU(size, i32.of(13)), all(1));
      const normal = i32x4.shrU(i32x4.add(i32x4.add(size, all(0xfff - REBASE)), even), i32.of(13));
      const small = i32x4.sub(f32x4.add(size, all(ONE_HALF)), all(ONE_HALF));
      const large = v128.or(all(0x7c00), v128.and(above(INFINITE), all(0x200)));
      const finite = v128.select(normal, small, above(NORMAL_FROM - 1));
      return v128.or(get(`sign${i}`), v128.select(large, finite, above(NORMAL_TO - 1)));
    };
    return [
      loop(scope, "at", get("end"), i32.of(32), [
        ...split(0),
        ...split(1),
        v128.store(get("to"), i16x8.narrowU(half(0), half(1))),
        step("to", 16),
      ]),
    ];
  },
);

type RowKernel = "rotate" | "rows" | "fineRows" | "transposeBytes";
type NumberKernel = "blocks" | "transposeFloats" | "halves" | "addLowRank";

let forRows: WasmModule<RowKernel> | null = null;
let forNumbers: WasmModule<NumberKernel> | null = null;

/** What makes bytes of rows, made once for the process. Addresses are in bytes, from 0 on. */
export function rowKernels(): WasmModule<RowKernel> {
  forRows ??= new WasmModule<RowKernel>([
    rotate,
    quantizingRows("rows", 1),
    quantizingRows("fineRows", 2),
    transposeBytes,
  ]);
  return forRows;
}

/** All other loops, with a memory of their own. */
export function numberKernels(): WasmModule<NumberKernel> {
  forNumbers ??= new WasmModule<NumberKernel>([blocks, transposeFloats, halves, addLowRank]);
  return forNumbers;
}
