/** Who may ask: keys, names of this machine, pages of other origins. */
import { describe, expect, test } from "vitest";
import { isLoopback } from "../../src/serve/guards.ts";
import { CHAT, type Json, post, serving } from "./serving.ts";

const chat = { model: "scripted", messages: [{ role: "user", content: "hi" }], max_tokens: 2 };

describe("a key", () => {
  const { app } = serving({ app: { apiKey: "sesame" } });
  test.each<[authorization: string | undefined, status: number]>([
    ["Bearer sesame", 200],
    ["bearer sesame", 200],
    [undefined, 401],
    ["Bearer ", 401],
    ["Bearer sesam", 401],
    ["Bearer sesame2", 401],
    ["Basic sesame", 401],
  ])("%j gives %i", async (authorization, status) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const response = await post(app, CHAT, chat, { headers });
    expect(response.status).toBe(status);
    if (status === 401) expect(await response.json()).toMatchObject({ error: { code: "invalid_api_key" } });
    for (const path of ["/v1/models", "/metrics", "/v1/models/", "/metrics/"])
      expect((await app.request(path, { headers })).status).toBe(status);
    expect((await app.request("/health", { headers })).status).toBe(200);
  });

  test("is asked for before anything else is looked at", async () => {
    expect((await post(app, CHAT, "{")).status).toBe(401);
    expect((await app.request("/v1/models/none")).status).toBe(401);
  });
});

describe("a host name", () => {
  const { app } = serving();
  test.each<[host: string, status: number]>([
    ["localhost:8000", 200],
    ["127.0.0.1:8000", 200],
    ["127.0.0.2", 200],
    ["[::1]:8000", 200],
    ["LOCALHOST", 200],
    ["evil.example", 403],
    ["localhost.evil.example:8000", 403],
    ["192.168.1.2:8000", 403],
    ["127.0.0.999", 403],
    ["127.1", 403],
  ])("%s gives %i", async (host, status) => {
    for (const path of ["/v1/models", "/health", "/metrics"])
      expect((await app.request(path, { headers: { host } })).status).toBe(status);
    expect((await post(app, CHAT, chat, { headers: { host } })).status).toBe(status);
  });

  test("is not looked at where the server is for others", async () => {
    const { app } = serving({ app: { localNamesOnly: false, apiKey: "k" } });
    const headers = { host: "models.example", authorization: "Bearer k" };
    expect((await app.request("/v1/models", { headers })).status).toBe(200);
  });

  test("of an address to listen on", () => {
    expect(["127.0.0.1", "localhost", "::1", "127.1.2.3"].map(isLoopback)).toEqual([true, true, true, true]);
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "example.com", "127.0.0.999", "127.0.0.1.example", "127.0.0.01"])
      expect([host, isLoopback(host)]).toEqual([host, false]);
  });
});

test("pages of other origins may ask only where they are named", async () => {
  const preflight = {
    method: "OPTIONS",
    headers: { origin: "https://a.example", "access-control-request-method": "POST" },
  };
  const closed = await serving().app.request(CHAT, preflight);
  expect(closed.status).toBe(405);
  expect(closed.headers.get("access-control-allow-origin")).toBeNull();
  const { app } = serving({ app: { corsOrigins: ["https://a.example"], apiKey: "k" } });
  const open = await app.request(CHAT, preflight);
  expect(open.status).toBe(204);
  expect(open.headers.get("access-control-allow-origin")).toBe("https://a.example");
  const other = await app.request(CHAT, {
    ...preflight,
    headers: { ...preflight.headers, origin: "https://b.example" },
  });
  expect(other.headers.get("access-control-allow-origin")).toBeNull();
  const refused = await post(app, CHAT, chat, { headers: { origin: "https://a.example" } });
  expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([401, "https://a.example"]);
});

test("what is counted is what happened", async () => {
  const { app, model } = serving();
  const { stats } = await model.generate({ messages: chat.messages as Json, maxNewTokens: 9, decoder: "jacobi" });
  await post(app, CHAT, { ...chat, max_tokens: 9, decoder: "jacobi" });
  await post(app, CHAT, { ...chat, n: 99 });
  const text = await (await app.request("/metrics")).text();
  const value = (line: string): number =>
    Number(
      text
        .split("\n")
        .find((each) => each.startsWith(`${line} `))
        ?.split(" ")
        .at(-1),
    );
  expect(value('cllm_requests_total{endpoint="chat",status="200"}')).toBe(1);
  expect(value('cllm_requests_total{endpoint="chat",status="400"}')).toBe(1);
  expect(value('vllm:generation_tokens_total{model_name="scripted"}')).toBe(stats.newTokens);
  expect(value('cllm_forwards_total{model="scripted"}')).toBe(stats.forwards);
  expect(value('cllm_accepted_tokens_count{model="scripted"}')).toBe(stats.forwards);
  expect(value('cllm_accepted_tokens_sum{model="scripted"}')).toBe(stats.newTokens - 1);
  expect(value('cllm_accepted_tokens_bucket{le="+Inf",model="scripted"}')).toBe(stats.forwards);
  expect(value('vllm:time_to_first_token_seconds_count{model_name="scripted"}')).toBe(1);
  expect(value('vllm:num_requests_running{model_name="scripted"}')).toBe(0);
  expect(value('cllm_model_loaded{model="scripted"}')).toBe(1);
  for (const line of text.trimEnd().split("\n"))
    expect(line).toMatch(/^(|# (HELP|TYPE) [\w:]+ .+|[\w:]+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? \S+)$/);
  const kinds = [...text.matchAll(/^# TYPE ([\w:]+) (\w+)$/gm)].map(([, name, kind]) => `${name} ${kind}`);
  expect(kinds.sort()).toEqual([
    "cllm_accepted_tokens histogram",
    "cllm_cached_prompt_tokens_total counter",
    "cllm_event_loop_stall_seconds gauge",
    "cllm_forwards_total counter",
    "cllm_generations_failed_total counter",
    "cllm_model_loaded gauge",
    "cllm_model_loads_total counter",
    "cllm_predicted_tokens_total counter",
    "cllm_requests_total counter",
    "cllm_tokens_per_forward histogram",
    "vllm:e2e_request_latency_seconds histogram",
    "vllm:generation_tokens_total counter",
    "vllm:num_requests_running gauge",
    "vllm:num_requests_waiting gauge",
    "vllm:prompt_tokens_total counter",
    "vllm:request_decode_time_seconds histogram",
    "vllm:request_generation_tokens histogram",
    "vllm:request_prefill_time_seconds histogram",
    "vllm:request_prompt_tokens histogram",
    "vllm:request_queue_time_seconds histogram",
    "vllm:request_success_total counter",
    "vllm:request_time_per_output_token_seconds histogram",
    "vllm:time_to_first_token_seconds histogram",
  ]);
});
