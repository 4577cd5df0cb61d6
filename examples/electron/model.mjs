/**
 * The model's process: loads it once, answers one request after the other, and stops where it is told to. Messages in are
 * `{ id, prompt }` and `{ id, abort: true }`; out come `{ id, text }`, and last `{ id, stats }` or `{ id, error }`.
 */
import { load } from "cllm";

const model = load(process.argv[2] ?? "HuggingFaceTB/SmolLM2-135M-Instruct");
const aborts = new Map();
const post = (message) => process.parentPort.postMessage(message);

process.parentPort.on("message", async ({ data: { id, prompt, abort } }) => {
  if (abort) return aborts.get(id)?.abort();
  const controller = new AbortController();
  aborts.set(id, controller);
  try {
    const loaded = await model;
    const input = loaded.hasChatTemplate ? { messages: [{ role: "user", content: prompt }] } : { prompt };
    const chunks = loaded.stream({ ...input, maxNewTokens: 256, signal: controller.signal });
    for await (const { text } of chunks) post({ id, text });
    const { stats } = await chunks.result;
    post({ id, stats: { tokensPerSecond: stats.tokensPerSecond, tokensPerForward: stats.tokensPerForward } });
  } catch (error) {
    post({ id, error: error.message });
  } finally {
    aborts.delete(id);
  }
});
