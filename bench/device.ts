/**
 * What a GPU gives, in about five minutes: what passes of 1 to 30 rows cost for three sizes of models, tokens per second of every decoder,
 * training steps, the share of JavaScript, and whether every decoder writes this device's `ar` tokens. Weights are random but for the
 * model that ships and, where it is there, SmolLM2. The last line is JSON, to be sent to the project. `--tiny` is for tests.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { smolLM2 } from "../scripts/real-data.mjs";
import { openCheckpoint } from "../src/checkpoint/open.ts";
import { commitOfCheckout, machineName } from "../src/cli/machine.ts";
import { measure, summarize, warmUp } from "../src/cli/measure.ts";
import { SHIPPED_MODEL } from "../src/cli/model.ts";
import { auto } from "../src/decode/auto.ts";
import { hash } from "../src/hash.ts";
import {
  ar,
  CllmError,
  DECODERS,
  type DecoderName,
  jacobi,
  load,
  lookahead,
  type ModelConfig,
  measurePassCosts,
  multiblock,
  type Precision,
  type PromptInput,
  promptLookup,
  type TokenIds,
  type Weights,
} from "../src/index.ts";
import { LORA_TARGETS } from "../src/model/lora.ts";
import { expectedTensors } from "../src/model/tensors.ts";
import type { Device } from "../src/runtime/devices/device.ts";
import { openWebgpu } from "../src/runtime/devices/webgpu.ts";
import { createEngine, type Engine } from "../src/runtime/engine.ts";
import { ENGINE_VERSION, engineTime } from "../src/runtime/ort.ts";
import { prove } from "../src/runtime/probe.ts";
import { readHeldOut } from "../src/tasks/text-to-sql/held-out.ts";
import { segment } from "../src/train/pack.ts";
import { loraParameters, randomParameters } from "../src/train/parameters.ts";
import { Trainer } from "../src/train/trainer.ts";
import { flags, median, mixedPrompts } from "./conditions.ts";

const settings = flags({ tiny: false, gpu: "", rounds: 15, "max-new-tokens": 64, prompts: 6, train: 512, seed: 0 });
const tiny = settings.tiny;
const rounds = tiny ? 1 : settings.rounds;
const maxNewTokens = tiny ? 6 : settings["max-new-tokens"];
const ROWS = tiny ? [1, 16] : [1, 4, 8, 16, 30]; // each width compiles kernels of its own
const WIDEST = 30;
const CONTEXT = tiny ? 8 : 256; // cached tokens before a pass

/** The sizes of known models; `ofLayers` is what the whole one has where it is cut. */
interface Size {
  readonly name: string;
  readonly shape: Partial<ModelConfig>;
  readonly ofLayers: number;
  readonly whole: boolean;
}
const llama = (
  [hiddenSize, intermediateSize, layers]: readonly number[],
  [heads, kvHeads, headSize]: readonly number[],
  vocabSize: number,
): Partial<ModelConfig> => ({
  ...{ hiddenSize: hiddenSize!, intermediateSize: intermediateSize!, layers: layers! },
  ...{ heads: heads!, kvHeads: kvHeads!, headSize: headSize!, vocabSize, contextLength: 1024, eosTokenIds: [] },
});
const SIZES: readonly Size[] = tiny
  ? [{ name: "tiny", shape: { ...llama([64, 96, 1], [2, 1, 32], 97), contextLength: 128 }, ofLayers: 1, whole: true }]
  : [
      { name: "135M", shape: llama([576, 1536, 30], [9, 3, 64], 49_152), ofLayers: 30, whole: true },
      { name: "1B", shape: llama([2048, 8192, 16], [32, 8, 64], 32_000), ofLayers: 16, whole: true },
      { name: "7B", shape: llama([4096, 11_008, 4], [32, 32, 128], 32_000), ofLayers: 32, whole: false },
    ];

const say = (line: string): void => console.log(line);
const begun = performance.now();

