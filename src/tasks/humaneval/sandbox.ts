/**
 * Runs a Python program of unknown intent in a child process, with limits on time, memory, output, files and network.
 *
 * With Linux namespaces the kernel guarantees that it writes to nothing but a small file system of its own, reaches no
 * network, and that no process of it outlives the run. Elsewhere these are refused by an audit hook within Python, which
 * stops a careless program, not a hostile one: `isolation` says which it is. It may read files in either case. Success
 * is told by a secret token after the last line; only a program that searches Python's own frames could find it. Knows
 * no task.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { CllmError } from "../../error.ts";
import { PRELUDE, SHUT_FILE_SYSTEM } from "./prelude.ts";

/** `namespaces`: held by the kernel. `process`: limits of the system, the rest by Python's audit hook. */
export type Isolation = "namespaces" | "process";

export interface SandboxLimits {
  /** Default: 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Address space. Default: 1 GiB. Not held on macOS. */
  readonly memoryBytes?: number | undefined;
  /** What it prints, in bytes; the text itself is dropped. Default: 1 MiB. */
  readonly outputBytes?: number | undefined;
}

export interface SandboxResult {
  /**
   * `passed`: ran to its end. `failed`: an assertion did. `error`: any other exception, or it ended the process itself.
   * `memory`, `output`, `timeout`: a limit. `refused`: it tried what it may not.
   */
  readonly outcome: "passed" | "failed" | "error" | "memory" | "output" | "timeout" | "refused";
  readonly detail: string;
}

export interface Sandbox {
  readonly isolation: Isolation;
  /** The interpreter's version. */
  readonly python: string;
  run(program: string, limits?: SandboxLimits): Promise<SandboxResult>;
}

/** Options of `unshare`. */
export const NAMESPACES: readonly string[] = [
  "--user",
  "--map-root-user",
  "--net",
  "--mount",
  "--pid",
  "--ipc",
  "--fork",
  "--kill-child=KILL",
];
/** The default of `SandboxLimits.timeoutMs`. */
export const PROGRAM_TIMEOUT_MS = 10_000;

const MAX_REPORT_BYTES = 1 << 16;

/**
 * Finds Python and the best isolation there is, by trying them; `isolation` asks for the lesser one. Throws `not-found`
 * where there is no Python 3.8 or newer.
 */
export async function createSandbox(
  options: { readonly python?: string | undefined; readonly isolation?: Isolation | undefined } = {},
): Promise<Sandbox> {
  const { path, version } = await findPython(options.python ?? "python3");
  const sandbox = (isolation: Isolation): Sandbox => ({
    isolation,
    python: version,
    run: (program, limits = {}) => runIn(isolation, path, program, limits),
  });
  if (options.isolation === "process" || process.platform !== "linux") return sandbox("process");
  const best = sandbox("namespaces");
  const { outcome } = await best.run("assert __import__('os').listdir('.') == []");
  return outcome === "passed" ? best : sandbox("process");
}

/** The interpreter itself, behind the scripts of version managers. */
async function findPython(name: string): Promise<{ path: string; version: string }> {
  const code = "import sys; print(sys.executable, '%d.%d.%d' % sys.version_info[:3], sep='\\n')";
  const child = spawn(name, ["-I", "-c", code], { stdio: ["ignore", "pipe", "ignore"], timeout: 20_000 });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    if (text.length < 10_000) text += chunk.toString("utf8");
  });
  await new Promise<void>((resolve) => child.once("error", () => resolve()).once("close", () => resolve()));
  const [path = "", version = ""] = text.split("\n");
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (existsSync(path) && (major > 3 || (major === 3 && minor >= 8))) return { path, version };
  const found = version === "" ? "does not start" : `is Python ${version}`;
  throw new CllmError("not-found", `${name} ${found}: running generated code takes Python 3.8 or newer; install it.`);
}

