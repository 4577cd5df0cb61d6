/**
 * `cllm train`: fine-tunes a model, or makes a CLLM of it, in a folder that the same command goes on with. Everything that can be
 * wrong with model, data and settings is found out before the first step. The work itself is in `train/`.
 */
import { join } from "node:path";
import * as z from "zod";
import { CllmError } from "../../error.ts";
import type { Fields } from "../../generate/options.ts";
import { savedState } from "../../train/checkpoints.ts";
import type { Measured } from "../../train/choice.ts";
import { prepareTraining } from "../../train/prepare.ts";
import type { TrainingSource } from "../../train/read-examples.ts";
import { type RunResult, runTraining, type TrainRun } from "../../train/run.ts";
import { type TrainFields, trainFields, unusedSettings } from "../../train/settings.ts";
import type { TrainRecord } from "../../train/train.ts";
import {
  type CheckpointSettings,
  type Command,
  checkpointFields,
  defineCommand,
  type ModelSettings,
  modelFields,
  type Unused,
} from "../command.ts";
import { type DataSettings, dataFields, datasetOptions } from "../data-fields.ts";
import { flagName } from "../flags.ts";
import { formatDuration, formatTable } from "../format.ts";
import { commitOfCheckout, machineName } from "../machine.ts";
import { chooseModel, GENERAL_MODEL } from "../model.ts";
import type { Terminal } from "../terminal.ts";

interface OwnSettings {
  readonly out: string;
  readonly trajectories: string | undefined;
  readonly fromScratch: boolean;
  readonly fromAdapter: string | undefined;
  readonly adapter: string | undefined;
  readonly heldOut: number;
}
type Settings = OwnSettings &
  DataSettings &
  TrainFields &
  CheckpointSettings &
  Pick<ModelSettings, "threads" | "device" | "templateOptions">;

const ownFields: Fields<OwnSettings> = {
  out: z.string().min(1).meta({ description: "folder of the run; made if need be", placeholder: "folder", short: "o" }),
  trajectories: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "learn from this file of cllm collect instead of --data", placeholder: "file" }),
  fromScratch: z
    .boolean()
    .default(false)
    .meta({ description: "begin with random weights, of the model's sizes and tokenizer" }),
  fromAdapter: z.string().min(1).optional().meta({
    description: "go on with this PEFT adapter, whose rank, alpha and matrices stay as they are",
    placeholder: "folder",
  }),
  adapter: z.string().min(1).optional().meta({
    description:
      "with --lossless or Medusa heads: PEFT adapter that is merged into the model that decides, folder or name",
    placeholder: "folder",
  }),
  heldOut: z
    .int()
    .min(0)
    .default(32)
    .meta({ description: "examples set aside to measure on; 0 measures nothing", placeholder: "examples" }),
};

