/** `cllm eval` as its users run it: in a process of its own, on tiny real checkpoints, killed in the middle. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { builtCommand } from "./command.ts";

const { main, scratch, model, env, run } = builtCommand();
const evaluate = (...args: readonly string[]) => run("eval", ...args);

const other = writeTinyCheckpoint(join(scratch, "other"), { seed: 2 });
const data = join(scratch, "questions.jsonl");
const questions = ["the sun", "an owl", "one <b>more</b>", "the river"].map((prompt) => ({
  prompt,
  reference: "[aeiou]",
}));
writeFileSync(data, questions.map((row) => JSON.stringify({ ...row, grader: "regex" })).join("\n"));
const task = ["custom", "--data", data, "--threads", "1", "--precision", "fp32", "-n", "24"];

const answersIn = (folder: string): string => readFileSync(join(folder, "answers.jsonl"), "utf8");

describe("an evaluation", () => {
  const out = join(scratch, "runs/own");
  const models = ["-m", `target=${model}`, "-m", `cllm=${other}`, "--decoders", "jacobi", "--block-sizes", "4,16"];

  test("of two models shows a table, and leaves answers, JSON and a page", () => {
    const { status, stdout, stderr } = evaluate(...task, ...models, "--trajectories", "2", "--out", out);
    expect({ status, stderr }).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/^8 of 24 answers, about [^\n]+ left\n$/),
    });
    expect(stdout).toMatch(/^custom, 4 questions; the target is target, ar\n/);
    for (const name of ["target, ar", "target, jacobi 4", "target, jacobi 16", "cllm, ar", "cllm, jacobi 16"]) {
      expect(stdout).toMatch(new RegExp(`\n${name} +\\d+\\.0 \\(.* 0\n`));
    }
    expect(stdout).toMatch(/\ncllm, blocks of 16 +\d+/);
    expect(stdout).toContain(`wrote ${join(out, "report.html")}`);
    expect(readdirSync(out).sort()).toEqual(["answers.jsonl", "passes.jsonl", "report.html", "report.json"]);
    const html = readFileSync(join(out, "report.html"), "utf8");
    expect(html).toContain("<h2>Speed against block size</h2>");
    expect(html).toContain("<h2>Trajectories</h2>");
  });

  test("that is finished is told again, as JSON, without another question", () => {
    const answers = readFileSync(join(out, "answers.jsonl"), "utf8");
    const { status, stdout, stderr } = evaluate(...task, ...models, "--trajectories", "2", "--out", out, "--json");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(readFileSync(join(out, "answers.jsonl"), "utf8")).toBe(answers);
    expect(stdout).toBe(readFileSync(join(out, "report.json"), "utf8"));
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ task: "custom", questions: 4, target: "target, ar", settings: { threads: 1 } });
    for (const { questions: count, score, verdicts, differing } of report.contenders) {
      expect([count, differing, score.total]).toEqual([4, 0, 4]);
      expect(score.right).toBe(verdicts.right ?? 0);
    }
  });

  test("of a sample is compared with the target that is named", () => {
    const sampled = join(scratch, "runs/sample");
    const flags = ["--sample", "2", "--target", "cllm", "--out", sampled, "--json"];
    const { status, stdout } = evaluate(...task, ...models, ...flags);
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ questions: 2, target: "cllm, ar", settings: { task: { sample: 2 } } });
    expect(evaluate(...task, ...models, "--only-adapters", "--out", sampled)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/--only-adapters without an --adapter leaves nobody/),
    });
    expect(evaluate(...task, ...models, "--target", "clm", "--out", sampled)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/this evaluation has no model clm; there are target, cllm/),
    });
  });

  test("drafts from the predictions that records have, and asks for one in each", () => {
    const answers = answersIn(out)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
      .filter(({ contender }) => contender === "target, ar");
    const predicted = join(scratch, "predicted.jsonl");
    const write = (rows: readonly object[]): void =>
      writeFileSync(predicted, rows.map((row) => JSON.stringify(row)).join("\n"));
    const rows = questions.map((row, i) => {
      const { turns } = answers.find(({ question }) => question === String(i));
      return { ...row, grader: "regex", prediction: turns[0].text };
    });
    write(rows);
    const flags = [
      "custom",
      "--data",
      predicted,
      "-m",
      `target=${model}`,
      ...task.slice(3),
      "--decoders",
      "prediction",
    ];
    const { status, stdout } = evaluate(...flags, "--out", join(scratch, "runs/predicted"), "--json");
    expect(status).toBe(0);
    const [, found] = JSON.parse(stdout).contenders;
    expect(found).toMatchObject({ name: "target, prediction 16", differing: 0 });
    expect(found.tokensPerForward).toBeGreaterThan(1.3); // random tokens, of which few are what their text is cut into
    write(rows.map(({ prediction, ...row }, i) => (i === 2 ? row : { ...row, prediction })));
    expect(evaluate(...flags, "--out", join(scratch, "runs/refused"))).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/predicted\.jsonl:3 has no prediction; give each record one/),
    });
  });

  test("with other settings is refused in the same folder", () => {
    const { status, stderr } = evaluate(...task, ...models, "--out", out, "--limit", "2");
    expect(status).toBe(2);
    expect(stderr).toMatch(/error\[usage\]: .*answers\.jsonl is of a run with other settings \(questions is 4, not 2/);
  });
});

test("killed at any moment, the same command goes on to the same answers, none of them twice", async () => {
  const many = join(scratch, "many.jsonl");
  const rows = Array.from({ length: 30 }, (_, i) => ({ prompt: `the ${i} owls`, reference: "a", grader: "regex" }));
  writeFileSync(many, rows.map((row) => JSON.stringify(row)).join("\n"));
  const args = ["eval", "custom", "--data", many, "--threads", "1", "--precision", "fp32", "-n", "100"];
  const whole = join(scratch, "whole");
  expect(run(...args, "--out", whole).status).toBe(0);

  const out = join(scratch, "killed");
  const path = join(out, "answers.jsonl");
  for (const bytes of [1, 20_000, 60_000]) {
    const child = spawn(process.execPath, [main, ...args, "--out", out], { env, cwd: scratch, stdio: "ignore" });
    const exit = once(child, "exit");
    while (child.exitCode === null && !(existsSync(path) && readFileSync(path).length >= bytes)) {
      await new Promise((done) => setTimeout(done, 2));
    }
    child.kill("SIGKILL");
    await exit;
    const torn = readFileSync(path);
    writeFileSync(path, torn.subarray(0, Math.max(1, torn.length - 30)));
  }
  const { status, stderr } = run(...args, "--out", out);
  expect(status).toBe(0);
  expect(stderr).toMatch(/going on with .*answers\.jsonl: \d+ answers are there\n/);
  expect(answersIn(out)).toBe(answersIn(whole));
  expect(readdirSync(out).sort()).toEqual(["answers.jsonl", "passes.jsonl", "report.html", "report.json"]);
}, 120_000);

test("Ctrl-C says what is there, and that the same command goes on", async () => {
  const out = join(scratch, "interrupted");
  const child = spawn(process.execPath, [main, "eval", ...task, "--out", out], { env, cwd: scratch });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const exit = once(child, "exit");
  while (child.exitCode === null && !existsSync(join(out, "answers.jsonl"))) {
    await new Promise((done) => setTimeout(done, 2));
  }
  child.kill("SIGINT"); // most often while it warms up
  expect(await exit).toEqual([130, null]);
  expect(stderr).toMatch(
    /^stopped: (no question was asked yet|\d+ (of \d+ )?answers are in .*answers\.jsonl); run the same command again to go on\n$/,
  );
}, 60_000);

describe("wrong input is one error before any work", () => {
  const nowhere = join(scratch, "nowhere");
  test.each<[args: string[], status: number, message: RegExp]>([
    [["gsm8k"], 2, /error\[usage\]: --out is missing/],
    [["--out", nowhere], 2, /error\[usage\]: --task is missing/],
    [["gsm8", "--out", nowhere], 1, /error\[not-found\]: there is no task gsm8; did you mean gsm8k\?/],
    [["custom", "--out", nowhere], 2, /error\[usage\]: --data is missing; give the file/],
    [["gsm8k", "--data", data, "--out", nowhere], 2, /--data is for the task custom; gsm8k is read from the folder/],
    [["custom", "--data", data, "--shots", "3", "--out", nowhere], 2, /the task custom takes no shots/],
    [
      ["custom", "--data", data, "--decoders", "jacoby", "--out", nowhere],
      2,
      /--decoders\[0\] must be one of auto, ar/,
    ],
    [["custom", "--data", data, "-m", model, "-m", model, "--out", nowhere], 2, /two models are called tiny/],
    [["mt-bench", "--judge-model", "x", "--out", nowhere], 2, /--judge-model without --judge/],
  ])("%j", (args, status, message) => {
    const { status: code, stdout, stderr } = evaluate(...args);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^cllm: error\[[a-z-]+\]: [^\n]+\n$/);
    expect({ code, stdout }).toEqual({ code: status, stdout: "" });
    expect(existsSync(nowhere)).toBe(false);
  });
});