async function runIn(
  isolation: Isolation,
  python: string,
  program: string,
  { timeoutMs = PROGRAM_TIMEOUT_MS, memoryBytes = 2 ** 30, outputBytes = 2 ** 20 }: SandboxLimits,
): Promise<SandboxResult> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "cllm-code-")));
  try {
    const interpreter = [python, "-s", "-S", "-B", "-c", PRELUDE];
    const [command, ...args] =
      isolation === "process"
        ? interpreter
        : ["unshare", ...NAMESPACES, "sh", "-c", SHUT_FILE_SYSTEM, "sh", folder, ...interpreter];
    const child = spawn(command!, args, {
      cwd: folder,
      env: { PATH: process.env["PATH"] ?? "", HOME: folder, TMPDIR: folder, LC_ALL: "C.UTF-8", PYTHONHASHSEED: "0" },
      stdio: ["pipe", "pipe", "pipe", "pipe"],
      detached: true, // a process group of its own, to be killed whole
    });
    const token = randomUUID();
    const seconds = Math.ceil(timeoutMs / 1000);
    const limits = {
      RLIMIT_AS: memoryBytes,
      RLIMIT_CORE: 0,
      RLIMIT_CPU: seconds + 1,
      RLIMIT_FSIZE: 16 << 20,
      RLIMIT_NOFILE: 64,
      RLIMIT_NPROC: 16, // not held for root
    };
    return await supervise(child, { token, program, limits, seconds }, timeoutMs, outputBytes);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
  }
}

interface Job {
  readonly token: string;
  readonly program: string;
  readonly limits: Readonly<Record<string, number>>;
  readonly seconds: number;
}

function supervise(child: ChildProcess, job: Job, timeoutMs: number, outputBytes: number): Promise<SandboxResult> {
  return new Promise((resolve) => {
    const [input, output, errors, reports] = child.stdio as unknown as [Writable, Readable, Readable, Readable];
    let ended: SandboxResult | null = null; // by us
    let printed = 0;
    let lastError = "";
    const chunks: Buffer[] = [];
    const stop = (outcome: SandboxResult["outcome"], detail: string): void => {
      ended ??= { outcome, detail };
      killGroup(child);
    };
    const timer = setTimeout(() => stop("timeout", `it did not end within ${timeoutMs} ms`), timeoutMs);
    for (const stream of [output, errors]) {
      stream.on("data", (chunk: Buffer) => {
        printed += chunk.length;
        if (stream === errors) lastError = chunk.toString("utf8").slice(-200);
        if (printed > outputBytes) stop("output", `it prints more than ${outputBytes} bytes`);
      });
    }
    reports.on("data", (chunk: Buffer) => {
      if (chunks.reduce((sum, { length }) => sum + length, chunk.length) > MAX_REPORT_BYTES) {
        stop("refused", "it writes where only the report may be");
      } else chunks.push(chunk);
    });
    for (const stream of [input, output, errors, reports]) stream.on("error", () => {}); // a killed child breaks its pipes
    child.once("error", (error) => {
      clearTimeout(timer);
      resolve({ outcome: "error", detail: `it cannot be started: ${error.message}` });
    });
    child.once("exit", () => {
      killGroup(child); // whoever it left behind
      setTimeout(() => [output, errors, reports].forEach((stream) => void stream.destroy()), 500).unref();
    });
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      const told = reported(Buffer.concat(chunks).toString("utf8"), job.token);
      const silent = `it ended before the last line, ${how}${lastError.trim() === "" ? "" : `: ${lastError.trim()}`}`;
      resolve(ended ?? told ?? { outcome: "error", detail: silent });
    });
    input.end(JSON.stringify(job));
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

/** What the prelude says, or null where it is not the prelude that says it. */
function reported(text: string, token: string): SandboxResult | null {
  try {
    const report = JSON.parse(text);
    if (report.token !== token) return null;
    return { outcome: report.outcome, detail: String(report.detail) };
  } catch {
    return null;
  }
}
