/**
 * The server's end of a model in a worker: starts it, asks before it takes memory, passes requests on and tells them
 * apart. When the worker ends, whoever waits for it is told so. Knows no HTTP and no list of models.
 *
 * A worker is a process and not a thread: one that runs out of memory or crashes in native code takes nobody with it (a
 * thread that is terminated during a pass makes the engine's binding abort the whole process), and when it ends, its
 * memory is free.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { CllmError } from "../error.ts";
import type { Backend, PassEvent, ServedGeneration, ServedRequest } from "./backend.ts";
import { Mailbox } from "./mailbox.ts";
import type { Failure, FromWorker, RunMessage, ToWorker, WorkerData } from "./wire.ts";

export interface HostOptions extends WorkerData {
  /** The compiled `worker.ts`. Default: the one beside this file. */
  readonly workerFile?: URL | undefined;
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

const CLOSING_MS = 10_000; // then the worker is ended by force

/** Starts a worker and loads its model. Throws what loading throws, and `unavailable` where the worker ends meanwhile. */
export async function startModel({ model, options, workerFile, admit, onEnd }: HostOptions): Promise<Host> {
  const data: WorkerData = { model, options };
  const file = fileURLToPath(workerFile ?? new URL("./worker.js", import.meta.url));
  const { CLLM_API_KEY: _, ...env } = process.env; // which is none of the worker's business
  const stdio = ["ignore", 2, 2, "ipc"] as const; // standard output is the server's
  const worker = fork(file, [JSON.stringify(data)], { env, execArgv: [], stdio: [...stdio] });
  const loading = new Mailbox<FromWorker>();
  const runs = new Map<number, Mailbox<RunMessage>>();
  let nextId = 0;
  let lost: CllmError | null = null; // why there is no worker any more
  let setGone = (): void => {};
  const gone = new Promise<void>((resolve) => {
    setGone = resolve;
  });

  worker.on("message", (message: FromWorker) => {
    if ("id" in message) runs.get(message.id)?.push(message);
    else loading.push(message);
  });
  const end = (how: string): void => {
    if (lost !== null) return;
    lost = new CllmError("unavailable", `the model's worker ended (${how}); send the request again`);
    for (const inbox of runs.values()) inbox.fail(lost);
    loading.fail(lost);
    onEnd();
    setGone();
  };
  worker.on("error", (error) => end(error.message)); // it could not be started, or not be spoken to
  worker.on("close", (code, signal) => {
    const how = signal ?? `exit code ${code}`;
    if (worker.connected)
      worker.once("disconnect", () => end(how)); // its last messages are still to be read
    else end(how);
  });
  const post = (message: ToWorker): void => void worker.send(message, () => {}); // where it is gone, "close" comes
  const kill = async (): Promise<void> => {
    worker.kill("SIGKILL");
    await gone;
  };

  async function expect(type: "opened" | "ready"): Promise<FromWorker> {
    const message = await loading.take();
    if (message.type === "unloadable") throw revive(message.failure);
    if (message.type !== type) throw new Error(`a worker said ${message.type} where ${type} was due`);
    return message;
  }

  async function* run(request: ServedRequest, signal: AbortSignal): AsyncGenerator<PassEvent, ServedGeneration, void> {
    if (lost !== null) throw lost;
    const id = nextId++;
    const inbox = new Mailbox<RunMessage>();
    const abort = (): void => post({ type: "abort", id });
    let over = false;
    runs.set(id, inbox);
    try {
      post({ type: "run", id, request });
      if (signal.aborted) abort();
      else signal.addEventListener("abort", abort, { once: true });
      for (;;) {
        const message = await inbox.take();
        over = message.type !== "pass";
        if (message.type === "pass") yield message.event;
        else if (message.type === "done") return message.generation;
        else throw revive(message.failure);
      }
    } finally {
      signal.removeEventListener("abort", abort);
      if (!over && lost === null) {
        abort(); // the reader stopped: the worker's turn is over once it says so
        while (!over)
          over = await inbox.take().then(
            ({ type }) => type !== "pass",
            () => true,
          );
      }
      runs.delete(id);
    }
  }

  async function dispose(): Promise<void> {
    if (lost !== null) return;
    post({ type: "close" });
    const timer = setTimeout(() => worker.kill("SIGKILL"), CLOSING_MS);
    await gone;
    clearTimeout(timer);
  }

  try {
    const opened = await expect("opened");
    await admit(opened.type === "opened" ? opened.bytes : 0);
    post({ type: "load" });
    await expect("ready");
  } catch (error) {
    await kill();
    throw error;
  }
  return { pid: worker.pid!, run, dispose, kill };
}

function revive({ code, message }: Failure): Error {
  return code === "internal" ? new Error(message) : new CllmError(code, message);
}
