/** Shards in an object store as their users run them: killed, gone on with elsewhere, and joined to the bytes of one run. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openS3 } from "../../src/files/s3.ts";
import { type S3Server, startS3 } from "../files/s3-server.ts";
import { builtCommand } from "./command.ts";

const { main, scratch, env } = builtCommand();
let store: S3Server;
beforeAll(async () => {
  store = await startS3();
});
afterAll(() => store[Symbol.asyncDispose]());

/** Runs beside this process, which is the store. `until`: killed then. */
async function run(args: readonly string[], more: NodeJS.ProcessEnv, until?: () => boolean) {
  const child = spawn(process.execPath, [main, ...args], { cwd: scratch, env: { ...env, ...more } });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const exit = once(child, "exit");
  const watch = setInterval(() => {
    if (until?.()) child.kill("SIGKILL");
  }, 2);
  const [status] = (await exit) as [number | null];
  clearInterval(watch);
  return { status, stderr };
}

const collect = [
  "collect",
  "--raw",
  "--no-clean",
  "--max-new-tokens",
  "40",
  "--block-size",
  "8",
  "--threads",
  "1",
  "--precision",
  "fp32",
];
const prompts = Array.from({ length: 6 }, (_, i) => JSON.stringify({ prompt: `the ${i} owls and the river` })).join(
  "\n",
);

test("a shard that is killed goes on on another machine, and all are joined to the bytes of one run", async () => {
  writeFileSync(join(scratch, "prompts.jsonl"), prompts);
  expect(await run([...collect, "--data", "prompts.jsonl", "--out", "one.parquet"], {})).toMatchObject({ status: 0 });
  store.objects.set("prompts.jsonl", Buffer.from(prompts));
  const shard = (index: number) => [
    ...collect,
    "--data",
    "s3://mine/prompts.jsonl",
    "--out",
    "s3://mine/runs/t.parquet",
    "--shard",
    `${index}/2`,
  ];
  const pieces = () =>
    [...store.objects.keys()].filter((key) => key.includes("t-00002-of-00002.parquet.journal.pieces/")).length;
  expect((await run(shard(2), store.env, () => pieces() >= 2)).status).toBeNull();
  store.mishaps.push("busy", "half", "busy");
  const elsewhere = { ...store.env, CLLM_CACHE: mkdtempSync(join(tmpdir(), "cllm-elsewhere-")) };
  expect(await run(shard(2), elsewhere)).toMatchObject({
    status: 0,
    stderr: expect.stringMatching(/going on with s3:.*: \d of 3 prompts are done/),
  });
  rmSync(elsewhere.CLLM_CACHE, { recursive: true });
  expect(await run(shard(1), store.env)).toMatchObject({ status: 0 });
  expect(await run(["merge", "s3://mine/runs/t.parquet"], store.env)).toMatchObject({ status: 0 });
  const names = ["t-00001-of-00002.parquet", "t-00002-of-00002.parquet", "t.parquet"].map((name) => `runs/${name}`);
  expect([...store.objects.keys()].sort()).toEqual(["prompts.jsonl", ...names]);
  expect(store.objects.get("runs/t.parquet")!.equals(readFileSync(join(scratch, "one.parquet")))).toBe(true);
}, 60_000);

const s3rver = process.env["CLLM_S3RVER"]; // a folder where `npm install s3rver` was run

test.skipIf(s3rver === undefined)(
  "the same protocol as another server's, s3rver (skipped where CLLM_S3RVER is not set)",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "cllm-s3rver-"));
    const program = join(s3rver!, "node_modules/s3rver/bin/s3rver.js");
    const server = spawn(
      process.execPath,
      [program, "--directory", folder, "--port", "0", "--configure-bucket", "mine"],
      { stdio: "pipe" },
    );
    try {
      let said = "";
      server.stdout.on("data", (chunk) => {
        said += chunk;
      });
      while (!/listening on .*:(\d+)/.test(said)) await new Promise((done) => setTimeout(done, 20));
      const port = /listening on .*:(\d+)/.exec(said)![1];
      const keys = { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER", AWS_REGION: "us-east-1" };
      const theirs = { ...keys, AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}` };
      const direct = openS3("mine", { env: theirs });
      await direct.put("a folder/ü & more.jsonl", new TextEncoder().encode(prompts));
      expect(await direct.list("a folder/")).toEqual(["a folder/ü & more.jsonl"]);
      const args = [...collect, "--data", "s3://mine/a folder/ü & more.jsonl", "--out", "s3://mine/t.parquet"];
      for (const index of [1, 2])
        expect(await run([...args, "--shard", `${index}/2`], theirs)).toMatchObject({ status: 0 });
      expect(await run(["merge", "s3://mine/t.parquet"], theirs)).toMatchObject({ status: 0 });
      expect(await direct.list("t")).toEqual(["t-00001-of-00002.parquet", "t-00002-of-00002.parquet", "t.parquet"]);
    } finally {
      server.kill();
      rmSync(folder, { recursive: true, force: true });
    }
  },
  60_000,
);
