/**
 * llama.cpp through node-llama-cpp, with the binary that comes in its packages, on a GGUF file of the data folder.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

/** Room for the prompt and the answer; llama.cpp's cost follows the tokens held, not this. */
const CONTEXT_SIZE = 2048;

export async function open({ data, threads, file }) {
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    maxThreads: threads,
    logLevel: LlamaLogLevel.error,
  });
  const model = await llama.loadModel({ modelPath: join(data, file) });
  const context = await model.createContext({ contextSize: CONTEXT_SIZE, threads: { ideal: threads, min: threads } });
  const sequence = context.getSequence();
  const manifest = new URL("../node_modules/node-llama-cpp/package.json", import.meta.url);
  return {
    version: JSON.parse(readFileSync(manifest, "utf8")).version,
    async generate({ text }, maxNewTokens) {
      await sequence.clearHistory();
      const tokens = [];
      const start = performance.now();
      const prompt = model.tokenize(text, true);
      let first = 0;
      let end = 0;
      for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
        end = performance.now();
        if (tokens.push(token) === 1) first = end;
        if (tokens.length === maxNewTokens) break;
      }
      return {
        tokens,
        promptTokens: prompt.length,
        cachedTokens: 0,
        prefillMs: first - start,
        decodeMs: end - first,
        totalMs: end - start,
      };
    },
    async close() {
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}
