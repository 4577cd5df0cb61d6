/**
 * The models of a server by the names that requests use: loaded when first asked for, idle ones unloaded where memory is
 * limited, started again after their worker ended. A name is looked up in the list that the server was started with,
 * never on the disk. Knows no HTTP.
 */
import type { Demonstration } from "../checkpoint/own-facts.ts";
import { CllmError } from "../error.ts";
import { unknownName } from "../generate/check.ts";
import type { Backend, RunEvent, RunsOn, ServedRequest } from "./backend.ts";
import { type Client, createQueue, type Queue } from "./queue.ts";

/** Starts a model. `admit` is to be called with its bytes before they are taken, `onEnd` when it is gone by itself. */
export type StartModel = (admit: (bytes: number) => Promise<void>, onEnd: () => void) => Promise<Backend>;

export interface ModelEntry {
  /** What requests call it. */
  readonly name: string;
  /** The demonstration that it is for. Default: none. */
  readonly demonstration?: Demonstration | null;
  /** What its draft adapter is called. Default: it has none. */
  readonly draftAdapter?: string | null;
  /** What its draft model is called. Default: it has none. */
  readonly draftModel?: string | null;
  /** What its Medusa heads are called. Default: it has none. */
  readonly medusaHeads?: string | null;
  /** What its n-grams are called. Default: it has none of its own. */
  readonly ngrams?: string | null;
  readonly start: StartModel;
}

export interface ModelsOptions {
  /** Requests that a model runs at once. */
  readonly maxRunning: number;
  /** Requests that may wait for a model. */
  readonly maxWaiting: number;
  /** Bytes that loaded models may take together, by estimate. Default: no limit. */
  readonly memoryLimit?: number | undefined;
  /** Told what happens to models, for a log. */
  readonly log?: ((line: string) => void) | undefined;
}

export interface ModelStatus {
  readonly name: string;
  readonly demonstration: Demonstration | null;
  readonly draftAdapter: string | null;
  readonly draftModel: string | null;
  readonly medusaHeads: string | null;
  readonly ngrams: string | null;
  readonly loaded: boolean;
  /** Once it is loaded. */
  readonly runsOn: RunsOn | null;
  readonly running: number;
  readonly waiting: number;
  /** How often it was loaded. */
  readonly loads: number;
}

/** The right to run requests on a model, one after the other. */
export interface Lease {
  run(request: ServedRequest, signal: AbortSignal): AsyncIterable<RunEvent>;
  release(): void;
}

export interface Models extends AsyncDisposable {
  status(): readonly ModelStatus[];
  /** Throws `not-found`, which names the models there are. */
  require(name: string): void;
  /** Loads a model before it is asked for. Throws what loading throws. */
  load(name: string): Promise<void>;
  /**
   * Waits for the model's turn for this client, and loads it where it is not. Throws `not-found`, `busy`, `aborted`, and
   * `unavailable` where it cannot be loaded.
   */
  lease(name: string, client: Client, signal: AbortSignal): Promise<Lease>;
}

/** A model that is loaded or being loaded. */
interface Loaded {
  readonly backend: Promise<Backend>;
  bytes: number;
  ready: boolean;
  runsOn: RunsOn | null;
}

interface KnownModel extends ModelEntry {
  readonly queue: Queue;
  loaded: Loaded | null;
  lastUsed: number;
  loads: number;
}

/**
 * Models by name, each started when it is first asked for.
 *
 * @example
 * await using models = createModels([{ name: "mine", start: async () => inThisProcess(model) }], {
 *   maxRunning: 4,
 *   maxWaiting: 64,
 * });
 */
