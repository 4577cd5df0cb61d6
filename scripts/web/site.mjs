/** Builds the demo into `dist/site/`: static files that any host can serve, without headers of its own. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { bundle, root, WITH_ENGINE } from "./bundle.mjs";

export async function buildSite(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "engine"), { recursive: true });
  mkdirSync(join(folder, "model"));
  const entry = (name) => join(root, `src/web/${name}.web.ts`);
  const input = { demo: entry("demo"), "demo-sql": entry("demo-sql"), "model-worker": entry("model-worker") };
  for (const { fileName, code } of await bundle(input, WITH_ENGINE)) writeFileSync(join(folder, fileName), code);
  const copy = (from, to, names) => {
    for (const name of names) copyFileSync(join(root, from, name), join(folder, to, name));
  };
  copy("web/demo", "", readdirSync(join(root, "web/demo")));
  copy("web", "", ["colors.css"]);
  copy("node_modules/onnxruntime-web/dist", "engine", ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"]);
  copy("node_modules/sql.js/dist", "", ["sql-wasm-browser.wasm"]);
  const model = readdirSync(join(root, "models/text-to-sql")).filter((name) => !/held-out|README/.test(name));
  copy("models/text-to-sql", "model", model);
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile() && each.name !== "offline.js")
    .map((each) => relative(folder, join(each.parentPath ?? each.path, each.name)).replaceAll("\\", "/"))
    .filter((name) => !name.startsWith("model/"));
  const offline = readFileSync(join(folder, "offline.js"), "utf8");
  const list = JSON.stringify(["./", ...files]);
  writeFileSync(join(folder, "offline.js"), offline.replace("const FILES = [];", `const FILES = ${list};`));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = join(root, "dist/site");
  await buildSite(folder);
  process.stdout.write(`the demo is in ${folder}; serve it with any server of static files\n`);
}
