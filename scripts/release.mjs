/**
 * A release in one command: checks the checkout, writes version and date into package.json, the lock file and the change
 * log, runs the tests, and tries `npm publish` without publishing. Commits and tags only when all of it worked.
 *
 *     node scripts/release.mjs VERSION [--publish] [--skip-tests]
 *
 * `--publish` publishes with provenance, which works in continuous integration of a public repository only. It refuses where
 * `git remote get-url origin` is not the address in package.json.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (name) => readFileSync(join(root, name), "utf8");
const fail = (message) => {
  console.error(`release: ${message}`);
  process.exit(2);
};

function run(program, args, { quiet = false } = {}) {
  const { status, stdout } = spawnSync(program, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", quiet ? "pipe" : "inherit", "inherit"],
    shell: process.platform === "win32" && program === "npm",
  });
  if (status !== 0) fail(`${program} ${args.join(" ")} failed; nothing was committed or published`);
  return stdout ?? "";
}

let parsed;
try {
  const options = { publish: { type: "boolean", default: false }, "skip-tests": { type: "boolean", default: false } };
  parsed = parseArgs({ allowPositionals: true, options });
} catch (error) {
  fail(error.message);
}
const { values, positionals } = parsed;
const [version] = positionals;
if (positionals.length !== 1 || !/^\d+\.\d+\.\d+(-[0-9a-z.-]+)?$/.test(version))
  fail("give one version, such as 0.2.0");
if (run("git", ["status", "--porcelain"], { quiet: true }).trim() !== "")
  fail("the checkout has changes; commit them first");
if (run("git", ["tag", "--list", `v${version}`], { quiet: true }).trim() !== "")
  fail(`the tag v${version} exists already`);

// The addresses in package.json were chosen before there was a public repository. npm's provenance would say that the package
// comes from there, so nothing is published from anywhere else.
const address = (url) =>
  url
    .trim()
    .replace(/^git\+/, "")
    .replace(/^git@([^:]+):/, "https://$1/")
    .replace(/\.git$/, "");
const { repository } = JSON.parse(read("package.json"));
const origin = spawnSync("git", ["remote", "get-url", "origin"], { cwd: root, encoding: "utf8" }).stdout ?? "";
if (values.publish && address(origin) !== address(repository.url)) {
  const found = origin.trim() === "" ? "there is no remote origin" : `origin is ${origin.trim()}`;
  fail(`package.json says ${repository.url}, but ${found}; correct repository, homepage and bugs, or clone from there`);
}

const changes = read("CHANGELOG.md");
const [, notes = ""] = /\n## Unreleased\n([\s\S]*?)(?=\n## |$)/.exec(changes) ?? [];
if (notes.trim() === "") fail("CHANGELOG.md has nothing under Unreleased");
const date = new Date().toISOString().slice(0, 10);

run("npm", ["version", version, "--no-git-tag-version", "--allow-same-version"]);
writeFileSync(
  join(root, "CHANGELOG.md"),
  changes.replace("\n## Unreleased\n", `\n## Unreleased\n\n## ${version} (${date})\n`),
);
if (!values["skip-tests"]) run("npm", ["test"]);
run(process.execPath, [join(root, "scripts/set-up.mjs")]);
run("npm", ["publish", "--dry-run", "--provenance", "--access", "public"]);
run("git", ["commit", "--all", "--message", `Version ${version}`]);
run("git", ["tag", `v${version}`]);
if (values.publish) run("npm", ["publish", "--provenance", "--access", "public"]);
console.log(
  `release: ${version} is committed and tagged${values.publish ? " and published" : "; push it, and publish from there with --provenance"}`,
);
