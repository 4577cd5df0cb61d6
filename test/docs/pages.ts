/**
 * README and documentation as the tests read them: pages, fenced blocks, prose. Knows no command and no rule.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));

export interface Block {
  /** Such as `docs/guide/train.md:12`. */
  readonly at: string;
  readonly language: string;
  readonly code: string;
  /** What a comment before the block says to its test: `<!-- test: file faq.jsonl -->`. */
  readonly note: string;
}

export interface Page {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

const SKIPPED = new Set(["node_modules", ".vitepress", "api"]);

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : markdownIn(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

export function readPage(path: string): Page {
  const text = readFileSync(join(root, path), "utf8");
  return { path, text, blocks: blocksOf(path, text) };
}

/** README and every page of `docs/`; those of folders beside them on request. */
export function pages(...others: readonly string[]): Page[] {
  const paths = ["README.md", ...markdownIn("docs").sort(), ...others.flatMap((other) => found(other))];
  return paths.map(readPage);
}

const found = (path: string): string[] => (path.endsWith(".md") ? [path] : markdownIn(path));

function blocksOf(path: string, text: string): Block[] {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  for (let i = 0; i < lines.length; i++) {
    const [, fence, language] = /^(`{3,})(\w*)/.exec(lines[i]!) ?? [];
    if (fence === undefined) continue;
    const end = lines.indexOf(fence, i + 1);
    if (end < 0) throw new Error(`${path}:${i + 1}: the block does not end`);
    const before = lines.slice(Math.max(0, i - 2), i).join("\n");
    const [, note = ""] = /<!-- test: (.*) -->\s*$/.exec(before) ?? [];
    blocks.push({ at: `${path}:${i + 1}`, language: language!, code: lines.slice(i + 1, end).join("\n"), note });
    i = end;
  }
  return blocks;
}

/** The text without what is no prose: front matter, blocks, tables, pictures, HTML and comments. Paragraphs are one line each. */
export function proseOf({ text }: Page): string[] {
  return text
    .replace(/^---\n[\s\S]*?\n---\n/, "")
    .replaceAll(/<!-- (table|fields)[\s\S]*?<!-- \/\1 -->/g, "")
    .replaceAll(/<!--[\s\S]*?-->/g, "")
    .replaceAll(/^```[\s\S]*?^```/gm, "\n")
    .replaceAll(/<picture>[\s\S]*?<\/picture>/g, "")
    .replaceAll(/!?\[!?\[[^\]]*\]\([^)]*\)\]\([^)]*\)|!\[[^\]]*\]\([^)]*\)/g, "")
    .split(/\n(?:\s*\n|(?=\s*(?:[-*]|\d+\.|#+|\|) ?))/)
    .map((paragraph) => paragraph.trim())
    .filter((paragraph) => paragraph !== "" && !paragraph.startsWith("|"))
    .map((paragraph) =>
      paragraph
        .replace(/^([-*]|\d+\.|#+) /, "")
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
        .replaceAll(/\s+/g, " "),
    );
}

/** Words that people read: a piece of code is one word, however long. */
export function wordsOf(paragraph: string): string[] {
  return paragraph
    .replaceAll(/`[^`]*`/g, "code")
    .split(/\s+/)
    .filter((word) => /[\p{L}\p{N}]/u.test(word));
}

/** Sentences of a paragraph: up to a full stop, question mark, exclamation mark or colon at a line's end before a capital. */
export function sentencesOf(paragraph: string): string[] {
  return paragraph
    .replaceAll(/`[^`]*`/g, (code) => code.replaceAll(/[.?!]/g, "·"))
    .split(/(?<=[.?!][)"]?)\s+(?=[\p{Lu}`*[("θ])/u);
}

export const folderOf = (page: Page): string => dirname(join(root, page.path));
