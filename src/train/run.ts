/**
 * A run in a folder of its own: its settings, its log, its curves, its checkpoints, and the weights that come out of it. One run
 * at a time; the same command goes on where it was stopped, other settings are refused. Once it is over, `best/` has the weights to
 * use and `final/` those of the last step. Knows no flags and no terminal.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeHuggingFace } from "../checkpoint/huggingface/write.ts";
import { writeHeads } from "../checkpoint/medusa/heads.ts";
import { adapterOf, writeAdapter } from "../checkpoint/peft/adapter.ts";
import type { HuggingFaceTokenizerSource } from "../checkpoint/tokenizer-source.ts";
import { CllmError } from "../error.ts";
import { readJsonObject } from "../files/json.ts";
import { acquireLock } from "../files/lock.ts";
import { writeWhole } from "../files/write-whole.ts";
import type { ModelConfig } from "../model/config.ts";
import { lowRanks, mergedTensors } from "../model/lora.ts";
import { isHeadTensor } from "../model/medusa.ts";
import { memoryWeights, type NamedTensor } from "../model/memory-weights.ts";
import type { Weights } from "../model/weights.ts";
import type { DeviceName } from "../runtime/devices/name.ts";
import type { WantedDevice } from "../runtime/open-device.ts";
import { savedState } from "./checkpoints.ts";
import { type Choice, chooseWeights, type Measured } from "./choice.ts";
import { curvesSvg } from "./curves.ts";
import { evaluate } from "./evaluate.ts";
import type { HeldOut } from "./held-out.ts";
import { openLog } from "./log.ts";
import { fullParameters, loraParameters, medusaParameters, type Parameters, randomParameters } from "./parameters.ts";
import { type TrainSettings, trainedConfig } from "./settings.ts";
import type { ExampleSource } from "./source.ts";
import { type TrainRecord, train } from "./train.ts";
import { openTrainer } from "./training-device.ts";

export interface TrainRun {
  /** Made if need be. */
  readonly folder: string;
  readonly config: ModelConfig;
  readonly weights: Weights;
  readonly tokenizer: HuggingFaceTokenizerSource;
  /** Begin with random weights instead of `weights`. */
  readonly fromScratch: boolean;
  /** Begin with this adapter instead of a fresh one: its tensors, of the settings' rank, alpha and targets. */
  readonly start?: readonly NamedTensor[] | null | undefined;
  readonly source: ExampleSource;
  readonly heldOut: readonly HeldOut[];
  readonly settings: TrainSettings;
  /** What else makes it this run and no other: model, data, seeds. Stored, and compared on resuming. */
  readonly identity: Readonly<Record<string, string | number | boolean | null>>;
  /** For adapters: the model that they are for, and of a draft adapter the one that was merged into it. */
  readonly baseModel: string;
  readonly baseAdapter?: string | undefined;
  readonly threads?: number | undefined;
  /** Where the model trains and is measured. Default: `cpu`. */
  readonly device?: WantedDevice | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told why `auto` takes the processor. */
  readonly onNote?: ((line: string) => void) | undefined;
  /** See `LockOptions`. */
  readonly onWait?: ((line: string) => void) | undefined;
}

const SETTINGS = "settings.json";
const MAX_SETTINGS_BYTES = 2 ** 20;
const LOG = "log.jsonl";
const CURVES = "curves.svg";
/** The weights to use (while the run goes on, those of its best evaluation), and those of the last step. */
const [BEST, FINAL] = ["best", "final"];
/** Where Medusa-2 puts its heads, inside the folder of the model or adapter that they were trained with. */
const HEADS = "heads";
/** A prompt's budget in evaluations. */
const MAX_NEW_TOKENS = 256;

export interface RunResult {
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  /** The best evaluation, and that of the last step; null where nothing was held out. */
  readonly best: Measured | null;
  readonly last: Measured | null;
  /** Which weights are the ones to use, and why. `best/` has them, whichever they are. */
  readonly chosen: Choice;
  /** Folder of the weights to use. */
  readonly output: string;
}

/** Fresh points are what the model drafts already, unless the settings say otherwise. */
function withDraftToken(run: TrainRun): TrainRun {
  const settings = { ...run.settings, draftToken: run.settings.draftToken ?? run.config.draftTokenId };
  return { ...run, settings, config: trainedConfig(run.config, settings) };
}

