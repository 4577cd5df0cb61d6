/** What commands read from people: every encoding means the same, and what would wait for ever is refused. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { builtCommand } from "./command.ts";

const { main, scratch, model, env, run } = builtCommand();
const few = ["--max-new-tokens", "4", "--decoder", "ar"];
const file = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(scratch, name), content);
  return name;
};
const utf16 = (text: string): Buffer => Buffer.from(`\uFEFF${text}`, "utf16le");

describe("a prompt", () => {
  test("means the same in every encoding, from a file, a pipe and what the shell opens", () => {
    const text = "the théing\n";
    const expected = run("generate", "the théing", ...few).stdout;
    expect(expected).not.toBe("");
    const contents = [text, `\uFEFF${text}`, utf16(text), utf16(text).swap16()];
    for (const [index, content] of contents.entries()) {
      const path = file(`prompt-${index}`, content);
      expect(run("generate", "--file", path, ...few)).toMatchObject({ status: 0, stdout: expected });
      const options = { encoding: "utf8", env, cwd: scratch, input: content } as const;
      for (const name of ["-", "/dev/stdin"]) {
        const { stdout } = spawnSync(process.execPath, [main, "generate", "--file", name, ...few], options);
        expect(stdout).toBe(expected);
      }
    }
    if (spawnSync("bash", ["-c", "cat <(echo)"]).status !== 0) return;
    const line = `"${process.execPath}" "${main}" generate ${few.join(" ")} --file <(cat prompt-0)`;
    expect(spawnSync("bash", ["-c", line], { encoding: "utf8", env, cwd: scratch }).stdout).toBe(expected);
  });

  test("that is no text is one error", () => {
    const path = file("latin1", Buffer.from("caf\xe9", "latin1"));
    const { status, stdout, stderr } = run("generate", "--file", path, ...few);
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/error\[bad-file\]: latin1 is not text \(byte 3 is not UTF-8\); save it as UTF-8/);
  });
});

test("conversations, lists of prompts, data and configurations may have a byte-order mark or be UTF-16", () => {
  for (const encode of [(text: string) => Buffer.from(`\uFEFF${text}`), utf16]) {
    const messages = file("messages", encode('[{"role": "user", "content": "the"}]'));
    expect(run("generate", "--messages", messages, ...few).status).toBe(0);
    const config = file("config", encode('{"maxNewTokens": 2}'));
    expect(run("generate", "the", "--config", config, "--json").stdout).toMatch(/"newTokens":2/);
    const prompts = file("prompts", encode('{"prompt": "the"}\r\n'));
    expect(run("bench", "--prompts", prompts, "-n", "2", "--decoders", "jacobi", "--quiet").status).toBe(0);
    expect(
      run("collect", "--data", prompts, "--max-new-tokens", "2", "--out", `${prompts}.parquet`, "--quiet").status,
    ).toBe(0);
    execFileSync("rm", [join(scratch, "prompts.parquet")]);
  }
});

describe("raw failures are errors of ours", () => {
  test.each<[what: string, args: () => string[], message: RegExp]>([
    [
      "a nested configuration",
      () => ["generate", "x", "--config", file("deep", "[".repeat(1e6))],
      /error\[usage\]: .*levels deep/,
    ],
    [
      "nested messages",
      () => ["generate", "--messages", file("deep", `${"[".repeat(5e6)}${"]".repeat(5e6)}`)],
      /error\[bad-input\]: .*levels deep/,
    ],
    [
      "nested data",
      () => ["collect", "--out", "x", "--data", file("deep", `{"prompt": ${"[".repeat(5e6)}${"]".repeat(5e6)}}`)],
      /error\[bad-input\]: .*levels deep/,
    ],
  ])("%s", (_, args, message) => {
    const { status, stderr } = run(...args());
    expect(status).toBeGreaterThan(0);
    expect(stderr).toMatch(message);
  });

  test("a line of 600 MB", { timeout: 120_000 }, () => {
    const path = file("endless", '{"prompt": "');
    for (let i = 0; i < 600; i++) appendFileSync(join(scratch, path), Buffer.alloc(1 << 20, "x"));
    const { status, stderr } = run("collect", "--out", "x", "--data", path);
    execFileSync("rm", [join(scratch, path)]);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^cllm: error\[bad-file\]: endless:1 has over 268435456 characters; give one record a line\n$/,
    );
  });
});

describe.skipIf(process.platform === "win32")("a pipe in a file's place is refused at once", () => {
  const pipe = "a-pipe";
  test.each<[what: string, args: () => string[]]>([
    ["data", () => ["collect", "--data", pipe, "--out", "x"]],
    ["trajectories", () => ["train", "--trajectories", pipe, "--out", "x"]],
    ["prompt", () => ["generate", "--file", pipe]],
    ["prompts", () => ["bench", "--prompts", pipe]],
    ["configuration", () => ["generate", "x", "--config", pipe]],
    ["model", () => ["info", "--model", "pipe.gguf"]],
    ["tokenizer", () => ["generate", "x", "--model", "piped"]],
    ["adapter", () => ["generate", "x", "--adapter", "piped-adapter"]],
    ["questions", () => ["eval", "custom", "--data", pipe, "--out", "x"]],
  ])("%s", async (_, args) => {
    for (const path of [pipe, "pipe.gguf", "piped/tokenizer.json", "piped-adapter/adapter_config.json"]) {
      mkdirSync(join(scratch, path, ".."), { recursive: true });
      spawnSync("mkfifo", [join(scratch, path)]);
    }
    spawnSync("cp", ["-n", join(model, "config.json"), join(model, "model.safetensors"), join(scratch, "piped")]);
    const child = spawn(process.execPath, [main, ...args()], {
      env,
      cwd: scratch,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let text = "";
    child.stderr.on("data", (chunk) => {
      text += chunk;
    });
    const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
    const [code] = await once(child, "close");
    clearTimeout(late);
    expect(code).toBeGreaterThan(0);
    expect(text).toMatch(/is a pipe where a file is expected; write what comes from it to a file first/);
  });
});
