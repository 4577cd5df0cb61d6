/**
 * Judges a Python function of unknown intent: the program that a model wrote runs in one child process, its tests in
 * another one, which calls the function over a pipe. Only values cross, and only the tests' process reports, so no
 * verdict can be made by the program. Time, memory, output and the size of what it returns are limited.
 *
 * `namespaces`: Linux holds the rest. The program sees Python's own files, an empty folder of 16 MB and nothing else:
 * no file of the user, no other process, no network. `process`: an audit hook within Python refuses files, processes
 * and the network. That stops a careless program; a hostile one may get past it, and can then do all that its user can.
 * Knows no task.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, realpath } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import { CllmError } from "../../error.ts";
import { dropScratch, removeLeftovers, scratchFor } from "../../files/scratch.ts";
import { CONFINE, PROBE } from "./python-confine.ts";
import { ANSWER, JUDGE } from "./python-roles.ts";

/** `namespaces`: held by the kernel. `process`: limits of the system, the rest by Python's audit hook. */
export type Isolation = "namespaces" | "process";
export const ISOLATIONS: readonly Isolation[] = ["namespaces", "process"];

export interface SandboxLimits {
  /** For the program and its tests together, with the start of Python. Default: 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Address space. Default: 1 GiB. Not held on macOS. */
  readonly memoryBytes?: number | undefined;
  /** What it prints, in bytes; the text itself is dropped. Default: 1 MiB. */
  readonly outputBytes?: number | undefined;
}

export interface SandboxJob {
  /** Of unknown intent. It defines `entryPoint`. */
  readonly program: string;
  /** The function that the tests call. */
  readonly entryPoint: string;
  /** Trusted: runs before the tests, for helpers that they use. Its own `entryPoint` is replaced by the program's. */
  readonly setup: string;
  /** Trusted: raises where the function is wrong. It passes and gets plain values: numbers, texts, lists, dicts, sets. */
  readonly tests: string;
}

export interface SandboxResult {
  /**
   * `passed`: the tests ran to their end. `failed`: an assertion did. `error`: any other exception, or the program ended.
   * `memory`, `output`, `timeout`: a limit. `refused`: it tried what it may not. `bad-data`: the setup does not run, or the
   * tests pass a value that is not plain.
   */
  readonly outcome: "passed" | "failed" | "error" | "memory" | "output" | "timeout" | "refused" | "bad-data";
  readonly detail: string;
}

export interface Sandbox {
  readonly isolation: Isolation;
  /** The interpreter's version. */
  readonly python: string;
  judge(job: SandboxJob, limits?: SandboxLimits): Promise<SandboxResult>;
}

/** The default of `SandboxLimits.timeoutMs`. */
export const PROGRAM_TIMEOUT_MS = 10_000;

const MAX_REPORT_BYTES = 1 << 16;
const MAX_REPLY_BYTES = 8 << 20;
const END_WAIT_MS = 500;

/**
 * Finds Python and tries the isolation. Throws `not-found` where there is no Python 3.8 or newer, `unsupported` where this
 * system gives no namespaces; `process` has to be asked for.
 *
 * @example
 * const sandbox = await createSandbox();
 * const job = { program: "def double(x): return 2 * x", entryPoint: "double", setup: "", tests: "assert double(4) == 8" };
 * await sandbox.judge(job); // { outcome: "passed", detail: "" }
 */
export async function createSandbox(
  options: { readonly python?: string | undefined; readonly isolation?: Isolation | undefined } = {},
): Promise<Sandbox> {
  const { isolation = "namespaces" } = options;
  const python = await findPython(options.python ?? "python3");
  const sandbox: Sandbox = {
    isolation,
    python: python.version,
    judge: (job, limits = {}) => judgeIn(isolation, python, job, limits),
  };
  if (isolation === "process") return sandbox;
  if (process.platform !== "linux") throw noNamespaces("they are a part of Linux");
  if (!python.ctypes) throw noNamespaces(`${python.path} lacks the module ctypes`);
  const tests = "import os; assert f() == (os.listdir('/own'), False, False)";
  const program =
    "import os\ndef f(): return os.listdir('.'), os.path.exists('/proc/1'), os.path.exists('/etc/passwd')";
  const { outcome, detail } = await sandbox.judge({ program, entryPoint: "f", setup: "", tests });
  if (outcome !== "passed") throw noNamespaces(detail);
  return sandbox;
}

