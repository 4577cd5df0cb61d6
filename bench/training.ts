/**
 * What training costs: tokens per second of full training and of LoRA, the optimizer's share, peak memory, and losses and
 * gradients against PyTorch's. With `--python`, PyTorch takes the same steps in turn, in a process of its own.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { goldensFile } from "../scripts/real-data.mjs";
import { openCheckpoint } from "../src/checkpoint/open.ts";
import { quantile } from "../src/eval/statistics.ts";
import { hash } from "../src/hash.ts";
import type { LoraSettings } from "../src/model/lora.ts";
import { LORA_TARGETS } from "../src/model/lora.ts";
import { defaultThreads } from "../src/runtime/host.ts";
import { type Pack, segment } from "../src/train/pack.ts";
import { fullParameters, loraParameters } from "../src/train/parameters.ts";
import { Trainer } from "../src/train/trainer.ts";
import { flags, median, modelPath, report } from "./conditions.ts";

const settings = flags({
  tokens: 512,
  rounds: 5,
  lora: 16,
  threads: defaultThreads(),
  seed: 0,
  python: "",
  "python-model": "",
});
const how = { learningRate: 1e-6, weightDecay: 0.01, clipNorm: 1 };
let taken = 0;

const checkpoint = await openCheckpoint(modelPath(), {});
const config = { ...checkpoint.config, contextLength: Math.max(settings.tokens, 256) };
const ids = Int32Array.from({ length: settings.tokens + 1 }, (_, i) => hash(settings.seed, i) % config.vocabSize);

function packOf(tokens: Int32Array, targets: Int32Array): Pack {
  return {
    segments: [segment(tokens, { targets, weights: new Float32Array(targets.length).fill(1 / targets.length) })],
  };
}
const pack = packOf(ids.subarray(0, -1), ids.subarray(1));

interface Times {
  readonly gradients: number[];
  readonly optimizer: number[];
}

/** One step, timed in its two parts, ms. */
async function timed(trainer: Trainer, times: Times | null): Promise<void> {
  const start = performance.now();
  const gradients = await trainer.gradients([pack]);
  const between = performance.now();
  await trainer.step(gradients, { step: ++taken, ...how });
  if (times === null) return;
  times.gradients.push(between - start);
  times.optimizer.push(performance.now() - between);
}

/** PyTorch's steps on demand: a line in, seconds out. */
class Peer {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(python: string, model: string) {
    const script = fileURLToPath(new URL("peers/train.py", import.meta.url));
    const args = [script, model, String(settings.tokens), String(settings.threads)];
    this.#child = spawn(python, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async step(): Promise<number> {
    this.#child.stdin.write("step\n");
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("PyTorch's process ended");
    return Number(value) * 1000;
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    await once(this.#child, "exit");
  }
}

/** The largest relative difference of losses and gradient norms over the golden steps; null where there are none. */
async function againstGoldens(trainer: Trainer): Promise<number | null> {
  const path = goldensFile();
  const { vocabSize, hiddenSize } = trainer.config;
  if (!existsSync(path) || vocabSize !== 49_152 || hiddenSize !== 576) return null; // they are SmolLM2-135M's
  const { training } = JSON.parse(readFileSync(path, "utf8")) as {
    training: {
      input_ids: number[];
      target_ids: number[];
      steps: { loss: number; grad_norm: number; grad_norms: Record<string, number> }[];
    };
  };
  const golden = packOf(Int32Array.from(training.input_ids), Int32Array.from(training.target_ids));
  let worst = 0;
  for (const [index, { loss, grad_norm, grad_norms }] of training.steps.entries()) {
    const gradients = await trainer.gradients([golden]);
    const compare = (actual: number, expected: number): void => {
      worst = Math.max(worst, Math.abs(actual - expected) / expected);
    };
    compare(gradients.loss, loss);
    for (const [i, { name }] of trainer.parameters.trained.entries()) {
      if (grad_norms[name] !== undefined) compare(Math.sqrt(gradients.squares[i] as number), grad_norms[name]);
    }
    const as = { step: index + 1, learningRate: 1e-4, weightDecay: 0.01, clipNorm: 0, decayAll: true };
    compare(await trainer.step(gradients, as), grad_norm);
  }
  return worst;
}

const figures: Record<string, unknown> = {};
const spread = (values: readonly number[]): string =>
  `${median(values).toFixed(0)} (${quantile(values, 0.25).toFixed(0)} to ${quantile(values, 0.75).toFixed(0)})`;
const perSecond = (ms: number): number => (settings.tokens / ms) * 1000;

const full = await Trainer.create(config, await fullParameters(config, checkpoint.weights), {
  ...{ batch: 1, threads: settings.threads },
});
const worst = await againstGoldens(full);
if (worst !== null) {
  figures["againstGoldens"] = worst;
  console.log(`losses and gradient norms against PyTorch's, worst of four steps: ${worst.toExponential(1)}, relative`);
}
const peer = settings.python === "" ? null : new Peer(settings.python, settings["python-model"]);
const times: Times = { gradients: [], optimizer: [] };
const theirs: number[] = [];
for (let round = -1; round < settings.rounds; round++) {
  await timed(full, round < 0 ? null : times);
  const ms = await peer?.step();
  if (round >= 0 && ms !== undefined) theirs.push(ms);
}
const steps = times.gradients.map((ms, i) => ms + (times.optimizer[i] as number));
figures["full"] = {
  tokensPerSecond: perSecond(median(steps)),
  gradientsMs: median(times.gradients),
  optimizerMs: median(times.optimizer),
  optimizerShare: median(times.optimizer.map((ms, i) => ms / (steps[i] as number))),
};
console.log(
  `full training, ${settings.tokens} tokens, ms: forward and backward ${spread(times.gradients)}, AdamW ${spread(times.optimizer)}`,
);
console.log(
  `  ${perSecond(median(steps)).toFixed(0)} tokens/s, AdamW's share ${(100 * (figures["full"] as { optimizerShare: number }).optimizerShare).toFixed(1)} %`,
);
if (peer !== null) {
  await peer.close();
  const ratios = theirs.map((ms, i) => ms / (steps[i] as number));
  figures["pytorch"] = { tokensPerSecond: perSecond(median(theirs)), ratio: median(ratios) };
  console.log(
    `  PyTorch fp32, ms: ${spread(theirs)}, ${perSecond(median(theirs)).toFixed(0)} tokens/s; ours / theirs ${median(ratios).toFixed(2)}`,
  );
}
const peak = process.resourceUsage().maxRSS / 1e6;
figures["peakGigabytes"] = peak;
console.log(`  peak memory of this process: ${peak.toFixed(1)} GB`);
await full.dispose();

if (settings.lora > 0) {
  const lora: LoraSettings = { rank: settings.lora, alpha: 2 * settings.lora, targets: LORA_TARGETS };
  const parameters = await loraParameters(config, checkpoint.weights, lora, settings.seed);
  await using trainer = await Trainer.create(config, parameters, { batch: 1, lora, threads: settings.threads });
  const own: Times = { gradients: [], optimizer: [] };
  for (let round = -1; round < settings.rounds; round++) await timed(trainer, round < 0 ? null : own);
  const loraSteps = own.gradients.map((ms, i) => ms + (own.optimizer[i] as number));
  const ratio = median(steps) / median(loraSteps);
  figures["lora"] = { tokensPerSecond: perSecond(median(loraSteps)), ratioToFull: ratio };
  console.log(
    `LoRA rank ${settings.lora}, all matrices, ms: ${spread(loraSteps)}, ${ratio.toFixed(2)} times full training`,
  );
}
await checkpoint.close();
report("training", settings, figures);
