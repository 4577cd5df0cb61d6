/** `cllm ngrams` as its users run it: from answers of either kind to a file that makes drafts from the first request on. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { builtCommand } from "./command.ts";

const { scratch, run, model } = builtCommand();
const prompt = "the owl and the river";
const written = (file: string, lines: readonly object[]): string => {
  writeFileSync(join(scratch, file), lines.map((line) => JSON.stringify(line)).join("\n"));
  return file;
};
const generate = ["generate", prompt, "--raw", "--max-new-tokens", "48", "--ignore-eos", "--json", "--threads", "1"];

test("answers of collect, and texts, are counted; what is drafted from them takes fewer passes for the same text", () => {
  const prompts = written("prompts.jsonl", [{ prompt }]);
  const collected = run(
    ...["collect", "--data", prompts, "--raw", "--no-clean", "--max-new-tokens", "48", "--block-size", "8"],
    ...["--threads", "1", "--precision", "int8", "--out", "answers.parquet"],
  );
  expect(collected).toMatchObject({ status: 0 });
  const counted = run("ngrams", "-t", "answers.parquet", "--least", "1", "-o", "known", "--json");
  const { answers, tokens, ngrams, bytes } = JSON.parse(counted.stdout);
  expect([answers, tokens > 0, bytes]).toEqual([1, true, 16 * ngrams]);

  const alone = JSON.parse(run(...generate, "--decoder", "ar").stdout);
  const knowing = JSON.parse(run(...generate, "--decoder", "suffix", "--ngrams", "known").stdout);
  expect(knowing.text).toBe(alone.text);
  expect(knowing.stats.forwards).toBeLessThan(alone.stats.forwards);

  const log = written("log.jsonl", [{ q: prompt, a: "the owl and the cat and the owl and the cat" }]);
  const texts = ["ngrams", "--data", log, "--raw", "--prompt-field", "q", "--answer-field", "a", "-o", "texts"];
  const said = run(...texts);
  expect(said.stdout).toMatch(/^1 answers, \d+ tokens: \d+ n-grams, .*\nwrote texts\/ngrams\.safetensors\n$/);
  const less = run(...texts, "--megabytes", "0.001", "--least", "1");
  expect(less.stderr).toMatch(/left out what was followed fewer than \d times, to stay below 0\.001 MB/);
}, 60_000);

test("what is wrong is said with what to do, and nothing is written", () => {
  const refused = (...args: readonly string[]): string => {
    const { status, stderr } = run("ngrams", "-o", "refused", ...args);
    expect(status).not.toBe(0);
    expect(existsSync(join(scratch, "refused"))).toBe(false);
    return stderr;
  };
  expect(refused()).toMatch(/give --trajectories, files of cllm collect, or --data with answers/);
  const unanswered = written("unanswered.jsonl", [{ prompt }]);
  expect(refused("--data", unanswered, "--model", model)).toMatch(/has no answer; name its field with --answer-field/);
  const short = written("short.jsonl", [{ prompt, answer: "the owl" }]);
  expect(refused("--data", short, "--raw", "--answer-field", "answer")).toMatch(/no n-gram was followed 2 times/);
  expect(refused("-t", "none.parquet")).toMatch(/none\.parquet does not exist/);
  expect(refused("--prompt-field", "q", "-t", "none.parquet")).toMatch(/it is for --data/);
});
