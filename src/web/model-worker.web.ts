/**
 * The worker of `cllm/worker`: one model and its requests, which a page sends as messages. Knows no page.
 */
import { CllmError } from "../error.ts";
import { load } from "../generate/load.ts";
import type { LanguageModel } from "../generate/types.ts";
import { engineFilesAt } from "../runtime/ort.web.ts";
import type { FromWorker, SentError, ToWorker } from "./messages.ts";

let model: LanguageModel | null = null;
const aborts = new Map<number, AbortController>();
const post = (message: FromWorker): void => self.postMessage(message);

self.onmessage = async ({ data }: MessageEvent<ToWorker>): Promise<void> => {
  const { id, type } = data;
  if (type === "abort") return aborts.get(id)?.abort();
  const controller = new AbortController();
  aborts.set(id, controller);
  try {
    post({ type: "done", id, value: await answer(data, controller.signal) });
  } catch (error) {
    post({ type: "failed", id, error: sent(error) });
  } finally {
    aborts.delete(id);
  }
};

async function answer(
  message: Exclude<ToWorker, { type: "abort" }>,
  signal: AbortSignal,
): Promise<Extract<FromWorker, { type: "done" }>["value"]> {
  const { id } = message;
  if (message.type === "load") {
    if (message.engineFiles !== null) engineFilesAt(message.engineFiles);
    model = await load(message.address, {
      ...message.options,
      signal,
      onProgress: (progress) => post({ type: "progress", id, progress }),
      onWarning: (line) => post({ type: "warning", id, line }),
    });
    const { name, precision, hasChatTemplate, config } = model;
    return { name, precision, hasChatTemplate, contextLength: config.contextLength };
  }
  if (model === null) throw new CllmError("usage", "no model is loaded in this worker: load one first");
  if (message.type === "costs") return await model.passCosts(signal);
  if (message.type === "encode") return model.tokenizer.encode(message.text);
  if (message.type === "decode") return model.tokenizer.decode(message.tokens);
  const stream = model.stream({ ...message.request, signal });
  for await (const chunk of stream) {
    post({ type: "chunk", id, chunk });
    await nextMessage(); // passes never wait for the page, so its messages would not be read between them
  }
  return await stream.result;
}

/** Lets messages in that have come meanwhile, such as an abort. */
const nextMessage = (): Promise<void> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });

function sent(error: unknown): SentError {
  const message = error instanceof Error ? error.message : String(error);
  return { code: error instanceof CllmError ? error.code : null, message };
}
