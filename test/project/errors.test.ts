/**
 * Errors in one voice, as far as it can be read off the sources: a message begins with a small letter, unless it is a name,
 * has no full stop at its end, and joins its parts by a semicolon or a colon.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** Names that begin with a capital letter. */
const NAMES = /^(?:[A-Z]+[A-Z0-9_-]+\b|[A-Z][a-z]+[A-Z]\w*|SQLite|Hugging Face|Jinja|Node|Python|Spider|Parquet)/;

interface Message {
  readonly where: string;
  readonly text: string;
}

/** The messages of `new CllmError(code, "...")`, and what `const message`, `const next` and `const hint` hold for them. */
function messages(): Message[] {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  return files.flatMap((path) => {
    const code = readFileSync(`src/${path}`, "utf8");
    if (!code.includes("CllmError")) return [];
    const direct = /new CllmError\(\s*[^,()]+,\s*(["`])((?:\\.|(?!\1)[^\\])*)\1/g;
    const parts = /const (?:message|next|hint) =\s*(["`])((?:\\.|(?!\1)[^\\])*)\1;/g;
    return [direct, parts].flatMap((pattern) =>
      [...code.matchAll(pattern)].map(({ index, 2: text = "" }) => {
        const where = `src/${path}:${code.slice(0, index).split("\n").length}`;
        return { where, text };
      }),
    );
  });
}

const found = messages();
const wrong = (isWrong: (text: string) => boolean): string[] =>
  found.filter(({ text }) => isWrong(text)).map(({ where, text }) => `${where}: ${text}`);

test("there are messages to read", () => {
  expect(found.length).toBeGreaterThan(300);
});

test("a message begins with a small letter, or with a name", () => {
  expect(wrong((text) => /^[A-Z]/.test(text) && !NAMES.test(text))).toEqual([]);
});

test("a message has no full stop at its end", () => {
  expect(wrong((text) => /[^.]\.$/.test(text))).toEqual([]);
});

test("the parts of a message are no sentences of their own", () => {
  expect(wrong((text) => /[a-z0-9)}"]\. (?:[A-Z][a-z]|\$\{(?:next|hint)\})/.test(text))).toEqual([]);
});