/**
 * Train, or go on. Yields what is logged. Throws `usage` if another run has the folder, or left its files there.
 *
 * @example for await (const record of runTraining(training.run)) if (record.type === "step") console.log(record.loss);
 */
export async function* runTraining(given: TrainRun): AsyncGenerator<TrainRecord, RunResult, void> {
  const run = withDraftToken(given);
  const { folder, config, settings, heldOut, threads, signal } = run;
  const { draftToken } = settings;
  if (draftToken !== undefined && draftToken >= config.vocabSize) {
    const message = `draftToken ${draftToken} is outside the vocabulary of ${config.vocabSize}`;
    throw new CllmError("usage", `${message}; give the id of a token that no text has`);
  }
  await mkdir(folder, { recursive: true });
  await using lock = await acquireLock(join(folder, "run"), { signal, onWait: run.onWait });
  // The device is a part of the run: another one rounds differently, so `auto` stays with the one that was taken.
  const beside = settings.lossless || settings.medusa !== undefined;
  if (beside && run.device === "webgpu") {
    const what = settings.lossless ? "lossless training" : "training of heads";
    throw new CllmError("unsupported", `${what} is built for the processor: take device cpu`);
  }
  const asked = beside ? "cpu" : run.device;
  const wanted = asked === "auto" ? ((await deviceBefore(folder)) ?? "auto") : (asked ?? "cpu");
  // A folder of which nothing was trained yet is not bound to a device that turns out not to be there.
  const known = wanted === "cpu" || (wanted !== "auto" && (await settingsBefore(folder)) !== null);
  if (known) await keepSettings(run, wanted);
  const parameters = await startingParameters(run);
  const opened = await openTrainer(
    wanted,
    config,
    parameters,
    {
      ...settings,
      ...{ divergence: settings.loss === "kl", drafts: settings.lossless },
      ...(threads === undefined ? {} : { threads }),
    },
    run.onNote,
  );
  await using trainer = opened.trainer;
  if (!known) await keepSettings(run, opened.device.name);
  const log = await openLog(join(folder, LOG), await savedState(folder));
  const stopIds = new Set(config.eosTokenIds);
  const { blockSize } = settings;
  const measure = () =>
    evaluate(config, merged(parameters, settings), heldOut, {
      heads: settings.medusa === undefined ? null : { ...settings.medusa, weights: memoryWeights(headsOf(parameters)) },
      draft: settings.lossless && settings.lora !== null ? lowRanks(parameters.trained, settings.lora) : null,
      blockSize,
      stopIds,
      maxNewTokens: MAX_NEW_TOKENS,
      ...(threads === undefined ? {} : { threads }),
      device: opened.device,
      signal,
    });
  const records = train(trainer, run.source, settings, {
    folder,
    signal,
    ...(heldOut.length > 0 ? { evaluate: measure } : {}),
    onBest: () => writeWeights(join(folder, BEST), run, parameters),
  });
  const draw = (): Promise<void> =>
    writeWhole(join(folder, CURVES), async (handle) => {
      await handle.appendFile(curvesSvg(`${run.baseModel}, ${settings.objective}`, log.records));
    });
  try {
    for (;;) {
      const { done, value } = await records.next();
      if (done) {
        const { step: steps, tokens, seconds, best, last } = value;
        const chosen = chooseWeights(best, last, settings);
        const output = join(folder, chosen.checkpoint);
        if (chosen.checkpoint === FINAL) await writeWeights(join(folder, BEST), run, parameters);
        await writeWeights(join(folder, FINAL), run, parameters); // written last: it means that the run is over
        return { steps, tokens, seconds, best, last, chosen, output };
      }
      lock.check();
      await log.append(value);
      if (value.type === "evaluation") await draw();
      yield value;
    }
  } finally {
    if (log.records.length > 0) await draw();
  }
}

/** The settings of the run that a folder holds; null for none yet. */
async function settingsBefore(folder: string): Promise<Record<string, unknown> | null> {
  const path = join(folder, SETTINGS);
  if (!existsSync(path)) return null;
  return readJsonObject(path, MAX_SETTINGS_BYTES).catch((cause: unknown) => {
    throw new CllmError("bad-file", `${path} is damaged: begin anew in another folder`, { cause });
  });
}

