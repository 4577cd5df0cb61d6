/**
 * llama.cpp's greedy continuations, as one JSON array of `{ ids, tokens }`, prompt and answer, for each text:
 * node llama-tokens.mjs FILE.gguf COUNT TEXT...
 */
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const [modelPath, count, ...texts] = process.argv.slice(2);
const options = { gpu: false, build: "never", skipDownload: true, maxThreads: 2, logLevel: LlamaLogLevel.error };
const llama = await getLlama(options);
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: 256, threads: 2 });
const sequence = context.getSequence();
const answers = [];
for (const text of texts) {
  await sequence.clearHistory();
  const first = model.tokens.shouldPrependBosToken && model.tokens.bos !== null ? [model.tokens.bos] : [];
  const ids = [...first, ...model.tokenize(text, true)];
  const tokens = [];
  for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
    if (tokens.push(token) === Number(count)) break;
  }
  answers.push({ ids, tokens });
}
console.log(JSON.stringify(answers));
process.exit(0); // the binding keeps threads of its own
