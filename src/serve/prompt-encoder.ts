/**
 * Long prompts to token ids in a thread (see `prompt-worker.ts`), which is started for the first and ended when there was none for a
 * while. Knows no model but its name.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { CllmError } from "../error.ts";
import type { PromptInput } from "../generate/types.ts";
import type { TokenIds } from "../runtime/session.ts";
import { type Failure, revive, type WorkerData } from "./wire.ts";

export type EncodedPrompt = { readonly ids: TokenIds } | { readonly failure: Failure };

/** Throws what encoding throws, and `aborted` where the signal fires, at once. */
export type EncodePrompt = (input: PromptInput, signal: AbortSignal) => Promise<TokenIds>;

const IDLE_MS = 60_000;

/** One prompt at a time; `workerFile` is the compiled `prompt-worker.ts`. Default: the one beside this file. */
export function promptEncoder(
  workerData: WorkerData,
  workerFile: URL = new URL("./prompt-worker.js", import.meta.url),
): EncodePrompt {
  let thread: Worker | null = null;
  let last: Promise<unknown> = Promise.resolve();
  let idle: NodeJS.Timeout | undefined;

  const end = (): void => {
    void thread?.terminate();
    thread = null;
  };

  async function encode(input: PromptInput, signal: AbortSignal): Promise<TokenIds> {
    if (signal.aborted) throw aborted();
    clearTimeout(idle);
    thread ??= new Worker(workerFile, { workerData, execArgv: [] }).on("error", end);
    thread.ref();
    try {
      const answered = once(thread, "message", { signal }) as Promise<[EncodedPrompt]>; // or rejects where it fails
      thread.postMessage(input);
      const [answer] = await answered;
      if ("failure" in answer) throw revive(answer.failure);
      return answer.ids;
    } catch (error) {
      if (!signal.aborted) throw error;
      end(); // it may have seconds to go
      throw aborted();
    } finally {
      thread?.unref();
      idle = setTimeout(end, IDLE_MS);
      idle.unref();
    }
  }

  return (input, signal) => {
    const mine = last.then(() => encode(input, signal));
    last = mine.catch(() => {});
    return new Promise((resolve, reject) => {
      mine.then(resolve, reject);
      signal.addEventListener("abort", () => reject(aborted()), { once: true });
    });
  };
}

const aborted = (): CllmError => new CllmError("aborted", "the request was aborted while its prompt was encoded");
