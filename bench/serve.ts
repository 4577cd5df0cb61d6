/**
 * The server under load, as its clients see it: answers of many clients at once against the library's, the event loop's
 * longest stall, what a streamed request costs beside the decoder, throughput, memory over many requests, and malformed
 * bodies. Starts the built command on the model of `CLLM_MODEL`. Exit code 1 where an answer is lost or different.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { CllmError } from "../src/error.ts";
import { quantile } from "../src/eval/statistics.ts";
import { load } from "../src/generate/load.ts";
import type { GenerateOptions } from "../src/generate/types.ts";
import { readHeldOut } from "../src/tasks/text-to-sql/held-out.ts";
import { flags, median, modelPath, report } from "./conditions.ts";

const settings = flags({
  ...{ clients: 64, seconds: 60, prompts: 32, "max-new-tokens": 32, parallel: 4, threads: 2, decoder: "auto" },
  ...{ batch: 0, "held-out": "", adapter: "" },
  ...{ pairs: 20, throughput: 40, requests: 5000, fuzz: 10_000, seed: 0 },
});
const HANG_MS = 30_000;
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
if (!existsSync(main)) throw new CllmError("usage", "no dist/: run npm run build first");

const maxNewTokens = settings["max-new-tokens"];
const decoder = settings.decoder as NonNullable<GenerateOptions["decoder"]>;
/** Requests that differ, those of a file of held-out questions where one is named; every third is sampled. */
const questions = settings["held-out"] === "" ? [] : await readHeldOut(settings["held-out"]);
const asked = Array.from({ length: settings.prompts }, (_, i) => ({
  prompt: questions[i]?.prompt ?? `Question ${i}: what are ${i} and ${7 * i + 3} together? Answer:`,
  temperature: i % 3 === 2 ? 0.8 : 0,
  seed: settings.seed + i,
}));
const bodyOf = (i: number, more: object = {}): object => ({
  ...{ model: settings.adapter === "" ? "m" : "m:a", max_tokens: maxNewTokens, decoder },
  ...asked[i % asked.length],
  ...more,
});

/** Malformed bodies; drawn before the server starts, because drawing keeps this process from seeing connections close. */
const bends = fc.oneof(
  fc.dictionary(
    fc.oneof(fc.constantFrom("model", "prompt", "stop", "n", "seed", "stream", "logprobs"), fc.string()),
    fc.anything(),
  ),
  fc.constant({}),
);
const bodies = fc.sample(
  fc.oneof(
    bends.map((bend) => JSON.stringify({ ...bodyOf(0, { max_tokens: 1 }), ...bend }) ?? ""),
    fc.json(),
    fc.string({ unit: "binary" }),
  ),
  { numRuns: Math.max(1, settings.fuzz), seed: settings.seed },
);

/** Starts a server and waits for its address. */
async function start(): Promise<{ readonly url: string; readonly child: ChildProcess }> {
  const { parallel, threads } = settings;
  const numbers = ["--port", "0", "--parallel", String(parallel), "--threads", String(threads), "--max-queue", "1024"];
  const how = settings.batch ? ["--batch"] : [];
  if (settings.adapter !== "") how.push("--adapter", `a=${settings.adapter}`);
  const args = [
    main,
    "serve",
    "--json",
    "--quiet",
    "--suffix-memory",
    "0",
    "--model",
    `m=${modelPath()}`,
    ...numbers,
    ...how,
  ];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout!, "data")) as [Buffer];
  return { url: (JSON.parse(line.toString()) as { readonly url: string }).url, child };
}

const { url, child } = await start();
const post = (body: string | object, signal?: AbortSignal): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(signal && { signal }),
  });

interface Answer {
  readonly choices: readonly { readonly text: string }[];
  readonly usage: { readonly completion_tokens: number };
}

async function ask(i: number): Promise<Answer> {
  const response = await post(bodyOf(i));
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as Answer;
}

