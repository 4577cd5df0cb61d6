/**
 * The steps from a task's training data to two adapters, target and CLLM, and what they score. Knows no task: each recipe says where
 * its data comes from and how much of everything it takes.
 */
import { join } from "node:path";
import { drawGroups, type Example, readExamples, writeExamples } from "./examples.ts";
import { writeMean } from "./mean.ts";
import type { Recipe, Step } from "./steps.ts";

export interface Scale {
  /** Steps of fine-tuning. */
  readonly target: number;
  /** Consistency training on the target's own answers. */
  readonly own: Stage;
  /** And then on the data's answers. */
  readonly gold: Stage;
  /** What the CLLM's weights count in a mean with the target's: 1 for the CLLM as it was trained. */
  readonly mean: number;
  /** Training prompts whose answers are collected. */
  readonly collected: number;
  /** Questions of the evaluation, a sample of them; null for all. */
  readonly asked: number | null;
  /** Tokens of a sequence. */
  readonly sequence: number;
}

/** A run of consistency training. */
export interface Stage {
  readonly steps: number;
  readonly learningRate: string;
  /** Places of an answer that are guessed on from, each time that it is seen. */
  readonly points: number;
  /** What the AR loss counts. */
  readonly arWeight: number;
}

export interface AdapterRecipe {
  readonly task: string;
  /** Flags that the task's evaluation needs. */
  readonly asking: readonly string[];
  /** Training's prompts and answers. */
  readonly readData: (dataDir: string) => Promise<readonly Example[]>;
  readonly scale: Scale;
  /** Most tokens of an answer, collected or graded. */
  readonly answerTokens: number;
  /** Examples one after another that are trained beside each other, because their prompts begin alike. */
  readonly keepTogether: number;
}

/** What the adapters are for, wherever the file of it came from. */
export const baseModel = "HuggingFaceTB/SmolLM2-135M-Instruct";
/** A token of SmolLM2 that no text has: guesses that are not there yet. */
export const GAP = 16; // <empty_output>

/**
 * Fine-tune an adapter on the task, collect its own answers, teach it consistency on those and then on the data's answers, take a
 * mean with the target where that is asked for, and ask both with all decoders. Both adapters are for the base as it is in its file.
 */
export function adapterRecipe({ task, asking, readData, scale, answerTokens, keepTogether }: AdapterRecipe): Recipe {
  return ({ model, dataDir, out, small }) => {
    const at = (...path: string[]): string => join(out, ...path);
    const { target, own, gold, mean, collected, asked, sequence } = small ? smallest(scale, keepTogether) : scale;
    const data = at("train.jsonl");
    const [questions, trajectories] = [at("questions.jsonl"), at("trajectories.parquet")];
    const fields = ["--prompt-field", "prompt", "--answer-field", "answer", "--id-field", "id", "--raw"];
    const packs = ["--sequence-length", String(sequence), "--keep-together", String(keepTogether)];
    const [heldOut, evaluateEvery] = small ? ["2", "2"] : ["32", "250"];
    const pace = ["--held-out", heldOut, "--evaluate-every", evaluateEvery, "--checkpoint-every", "50"];
    /** Consistency training, from where the stage before it ended. */
    const consistency = (name: string, from: string, source: readonly string[], stage: Stage): Step => ({
      name: `consistency, ${name} answers`,
      makes: at(name, "final"), // it appears when the run is over; best/ has the weights to use
      run: [
        ...["train", "--model", model, "--from-adapter", at(from, "best"), ...packs, ...pace, "--out", at(name)],
        ...[...source, "--objective", "consistency", "--steps", String(stage.steps)],
        ...["--learning-rate", stage.learningRate, "--warmup-steps", "30", "--ar-weight", String(stage.arWeight)],
        ...["--block-size", "8", "--row-decay", "0.8", "--refinements", "1"],
        ...["--points-per-example", String(stage.points)],
        ...["--leading-points", "1", "--draft-token", String(GAP)],
      ],
    });
    const cllm = mean === 1 ? at("gold/best") : at("mean");
    const adapters = [["target", at("target/best")] as const, ["cllm", cllm] as const];
    return [
      { name: "data", makes: data, run: async () => writeExamples(data, await readData(dataDir)) },
      {
        name: "target",
        makes: at("target/final"),
        run: [
          ...["train", "--model", model, "--data", data, ...fields, ...packs, ...pace],
          ...["--objective", "ar", "--out", at("target")],
          ...["--lora-rank", "32", "--learning-rate", "4e-4", "--warmup-steps", "30", "--steps", String(target)],
        ],
      },
      {
        name: "questions",
        makes: questions,
        run: async () => writeExamples(questions, drawGroups(await readExamples(data), keepTogether, collected)),
      },
      {
        name: "trajectories",
        makes: trajectories,
        run: [
          ...["collect", "--model", model, "--adapter", at("target/best"), "--data", questions, ...fields],
          // Training makes its points itself and needs the answers only: in blocks of one token they come fastest.
          ...["--parallel", "8", "--block-size", "1"],
          ...["--max-sequence-tokens", String(sequence), "--max-new-tokens", String(answerTokens)],
          ...(small ? ["--no-clean"] : ["--require-end"]),
          ...["--out", trajectories],
        ],
      },
      consistency("own", "target", ["--trajectories", trajectories], own),
      consistency("gold", "own", ["--data", data, ...fields], gold),
      ...(mean === 1
        ? []
        : [{ name: "mean", makes: cllm, run: () => writeMean(cllm, at("target/best"), at("gold/best"), mean) }]),
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
          ...["--max-new-tokens", String(answerTokens), ...(asked === null ? [] : ["--sample", String(asked)])],
          ...["--out", at("evaluation")],
        ],
      },
    ];
  };
}

/** A few steps of everything. A tiny vocabulary makes many tokens of a text. */
const smallest = (scale: Scale, group: number): Scale => ({
  ...{ ...scale, collected: Math.max(4, group), asked: 2, sequence: 2 * scale.sequence, target: 2 },
  ...{ own: { ...scale.own, steps: 2 }, gold: { ...scale.gold, steps: 2 } },
});
