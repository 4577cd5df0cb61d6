/** Every package that a file imports is named in package.json: `src/` needs what users install, all else may need more. */
import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
type Named = Readonly<Record<string, string>>;
interface PackageJson {
  readonly name: string;
  readonly dependencies?: Named;
  readonly devDependencies?: Named;
  readonly peerDependencies?: Named;
}
const packageJson = (folder: string): PackageJson =>
  JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
const { name, dependencies = {}, devDependencies, peerDependencies = {} } = packageJson(".");
const own = { ...dependencies, ...devDependencies, [name]: "" };
const peers = packageJson("bench/peers");
const app = packageJson("examples/electron");

/** What a static import, an export from, a dynamic import or a type import names, without comments. */
const IMPORT =
  /(?:^|[;}\s])(?:import|export)\s[^;"'()]*?from\s*"([\w@./:-]+)"|(?:^|[;}\s])import\s*"([\w@./:-]+)"|\bimport\(\s*"([\w@./:-]+)"\s*\)/g;

/** Packages that a file imports, without Node's own and without other files. */
function packagesOf(path: string): string[] {
  const code = readFileSync(path, "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "");
  return [...code.matchAll(IMPORT)]
    .map(([, ...names]) => names.find((each) => each !== undefined)!)
    .filter((each) => !each.startsWith(".") && !isBuiltin(each))
    .map((each) => each.split("/", each.startsWith("@") ? 2 : 1).join("/"));
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => /\.(?:ts|mjs|js)$/.test(path) && !path.includes("node_modules") && !path.includes("fixtures"))
    .map((path) => join(folder, path));
}

test.each([
  ["src", { ...dependencies, ...peerDependencies }],
  ["bench", { ...own, ...peers.dependencies, ...peers.devDependencies }],
  ["examples", { ...own, ...app.devDependencies }],
  ...["scripts", "recipes", "test", "web"].map((folder) => [folder, own] as const),
] as const)("what %s/ imports is named", (folder, named) => {
  const unnamed = filesBelow(folder).flatMap((path) =>
    packagesOf(join(root, path))
      .filter((each) => !Object.hasOwn(named, each))
      .map((each) => `${path}: ${each}`),
  );
  expect(unnamed).toEqual([]);
});

test("what is named is imported", () => {
  const imported = new Set(filesBelow("src").flatMap((path) => packagesOf(join(root, path))));
  expect(Object.keys(dependencies).filter((each) => !imported.has(each))).toEqual([]);
});

test("of the AI SDK, which may be absent, only types are imported", () => {
  const imports = filesBelow("src/ai-sdk").flatMap((path) => {
    const code = readFileSync(join(root, path), "utf8");
    return [...code.matchAll(/(?:^|\n)import( type)?\b[^;]*?from "@ai-sdk\/provider"/g)].map(([, type]) => type);
  });
  expect(imports.length).toBeGreaterThan(0);
  expect(imports).not.toContain(undefined);
});
