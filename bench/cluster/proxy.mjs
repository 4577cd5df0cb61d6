/**
 * Replicas of the built server behind nginx, as `deploy/nginx.conf` has them, on ports of this machine. For the benchmark and the
 * test of replicas. Knows nothing of what is asked.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const NGINX = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];

/** nginx's program; undefined where it is not there. */
export const nginxPath = () => NGINX.find(existsSync);

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts `count` replicas of a model and the proxy. Each replica has its process and what it logged, an object a request. */
export async function startReplicas(folder, model, count, { parallel = 4 } = {}) {
  const main = join(root, "dist/cli/main.js");
  const replicas = [];
  const started = [];
  const stop = async () => {
    for (const child of started) child.kill("SIGTERM");
    const ended = started
      .filter((child) => child.exitCode === null && child.signalCode === null)
      .map((child) => once(child, "exit"));
    await Promise.race([Promise.all(ended), delay(5000)]);
    for (const child of started) child.kill("SIGKILL");
  };
  try {
    for (let i = 0; i < count; i++) {
      const port = await freePort();
      const flags = [
        "--host",
        "127.0.0.1",
        "--port",
        String(port),
        "--preload",
        "--log",
        "json",
        "--threads",
        "1",
        "--drain",
        "5",
      ];
      const args = [main, "serve", "--model", `m=${model}`, ...flags, "--parallel", String(parallel)];
      const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
      started.push(child);
      const logged = [];
      child.stderr.on("data", (chunk) => {
        for (const line of String(chunk).split("\n")) if (line.includes('"event":"request"')) logged.push(line);
      });
      replicas.push({ port, child, logged });
    }
    for (const { port, child } of replicas) {
      for (;;) {
        if (child.exitCode !== null) throw new Error(`a replica ended with ${child.exitCode}`);
        const ready = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => null);
        if (ready?.status === 200) break;
        await delay(50);
      }
    }
    const port = await freePort();
    const servers = replicas
      .map((replica) => `    server 127.0.0.1:${replica.port} max_fails=1 fail_timeout=5s;\n`)
      .join("");
    const config = readFileSync(join(root, "deploy/nginx.conf"), "utf8")
      .replace(/(?: +server cllm-\d:8000 .*;\n)+/, servers)
      .replace("listen 8080;", `listen 127.0.0.1:${port};`)
      .replace("proxy_set_header Host $host;", "proxy_set_header Host localhost;") // replicas without a key take local names only
      .replace(
        "http {",
        `http {\n  access_log off;\n${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `  ${name}_temp_path ${folder}/${name};`).join("\n")}`,
      );
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "nginx.conf"), `pid ${folder}/nginx.pid;\nerror_log ${folder}/error.log;\n${config}`);
    const nginx = spawn(
      nginxPath(),
      ["-p", folder, "-e", join(folder, "error.log"), "-c", join(folder, "nginx.conf"), "-g", "daemon off;"],
      { stdio: "ignore" },
    );
    started.push(nginx);
    const url = `http://127.0.0.1:${port}`;
    for (let i = 0; (await fetch(`${url}/health`).catch(() => null))?.status !== 200; i++) {
      if (nginx.exitCode !== null || i > 200) {
        const log = existsSync(join(folder, "error.log")) ? readFileSync(join(folder, "error.log"), "utf8") : "";
        throw new Error(`nginx does not answer: ${log.slice(-500)}`);
      }
      await delay(50);
    }
    return { url, replicas, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Clients that ask until the time is up, every second answer as a stream. Counts what became of each request: whole; told to have
 * failed, by a status, an error or a connection that ended early; or untold, an answer that seemed whole and was not.
 */
export async function ask(url, { clients, seconds, maxTokens, onTick = () => {} }) {
  const end = performance.now() + seconds * 1000;
  const counts = { asked: 0, whole: 0, told: 0, untold: 0 };
  const statuses = {};
  async function one(client, round) {
    const stream = round % 2 === 1;
    const prompt = `Client ${client} asks question ${round}:`;
    counts.asked++;
    try {
      const response = await fetch(`${url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-request-id": `c${client}-${round}` },
        body: JSON.stringify({ model: "m", prompt, max_tokens: maxTokens, ignore_eos: true, stream }),
        signal: AbortSignal.timeout(60_000),
      });
      const text = await response.text();
      if (response.status !== 200) {
        statuses[response.status] = (statuses[response.status] ?? 0) + 1;
        counts.told++;
      } else if (stream) {
        const events = text.split("\n\n").filter((line) => line !== "");
        if (events.some((line) => line.startsWith('data: {"error"'))) counts.told++;
        else if (events.at(-1) === "data: [DONE]" && text.includes('"finish_reason":"length"')) counts.whole++;
        else counts.untold++;
      } else if (JSON.parse(text).usage.completion_tokens === maxTokens) counts.whole++;
      else counts.untold++;
    } catch {
      counts.told++; // the connection ended early, which the client is told
    }
  }
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let round = 0; performance.now() < end; round++) {
        await one(client, round);
        onTick(counts);
      }
    }),
  );
  return { ...counts, statuses };
}
