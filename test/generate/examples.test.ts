/** The examples do what they say. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { main as aiSdk, inThisProcess as inOneProcess } from "../../examples/ai-sdk.ts";
import { main as chat } from "../../examples/chat.ts";
import { main as draft } from "../../examples/draft.ts";
import { main as exported } from "../../examples/export.ts";
import { main as library } from "../../examples/library.ts";
import { main as ownDecoder } from "../../examples/own-decoder.ts";
import { main as ownModel } from "../../examples/own-model.ts";
import { main as server } from "../../examples/server.ts";
import { main as trained } from "../../examples/train.ts";
import { consistentModel } from "../../src/decode/index.ts";
import { load } from "../../src/index.ts";
import { inThisProcess } from "../../src/serve/backend.ts";
import { createModels } from "../../src/serve/models.ts";
import { listen } from "../../src/serve/server.ts";
import { scriptedLanguageModel } from "./scripted-language-model.ts";
import { writeTinyCheckpoint } from "./tiny-checkpoint.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-example-"));
process.env["CLLM_CACHE"] = join(scratch, "cache"); // the example takes the default, which is the user's
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("the library's example runs on a checkpoint", async () => {
  let printed = "";
  await library(writeTinyCheckpoint(join(scratch, "tiny"), { contextLength: 512 }), (text) => {
    printed += text;
  });
  expect(printed).toMatch(/\(([1-9]\d*) of \d+ prompt tokens were cached\)/);
  expect(printed).toMatch(/tokens per pass, the same text/);
  expect(printed).toMatch(/too many; shorten the prompt or lower maxNewTokens/);
});

test("the chat streams each answer, says its statistics, and has the conversation in its cache", async () => {
  let printed = "";
  const tiny = writeTinyCheckpoint(join(scratch, "chat"), { contextLength: 512 });
  const [first, second] = await chat(tiny, ["Hello", "And then?"], (text) => {
    printed += text;
  });
  expect(printed.match(/\[\d+ tokens, [\d.]+ per pass, \d+ per second; \d+ of the prompt were cached\]/g)).toHaveLength(
    2,
  );
  expect(first!.newTokens).toBeGreaterThan(0);
  expect(second!.cachedTokens).toBeGreaterThan(first!.promptTokens - 1);
});

test("a decoder of one's own writes the model's text, in no more passes", async () => {
  const { texts, passes } = await ownDecoder(writeTinyCheckpoint(join(scratch, "own-decoder")));
  expect(texts[0]).toBe(texts[1]);
  expect(passes[0]).toBeLessThanOrEqual(passes[1]);
});

test("the AI SDK's example has one answer, whole and streamed", async () => {
  const model = scriptedLanguageModel();
  await using models = createModels([{ name: "scripted", start: async () => inThisProcess(model) }], {
    maxRunning: 1,
    maxWaiting: 4,
  });
  const server = await listen({ host: "127.0.0.1", port: 0, models });
  try {
    const { whole, streamed, tokens } = await aiSdk(`${server.url}/v1`, "scripted");
    expect(streamed).toBe(whole);
    expect(tokens).toBeGreaterThan(0);
  } finally {
    await server.drain();
  }
});

test("the AI SDK's example in one process writes what the library writes", async () => {
  const folder = writeTinyCheckpoint(join(scratch, "ai-sdk"));
  await using model = await load(folder);
  const { text } = await model.generate({
    messages: [{ role: "user", content: "Name three prime numbers." }],
    maxNewTokens: 24,
  });
  expect(await inOneProcess(folder)).toBe(text);
});

test("the example with a model of one's own decodes the same in fewer passes", async () => {
  const { same, arPasses, jacobiPasses } = await ownModel();
  expect(same).toBe(true);
  expect(jacobiPasses).toBeLessThan(arPasses);
});

test("the example with a draft of one's own writes the model's text, several tokens a pass, and closes its service", async () => {
  const { tokens, perPass, closed } = await draft();
  const model = consistentModel(1000, 0.9);
  const ids = [3, 1, 4];
  while (ids.length < 43) ids.push("next" in model ? model.next(Int32Array.from(ids)) : 0);
  expect(tokens).toEqual(ids.slice(3));
  expect(perPass).toBeGreaterThan(3);
  expect(closed).toBe(1);
});

test("the example that writes a model gives files that say the same as the model", async () => {
  const source = writeTinyCheckpoint(join(scratch, "source"));
  const { gguf, directory } = await exported(source, scratch);
  const say = async (path: string): Promise<string> => {
    await using model = await load(path, { precision: "fp32", threads: 1 });
    return (await model.generate({ prompt: "the", maxNewTokens: 12, decoder: "ar", ignoreEos: true })).text;
  };
  const said = await say(source);
  expect([await say(gguf), await say(directory)]).toEqual([said, said]);
});

test("the example that trains learns from JSON Lines, and what it writes can be loaded", async () => {
  const data = join(scratch, "faq.jsonl");
  const lines = Array.from({ length: 8 }, (_, i) =>
    JSON.stringify({ question: `what is ${i}?`, answer: "the and the" }),
  );
  writeFileSync(data, `${lines.join("\n")}\n`);
  const { output, losses } = await trained(writeTinyCheckpoint(join(scratch, "base")), data, join(scratch, "run"));
  expect(losses.length).toBe(6);
  expect(losses.at(-1)!).toBeLessThan(losses[0]!);
  await using model = await load(output, { precision: "fp32", threads: 1 });
  expect((await model.generate({ prompt: "what", maxNewTokens: 2, decoder: "ar" })).tokens.length).toBeGreaterThan(0);
});

test("the example that mounts the server answers on its own routes and on the server's, whole, streamed and with errors", async () => {
  await using mine = await server(writeTinyCheckpoint(join(scratch, "served"), { contextLength: 256 }));
  expect(await (await mine.app.request("/")).text()).toBe("my own page");
  const ask = (body: object): Promise<Response> =>
    Promise.resolve(
      mine.app.request("/llm/v1/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "mine", prompt: "the", max_tokens: 8, decoder: "jacobi", ...body }),
      }),
    );
  const whole = await ask({});
  expect(whole.status).toBe(200);
  const { choices } = (await whole.json()) as { choices: { text: string }[] };
  const streamed = await (await ask({ stream: true })).text();
  const texts = streamed.split("\n\n").filter((line) => line.startsWith("data: {"));
  const text = texts
    .map((line) => (JSON.parse(line.slice(6)) as { choices: { text: string }[] }).choices[0]!.text)
    .join("");
  expect(text).toBe(choices[0]!.text);
  expect(streamed).toContain("data: [DONE]");
  const refused = await ask({ model: "other" });
  expect([refused.status, await refused.json()]).toMatchObject([
    404,
    { error: { message: expect.stringContaining("other") } },
  ]);
  expect((await mine.app.request("/llm/health")).status).toBe(200);
});
