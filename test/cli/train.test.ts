/** `cllm train` as its users run it: in a process of its own, on a tiny real checkpoint. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { builtCommand } from "./command.ts";

const { main, scratch, env, run: cllm } = builtCommand();

const words = ["sun", "owl", "river", "stone", "cloud", "tree"];
const rows = Array.from({ length: 24 }, (_, i) => ({
  question: `the ${words[i % 6]} and the ${words[(i * 5 + 1) % 6]}`,
  answer: ` the ${words[(i + 2) % 6]} and ${words[i % 6]}`,
}));
const data = join(scratch, "faq.jsonl");
writeFileSync(data, rows.map((row) => JSON.stringify(row)).join("\n"));
const source = ["--data", data, "--prompt-field", "question", "--answer-field", "answer", "--raw"];
const sizes = [
  "--sequence-length",
  "96",
  "--held-out",
  "2",
  "--threads",
  "1",
  "--checkpoint-every",
  "2",
  "--block-size",
  "8",
];
const weightsOf = (folder: string): Buffer => readFileSync(join(folder, "final", "model.safetensors"));

describe("a run", () => {
  const out = join(scratch, "ar");
  const settings = ["train", ...source, ...sizes, "--steps", "8", "--learning-rate", "1e-3", "--evaluate-every", "4"];

  test("leaves its settings, log, curves and weights, which the other commands take", () => {
    const { status, stdout, stderr } = cllm(...settings, "--out", out, "--json");
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/step 4: .* tokens per forward/) });
    expect(JSON.parse(stdout)).toMatchObject({ folder: out, steps: 8, settings: { objective: "ar", lora: null } });
    const { chosen, output } = JSON.parse(stdout);
    expect(chosen.why).toMatch(/^the lowest held-out loss, \d+\.\d{3}/);
    expect(output).toBe(join(out, chosen.checkpoint));
    const said = cllm(...settings, "--out", out); // it is over, and says so once more
    expect(said.stdout).toMatch(
      new RegExp(`^chosen +${chosen.checkpoint}, of step ${chosen.step}: the lowest held-out loss`, "m"),
    );
    expect(readdirSync(out).sort()).toEqual([
      "best",
      "checkpoints",
      "curves.svg",
      "final",
      "log.jsonl",
      "settings.json",
    ]);
    const log = readFileSync(join(out, "log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(log.filter(({ type }) => type === "step").map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(log.filter(({ type }) => type === "evaluation").map(({ step }) => step)).toEqual([4, 8]);
    expect(readFileSync(join(out, "curves.svg"), "utf8")).toMatch(/^<svg [^>]*>\n<title[^>]*>.*AR loss/s);
    const written = cllm(
      "generate",
      "the sun",
      "--raw",
      "--model",
      join(out, "best"),
      "--max-new-tokens",
      "4",
      "--json",
    );
    expect(JSON.parse(written.stdout).tokens).toHaveLength(4);
  });

  test("killed at random moments goes on, and ends with the same bits", async () => {
    const killed = join(scratch, "killed");
    const command = [main, ...settings, "--out", killed];
    let kills = 0;
    for (let ms = 100; ms < 3000; ms += 300) {
      const child = spawn(process.execPath, command, { env, cwd: scratch, stdio: "ignore" });
      const ended = once(child, "exit");
      const over = await Promise.race([ended.then(() => true), wait(ms).then(() => false)]);
      if (over) break;
      child.kill("SIGKILL");
      await ended;
      kills++;
    }
    const { status } = cllm(...settings, "--out", killed);
    expect(status).toBe(0);
    expect(kills).toBeGreaterThan(0);
    expect(weightsOf(killed).equals(weightsOf(out))).toBe(true);
    const steps = readFileSync(join(killed, "log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).step);
    expect(steps).toEqual([1, 2, 3, 4, 4, 5, 6, 7, 8, 8]);
    const left = (readdirSync(killed, { recursive: true }) as string[]).filter(
      (name) => !/\.(json|jsonl|svg|safetensors|jinja)$/.test(name),
    );
    expect(left.sort()).toEqual(["best", "checkpoints", "checkpoints/step-00000008", "final"]); // nothing of the killed ones
  }, 120_000);

  test("stopped while it is measured keeps the steps before, and says which", async () => {
    const stopped = join(scratch, "measured");
    const often = ["--evaluate-every", "1", "--checkpoint-every", "100000", "--steps", "100000", "--held-out", "8"];
    const child = spawn(process.execPath, [main, ...settings, ...often, "--out", stopped], { env, cwd: scratch });
    let stderr = "";
    child.stderr.on("data", (part) => {
      stderr += part;
    });
    while (!/step 2: /.test(stderr)) await wait(10);
    child.kill("SIGINT");
    const [code] = await once(child, "exit");
    expect(code).toBe(130);
    const [saved] = readdirSync(join(stopped, "checkpoints")).map((name) => Number(/^step-(\d+)$/.exec(name)?.[1]));
    expect(saved).toBeGreaterThanOrEqual(2);
    expect(stderr).toContain(`stopped; step ${saved} of 100000 is saved in ${stopped}`);
    const log = readFileSync(join(stopped, "log.jsonl"), "utf8").trim().split("\n");
    const steps = log.map((line) => JSON.parse(line)).filter(({ type }) => type === "step");
    expect(steps.at(-1)!.step - saved!).toBeLessThanOrEqual(0); // no step that was done is lost
  }, 60_000);

  test("stopped by Ctrl-C says how to go on", async () => {
    const stopped = join(scratch, "stopped");
    const child = spawn(process.execPath, [main, ...settings, "--steps", "100000", "--out", stopped], {
      env,
      cwd: scratch,
    });
    let stderr = "";
    child.stderr.on("data", (part) => {
      stderr += part;
    });
    const checkpoints = join(stopped, "checkpoints");
    while (!existsSync(checkpoints) || !readdirSync(checkpoints).some((entry) => /^step-\d+$/.test(entry)))
      await wait(20);
    child.kill("SIGINT");
    const [code] = await once(child, "exit");
    expect(code).toBe(130);
    const saved = readdirSync(checkpoints).map((entry) => Number(/^step-(\d+)$/.exec(entry)?.[1]));
    expect(stderr).toContain(`step ${saved[0]} of 100000 is saved`); // what is said is what is there
    expect(stderr).toMatch(/stopped; step \d+ of 100000 is saved in .*the same command goes on from there/);
  }, 60_000);

  test("refuses another run's folder, and a second process", async () => {
    const other = cllm(...settings, "--out", out, "--learning-rate", "2e-3");
    expect(other.status).toBe(2);
    expect(other.stderr).toMatch(/holds another run: its learningRate is 0\.001, not 0\.002/);
  });

  test("from scratch knows nothing of the model's weights", () => {
    const fresh = join(scratch, "fresh");
    expect(cllm(...settings, "--from-scratch", "--out", fresh).status).toBe(0);
    expect(weightsOf(fresh).equals(weightsOf(out))).toBe(false);
  });
});

test("an adapter is a PEFT directory that generate takes", () => {
  const out = join(scratch, "lora");
  const { status } = cllm("train", ...source, ...sizes, "--steps", "3", "--lora-rank", "2", "--out", out);
  expect(status).toBe(0);
  expect(readdirSync(join(out, "final")).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  const said = cllm("generate", "the sun", "--raw", "--adapter", join(out, "final"), "--max-new-tokens", "4", "--json");
  expect({ status: said.status, stderr: said.stderr }).toEqual({ status: 0, stderr: "" });
});

describe("training that goes on with an adapter", () => {
  const weights = (folder: string) => readFileSync(join(folder, "final", "adapter_model.safetensors"));
  const [first, still, gaps] = ["lora-1", "lora-2", "lora-3"].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
  ];
  const on = ["train", ...source, ...sizes, "--from-adapter", join(first, "final")];

  test("begins with its weights, and may teach it to see gaps, which generate then drafts", () => {
    const begin = cllm("train", ...source, ...sizes, "--steps", "3", "--lora-rank", "2", "--out", first);
    expect(begin.status).toBe(0);
    const same = cllm(...on, "--steps", "1", "--learning-rate", "1e-30", "--out", still);
    expect({ status: same.status, stderr: same.stderr }).toMatchObject({ status: 0 });
    expect(weights(still).equals(weights(first))).toBe(true);
    const taught = cllm(...on, "--objective", "consistency", "--draft-token", "1", "--steps", "2", "--out", gaps);
    expect({ status: taught.status, stderr: taught.stderr }).toMatchObject({ status: 0 });
    expect(weights(gaps).equals(weights(first))).toBe(false);
    expect(JSON.parse(readFileSync(join(gaps, "final", "cllm.json"), "utf8"))).toEqual({ draft_token_id: 1 });
    const passes = cllm(
      "trajectory",
      "the sun",
      "--raw",
      "--adapter",
      join(gaps, "final"),
      "--block-size",
      "4",
      "--json",
    );
    expect(passes.status).toBe(0);
    expect(JSON.stringify(JSON.parse(passes.stdout))).toContain(",1,1,1]");
  });

  test.each([
    [["--lora-rank", "3"], 2, /--lora-rank is 3, but .* has 2/],
    [["--from-scratch"], 2, /--from-adapter or --from-scratch/],
    [["--from-adapter", "nowhere"], 1, /nowhere is no adapter/],
  ])("refuses %j", (flags, status, message) => {
    const refused = cllm(...on, ...flags, "--steps", "1", "--out", join(scratch, "refused"));
    expect(refused.stderr).toMatch(message);
    expect(refused.status).toBe(status);
  });
});

describe("consistency training", () => {
  const trajectories = join(scratch, "faq.parquet");
  const common = ["train", "--objective", "consistency", ...sizes, "--steps", "3"];

  test.each([["global"], ["local"], ["progressive"]])("learns from stored points, %s", (kind) => {
    if (!existsSync(trajectories)) {
      const made = cllm(
        "collect",
        ...source,
        "--block-size",
        "8",
        "--max-new-tokens",
        "20",
        "--no-clean",
        "--threads",
        "1",
        "--precision",
        "fp32",
        "--out",
        trajectories,
      );
      expect({ status: made.status, stderr: made.stderr }).toEqual({ status: 0, stderr: "" });
    }
    const out = join(scratch, `stored-${kind}`);
    const how = ["--points", "stored", "--consistency", kind, "--loss", "kl", "--points-per-example", "1"];
    const { status, stderr } = cllm(...common, ...how, "--trajectories", trajectories, "--out", out);
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.any(String) });
    const log = readFileSync(join(out, "log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(log[0]).toMatchObject({ consistencyLoss: expect.any(Number), arLoss: expect.any(Number) });
  });

  test("and from its own", () => {
    const out = join(scratch, "own");
    expect(cllm(...common, "--points-per-example", "2", ...source, "--out", out).status).toBe(0);
  });
});

describe("is refused before any work", () => {
  test.each([
    ["without data", [], /give either --data or --trajectories, not neither/, 2],
    [
      "with stored points and no trajectories",
      [...source, "--objective", "consistency", "--points", "stored"],
      /needs --trajectories/,
      2,
    ],
    [
      "with a field that is not there",
      ["--data", data, "--prompt-field", "questoin", "--answer-field", "answer"],
      /questoin.*question/s,
      1,
    ],
    [
      "without answers",
      ["--data", data, "--prompt-field", "question"],
      /has no answer: name its field with --answer-field/,
      1,
    ],
    [
      "with sequences too short",
      [...source, "--sequence-length", "8"],
      /no example fits: the shortest takes \d+ tokens/,
      1,
    ],
    ["with a misspelt flag", [...source, "--learnign-rate", "1"], /--learning-rate/, 2],
    ["with an objective that is none", [...source, "--objective", "cosistency"], /consistency/, 2],
  ] as const)("%s", (_what, args, message, code) => {
    const { status, stderr } = cllm("train", ...args, "--out", join(scratch, "never"));
    expect(stderr).toMatch(message);
    expect(status).toBe(code);
    expect(existsSync(join(scratch, "never"))).toBe(false);
  });
});
