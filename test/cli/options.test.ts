/** An option does what it says, or is an error: for every command, whatever it is told. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type Command, commonFields, modelFields } from "../../src/cli/command.ts";
import { defineCompletion } from "../../src/cli/commands/completion.ts";
import { type AnyFields, flagOf, readField } from "../../src/cli/flags.ts";
import { runProgram } from "../../src/cli/program.ts";
import { unusedSettings } from "../../src/train/settings.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-options-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const folder = new URL("../../src/cli/commands/", import.meta.url);
const isCommand = (value: unknown): value is Command =>
  typeof value === "object" && value !== null && "fields" in value && "run" in value;
const files = readdirSync(fileURLToPath(folder)).filter((file) => file.endsWith(".ts"));
const modules = await Promise.all(
  files.map((file) => import(new URL(file, folder).href) as Promise<Record<string, unknown>>),
);
const library = modules.flatMap((module) => Object.values(module).filter(isCommand));
const commands: readonly Command[] = [...library, defineCompletion(library)];
const byName = (name: string): Command => commands.find((command) => command.name === name)!;

/** What a command line says where it must not run, and the settings that it would run with. */
async function tryOut(args: readonly string[]) {
  let settings: Record<string, unknown> | null = null;
  const run = async (given: unknown) => {
    settings = given as Record<string, unknown>;
  };
  const written: string[] = [];
  const { stderr, stdout } = process;
  const [error, out] = [stderr.write, stdout.write];
  const keep = ((text: string) => written.push(String(text)) > 0) as typeof stderr.write;
  Object.assign(stderr, { write: keep });
  Object.assign(stdout, { write: keep });
  try {
    const doing = commands.map((command) => ({ ...command, run }));
    const code = await runProgram(args, doing, "0", new AbortController().signal);
    return { code, said: written.join(""), settings: settings as Record<string, unknown> | null };
  } finally {
    Object.assign(stderr, { write: error });
    Object.assign(stdout, { write: out });
  }
}

const options: AnyFields = modelFields;

/** A value that a field takes. */
function sampleOf(key: string): string[] {
  const { type, choices } = readField(options[key]!);
  if (type === "record") return ["a=b"];
  return type === "boolean" ? [] : [choices[0] ?? (type === "number" ? "1" : "x")];
}

test("there are as many commands as files", () => {
  expect(commands).toHaveLength(files.length);
});

const foreign = commands.flatMap((command) =>
  Object.keys(modelFields)
    .filter((key) => !Object.hasOwn(command.fields, key))
    .map((key) => [command.name, key] as const),
);

describe("an option of others", () => {
  test("is there: train has no --precision and no --draft-adapter, info and export compile nothing", () => {
    const has = (name: string) => Object.keys(modelFields).filter((key) => Object.hasOwn(byName(name).fields, key));
    expect(has("train")).toEqual(expect.not.arrayContaining(["draftAdapter", "precision"]));
    for (const name of ["info", "export"])
      expect(has(name)).toEqual(expect.not.arrayContaining(["precision", "threads"]));
    expect(has("completion")).toEqual([]);
  });

  test.each(foreign)("%s refuses %s, wherever it stands, and neither shows nor completes it", async (name, key) => {
    const flag = flagOf(key, options[key]!);
    const [value] = sampleOf(key);
    const config = join(scratch, `${key}.json`);
    writeFileSync(config, JSON.stringify({ [key]: value ?? true }));
    for (const args of [
      [name, flag, ...sampleOf(key)],
      [flag, ...sampleOf(key), name],
      [name, "--config", config],
    ]) {
      const { code, said, settings } = await tryOut(args);
      expect(said).toMatch(new RegExp(`^cllm: error\\[usage\\]: cllm ${name} does not use ${flag}[;:].* omit it\n$`));
      expect({ code, settings }).toEqual({ code: 2, settings: null });
    }
    const help = await tryOut([name, "--help"]);
    expect(help.said).not.toMatch(new RegExp(`^ +(-\\w, )?${flag}\\b`, "m"));
  });
});

test("what every command understands is in every help", async () => {
  for (const { name } of commands) {
    const { said } = await tryOut([name, "--help"]);
    for (const [key, schema] of Object.entries(commonFields)) expect(said).toContain(flagOf(key, schema as never));
  }
});

