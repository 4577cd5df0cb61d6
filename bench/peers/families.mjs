/**
 * A tiny random model of each family with a tokenizer of the tests' fixtures, as a Hugging Face directory and as a GGUF
 * file, and what cllm answers to some texts: node families.mjs FOLDER. For `exports.py`. Uses what is built into `dist`.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const use = (name) => import(new URL(`../../dist/${name}.js`, import.meta.url).href);
const { writeGguf } = await use("checkpoint/gguf/write");
const { writeHuggingFace } = await use("checkpoint/huggingface/write");
const { memoryWeights } = await use("model/memory-weights");
const { expectedTensors } = await use("model/tensors");
const { createEngine } = await use("runtime/engine");
const { toGgufTokenizer } = await use("text/to-gguf");
const { toHuggingFaceTokenizer } = await use("text/to-huggingface");
const { createTokenizer } = await use("text/tokenizer");

const TEXTS = ["The quick brown fox, 12345 jumps!", "naïve 日本 café\n\n  two  spaces", "it's <|begin|> don't"];
const COUNT = 24;
const folder = resolve(process.argv[2] ?? "families");

const fixture = (name) =>
  JSON.parse(readFileSync(new URL(`../../test/text/fixtures/${name}.json`, import.meta.url), "utf8"));
const bytes = fixture("byte-level");
const pieces = fixture("sentencepiece");
const piecesJson = fixture("sentencepiece-tokenizer-json");
const idsOf = (tokens) => Object.fromEntries(tokens.map((token, id) => [token, id]));

function byteLevel(kind) {
  const { ids, ignore_merges, ...json } = bytes.kinds[kind];
  const model = { type: "BPE", vocab: idsOf(bytes.tokens), merges: bytes.merges, ignore_merges };
  return source({ ...json, added_tokens: bytes.added, model }, ...bytes.added.map(({ content }) => content));
}

function sentencePiece() {
  const { cases, model, ...json } = piecesJson.legacy;
  return source(
    { ...json, model: { ...model, vocab: idsOf(pieces.tokens), merges: piecesJson.merges } },
    "<s>",
    "</s>",
  );
}

function source(tokenizerJson, bos, eos) {
  return {
    kind: "huggingface",
    tokenizerJson,
    tokenizerConfig: { bos_token: bos, eos_token: eos },
    chatTemplate: null,
  };
}

function ggufPieces() {
  const { cases, made_with, ...metadata } = pieces;
  const { scores, tokenTypes } = metadata;
  return { ...metadata, scores: Float32Array.from(scores), tokenTypes: Int32Array.from(tokenTypes) };
}

const BASE = {
  family: "llama",
  hiddenSize: 64,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headSize: 32,
  intermediateSize: 96,
  contextLength: 256,
  normEpsilon: 1e-5,
  ropeTheta: 10_000,
  ropeScaling: null,
  slidingWindow: null,
  tiedHead: true,
  attentionBias: false,
  outputBias: false,
  queryKeyNorm: false,
};
const llama3 = { factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContextLength: 32 };
const GEMMA = {
  ...{ normPlace: "both", normsAddOne: true, activation: "gelu" },
  ...{ embeddingScale: Math.sqrt(BASE.hiddenSize), attentionScale: BASE.headSize ** -0.5 },
};
const MODELS = {
  llama: [{}, byteLevel("llama-bpe")],
  "llama-biases": [{ attentionBias: true, outputBias: true, tiedHead: false }, byteLevel("smollm")],
  "llama-3": [{ headSize: 64, ropeScaling: { type: "llama3", ...llama3 } }, sentencePiece()],
  "llama-linear": [{ ropeScaling: { type: "linear", factor: 2 } }, ggufPieces()],
  mistral: [{ family: "mistral", tiedHead: false }, sentencePiece()],
  qwen2: [{ family: "qwen2", hiddenSize: 128, attentionBias: true }, byteLevel("qwen2")],
  "qwen2-yarn": [
    {
      ...{ family: "qwen2", hiddenSize: 128, attentionBias: true },
      ropeScaling: {
        ...{ type: "yarn", factor: 4, originalContextLength: 64, fastTurns: 32, slowTurns: 1 },
        ...{ magnitude: 0.1 * Math.log(4) + 1, wholeChannels: true },
      },
    },
    byteLevel("qwen2"),
  ],
  smollm3: [{ family: "smollm3", layers: 5, rotatedLayers: [true, true, true, false, true] }, byteLevel("llama-bpe")],
  granite: [
    {
      ...{ family: "granite", embeddingScale: 6, attentionScale: 0.125, residualScale: 0.25, logitScale: 0.125 },
    },
    byteLevel("gpt-2"),
  ],
  phi3: [{ family: "phi3", hiddenSize: 128, packedProjections: true, tiedHead: false }, sentencePiece()],
  "phi3-longrope": [
    {
      ...{ family: "phi3", hiddenSize: 128, packedProjections: true, rotarySize: 16, contextLength: 256 },
      ropeScaling: {
        ...{ type: "longrope", originalContextLength: 256, longContextLength: 256, magnitude: 1.25 },
        short: [1, 1.1, 1.2, 1.5, 1.5, 2, 2, 3],
        long: [1, 2, 3, 4, 5, 6, 7, 8],
      },
    },
    byteLevel("gpt-2"),
  ],
  olmo2: [
    {
      family: "olmo2",
      hiddenSize: 128,
      normPlace: "after",
      queryKeyNorm: true,
      wideQueryKeyNorm: true,
      tiedHead: false,
    },
    byteLevel("gpt-2"),
  ],
  gemma2: [
    {
      ...{
        ...GEMMA,
        family: "gemma2",
        attentionCap: 50,
        logitCap: 30,
        slidingWindow: 16,
        slidingLayers: [true, false],
      },
    },
    sentencePiece(),
  ],
  gemma3: [
    {
      ...{ ...GEMMA, family: "gemma3_text", layers: 7, queryKeyNorm: true, slidingRopeTheta: 10_000 },
      ...{ ropeTheta: 1_000_000, slidingWindow: 16, slidingLayers: [true, true, true, true, true, false, true] },
    },
    sentencePiece(),
  ],
  qwen3: [{ family: "qwen3", queryKeyNorm: true, tiedHead: false }, byteLevel("gpt-2")],
};

/** Numbers in [0, 1), the same in every run. */
let state = 7;
function uniform() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}
const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