/** What the system calls its GPUs and drivers, as far as it tells. The engine does not. */
function graphics(): string[] {
  const asked: readonly (readonly [string, readonly string[]])[] = [
    ["nvidia-smi", ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]],
    ["vulkaninfo", ["--summary"]],
    ["system_profiler", ["SPDisplaysDataType"]],
    ["powershell", ["-Command", "Get-CimInstance Win32_VideoController | Format-List Name,DriverVersion"]],
  ];
  return asked.flatMap(([program, args]) => {
    try {
      const text = execFileSync(program, args, {
        encoding: "utf8",
        timeout: 10_000,
        stdio: ["ignore", "pipe", "ignore"],
      });
      const lines = text.split("\n").map((line) => line.trim());
      const telling = program === "nvidia-smi" ? /./ : /deviceName|driverInfo|Chipset Model|^Name|DriverVersion|VRAM/i;
      return lines.filter((line) => telling.test(line));
    } catch {
      return []; // not on this system
    }
  });
}

/** Numbers that are drawn once and laid out over and over: weights of any size in no time. */
function randomWeights(config: ModelConfig): Weights {
  const shapes = new Map(expectedTensors(config));
  const table = Float32Array.from({ length: 65_521 }, (_, i) => hash(settings.seed, i) / 2 ** 31 - 1);
  return {
    names: () => [...shapes.keys()],
    has: (name) => shapes.has(name),
    shape: (name) => shapes.get(name)!,
    dtype: () => "F32",
    async read(name, from = 0, to = shapes.get(name)![0]!) {
      const [, columns = 1] = shapes.get(name)!;
      if (name.endsWith("norm.weight")) return new Float32Array((to - from) * columns).fill(1);
      const scale = 1.7 / Math.sqrt(columns);
      const row = table.map((value) => value * scale);
      const values = new Float32Array((to - from) * columns);
      const start = (from * columns) % row.length;
      values.set(row.subarray(start, Math.min(row.length, start + values.length)));
      for (let at = row.length - start; at < values.length; at += row.length) {
        values.set(row.subarray(0, Math.min(row.length, values.length - at)), at);
      }
      return values;
    },
    byteLength: 0,
    close: async () => {},
  };
}

/** The same device with passes of another width each time: kernels depend on it. */
function withWidth(device: Device): { readonly device: Device; use(width: number): void } {
  let width = WIDEST;
  const rows = () => ({ most: width, head: width, padded: () => width });
  return {
    device: {
      ...device,
      get rows() {
        return rows();
      },
    },
    use: (chosen) => {
      width = Math.max(2, chosen);
    },
  };
}

const ids = (length: number, vocabSize: number, seed: number): TokenIds =>
  Int32Array.from({ length }, (_, i) => hash(seed, i) % vocabSize);
const rounded = (value: number, digits = 2): number => Number(value.toFixed(digits));

/** Milliseconds of a pass by its rows, each at a width of its own, and what of it is JavaScript. */
async function passes(engine: Engine, use: (width: number) => void) {
  const costs: Record<string, number> = {};
  const shares: number[] = [];
  let first = 0;
  for (const rows of ROWS) {
    use(rows);
    await using session = engine.session();
    await session.forward(ids(CONTEXT, engine.config.vocabSize, 1));
    const times: number[] = [];
    for (let round = -2; round < rounds; round++) {
      const [start, inEngine] = [performance.now(), engineTime()];
      await session.forward(ids(rows, engine.config.vocabSize, round + 9));
      const ms = performance.now() - start;
      session.truncate(CONTEXT);
      if (round === -2) first = Math.max(first, ms); // it compiles kernels
      if (round < 0) continue;
      times.push(ms);
      shares.push(1 - (engineTime() - inEngine) / ms);
    }
    costs[rows] = rounded(median(times));
  }
  return {
    ms: costs,
    ratio16To1: rounded(costs["16"]! / costs["1"]!),
    firstMs: rounded(first),
    javascript: rounded(median(shares), 4),
  };
}

