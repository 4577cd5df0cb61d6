/**
 * Bun and Deno run the built package as it is: they write what Node writes. Both are taken from npm, once, into `node_modules/.cache`;
 * skipped where they cannot be had.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const VERSIONS = { bun: "1.4.5", deno: "2.9.6" };
const folder = join(root, "node_modules/.cache/runtimes");
const TIME = 120_000;

/** The program of a runtime, which npm has as a package of the platform; undefined where there is none. */
function programOf(name: keyof typeof VERSIONS): string | undefined {
  const scope = join(folder, "node_modules", { bun: "@oven", deno: "@deno" }[name]);
  const file = process.platform === "win32" ? `${name}.exe` : name;
  try {
    const paths = (readdirSync(scope, { recursive: true }) as string[]).filter((path) =>
      path.replaceAll("\\", "/").endsWith(`/${file}`),
    );
    return paths
      .map((path) => join(scope, path))
      .find((path) => spawnSync(path, ["--version"], { encoding: "utf8" }).stdout?.includes(VERSIONS[name]));
  } catch {
    return undefined;
  }
}

function installed(name: keyof typeof VERSIONS): string | undefined {
  const there = programOf(name);
  if (there !== undefined) return there;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  const flags = ["--ignore-scripts", "--include=optional", "--no-audit", "--no-fund", "--fetch-retries=0"];
  spawnSync("npm", ["i", ...flags, `${name}@${VERSIONS[name]}`], {
    ...{ cwd: folder, stdio: "ignore", timeout: TIME },
    shell: process.platform === "win32",
  });
  return programOf(name);
}

const [first] = readFileSync(join(root, "models/text-to-sql/held-out.jsonl"), "utf8").split("\n");
const { prompt } = JSON.parse(first!) as { readonly prompt: string };

const model = join(root, "models/text-to-sql");

/** What a program prints last, which is JSON. */
function lastLine(program: string, words: readonly string[]): unknown {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: "utf8", timeout: TIME });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}

const written = (program: string, flags: readonly string[]): unknown =>
  lastLine(program, [...flags, join(root, "test/runtimes/program.mjs"), join(root, "dist"), model, prompt]);

test("the model process of the example for Electron streams and stops", { timeout: TIME }, () => {
  const program = join(root, "test/runtimes/electron.mjs");
  const said = lastLine(process.execPath, [program, join(root, "examples/electron/model.mjs"), model, prompt]);
  const messages = said as {
    readonly id: number;
    readonly text?: string;
    readonly stats?: object;
    readonly error?: string;
  }[];
  const text = messages.flatMap((each) => (each.id === 1 && each.text !== undefined ? [each.text] : []));
  expect(text.length).toBeGreaterThan(1);
  expect(text.join("")).toMatch(/^\s*SELECT /);
  expect(messages.at(-1)).toEqual({ id: 2, error: expect.stringContaining("aborted") });
});

test.for([
  { name: "bun", flags: [] },
  { name: "deno", flags: ["run", "-A"] },
] as const)("$name writes what Node writes", { timeout: 4 * TIME }, ({ name, flags }, { skip }) => {
  const program = installed(name);
  if (program === undefined) return skip(`npm could not install ${name} for this platform`);
  const expected = written(process.execPath, []);
  expect(Object.keys(expected as object)).toHaveLength(18);
  expect(written(program, flags)).toEqual(expected);
});
