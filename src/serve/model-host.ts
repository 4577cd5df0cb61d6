/**
 * The server's end of a model in a worker: starts it, asks before it takes memory, passes requests on and tells them
 * apart. When the worker ends, the requests that wait for it fail; one that hangs is ended. Knows no HTTP and no list
 * of models.
 *
 * A worker is a process and not a thread: one that runs out of memory or crashes in native code takes nobody with it (a
 * thread that is terminated during a pass makes the engine's binding abort the whole process), and when it ends, its
 * memory is free.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { CllmError } from "../error.ts";
import type { Backend, RunEvent, RunsOn, ServedRequest } from "./backend.ts";
import { outliveNot } from "./guardian.ts";
import { Mailbox } from "./mailbox.ts";
import { type FromWorker, revive, type ToWorker, type WorkerData } from "./wire.ts";

/** When a worker counts as hung. */
export interface Patience {
  /** Milliseconds between two looks at its pulse. */
  readonly lookMs: number;
  /** Looks in a row without a beat, before the first one ever and after it. Looks and no clock: a machine that slept is no hang. */
  readonly starting: number;
  readonly running: number;
  /** Milliseconds that a pass may go on after its request was aborted. */
  readonly abortMs: number;
}

export interface HostOptions extends WorkerData {
  /** The compiled `worker.ts`. Default: the one beside this file. */
  readonly workerFile?: URL | undefined;
  /** Default: a quarter of a minute without a pulse, one minute for a pass that is no longer wanted. */
  readonly patience?: Partial<Patience> | undefined;
  /** Called with an estimate of the model's bytes before they are taken; waits until there is room, or throws. */
  admit(bytes: number): Promise<void>;
  /** Called once when the worker is gone, for whatever reason, also before it was ready. */
  onEnd(): void;
}

export interface Host extends Backend {
  /** The worker's process. */
  readonly pid: number;
  /** Ends the worker wherever it is; requests that it had fail with `unavailable`. */
  kill(): Promise<void>;
}

const PATIENCE: Patience = { lookMs: 1000, starting: 120, running: 15, abortMs: 60_000 };
const CLOSING_MS = 2_000; // then the worker is ended by force

/** Starts a worker and loads its model. Throws what loading throws, and `unavailable` where the worker ends meanwhile. */
export async function startModel(hostOptions: HostOptions): Promise<Host> {
  const { model, options, workerFile, admit, onEnd } = hostOptions;
  const patience: Patience = { ...PATIENCE, ...hostOptions.patience };
  const data: WorkerData = { model, options };
  const file = fileURLToPath(workerFile ?? new URL("./worker.js", import.meta.url));
  const { CLLM_API_KEY: _, ...env } = process.env; // which the worker does not need
  const stdio = ["ignore", 2, 2, "ipc", "pipe"] as const; // standard output is the server's; the last one is the pulse
  const worker = fork(file, [JSON.stringify(data)], { env, execArgv: [], stdio: [...stdio] });
  const stopGuarding = outliveNot(worker);
  const loading = new Mailbox<FromWorker>();
  const runs = new Map<number, Mailbox<RunEvent>>();
  let nextId = 0;
  let hung: string | null = null; // why it was ended by force
  let lost: CllmError | null = null; // why there is no worker any more
  let setGone = (): void => {};
  const gone = new Promise<void>((resolve) => {
    setGone = resolve;
  });

  worker.on("message", (message: FromWorker) => {
    if (!("id" in message)) return loading.push(message);
    const { id } = message;
    const inbox = runs.get(id);
    if (message.type === "pass") return inbox?.push({ event: message.event });
    runs.delete(id);
    if (message.type === "failed") return inbox?.fail(revive(message.failure));
    inbox?.push({ generation: message.generation });
    inbox?.close();
  });
  const end = (how: string): void => {
    if (lost !== null) return;
    lost = new CllmError("unavailable", `the model's worker ended (${hung ?? how}); send the request again`);
    clearInterval(watch);
    stopGuarding();
    for (const inbox of runs.values()) inbox.fail(lost);
    runs.clear();
    loading.fail(lost);
    onEnd();
    setGone();
  };
  worker.on("error", (error) => end(error.message)); // it could not be started, or cannot be reached
  worker.on("close", (code, signal) => {
    const how = signal ?? `exit code ${code}`;
    if (worker.connected)
      worker.once("disconnect", () => end(how)); // its last messages are still to be read
    else end(how);
  });
  const post = (message: ToWorker): void => void worker.send(message, () => {}); // where it is gone, "close" comes
  const kill = async (why: string | null = null): Promise<void> => {
    hung ??= why;
    worker.kill("SIGKILL");
    await gone;
  };

  let silent = 0;
  let allowed = patience.starting;
  worker.stdio[4]?.on("data", () => {
    silent = 0;
    allowed = patience.running;
  });
  worker.stdio[4]?.on("error", () => {}); // "close" comes
  const watch = setInterval(() => {
    if (++silent > allowed) void kill("it did not answer");
  }, patience.lookMs);
  watch.unref();

  async function expect(type: "opened" | "ready"): Promise<FromWorker> {
    const { value: message } = await loading.next();
    if (message?.type === "unloadable") throw revive(message.failure);
    if (message?.type !== type) throw new Error(`a worker said ${message?.type} where ${type} was due`);
    return message;
  }

  function run(request: ServedRequest, signal: AbortSignal): AsyncIterable<RunEvent> {
    const id = nextId++;
    let timer: NodeJS.Timeout | undefined;
    const abort = (): void => {
      if (timer !== undefined || !runs.has(id)) return;
      post({ type: "abort", id });
      timer = setTimeout(() => {
        if (runs.has(id)) void kill("it did not stop");
      }, patience.abortMs);
      timer.unref();
    };
    const inbox = new Mailbox<RunEvent>({
      onLeave: abort,
      onEnd: () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
      },
    });
    if (lost !== null) inbox.fail(lost);
    else if (signal.aborted) inbox.fail(new CllmError("aborted", "the request was aborted"));
    else {
      runs.set(id, inbox);
      signal.addEventListener("abort", abort, { once: true });
      post({ type: "run", id, request });
    }
    return inbox;
  }

  async function dispose(): Promise<void> {
    if (lost !== null) return;
    post({ type: "close" });
    const timer = setTimeout(() => worker.kill("SIGKILL"), CLOSING_MS);
    await gone;
    clearTimeout(timer);
  }

  let runsOn: RunsOn;
  try {
    const opened = await expect("opened");
    await admit(opened.type === "opened" ? opened.bytes : 0);
    post({ type: "load" });
    const ready = await expect("ready");
    if (ready.type !== "ready") throw new Error("a worker did not say where its model runs");
    runsOn = ready.runsOn;
  } catch (error) {
    await kill();
    throw error;
  }
  return { pid: worker.pid!, runsOn, run, dispose, kill: () => kill() };
}
