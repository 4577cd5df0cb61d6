/**
 * WebAssembly modules written as TypeScript: functions over numbers and vectors of 128 bits, for loops that would take several times as long in
 * JavaScript. Instructions are functions of their operands, locals have names, and `WasmModule` makes the bytes and an instance.
 * Knows only the instructions that its users need. Reference: WebAssembly core specification 2.0, sections 5.3 to 5.5.
 */

/** Instructions, as bytes. What they leave on the stack is their value. */
export type Code = readonly number[];
export type Type = "i32" | "f32" | "f64" | "v128";
const TYPES: Readonly<Record<Type, number>> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** Parameters and locals by their names. */
type Named = Readonly<Record<string, Type>>;

/** The variables of a function, while its body is written. */
export interface Scope {
  get(name: string): Code;
  set(name: string, value: Code): Code;
  /** Adds to an i32. */
  step(name: string, by: number): Code;
}

export interface Func<Name extends string = string> {
  readonly name: Name;
  readonly parameters: Named;
  readonly locals: Named;
  readonly body: Code;
}

/** A function without a result. Addresses are in bytes. */
export function func<const Name extends string>(
  name: Name,
  parameters: Named,
  locals: Named,
  write: (scope: Scope) => readonly Code[],
): Func<Name> {
  const names = [...Object.keys(parameters), ...Object.keys(locals)];
  const indexOf = (variable: string): number[] => {
    const index = names.indexOf(variable);
    if (index < 0) throw new RangeError(`${name} has no variable ${variable}`);
    return leb(index);
  };
  const get = (variable: string): Code => [0x20, ...indexOf(variable)];
  const set = (variable: string, value: Code): Code => [...value, 0x21, ...indexOf(variable)];
  const scope: Scope = { get, set, step: (variable, by) => set(variable, i32.add(get(variable), i32.of(by))) };
  return { name, parameters, locals, body: write(scope).flat() };
}

/** `body` with `counter` from what it is up to below `end`, in steps of `step`. */
export function loop({ get, set }: Scope, counter: string, end: Code, step: Code, body: readonly Code[]): Code {
  return [
    ...[0x02, 0x40, 0x03, 0x40], // block, loop
    ...[...get(counter), ...end, 0x4f, 0x0d, 1], // leave once counter >= end, unsigned
    ...body.flat(),
    ...set(counter, i32.add(get(counter), step)),
    ...[0x0c, 0, 0x0b, 0x0b],
  ];
}

/** `body` where the condition, an i32, is not zero. */
export const when = (condition: Code, body: readonly Code[]): Code => [
  ...condition,
  ...[0x04, 0x40],
  ...body.flat(),
  0x0b,
];

/** An instruction behind its operands. */
export type Operator = (...operands: readonly Code[]) => Code;
type Operators<Name extends string> = Readonly<Record<Name, Operator>>;
type Load = (address: Code, offset?: number) => Code;
type Store = (address: Code, value: Code, offset?: number) => Code;

/** Instructions by their codes. */
const plain =
  (code: number): Operator =>
  (...operands) => [...operands.flat(), code];
const vector =
  (code: number): Operator =>
  (...operands) => [...operands.flat(), 0xfd, ...leb(code)];
const load =
  (code: Code, alignment = 0): Load =>
  (address, offset = 0) => [...address, ...code, alignment, ...leb(offset)];
const store =
  (code: Code, alignment = 0): Store =>
  (address, value, offset = 0) => [...address, ...value, ...code, alignment, ...leb(offset)];

export const i32: Operators<"add"> & { of(value: number): Code } = {
  of: (value) => [0x41, ...signedLeb(value)],
  add: plain(0x6a),
};

export const f32: Operators<"gt" | "max" | "mul" | "div"> & {
  of(value: number): Code;
  readonly load: Load;
  readonly store: Store;
} = {
  of: (value) => [0x43, ...new Uint8Array(Float32Array.of(value).buffer)],
  load: load([0x2a]),
  store: store([0x38]),
  gt: plain(0x5e),
  max: plain(0x97),
  mul: plain(0x94),
  div: plain(0x95),
};

/** `load64` and `store64` take the first eight bytes, and zeros behind them. `select` of (first, second, mask) has the bits of the first where the mask has ones. */
export const v128: Operators<"and" | "or" | "select"> & {
  readonly load: Load;
  readonly store: Store;
  readonly load64: Load;
  store64: Store;
} = {
  load: load([0xfd, 0x00]),
  store: store([0xfd, 0x0b]),
  load64: load([0xfd, 0x5d]),
  store64: (address, value, offset = 0) => [...address, ...value, 0xfd, 0x5b, 0, ...leb(offset), 0],
  and: vector(0x4e),
  or: vector(0x50),
  select: vector(0x52),
};

