/** The playground's routes: exactly its files, with their headers, and the database where its model is served. */
import { readdirSync, readFileSync } from "node:fs";
import type { Hono } from "hono";
import { expect, test } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { inThisProcess } from "../../src/serve/backend.ts";
import { createModels } from "../../src/serve/models.ts";
import { PAGE_FILES } from "../../src/serve/playground.ts";
import { demonstrationDatabase } from "../../src/serve/query.ts";
import { DEMONSTRATION, DEMONSTRATION_QUESTIONS } from "../../src/tasks/text-to-sql/demonstration.ts";
import { scriptedLanguageModel } from "../generate/scripted-language-model.ts";
import { type Json, post, serving } from "./serving.ts";

const web = new URL("../../web/", import.meta.url);
const SQL = "/playground/sql";
const askDatabase = demonstrationDatabase(new URL("../../dist/serve/query-worker.js", import.meta.url));

function withDatabase(options: { readonly apiKey?: string } = {}): Hono {
  const start = async () => inThisProcess(scriptedLanguageModel());
  const models = createModels([{ name: "any-name", demonstration: "text-to-sql", start }], {
    maxRunning: 1,
    maxWaiting: 1,
  });
  return createApp({ models, askDatabase, ...options });
}

test("the page's files are served as they are, each with its type and under the policy", async () => {
  const { app } = serving({ app: { corsOrigins: ["http://other.example"] } });
  const own = readdirSync(web, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== "tsconfig.json")
    .map(({ name }) => name);
  expect([...PAGE_FILES].sort()).toEqual(own.sort());
  for (const [i, name] of PAGE_FILES.entries()) {
    const path = i === 0 ? "/" : `/playground/${name}`;
    const response = await app.request(path, { headers: { origin: "http://other.example" } });
    expect([path, response.status]).toEqual([path, 200]);
    expect(await response.text()).toBe(readFileSync(new URL(name, web), "utf8"));
    const { headers } = response;
    expect(headers.get("content-type")).toMatch(/^(text\/(html|css|javascript); charset=utf-8|image\/svg\+xml)$/);
    expect(headers.get("content-security-policy")).toMatch(/^default-src 'self';/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("access-control-allow-origin")).toBeNull();
  }
});

test("nothing else is, whatever the path says", async () => {
  const { app } = serving();
  for (const path of [
    "tsconfig.json",
    "../package.json",
    "..%2fpackage.json",
    "%2e%2e/package.json",
    "main.js//",
    "",
    "//",
  ])
    expect((await app.request(`/playground/${path}`)).status).toBe(404);
  expect((await app.request("/", { method: "POST" })).status).toBe(405);
  expect((await app.request("/", { headers: { host: "evil.example" } })).status).toBe(403);
});

test("the page fetches nothing from elsewhere, and has no script or style of its own inside", () => {
  for (const name of PAGE_FILES) {
    const text = readFileSync(new URL(name, web), "utf8").replaceAll("http://www.w3.org/2000/svg", "");
    expect([name, /https?:|\/\/[a-z]+\./i.test(text)]).toEqual([name, false]);
  }
  const page = readFileSync(new URL("index.html", web), "utf8");
  expect(page).not.toMatch(/<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)/i);
});

test("the database is there for a model that says it is for it, and for no other", async () => {
  const { app } = serving();
  expect((await app.request("/playground/database")).status).toBe(404);
  expect((await post(app, SQL, { sql: "SELECT 1" })).status).toBe(404);

  const described = (await (await withDatabase().request("/playground/database")).json()) as Json;
  expect(described.tables).toMatchObject(DEMONSTRATION.tables.map(({ name, rows }) => ({ name, rows })));
  for (const { question, prompt } of DEMONSTRATION_QUESTIONS)
    expect(described.prompt.before + question + described.prompt.after).toBe(prompt);
});

test("it asks for the key that everything else asks for, and the page does not", async () => {
  const app = withDatabase({ apiKey: "sesame" });
  expect((await app.request("/")).status).toBe(200);
  expect((await app.request("/playground/database")).status).toBe(401);
  expect((await post(app, SQL, { sql: "SELECT 1" })).status).toBe(401);
  const headers = { authorization: "Bearer sesame" };
  expect((await app.request("/playground/database", { headers })).status).toBe(200);
});

test("one SELECT gives its rows; whatever else a model writes is said to be wrong, and changes nothing", async () => {
  const app = withDatabase();
  const ask = async (sql: string) => {
    const response = await post(app, SQL, { sql });
    expect([sql, response.status]).toEqual([sql, 200]);
    return response.json();
  };
  expect(await ask(" SELECT name, fee FROM band ORDER BY fee DESC LIMIT 1\nand more")).toEqual({
    sql: "SELECT name, fee FROM band ORDER BY fee DESC LIMIT 1",
    ...{ ok: true, columns: ["name", "fee"], rows: [["Red Harbor", 3100]] },
  });
  expect(await ask("SELECT x'00ff', NULL, 9e999")).toMatchObject({ rows: [["x'00ff'", null, "Infinity"]] });
  for (const [sql, failure] of [
    ["", "empty"],
    ["SELEC", "error"],
    ["DELETE FROM band", "refused"],
    ["ATTACH '/tmp/x' AS x", "refused"],
    ["SELECT 1; DROP TABLE band", "refused"],
    ["SELECT * FROM concert a, concert b, concert c", "limit"],
    ["WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT MAX(n) FROM t", null],
  ] as const)
    expect(await ask(sql)).toMatchObject({ ok: false, failure: failure ?? expect.stringMatching(/refused|timeout/) });
  expect(await ask("SELECT COUNT(*) FROM band")).toMatchObject({ rows: [[10]] });
});

test("a request that is none is refused, and so are too many at once", async () => {
  const app = withDatabase();
  for (const body of [{}, { sql: 1 }, { sql: "SELECT 1", file: "/etc/passwd" }, { sql: "x".repeat(5000) }, "{", "[]"])
    expect((await post(app, SQL, body)).status).toBe(400);
  const answers = await Promise.all(Array.from({ length: 4 }, () => post(app, SQL, { sql: "SELECT 1" })));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 429, 429]);
});
