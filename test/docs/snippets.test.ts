/**
 * Every command and program that README and documentation print runs as it is printed, in a folder that holds only the files
 * that the page names. Blocks of a page run in order. What cannot run here is listed with the reason.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { allCommands } from "../../src/cli/commands.ts";
import { runProgram } from "../../src/cli/program.ts";
import { type Block, type Page, pages, root } from "./pages.ts";
import { openWorkplace, type Ran, type Server, type Workplace } from "./workplace.ts";

const commands = await allCommands();

const TIME = 240_000;

/** Lines that cannot run in a test, and why. */
const NOT_RUN: readonly [line: RegExp, why: string][] = [
  [/^npm i /, "needs a registry; the names are checked"],
  [/^cllm demo --train$/, "trains for five minutes; test/recipes runs the same recipe at a tiny scale"],
  [/--adapter \S*spider\b/, "needs the real SmolLM2-135M; test/checkpoint/shipped-adapters.test.ts reads the adapter"],
  [/^cllm merge /, "needs all shards; docs/guide/cluster.md makes some and joins them"],
  [/--device gpu\b/, "needs a GPU; test/runtime/webgpu.test.ts and test/train/webgpu.test.ts have one in software"],
  [/^npm run bench -- device /, "needs a GPU; test/project/bench.test.ts runs it with tiny models"],
  [/^cllm eval spider /, "needs Spider's databases; test/tasks/spider.test.ts has some of its own"],
];

const all = pages().filter(({ path }) => !path.startsWith("docs/log/"));
const RUNNABLE = ["sh", "ts", "json", "jsonl"];
const runnableOf = ({ blocks }: Page): readonly Block[] => blocks.filter(({ language }) => RUNNABLE.includes(language));
const blockName = ({ at, language }: Block): string => `${at} (${language})`;

