/**
 * The commonest blocks of GGUF in WebAssembly: runs of 32 elements whose scale and offset are known become float32, a vector at a time.
 * Each product is rounded before a sum, as in `codecs.ts`. Knows no block's header.
 */
import {
  type Code,
  type Func,
  f32,
  f32x4,
  func,
  i8x16,
  i16x8,
  i32,
  i32x4,
  loop,
  v128,
  WasmModule,
} from "../wasm/assembler.ts";
import type { BlockLayout, Codec } from "./codec.ts";

const RUN = 32;
/** Runs that are decoded in one go: what they take stays in the processor's second cache. */
const RUNS = 2048;

/** Where a block has the codes of its runs. */
type Codes = "bytes" | "nibbles" | "nibble pairs";

/** Sixteen signed bytes as vectors of four floats. */
function floatsOf(bytes: Code): Code[] {
  return [i16x8.extendLow(bytes), i16x8.extendHigh(bytes)]
    .flatMap((words) => [i32x4.extendLow(words), i32x4.extendHigh(words)])
    .map((integers) => f32x4.ofIntegers(integers));
}

/**
 * Writes scale * (code - middle), or scale * code + offset without a `middle`. `bytes`: signed codes. `nibbles`: the first half of a run in the low
 * ones of 16 bytes, the second in the high ones. `nibble pairs`: a run in the low ones of 32 bytes, the next in the high ones.
 */
function decoding<const Name extends string>(name: Name, codes: Codes, middle: number | null): Func<Name> {
  return func(
    name,
    { at: "i32", end: "i32", apart: "i32", scales: "i32", offsets: "i32", to: "i32" },
    { low: "v128", high: "v128", scale: "v128", offset: "v128" },
    (scope) => {
      const { get, set, step } = scope;
      const values = (bytes: Code): Code[] =>
        floatsOf(middle === null || middle === 0 ? bytes : i8x16.sub(bytes, i8x16.splat(i32.of(middle)))).map(
          (codes) => {
            const product = f32x4.mul(codes, get("scale"));
            return middle === null ? f32x4.add(product, get("offset")) : product;
          },
        );
      /** A run of which each half is in a vector. */
      const run = (halves: readonly Code[]): Code[] => [
        set("scale", f32x4.splat(f32.load(get("scales")))),
        set("offset", f32x4.splat(f32.load(get("offsets")))),
        ...halves.flatMap(values).map((vector, i) => v128.store(get("to"), vector, 16 * i)),
        step("scales", 4),
        step("offsets", 4),
        step("to", 4 * RUN),
      ];
      const low = (bytes: Code): Code => v128.and(bytes, i8x16.splat(i32.of(15)));
      const high = (bytes: Code): Code => i8x16.shrU(bytes, i32.of(4));
      const read = (to: string, at: number): Code => set(to, v128.load(get("at"), at));
      const body: Readonly<Record<Codes, () => Code[]>> = {
        bytes: () => [read("low", 0), read("high", 16), ...run([get("low"), get("high")])],
        nibbles: () => [read("low", 0), ...run([low(get("low")), high(get("low"))])],
        "nibble pairs": () =>
          [0, 32, 64, 96].flatMap((at) => [
            read("low", at),
            read("high", at + 16),
            ...run([low(get("low")), low(get("high"))]),
            ...run([high(get("low")), high(get("high"))]),
          ]),
      };
      return [loop(scope, "at", get("end"), get("apart"), body[codes]())];
    },
  );
}

type Kernel = "bytes" | "centered" | "shifted" | "pairs";

let made: WasmModule<Kernel> | null = null;

function kernels(): WasmModule<Kernel> {
  made ??= new WasmModule<Kernel>([
    decoding("bytes", "bytes", 0),
    decoding("centered", "nibbles", 8),
    decoding("shifted", "nibbles", null),
    decoding("pairs", "nibble pairs", null),
  ]);
  return made;
}

/** Decodes blocks of so many bytes, whose codes begin `header` bytes behind their own beginning; `layout` reads scales and offsets. */
export function decodeBy(kernel: Kernel, blockBytes: number, header: number, layout: BlockLayout): Codec["decode"] {
  const runs = kernel === "pairs" ? 8 : 1; // of a block
  return (bytes, blocks, out) => {
    const many = RUNS / runs;
    const at = { scales: 4 * RUN * RUNS, offsets: 4 * (RUN + 1) * RUNS, blocks: 4 * (RUN + 2) * RUNS };
    const memory = kernels().memory(at.blocks + many * blockBytes);
    const [scales, offsets] = [new Float32Array(memory, at.scales, RUNS), new Float32Array(memory, at.offsets, RUNS)];
    const input = new Uint8Array(memory, at.blocks, many * blockBytes);
    for (let block = 0; block < blocks; block += many) {
      const count = Math.min(many, blocks - block);
      const part = bytes.subarray(block * blockBytes, (block + count) * blockBytes);
      layout.read(part, count, scales, offsets);
      input.set(part);
      const from = at.blocks + header;
      kernels().run(kernel, from, from + count * blockBytes, blockBytes, at.scales, at.offsets, 0);
      out.set(new Float32Array(memory, 0, count * runs * RUN), block * runs * RUN);
    }
  };
}
