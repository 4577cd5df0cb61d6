/**
 * What a recipe is: commands of cllm in order, each of which goes on where it was stopped and leaves a file when it is done.
 * Runs them one by one, each in a process of its own, and shows what it runs so that anybody can run it by hand. Knows no task.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { openCheckpoint } from "../src/checkpoint/open.ts";
import { createTokenizer } from "../src/text/tokenizer.ts";
import { openTrajectories } from "../src/trajectory/open.ts";
import { astrayPrompts, mixed, type Prompt, type Row } from "./astray.ts";

export interface Step {
  readonly name: string;
  /** The file or folder that is there once the step is done. */
  readonly makes: string;
  /** The command's arguments, or the work itself. */
  readonly run: readonly string[] | (() => Promise<void>);
}

export interface RecipeOptions {
  /** GGUF file, directory or hub id of the base. */
  readonly model: string;
  /** Folder of the data sets. */
  readonly dataDir: string;
  /** Where everything goes. */
  readonly out: string;
  /** A few steps of everything, to see that it runs. */
  readonly small: boolean;
}

export type Recipe = (options: RecipeOptions) => readonly Step[];

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

/** Runs what is not done yet. Returns the status of the first command that failed, or 0. */
export async function runSteps(steps: readonly Step[], say: (line: string) => void): Promise<number> {
  for (const { name, makes, run } of steps) {
    if (existsSync(makes)) {
      say(`${name}: done, ${relative(".", makes)}`);
      continue;
    }
    await mkdir(dirname(makes), { recursive: true });
    if (typeof run === "function") {
      say(`${name}: begins`);
      await run();
      continue;
    }
    say(`${name}: cllm ${run.map(quoted).join(" ")}`);
    const child = spawn(process.execPath, [main, ...run], { stdio: "inherit" });
    const [status, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    if (status !== 0) {
      say(`${name}: stopped${signal === null ? "" : ` by ${signal}`}; the same command goes on`);
      return status ?? 1;
    }
  }
  return 0;
}

const quoted = (argument: string): string => (/^[\w./:=,@-]+$/.test(argument) ? argument : JSON.stringify(argument));

export interface Scale {
  /**
   * Steps of fine-tuning, of consistency training on the target's own answers, then on the data's answers, and at last on those
   * and what the target writes behind mistakes of the CLLM. 0 leaves a stage out; the last two come together.
   */
  readonly target: number;
  readonly own: number;
  readonly gold: number;
  readonly mixed: number;
  /** Training prompts whose answers are collected of the target, and of the CLLM; and questions of the evaluation. */
  readonly collected: number;
  readonly retried: number;
  readonly asked: number | null;
  /** Tokens of a sequence. */
  readonly sequence: number;
  /** Places of an answer that consistency training guesses on from, each time that it sees it. */
  readonly points: number;
  /** What the AR loss counts in consistency training. */
  readonly arWeight: number;
}

export interface AdapterRecipe {
  readonly task: string;
  /** Flags that the task's evaluation needs. */
  readonly asking: readonly string[];
  /** Writes training's prompts and answers as JSON Lines. */
  readonly writeData: (dataDir: string, path: string) => Promise<void>;
  readonly scale: Scale;
  readonly answerTokens: number;
  readonly keepTogether: number;
}

/** What the adapters are for, wherever the file of it came from. */
const baseModel = "HuggingFaceTB/SmolLM2-135M-Instruct";
/** A token of SmolLM2 that no text has: guesses that are not there yet. */
const GAP = 16; // <empty_output>

/**
 * Fine-tune an adapter on the task, collect its own answers, teach it consistency on those and, where `gold` steps are asked for,
 * on the data's answers, and ask both with all decoders. Both adapters are for the base as it is in its file.
 */
export function adapterRecipe({ task, asking, writeData, scale, answerTokens, keepTogether }: AdapterRecipe): Recipe {
  return ({ model, dataDir, out, small }) => {
    const at = (...path: string[]): string => join(out, ...path);
    const { target, own, gold, collected, retried, asked, sequence, points, arWeight, ...scaled } = small
      ? {
          ...{ ...scale, target: 2, own: 2, gold: Math.min(2, scale.gold), mixed: Math.min(2, scale.mixed) },
          // A tiny vocabulary makes many tokens of a text.
          ...{ collected: 4, retried: keepTogether, asked: 2, sequence: 2 * scale.sequence },
        }
      : scale;
    const data = at("train.jsonl");
    const questions = at("questions.jsonl");
    const [retry, astray, mix] = [at("retry/questions.jsonl"), at("retry/astray.jsonl"), at("retry/mixed.jsonl")];
    const [tried, ways] = [at("retry/own.parquet"), at("retry/ways.parquet")];
    const prompted = ["--prompt-field", "prompt", "--id-field", "id", "--raw"];
    const fields = [...prompted, "--answer-field", "answer"];
    const packs = ["--sequence-length", String(sequence), "--keep-together", String(keepTogether)];
    const pace = [
      "--held-out",
      small ? "2" : "32",
      "--evaluate-every",
      small ? "2" : "250",
      "--checkpoint-every",
      "50",
    ];
    /** Consistency training, from where the stage before it ended. */
    const stage = (name: string, from: string, source: readonly string[], steps: number, rate: string): Step => ({
      name: `consistency, ${name} answers`,
      makes: at(name, "final"),
      run: [
        ...["train", "--model", model, "--from-adapter", at(from, "final"), ...packs, ...pace, "--out", at(name)],
        ...[...source, "--objective", "consistency", "--steps", String(steps)],
        ...["--learning-rate", rate, "--warmup-steps", "30", "--ar-weight", String(arWeight), "--block-size", "8"],
        ...["--row-decay", "0.8", "--points-per-example", String(points), "--refinements", "1"],
        ...["--leading-points", "1", "--draft-token", String(GAP)],
      ],
    });
    /** The greedy answers of an adapter, which training makes its own points of: in blocks of one token they come fastest. */
    const collect = (
      name: string,
      from: string,
      prompts: readonly string[],
      rest: readonly string[],
      makes: string,
    ) => ({
      name,
      makes,
      run: [
        ...["collect", "--model", model, "--adapter", at(from, "final"), "--data", ...prompts],
        ...["--parallel", "8", "--block-size", "1", "--max-sequence-tokens", String(sequence), ...rest, "--out", makes],
      ],
    });
    const budget = (share = 1): string[] => ["--max-new-tokens", String(answerTokens * share)];
    const ended = [...budget(), small ? "--no-clean" : "--require-end"];
    const cllm = at(scaled.mixed > 0 ? "mixed" : gold > 0 ? "gold" : "own", "final");
    const adapters = [["target", at("target/final")] as const, ["cllm", cllm] as const];
    return [
      { name: "data", makes: data, run: () => writeData(dataDir, data) },
      {
        name: "target",
        makes: at("target/final"),
        run: [
          ...[
            "train",
            "--model",
            model,
            "--data",
            data,
            ...fields,
            ...packs,
            ...pace,
            "--objective",
            "ar",
            "--out",
            at("target"),
          ],
          ...["--lora-rank", "32", "--learning-rate", "4e-4", "--warmup-steps", "30", "--steps", String(target)],
        ],
      },
      { name: "questions", makes: questions, run: () => writeShare(data, questions, keepTogether, collected) },
      collect("trajectories", "target", [questions, ...fields], ended, at("trajectories.parquet")),
      stage("own", "target", ["--trajectories", at("trajectories.parquet")], own, "1e-3"),
      ...(gold === 0 ? [] : [stage("gold", "own", ["--data", data, ...fields], gold, "6e-4")]),
      ...(scaled.mixed === 0
        ? []
        : [
            { name: "questions again", makes: retry, run: () => writeGroups(data, retry, keepTogether, retried) },
            // Answers that go round in circles are what is looked for; that they do shows well before the budget ends.
            collect("the CLLM's answers", "gold", [retry, ...fields], ["--no-clean", ...budget(0.75)], tried),
            { name: "astray", makes: astray, run: async () => writeAstray(retry, await answers(tried, model), astray) },
            collect("ways on", "target", [astray, ...prompted], ended, ways),
            {
              name: "mixed",
              makes: mix,
              run: async () => writeMixed(retry, astray, await answers(ways, model), mix, keepTogether),
            },
            stage("mixed", "gold", ["--data", mix, ...fields], scaled.mixed, "4e-4"),
          ]),
      ...adapters.map(([name, from]) => ({
        name: `${name} as it ships`,
        makes: at(`${name}-f16`),
        run: [
          ...["export", "--model", model, "--adapter", from, "--format", "adapter", "--dtype", "f16"],
          ...["--base-model", baseModel, "--to", at(`${name}-f16`)],
        ],
      })),
      {
        name: "evaluation",
        makes: at("evaluation/report.html"),
        run: [
          ...["eval", task, ...asking, "--data-dir", dataDir, "--model", `base=${model}`, "--only-adapters"],
          ...adapters.flatMap(([name]) => ["--adapter", `${name}=${at(`${name}-f16`)}`]),
          ...[
            "--target",
            "base:target",
            "--precision",
            "int8",
            "--decoders",
            "ar,jacobi,lookahead,prompt-lookup,auto",
            "--trajectories",
            "20",
          ],
          ...["--max-new-tokens", String(answerTokens), ...(asked === null ? [] : ["--limit", String(asked)])],
          ...["--out", at("evaluation")],
        ],
      },
    ];
  };
}

/** About `count` rows of a file, in groups of `group` neighbours from all over it. */
async function writeShare(from: string, to: string, group: number, count: number): Promise<void> {
  const rows = (await readFile(from, "utf8")).trimEnd().split("\n");
  const every = Math.max(1, Math.floor(rows.length / count));
  const share = rows.filter((_, index) => Math.floor(index / group) % every === 0).slice(0, count);
  await writeFile(to, share.map((row) => `${row}\n`).join(""));
}

/** As many whole groups as `count` rows make, from all over a file. */
async function writeGroups(from: string, to: string, group: number, count: number): Promise<void> {
  const rows = await readRows(from);
  const [there, wanted] = [Math.floor(rows.length / group), Math.floor(count / group)];
  const drawn = Array.from({ length: Math.min(there, wanted) }, (_, i) => Math.floor(((i + 0.5) * there) / wanted));
  await writeFile(to, asLines(drawn.flatMap((place) => rows.slice(place * group, (place + 1) * group))));
}

async function writeAstray(questions: string, own: ReadonlyMap<string, string>, to: string): Promise<void> {
  await writeFile(to, asLines(astrayPrompts(await readRows(questions), own)));
}

async function writeMixed(
  questions: string,
  astray: string,
  ways: ReadonlyMap<string, string>,
  to: string,
  group: number,
) {
  await writeFile(to, asLines(mixed(await readRows(questions), await readRows<Prompt>(astray), ways, group)));
}

async function readRows<R extends Prompt = Row>(path: string): Promise<R[]> {
  return (await readFile(path, "utf8"))
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as R);
}

/** The collected answers as text, by id. */
async function answers(path: string, model: string): Promise<Map<string, string>> {
  const checkpoint = await openCheckpoint(model);
  try {
    const tokenizer = createTokenizer(checkpoint.tokenizer, checkpoint.config.vocabSize);
    const { completions } = await openTrajectories(path);
    const text = (ids: Int32Array): string => tokenizer.decode(ids, { skipSpecialTokens: true });
    return new Map(completions.map(({ dataId, completionIds }) => [dataId, text(completionIds)]));
  } finally {
    await checkpoint.close();
  }
}

/** JSON Lines, whole or not at all. */
export const asLines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