/** Tokens per second of every decoder on random weights, and whether they are those of `ar`. */
async function decoding(engine: Engine) {
  const { vocabSize } = engine.config;
  const prompt = ids(tiny ? 5 : 64, vocabSize, 3);
  await using measured = engine.session();
  const costs = tiny ? new Map([[1, 1]]) : await measurePassCosts(measured);
  const options = { maxNewTokens, blockSize: 15 };
  await using session = engine.session();
  const runs = {
    ar: () => ar(session, prompt, options),
    auto: () => auto(session, prompt, { ...options, costs }),
    jacobi: () => jacobi(session, prompt, options),
    lookahead: () => lookahead(session, prompt, { maxNewTokens, window: 4, ngram: 3, candidates: 2 }),
    "prompt-lookup": () => promptLookup(session, prompt, options),
    multiblock: () => multiblock(session, prompt, { maxNewTokens, blockSize: 7 }),
  };
  const figures: Record<string, { tokensPerSecond: number; tokensPerForward: number; same: boolean }> = {};
  let expected = "";
  for (const [name, run] of Object.entries(runs)) {
    session.truncate(0);
    const tokens: number[] = [];
    let [start, forwards] = [0, 0];
    for await (const { accepted, prefill } of run()) {
      tokens.push(...accepted);
      if (prefill) start = performance.now();
      else forwards++;
    }
    const seconds = (performance.now() - start) / 1000;
    if (name === "ar") expected = tokens.join();
    figures[name] = {
      tokensPerSecond: rounded((tokens.length - 1) / seconds),
      tokensPerForward: rounded((tokens.length - 1) / Math.max(1, forwards)),
      same: tokens.join() === expected,
    };
  }
  return { costs: Object.fromEntries([...costs].map(([rows, ms]) => [rows, rounded(ms)])), decoders: figures };
}

/** A model with its texts: tokens per second of every decoder over prompts. */
async function real(path: string, inputs: readonly PromptInput[], precision: Precision) {
  const started = performance.now();
  await using model = await load(path, { device: "webgpu", precision, offline: true });
  const loadSeconds = rounded((performance.now() - started) / 1000);
  const shared = { maxNewTokens };
  for await (const _ of warmUp(model, inputs, DECODERS, shared));
  const all = [];
  for await (const event of measure(model, inputs, DECODERS, 1, shared)) {
    if (event.kind === "measured") all.push(event.measurement);
  }
  const differing = all.filter(({ matches }) => !matches).length;
  const decoders = summarize(all, DECODERS as readonly DecoderName[]);
  return { precision, prompts: inputs.length, loadSeconds, differing, decoders };
}

/** Milliseconds of a step in its two parts, and the first loss there and on the processor. */
async function training(config: ModelConfig, device: Device, rank: number) {
  const lora = rank === 0 ? null : { rank, alpha: 2 * rank, targets: LORA_TARGETS };
  const length = tiny ? 16 : settings.train;
  const tokens = ids(length + 1, config.vocabSize, 5);
  const weights = new Float32Array(length).fill(1 / length);
  const pack = { segments: [segment(tokens.subarray(0, -1), { targets: tokens.subarray(1), weights })] };
  const parameters =
    lora === null ? randomParameters(config, 1) : await loraParameters(config, randomWeights(config), lora, 1);
  await using trainer = await Trainer.create(config, parameters, { batch: 1, lora, device });
  const [gradientMs, stepMs, shares]: [number[], number[], number[]] = [[], [], []];
  let firstLoss = 0;
  for (let step = 1; step <= (tiny ? 2 : 6); step++) {
    const [start, inEngine] = [performance.now(), engineTime()];
    const gradients = await trainer.gradients([pack]);
    const between = performance.now();
    if (step === 1) firstLoss = gradients.loss;
    await trainer.step(gradients, { step, learningRate: 1e-5, weightDecay: 0.01, clipNorm: 1 });
    const all = performance.now() - start;
    if (step === 1) continue; // it compiles kernels
    gradientMs.push(between - start);
    stepMs.push(all);
    shares.push(1 - (engineTime() - inEngine) / all);
  }
  const ms = median(stepMs);
  return {
    ...{ tokens: length, rank, gradientMs: rounded(median(gradientMs)), stepMs: rounded(ms), firstLoss },
    ...{ tokensPerSecond: rounded((1000 * length) / ms, 0), javascript: rounded(median(shares), 4) },
  };
}

