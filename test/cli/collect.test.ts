/** `cllm collect` as its users run it: in a process of its own, on a tiny real checkpoint. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ownOwner } from "../../src/files/owner.ts";
import { load } from "../../src/generate/load.ts";
import { readOriginalJson } from "../../src/trajectory/original-json.ts";
import { readTrajectories } from "../../src/trajectory/store.ts";
import { builtCommand } from "./command.ts";

const { main, scratch, model, env, run } = builtCommand();
const collect = (...args: readonly string[]) => run("collect", ...args);

const rows = ["the sun", "an owl", "one more", "the river"].map((question, i) => ({ question, answer: `answer ${i}` }));
const data = join(scratch, "faq.jsonl");
writeFileSync(data, rows.map((row) => JSON.stringify(row)).join("\n"));
const settings = ["--data", data, "--prompt-field", "question", "--answer-field", "answer", "--block-size", "8"];
const limits = ["--max-new-tokens", "20", "--precision", "fp32", "--threads", "1", "--no-clean", "--raw"];

describe("a collection", () => {
  const out = join(scratch, "faq.parquet");

  test("writes a file that says what it is, and a report", async () => {
    const { status, stdout, stderr } = collect(...settings, ...limits, "--out", out, "--no-augment");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^tiny, fp32, faq\.jsonl, seed 0\n\nprompts +4\nkept +4\n/);
    expect(stdout).toMatch(/fast-forwarded tokens per iteration +\d/);
    expect(stdout).toContain(`wrote ${out}`);
    const file = await readTrajectories(out);
    expect(file.settings).toMatchObject({
      data: "faq.jsonl",
      blockSize: 8,
      maxNewTokens: 20,
      augment: false,
      clean: false,
    });
    await using loaded = await load(model, { precision: "fp32", threads: 1 });
    expect(file.completions.length).toBe(rows.length);
    for (const [i, { promptIds, completionIds, labelIds }] of file.completions.entries()) {
      const { question: prompt, answer } = rows[i]!;
      expect(promptIds).toEqual(loaded.promptIds({ prompt }));
      const { tokens } = await loaded.generate({ prompt, maxNewTokens: 20, decoder: "ar" });
      expect([...completionIds]).toEqual([...tokens]);
      expect(loaded.tokenizer.decode(labelIds!, { skipSpecialTokens: true })).toBe(answer);
    }
    const again = collect(...settings, ...limits, "--out", out, "--no-augment", "--json");
    expect(JSON.parse(again.stdout)).toMatchObject({ output: out, prompts: 4, kept: 4, model: { name: "tiny" } });
  });

  test("of the same, in the original's JSON", async () => {
    const json = join(scratch, "faq.json");
    expect(collect(...settings, ...limits, "--out", json, "--format", "cllm-json", "--no-augment").status).toBe(0);
    const { completions } = await readOriginalJson(json);
    expect(completions).toEqual((await readTrajectories(out)).completions);
  });

  test("of prompts from a template over fields, which is not the name of a chat template", async () => {
    const own = join(scratch, "template.parquet");
    const source = ["--data", data, "--template", "Q: {question}"];
    expect(collect(...source, ...limits, "--block-size", "8", "--out", own)).toMatchObject({ status: 0, stderr: "" });
    await using loaded = await load(model, { precision: "fp32", threads: 1 });
    const { completions } = await readTrajectories(own);
    expect(completions[0]!.promptIds).toEqual(loaded.promptIds({ prompt: "Q: the sun" }));
    const named = collect(...settings, ...limits, "--chat-template", "rag", "--out", join(scratch, "rag.parquet"));
    expect(named).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/has one chat template, which has no name/),
    });
  });

  test("of a conversation per row, through the chat template, and only the first rows", async () => {
    const chat = join(scratch, "chat.jsonl");
    const turns = [
      { from: "human", value: "the" },
      { from: "gpt", value: "and" },
    ];
    writeFileSync(
      chat,
      Array(3)
        .fill(JSON.stringify({ conversations: turns }))
        .join("\n"),
    );
    const own = join(scratch, "chat.parquet");
    const { stdout, status } = collect("--data", chat, "--limit", "2", "--max-new-tokens", "9", "--out", own, "--json");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ prompts: 2, settings: { blockSize: 16, precision: "int8" } });
    await using loaded = await load(model, { threads: 1 });
    const { completions } = await readTrajectories(own);
    for (const { promptIds } of completions)
      expect(promptIds).toEqual(loaded.promptIds({ messages: [{ role: "user", content: "the" }] }));
  });
});

test("Ctrl-C leaves a journal, says so, and the same command goes on to the same bytes", async () => {
  const many = join(scratch, "many.jsonl");
  writeFileSync(many, Array.from({ length: 40 }, (_, i) => JSON.stringify({ prompt: `the ${i} owls` })).join("\n"));
  const args = ["--data", many, "--max-new-tokens", "100", "--precision", "fp32", "--threads", "1", "--out"];
  const whole = join(scratch, "whole.parquet");
  expect(collect(...args, whole).status).toBe(0);

  const out = join(scratch, "many.parquet");
  const child = spawn(process.execPath, [main, "collect", ...args, out], { env, cwd: scratch });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const exit = once(child, "exit");
  while (!existsSync(`${out}.journal`) || readFileSync(`${out}.journal`).length < 3000) {
    await new Promise((done) => setTimeout(done, 5));
    if (child.exitCode !== null) break;
  }
  child.kill("SIGINT");
  expect(await exit).toEqual([130, null]);
  expect(stderr).toMatch(/stopped: \d+ of 40 prompts are in .*many\.parquet\.journal; run the same command again/);
  expect(existsSync(out)).toBe(false);

  writeFileSync(`${out}.lock`, JSON.stringify({ cllm: 1, ...ownOwner(), host: "here", token: "0".repeat(16) }));
  const both = collect(...args, out);
  expect(both.stderr).toMatch(/error\[usage\]: another run is writing .*many\.parquet: process \d+; wait for it/);
  rmSync(`${out}.lock`);

  const other = collect(...args, out, "--seed", "1");
  expect(other.stderr).toMatch(
    /error\[usage\]: .*journal is the unfinished work of a run with other settings \(seed is 0/,
  );
  const again = collect(...args, out);
  expect(again.stderr).toMatch(/going on with .*journal: \d+ of 40 prompts are done/);
  expect(again.status).toBe(0);
  expect(readFileSync(out).equals(readFileSync(whole))).toBe(true);
  expect(readdirSync(scratch).filter((name) => name.startsWith("many.parquet"))).toEqual(["many.parquet"]);
}, 60_000);

describe("wrong input is one error before any work", () => {
  const nowhere = join(scratch, "nowhere.parquet");
  test.each<[args: string[], status: number, message: RegExp]>([
    [["--data", data], 2, /error\[usage\]: --out is missing/],
    [["--data", data, "--out", nowhere], 1, /faq\.jsonl:1 has none of prompt, messages and conversations/],
    [
      ["--data", data, "--out", nowhere, "--prompt-field", "qestion"],
      1,
      /faq\.jsonl:1 has no qestion; did you mean question\?/,
    ],
    [[...settings, "--out", join(data, "x.parquet")], 1, /error\[disk\]: .*x\.parquet\.lock cannot be written/],
    [["--data", "gsm8kk", "--out", nowhere], 1, /did you mean the data set gsm8k\?/],
    [
      [...settings, "--out", nowhere, "--max-new-tokens", "5000"],
      1,
      /error\[context-overflow\]: prompt data_0: \d+ tokens and 5000 new/,
    ],
  ])("%j", (args, status, message) => {
    const run = collect(...args);
    expect(run.stderr).toMatch(message);
    expect(run.stderr).toMatch(/^cllm: error\[[a-z-]+\]: [^\n]+\n$/);
    expect({ status: run.status, stdout: run.stdout }).toEqual({ status, stdout: "" });
    expect(readdirSync(scratch).filter((name) => name.startsWith("nowhere"))).toEqual([]);
  });
});