export const trainModel: Command = defineCommand<Settings>({
  name: "train",
  summary: "Fine-tune a model, or make a CLLM of it by consistency training",
  details:
    "Learns from --data, each record a prompt and its answer, or from --trajectories. The folder gets settings.json, log.jsonl, " +
    "curves.svg, checkpoints/, best/ with the weights to use and final/ with those of the last step, both Hugging Face directories, or with " +
    "--lora-rank PEFT adapters, or with --objective medusa heads. Interrupted at any moment, the same command goes on where it was and ends with the same " +
    "weights, bit for bit.",
  fields: {
    ...ownFields,
    ...dataFields,
    ...trainFields,
    ...checkpointFields,
    ...{ device: modelFields.device, threads: modelFields.threads, templateOptions: modelFields.templateOptions },
  },
  groups: {
    Run: ["out", "heldOut", "fromScratch", "fromAdapter", "adapter"],
    Data: ["trajectories", ...(Object.keys(dataFields) as (keyof DataSettings)[])],
    Objective: ["objective", "lossless", "arWeight", "promptWeight", "labelSmoothing"],
    "Consistency (--objective consistency)": [
      ...(["points", "consistency", "loss", "blockSize", "pointsPerExample", "leadingPoints", "refinements"] as const),
      ...(["draftToken", "rowDecay"] as const),
    ],
    "Medusa heads (--objective medusa)": [
      ...(["medusaNumHeads", "medusaNumLayers", "medusaLinear", "medusaDecay"] as const),
      ...(["medusaBase", "medusaWeight", "medusaWarmup", "medusaRate"] as const),
    ],
    "LoRA adapter": ["loraRank", "loraAlpha", "loraTargets"],
    Optimizer: ["learningRate", "warmupSteps", "finalShare", "weightDecay", "clipNorm", "steps", "seed"],
    Batches: ["sequenceLength", "batch", "accumulate", "keepTogether"],
    "Evaluations and checkpoints": ["evaluateEvery", "checkpointEvery", "collapseLimit"],
  },
  examples: [
    [
      `cllm train --model ${GENERAL_MODEL} --data faq.jsonl --answer-field answer --out faq-ar`,
      "fine-tune on one's own answers",
    ],
    [
      "cllm train --model faq-ar/best --objective consistency --trajectories faq.parquet --out faq-cllm",
      "make it a CLLM",
    ],
    [
      "cllm train --model faq-ar/best --objective consistency --lossless --lora-rank 16 --trajectories faq.parquet --out faq-draft",
      "a draft adapter, which leaves every answer as it is",
    ],
    [
      "cllm train --model faq-ar/best --objective medusa --learning-rate 1e-3 --trajectories faq.parquet --out faq-heads",
      "Medusa heads, which leave every answer as it is",
    ],
    [
      "cllm train --model model.gguf --data gsm8k --lora-rank 16 --learning-rate 1e-3 --out gsm8k-lora",
      "an adapter only",
    ],
  ],
  foreign: {
    precision: "training is in float32",
    dtype: "training is in float32",
  },
  unused: unusedByTraining,
  async run(settings, terminal) {
    const {
      out: folder,
      offline,
      revision,
      cacheDir,
      fromScratch,
      fromAdapter,
      adapter,
      heldOut,
      threads,
      device,
    } = settings;
    const { signal, progress: onProgress, note: onWarning } = terminal;
    const fields = Object.keys(trainFields).map((key) => [key, settings[key as keyof TrainFields]]);
    const source = sourceOf(settings);
    await using training = await prepareTraining({
      ...{ model: chooseModel(settings.model), folder, source, settings: Object.fromEntries(fields) },
      ...{ fromScratch, fromAdapter, adapter, heldOut, threads, device, signal, nameOf: flagName },
      open: { offline, revision, cacheDir, onProgress, onWarning, signal },
    });
    terminal.endProgress();
    for (const note of training.notes) terminal.note(note);
    const run = { ...training.run, onWait: terminal.note, onNote: terminal.note };
    report(await follow(run, terminal), run, terminal);
  },
});

/** What the run learns from. Throws `usage` where neither or both are given. */
function sourceOf(settings: Settings): TrainingSource {
  const { data, trajectories, raw, chatTemplate, templateOptions } = settings;
  if (data !== undefined && trajectories === undefined) {
    return { data, ...datasetOptions(settings), raw, chatTemplate, templateOptions };
  }
  if (trajectories !== undefined && data === undefined) return { trajectories };
  const given = data === undefined ? "neither" : "both";
  throw new CllmError("usage", `give either --data or --trajectories, not ${given}`);
}

/** What these settings leave without a use. */
function unusedByTraining(settings: Settings): Unused {
  const { trajectories, heldOut, fromAdapter, lossless, objective, medusaBase } = settings;
  const reading = ["templateOptions", ...Object.keys(dataFields).filter((key) => key !== "data")];
  const unread = trajectories === undefined ? [] : reading;
  return {
    ...unusedSettings(settings),
    ...Object.fromEntries(unread.map((key) => [key, "it is for --data"])),
    ...(heldOut === 0 && { evaluateEvery: "nothing is held out", collapseLimit: "nothing is held out" }),
    ...(!lossless &&
      !(objective === "medusa" && medusaBase === "frozen") && {
        adapter:
          "it is for --lossless and Medusa heads; --from-adapter goes on with an adapter, and cllm export merges one",
      }),
    ...(fromAdapter !== undefined && { loraTargets: `${fromAdapter} has its own` }),
  };
}

