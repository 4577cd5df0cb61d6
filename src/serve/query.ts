/**
 * Queries to the demonstration's database, each in a thread of its own, so that the server goes on answering and a query
 * ends in time wherever it is. What a query does wrong is a value, because a model wrote it. Knows no HTTP.
 */
import { Worker } from "node:worker_threads";
import { CllmError } from "../error.ts";
import type { QueryError } from "../tasks/sqlite.ts";

/** What the thread is started with. */
export interface Query {
  readonly sql: string;
  readonly maxRows: number;
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

export interface QueryTable {
  readonly ok: true;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number | null)[])[];
}

export type QueryAnswer = QueryTable | QueryError;

/** Runs one SELECT. Throws `busy` while others are running, `aborted` if the client is gone. */
export type AskDatabase = (sql: string, signal: AbortSignal) => Promise<QueryAnswer>;

const LIMITS = { maxRows: 200, maxBytes: 256 << 10, timeoutMs: 500 } as const;
const THREAD_MS = 15_000; // with its start, which a busy machine makes long; the query itself ends before
const THREAD_MEGABYTES = 64; // of JavaScript; SQLite's own memory has its limit
const MAX_RUNNING = 2;

/** `workerFile` is the compiled `query-worker.ts`; default: the one beside this file. */
export function demonstrationDatabase(workerFile: URL = new URL("./query-worker.js", import.meta.url)): AskDatabase {
  let running = 0;
  return async (sql, signal) => {
    if (running >= MAX_RUNNING)
      throw new CllmError("busy", `${MAX_RUNNING} queries are running; send it again when they are done`);
    running++;
    try {
      return await inThread(workerFile, { sql, ...LIMITS }, signal);
    } finally {
      running--;
    }
  };
}

async function inThread(file: URL, workerData: Query, signal: AbortSignal): Promise<QueryAnswer> {
  const resourceLimits = { maxOldGenerationSizeMb: THREAD_MEGABYTES };
  const worker = new Worker(file, { workerData, resourceLimits, env: {}, execArgv: [], stdin: false });
  let abort = (): void => {};
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<QueryAnswer>((resolve, reject) => {
      const give = (failure: QueryError["failure"], error: string): void => resolve({ ok: false, failure, error });
      timer = setTimeout(() => give("timeout", `did not come to an end within ${THREAD_MS} ms`), THREAD_MS);
      abort = (): void => reject(new CllmError("aborted", "the query was given up; send it again"));
      signal.addEventListener("abort", abort, { once: true });
      if (signal.aborted) abort();
      worker.once("message", resolve);
      worker.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ERR_WORKER_OUT_OF_MEMORY") give("limit", "it takes too much memory");
        else reject(error);
      });
      worker.once("exit", (code) => reject(new Error(`the thread of a query ended with ${code}`)));
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    await worker.terminate();
  }
}
