/**
 * The built server as a process, and its workers: what becomes of them where one hangs or is killed. A worker that is stopped
 * (SIGSTOP) stands for one that hangs. Skipped where /proc lists no processes.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { CHAT, type Json } from "./serving.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-processes-"));
const model = writeTinyCheckpoint(join(scratch, "tiny"), { contextLength: 8192 });
const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Whether a process is there, and is not one that is only to be waited for by its parent. */
function alive(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
const gone = async (pids: readonly number[]): Promise<void> => {
  while (pids.some(alive)) await sleep(10);
};

async function serve(...args: string[]) {
  const all = ["serve", "--port", "0", "--threads", "1", "--json", "--model", `m=${model}`, ...args];
  const env = { ...process.env, CLLM_CACHE: join(scratch, "cache") };
  const child = spawn(process.execPath, [main, ...all], { env, stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let log = "";
  child.stderr.on("data", (data) => {
    log += data;
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const { url } = JSON.parse(line.toString()) as { url: string };
  const post = (more: object = {}): Promise<Response> =>
    fetch(url + CHAT, {
      ...{ method: "POST", headers: { "content-type": "application/json" } },
      body: JSON.stringify({
        ...{ model: "m", messages: [{ role: "user", content: "hi" }], decoder: "ar", max_tokens: 1 },
        ...more,
      }),
    });
  const children_ = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8");
  expect(children_).toBe("");
  await (await post()).text(); // starts the worker
  const started = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ").map(Number);
  const isWorker = (pid: number): boolean => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("worker.js");
  const worker = started.find(isWorker)!;
  return { child, worker, started, post, log: () => log };
}

const long = { max_tokens: 8000, stop: "\u0000never" };

describe.skipIf(!existsSync("/proc/self/task"))("a worker that hangs", () => {
  test("leaves no request without an answer at its deadline, running, waiting or streamed", async () => {
    const { worker, post } = await serve("--timeout", "1");
    const streams = await Promise.all([post({ ...long, stream: true }), post({ ...long, stream: true })]);
    process.kill(worker, "SIGSTOP");
    const asked = Array.from({ length: 14 }, () => post(long));
    for (const answer of await Promise.all(asked)) {
      expect(answer.status).toBe(408);
      expect(((await answer.json()) as Json).error).toMatchObject({ code: "timeout" });
    }
    for (const stream of streams) expect((await stream.text()).trimEnd().split("\n").at(-1)).toMatch(/"timeout"/);
  });

  test("does not hold a server that is to end", async () => {
    const { child, worker, started, post } = await serve("--drain", "0.2");
    const running = post(long);
    const streamed = await post({ ...long, stream: true });
    process.kill(worker, "SIGSTOP");
    child.kill("SIGTERM");
    expect((await running).status).toBe(503);
    expect(await streamed.text()).toMatch(/"unavailable"/);
    const [code] = (await once(child, "exit")) as [number];
    expect(code).toBe(143);
    await gone(started);
  });
});

describe.skipIf(!existsSync("/proc/self/task"))("no worker outlives its server", () => {
  test.each(["as it is", "in the midst of passes", "stopped"])("that is killed, %s", async (how) => {
    const { child, worker, started, post } = await serve();
    if (how !== "as it is") await post({ ...long, stream: true });
    if (how === "stopped") process.kill(worker, "SIGSTOP");
    expect(started.filter(alive)).toHaveLength(2); // the worker and its guardian
    child.kill("SIGKILL");
    await gone(started);
  });

  test("nor where the terminal's signals reach everything, and a busy process never looks", async () => {
    const script = `
      import { spawn } from "node:child_process";
      import { outliveNot } from ${JSON.stringify(new URL("../../dist/serve/guardian.js", import.meta.url).href)};
      const busy = spawn(process.execPath, ["-e", "for (const s of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(s, () => {}); console.log(1); for (;;);"], { stdio: ["ignore", "pipe", "inherit"] });
      outliveNot(busy);
      busy.stdout.once("data", () => console.log(busy.pid));
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    children.push(parent);
    const [line] = (await once(parent.stdout!, "data")) as [Buffer];
    const busy = Number(line.toString());
    expect(alive(busy)).toBe(true);
    process.kill(-parent.pid!, "SIGINT"); // the parent's whole group
    await gone([busy]);
  });
});
