/** Shards as their users run them, in processes of their own: by a flag or an array job's environment, killed, and joined. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { builtCommand } from "./command.ts";

const { main, scratch, env, run } = builtCommand();
const few = ["--threads", "1", "--precision", "fp32"];
const lines = (rows: readonly object[]): string => rows.map((row) => JSON.stringify(row)).join("\n");

test("of a collection, found by an array job's environment and killed in the middle, are the bytes of one run", async () => {
  const data = join(scratch, "prompts.jsonl");
  writeFileSync(data, lines(Array.from({ length: 9 }, (_, i) => ({ prompt: `the ${i} owls and the river` }))));
  const args = [
    "collect",
    "--data",
    data,
    "--raw",
    "--no-clean",
    "--max-new-tokens",
    "60",
    "--block-size",
    "8",
    ...few,
  ];
  expect(run(...args, "--out", "whole.parquet").status).toBe(0);

  const task = (id: number) => ({
    cwd: scratch,
    env: { ...env, SLURM_ARRAY_TASK_ID: String(id), SLURM_ARRAY_TASK_MIN: "1", SLURM_ARRAY_TASK_COUNT: "2" },
  });
  const line = [main, ...args, "--out", "parts.parquet"];
  const journal = join(scratch, "parts-00002-of-00002.parquet.journal");
  const child = spawn(process.execPath, line, { ...task(2), stdio: "ignore" });
  const exit = once(child, "exit");
  const isBegun = () => existsSync(journal) && readFileSync(journal, "utf8").split("\n").length > 3;
  while (child.exitCode === null && !isBegun()) await new Promise((done) => setTimeout(done, 2));
  child.kill("SIGKILL");
  await exit;
  for (const id of [1, 2]) {
    const { status, stderr } = spawnSync(process.execPath, line, { ...task(id), encoding: "utf8" });
    expect({ status, stderr }).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(
        new RegExp(
          `^shard ${id} of 2: SLURM_ARRAY_TASK_ID of Slurm is ${id}; .*\n[^]*when all are there: cllm merge parts.parquet`,
        ),
      ),
    });
  }
  const joined = run("merge", "parts.parquet", "--json");
  expect(JSON.parse(joined.stdout)).toEqual({ kind: "collection", output: "parts.parquet", shards: 2, records: 9 });
  const [parts, whole] = ["parts", "whole"].map((name) => readFileSync(join(scratch, `${name}.parquet`)));
  expect(parts!.equals(whole!)).toBe(true);
}, 60_000);

test("of an evaluation leave the report to the whole", () => {
  const data = join(scratch, "questions.jsonl");
  writeFileSync(
    data,
    lines(["the sun", "an owl", "one more"].map((prompt) => ({ prompt, reference: "a", grader: "regex" }))),
  );
  const args = ["eval", "custom", "--data", data, "--decoders", "jacobi", "-n", "16", ...few];
  expect(run(...args, "--out", "single").status).toBe(0);
  for (const shard of ["1/2", "2/2"]) {
    expect(run(...args, "--out", "shards", "--shard", shard)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^shard \d of 2: \d questions\nwrote shards\/answers-0000\d-of-00002\.jsonl\n$/),
    });
  }
  expect(run("merge", "shards")).toMatchObject({
    status: 0,
    stdout: expect.stringContaining("joined 2 shards: 6 records"),
  });
  const answers = (folder: string): string => readFileSync(join(scratch, folder, "answers.jsonl"), "utf8");
  expect(answers("shards")).toBe(answers("single"));
  expect(run(...args, "--out", "shards", "--shard", "none")).toMatchObject({
    status: 0,
    stdout: expect.stringContaining("report.html"),
  });
  expect(readdirSync(join(scratch, "shards"))).toContain("report.json");
}, 60_000);

test("of a batch, whose bodies call the model by a name", () => {
  const requests = ["the sun", "an owl", "one more"].map((prompt, i) => ({
    ...{ custom_id: `r${i}`, method: "POST", url: "/v1/completions" },
    body: { model: i === 2 ? "theirs" : "mine", prompt, max_tokens: 8 },
  }));
  writeFileSync(join(scratch, "requests.jsonl"), lines(requests));
  const args = ["batch", "--model", `mine=${env["CLLM_MODELS"]}`, "-i", "requests.jsonl", ...few];
  expect(run(...args, "-o", "answers.jsonl")).toMatchObject({
    status: 0,
    stderr: "",
    stdout: "3 answers, 1 of them errors\nwrote answers.jsonl\n",
  });
  for (const flag of ["--draft-adapter", "--draft-model", "--medusa-heads"]) {
    const refused = run(...args, "-o", "refused.jsonl", flag, "mine=no-such.folder/of-mine/at-all");
    expect(refused.stderr).toContain(`${flag} mine=no-such.folder/of-mine/at-all`);
  }
  for (const shard of ["1/2", "2/2"]) expect(run(...args, "-o", "parts.jsonl", "--shard", shard).status).toBe(0);
  expect(run("merge", "parts.jsonl", "--json").stdout).toContain('"kind":"batch"');
  const read = (name: string): string => readFileSync(join(scratch, name), "utf8");
  expect(read("parts.jsonl")).toBe(read("answers.jsonl"));
}, 60_000);

test.each<[args: string[], status: number, message: RegExp]>([
  [["merge"], 2, /--output is missing|output is missing/],
  [["merge", "nothing.parquet"], 1, /error\[not-found\]: nothing\.parquet has no shards beside it/],
  [["collect", "--data", "x.jsonl", "--out", "x.parquet", "--shard", "9/8"], 2, /there is no shard 9 of 8/],
  [["eval", "gsm8k", "--out", "x", "--shard", "0/8"], 2, /there is no shard 0 of 8/],
])("%j is one error", (args, status, message) => {
  const result = run(...args);
  expect(result.status).toBe(status);
  expect(result.stderr).toMatch(message);
});
