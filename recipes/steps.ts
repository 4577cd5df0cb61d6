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
  /** Steps of fine-tuning, of consistency training on the target's own answers, and then on the data's answers. */
  readonly target: number;
  readonly own: number;
  readonly gold: number;
  /** Training prompts whose answers are collected, and questions of the evaluation. */
  readonly collected: number;
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
    const { target, own, gold, collected, asked, sequence, points, arWeight } = small
      ? { ...scale, target: 2, own: 2, gold: Math.min(2, scale.gold), collected: 4, asked: 2 }
      : scale;
    const data = at("train.jsonl");
    const questions = at("questions.jsonl");
    const fields = ["--prompt-field", "prompt", "--answer-field", "answer", "--id-field", "id", "--raw"];
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
    const cllm = at(gold === 0 ? "own" : "gold", "final");
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
      {
        name: "trajectories",
        makes: at("trajectories.parquet"),
        run: [
          ...["collect", "--model", model, "--adapter", at("target/final"), "--data", questions, ...fields],
          // Training makes its points itself and needs the answers only: in blocks of one token they come fastest.
          ...["--parallel", "8", "--block-size", "1"],
          ...["--max-sequence-tokens", String(sequence), "--max-new-tokens", String(answerTokens)],
          ...(small ? ["--no-clean"] : ["--require-end"]),
          ...["--out", at("trajectories.parquet")],
        ],
      },
      stage("own", "target", ["--trajectories", at("trajectories.parquet")], own, "1e-3"),
      ...(gold === 0 ? [] : [stage("gold", "own", ["--data", data, ...fields], gold, "6e-4")]),
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

/** JSON Lines, whole or not at all. */
export const asLines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
