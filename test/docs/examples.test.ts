/**
 * Every public function and class shows how it is used: an @example in its doc comment, whose types are right. The examples use
 * what is exported, and a few values that a reader has by then: a model, a session, a prompt.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";
import * as aiSdk from "../../src/ai-sdk/index.ts";
import * as decode from "../../src/decode/index.ts";
import * as main from "../../src/index.ts";
import * as serve from "../../src/serve/index.ts";
import * as train from "../../src/train/index.ts";
import { root } from "./pages.ts";

const ENTRIES = {
  "src/index.ts": main,
  "src/ai-sdk/index.ts": aiSdk,
  "src/decode/index.ts": decode,
  "src/train/index.ts": train,
  "src/serve/index.ts": serve,
};

/** What examples take for granted. */
const GIVEN = `
declare const model: LanguageModel;
declare const session: Session;
declare const prompt: TokenIds;
declare const costs: PassCosts;
declare const tensors: readonly NamedTensor[];
declare const prompts: readonly CollectionPrompt[];
declare const training: PreparedTraining;
declare const examples: readonly Example[];
declare const report: CollectionReport;
declare const models: Models;
declare const small: LanguageModel;
`;
const TYPES = {
  "src/index.ts": ["LanguageModel", "Session", "TokenIds", "PassCosts", "NamedTensor", "DecodeOptions"],
  "src/train/index.ts": ["CollectionPrompt", "PreparedTraining", "Example", "CollectionReport"],
  "src/serve/index.ts": ["Models"],
};

/** Where each function or class of an entry point is declared. */
function declared(): Map<string, string> {
  const files = new Map<string, string>();
  for (const [entry, module] of Object.entries(ENTRIES)) {
    const text = readFileSync(join(root, entry), "utf8");
    for (const [, names, from] of text.matchAll(/export \{([^}]*)\} from "([^"]+)"/g)) {
      for (const name of names!.split(",").map((each) => each.trim())) {
        const value = (module as Record<string, unknown>)[name];
        if (typeof value !== "function" || from!.endsWith("/index.ts")) continue;
        files.set(name, normalize(join(dirname(entry), from!)));
      }
    }
  }
  return files;
}

/** The example in the comment right before a declaration, or null. */
function exampleOf(name: string, path: string): string | null {
  const text = readFileSync(join(root, path), "utf8");
  const at = new RegExp(`^export (?:async )?(?:function\\*?|const|class) ${name}\\b`, "m").exec(text)!.index;
  const [, comment = ""] = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n$/.exec(text.slice(0, at)) ?? [];
  const [, code] = /@example\s([\s\S]*)$/.exec(comment.replaceAll(/^ *\* ?/gm, "")) ?? [];
  return code?.trim() ?? null;
}

const functions = declared();

test.each([...functions])("%s shows how it is used", (name, path) => {
  const example = exampleOf(name, path);
  expect(example).not.toBeNull();
  expect(example).toContain(name);
});

test("the examples' types are right", { timeout: 120_000 }, () => {
  const scratch = mkdtempSync(join(root, "test", "docs", ".examples-")); // beside the packages that the types need
  try {
    mkdirSync(join(scratch, "each"));
    const imports = Object.keys(ENTRIES).map((entry) => {
      const types = (TYPES as Record<string, string[]>)[entry] ?? [];
      const from = JSON.stringify(`../../../../${entry}`);
      return (own: readonly string[]): string => {
        const names = [...own, ...types.map((type) => `type ${type}`)];
        return names.length === 0 ? "" : `import { ${names.join(", ")} } from ${from};`;
      };
    });
    const paths = [...functions].map(([name, path]) => {
      const example = exampleOf(name, path) ?? "";
      const local = new Set(
        [...example.matchAll(/\b(?:const|function\*?) (?:\{([^}]*)\}|(\w+))/g)].flatMap(([, several, one]) =>
          (several ?? one ?? "").split(",").map((each) => each.trim()),
        ),
      );
      const taken = new Set<string>();
      const used = Object.values(ENTRIES).map((module) =>
        Object.keys(module).filter((each) => {
          const wanted = !taken.has(each) && !local.has(each) && new RegExp(`\\b${each}\\b`).test(example);
          if (wanted) taken.add(each);
          return wanted;
        }),
      );
      const given = GIVEN.split("\n").filter((line) => !local.has(/const (\w+)/.exec(line)?.[1] ?? ""));
      const file = join(scratch, "each", `${name}.ts`);
      const head = imports.map((importing, i) => importing(used[i]!)).join("\n");
      writeFileSync(file, `${head}\n${given.join("\n")}\n{\n${example}\n}\nexport {};\n`);
      return file;
    });
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const flags = [
      "--noEmit",
      "--ignoreConfig",
      "--strict",
      "--noUncheckedIndexedAccess",
      "--exactOptionalPropertyTypes",
      "--target",
      "es2023",
      "--lib",
      "es2023,esnext.disposable",
    ];
    const more = ["--module", "nodenext", "--types", "node", "--skipLibCheck", "--allowImportingTsExtensions"];
    const { stdout } = spawnSync(process.execPath, [tsc, ...flags, ...more, ...paths], { encoding: "utf8", cwd: root });
    expect(stdout).toBe("");
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
