/**
 * Every command that writes, killed with SIGKILL at random moments and then run to its end: nothing is left beside what it
 * makes, and what it overwrites is there at every moment. `CLLM_KILLS=20` for a measurement.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { adapterOf, writeAdapter } from "../../src/checkpoint/peft/adapter.ts";
import { readAdapter } from "../../src/checkpoint/peft/read-adapter.ts";
import { recoverFolder } from "../../src/files/scratch.ts";
import { loraTensors } from "../../src/model/lora.ts";
import { type HubServer, REPO, startHub } from "../checkpoint/hub-server.ts";
import { builtCommand } from "../cli/command.ts";

const KILLS = Number(process.env["CLLM_KILLS"] ?? 1);
const { main, scratch, model, env } = builtCommand();
const dist = join(main, "../..");
const work = join(scratch, "work");
let hub: HubServer;

beforeAll(async () => {
  mkdirSync(work);
  const rows = Array.from({ length: 12 }, (_, i) => ({ prompt: `the ${i} ${"and ".repeat(i)}`, answer: "and the" }));
  const lines = (items: readonly object[]): string => items.map((item) => JSON.stringify(item)).join("\n");
  writeFileSync(join(scratch, "rows.jsonl"), lines(rows));
  const questions = rows.slice(0, 3).map(({ prompt }) => ({ prompt, reference: "x", grader: "exact" }));
  writeFileSync(join(scratch, "questions.jsonl"), lines(questions));
  const { config, close } = await openCheckpoint(model);
  await close();
  const lora = { rank: 2, alpha: 4, targets: ["q_proj"] as const };
  const tensors = Array.from(loraTensors(config, lora), ([name, shape]) => {
    return { name, shape, data: new Float32Array(shape[0]! * shape[1]!).fill(0.01) };
  });
  await writeAdapter(join(scratch, "lora"), await adapterOf({ name: "l", baseModel: "tiny", ...lora }, tensors));
  const files = readdirSync(model).map((name) => [name, readFileSync(join(model, name))] as const);
  hub = await startHub(new Map(files));
});
afterAll(() => hub.close());

interface Written {
  readonly args: readonly string[];
  /** What there is in `work` after a whole run. */
  readonly makes: readonly string[];
  /** Whether what it overwrites can be read; also called after each kill, once there was a whole run. */
  readonly read?: () => Promise<unknown>;
  readonly env?: () => NodeJS.ProcessEnv;
}

const at = (name: string): string => join(work, name);
const opened = async (name: string): Promise<void> => (await openCheckpoint(at(name))).close();
const out = (...args: string[]): string[] => ["export", "--overwrite", "--model", model, ...args];
const few = ["--max-new-tokens", "8", "--quiet"];
const COMMANDS: Readonly<Record<string, Written>> = {
  "export, Hugging Face": { args: out("--to", at("hf")), makes: ["hf"], read: () => opened("hf") },
  "export, GGUF": { args: out("--to", at("m.gguf")), makes: ["m.gguf"], read: () => opened("m.gguf") },
  "export, ONNX": {
    args: out("--to", at("onnx"), "--format", "onnx"),
    makes: ["onnx"],
    async read() {
      await recoverFolder(at("onnx"));
      expect(readdirSync(at("onnx"))).toEqual(expect.arrayContaining(["model.onnx", "model.onnx_data", "config.json"]));
    },
  },
  "export, adapter": {
    args: out("--to", at("adapter"), "--format", "adapter", "--adapter", join(scratch, "lora")),
    makes: ["adapter"],
    read: () => readAdapter(at("adapter")),
  },
  train: {
    args: [
      ...["train", "--model", model, "--data", join(scratch, "rows.jsonl"), "--answer-field", "answer", "--quiet"],
      ...["--steps", "6", "--evaluate-every", "2", "--checkpoint-every", "1", "--held-out", "2", "--out", at("run")],
    ],
    makes: [
      "run",
      "run/best",
      "run/checkpoints",
      "run/checkpoints/step-00000006",
      "run/curves.svg",
      "run/final",
      "run/log.jsonl",
      "run/settings.json",
    ],
  },
  "collect, Parquet": {
    args: ["collect", "--data", join(scratch, "rows.jsonl"), ...few, "--out", at("t.parquet")],
    makes: ["t.parquet"],
  },
  "collect, JSON": {
    args: ["collect", "--data", join(scratch, "rows.jsonl"), "--format", "cllm-json", ...few, "--out", at("t.json")],
    makes: ["t.json"],
  },
  eval: {
    args: ["eval", "custom", "--data", join(scratch, "questions.jsonl"), ...few, "--out", at("evaluation")],
    makes: [
      "evaluation",
      "evaluation/answers.jsonl",
      "evaluation/passes.jsonl",
      "evaluation/report.html",
      "evaluation/report.json",
    ],
  },
  trajectory: { args: ["trajectory", "the", "--quiet", "--svg", at("t.svg")], makes: ["t.svg"] },
  calibration: { args: [join(import.meta.dirname, "tiny-calibration.mjs"), at("cache"), dist], makes: ["cache"] },
  "hub download": {
    args: ["info", "--model", REPO],
    makes: ["cache"],
    env: () => ({ CLLM_CACHE: at("cache"), HF_ENDPOINT: hub.url, HF_TOKEN: "" }),
  },
  recipe: { args: [join(import.meta.dirname, "tiny-recipe.mjs"), at("recipe"), dist], makes: ["recipe"] },
};

