/**
 * The playground in Chromium, against a listening server over scripted models: a run by hand, steps by keyboard, its link,
 * errors as the server says them. Skipped where there is no browser. Screenshots go to a temporary folder, or to the one
 * that CLLM_SCREENSHOTS names.
 */
import { existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Session } from "../../src/runtime/session.ts";
import { inThisProcess } from "../../src/serve/backend.ts";
import { createModels, type Models } from "../../src/serve/models.ts";
import { demonstrationDatabase } from "../../src/serve/query.ts";
import { listen, type RunningServer } from "../../src/serve/server.ts";
import { DEMONSTRATION_QUESTIONS } from "../../src/tasks/text-to-sql/demonstration.ts";
import { scriptedLanguageModel } from "../generate/scripted-language-model.ts";

const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const browserPath = process.env["CLLM_BROWSER"] ?? BROWSERS.find((path) => existsSync(path));
if (browserPath === undefined) {
  process.stderr.write(
    `The playground is not tested: no browser at ${BROWSERS.join(", ")}; name one in CLLM_BROWSER.\n`,
  );
}

const apiKey = "sesame";
const chat = scriptedLanguageModel({ predictability: 0.9 });
/** Passes that take their time, to be stopped in. */
const slow = scriptedLanguageModel({
  wrap: (session) => {
    const forward: Session["forward"] = async (tokens, forest) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return session.forward(tokens, forest);
    };
    return Object.create(session, { forward: { value: forward } });
  },
});
const database = scriptedLanguageModel({ predictability: 0.9, seed: 1, chat: false });

