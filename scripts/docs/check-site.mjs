/**
 * Builds the site, where dead links are errors, and runs axe over every page in a browser, light and dark. The last line
 * is the sum: pages that passed, pages that failed. Without a browser, or without the site's packages and a registry to
 * get them from, it says so and ends with 77.
 *
 *     node scripts/docs/check-site.mjs
 */
import { spawnSync } from "node:child_process";
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { chromium } from "playwright-core";
import { root } from "./tables.mjs";

const DIST = join(root, "docs/.vitepress/dist");
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};
const BROWSERS = [process.env.CHROMIUM, "/usr/lib/chromium/chromium", "/usr/bin/chromium", "/usr/bin/google-chrome"];

function skip(why) {
  console.log(`skipped: ${why}`);
  process.exit(77);
}

const browserPath = BROWSERS.find((path) => path && existsSync(path));
if (browserPath === undefined) skip("there is no Chromium; name one in CHROMIUM");
const docs = join(root, "docs");
if (!existsSync(join(docs, "node_modules/axe-core"))) {
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: docs, stdio: "ignore" });
  if (status !== 0) skip("the site's packages cannot be installed");
}
const built = spawnSync(process.execPath, [join(root, "scripts/docs/site.mjs"), "--site"], {
  cwd: root,
  stdio: ["ignore", "ignore", "inherit"],
});
if (built.status !== 0) {
  console.error("the site does not build");
  process.exit(1);
}

function* pages(folder) {
  for (const entry of readdirSync(join(DIST, folder), { withFileTypes: true })) {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory()) {
      if (entry.name !== "assets" && path !== "api") yield* pages(`${path}/`);
    } else if (entry.name.endsWith(".html") && entry.name !== "404.html") yield path;
  }
}

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const plain = join(DIST, decodeURIComponent(pathname));
  const file = [plain, `${plain}.html`, join(plain, "index.html")].find(
    (path) => existsSync(path) && statSync(path).isFile(),
  );
  if (file === undefined || !file.startsWith(DIST)) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${server.address().port}/`;
const axe = readFileSync(join(docs, "node_modules/axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
let [passed, failed] = [0, 0];
try {
  for (const colorScheme of ["light", "dark"]) {
    const page = await (await browser.newContext({ colorScheme })).newPage();
    for (const path of [...pages(""), "api/index.html"].filter((name) => existsSync(join(DIST, name)))) {
      await page.goto(address + path, { waitUntil: "load" });
      await page.waitForTimeout(150); // transitions of colours
      await page.evaluate(axe);
      const { violations } = await page.evaluate("axe.run()");
      if (violations.length === 0) passed++;
      else {
        failed++;
        for (const { id, help, nodes } of violations) {
          console.log(
            `${path} (${colorScheme}): ${id}: ${help}: ${nodes
              .slice(0, 3)
              .map(({ target }) => target.join(" "))
              .join(", ")}`,
          );
        }
      }
    }
  }
} finally {
  await browser.close();
  server.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
