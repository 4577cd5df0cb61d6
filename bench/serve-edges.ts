/**
 * The server at its edges: workers that hang or are killed under many clients, a server that is killed or told to end while its
 * worker hangs, a connection that sends a thousand requests ahead and goes, a prompt of a megabyte beside short ones. Starts the
 * built command on the model of `CLLM_MODEL`; stopped processes (SIGSTOP) stand for those that hang. Exit code 1 where a
 * must is not met.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { CllmError } from "../src/error.ts";
import { flags, median, modelPath, report } from "./conditions.ts";

const settings = flags({ clients: 64, timeout: 3, rounds: 15, ahead: 1000, threads: 2, drain: 1 });
const GRACE_MS = 1000;
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
if (!existsSync(main)) throw new CllmError("usage", "no dist/: run npm run build first");
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Unanswered {
  readonly clients: number;
  /** Of the last answer, after its deadline. */
  readonly latestMs: number;
}

interface Server {
  readonly url: string;
  readonly child: ChildProcess;
  /** The worker and its guardian. */
  readonly started: readonly number[];
  readonly worker: number;
  post(body: object): Promise<Response>;
}

const LONG = { max_tokens: 400, decoder: "ar", ignore_eos: true };
const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(/\s+/).filter(Boolean).map(Number);
function alive(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
/** Milliseconds until none of them is there; infinite after `most`. */
async function msUntilGone(pids: readonly number[], most = 20_000): Promise<number> {
  const since = performance.now();
  while (pids.some(alive)) {
    if (performance.now() - since > most) return Number.POSITIVE_INFINITY;
    await sleep(5);
  }
  return performance.now() - since;
}

async function start(...more: string[]): Promise<Server> {
  const args = ["serve", "--json", "--quiet", "--port", "0", "--threads", String(settings.threads), ...more];
  const child = spawn(process.execPath, [main, ...args, "--model", `m=${modelPath()}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout!, "data")) as [Buffer];
  const { url } = JSON.parse(line.toString()) as { readonly url: string };
  const post = (body: object): Promise<Response> =>
    fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "m", prompt: "Once upon a time", ...body }),
    });
  while ((await post({ max_tokens: 1 })).status !== 200); // loading may take longer than the timeout
  const started = childrenOf(child.pid!);
  const isWorker = (pid: number): boolean => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("worker.js");
  return { url, child, started, worker: started.find(isWorker)!, post };
}

/** Milliseconds from when a request was written to the end of its answer; infinite where the connection breaks before. */
function answeredIn({ url }: Server, body: object): Promise<number> {
  return new Promise((resolve) => {
    let written = performance.now();
    const options = { method: "POST", headers: { "content-type": "application/json" }, agent: false } as const;
    const asked = request(`${url}/v1/completions`, options, (response) => {
      response.on("error", () => resolve(Number.POSITIVE_INFINITY));
      response.on("end", () => resolve(performance.now() - written)).resume();
    });
    asked.on("finish", () => {
      written = performance.now();
    });
    asked.on("error", () => resolve(Number.POSITIVE_INFINITY));
    asked.end(JSON.stringify({ model: "m", prompt: "Once upon a time", ...body }));
  });
}

/** Clients that ask for long answers, half of them streamed: how many have no answer a second after their deadline. */
async function unanswered(signal: "SIGSTOP" | "SIGKILL"): Promise<Unanswered> {
  const server = await start("--timeout", String(settings.timeout));
  const deadline = settings.timeout * 1000 + GRACE_MS;
  const clients = Array.from({ length: settings.clients }, (_, i) =>
    answeredIn(server, { ...LONG, stream: i % 2 === 0 }),
  );
  await sleep(200);
  process.kill(server.worker, signal);
  const late = sleep(deadline + 20_000).then(() => Number.POSITIVE_INFINITY);
  const times = await Promise.all(clients.map((client) => Promise.race([client, late])));
  server.child.kill("SIGKILL");
  await msUntilGone(server.started);
  return { clients: times.filter((ms) => ms > deadline).length, latestMs: Math.max(...times) - deadline + GRACE_MS };
}

/** How long a worker outlives its killed server. */
async function outlives(how: "idle" | "busy" | "stopped"): Promise<number> {
  const server = await start();
  if (how !== "idle") void server.post({ ...LONG }).catch(() => {});
  await sleep(200);
  if (how === "stopped") process.kill(server.worker, "SIGSTOP");
  server.child.kill("SIGKILL");
  return msUntilGone(server.started);
}

/** Milliseconds from SIGTERM to the end of a server whose worker is stopped with requests, beyond its drain. */
async function ends(): Promise<number> {
  const server = await start("--drain", String(settings.drain));
  for (let i = 0; i < 8; i++) void server.post({ ...LONG }).catch(() => {});
  await sleep(200);
  process.kill(server.worker, "SIGSTOP");
  server.child.kill("SIGTERM");
  return (await msUntilGone([server.child.pid!, ...server.started])) - settings.drain * 1000;
}

/**
 * What another user waits for, in passes, behind a connection that sends requests ahead and goes, and beside it behind one that
 * sent a single one: what of it is the pass that was under way, and the machine's own noise.
 */
async function crowded(): Promise<{
  readonly passMs: number;
  readonly waits: readonly number[];
  readonly one: readonly number[];
}> {
  const server = await start("--parallel", "1");
  const watched = await (
    await server.post({ ...LONG, max_tokens: 60, stream: true, stream_options: { include_passes: true } })
  ).text();
  const passMs = median([...watched.matchAll(/"prefill":false,"rows":\d+,"ms":([\d.]+)/g)].map(([, ms]) => Number(ms)));
  const timed = async (): Promise<number> => {
    const since = performance.now();
    await (await server.post({ max_tokens: 1, decoder: "ar" })).text();
    return performance.now() - since;
  };
  const body = JSON.stringify({ model: "m", prompt: "Once upon a time", ...LONG });
  const head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
  const behind = async (ahead: number): Promise<number> => {
    const alone = await timed();
    const socket: Socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    socket.write(`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`.repeat(ahead));
    await sleep(300);
    socket.destroy();
    return Math.max(0, (await timed()) - alone) / passMs;
  };
  const waits: number[] = [];
  const one: number[] = [];
  for (let round = 0; round < settings.rounds; round++) {
    waits.push(await behind(settings.ahead));
    one.push(await behind(1));
  }
  server.child.kill("SIGKILL");
  await msUntilGone(server.started);
  return { passMs, waits, one };
}

/** The longest wait of short requests, one after the other, while a prompt of a megabyte is refused, beside that without. */
async function besideABook(): Promise<{ readonly alone: number; readonly beside: number; readonly refusedMs: number }> {
  const server = await start();
  const longest = async (until: () => boolean): Promise<number> => {
    let most = 0;
    do {
      const since = performance.now();
      await (await server.post({ max_tokens: 1, decoder: "ar" })).text();
      most = Math.max(most, performance.now() - since);
    } while (!until());
    return most;
  };
  let count = 0;
  const alone = await longest(() => ++count >= 50);
  let refusedMs = 0;
  const since = performance.now();
  const book = server.post({ prompt: "It was the best of times, it was the worst of times. ".repeat(18_000) });
  void book
    .then((response) => response.text())
    .then(() => {
      refusedMs = performance.now() - since;
    });
  const beside = await longest(() => refusedMs > 0);
  server.child.kill("SIGKILL");
  await msUntilGone(server.started);
  return { alone, beside, refusedMs };
}

const figures = {
  unansweredHung: await unanswered("SIGSTOP"),
  unansweredKilled: await unanswered("SIGKILL"),
  outlivesMs: { idle: await outlives("idle"), busy: await outlives("busy"), stopped: await outlives("stopped") },
  endsMs: await ends(),
  ...(await crowded()),
  book: await besideABook(),
};
const [wait, one] = [median(figures.waits), median(figures.one)];
console.log(`${settings.clients} clients, no answer ${GRACE_MS / 1000} s after the deadline:`);
console.log(`  worker stopped ${JSON.stringify(figures.unansweredHung)}`);
console.log(`  worker killed ${JSON.stringify(figures.unansweredKilled)}`);
console.log(`a worker outlives its killed server by ms: ${JSON.stringify(figures.outlivesMs)}`);
console.log(`SIGTERM with a stopped worker: ended ${figures.endsMs.toFixed(0)} ms after its drain`);
console.log(
  `another user waits for ${wait.toFixed(2)} passes, median of ${settings.rounds}; behind one request ${one.toFixed(2)}`,
);
console.log(`a short request beside a megabyte: ${JSON.stringify(figures.book)} ms`);
report("serve-edges", settings, figures);
const { idle, busy, stopped } = figures.outlivesMs;
const met =
  figures.unansweredHung.clients + figures.unansweredKilled.clients === 0 &&
  [idle, busy, stopped, figures.endsMs].every(Number.isFinite) &&
  wait <= 2;
process.exit(met ? 0 : 1);