export function createModels(entries: readonly ModelEntry[], options: ModelsOptions): Models {
  const { maxRunning, maxWaiting, memoryLimit = Number.POSITIVE_INFINITY, log = () => {} } = options;
  const models = new Map<string, KnownModel>();
  for (const entry of entries) {
    if (models.has(entry.name)) {
      const next = "give one of them another one: --model name=path";
      throw new CllmError("usage", `two models have the name ${entry.name}; ${next}`);
    }
    const queue = createQueue({ maxRunning, maxWaiting });
    models.set(entry.name, { ...entry, queue, loaded: null, lastUsed: 0, loads: 0 });
  }
  let uses = 0;

  function find(name: string): KnownModel {
    const model = models.get(name);
    if (model !== undefined) return model;
    throw new CllmError("not-found", unknownName("this server", `model ${name}`, [...models.keys()]));
  }

  /** Chooses the idle models that leave for `bytes`, the least recently used first. */
  function leaversFor(bytes: number, name: string): readonly KnownModel[] {
    if (bytes > memoryLimit) {
      const limit = `the server's limit is ${megabytes(memoryLimit)}`;
      throw new CllmError("unavailable", `${name} needs about ${megabytes(bytes)}, and ${limit}; use a smaller model`);
    }
    const taken = [...models.values()].reduce((sum, { loaded }) => sum + (loaded?.bytes ?? 0), 0);
    let excess = taken + bytes - memoryLimit;
    const idle = [...models.values()]
      .filter(({ loaded, queue }) => loaded !== null && loaded.bytes > 0 && queue.running + queue.waiting === 0)
      .sort((a, b) => a.lastUsed - b.lastUsed);
    const leaving: KnownModel[] = [];
    for (const model of idle) {
      if (excess <= 0) break;
      leaving.push(model);
      excess -= model.loaded!.bytes;
    }
    if (excess > 0) {
      const next = "send the request again later";
      throw new CllmError("unavailable", `the models in use leave no room for ${name}; ${next}`);
    }
    return leaving;
  }

  async function unload(model: KnownModel): Promise<void> {
    const { backend } = model.loaded!;
    model.loaded = null;
    log(`${model.name}: unloaded`);
    await backend.then((loaded) => loaded.dispose()).catch(() => {}); // one that was not loaded has nothing to dispose of
  }

  /** The model's backend, started where there is none. */
  function ready(model: KnownModel): Promise<Backend> {
    if (model.loaded !== null) return model.loaded.backend;
    const since = performance.now();
    log(`${model.name}: loading`);
    const forget = (): void => {
      if (model.loaded === loaded) model.loaded = null;
    };
    const admit = async (bytes: number): Promise<void> => {
      const leaving = leaversFor(bytes, model.name);
      loaded.bytes = bytes; // it is spoken for, while others leave
      await Promise.all(leaving.map(unload));
    };
    const ended = (): void => {
      if (loaded.ready && model.loaded === loaded)
        log(`${model.name}: its worker ended; the next request starts another`);
      forget();
    };
    const backend = Promise.resolve().then(() => model.start(admit, ended));
    const loaded: Loaded = { backend, bytes: 0, ready: false, runsOn: null };
    model.loaded = loaded;
    model.loads++;
    backend.then(
      ({ runsOn }) => {
        loaded.ready = true;
        loaded.runsOn = runsOn;
        log(`${model.name}: loaded in ${((performance.now() - since) / 1000).toFixed(1)} s`);
      },
      (error: unknown) => {
        forget();
        log(`${model.name}: not loaded: ${error instanceof Error ? error.message : String(error)}`);
      },
    );
    return backend;
  }

  async function lease(name: string, client: Client, signal: AbortSignal): Promise<Lease> {
    const model = find(name);
    const release = await model.queue.acquire(client, signal);
    const free = (): void => {
      model.lastUsed = ++uses;
      release();
    };
    try {
      const backend = await unlessAborted(ready(model), signal);
      return { run: (request, abort) => backend.run(request, abort), release: free };
    } catch (error) {
      free();
      throw error instanceof CllmError && PASSED_ON.has(error.code) ? error : unloadable(name, error);
    }
  }

  async function dispose(): Promise<void> {
    const loaded = [...models.values()].map((model) => model.loaded?.backend);
    for (const model of models.values()) model.loaded = null;
    await Promise.all(loaded.map((backend) => backend?.then((ended) => ended.dispose()).catch(() => {})));
  }

  return {
    status: () =>
      [...models.values()].map(
        ({
          name,
          demonstration = null,
          draftAdapter = null,
          draftModel = null,
          medusaHeads = null,
          ngrams = null,
          loaded,
          queue,
          loads,
        }) => ({
          ...{
            name,
            demonstration,
            draftAdapter,
            draftModel,
            medusaHeads,
            ngrams,
            loaded: loaded !== null,
            runsOn: loaded?.runsOn ?? null,
            running: queue.running,
            waiting: queue.waiting,
            loads,
          },
        }),
      ),
    require: (name) => void find(name),
    load: async (name) => void (await ready(find(name))),
    lease,
    [Symbol.asyncDispose]: dispose,
  };
}

/** What a failure to load may tell a client; other messages name files, and are for the log. */
const PASSED_ON = new Set(["aborted", "unavailable"]);

function unloadable(name: string, cause: unknown): CllmError {
  return new CllmError("unavailable", `${name} could not be loaded; the server's log says why`, { cause });
}

/** Loading goes on for others where one request that waits for it is aborted. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new CllmError("aborted", "the request was aborted while its model was loaded"));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;