describe("an option without a use here", () => {
  const train = ["--out", "run", "--data", "faq.jsonl"];
  test.each<[name: string, args: string[], flag: string]>([
    ["train", [...train, "--refinements", "2"], "--refinements"],
    ["train", [...train, "--objective", "ar", "--points-per-example", "4"], "--points-per-example"],
    ["train", [...train, "--lora-alpha", "16"], "--lora-alpha"],
    ["train", [...train, "--lora-targets", "q_proj"], "--lora-targets"],
    ["train", [...train, "--from-adapter", "a", "--lora-targets", "q_proj"], "--lora-targets"],
    ["train", [...train, "--objective", "consistency", "--consistency", "local"], "--consistency"],
    ["train", ["--out", "run", "--trajectories", "a.parquet", "--raw"], "--raw"],
    ["train", ["--out", "run", "--trajectories", "a.parquet", "--answer-field", "a"], "--answer-field"],
    [
      "train",
      [
        "--out",
        "run",
        "--trajectories",
        "a",
        "--objective",
        "consistency",
        "--points",
        "stored",
        "--leading-points",
        "1",
      ],
      "--leading-points",
    ],
    ["train", [...train, "--adapter", "a"], "--adapter"],
    ["train", [...train, "--objective", "consistency", "--lossless", "--ar-weight", "2"], "--ar-weight"],
    ["train", [...train, "--held-out", "0", "--evaluate-every", "5"], "--evaluate-every"],
    ["demo", ["--train", "--precision", "int8"], "--precision"],
    ["demo", ["--out", "folder"], "--out"],
    ["generate", ["hi", "--decoder", "ar", "--block-size", "8"], "--block-size"],
    ["generate", ["hi", "--jacobi-form", "block"], "--jacobi-form"],
    ["eval", ["gsm8k", "--out", "a", "--decoders", "ar,auto", "--block-sizes", "8"], "--block-sizes"],
  ])("%s %j is an error", async (name, args, flag) => {
    const { code, said, settings } = await tryOut([name, ...args]);
    expect(said).toMatch(new RegExp(`^cllm: error\\[usage\\]: cllm ${name} does not use ${flag}: .*; omit it\n$`));
    expect({ code, settings }).toEqual({ code: 2, settings: null });
  });

  test.each<[name: string, args: string[]]>([
    ["train", [...train, "--objective", "consistency", "--refinements", "2"]],
    ["train", [...train, "--lora-rank", "4", "--lora-alpha", "16"]],
    ["train", [...train, "--from-adapter", "a", "--lora-alpha", "16"]],
    ["train", ["--out", "run", "--trajectories", "a.parquet", "--objective", "consistency", "--points", "stored"]],
    ["demo", ["--train", "--out", "folder"]],
    ["generate", ["hi", "--decoder", "jacobi", "--jacobi-form", "block", "--block-size", "8"]],
    ["eval", ["gsm8k", "--out", "a", "--decoders", "ar,auto", "--trajectories", "2", "--block-sizes", "8"]],
  ])("%s %j has one", async (name, args) => {
    expect(await tryOut([name, ...args])).toMatchObject({ code: 0, said: "" });
  });

  test("a default is nobody's slip: no command complains of what it was not given", async () => {
    for (const { name, unused } of commands) {
      if (unused === undefined) continue;
      const needed: Record<string, string[]> = {
        train,
        eval: ["gsm8k", "--out", "a"],
        generate: ["hi"],
        demo: [],
        cache: [],
        chat: [],
        ngrams: ["--out", "a", "-t", "a.parquet"],
      };
      expect(await tryOut([name, ...needed[name]!])).toMatchObject({ code: 0 });
    }
  });

  test("training's rule knows only its own settings", () => {
    const fields = new Set(Object.keys(byName("train").fields));
    for (const objective of ["ar", "consistency"] as const) {
      for (const points of ["on-policy", "stored"] as const) {
        const unused = unusedSettings({ objective, points, consistency: "local", loraRank: 0 });
        expect(Object.keys(unused).filter((key) => !fields.has(key))).toEqual([]);
      }
    }
  });
});
