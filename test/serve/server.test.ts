/** A listening server: what holds it when it drains, and what does not. */
import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { inThisProcess } from "../../src/serve/backend.ts";
import { createModels } from "../../src/serve/models.ts";
import { listen } from "../../src/serve/server.ts";
import { scriptedLanguageModel } from "../generate/scripted-language-model.ts";
import { COMPLETION, eventsOf, textOf } from "./serving.ts";

const body = { model: "m", prompt: "once", max_tokens: 60, stream: true };

async function listening() {
  const model = scriptedLanguageModel();
  const models = createModels([{ name: "m", start: async () => inThisProcess(model) }], {
    maxRunning: 1,
    maxWaiting: 1,
  });
  const server = await listen({ host: "127.0.0.1", port: 0, models });
  const ask = (): Promise<Response> =>
    fetch(server.url + COMPLETION, {
      ...{ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) },
    });
  return { model, server, ask };
}

test("connections that are kept alive, or were never used, do not hold it", async () => {
  const { server, ask } = await listening();
  await (await ask()).text(); // its connection is kept alive
  const silent = connect(Number(new URL(server.url).port), "127.0.0.1");
  silent.on("error", () => {});
  await once(silent, "connect");
  await server.drain();
  await expect(ask()).rejects.toThrow();
});

test("an answer that is not read yet does", async () => {
  const { model, server, ask } = await listening();
  const response = await ask();
  let drained = false;
  const draining = server.drain().then(() => {
    drained = true;
  });
  const { text } = await model.generate({ prompt: body.prompt, maxNewTokens: body.max_tokens });
  expect(textOf(await eventsOf(response))).toBe(text);
  await draining;
  expect(drained).toBe(true);
});

test("it knows how long its event loop stood still", async () => {
  const { server } = await listening();
  const stall = async (): Promise<number> => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(/^cllm_event_loop_stall_seconds (\S+)$/m.exec(text)?.[1]);
  };
  await stall();
  await new Promise((resolve) => setTimeout(resolve, 50)); // the first look only sets the clock
  const end = performance.now() + 300;
  while (performance.now() < end);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(await stall()).toBeGreaterThan(0.2);
  await server.drain();
});
