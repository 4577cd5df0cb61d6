/**
 * `cllm/worker`: a model in a worker of its own, for pages. The page stays free while passes run, and can end the worker, whatever
 * it does. Knows messages and no model.
 */
import { CllmError } from "../error.ts";
import type { Chunk, Generation, LoadOptions, PassCosts } from "../generate/types.ts";
import type { FromWorker, ModelFacts, SentLoadOptions, SentRequest, ToWorker } from "./messages.ts";

export { CllmError } from "../error.ts";
export type { Chunk, GenerateOptions, Generation, LoadOptions, Progress } from "../generate/types.ts";

export interface WorkerOptions extends LoadOptions {
  /** The worker to use. Default: one from this package's `model-worker.js`. */
  readonly worker?: Worker | undefined;
  /** See `engineFilesAt`. */
  readonly engineFiles?: string | undefined;
}

export type WorkerRequest = SentRequest & { readonly signal?: AbortSignal | undefined };

/** A model in a worker. Its requests take turns; the worker lives until it is ended. */
export interface WorkerModel extends ModelFacts, Disposable {
  /** Chunks as they come; `break` cancels. What the loop does not see is the generation, which it returns. */
  stream(request: WorkerRequest): AsyncGenerator<Chunk, Generation, void>;
  generate(request: WorkerRequest): Promise<Generation>;
  passCosts(): Promise<PassCosts>;
  encode(text: string): Promise<Int32Array>;
  decode(tokens: Int32Array): Promise<string>;
  /** Ends the worker at once, even during a pass. Requests that run reject with `disposed`. */
  end(): void;
}

/**
 * Loads a model in a worker: an address below which its files lie, relative to the page, or a hub id. Throws as `load` does; the
 * worker is ended then.
 *
 * @example
 * const model = await loadInWorker("/models/text-to-sql");
 * for await (const { text } of model.stream({ prompt: "..." })) output.append(text);
 */
export async function loadInWorker(addressOrId: string, options: WorkerOptions = {}): Promise<WorkerModel> {
  const { worker: given, engineFiles, onProgress, onWarning, signal, ...rest } = options;
  const worker = given ?? new Worker(new URL("./model-worker.js", import.meta.url), { type: "module" });
  const calls = new Map<number, (message: FromWorker) => void>();
  let count = 0;
  let ended: CllmError | null = null;
  const end = (error: CllmError): void => {
    if (ended !== null) return;
    ended = error;
    worker.terminate();
    for (const [id, receive] of [...calls])
      receive({ type: "failed", id, error: { code: error.code, message: error.message } });
  };
  worker.onmessage = ({ data }: MessageEvent<FromWorker>): void => calls.get(data.id)?.(data);
  worker.onerror = (event): void =>
    end(
      new CllmError(
        "engine",
        `the worker failed: ${event.message || "its script could not be loaded"}; load the model again`,
      ),
    );

  /** Sends a message, and settles with its last answer. */
  const call = <T>(
    message: (id: number) => ToWorker,
    signal: AbortSignal | undefined,
    onEach: (message: FromWorker) => void = () => {},
  ): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (ended !== null) return reject(ended);
      if (signal?.aborted)
        return reject(new CllmError("aborted", "this was aborted before it began", { cause: signal.reason }));
      const id = count++;
      const abort = (): void => worker.postMessage({ type: "abort", id } satisfies ToWorker);
      signal?.addEventListener("abort", abort, { once: true });
      calls.set(id, (answer) => {
        if (answer.type !== "done" && answer.type !== "failed") return onEach(answer);
        calls.delete(id);
        signal?.removeEventListener("abort", abort);
        if (answer.type === "done") return resolve(answer.value as T);
        const { code, message } = answer.error;
        reject(code === null ? new Error(message) : new CllmError(code, message));
      });
      worker.postMessage(message(id));
    });

  async function* stream({ signal, ...request }: WorkerRequest): AsyncGenerator<Chunk, Generation, void> {
    const controller = new AbortController();
    const waiting: Chunk[] = [];
    let wake = (): void => {};
    let isOver = false;
    const over = call<Generation>(
      (id) => ({ type: "stream", id, request }),
      signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]),
      (answer) => {
        if (answer.type === "chunk") waiting.push(answer.chunk);
        wake();
      },
    ).finally(() => {
      isOver = true;
      wake();
    });
    over.catch(() => {}); // thrown below
    try {
      while (!isOver || waiting.length > 0) {
        const chunk = waiting.shift();
        if (chunk !== undefined) yield chunk;
        else if (!isOver) await new Promise<void>((resolve) => (wake = resolve));
      }
      return await over;
    } finally {
      controller.abort();
    }
  }

  try {
    const address = /^(\.{0,2}\/)/.test(addressOrId) ? new URL(addressOrId, document.baseURI).href : addressOrId;
    const facts = await call<ModelFacts>(
      (id) => ({
        ...{ type: "load", id, address, options: rest satisfies SentLoadOptions },
        engineFiles: engineFiles === undefined ? null : new URL(engineFiles, document.baseURI).href,
      }),
      signal,
      (answer) => {
        if (answer.type === "progress") onProgress?.(answer.progress);
        if (answer.type === "warning") (onWarning ?? console.warn)(answer.line);
      },
    );
    const dispose = (): void => end(new CllmError("disposed", "the worker of this model was ended: load it again"));
    return {
      ...facts,
      stream,
      async generate(request) {
        const all = stream(request);
        for (;;) {
          const { done, value } = await all.next();
          if (done) return value;
        }
      },
      passCosts: () => call((id) => ({ type: "costs", id }), undefined),
      encode: (text) => call((id) => ({ type: "encode", id, text }), undefined),
      decode: (tokens) => call((id) => ({ type: "decode", id, tokens }), undefined),
      end: dispose,
      [Symbol.dispose]: dispose,
    };
  } catch (error) {
    end(new CllmError("disposed", "the worker of this model was ended: load it again"));
    throw error;
  }
}