const NOTE_EVERY_MS = 30_000; // where no bar can be shown

/** Shows how far it is. */
async function follow(run: TrainRun, terminal: Terminal): Promise<RunResult> {
  const { steps } = run.settings;
  const records = runTraining(run);
  let [tokens, seconds, noted, last] = [0, 0, performance.now(), 0];
  try {
    for (;;) {
      const { done, value } = await records.next();
      if (done) return value;
      if (value.type === "evaluation") {
        terminal.endProgress();
        terminal.note(evaluationLine(value));
        continue;
      }
      if (last === 0 && value.step > 1) terminal.note(`going on at step ${value.step} of ${steps}`);
      last = value.step;
      tokens += value.tokens;
      seconds += value.seconds;
      const rate = `loss ${value.loss.toFixed(3)}, ${Math.round(tokens / seconds)} tokens/s`;
      terminal.progress({ stage: "train", what: rate, done: value.step, total: steps, unit: "steps" });
      if (process.stderr.isTTY || performance.now() - noted < NOTE_EVERY_MS) continue;
      noted = performance.now();
      const perStep = (seconds * 1000) / value.step;
      terminal.note(`step ${value.step} of ${steps}, ${rate}, ${formatDuration(perStep * (steps - value.step))} left`);
    }
  } catch (error) {
    terminal.endProgress();
    if (error instanceof CllmError && error.code === "aborted") terminal.note(await stoppedLine(run));
    throw error;
  } finally {
    terminal.endProgress();
  }
}

/** What a run that was stopped has left, by what is saved. */
async function stoppedLine({ folder, settings: { steps } }: TrainRun): Promise<string> {
  const saved = await savedState(folder);
  if (saved === null) return "stopped before the first step was saved; the same command begins anew";
  return `stopped; step ${saved.step} of ${steps} is saved in ${folder}, and the same command goes on from there`;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

const measuredText = ({ heldOutLoss, accuracy, tokensPerForward }: Measured): string =>
  `${heldOutLoss === null ? "" : `held-out loss ${heldOutLoss.toFixed(3)}, `}${percent(accuracy)} as expected, ` +
  `${tokensPerForward.toFixed(2)} tokens per forward`;

function evaluationLine(record: Extract<TrainRecord, { type: "evaluation" }>): string {
  const { step, examples, cutOff, best } = record;
  const endless = cutOff > 0 ? `, ${cutOff} of ${examples} without an end` : "";
  return `step ${step}: ${measuredText(record)}${endless}${best ? ", the best so far" : ""}`;
}

function report(result: RunResult, { folder, settings, identity }: TrainRun, terminal: Terminal): void {
  if (terminal.json) {
    const conditions = { machine: machineName(), commit: commitOfCheckout() };
    terminal.write(`${JSON.stringify({ folder, ...result, settings, identity, ...conditions })}\n`);
    return;
  }
  const { steps, tokens, seconds, last, chosen, output } = result;
  const lines = [
    ["steps", String(steps)],
    ["tokens", `${tokens}, ${Math.round(tokens / Math.max(seconds, 1e-3))} per second`],
    ["time", formatDuration(seconds * 1000)],
    ...(last === null ? [] : [["at the end", measuredText(last)]]),
    ["chosen", `${chosen.checkpoint}, of step ${chosen.step}: ${chosen.why}`],
    ["weights", chosen.checkpoint === "best" ? output : `${output}, the same in ${join(folder, "best")}`],
  ];
  terminal.write(formatTable(["run", folder], lines, terminal.colors));
}