/** Lines of a block as a shell would take them: a quote that is open goes on in the next line. */
function commandLines(code: string): string[] {
  const lines: string[] = [];
  for (const line of code.split("\n").map((each) => each.replace(/\s+# .*$/, ""))) {
    const open = lines.length > 0 && lines.at(-1)!.split("'").length % 2 === 0;
    if (open) lines[lines.length - 1] += `\n${line}`;
    else if (line.trim() !== "" && !line.startsWith("#")) lines.push(line);
  }
  return lines;
}

/** What a failure says, or nothing. */
const complaint = (what: string, { status, stderr }: Ran): string =>
  status === 0 ? "" : `${what} ended with ${status}: ${stderr.slice(-2000)}`;

const programFile = (place: Workplace, { at }: Block): string =>
  join(place.folder, "programs", `${at.replaceAll(/\W/g, "-")}.ts`);

describe.skipIf(process.platform === "win32")("as printed", () => {
  let place: Workplace;
  const used = new Set<RegExp>();

  beforeAll(async () => {
    place = await openWorkplace();
    mkdirSync(join(place.folder, "programs"));
    writeFileSync(join(place.folder, "package.json"), JSON.stringify({ type: "module" }));
    for (const block of all.flatMap(({ blocks }) => blocks))
      if (block.language === "ts") writeFileSync(programFile(place, block), `${block.code}\nexport {};\n`);
  }, TIME);
  afterAll(() => place[Symbol.asyncDispose]());

  test("the programs' types are right", { timeout: TIME }, () => {
    const flags = [
      "--strict",
      "--target",
      "es2022",
      "--lib",
      "es2023,esnext.disposable,dom,dom.iterable",
      "--module",
      "nodenext",
    ];
    const more = ["--types", "node", "--skipLibCheck", "--noEmitOnError", "false"];
    const files = all.flatMap(({ blocks }) => blocks).filter(({ language }) => language === "ts");
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const paths = files.map((block) => programFile(place, block));
    const { stdout } = spawnSync(process.execPath, [tsc, ...flags, ...more, ...paths], {
      encoding: "utf8",
      cwd: place.folder,
    });
    expect(stdout).toBe("");
  });

  describe.each(all.filter((page) => runnableOf(page).length > 0).map((page) => [page.path, page] as const))(
    "%s",
    (path, page) => {
      let folder: string;
      const servers: Server[] = [];
      const endServers = async (): Promise<void> => {
        for (const server of servers.splice(0)) expect([0, 143, null]).toContain(await server.end());
      };
      beforeAll(async () => {
        folder = await place.folderFor(path);
      }, TIME);
      afterAll(endServers, TIME);

      test.each(runnableOf(page).map((block) => [blockName(block), block] as const))(
        "%s",
        { timeout: TIME },
        async (_, block) => {
          const [what, name] = block.note.split(" ");
          if (block.language === "json") JSON.parse(block.code);
          if (block.language === "jsonl") for (const line of block.code.split("\n")) JSON.parse(line);
          if (what === "file") writeFileSync(join(folder, name!), `${block.code}\n`);
          if (what === "browser") return; // test/web has browsers; the types are checked
          if (block.language === "ts") {
            const file = programFile(place, block).replace(/ts$/, "js");
            if (what === "server") {
              await endServers();
              servers.push(await place.start({ file }, folder, /listening on \d/));
              return;
            }
            expect(complaint(block.at, await place.node(file, folder))).toBe("");
          }
          if (block.language !== "sh") return;
          for (const line of commandLines(block.code)) {
            const reason = NOT_RUN.find(([pattern]) => pattern.test(line));
            if (reason !== undefined) used.add(reason[0]);
            else if (/\bcllm serve\b/.test(line)) {
              await endServers();
              servers.push(await place.start({ line: line.replace(/^(\w+=\S+) /, "env $1 ") }, folder, /answers for/));
            } else expect(complaint(line, await place.sh(line, folder))).toBe("");
          }
        },
      );
    },
  );

  test("every reason not to run a line has one", () => {
    expect(NOT_RUN.filter(([pattern]) => !used.has(pattern))).toEqual([]);
  });
});

test("what is to be installed is cllm, or what the tests have installed", () => {
  const { devDependencies, dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const known = ["cllm", ...Object.keys({ ...devDependencies, ...dependencies })];
  const lines = all.flatMap(({ blocks }) => blocks.flatMap(({ code }) => code.match(/^npm i .*$/gm) ?? []));
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    const wanted = line.split(" ").slice(2);
    expect(known).toEqual(expect.arrayContaining(wanted.map((each) => each.replace(/@[\d.]+$/, ""))));
    for (const [name, version] of wanted.map((each) => each.split(/@(?=\d)/)))
      if (version !== undefined) expect(devDependencies[name!]).toBe(version);
  }
});

/** The words of the `cllm` in a line, as a shell would split it. */
function wordsOf(line: string): string[] {
  const words = [...line.matchAll(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
    word.replaceAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ""),
  );
  return words.slice(words.indexOf("cllm") + 1);
}

/** Which command a line means, or its error. */
async function understood(line: string): Promise<string> {
  let said = "";
  const inert = commands.map((command) => ({
    ...command,
    async run() {
      said = command.name;
    },
  }));
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += String(text);
    return true;
  });
  try {
    await runProgram(wordsOf(line), inert, "0.0.0", new AbortController().signal);
  } finally {
    stderr.mockRestore();
  }
  return said;
}

const inline = (page: Page): string[] =>
  [...page.text.replaceAll(/^```[\s\S]*?^```/gm, "").matchAll(/`([^`\n]*)`/g)].map(([, code]) =>
    code!.replaceAll("\\|", "|"),
  );

describe("commands inside sentences", () => {
  const everywhere = pages("CONTRIBUTING.md", "bench", "recipes", "adapters", "models").filter(
    ({ path }) => !path.startsWith("docs/log/"),
  );
  const mentioned = [...new Set(everywhere.flatMap(inline))];
  const ofCllm = mentioned.filter((code) => /^(npx )?cllm [a-z]/.test(code) && !/\b[A-Z]{3,}\b|\.\.\.|…/.test(code));
  const ofNpm = mentioned.filter((code) => /^npm run [\w:]/.test(code));

  test.each(ofCllm)("%s names what there is", async (line) => {
    const [name] = wordsOf(line);
    expect(commands.map((command) => command.name)).toContain(name);
    const said = await understood(line);
    expect(said).not.toMatch(/ has no | takes no |unknown/); // what is missing may be left out of a sentence
  });

  test.each(ofNpm)("%s is a script", (line) => {
    const [, script, benchmark] = /^npm run ([a-z][\w:-]*)(?: -- ([a-z][\w-]*))?/.exec(line)!;
    expect(Object.keys(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).scripts)).toContain(script);
    if (script === "bench" && benchmark !== undefined)
      expect(readFileSync(join(root, "bench", `${benchmark}.ts`), "utf8")).not.toBe("");
  });
});