const noNamespaces = (reason: string): CllmError =>
  new CllmError(
    "unsupported",
    `generated code runs in Linux namespaces, which are not to be had here (${reason}); allow user namespaces, or ask for ` +
      "--isolation process, where only Python itself keeps a program from your files",
  );

interface Python {
  readonly path: string;
  readonly version: string;
  readonly libraries: readonly string[];
  readonly files: readonly string[];
  readonly ctypes: boolean;
}

/** The interpreter itself, behind the scripts of version managers. */
async function findPython(name: string): Promise<Python> {
  const child = spawn(name, ["-s", "-S", "-B", "-c", PROBE], { stdio: ["ignore", "pipe", "ignore"], timeout: 20_000 });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    if (text.length < 1 << 20) text += chunk.toString("utf8");
  });
  await new Promise<void>((resolve) => child.once("error", () => resolve()).once("close", () => resolve()));
  const python = parsed<Python>(text);
  if (python !== null && python.libraries.length > 0 && existsSync(python.path)) return python;
  const found = python === null ? "does not start" : `is Python ${python.version}`;
  throw new CllmError("not-found", `${name} ${found}; running generated code takes Python 3.8 or newer: install it`);
}

async function judgeIn(
  isolation: Isolation,
  { path, libraries, files }: Python,
  { program, entryPoint, setup, tests }: SandboxJob,
  { timeoutMs = PROGRAM_TIMEOUT_MS, memoryBytes = 2 ** 30, outputBytes = 2 ** 20 }: SandboxLimits,
): Promise<SandboxResult> {
  const seconds = Math.ceil(timeoutMs / 1000);
  const limits = {
    RLIMIT_AS: memoryBytes,
    RLIMIT_CORE: 0,
    RLIMIT_CPU: seconds + 1,
    RLIMIT_FSIZE: 16 << 20,
    RLIMIT_NOFILE: 64,
    RLIMIT_NPROC: 16, // not held for root
  };
  const plan = isolation === "namespaces" ? { libraries, files } : null;
  const common = { plan, libraries, limits, seconds, entry_point: entryPoint };
  const home = await openHome();
  const folders = [await mkdtemp(join(home, "answer-")), await mkdtemp(join(home, "judge-"))] as const;
  try {
    const answer = start(path, ANSWER, folders[0], ["pipe", "pipe", "pipe", "pipe", "pipe"]);
    const judge = start(path, JUDGE, folders[1], ["pipe", "ignore", "pipe", "pipe", "pipe", "pipe"]);
    const run = supervise(answer, judge, timeoutMs, outputBytes);
    pipesOf(answer).input.end(JSON.stringify({ ...common, program }));
    pipesOf(judge).input.end(JSON.stringify({ ...common, setup, tests, reply_bytes: MAX_REPLY_BYTES }));
    return await run;
  } finally {
    await dropScratch(home);
  }
}

/** Whether the system's folder was searched for what killed processes left. */
let isTidy = false;

/** A fresh folder that only this user may enter. */
async function openHome(): Promise<string> {
  const parent = await realpath(tmpdir());
  if (!isTidy) await removeLeftovers(parent);
  isTidy = true;
  const home = scratchFor(join(parent, "cllm-code"));
  await mkdir(home, { mode: 0o700 });
  return home;
}

function start(python: string, role: string, cwd: string, stdio: ("pipe" | "ignore")[]): ChildProcess {
  return spawn(python, ["-s", "-S", "-B", "-c", `${CONFINE}${role}`], {
    cwd,
    env: { PATH: process.env["PATH"] ?? "", HOME: cwd, TMPDIR: cwd, LC_ALL: "C.UTF-8", PYTHONHASHSEED: "0" },
    stdio,
    detached: true, // a process group of its own, to be killed whole
  });
}