function begin(name: string) {
  const { args, env: more } = COMMANDS[name]!;
  const line = args[0]?.endsWith(".mjs") ? args : [main, ...args];
  const child = spawn(process.execPath, line, {
    cwd: scratch,
    env: { ...env, ...more?.() },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let text = "";
  child.stderr.on("data", (chunk) => {
    text += chunk;
  });
  return { child, exit: once(child, "close"), text: () => text };
}

async function toTheEnd(name: string): Promise<number> {
  const start = performance.now();
  const { exit, text } = begin(name);
  const [code] = await exit;
  if (!/exists already: delete it/.test(text())) expect(code, text()).toBe(0); // JSON says nothing of its settings
  return performance.now() - start;
}

const entries = (): string[] =>
  existsSync(work) ? readdirSync(work, { recursive: true }).map((entry) => String(entry).replaceAll("\\", "/")) : [];

const isHalf = (entry: string): boolean => /\.(incomplete|replaced|claim|lock)$/.test(entry);
const isDone = (name: string): boolean => {
  const last: Readonly<Record<string, RegExp>> = {
    train: /^run\/final$/,
    recipe: /^recipe\/cllm$/,
    eval: /report\.html$/,
    calibration: /calibration\/[0-9a-f]+\.json$/,
    "hub download": /snapshots\/.*\/model\.safetensors$/,
  };
  const made = last[name] ?? /^t\.[a-z]+$/;
  return entries().filter((entry) => made.test(entry)).length >= (name === "calibration" ? 30 : 1);
};

describe("killed and then run to its end, leaves nothing beside what it makes:", () => {
  test.each(Object.keys(COMMANDS))("%s", { timeout: 60_000 + KILLS * 30_000 }, async (name) => {
    rmSync(work, { recursive: true, force: true });
    mkdirSync(work);
    const { makes, read } = COMMANDS[name]!;
    const wholeMs = await toTheEnd(name);
    let [kills, leftBehind] = [0, 0];
    while (kills < KILLS) {
      if (read === undefined && isDone(name)) {
        await toTheEnd(name);
        expect(entries().filter(isHalf)).toEqual([]);
        rmSync(work, { recursive: true, force: true }); // or it would have nothing to do
        mkdirSync(work);
      }
      const { child, exit } = begin(name);
      const timer = setTimeout(() => child.kill("SIGKILL"), wholeMs * (0.3 + 0.75 * Math.random()));
      const [, signal] = await exit;
      clearTimeout(timer);
      if (signal !== "SIGKILL") continue;
      kills++;
      if (entries().some(isHalf)) leftBehind++;
      await read?.();
    }
    await toTheEnd(name);
    const left = entries().filter(isHalf);
    if (process.env["CLLM_KILLS"])
      console.log(name, { kills, killsThatLeftSomething: leftBehind, leftAfterWholeRun: left.length });
    expect(left).toEqual([]);
    const inside = new RegExp(
      `^(${["hf", "onnx", "adapter", "run/best", "run/final", "run/checkpoints/[^/]+", "recipe", "cache"].join("|")})/`,
    );
    expect(
      entries()
        .filter((entry) => !inside.test(entry))
        .sort(),
    ).toEqual([...makes]);
  });
});