/** `shuffle` takes bytes of two vectors by their places: 0 to 15 of the first, 16 to 31 of the second. `narrow` keeps signs. */
export const i8x16: Operators<"splat" | "add" | "sub" | "shrU" | "narrow"> & {
  shuffle(first: Code, second: Code, places: Code): Code;
} = {
  splat: vector(0x0f),
  add: vector(0x6e),
  sub: vector(0x71),
  shrU: vector(0x6d),
  narrow: vector(0x65),
  shuffle: (first, second, places) => [...first, ...second, 0xfd, 0x0d, ...places],
};

export const i16x8: Operators<"narrow" | "narrowU" | "extendLow" | "extendHigh"> = {
  narrow: vector(0x85),
  narrowU: vector(0x86),
  extendLow: vector(0x87),
  extendHigh: vector(0x88),
};

export const i32x4: Operators<"splat" | "extendLow" | "extendHigh" | "shrU" | "add" | "sub" | "gt"> = {
  splat: vector(0x11),
  extendLow: vector(0xa7),
  extendHigh: vector(0xa8),
  shrU: vector(0xad),
  add: vector(0xae),
  sub: vector(0xb1),
  gt: vector(0x3b),
};

/** `max` is the second where it is larger, else the first. */
export const f32x4: Operators<"splat" | "abs" | "sqrt" | "add" | "sub" | "mul" | "div" | "max" | "ofIntegers"> & {
  lane(value: Code, lane: number): Code;
} = {
  splat: vector(0x13),
  lane: (value, lane) => [...value, 0xfd, 0x1f, lane],
  abs: vector(0xe0),
  sqrt: vector(0xe3),
  add: vector(0xe4),
  sub: vector(0xe5),
  mul: vector(0xe6),
  div: vector(0xe7),
  max: vector(0xeb),
  ofIntegers: vector(0xfa),
};

/** `load` takes a number to both lanes, and `promote` the first two of four floats. `demote` makes two floats, and zeros behind them. */
export const f64x2: Operators<"splat" | "add" | "mul" | "promote" | "demote"> & { readonly load: Load } = {
  load: load([0xfd, 0x0a]),
  splat: vector(0x14),
  add: vector(0xf0),
  mul: vector(0xf2),
  promote: vector(0x5f),
  demote: vector(0x5e),
};

/** Unsigned LEB128. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest & 127;
    rest >>>= 7;
    bytes.push(rest > 0 ? low | 128 : low);
  } while (rest > 0);
  return bytes;
}

/** Signed LEB128 of 32 bits. */
function signedLeb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 127;
    rest >>= 7;
    if ((rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0)) return [...bytes, low];
    bytes.push(low | 128);
  }
}

const list = (items: readonly Code[]): number[] => [...leb(items.length), ...items.flat()];
const sized = (bytes: Code): number[] => [...leb(bytes.length), ...bytes];
const section = (id: number, bytes: Code): number[] => [id, ...sized(bytes)];
const text = (value: string): number[] => sized([...new TextEncoder().encode(value)]);

/** What is used of WebAssembly, which the types of Node.js name without saying what is in it. */
const { Instance, Module } = (
  globalThis as unknown as {
    readonly WebAssembly: {
      readonly Module: new (bytes: Uint8Array) => object;
      readonly Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> };
    };
  }
).WebAssembly;

const PAGE = 65_536;
/** Bytes of the largest module that every browser compiles at once on a page's own thread. */
const MOST_BYTES = 4096;

/** Functions that share a memory, ready to run. */
export class WasmModule<Name extends string> {
  readonly #memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly #functions: Readonly<Record<string, unknown>>;

  constructor(functions: readonly Func<Name>[]) {
    const bytes = [
      ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...section(
        1,
        list(functions.map(({ parameters }) => [0x60, ...list(Object.values(parameters).map((t) => [TYPES[t]])), 0])),
      ),
      ...section(3, list(functions.map((_, index) => leb(index)))),
      ...section(5, list([[0, 1]])), // a memory of a page, which grows
      ...section(
        7,
        list([[...text("memory"), 2, 0], ...functions.map(({ name }, i) => [...text(name), 0, ...leb(i)])]),
      ),
      ...section(
        10,
        list(
          functions.map(({ locals, body }) =>
            sized([...list(Object.values(locals).map((type) => [1, TYPES[type]])), ...body, 0x0b]),
          ),
        ),
      ),
    ];
    if (bytes.length > MOST_BYTES)
      throw new RangeError(`a module of ${bytes.length} bytes; browsers take ${MOST_BYTES}: make two of it`);
    this.#functions = new Instance(new Module(Uint8Array.from(bytes))).exports;
    this.#memory = this.#functions["memory"] as { readonly buffer: ArrayBuffer; grow(pages: number): number };
  }

  /** The memory, with room for so many bytes at least. Views of it are void once it has grown. */
  memory(bytes = 0): ArrayBuffer {
    const missing = bytes - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE));
    return this.#memory.buffer;
  }

  /** Runs a function, with its parameters in their order. */
  run(name: Name, ...values: readonly number[]): void {
    (this.#functions[name] as (...values: readonly number[]) => void)(...values);
  }
}