describe.skipIf(browserPath === undefined)("the page", () => {
  let [models, server, browser, folder] = [] as unknown as [Models, RunningServer, Browser, string];

  beforeAll(async () => {
    folder = process.env["CLLM_SCREENSHOTS"] ?? mkdtempSync(join(tmpdir(), "cllm-playground-"));
    mkdirSync(folder, { recursive: true });
    const entries = [
      { name: "scripted", start: async () => inThisProcess(chat) },
      { name: "slow", start: async () => inThisProcess(slow) },
      { name: "text-to-sql", demonstration: "text-to-sql" as const, start: async () => inThisProcess(database) },
    ];
    models = createModels(entries, { maxRunning: 2, maxWaiting: 4 });
    const askDatabase = demonstrationDatabase(new URL("../../dist/serve/query-worker.js", import.meta.url));
    server = await listen({ host: "127.0.0.1", port: 0, models, apiKey, askDatabase });
    browser = await chromium.launch({ executablePath: browserPath!, args: ["--no-sandbox", "--disable-gpu"] });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.drain();
    await models?.[Symbol.asyncDispose]();
  });

  interface Opened extends AsyncDisposable {
    readonly page: Page;
    /** What the page complained of, and requests that left for elsewhere. */
    readonly complaints: string[];
  }

  /** Opens the page and gives it the key. */
  async function open(hash: string, look: Parameters<Browser["newPage"]>[0] = {}): Promise<Opened> {
    const page = await browser.newPage({ viewport: { width: 1100, height: 1000 }, ...look });
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      const expected = /status of 4\d\d/.test(message.text()); // the browser's own line about it
      if (message.type() === "error" && !expected) complaints.push(message.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(server.url)) complaints.push(request.url());
    });
    await page.goto(`${server.url}/${hash}`);
    await page.getByRole("alert").getByText("no API key was given").waitFor();
    await page.getByLabel("API key").fill(apiKey);
    await page.getByLabel("API key").press("Enter");
    await page.locator("#model option").first().waitFor({ state: "attached" }); // no string to evaluate: the page's policy forbids it
    await page.getByLabel("Model").selectOption("scripted");
    return { page, complaints, [Symbol.asyncDispose]: () => page.close() };
  }
  const measured = (page: Page) => page.getByRole("status").getByText("The same").waitFor();
  const overflow = (page: Page) =>
    page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");

  test("measures both decoders, replays them, and steps through their passes by keyboard", async () => {
    await using opened = await open("");
    const { page } = opened;
    await page.getByRole("textbox", { name: "Question" }).fill("once upon a time");
    await page.getByLabel("Max tokens").fill("40");
    await page.getByRole("textbox", { name: "Question" }).press("Control+Enter");
    await measured(page);
    const messages = [{ role: "user" as const, content: "once upon a time" }];
    const parallelRun = await chat.generate({ messages, maxNewTokens: 40, decoder: "jacobi" });
    const { text, tokens } = parallelRun;
    await page.getByRole("button", { name: "Replay" }).waitFor(); // it has come to its end
    const [ar, parallel] = [page.locator("#ar"), page.locator("#parallel")];
    const plain = (shown: string | null): string => (shown ?? "").replaceAll("⏎\n", "\n");
    for (const pane of [ar, parallel]) {
      expect(
        plain(
          await pane
            .locator('[data-part="text"] .settled')
            .allTextContents()
            .then((all) => all.join("")),
        ),
      ).toBe(text);
      expect(await pane.locator('[data-part="tokens"]').textContent()).toBe(String(tokens.length));
    }
    const passes = await parallel.getByRole("option").count();
    expect(await ar.getByRole("option").count()).toBe(tokens.length);
    expect(passes).toBe(1 + parallelRun.stats.forwards);

    const list = parallel.getByRole("listbox");
    await list.focus();
    for (const key of ["Home", "ArrowDown", "ArrowRight", "ArrowUp"]) await list.press(key);
    const chosen = parallel.locator('[aria-selected="true"]');
    expect(await chosen.getAttribute("aria-label")).toMatch(
      /^Pass 1: \d+ tokens? settled.*; \d+ guesses?; [\d.]+ ms$/s,
    );
    expect(await list.getAttribute("aria-activedescendant")).toBe(await chosen.getAttribute("id"));
    expect(await parallel.locator('[data-part="count"]').textContent()).toBe("1");
    expect(await parallel.locator('[data-part="state"]').textContent()).toBe(`after pass 1 of ${passes - 1}`);
    await page.screenshot({ path: join(folder, "step.png"), fullPage: true });
    await parallel.getByRole("button", { name: "Last pass" }).click();
    await parallel.getByRole("button", { name: "Next pass" }).press("Enter"); // there is none, which is no harm
    expect(await parallel.locator('[data-part="count"]').textContent()).toBe(String(passes - 1));

    const link = await page.getByRole("link", { name: "Link to this run" }).getAttribute("href");
    expect(link).toContain("once+upon+a+time");
    expect(page.url()).toBe(`${server.url}/${link}`);
    expect(page.url()).not.toContain(apiKey);
    expect(await page.evaluate("Object.keys(localStorage).length + Object.keys(sessionStorage).length")).toBe(0);
    expect(opened.complaints).toEqual([]);
  });

  test("repeats a link's run on a phone at night, and shows what the query returns", async () => {
    const question = DEMONSTRATION_QUESTIONS[0]!.question;
    const look = { viewport: { width: 360, height: 740 }, colorScheme: "dark", reducedMotion: "reduce" } as const;
    const hash = "#model=text-to-sql&question=Which%3F&form=database&decoder=auto&blockSize=8&maxTokens=12&seed=3";
    await using opened = await open(hash, look);
    const { page } = opened;
    await page.getByLabel("Model").selectOption("text-to-sql");
    expect(await page.getByRole("textbox", { name: "Question" }).inputValue()).toBe("Which?");
    expect(await page.getByLabel("Parallel decoder").inputValue()).toBe("auto");
    expect(await page.getByLabel("Send it as").inputValue()).toBe("database");
    await page.getByRole("button", { name: question }).click();
    await page.keyboard.press("Enter"); // the focus is on Run
    await measured(page);
    await page.getByRole("heading", { name: "What its query returns" }).waitFor();
    expect(await page.locator("#rows").textContent()).toMatch(/^SQLite: /); // a scripted model writes no SQL
    await page.getByText("All rows of its tables").click();
    expect(await page.getByRole("cell", { name: "Silver Tide" }).isVisible()).toBe(true);
    await page.screenshot({ path: join(folder, "phone.png"), fullPage: true });
    expect(await overflow(page)).toBe(0);
    expect(opened.complaints).toEqual([]);
  });

  test("says the server's errors in its words, and goes on", async () => {
    await using opened = await open("");
    const { page } = opened;
    await page.getByRole("textbox", { name: "Question" }).fill("word ".repeat(600));
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page
      .getByRole("alert")
      .getByText(/context/)
      .waitFor();
    await page.screenshot({ path: join(folder, "error.png") });
    await page.getByRole("textbox", { name: "Question" }).fill("once");
    await page.getByLabel("Max tokens").fill("6");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await measured(page);
    expect(await page.locator("#error").textContent()).toBe("");
    expect(await overflow(page)).toBe(0);
    expect(opened.complaints).toEqual([]);
  });

  test("stops when it is told to, and the server with it", async () => {
    await using opened = await open("");
    const { page } = opened;
    await page.getByLabel("Model").selectOption("slow");
    await page.getByRole("textbox", { name: "Question" }).fill("once");
    await page.getByLabel("Max tokens").fill("400");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.locator("#ar").getByRole("option").nth(3).waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("status").getByText("Stopped.").waitFor();
    expect(await page.getByRole("button", { name: "Run", exact: true }).isEnabled()).toBe(true);
    await expect.poll(() => models.status().find(({ name }) => name === "slow")!.running).toBe(0);
    expect(opened.complaints).toEqual([]);
  });
});
