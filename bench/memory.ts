/**
 * Whether a large model loads: weights drawn at random in the sizes of one of seven billion parameters, or any other, prepared
 * layer by layer and run for a pass. Prints the time and the most memory that the process ever had. With `--prepared` the model is
 * kept in a folder of that path, loaded a second time, and removed: it takes twice the bytes of its weights there.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { hash } from "../src/hash.ts";
import type { ModelConfig } from "../src/model/config.ts";
import { weightBytes } from "../src/model/memory.ts";
import type { Precision } from "../src/model/precision.ts";
import { expectedTensors } from "../src/model/tensors.ts";
import type { Weights } from "../src/model/weights.ts";
import { createEngine } from "../src/runtime/engine.ts";
import { flags, report } from "./conditions.ts";

// The defaults are Llama 2 7B's.
const settings = flags({
  ...{ precision: "int8", vocab: 32_000, hidden: 4096, layers: 32, heads: 32, "kv-heads": 32, intermediate: 11_008 },
  ...{ threads: 2, prepared: "" },
});
const config: ModelConfig = {
  ...{ family: "llama", vocabSize: settings.vocab, hiddenSize: settings.hidden, layers: settings.layers },
  ...{ heads: settings.heads, kvHeads: settings["kv-heads"], headSize: settings.hidden / settings.heads },
  ...{ intermediateSize: settings.intermediate, contextLength: 4096, normEpsilon: 1e-5, ropeTheta: 10_000 },
  ...{ ropeScaling: null, slidingWindow: null, tiedHead: false, attentionBias: false, outputBias: false },
  ...{ queryKeyNorm: false, bosTokenId: null, eosTokenIds: [] },
};

const shapes = new Map(expectedTensors(config));
const size = (name: string): number => (shapes.get(name) ?? []).reduce((product, length) => product * length, 1);
/** A few thousand random numbers, again and again from another place: as many as a tensor has, in little time. */
const noise = Float32Array.from({ length: 4099 }, (_, i) => (hash(i) / 2 ** 32 - 0.5) / 16);
const weights: Weights = {
  names: () => [...shapes.keys()],
  has: (name) => shapes.has(name),
  shape: (name) => shapes.get(name) ?? [],
  dtype: () => "F32",
  byteLength: 0,
  async read(name, from = 0, to) {
    const [rows = 1] = shapes.get(name) ?? [];
    const row = size(name) / rows;
    const data = new Float32Array(((to ?? rows) - from) * row);
    for (let at = 0; at < data.length; at += noise.length) data.set(noise.subarray(0, data.length - at), at);
    return data;
  },
  close: async () => {},
};

const parameters = [...shapes.keys()].reduce((sum, name) => sum + size(name), 0);
const precision = settings.precision as Precision;
/** Looks at the memory that no file backs, all the while: a thread of its own, because preparing holds this one. */
const watch = new Worker(
  `const { readFileSync } = require("node:fs"); const { parentPort } = require("node:worker_threads"); let most = 0;
   const look = () => { most = Math.max(most, Number(/RssAnon:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? 0)); };
   setInterval(look, 20); parentPort.on("message", () => { look(); parentPort.postMessage(most); });`,
  { eval: true },
);
const mostAnonymous = (): Promise<number> =>
  new Promise((resolve) => {
    watch.once("message", (kilobytes: number) => resolve(kilobytes / 1e6));
    watch.postMessage(null);
  });
const prepared =
  settings.prepared === ""
    ? undefined
    : {
        ...{ folder: join(settings.prepared, "prepared"), identity: "random", name: "random", source: null },
        ...{ limitBytes: Number.POSITIVE_INFINITY, onNote: (line: string) => console.error(line) },
      };
const load = () =>
  createEngine(config, weights, {
    ...{ precision, threads: settings.threads, prepared },
    onProgress: (_stage, what) => process.stderr.isTTY && process.stderr.write(`\r${what} `),
  });
const start = performance.now();
let engine = await load();
const loaded = performance.now();
const preparing = await mostAnonymous();
let secondSeconds: number | null = null;
if (prepared) {
  await engine.dispose();
  const again = performance.now();
  engine = await load();
  secondSeconds = (performance.now() - again) / 1000;
}
const session = engine.session();
await session.forward(Int32Array.of(1, 2));
const first = performance.now();
session.truncate(0);
await session.forward(Int32Array.of(1, 2));
const passMs = performance.now() - first;
const peak = process.resourceUsage().maxRSS / 1e6;
const loadSeconds = (loaded - start) / 1000;
console.log(`${(parameters / 1e9).toFixed(2)} billion parameters in ${precision}: ${loadSeconds.toFixed(0)} s to load`);
console.log(
  `  peak memory ${peak.toFixed(1)} GB, weights ${(weightBytes(config, precision) / 1e9).toFixed(1)} GB by the estimate`,
);
console.log(`  peak memory that no file backs, while loading the first time: ${preparing.toFixed(1)} GB`);
if (secondSeconds !== null) console.log(`  loaded a second time in ${secondSeconds.toFixed(1)} s`);
console.log(`  a pass: ${passMs.toFixed(0)} ms`);
await session.dispose();
await engine.dispose();
await watch.terminate();
if (prepared) rmSync(prepared.folder, { recursive: true, force: true });
report("memory", settings, {
  ...{ parameters, loadSeconds, secondSeconds, peakGigabytes: peak, anonymousGigabytes: preparing, passMs },
});
