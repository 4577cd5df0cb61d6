/**
 * Laws of README and documentation: short sentences, figures in one place, links that lead somewhere, pictures that say what
 * they show, and no trace of the machine that they were written on.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { folderOf, type Page, pages, proseOf, readPage, root, sentencesOf, wordsOf } from "./pages.ts";

const LONGEST_SENTENCE = 35;
const README_WORDS = 600;

const all = pages("CONTRIBUTING.md", "CHANGELOG.md", "bench", "recipes", "adapters", "models", "examples");
const site = all.filter(({ path }) => path === "README.md" || path.startsWith("docs/"));
const readme = readPage("README.md");

/** Where a page says something, for a message. */
const where = (page: Page, what: string): string => `${page.path}: ${what}`;
const withoutCode = ({ text }: Page): string =>
  text.replaceAll(/^```[\s\S]*?^```/gm, "").replaceAll(/`[^`\n]*`/g, "code");

describe("language", () => {
  test(`no sentence of README and guide is longer than ${LONGEST_SENTENCE} words`, () => {
    const guide = site.filter(({ path }) => path === "README.md" || path.startsWith("docs/guide/"));
    const written = guide.filter(({ path }) => path !== "docs/guide/command-line.md"); // the help's own lines
    const long = written.flatMap((page) =>
      proseOf(page)
        .flatMap(sentencesOf)
        .filter((sentence) => wordsOf(sentence).length > LONGEST_SENTENCE)
        .map((sentence) => where(page, sentence)),
    );
    expect(long).toEqual([]);
  });

  test(`the README has at most ${README_WORDS} words, tables included, without blocks of code`, () => {
    const cells = readme.text.match(/^\|.*$/gm)!.filter((line) => !/^\|[-|]+$/.test(line));
    const words = [...proseOf(readme), ...cells].flatMap(wordsOf);
    expect(words.length).toBeLessThanOrEqual(README_WORDS);
  });
});

describe("figures", () => {
  const results = readdirSync(join(root, "bench/results"))
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(join(root, "bench/results", name), "utf8")) as unknown);

  /** Every number of the stored results, also those inside their texts. */
  const measured = new Set<number>();
  const gather = (value: unknown): void => {
    if (typeof value === "number") measured.add(value);
    if (typeof value === "string")
      for (const [number] of value.matchAll(/\d+(?:\.\d+)?/g)) measured.add(Number(number));
    if (typeof value === "object" && value !== null)
      for (const [name, inner] of Object.entries(value)) if (name !== "chunks") gather(inner); // moments of a recording
  };
  for (const result of results) {
    const { commands: _, commit: __, ...figures } = result as { commands?: unknown; commit?: unknown };
    gather(figures);
  }

  test("of bench/results stand in tables that are made from them, and nowhere else", () => {
    // What looks like a measurement: two decimals or more, or a per cent or times sign behind it. No measurement are the
    // numbers of papers and versions, the level of an interval, and counts below ten. Logs keep their own figures.
    const FIGURE =
      /(?<![\w.]|arXiv:|abs\/|Node(?:\.js)? |Runtime )(?!95 % intervals)(\d+\.\d{2,}(?!\.?\d)|\d+(?:\.\d+)?(?= ?%| ?[x×](?!\w)))/g;
    const CONSTANTS = ["docs/explain/auto.md: 1.5", "recipes/README.md: 0.80", "recipes/README.md: 0.92"]; // settings, which are not measured
    const twice = all
      .filter(({ path }) => !path.startsWith("docs/log/"))
      .flatMap((page) =>
        [
          ...withoutCode({ ...page, text: page.text.replaceAll(/<!-- table[\s\S]*?<!-- \/table -->/g, "") }).matchAll(
            FIGURE,
          ),
        ]
          .map(([figure]) => figure)
          .filter((figure) => measured.has(Number(figure)) && !/^\d$/.test(figure))
          .map((figure) => where(page, figure))
          .filter((said) => !CONSTANTS.includes(said)),
      );
    expect(measured.size).toBeGreaterThan(100);
    expect(twice).toEqual([]);
  });
});

/** What a heading is called in an address, on GitHub and on the site. */
const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[`*]|\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");

