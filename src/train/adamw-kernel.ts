/**
 * AdamW's inner loop in WebAssembly, four numbers at a time: the same operations in the same order as `adamWStep`'s plain twin,
 * each rounded to float32, so the same bits, in a fraction of the time. The module is written here, byte by byte, because it is
 * twenty instructions. Reference: WebAssembly core specification 2.0, sections 5.3 to 5.5.
 */

/** Numbers that one call works on: what it touches stays in the processor's second cache. */
export const CHUNK = 16_384;

export interface AdamWKernel {
  /** Where a chunk's weights, moments and gradient are put, and read back from. */
  readonly weights: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
  readonly gradient: Float32Array;
  /** One step on the first `count` numbers of all four. */
  run(count: number, constants: AdamWConstants): void;
}

/** m = b1 m + c1 g and v = b2 v + c2 g² for g = scale · gradient, then w = keep · w - rate · m / (√v + epsilon). */
export interface AdamWConstants {
  readonly scale: number;
  readonly b1: number;
  readonly c1: number;
  readonly b2: number;
  readonly c2: number;
  readonly rate: number;
  readonly epsilon: number;
  readonly keep: number;
}

const PAGE = 65_536;
const STRIDE = CHUNK * 4; // bytes between the four arrays
const AT = { weights: 0, first: STRIDE, second: 2 * STRIDE, gradient: 3 * STRIDE };

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
const vector = (items: readonly (readonly number[])[]): number[] => [...leb(items.length), ...items.flat()];
const sized = (bytes: readonly number[]): number[] => [...leb(bytes.length), ...bytes];
const section = (id: number, bytes: readonly number[]): number[] => [id, ...sized(bytes)];
const name = (text: string): number[] => sized([...new TextEncoder().encode(text)]);

const [I32, F32, V128] = [0x7f, 0x7d, 0x7b];
const get = (local: number): number[] => [0x20, local];
const set = (local: number): number[] => [0x21, local];
const simd = (code: number, ...rest: number[]): number[] => [0xfd, ...leb(code), ...rest];
const load = (offset: number): number[] => [...get(END_PARAMETER + 1), ...simd(0x00, 4, ...leb(offset))];
const store = (offset: number): number[] => simd(0x0b, 4, ...leb(offset)); // takes address and value
const [SPLAT, SQRT, ADD, SUB, MUL, DIV] = [0x13, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7].map((code) => simd(code)) as [
  number[],
  number[],
  number[],
  number[],
  number[],
  number[],
];

/** Parameters: the end of the loop in bytes, then the constants in their order; locals: the address, then vectors. */
const CONSTANTS = ["scale", "b1", "c1", "b2", "c2", "rate", "epsilon", "keep"] as const;
const END_PARAMETER = CONSTANTS.length;
const ADDRESS = END_PARAMETER + 1;
const splatted = (constant: (typeof CONSTANTS)[number]): number[] => get(ADDRESS + 1 + CONSTANTS.indexOf(constant));
const [G, M, V] = [1, 2, 3].map((i) => ADDRESS + CONSTANTS.length + i) as [number, number, number];

function moduleBytes(): Uint8Array {
  const address = get(ADDRESS);
  const body = [
    ...CONSTANTS.flatMap((_, i) => [...get(i), ...SPLAT, ...set(ADDRESS + 1 + i)]),
    ...[0x03, 0x40], // loop
    ...[...load(AT.gradient), ...splatted("scale"), ...MUL, ...set(G)],
    ...[...splatted("b1"), ...load(AT.first), ...MUL, ...splatted("c1"), ...get(G), ...MUL, ...ADD, ...set(M)],
    ...[...splatted("b2"), ...load(AT.second), ...MUL],
    ...[...splatted("c2"), ...get(G), ...get(G), ...MUL, ...MUL, ...ADD, ...set(V)],
    ...[...address, ...get(M), ...store(AT.first), ...address, ...get(V), ...store(AT.second)],
    ...[...address, ...load(AT.weights), ...splatted("keep"), ...MUL],
    ...[...splatted("rate"), ...get(M), ...MUL, ...get(V), ...SQRT, ...splatted("epsilon"), ...ADD, ...DIV],
    ...[...SUB, ...store(AT.weights)],
    ...[...address, 0x41, 16, 0x6a, 0x22, ADDRESS], // address += 16
    ...[...get(END_PARAMETER), 0x49, 0x0d, 0], // go on while it is below the end
    ...[0x0b, 0x0b],
  ];
  const locals = vector([
    [1, I32],
    [CONSTANTS.length + 3, V128],
  ]);
  const parameters = vector([...CONSTANTS.map(() => [F32]), [I32]]);
  const pages = (4 * STRIDE) / PAGE;
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, ...parameters, 0]])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[0, ...leb(pages)]])),
    ...section(
      7,
      vector([
        [...name("memory"), 2, 0],
        [...name("step"), 0, 0],
      ]),
    ),
    ...section(10, vector([sized([...locals, ...body])])),
  ]);
}

/** What is used of WebAssembly, which the types of Node.js name without saying what is in it. */
const { Instance, Module } = (
  globalThis as unknown as {
    readonly WebAssembly: {
      readonly Module: new (bytes: Uint8Array) => object;
      readonly Instance: new (
        module: object,
      ) => {
        readonly exports: {
          readonly memory: { readonly buffer: ArrayBuffer };
          readonly step: (...values: number[]) => void;
        };
      };
    };
  }
).WebAssembly;

let made: AdamWKernel | null = null;

/** The kernel, made once for the process. */
export function adamWKernel(): AdamWKernel {
  if (made !== null) return made;
  const { memory, step } = new Instance(new Module(moduleBytes())).exports;
  const view = (offset: number): Float32Array => new Float32Array(memory.buffer, offset, CHUNK);
  made = {
    weights: view(AT.weights),
    first: view(AT.first),
    second: view(AT.second),
    gradient: view(AT.gradient),
    run(count, constants) {
      if (count > 0) step(...CONSTANTS.map((key) => constants[key]), Math.ceil(count / 4) * 16);
    },
  };
  return made;
}
