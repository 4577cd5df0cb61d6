/** However a command is ended from outside, it ends: soon, with nothing half written, whatever its threads wait for. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { builtCommand } from "./command.ts";

const { main, scratch, env } = builtCommand();
const rows = Array.from({ length: 400 }, (_, i) =>
  JSON.stringify({ prompt: `the ${i}`, answer: "and the", reference: "x" }),
);
writeFileSync(join(scratch, "rows.jsonl"), rows.join("\n"));
writeFileSync(
  join(scratch, "questions.jsonl"),
  rows.map((_, i) => JSON.stringify({ prompt: `the ${i}`, reference: "x", grader: "exact" })).join("\n"),
);
/** Waits for a prompt. */
const WAITING = ["generate", "--file", "-"];
/** Enough for a slow machine; what is tested is that an end comes at all. */
const LATE_MS = 15_000;

async function endOf(args: readonly string[], signal: NodeJS.Signals, afterMs: number, more: object = {}) {
  const child = spawn(process.execPath, [main, ...args, "--verbose"], {
    ...{ cwd: scratch, env: { ...env, ...more }, stdio: ["pipe", "ignore", "pipe"] },
  });
  const exit = once(child, "exit");
  await Promise.race([once(child.stderr!, "data"), exit]); // its configuration: it has taken over its signals
  child.stderr!.resume();
  await delay(afterMs);
  const begin = performance.now();
  child.kill(signal);
  const late = setTimeout(() => child.kill("SIGKILL"), LATE_MS);
  const [code, by] = await exit;
  clearTimeout(late);
  return { code, by, ms: performance.now() - begin };
}

const leftovers = (): string[] =>
  readdirSync(scratch, { recursive: true })
    .map(String)
    .filter((name) => /\.(incomplete|replaced|claim|lock)$/.test(name));

const commands: Readonly<Record<string, readonly string[]>> = {
  generate: ["generate", "the", "--max-new-tokens", "200", "--ignore-eos"],
  bench: ["bench", "--prompts", "rows.jsonl", "--max-new-tokens", "100"],
  collect: ["collect", "--data", "rows.jsonl", "--out", "t.parquet"],
  train: ["train", "--data", "rows.jsonl", "--answer-field", "answer", "--steps", "100000", "--out", "run"],
  eval: ["eval", "custom", "--data", "questions.jsonl", "--out", "evaluation"],
  export: ["export", "--to", "exported", "--overwrite"],
  serve: ["serve", "--port", "0"],
  trajectory: ["trajectory", "the", "--blocks", "12"],
};

describe.skipIf(process.platform === "win32")("SIGTERM", () => {
  test.each(Object.keys(commands))("ends %s, early and late, and leaves nothing half written", async (name) => {
    for (const afterMs of [0, 300, 1200]) {
      const { code, by, ms } = await endOf(commands[name]!, "SIGTERM", afterMs);
      expect([143, 0, "SIGTERM"]).toContain(by ?? code); // it may have been over
      if (process.env["CLLM_MEASURE"]) console.log(name, afterMs, code, Math.round(ms));
      expect(leftovers()).toEqual([]);
    }
  });

  test("ends a command whose thread is held by the system", async () => {
    const pipe = join(scratch, "held");
    spawnSync("mkfifo", [pipe]);
    const hold = join(scratch, "hold.mjs");
    writeFileSync(hold, `import { open } from "node:fs"; open(${JSON.stringify(pipe)}, "r", () => {});`);
    const { code, by } = await endOf(WAITING, "SIGTERM", 0, {
      NODE_OPTIONS: `--import ${hold}`,
    });
    expect([code, by]).toEqual([null, "SIGTERM"]);
  });

  test("ends a command that does not listen", async () => {
    const hook = join(scratch, "deaf.mjs");
    writeFileSync(hook, "AbortController.prototype.abort = () => {};");
    const { code, ms } = await endOf(WAITING, "SIGTERM", 0, {
      NODE_OPTIONS: `--import ${hook}`,
    });
    expect(code).toBe(143);
    expect(ms).toBeGreaterThan(500);
  });

  test.each(["SIGINT", "SIGHUP"] as const)("as %s does", async (signal) => {
    const { code } = await endOf(WAITING, signal, 0);
    expect(code).toBe(signal === "SIGINT" ? 130 : 129);
  });

  test("leaves the steps of training in place", async () => {
    rmSync(join(scratch, "run"), { recursive: true, force: true });
    await endOf(commands["train"]!, "SIGTERM", 3000);
    expect(
      existsSync(join(scratch, "run", "checkpoints")) ? readdirSync(join(scratch, "run", "checkpoints")).length : 1,
    ).toBe(1);
  });
});
