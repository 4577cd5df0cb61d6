/** `cllm chat`: lines become messages, slashes become commands, Ctrl-C stops answers; and the command over a pipe. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createLineJoiner, openChatInput } from "../../src/cli/chat/input.ts";
import { completions, runSlash } from "../../src/cli/chat/slash.ts";
import { allMessages, type Talk } from "../../src/cli/chat/talk.ts";
import { builtCommand } from "./command.ts";

const { main, scratch, model, env } = builtCommand();
const talk = (): Talk => ({
  system: "Be brief.",
  messages: [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello." },
  ],
  decoder: "auto",
});

describe("lines", () => {
  const messages = (lines: readonly string[]): string[] => {
    const joined = createLineJoiner();
    const all = lines.map((line) => joined.push(line));
    return [...all, joined.end()].filter((message) => message !== null);
  };

  test("are messages, unless a backslash or quotes hold them together", () => {
    expect(messages(["a", "b"])).toEqual(["a", "b"]);
    expect(messages(["a\\", "b", "c"])).toEqual(["a\nb", "c"]);
    expect(messages(['"""', "a", "", "b", '"""', "c"])).toEqual(["a\n\nb", "c"]);
    expect(messages(['"""a', 'b"""', 'say """'])).toEqual(["a\nb", 'say """']);
    expect(messages(['"""', "never closed\\"])).toEqual(["never closed\\"]);
  });

  test("between quotes come as they are", () => {
    const line = fc.string().filter((text) => !text.trimEnd().endsWith('"""') && text !== "");
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), (lines) => {
        expect(messages(['"""', ...lines, '"""'])).toEqual([lines.join("\n")]);
      }),
    );
  });
});

describe("a terminal", () => {
  function terminal() {
    const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} });
    const output = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
    let shown = "";
    output.on("data", (chunk: Buffer) => {
      shown += chunk.toString();
    });
    const stop = new AbortController();
    const options = { prompts: ["> ", ". "] as const, complete: completions, signal: stop.signal };
    return { stdin, input: openChatInput({ stdin, output, ...options }), shown: () => shown, stop };
  }
  const soon = () => new Promise((resolve) => setTimeout(resolve, 20));

  test("Ctrl-C drops a line that has a text, and is an event where there is none; Ctrl-D ends", async () => {
    const { stdin, input } = terminal();
    const first = input.read();
    stdin.write("half a line\x03whole\r");
    expect(await first).toEqual({ message: "whole" });
    const second = input.read();
    stdin.write("\x03");
    expect(await second).toEqual({ interrupt: true });
    const third = input.read();
    stdin.write("\x04");
    expect(await third).toBe(null);
  });

  test("while an answer is written, Ctrl-C stops it, nothing is echoed, and lines wait for their turn", async () => {
    const { stdin, input, shown } = terminal();
    let stopped = 0;
    const ready = input.busy(() => stopped++);
    stdin.write("next\r\x03");
    await soon();
    expect([stopped, shown()]).toEqual([1, ""]);
    ready();
    expect(await input.read()).toEqual({ message: "next" });
    await input[Symbol.asyncDispose]();
  });

  test("the end of the program ends it", async () => {
    const { input, stop } = terminal();
    const next = input.read();
    stop.abort();
    expect(await next).toBe(null);
  });
});

describe("commands", () => {
  test("change the conversation", async () => {
    const now = talk();
    expect(await runSlash("/system Be kind.\nAlways.", now)).toEqual({ lines: ["system: Be kind.\nAlways."] });
    expect(await runSlash("/decoder jacobi", now)).toEqual({ lines: ["decoder: jacobi"] });
    expect(await runSlash("/retry", now)).toEqual({ again: true });
    expect(now.messages).toEqual([{ role: "user", content: "Hi" }]);
    await runSlash("/clear", now);
    await runSlash("/system -", now);
    expect(now).toEqual({ system: null, messages: [], decoder: "jacobi" });
    expect(await runSlash("/exit", now)).toEqual({ quit: true });
    expect((await runSlash("/help", now)).lines!.join()).toContain("/decoder [name]");
  });

  test("save and load give the same conversation", async () => {
    const file = join(scratch, "talk.json");
    await runSlash(`/save ${file}`, talk());
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(allMessages(talk()));
    const other: Talk = { system: null, messages: [], decoder: "auto" };
    expect(await runSlash(`/load ${file}`, other)).toEqual({ lines: [`2 messages from ${file}`] });
    expect(other).toEqual(talk());
  });

  test.each([
    ["/hlep", /there is no \/hlep; did you mean \/help\?/],
    ["/decoder jacoby", /no decoder jacoby; did you mean jacobi\?/],
    ["/save", /\/save needs a file/],
    ["/load none.json", /none\.json/],
    ["/clear all", /\/clear takes nothing/],
  ])("%s is an error that says what to do", async (line, message) => {
    await expect(runSlash(line, talk())).rejects.toThrow(message);
  });

  test("are completed", () => {
    expect(completions("/de")).toContain("/decoder ");
    expect(completions("/decoder j")).toEqual(["/decoder jacobi"]);
    expect(completions("de")).toEqual([]);
  });
});

describe("over a pipe", () => {
  const run = (input: string, ...args: string[]) =>
    spawnSync(process.execPath, [main, "chat", "-n", "6", ...args], { encoding: "utf8", env, cwd: scratch, input });

  test("each line is answered, with figures on standard error; the second prompt is cached", () => {
    const { status, stdout, stderr } = run("Hi\nAnd\\\nyou?\n/save out.json\n", "--system", "Be brief.");
    expect(status).toBe(0);
    const saved = JSON.parse(readFileSync(join(scratch, "out.json"), "utf8")) as { role: string; content: string }[];
    expect(saved.map(({ role }) => role)).toEqual(["system", "user", "assistant", "user", "assistant"]);
    expect([saved[0]!.content, saved[3]!.content]).toEqual(["Be brief.", "And\nyou?"]);
    for (const i of [2, 4]) expect(stdout).toContain(saved[i]!.content);
    const lines = stderr.split("\n").filter((line) => line.includes(" per pass · "));
    expect(lines).toHaveLength(2);
    expect(Number(/(\d+) cached/.exec(lines[1]!)![1])).toBeGreaterThan(20);
    expect(existsSync(join(scratch, "out.json"))).toBe(true);
  });

  test("--json gives one object for each answer, and --load goes on", () => {
    const { status, stdout } = run("Hi\nYou?\n", "--json", "--load", "out.json");
    expect(status).toBe(0);
    const answers = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { text: string; stats: object });
    expect(answers).toHaveLength(2);
    expect(answers[0]).toMatchObject({ finishReason: expect.any(String), stats: { promptTokens: expect.any(Number) } });
  });

  test("what is wrong ends it with an error", () => {
    const { status, stderr } = run("/hlep\n");
    expect([status, stderr]).toEqual([2, expect.stringContaining("did you mean /help?")]);
    expect(run("Hi\n", "--load", "none.json").status).toBe(1);
    expect(model).toContain("tiny");
  });
});
