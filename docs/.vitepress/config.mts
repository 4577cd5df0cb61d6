/** The site over the Markdown in `docs/`: navigation, search, and links that must not be dead. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type MarkdownRenderer } from "vitepress";

const docs = fileURLToPath(new URL("..", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));

const { version, repository } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const source = String(repository?.url ?? "").replace(/^git\+/, "").replace(/\.git$/, "");

export default defineConfig({
  title: "cllm",
  description: "Several tokens per step, the same text: parallel decoding of language models in TypeScript",
  lang: "en",
  base: process.env["CLLM_DOCS_BASE"] ?? "/",
  cleanUrls: true,
  lastUpdated: false,
  markdown: {
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
    config: (md) => {
      linkToSource(md);
      plainEmptyHeaders(md);
    },
  },
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Guide", link: "/guide/getting-started" },
      { text: "Results", link: "/results/" },
      { text: "API", link: "/api/" },
      { text: version, link: source === "" ? "/" : `${source}/blob/main/CHANGELOG.md` },
    ],
    ...(source !== "" && { socialLinks: [{ icon: "github", link: source }] }),
    sidebar: [
      {
        text: "Guide",
        items: [
          { text: "Getting started", link: "/guide/getting-started" },
          { text: "Choosing a decoder", link: "/guide/decoders" },
          { text: "Command line", link: "/guide/command-line" },
          { text: "Library", link: "/guide/library" },
          { text: "Chat", link: "/guide/chat" },
          { text: "Tools", link: "/guide/tools" },
          { text: "Server", link: "/guide/server" },
          { text: "In the browser", link: "/guide/browser" },
          { text: "Bun, Deno, Electron", link: "/guide/runtimes" },
          { text: "Models", link: "/guide/models" },
          { text: "Sampling and stopping", link: "/guide/sampling" },
          { text: "Structured output", link: "/guide/structured-output" },
          { text: "Train a CLLM", link: "/guide/train" },
          { text: "What to draft from", link: "/guide/drafts" },
          { text: "Medusa heads", link: "/guide/medusa" },
          { text: "Lossless CLLM", link: "/guide/lossless" },
          { text: "Adapters", link: "/guide/adapters" },
          { text: "Batch", link: "/guide/batch" },
          { text: "On a cluster", link: "/guide/cluster" },
          { text: "Replicas", link: "/guide/replicas" },
          { text: "Evaluate", link: "/guide/evaluate" },
          { text: "AI SDK", link: "/guide/ai-sdk" },
          { text: "Embedding: Hono, clients", link: "/guide/embedding" },
        ],
      },
      {
        text: "Explanations",
        items: [
          { text: "Jacobi decoding", link: "/explain/jacobi-decoding" },
          { text: "Consistency training", link: "/explain/consistency-training" },
          { text: "What auto does", link: "/explain/auto" },
          { text: "int8", link: "/explain/int8" },
        ],
      },
      {
        text: "Results",
        items: [
          { text: "All figures", link: "/results/" },
          ...(existsSync(new URL("../results/comparison.md", import.meta.url))
            ? [{ text: "Ways to decode, side by side", link: "/results/comparison" }]
            : []),
          { text: "Measure on your machine", link: "/results/measure" },
        ],
      },
      {
        text: "Architecture",
        items: [
          { text: "Rooms", link: "/architecture/" },
          { text: "A prompt", link: "/architecture/prompt" },
          { text: "A training step", link: "/architecture/training-step" },
          { text: "A request", link: "/architecture/request" },
          { text: "Facts about the engine", link: "/architecture/engine" },
        ],
      },
      {
        text: "How to",
        items: [
          { text: "Add a decoder", link: "/how-to/decoder" },
          { text: "Add a draft source", link: "/how-to/draft" },
          { text: "Add a grammar engine", link: "/how-to/grammar" },
          { text: "Add a device", link: "/how-to/device" },
          { text: "Add a model family", link: "/how-to/family" },
          { text: "Add a task", link: "/how-to/task" },
          { text: "Add a loss", link: "/how-to/loss" },
          { text: "Add other parts", link: "/how-to/other" },
        ],
      },
      {
        text: "Help",
        items: [
          { text: "Troubleshooting", link: "/troubleshooting" },
          { text: "Questions", link: "/faq" },
        ],
      },
      {
        text: "Log",
        items: [
          { text: "int8", link: "/log/int8" },
          { text: "The text-to-SQL model", link: "/log/text-to-sql" },
          { text: "Adapters", link: "/log/adapters" },
          { text: "The server", link: "/log/server" },
          { text: "The browser", link: "/log/browser" },
          { text: "Loading", link: "/log/loading" },
          { text: "Structured output", link: "/log/structured-output" },
          { text: "Model families", link: "/log/families" },
        ],
      },
    ],
  },
});

/** Links to files of the repository that are no pages of the site lead to the repository. */
function linkToSource(md: MarkdownRenderer): void {
  md.core.ruler.push("link-to-source", ({ tokens, env }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const href = token.type === "link_open" ? token.attrGet("href") : null;
      if (href === null || !href.startsWith("../")) continue;
      const path = resolve(dirname((env as { path: string }).path), decodeURI(href).replace(/#.*$/, ""));
      if (!relative(docs, path).startsWith("..")) continue;
      token.attrSet("href", `${source === "" ? "https://www.npmjs.com/package/cllm?file=" : `${source}/blob/main/`}${relative(root, path)}`);
    }
  });
}

/** A table's empty corner is no header. */
function plainEmptyHeaders(md: MarkdownRenderer): void {
  md.core.ruler.push("plain-empty-headers", ({ tokens }) => {
    for (const [i, token] of tokens.entries()) {
      if (token.type !== "th_open" || tokens[i + 1]?.content.trim() !== "") continue;
      token.tag = "td";
      tokens[i + 2]!.tag = "td";
    }
  });
}