/** The device of the run that a folder holds; null for no run yet. */
async function deviceBefore(folder: string): Promise<Exclude<WantedDevice, "auto"> | null> {
  const before = await settingsBefore(folder);
  if (before === null) return null;
  return before["device"] === "webgpu" ? "webgpu" : "cpu";
}

/** Writes the settings at first, and compares them later. The processor is not named, as in runs from before there was another. */
async function keepSettings({ folder, settings, identity }: TrainRun, device: DeviceName): Promise<void> {
  const path = join(folder, SETTINGS);
  const all = { ...identity, ...settings, ...(device !== "cpu" && { device }) };
  const now = JSON.parse(JSON.stringify(all)) as Record<string, unknown>;
  const before = await settingsBefore(folder);
  if (before === null) {
    await writeWhole(path, async (handle) => {
      await handle.appendFile(`${JSON.stringify(now, null, 2)}\n`);
    });
    return;
  }
  if (before["device"] !== now["device"]) {
    const [was, is] = [before["device"] ?? "cpu", device];
    const message = `${folder} holds a run on device ${String(was)}, and ${is} rounds differently`;
    throw new CllmError("usage", `${message}; give device ${String(was)} to go on, or another folder`);
  }
  const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  const differing = keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(now[key]));
  if (differing.length === 0) return;
  const [first = ""] = differing;
  throw new CllmError(
    "usage",
    `${folder} holds another run: its ${first} is ${JSON.stringify(before[first])}, not ${JSON.stringify(now[first])}` +
      `${differing.length > 1 ? `, and ${differing.length - 1} more differ` : ""}; give the same settings to go on, or another folder`,
  );
}

async function startingParameters(run: TrainRun): Promise<Parameters> {
  const { config, weights, settings } = run;
  const { medusa } = settings;
  if (medusa === undefined) return modelParameters(run);
  return medusaParameters(config, weights, medusa, medusa.base === "frozen" ? null : await modelParameters(run));
}

function modelParameters({
  config,
  weights,
  settings,
  fromScratch,
  start = null,
}: TrainRun): Promise<Parameters> | Parameters {
  const { lora, seed } = settings;
  if (lora !== null) return loraParameters(config, weights, lora, seed, start);
  return fromScratch ? randomParameters(config, seed) : fullParameters(config, weights);
}

/** The model's tensors as they would be used: an adapter merged into its base. */
function merged(
  { trained: all, frozen }: Parameters,
  { lora, lossless, medusa }: TrainSettings,
): Iterable<NamedTensor> {
  if (lossless || medusa?.base === "frozen") return frozen; // its adapter is never merged, and heads are beside it
  const trained = all.filter(({ name }) => !isHeadTensor(name));
  return lora === null ? trained : mergedTensors(frozen, trained, lora);
}

const headsOf = ({ trained }: Parameters): readonly NamedTensor[] => trained.filter(({ name }) => isHeadTensor(name));

/** A model directory, or for an adapter a PEFT directory; for heads theirs, which of Medusa-2 lies inside the model's or the adapter's. */
async function writeWeights(folder: string, run: TrainRun, parameters: Parameters): Promise<void> {
  const { config, baseModel, settings } = run;
  const { medusa: shape } = settings;
  if (shape?.base !== "frozen") await writeModel(folder, run, parameters);
  if (shape === undefined) return;
  const to = shape.base === "frozen" ? folder : join(folder, HEADS);
  const baseAdapter = shape.base === "frozen" ? (run.baseAdapter ?? null) : settings.lora === null ? null : BEST;
  await writeHeads(to, { shape, config, tensors: headsOf(parameters), baseModel, baseAdapter }, { overwrite: true });
}

async function writeModel(folder: string, run: TrainRun, parameters: Parameters): Promise<void> {
  const { config, tokenizer, settings, baseModel } = run;
  const { lora } = settings;
  const trained = parameters.trained.filter(({ name }) => !isHeadTensor(name));
  if (lora === null) {
    await writeHuggingFace(folder, { config, weights: memoryWeights(trained), tokenizer }, { overwrite: true });
    return;
  }
  const { rank, alpha } = lora;
  const { draftTokenId, leadingDraft } = config;
  const drafting = settings.lossless ? { drafts: true, baseAdapter: run.baseAdapter } : { leadingDraft };
  const content = { name: folder, baseModel, rank, alpha, draftTokenId, ...drafting };
  const adapter = await adapterOf(content, trained);
  await writeAdapter(folder, adapter, { overwrite: true });
}