function anchorsOf(path: string): Set<string> {
  const text = readFileSync(path, "utf8").replaceAll(/^```[\s\S]*?^```/gm, "");
  return new Set(
    [...text.matchAll(/^#+ (.*?)(?: \{#([\w-]+)\})?$/gm)].flatMap(([, heading, id]) => [
      slug(heading!),
      ...(id ? [id] : []),
    ]),
  );
}

describe("links and pictures", () => {
  const targets = (page: Page): string[] =>
    [...withoutCode(page).matchAll(/\]\(([^)\s]+)\)/g), ...page.text.matchAll(/(?:src|srcset|href)="([^"]+)"/g)].map(
      ([, target]) => target!,
    );

  test("lead to files and headings that are there", () => {
    const dead = all.flatMap((page) =>
      targets(page)
        .filter((target) => !/^(https?:|mailto:)/.test(target))
        .filter((target) => {
          const [file, anchor] = target.split("#") as [string, string?];
          const path = file === "" ? join(root, page.path) : resolve(folderOf(page), file);
          if (relative(root, path).startsWith("docs/api/")) return false; // made with the site
          if (!existsSync(path)) return true;
          return anchor !== undefined && path.endsWith(".md") && !anchorsOf(path).has(anchor);
        })
        .map((target) => where(page, target)),
    );
    expect(dead).toEqual([]);
  });

  test("code inside sentences names files that are there", () => {
    const missing = all
      .filter(({ path }) => !path.startsWith("docs/log/"))
      .flatMap((page) =>
        [
          ...page.text.matchAll(
            /`((?:src|test|bench|scripts|recipes|examples|web|docs)\/[\w./-]*\w\.?(?:ts|mjs|py|md|json|svg))`/g,
          ),
        ]
          .map(([, path]) => path!)
          .filter((path) => !/NAME/.test(path) && !existsSync(join(root, path)))
          .map((path) => where(page, path)),
      );
    expect(missing).toEqual([]);
  });

  test("every picture has a text, and what is shown in light is shown in dark", () => {
    const silent = all.flatMap((page) => [
      ...[...page.text.matchAll(/!\[([^\]]*)\]\([^)]*\)/g)]
        .filter(([, alt]) => alt!.trim() === "")
        .map(([tag]) => where(page, tag)),
      ...[...page.text.matchAll(/<img\b[^>]*>/g)]
        .filter(([tag]) => !/\balt="[^"]{3,}"/.test(tag))
        .map(([tag]) => where(page, tag)),
    ]);
    expect(silent).toEqual([]);
    const pictures = readdirSync(join(root, "docs/pictures"));
    for (const name of pictures.filter((name) => name.endsWith("-light.svg")))
      expect(pictures).toContain(name.replace("light", "dark"));
  });

  test("raster pictures are small, and every picture is shown somewhere", () => {
    const shown = all.map(({ text }) => text).join("\n");
    for (const name of readdirSync(join(root, "docs/pictures"))) {
      expect(shown).toContain(`pictures/${name}`);
      if (!name.endsWith(".svg")) expect(statSync(join(root, "docs/pictures", name)).size).toBeLessThanOrEqual(200_000);
    }
  });
});

describe("no trace of the place where it was made", () => {
  const MACHINE = /(?<![\w.])\/(?:home|root|work|tmp|Users)\/|\.\.\/shared\b/;

  test("in README, documentation and cards", () => {
    expect(all.filter(({ text }) => MACHINE.test(text)).map(({ path }) => path)).toEqual([]);
  });

  test("in src, and in one file of the tests and benchmarks", () => {
    const files = (folder: string): string[] =>
      readdirSync(join(root, folder), { recursive: true })
        .map((name) => join(folder, String(name)))
        .filter((path) => /\.(ts|mjs|js|py)$/.test(path) && path !== relative(root, import.meta.filename));
    const naming = (folder: string): string[] =>
      files(folder).filter((path) => /\.\.\/shared\b|["'`]shared\//.test(readFileSync(join(root, path), "utf8")));
    expect(naming("src")).toEqual([]);
    expect([...naming("bench"), ...naming("test"), ...naming("scripts")]).toEqual(["scripts/real-data.mjs"]);
  });
});
