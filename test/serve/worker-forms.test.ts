/** Answers with a form and calls of tools in a real worker: several in one pass, by several clients, each as alone by `ar`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { load } from "../../src/generate/load.ts";
import type { GenerateOptions } from "../../src/generate/types.ts";
import type { Format } from "../../src/grammar/format.ts";
import { createApp } from "../../src/serve/app.ts";
import { type Host, startModel } from "../../src/serve/model-host.ts";
import { createModels } from "../../src/serve/models.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { CHAT, eventsOf, type Json, post } from "./serving.ts";

const scratch = mkdtempSync(join(tmpdir(), "cllm-forms-"));
const path = writeTinyCheckpoint(join(scratch, "tiny"), { contextLength: 1024 });
const options = { cacheDir: join(scratch, "cache"), threads: 1 };
const hosts: Host[] = [];
afterAll(async () => {
  await Promise.all(hosts.map((host) => host.dispose()));
  rmSync(scratch, { recursive: true, force: true });
});

const schema = {
  type: "object",
  properties: { name: { type: "string", maxLength: 8 }, size: { enum: [1, 22, null] }, on: { type: "boolean" } },
  required: ["name", "size", "on"],
};
const messages = [{ role: "user", content: "the sea" }] as const;
const FORMS: readonly Format[] = [
  { type: "json_schema", schema },
  { type: "regex", pattern: "[a-z]{3,9}( and [a-z]{3,9}){1,3}\\." },
  { type: "json_schema", schema: { type: "array", items: { not: { type: ["object", "array"] } }, maxItems: 3 } },
];
const requests: readonly GenerateOptions[] = FORMS.flatMap((format) => [
  { messages, format, maxNewTokens: 120, decoder: "auto" },
  { messages, format, maxNewTokens: 120, decoder: "jacobi", temperature: 1, seed: 7 },
]);

test("several at once in one engine are those of one by one, also where one is aborted", async () => {
  await using alone = await load(path, options);
  await using together = await load(path, { ...options, slots: 4 });
  const cancel = new AbortController();
  const aborted = together.generate({ ...requests[0]!, signal: cancel.signal, decoder: "ar" });
  let passes = 0;
  const stopping = (async () => {
    const stream = together.stream({ ...requests[1]!, decoder: "ar" });
    for await (const _ of stream) if (++passes === 3) cancel.abort();
    return stream.result;
  })();
  const answers = await Promise.all([stopping, ...requests.map((request) => together.generate(request))]);
  await expect(aborted).rejects.toMatchObject({ code: "aborted" });
  for (const [i, { text, tokens, parsed }] of answers.entries()) {
    const expected = await alone.generate({ ...(requests[i - 1] ?? requests[1]!), decoder: "ar" });
    expect({ text, tokens, parsed }).toEqual({
      text: expected.text,
      tokens: expected.tokens,
      parsed: expected.parsed,
    });
  }
});

test("two clients of a server have their calls and their JSON, as the library writes them", async () => {
  const workerFile = new URL("../../dist/serve/worker.js", import.meta.url);
  const start = async (admit: (bytes: number) => Promise<void>, onEnd: () => void): Promise<Host> => {
    const host = await startModel({ model: path, options: { ...options, slots: 2 }, workerFile, admit, onEnd });
    hosts.push(host);
    return host;
  };
  const models = createModels([{ name: "tiny", start }], { maxRunning: 2, maxWaiting: 8 });
  const app = createApp({ models });
  const tools = [{ type: "function", function: { name: "look", parameters: schema } }];
  const asked = { model: "tiny", messages, max_tokens: 150 };
  const call = { ...asked, tools, tool_choice: "required", parallel_tool_calls: false };
  const json = { ...asked, response_format: { type: "json_schema", json_schema: { name: "n", schema } }, stream: true };
  const [called, streamed, refused] = await Promise.all([
    post(app, CHAT, call).then((answer) => answer.json() as Promise<Json>),
    post(app, CHAT, json).then(eventsOf),
    post(app, CHAT, { ...call, tools: [{ ...tools[0], function: { name: "look", parameters: { type: "text" } } }] }),
  ]);
  const [choice] = called.choices;
  expect(choice.finish_reason).toBe("tool_calls");
  const values = JSON.parse(choice.message.tool_calls[0].function.arguments);
  expect(Object.keys(values)).toEqual(["name", "size", "on"]);
  const text = streamed.map((event) => event.choices[0]?.delta.content ?? "").join("");
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({
    error: { message: expect.stringMatching(/tools\[0\].*type: "text" at #/) },
  });

  await using model = await load(path, options);
  const plain = await model.generate({ messages, maxNewTokens: 150, format: FORMS[0]!, decoder: "ar" });
  expect(text).toBe(plain.text);
  const tool = { name: "look", parameters: schema };
  const own = { tools: [tool], toolChoice: "required", parallelToolCalls: false, decoder: "ar" } as const;
  expect((await model.generate({ messages, maxNewTokens: 150, ...own })).toolCalls[0]!.arguments).toEqual(values);
});