interface Pipes {
  readonly input: Writable;
  readonly output: Readable | null;
  readonly errors: Readable;
  readonly incoming: Writable; // descriptor 3
  readonly outgoing: Readable; // descriptor 4
  readonly report: Readable | undefined; // descriptor 5
}

function pipesOf(child: ChildProcess): Pipes {
  const [input, output, errors, incoming, outgoing, report] = child.stdio as unknown as [
    Writable,
    Readable | null,
    Readable,
    Writable,
    Readable,
    Readable | undefined,
  ];
  return { input, output, errors, incoming, outgoing, report };
}

/** Carries calls and replies between the two until the judge reports or a limit is met. Ends both. */
async function supervise(
  answer: ChildProcess,
  judge: ChildProcess,
  timeoutMs: number,
  outputBytes: number,
): Promise<SandboxResult> {
  const [far, near] = [pipesOf(answer), pipesOf(judge)];
  for (const stream of [...Object.values(far), ...Object.values(near)]) stream?.on("error", () => {}); // of the killed
  const ends = [ended(answer), ended(judge)] as const;
  near.outgoing.pipe(far.incoming);
  far.outgoing.pipe(near.incoming); // its end tells the judge that the program is gone
  const lastWords = { answer: "", judge: "" };
  near.errors.on("data", (chunk: Buffer) => {
    lastWords.judge = chunk.toString("utf8").slice(-200);
  });
  const limit = new Promise<SandboxResult>((resolve) => {
    const timer = setTimeout(
      () => resolve({ outcome: "timeout", detail: `it did not end within ${timeoutMs} ms` }),
      timeoutMs,
    );
    void ends[1].then(() => clearTimeout(timer));
    let printed = 0;
    for (const stream of [far.output, far.errors]) {
      stream?.on("data", (chunk: Buffer) => {
        printed += chunk.length;
        if (stream === far.errors) lastWords.answer = chunk.toString("utf8").slice(-200);
        if (printed > outputBytes) resolve({ outcome: "output", detail: `it prints more than ${outputBytes} bytes` });
      });
    }
  });
  const said = await Promise.race([limit, reportOf(near.report!)]);
  const how = said === null || said.outcome === "gone" ? await Promise.race([ends[0], wait(END_WAIT_MS, null)]) : null;
  for (const child of [answer, judge]) killGroup(child);
  const [, judgeEnd] = await Promise.all(ends);
  if (said === null)
    return { outcome: "error", detail: `its tests ended early, ${judgeEnd}${quoted(lastWords.judge)}` };
  if (said.outcome !== "gone") return { outcome: said.outcome, detail: said.detail };
  const last = how === null ? "; it closed the pipe to them" : `, ${how}`;
  return { outcome: "error", detail: `it ended before its tests${last}${quoted(lastWords.answer)}` };
}

const quoted = (text: string): string => (text.trim() === "" ? "" : `: ${text.trim()}`);

/** Resolves with how a child ended, once no process holds its pipes. Kills what it left behind. */
function ended(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(`because it cannot be started (${error.message})`));
    child.once("exit", () => {
      killGroup(child);
      setTimeout(() => child.stdio.forEach((stream) => void stream?.destroy()), END_WAIT_MS).unref();
    });
    child.once("close", (code, signal) => resolve(signal === null ? `with exit code ${code}` : `by ${signal}`));
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL"); // nobody is left, or there are no groups here
  }
}

type Report = Omit<SandboxResult, "outcome"> & { readonly outcome: SandboxResult["outcome"] | "gone" };

/** What the judge says, or null if it ends without a report. */
async function reportOf(stream: Readable): Promise<Report | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_REPORT_BYTES) break;
      chunks.push(chunk);
    }
  } catch {} // it was killed
  return parsed<Report>(Buffer.concat(chunks).toString("utf8"));
}

function parsed<T>(text: string): T | null {
  try {
    return JSON.parse(text) as T;
  } catch {
    return null;
  }
}
