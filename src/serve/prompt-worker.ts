/**
 * The thread that encodes the long prompts of a model, one after the other: a megabyte takes seconds, in which no other request
 * should wait for its pass. Opens the checkpoint's text side by itself. Knows no weights and no HTTP.
 */
import { parentPort, workerData } from "node:worker_threads";
import { loadText } from "../generate/load.ts";
import type { PromptInput } from "../generate/types.ts";
import type { EncodedPrompt } from "./prompt-encoder.ts";
import { failureOf, type WorkerData } from "./wire.ts";

const { model, options } = workerData as WorkerData;
const text = loadText(model, options);
parentPort!.on("message", async (input: PromptInput) => {
  let answer: EncodedPrompt;
  try {
    answer = { ids: (await text).promptIds(input) };
  } catch (error) {
    answer = { failure: failureOf(error) };
  }
  parentPort!.postMessage(answer);
});
