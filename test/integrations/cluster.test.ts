/** Real schedulers and proxies of this machine: an array of Slurm with a task killed, and replicas behind nginx with one killed. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { builtCommand } from "../cli/command.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";

interface Replicas {
  readonly url: string;
  readonly replicas: readonly { readonly child: { kill(signal: string): void }; readonly logged: readonly string[] }[];
  stop(): Promise<void>;
}
interface Counts {
  readonly asked: number;
  readonly whole: number;
  readonly told: number;
  readonly untold: number;
}
interface Proxy {
  nginxPath(): string | undefined;
  startReplicas(folder: string, model: string, count: number): Promise<Replicas>;
  ask(url: string, options: { clients: number; seconds: number; maxTokens: number }): Promise<Counts>;
}

const bench = join(import.meta.dirname, "../../bench/cluster");
const load = (name: string): Promise<unknown> => import(join(bench, name));
const { whyNot } = (await load("slurm.mjs")) as { whyNot(): string | null };
const proxy = (await load("proxy.mjs")) as Proxy;
const { scratch, model } = builtCommand();
const long = writeTinyCheckpoint(join(scratch, "long"), { contextLength: 4096 });

const noSlurm = whyNot();
test.skipIf(noSlurm !== null)(
  `Slurm: killed, requeued and joined to the bytes of one run${noSlurm ? ` (skipped: ${noSlurm})` : ""}`,
  () => {
    const data = join(scratch, "prompts.jsonl");
    writeFileSync(
      data,
      Array.from({ length: 16 }, (_, i) => JSON.stringify({ prompt: `the ${i} owls and the river` })).join("\n"),
    );
    const flags = ["--model", model, "--data", data, "--prompts", "16", "--max-new-tokens", "200"];
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(bench, "array.mjs"), ...flags], {
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(stdout.trim().split("\n").at(-1)!)).toMatchObject({ equal: true, promptsLost: 0, tasks: 4 });
  },
  240_000,
);

const noNginx = proxy.nginxPath() === undefined;
test.skipIf(noNginx)(
  `nginx: no answer is lost untold, and a conversation finds its replica${noNginx ? " (skipped: no nginx)" : ""}`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "cllm-replicas-"));
    const running = await proxy.startReplicas(folder, long, 3);
    try {
      const { url, replicas } = running;
      const served = () =>
        replicas.map(({ logged }) => logged.filter((line) => line.includes("/v1/completions")).length);
      const say = async (prompt: string) => {
        const body = JSON.stringify({ model: "m", prompt, max_tokens: 2 });
        const response = await fetch(`${url}/v1/completions`, {
          method: "POST",
          headers: { "content-type": "application/json", "x-request-id": "own-1" },
          body,
        });
        expect([response.status, response.headers.get("x-request-id")]).toEqual([200, "own-1"]);
        await response.arrayBuffer();
      };
      // All requests of a conversation begin alike, for longer than what is hashed.
      for (let conversation = 0; conversation < 4; conversation++) {
        const before = served();
        const opening = `Conversation ${conversation} `.repeat(80);
        for (let turn = 0; turn < 3; turn++) await say(opening + "and the river ".repeat(turn));
        await new Promise((done) => setTimeout(done, 100)); // for the log's pipe
        const added = served().map((count, i) => count - before[i]!);
        expect(added.sort()).toEqual([0, 0, 3]);
      }
      const timer = setTimeout(() => replicas[1]!.child.kill("SIGKILL"), 2000);
      const counts = await proxy.ask(url, { clients: 8, seconds: 4, maxTokens: 16 });
      clearTimeout(timer);
      expect(counts).toMatchObject({ untold: 0, asked: counts.whole + counts.told });
      expect(counts.whole).toBeGreaterThan(counts.told);
    } finally {
      await running.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  },
  120_000,
);
