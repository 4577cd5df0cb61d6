/**
 * What a newcomer types first: every example that the help prints is understood, and those that need nothing
 * but the package run as they are printed, in an empty folder, from a package outside the checkout.
 */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { allCommands } from "../../src/cli/commands.ts";
import { runProgram } from "../../src/cli/program.ts";

const commands = await allCommands();

const root = fileURLToPath(new URL("../..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "cllm-newcomer-"));
const empty = join(scratch, "empty");
const { CLLM_MODEL: _model, CLLM_MODELS: _models, ...own } = process.env;
const env = {
  ...own,
  HOME: scratch,
  PATH: `${join(scratch, "bin")}:${process.env["PATH"]}`,
  CLLM_CACHE: join(scratch, "cache"),
  HF_HUB_OFFLINE: "1",
  NO_COLOR: "1",
};

beforeAll(() => {
  const installed = join(scratch, "node_modules", "cllm");
  for (const part of ["dist", "models", "package.json"])
    cpSync(join(root, part), join(installed, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(installed, "node_modules"));
  for (const folder of [empty, join(scratch, "bin")]) mkdirSync(folder);
  for (const name of ["cllm", "npx"]) {
    const skipped = name === "npx" ? "shift; " : "";
    const line = `#!/bin/sh\n${skipped}exec "${process.execPath}" "${join(installed, "dist/cli/main.js")}" "$@"\n`;
    writeFileSync(join(scratch, "bin", name), line, { mode: 0o755 });
  }
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A line in a shell, in the empty folder. */
const sh = (line: string): SpawnSyncReturns<string> =>
  spawnSync("bash", ["-c", line], { encoding: "utf8", env, cwd: empty, input: "" });

const examplesIn = (help: string): string[] =>
  help
    .slice(help.indexOf("\nExamples:"))
    .split("\n")
    .filter((line) => /^ {2}\S/.test(line))
    .map((line) => line.trim());

/** The words of the `cllm` in a line, as a shell would split it. */
function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
    word.replaceAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ""),
  );
  const from = words.indexOf("cllm") + 1;
  const end = words.findIndex((word, i) => i >= from && /^([|&;#]|>>?)/.test(word));
  return words.slice(from, end < 0 ? undefined : end);
}

/** Which command the line means, where its settings are good; else its error. */
async function understood(line: string): Promise<string> {
  let meant = "";
  const inert = commands.map((command) => ({
    ...command,
    async run() {
      meant = command.name;
    },
  }));
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    meant += String(text);
    return true;
  });
  try {
    await runProgram(wordsOf(line), inert, "0.0.0", new AbortController().signal);
  } finally {
    stderr.mockRestore();
  }
  return meant;
}

describe.skipIf(process.platform === "win32")("the help's examples", () => {
  test.each(["", ...commands.map(({ name }) => name)])("of cllm %s are understood", async (name) => {
    const examples = examplesIn(sh(`cllm ${name} --help`).stdout);
    expect(examples.length).toBeGreaterThan(0);
    for (const line of examples) {
      expect(line).toMatch(/\bcllm /);
      const [command] = wordsOf(line);
      expect(commands.map((each) => each.name)).toContain(command);
      if (name !== "") expect(command).toBe(name);
      expect(await understood(line), line).toBe(command);
    }
  });

  test.each(["", "generate", "bench", "info", "trajectory", "export", "demo", "cache", "completion"])(
    "the first of cllm %s runs in an empty folder",
    (name) => {
      const [line] = examplesIn(sh(`cllm ${name} --help`).stdout);
      const { status, stdout, stderr } = sh(line!);
      expect({ line, status, stderr }).toMatchObject({ status: 0 });
      if (!/>|export/.test(line!)) expect(stdout.trim()).not.toBe("");
      if (!/demo|cache|completion/.test(line!))
        expect(stderr).toMatch(/^no model named: this is text-to-sql.*--model \S+/);
    },
  );

  test("and its question gets its answer", () => {
    const { stdout } = sh('cllm generate "Which bands have no concerts? Show the name."');
    expect(stdout.trim()).toBe("SELECT name FROM band WHERE id NOT IN (SELECT band_id FROM concert)");
  });

  test.each(["train --data x.jsonl --out x", "collect --data x.jsonl --out x", "eval custom --data x --out x"])(
    "cllm %s does not work on a demonstration, and says what to add",
    (line) => {
      writeFileSync(join(empty, "x.jsonl"), '{"prompt": "a", "answer": "b"}\n');
      const { status, stderr } = sh(`cllm ${line}`);
      expect(stderr).toMatch(/^cllm: error\[usage\]: no model; give --model .*--model \S+\/\S+ is a small general one/);
      expect(status).toBe(2);
    },
  );

  test("CLLM_MODEL names a model, before CLLM_MODELS", () => {
    expect(sh("CLLM_MODEL=nobody/nothing CLLM_MODELS=. cllm info").stderr).toMatch(/nobody\/nothing/);
    expect(sh(`CLLM_MODEL=${join(scratch, "node_modules/cllm/models/text-to-sql")} cllm info`).stderr).toBe("");
  });
});
