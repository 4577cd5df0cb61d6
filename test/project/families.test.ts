/** A family is one file: nothing else in the code names it but the one list. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { FAMILIES } from "../../src/model/families/index.ts";

const src = fileURLToPath(new URL("../../src/", import.meta.url));
const LIST = "model/families/index.ts";
const SHARED = new Set([LIST, "model/families/family.ts", "model/families/windows.ts"]);
const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({ name: name.replaceAll("\\", "/"), text: readFileSync(join(src, name), "utf8") }));
const own = files.filter(({ name }) => name.startsWith("model/families/") && !SHARED.has(name));

test("each family has a file, and each file is a family", () => {
  expect(own).toHaveLength(FAMILIES.length);
});

test.each(own.map(({ name }) => name))("outside of %s and its kin, only the list imports the family", (file) => {
  const path = file.slice(file.lastIndexOf("/"));
  const imports = (name: string, text: string): boolean =>
    text.includes(`/families${path}"`) || (name.startsWith("model/families/") && text.includes(`.${path}"`));
  const importers = files.filter(({ name, text }) => !own.some((kin) => kin.name === name) && imports(name, text));
  expect(importers.map(({ name }) => name)).toEqual([LIST]);
});

const COMMENTS = /^ *\/?\*.*$/gm;

/** Names of tokenizers are the tokenizers' own, and "llama" is one of GGUF's too. */
const named = files.filter(({ name }) => !name.startsWith("model/families/") && !name.startsWith("text/"));

test.each(FAMILIES.map(({ name }) => name).filter((name) => name !== "llama"))(
  "no other code asks for %s",
  (family) => {
    const naming = named.filter(({ text }) => text.replaceAll(COMMENTS, "").includes(`"${family}"`));
    expect(naming.map(({ name }) => name)).toEqual([]);
  },
);
