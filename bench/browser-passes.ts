/**
 * Where a pass goes in Chromium, in WebAssembly: milliseconds by its number of tokens, of the model that ships, and what the engine's
 * products alone take at the same sizes: a chain of matrices as large as the model's. Fast passes of each size count.
 */
import { fileURLToPath } from "node:url";
import { quantile } from "../src/eval/statistics.ts";
import { Graph } from "../src/graph/graph.ts";
import { root } from "../test/web/bundler.ts";
import { flags, report } from "./conditions.ts";
import { openPage } from "./page.ts";

const settings = flags({ threads: 2, precision: "fp32", sizes: "1,2,4,8,16,32", passes: 60, past: 160 });
/** Passes that are faster than what a size is said to cost. */
const LOW = 0.1;
/** Inputs, outputs, and how often: together about the weights of the model. */
const CHAIN = { width: 256, wide: 896, pairs: 11 };

const sizes = settings.sizes.split(",").map(Number);
const model = fileURLToPath(new URL("models/text-to-sql/", root));
await using opened = await openPage({ folders: new Map([["/model/", model]]) });
const { page } = opened;

const passes = await page.evaluate(
  async ({ threads, precision, past, passes, sizes }) => {
    const model = await globalThis.cllm.load("/model", { precision, threads });
    const session = model.session();
    const ids = Int32Array.from({ length: past }, (_, i) => 10 + ((i * 37) % 2000));
    await session.forward(ids);
    const times = sizes.map((): number[] => []);
    for (let round = -1; round < passes; round++) {
      for (const [index, size] of sizes.entries()) {
        for (const counts of [false, true]) {
          const start = performance.now();
          await session.forward(ids.subarray(0, size));
          const ms = performance.now() - start;
          session.truncate(past);
          if (counts && round >= 0) times[index]!.push(ms); // behind one of its like
        }
      }
    }
    await session.dispose();
    await model.dispose();
    return times;
  },
  { ...settings, sizes },
);

/** x · A · B · A · B and so on. */
function chain(): { bytes: string; data: { path: string; data: string }[]; multiplications: number } {
  const graph = new Graph();
  const { width, wide, pairs } = CHAIN;
  const matrix = (rows: number, columns: number) =>
    graph.constant(
      Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i) / 16),
      [rows, columns],
    );
  let x = graph.input("x", "float32", [1, "S", width]);
  for (let i = 0; i < pairs; i++)
    x = graph.op("MatMul", [graph.op("MatMul", [x, matrix(width, wide)]), matrix(wide, width)]);
  graph.output(x, "y", "float32", [1, "S", width]);
  const { bytes, externalData } = graph.encode();
  return {
    bytes: Buffer.from(bytes).toString("base64"),
    data: externalData.map(({ path, data }) => ({ path, data: Buffer.from(data).toString("base64") })),
    multiplications: 2 * pairs * width * wide,
  };
}

const products = chain();
await page.addScriptTag({
  type: "module",
  content: 'import * as ort from "/engine/ort.wasm.min.mjs"; globalThis.peer = ort;',
});
await page.waitForFunction(() => globalThis.peer !== undefined);
const alone = await page.evaluate(
  async ({ bytes, data, width, sizes, threads, passes }) => {
    const { env, InferenceSession, Tensor } = globalThis.peer;
    env.wasm.wasmPaths = "/engine/";
    env.wasm.numThreads = threads;
    const bytesOf = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const externalData = data.map(({ path, data }) => ({ path, data: bytesOf(data) }));
    const session = await InferenceSession.create(bytesOf(bytes), { executionProviders: ["wasm"], externalData });
    const times = sizes.map((): number[] => []);
    for (let round = -5; round < passes; round++) {
      for (const [index, size] of sizes.entries()) {
        const x = new Tensor("float32", new Float32Array(size * width).fill(0.1), [1, size, width]);
        const start = performance.now();
        await session.run({ x });
        if (round >= 0) times[index]!.push(performance.now() - start);
      }
    }
    await session.release();
    return times;
  },
  { ...products, width: CHAIN.width, sizes, threads: settings.threads, passes: settings.passes },
);

const rows = sizes.map((size, i) => {
  const [pass, chained] = [quantile(passes[i]!, LOW), quantile(alone[i]!, LOW)];
  return { size, pass, products: chained, gigaflops: (2 * products.multiplications * size) / chained / 1e6 };
});
console.log(
  `${opened.browserVersion}, ${settings.precision}, ${settings.threads} threads, ${settings.past} tokens cached`,
);
for (const { size, pass, products, gigaflops } of rows)
  console.log(
    `  ${String(size).padStart(2)} tokens ${pass.toFixed(2).padStart(6)} ms   float32 products alone ${products.toFixed(2).padStart(6)} ms, ${gigaflops.toFixed(1).padStart(5)} GFLOP/s`,
  );
report("browser-passes", settings, { model: "text-to-sql", chromium: opened.browserVersion, rows });
