/**
 * The documentation: its generated parts (tables, pictures, command line), and with `--site` the whole site in
 * `docs/.vitepress/dist/`. `--check` writes nothing and fails where a generated part is not up to date.
 *
 *     node scripts/docs/site.mjs [--check | --site]
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "./tables.mjs";

const flags = process.argv.slice(2);
const unknown = flags.find((flag) => !["--check", "--site"].includes(flag));
if (unknown !== undefined) {
  console.error(`docs: no flag ${unknown}; there are --check and --site`);
  process.exit(2);
}

function run(program, args, cwd = root) {
  const { status } = spawnSync(program, args, { cwd, stdio: "inherit", shell: process.platform === "win32" });
  if (status !== 0) process.exitCode = 1;
  return status === 0;
}

const check = flags.includes("--check") ? ["--check"] : [];
for (const part of ["comparison", "tables", "pictures", "command-line", "server-fields"]) {
  run(process.execPath, [join(root, "scripts/docs", `${part}.mjs`), ...check]);
}
if (flags.includes("--site") && process.exitCode === undefined) {
  const docs = join(root, "docs");
  if (!existsSync(join(docs, "node_modules/vitepress"))) run("npm", ["ci", "--no-audit", "--no-fund"], docs);
  const bin = (name) => join(docs, "node_modules/.bin", name);
  if (run(bin("typedoc"), ["--options", "typedoc.json", "--logLevel", "Warn"], docs))
    run(bin("vitepress"), ["build"], docs);
}
