/** What `npm start` shows: the model that ships asks the demonstration's database; and a CLLM made from nothing, on a small scale. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { demonstrateTraining } from "../../src/cli/demo/training.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import { createTerminal } from "../../src/cli/terminal.ts";
import { ONE_DATABASE } from "../../src/recipes/one-database.ts";
import { DEMONSTRATION_QUESTIONS } from "../../src/tasks/text-to-sql/demonstration.ts";
import { builtCommand } from "./command.ts";

const command = builtCommand();

interface Report {
  readonly questions: readonly { question: string; sql: string; right: boolean | null; result: { ok: boolean } }[];
  readonly decoders: readonly { name: string; tokensPerForward: number; mismatches: number }[];
}

describe("the model that ships", () => {
  const { status, stdout, stderr } = command.run("demo", "--json");
  test("answers with queries that run, several tokens a pass, and the same ones in every decoder", () => {
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const { questions, decoders } = JSON.parse(stdout) as Report;
    expect(questions.map(({ question }) => question)).toEqual(DEMONSTRATION_QUESTIONS.map(({ question }) => question));
    expect(questions.filter(({ result }) => result.ok).length).toBeGreaterThan(questions.length / 2);
    expect(questions.filter(({ right }) => right).length).toBeGreaterThan(questions.length / 2);
    expect(decoders.map(({ name, mismatches }) => `${name} ${mismatches}`)).toEqual(["ar 0", "jacobi 0", "auto 0"]);
    const [ar, jacobi] = decoders;
    expect(ar?.tokensPerForward).toBe(1);
    expect(jacobi?.tokensPerForward).toBeGreaterThan(2);
  });

  test("shows each question with its passes, its rows and, last, the table", () => {
    const shown = command.run(
      "demo",
      "--question",
      "How many concerts are there?",
      "--question",
      "List the name of all clubs.",
    );
    expect(shown.status).toBe(0);
    expect(shown.stdout.match(/^> .*/gm)).toEqual(["> How many concerts are there?", "> List the name of all clubs."]);
    expect(shown.stdout).toMatch(/^ {2}AR {4}SELECT COUNT\(\*\) FROM concert {2}\d+ pass(es)?/m);
    expect(shown.stdout).toMatch(/^ {2}CLLM {2}SELECT.* {2}\d+ pass(es)?, .*x$/m);
    expect(shown.stdout).toMatch(/^ {8}COUNT\(\*\)\n {8}12$/m);
    expect(shown.stdout).toContain("bars: between passes");
    expect(shown.stdout.trim().split("\n").at(-1)).toMatch(/^auto .* 0$/);
  });

  test.each([
    [["--train", "--question", "x"], /--train asks its own questions; leave --question away/],
    [["--model", command.model, "--question", "x"], /--question is for the model that comes with cllm/],
    [["--model", command.model, "--train"], /--train is for the model that comes with cllm/],
    [["--question", ""], /--question/],
  ])("refuses %j", (flags, message) => {
    const refused = command.run("demo", ...flags);
    expect(refused.stderr).toMatch(message);
    expect(refused.status).toBe(2);
  });
});

test("a CLLM from nothing ends with target and CLLM side by side", async () => {
  const folder = join(command.scratch, "made");
  const written: string[] = [];
  const terminal: Terminal = {
    ...createTerminal({ json: false, quiet: true, color: false }, new AbortController().signal),
    write: (text) => void written.push(text),
  };
  const common = {
    ...{ cache: false, cacheLimit: 0 },
    model: undefined,
    json: false,
    quiet: true,
    verbose: false,
    color: false,
    precision: "fp32",
    dtype: undefined,
    device: "cpu",
  } as const;
  const open = {
    threads: 1,
    offline: true,
    revision: undefined,
    cacheDir: join(command.scratch, "cache"),
    adapter: undefined,
    draftAdapter: undefined,
    template: undefined,
    templateOptions: undefined,
    contextLength: undefined,
  };
  const scale = {
    ...{ ...ONE_DATABASE, vocabSize: 320, hiddenSize: 32, layers: 1, heads: 2, kvHeads: 1, intermediateSize: 48 },
    ...{ collected: 4, clean: false },
    ar: { ...ONE_DATABASE.ar, steps: 3, batch: 1 },
    consistency: { ...ONE_DATABASE.consistency, steps: 2, batch: 1, pointsPerExample: 1 },
  };
  await demonstrateTraining({ ...common, ...open }, folder, terminal, { scale, count: 2 });
  expect(existsSync(join(folder, "cllm", "model.safetensors"))).toBe(true);
  const shown = written.join("");
  expect(shown).toMatch(/^target, one by one +\d of 2 /m);
  expect(shown).toMatch(/^CLLM +\d of 2 .* 0$/m);
  expect(shown).toContain(join(folder, "cllm"));
});