/** A part of the figures; what goes wrong in it is said there, and the others go on. */
async function part<T>(what: string, run: () => Promise<T>): Promise<T | { readonly error: string }> {
  const start = performance.now();
  try {
    const figures = await run();
    say(`${what} (${((performance.now() - start) / 1000).toFixed(0)} s)\n  ${JSON.stringify(figures)}`);
    return figures;
  } catch (error) {
    if (!(error instanceof CllmError)) throw error;
    say(`${what}: ${error.message}`);
    return { error: error.message };
  }
}

async function run(base: Device): Promise<void> {
  const named = graphics();
  say(`GPU: ${settings.gpu || named.join("; ") || "not told by this system; name it with --gpu"}`);
  const half = await base.plan("f16", { wholeWeights: 0 }).then(
    () => true,
    () => false,
  );
  const shipped = await openCheckpoint(SHIPPED_MODEL, { offline: true });
  await shipped.close();
  const figures: Record<string, unknown> = {};
  for (const { name, shape, ofLayers, whole } of SIZES) {
    const config: ModelConfig = {
      ...shipped.config,
      draftTokenId: undefined,
      leadingDraft: undefined,
      ...shape,
    } as ModelConfig;
    const precision: Precision = whole ? (half ? "f16" : "fp32") : "int4";
    figures[name] = await part(`${name}, ${precision}, ${config.layers} of ${ofLayers} layers`, async () => {
      const { device, use } = withWidth(base);
      const started = performance.now();
      await using engine = await createEngine(config, randomWeights(config), { precision, device });
      const loadSeconds = rounded((performance.now() - started) / 1000);
      const byRows = await passes(engine, use);
      use(16);
      const proof = await prove(engine, base).then(
        () => "exact",
        (error: Error) => error.message,
      );
      return {
        precision,
        layers: config.layers,
        ofLayers,
        loadSeconds,
        passes: byRows,
        proof,
        ...(await decoding(engine)),
      };
    });
  }
  const precision: Precision = half ? "f16" : "fp32";
  if (!tiny) {
    const questions = (await readHeldOut(join(SHIPPED_MODEL, "held-out.jsonl"))).slice(0, settings.prompts);
    const inputs = questions.map(({ prompt }) => ({ prompt }));
    figures["text-to-sql"] = await part("text-to-sql, the CLLM that ships", () =>
      real(SHIPPED_MODEL, inputs, precision),
    );
    if (existsSync(smolLM2())) {
      figures["SmolLM2"] = await part("SmolLM2-135M-Instruct", () =>
        real(smolLM2(), mixedPrompts(settings.prompts), precision),
      );
    }
  }
  const trained = { ...shipped.config, ...SIZES[0]!.shape } as ModelConfig;
  for (const rank of tiny ? [16] : [0, 16]) {
    const what = rank === 0 ? "training" : `training, LoRA of rank ${rank}`;
    figures[what] = await part(`${what}, ${SIZES[0]!.name}`, () => training(trained, base, rank));
  }
  const conditions = {
    ...{
      benchmark: "device",
      device: base.name,
      gpu: settings.gpu || named,
      driver: process.env["VK_ICD_FILENAMES"] ?? null,
    },
    ...{ half, engine: ENGINE_VERSION, machine: machineName(), commit: commitOfCheckout() },
    ...{ date: new Date().toISOString().slice(0, 10), seconds: rounded((performance.now() - begun) / 1000, 0) },
  };
  say(JSON.stringify({ ...conditions, settings, ...figures }));
}

const opened = await openWebgpu({ width: WIDEST }).catch((error: unknown) => {
  if (!(error instanceof CllmError)) throw error;
  console.error(`bench device: ${error.message}\nNothing was measured.`);
  process.exitCode = 1;
  return null;
});
if (opened !== null) await run(opened);