function randomTensor([name, shape], { normsAddOne }) {
  const vector = shape.length === 1;
  const mean = vector && name.endsWith(".weight") && !normsAddOne ? 1 : 0;
  const deviation = vector ? 0.3 : name.includes("embed") ? 1 : 1.5 / Math.sqrt(shape[1]);
  const length = shape.reduce((product, size) => product * size, 1);
  return { name, shape, data: Float32Array.from({ length }, () => mean + deviation * normal()) };
}

/** The index of the largest of the last row's logits, and how far it is above the second largest. */
function choose(logits, vocabSize) {
  const row = logits.subarray(logits.length - vocabSize);
  const [best, second] = [...row].sort((a, b) => b - a);
  return { token: row.indexOf(best), gap: best - second };
}

async function answersOf(config, weights, tokenizer) {
  const engine = await createEngine(config, weights, { precision: "fp32", threads: 1 });
  const answers = [];
  for (const text of TEXTS) {
    const session = engine.session();
    const ids = tokenizer.encode(text);
    const chosen = [choose(await session.logits(ids), config.vocabSize)];
    while (chosen.length < COUNT) {
      chosen.push(choose(await session.logits(Int32Array.of(chosen.at(-1).token)), config.vocabSize));
    }
    answers.push({ ids: [...ids], tokens: chosen.map(({ token }) => token), gaps: chosen.map(({ gap }) => gap) });
  }
  await engine.dispose();
  return answers;
}

mkdirSync(folder, { recursive: true });
const answers = {};
for (const [name, [fields, given]] of Object.entries(MODELS)) {
  const inPieces = given.kind === "gguf" || given.tokenizerJson.model.byte_fallback;
  const vocabSize = inPieces ? pieces.tokens.length : bytes.tokens.length + bytes.added.length;
  const tokenizer = createTokenizer(given, vocabSize);
  const ends = { bosTokenId: tokenizer.bosTokenId, eosTokenIds: [tokenizer.eosTokenId] };
  const config = { ...BASE, ...fields, ...ends, vocabSize };
  const weights = memoryWeights(Array.from(expectedTensors(config), (tensor) => randomTensor(tensor, config)));
  rmSync(join(folder, name), { recursive: true, force: true });
  await writeHuggingFace(join(folder, name), { config, weights, tokenizer: toHuggingFaceTokenizer(given, config) });
  const gguf = { name: "tiny", config, weights, tokenizer: toGgufTokenizer(given, vocabSize) };
  await writeGguf(join(folder, `${name}.gguf`), gguf, { overwrite: true });
  answers[name] = await answersOf(config, weights, tokenizer);
}
writeFileSync(join(folder, "expected.json"), JSON.stringify({ texts: TEXTS, count: COUNT, answers }));
process.exit(0); // ONNX Runtime's threads