/** `total` requests by so many clients; tokens per second. */
async function throughput(clients: number, total: number): Promise<number> {
  const since = performance.now();
  let next = 0;
  let tokens = 0;
  const client = async (): Promise<void> => {
    while (next < total) {
      const { usage } = await ask(next++); // before the sum is read: others add to it meanwhile
      tokens += usage.completion_tokens;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return tokens / ((performance.now() - since) / 1000);
}

/** Resident megabytes of the server and its workers; NaN where the system does not say. */
function residentMegabytes(): number {
  const rss = (pid: number | string): number =>
    Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1000;
  try {
    const workers = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ");
    return [child.pid!, ...workers.filter(Boolean)].reduce((sum: number, pid) => sum + rss(pid), 0);
  } catch {
    return Number.NaN;
  }
}

const model = await load(modelPath(), {
  threads: settings.threads,
  suffixMemory: 0, // the same prompts come again
  ...(settings.adapter && { adapter: settings.adapter }),
});
const expected: string[] = [];
for (const each of asked) expected.push((await model.generate({ ...each, maxNewTokens, decoder })).text);
for (let i = 0; i < asked.length; i++) await ask(i); // loads the model and warms it up

// Many clients at once.
const load1 = { answers: 0, lost: 0, different: 0 };
const end = performance.now() + settings.seconds * 1000;
const client = async (first: number): Promise<void> => {
  for (let i = first; performance.now() < end; i += 7) {
    const answer = await ask(i).catch(() => null);
    load1.answers++;
    if (answer === null) load1.lost++;
    else if (answer.choices[0]!.text !== expected[i % asked.length]) load1.different++;
  }
};
await Promise.all(Array.from({ length: settings.clients }, (_, i) => client(i)));
const metrics = await (await fetch(`${url}/metrics`)).text();
const stallMs = 1000 * Number(/^cllm_event_loop_stall_seconds (\S+)$/m.exec(metrics)?.[1]);
console.log(`${settings.clients} clients, ${settings.seconds} s: ${JSON.stringify(load1)}`);
console.log(`  longest stall of the event loop: ${stallMs.toFixed(1)} ms`);

/** Processor milliseconds that the server took so far, its workers apart; NaN where the system does not say. */
function serverMs(): number {
  try {
    const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10; // ticks of the clock, 100 a second
  } catch {
    return Number.NaN;
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** A request by Node's plain client over one connection: `fetch` takes some milliseconds of its own, which are not the server's. */
function streamedText(body: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const sent = request(`${url}/v1/completions`, { agent, method: "POST", headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.once("end", () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    });
    sent.once("error", reject).end(JSON.stringify(body));
  });
}

// A streamed request beside the library, in turn: as its client sees it, its own work for HTTP included, and what the server took.
const ratios: number[] = [];
const library: number[] = [];
let serverTook = 0;
const timed = async (run: () => Promise<unknown>): Promise<number> => {
  const since = performance.now();
  await run();
  return performance.now() - since;
};
for (let i = 0; i < settings.pairs; i++) {
  const streamed = (): Promise<unknown> => streamedText(bodyOf(i, { stream: true }));
  const alone = (): Promise<unknown> => model.generate({ ...asked[i % asked.length]!, maxNewTokens, decoder });
  const serverFirst = i % 2 === 0;
  let ofServer = 0;
  let ofLibrary = 0;
  for (const run of serverFirst ? [streamed, alone] : [alone, streamed]) {
    const before = serverMs();
    const ms = await timed(run);
    if (run === alone) ofLibrary = ms;
    else {
      ofServer = ms;
      serverTook += serverMs() - before;
    }
  }
  ratios.push(ofServer / ofLibrary);
  library.push(ofLibrary);
}
const serverShare = serverTook / library.reduce((sum, ms) => sum + ms, 0);
const spread = { median: median(ratios), q1: quantile(ratios, 0.25), q3: quantile(ratios, 0.75) };
console.log(`streamed request / library: ${JSON.stringify(spread)}`);
console.log(`  the server's processor time / the library's time: ${(100 * serverShare).toFixed(1)} %`);

const one = await throughput(1, settings.throughput);
const eight = await throughput(8, settings.throughput);
console.log(`tokens/s: 1 client ${one.toFixed(1)}, 8 clients ${eight.toFixed(1)}`);

// Memory, after a tenth of the requests to settle.
if (settings.requests > 0) await throughput(8, Math.ceil(settings.requests / 10));
const before = residentMegabytes();
if (settings.requests > 0) await throughput(8, settings.requests);
const after = residentMegabytes();
const growth = after / before - 1;
console.log(`memory over ${settings.requests} requests: ${before.toFixed(0)} to ${after.toFixed(0)} MB`);

// Malformed bodies.
const fuzz = { bodies: bodies.length, failures: 0, hangs: 0 };
for (const body of bodies) {
  try {
    const response = await post(body, AbortSignal.timeout(HANG_MS));
    await response.arrayBuffer();
    if (response.status < 500) continue;
    fuzz.failures++;
  } catch (error) {
    fuzz.hangs++;
    console.log(`no answer to ${JSON.stringify(body).slice(0, 300)}: ${error}, ${(error as Error).cause}`);
  }
}
console.log(`malformed bodies: ${JSON.stringify(fuzz)}`);

agent.destroy();
child.kill("SIGTERM");
await once(child, "exit");
await model.dispose();
const figures = {
  load: load1,
  stallMs,
  streamedToLibrary: spread,
  serverShare,
  tokensPerSecond: { one, eight },
  growth,
  fuzz,
};
report("serve", settings, figures);
if (load1.lost + load1.different + fuzz.failures + fuzz.hangs > 0) process.exitCode = 1;
