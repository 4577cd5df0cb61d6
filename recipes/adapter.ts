/**
 * The steps from a task's training data to two adapters, target and CLLM, and what they score. Knows no task: each recipe says where
 * its data comes from and how much of everything it takes.
 */
import { join } from "node:path";
import { astrayPrompts, mixed } from "./astray.ts";
import { drawGroups, type Prompt, type Row, readAnswers, readRows, writeRows } from "./rows.ts";
import type { Recipe, Step } from "./steps.ts";

export interface Scale {
  /**
   * Steps of fine-tuning, of consistency training on the target's own answers, then on the data's answers, and at last on those
   * and what the target writes behind mistakes of the CLLM. 0 leaves a stage out; the last two come together.
   */
  readonly steps: { readonly target: number; readonly own: number; readonly gold: number; readonly mixed: number };
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
  /** Training's prompts and answers. */
  readonly readData: (dataDir: string) => Promise<readonly Row[]>;
  readonly scale: Scale;
  readonly answerTokens: number;
  readonly keepTogether: number;
}

/** What the adapters are for, wherever the file of it came from. */
const baseModel = "HuggingFaceTB/SmolLM2-135M-Instruct";
/** A token of SmolLM2 that no text has: guesses that are not there yet. */
const GAP = 16; // <empty_output>

/**
 * Fine-tune an adapter on the task, collect its own answers, teach it consistency on those and, where steps are given for it, on the
 * data's answers, then on ways on from its mistakes, and ask both with all decoders. Both adapters are for the base as it is in its file.
 */
export function adapterRecipe({ task, asking, readData, scale, answerTokens, keepTogether }: AdapterRecipe): Recipe {
  return ({ model, dataDir, out, small }) => {
    const at = (...path: string[]): string => join(out, ...path);
    const { steps, collected, retried, asked, sequence, points, arWeight } = small
      ? smallest(scale, keepTogether)
      : scale;
    const data = at("train.jsonl");
    const [questions, trajectories] = [at("questions.jsonl"), at("trajectories.parquet")];
    const [retry, tried, astray] = [at("retry/questions.jsonl"), at("retry/own.parquet"), at("retry/astray.jsonl")];
    const [ways, mix] = [at("retry/ways.parquet"), at("retry/mixed.jsonl")];
    const prompted = ["--prompt-field", "prompt", "--id-field", "id", "--raw"];
    const fields = [...prompted, "--answer-field", "answer"];
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
    const cllm = at(steps.mixed > 0 ? "mixed" : steps.gold > 0 ? "gold" : "own", "final");
    const adapters = [["target", at("target/final")] as const, ["cllm", cllm] as const];
    const draw = async (count: number, to: string): Promise<void> =>
      writeRows(to, drawGroups(await readRows(data), keepTogether, count));
    const retrying: Step[] = [
      { name: "questions again", makes: retry, run: () => draw(retried, retry) },
      // Answers that go round in circles are what is looked for; that they do shows well before the budget ends.
      collect("the CLLM's answers", "gold", [retry, ...fields], ["--no-clean", ...budget(0.75)], tried),
      {
        name: "astray",
        makes: astray,
        run: async () => writeRows(astray, astrayPrompts(await readRows(retry), await readAnswers(tried, model))),
      },
      collect("ways on", "target", [astray, ...prompted], ended, ways),
      {
        name: "mixed",
        makes: mix,
        run: async () => {
          const [rows, left] = [await readRows(retry), await readRows<Prompt>(astray)];
          await writeRows(mix, mixed(rows, left, await readAnswers(ways, model), keepTogether));
        },
      },
      stage("mixed", "gold", ["--data", mix, ...fields], steps.mixed, "4e-4"),
    ];
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
      { name: "questions", makes: questions, run: () => draw(collected, questions) },
      collect("trajectories", "target", [questions, ...fields], ended, trajectories),
      stage("own", "target", ["--trajectories", trajectories], steps.own, "1e-3"),
      ...(steps.gold === 0 ? [] : [stage("gold", "own", ["--data", data, ...fields], steps.gold, "6e-4")]),
      ...(steps.mixed === 0 ? [] : retrying),
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
  ...{ ...scale, collected: Math.max(4, group), retried: group, asked: 2, sequence: 2 * scale.sequence },
  steps: { target: 2, own: 2, gold: Math.min(2, scale.steps.gold), mixed: Math.min(2, scale.steps.mixed) },
});
