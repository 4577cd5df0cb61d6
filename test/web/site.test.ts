/**
 * The demo in Chromium: a question by keyboard, both queries, the rows, an edited database, nothing sent elsewhere, and again without
 * the server. Skipped where there is no browser. Screenshots go into the folder that CLLM_SCREENSHOTS names.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { serveSite } from "./site-server.ts";

const { buildSite } = (await import(new URL("../../scripts/web/site.mjs", import.meta.url).href)) as {
  buildSite(folder: string): Promise<void>;
};
const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const browserPath = process.env["CLLM_BROWSER"] ?? BROWSERS.find((path) => existsSync(path));

describe.skipIf(browserPath === undefined)("the demo", () => {
  let [browser, folder] = [] as unknown as [Browser, string];
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "cllm-site-"));
    await buildSite(folder);
    browser = await chromium.launch({ executablePath: browserPath!, args: ["--no-sandbox", "--disable-gpu"] });
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const ready = (page: Page): Promise<void> => page.getByText("Ready.").waitFor({ timeout: 50_000 });
  const axe = readFileSync(new URL("../../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
  /** What axe finds, and where. */
  const barriers = async (page: Page): Promise<string[]> => {
    await page.evaluate(axe);
    const { violations } = (await page.evaluate("axe.run()")) as {
      readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
    };
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  };
  const shoot = async (page: Page, name: string): Promise<void> => {
    const shots = process.env["CLLM_SCREENSHOTS"];
    if (shots === undefined) return;
    mkdirSync(shots, { recursive: true });
    await page.screenshot({ path: join(shots, `site-${name}.png`), fullPage: true });
  };

  test.each(["light", "dark"] as const)(
    "answers by keyboard, in %s, below a folder of its host",
    async (colorScheme) => {
      await using site = await serveSite(new Map(), new Map([["/demo/", folder]]));
      const context = await browser.newContext({ colorScheme, viewport: { width: 900, height: 800 } });
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on("pageerror", (error) => complaints.push(String(error)));
      context.on("request", (request) => {
        if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(site.url)) complaints.push(request.url());
      });
      await page.goto(`${site.url}/demo/`);
      await ready(page);
      await page.getByLabel("Question about the database").focus();
      await page.keyboard.press("Enter");
      await page.getByText("Both wrote the same query.").waitFor({ timeout: 30_000 });
      const sql = await page.locator("#lanes .lane:nth-child(2) code").textContent();
      expect(sql).toMatch(/^\s*SELECT/i);
      expect(await page.locator("#lanes .lane:nth-child(1) code").textContent()).toBe(sql);
      expect(await page.locator("#answer table tr").count()).toBeGreaterThan(1);
      const [ar, cllm] = await Promise.all(
        ["#lanes .lane:nth-child(1) p", "#lanes .lane:nth-child(2) p"].map(async (id) =>
          Number.parseInt((await page.locator(id).textContent()) ?? "", 10),
        ),
      );
      expect(cllm).toBeLessThan(ar!);
      await shoot(page, colorScheme);
      await page.getByText("The database: change it as you like").click();
      expect(await barriers(page)).toEqual([]);
      await page
        .locator("#script")
        .fill("CREATE TABLE animal (id INTEGER, name TEXT, weight NUMERIC); INSERT INTO animal VALUES (1, 'Ox', 900);");
      await page.getByLabel("Question about the database").fill("How many animals are there?");
      await page.keyboard.press("Enter");
      await page.getByText("1 row.").waitFor({ timeout: 30_000 });
      expect(await page.locator("#lanes .lane:nth-child(2) code").textContent()).toContain("animal");
      await page.locator("#script").fill("CREATE TABLE (");
      await page.getByLabel("Question about the database").press("Enter");
      await page.getByText("The database cannot be made").waitFor();
      expect(complaints).toEqual([]);
      await context.close();
    },
  );

  test("runs a model of the visitor's, from the hub, with all decoders, on a phone", async () => {
    await using site = await serveSite(new Map(), new Map([["/", folder]]));
    const context = await browser.newContext({ viewport: { width: 390, height: 800 }, isMobile: true });
    const asked: string[] = [];
    await context.route("https://huggingface.co/**", async (route) => {
      const [, name] = /\/someone\/small\/resolve\/main\/([\w.]+)$/.exec(route.request().url()) ?? [];
      asked.push(name ?? route.request().url());
      const path = join(folder, "model", String(name));
      const headers = { "access-control-allow-origin": "*" };
      if (existsSync(path)) await route.fulfill({ path, headers });
      else await route.fulfill({ status: 404, headers });
    });
    const page = await context.newPage();
    await page.goto(`${site.url}/`);
    await page.getByLabel("Model", { exact: true }).fill("someone/small");
    await page
      .getByLabel("Text", { exact: true })
      .fill("table animal: id, name\nquestion: How many animals are there?\nsql:");
    await page.getByRole("button", { name: "Run" }).press("Enter");
    await page.getByText("All wrote the same text.").waitFor({ timeout: 40_000 });
    const texts = await page.locator("#try-lanes code").allTextContents();
    expect(texts).toHaveLength(5);
    expect(new Set(texts).size).toBe(1);
    expect(asked).toContain("model.safetensors");
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    await shoot(page, "phone");
    expect(await barriers(page)).toEqual([]);
    await page.getByLabel("Model", { exact: true }).fill("nobody/nothing");
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByText("All wrote the same text.").waitFor({ state: "hidden" });
    await page.getByRole("button", { name: "Run" }).waitFor(); // "Stop" while it loads
    expect(await page.locator("#try-status").textContent()).toMatch(
      /nobody\/nothing.*does not exist|config\.json.*(?:not|no)/,
    );
    await context.close();
  });

  test("works without its server once it was loaded", async () => {
    const site = await serveSite(new Map(), new Map([["/", folder]]));
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${site.url}/`);
    await ready(page);
    await page.evaluate("navigator.serviceWorker.ready.then(() => null)");
    await site[Symbol.asyncDispose]();
    await page.reload();
    await ready(page);
    await page.getByLabel("Question about the database").press("Enter");
    await page.getByText("Both wrote the same query.").waitFor({ timeout: 30_000 });
    await context.close();
  });
});
