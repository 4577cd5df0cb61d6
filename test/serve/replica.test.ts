/** What a server is to those in front of it: whether it lives and is ready, and which request an answer and a log line are of. */
import { expect, test } from "vitest";
import type { RequestEntry } from "../../src/serve/app.ts";
import { CHAT, eventsOf, post, serving } from "./serving.ts";

const chat = { model: "scripted", messages: [{ role: "user", content: "hi" }], max_tokens: 4 };

test("is ready once its models are loaded, and lives before", async () => {
  let loaded = false;
  const { app, models } = serving({ app: { isReady: () => loaded, apiKey: "secret" } });
  const ready = async () => {
    const response = await app.request("/ready"); // without a key, as probes ask
    return [response.status, await response.json()];
  };
  expect((await app.request("/health")).status).toBe(200);
  expect(await ready()).toEqual([503, { status: "loading" }]);
  await models.load("scripted");
  expect(models.status()).toMatchObject([{ loaded: true, loads: 1 }]);
  loaded = true;
  expect(await ready()).toEqual([200, { status: "ready" }]);
  await expect(models.load("other")).rejects.toMatchObject({ code: "not-found" });
});

test("answers, errors, streams and the log have the request's id", async () => {
  const logged: RequestEntry[] = [];
  const { app } = serving({ app: { logRequest: (entry) => logged.push(entry) } });
  const idOf = async (body: object, given?: string) => {
    const headers = given === undefined ? {} : { "x-request-id": given };
    const response = await post(app, CHAT, body, { headers });
    const id = response.headers.get("x-request-id");
    if ((body as { stream?: boolean }).stream) expect((await eventsOf(response)).length).toBeGreaterThan(1);
    return id;
  };
  expect(await idOf(chat, "mine-1")).toBe("mine-1");
  expect(await idOf({ ...chat, model: "none" }, "mine-2")).toBe("mine-2");
  expect(await idOf({ ...chat, stream: true }, "mine-3")).toBe("mine-3");
  expect(await idOf(chat)).toMatch(/^[0-9a-f-]{36}$/);
  for (const hostile of ["two words", "x".repeat(200), '{"a":\u00e9}']) {
    expect(await idOf(chat, hostile)).toMatch(/^[0-9a-f-]{36}$/);
  }
  expect(logged.slice(0, 3)).toMatchObject([
    { requestId: "mine-1", method: "POST", path: CHAT, status: 200, ms: expect.any(Number) },
    { requestId: "mine-2", status: 404 },
    { requestId: "mine-3", status: 200 },
  ]);
});
