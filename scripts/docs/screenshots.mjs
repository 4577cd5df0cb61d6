/**
 * Pictures of the pages that the product shows: the playground after a race, and the report of an evaluation. Needs
 * `dist/` and a Chromium, and runs by hand: what a browser draws differs between machines.
 *
 *     node scripts/docs/screenshots.mjs
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { root } from "./tables.mjs";

const program = join(root, "dist/cli/main.js");
const model = join(root, "models/text-to-sql");
const scratch = mkdtempSync(join(tmpdir(), "cllm-screenshots-"));
const executablePath = [process.env.CHROMIUM, "/usr/lib/chromium/chromium"].find((path) => path && existsSync(path));
const browser = await chromium.launch({ ...(executablePath && { executablePath }), args: ["--no-sandbox"] });
const server = spawn(process.execPath, [program, "serve", "--model", model, "--port", "18765"], { stdio: "ignore" });
try {
  const page = await browser.newPage({ viewport: { width: 1000, height: 1250 } });
  while (!(await page.goto("http://127.0.0.1:18765/").catch(() => null))) await page.waitForTimeout(200);
  await page.getByText("For each band, show the name and the number of concerts.").click();
  await page.getByRole("button", { name: "Run" }).click();
  await page.waitForTimeout(16_000);
  await page.screenshot({ path: join(root, "docs/pictures/playground.png") });

  const records = readFileSync(join(model, "held-out.jsonl"), "utf8").split("\n").slice(0, 12);
  const questions = records
    .map((line) => JSON.parse(line))
    .map(({ prompt, sql }) => ({ prompt, reference: sql, grader: "exact" }));
  writeFileSync(join(scratch, "questions.jsonl"), questions.map((each) => `${JSON.stringify(each)}\n`).join(""));
  const flags = [
    "--data",
    "questions.jsonl",
    "--model",
    model,
    "--decoders",
    "ar,jacobi,auto",
    "--out",
    "report",
    "--quiet",
  ];
  spawnSync(process.execPath, [program, "eval", "custom", ...flags], {
    cwd: scratch,
    stdio: ["ignore", "ignore", "inherit"],
  });
  await page.goto(`file://${join(scratch, "report/report.html")}`);
  await page.screenshot({ path: join(root, "docs/pictures/report.png") });
} finally {
  await browser.close();
  server.kill();
  await once(server, "exit");
  rmSync(scratch, { recursive: true, force: true });
}
