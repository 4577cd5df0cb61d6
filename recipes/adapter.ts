/**
 * The steps from a task's training data to two adapters, target and CLLM, and what they score. Knows no task: each recipe says where
 * its data comes from and how much of everything it takes.
 */
import { join } from "node:path";
import { drawGroups, type Row, readRows, writeRows } from "./rows.ts";
import type { Recipe, Step } from "./steps.ts";

export interface Scale {
  /** Steps of fine-tuning, of consistency training on the target's own answers, and then on the data's answers; 0 for no such. */
  readonly steps: { readonly target: number; readonly own: number; readonly gold: number };
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
  /** Training's prompts and answers. */
  readonly readData: (dataDir: string) => Promise<readonly Row[]>;
  readonly scale: Scale;
  /** Most tokens of an answer, collected or graded. */
  readonly answerTokens: number;
  /** Rows in a row that are trained beside each other, because their prompts begin alike. */
  readonly keepTogether: number;
}

/** What the adapters are for, wherever the file of it came from. */
const baseModel = "HuggingFaceTB/SmolLM2-135M-Instruct";
/** A token of SmolLM2 that no text has: guesses that are not there yet. */
const GAP = 16; // <empty_output>

/**
 * Fine-tune an adapter on the task, collect its own answers, teach it consistency on those and, where steps are given for it, on the
 * data's answers, and ask both with all decoders. Both adapters are for the base as it is in its file.
 */
export function adapterRecipe({ task, asking, readData, scale, answerTokens, keepTogether }: AdapterRecipe): Recipe {
  return ({ model, dataDir, out, small }) => {
    const at = (...path: string[]): string => join(out, ...path);
    const { steps, collected, asked, sequence, points, arWeight } = small ? smallest(scale, keepTogether) : scale;
    const data = at("train.jsonl");
    const [questions, trajectories] = [at("questions.jsonl"), at("trajectories.parquet")];
    const fields = ["--prompt-field", "prompt", "--answer-field", "answer", "--id-field", "id", "--raw"];
    const packs = ["--sequence-length", String(sequence), "--keep-together", String(keepTogether)];
    const [heldOut, evaluateEvery] = small ? ["2", "2"] : ["32", "250"];
    const pace = ["--held-out", heldOut, "--evaluate-every", evaluateEvery, "--checkpoint-every", "50"];
    /** Consistency training, from where the stage before it ended. */
    const stage = (name: string, from: string, source: readonly string[], count: number, rate: string): Step => ({
      name: `consistency, ${name} answers`,
      makes: at(name, "final"),
      run: [
        ...["train", "--model", model, "--from-adapter", at(from, "final"), ...packs, ...pace, "--out", at(name)],
        ...[...source, "--objective", "consistency", "--steps", String(count)],
        ...["--learning-rate", rate, "--warmup-steps", "30", "--ar-weight", String(arWeight), "--block-size", "8"],
        ...["--row-decay", "0.8", "--points-per-example", String(points), "--refinements", "1"],
        ...["--leading-points", "1", "--draft-token", String(GAP)],
      ],
    });
    const cllm = at(steps.gold > 0 ? "gold" : "own", "final");
    const adapters = [["target", at("target/final")] as const, ["cllm", cllm] as const];
    return [
      { name: "data", makes: data, run: async () => writeRows(data, await readData(dataDir)) },
      {
        name: "target",
        makes: at("target/final"),
        run: [
          ...["train", "--model", model, "--data", data, ...fields, ...packs, ...pace],
          ...["--objective", "ar", "--out", at("target")],
          ...["--lora-rank", "32", "--learning-rate", "4e-4", "--warmup-steps", "30", "--steps", String(steps.target)],
        ],
      },
      {
        name: "questions",
        makes: questions,
        run: async () => writeRows(questions, drawGroups(await readRows(data), keepTogether, collected)),
      },
      {
        name: "trajectories",
        makes: trajectories,
        run: [
          ...["collect", "--model", model, "--adapter", at("target/final"), "--data", questions, ...fields],
          // Training makes its points itself and needs the answers only: in blocks of one token they come fastest.
          ...["--parallel", "8", "--block-size", "1"],
          ...["--max-sequence-tokens", String(sequence), "--max-new-tokens", String(answerTokens)],
          ...(small ? ["--no-clean"] : ["--require-end"]),
          ...["--out", trajectories],
        ],
      },
      stage("own", "target", ["--trajectories", trajectories], steps.own, "1e-3"),
      ...(steps.gold === 0 ? [] : [stage("gold", "own", ["--data", data, ...fields], steps.gold, "6e-4")]),
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
          ...["--target", "base:target", "--precision", "int8", "--trajectories", "20"],
          ...["--decoders", "ar,jacobi,lookahead,prompt-lookup,auto"],
          ...["--max-new-tokens", String(answerTokens), ...(asked === null ? [] : ["--limit", String(asked)])],
          ...["--out", at("evaluation")],
        ],
      },
    ];
  };
}

/** A few steps of everything. A tiny vocabulary makes many tokens of a text. */
const smallest = (scale: Scale, group: number): Scale => ({
  ...{ ...scale, collected: Math.max(4, group), asked: 2, sequence: 2 * scale.sequence },
  steps: { target: 2, own: 2, gold: Math.min(2, scale.steps.gold) },
});
