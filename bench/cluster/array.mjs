/**
 * Collecting on Slurm: an array of four tasks, one of them killed in the middle and requeued, joined, and compared byte for byte
 * with one run. Tells how many prompts a minute one process and the array collected. Exit code 1 where bytes differ, 77 where
 * Slurm is not there.
 *
 *   node bench/cluster/array.mjs [--model DIR] [--data FILE] [--prompts 64] [--max-new-tokens 64] [--tasks 4]
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startSlurm, whyNot } from "./slurm.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseArgs({
  options: {
    model: { type: "string", default: join(root, "models/text-to-sql") },
    data: { type: "string", default: join(root, "models/text-to-sql/held-out.jsonl") },
    prompts: { type: "string", default: "64" },
    "max-new-tokens": { type: "string", default: "64" },
    tasks: { type: "string", default: "4" },
  },
});
const reason = whyNot();
if (reason !== null) {
  console.error(`skipped: ${reason}`);
  process.exit(77);
}
const tasks = Number(values.tasks);
const prompts = Number(values.prompts);
const main = join(root, "dist/cli/main.js");
const scratch = mkdtempSync(join(tmpdir(), "cllm-slurm-"));
const collect = (out) => [
  ...["collect", "--model", resolve(values.model), "--data", resolve(values.data), "--limit", String(prompts), "--raw"],
  ...["--no-clean", "--threads", "1", "--max-new-tokens", values["max-new-tokens"], "--out", join(scratch, out)],
];
const perMinute = (ms) => Number(((prompts / ms) * 60_000).toFixed(1));
const lines = (path) => (existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0);
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SLURM_")));

let slurm = null;
try {
  const begin = performance.now();
  const single = spawnSync(process.execPath, [main, ...collect("single.parquet")], { env, encoding: "utf8" });
  if (single.status !== 0) throw new Error(single.stderr);
  const singleMs = performance.now() - begin;

  slurm = await startSlurm(join(scratch, "slurm"));
  const quoted = [process.execPath, main, ...collect("array.parquet")].map(
    (word) => `'${word.replaceAll("'", `'\\''`)}'`,
  );
  writeFileSync(join(scratch, "job.sh"), `#!/bin/bash\nexec ${quoted.join(" ")}\n`);
  const submitted = performance.now();
  const options = [
    `--array=1-${tasks}`,
    "--requeue",
    "--cpus-per-task=1",
    `--output=${join(scratch, "task-%a.log")}`,
    "--open-mode=append",
  ];
  const job = slurm.run("sbatch", "--parsable", `--chdir=${scratch}`, ...options, join(scratch, "job.sh")).trim();

  const part = (index) =>
    join(scratch, `array-${String(index).padStart(5, "0")}-of-${String(tasks).padStart(5, "0")}.parquet`);
  const victim = Math.min(2, tasks);
  const journal = `${part(victim)}.journal`;
  const due = Date.now() + 300_000;
  const wait = async (until, what) => {
    while (!until()) {
      if (Date.now() > due) throw new Error(`timeout: ${what}`);
      await delay(20);
    }
  };
  await wait(() => lines(journal) >= 3, "the second task has collected something"); // the settings and two prompts
  const lockFile = `${part(victim)}.lock`;
  process.kill(JSON.parse(readFileSync(lockFile, "utf8")).pid, "SIGKILL");
  const doneBefore = lines(journal) - 1;
  const stateOf = (task) =>
    / JobState=(\w+)/.exec(` ${slurm.run("scontrol", "show", "job", `${job}_${task}`)}`)?.[1] ?? "";
  await wait(() => stateOf(victim) === "FAILED", "the killed task has failed");
  const failed = performance.now();
  slurm.run("scontrol", "requeue", `${job}_${victim}`);
  slurm.run("scontrol", "update", `JobId=${job}_${victim}`, "StartTime=now"); // it would wait for two minutes
  await wait(() => Array.from({ length: tasks }, (_, i) => part(i + 1)).every(existsSync), "all shards are there");
  const arrayMs = performance.now() - submitted;
  const log = readFileSync(join(scratch, `task-${victim}.log`), "utf8");
  const resumed = Number(/going on with .*: (\d+) of/.exec(log)?.[1] ?? 0);

  const merged = spawnSync(process.execPath, [main, "merge", join(scratch, "array.parquet"), "--json"], {
    env,
    encoding: "utf8",
  });
  if (merged.status !== 0) throw new Error(merged.stderr);
  const [one, other] = ["single", "array"].map((name) => readFileSync(join(scratch, `${name}.parquet`)));
  const equal = one.equals(other);
  const report = {
    benchmark: "cluster/array",
    machine: `${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} cores`,
    slurm: slurm.run("sinfo", "--version").trim(),
    ...{ tasks, prompts, killed: victim, doneWhenKilled: doneBefore, resumedWith: resumed },
    promptsLost: Math.max(0, doneBefore - resumed),
    requeuedAfterMs: Math.round(failed - submitted),
    ...{ onePerMinute: perMinute(singleMs), arrayPerMinute: perMinute(arrayMs) },
    ratio: Number((singleMs / arrayMs).toFixed(2)),
    equal,
  };
  console.log(
    `one process: ${report.onePerMinute} prompts a minute; ${tasks} tasks, one of them killed: ${report.arrayPerMinute}`,
  );
  console.log(
    `bytes ${equal ? "are equal" : "DIFFER"}; the killed task had ${doneBefore} prompts and went on with ${resumed}`,
  );
  console.log(JSON.stringify(report));
  process.exitCode = equal && report.promptsLost === 0 ? 0 : 1;
} finally {
  await slurm?.stop();
  rmSync(scratch, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}
