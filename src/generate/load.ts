/**
 * From a path or a hub id to a language model: opens the checkpoint, makes its tokenizer, compiles its weights and ties
 * them together. Knows no file format and no graph.
 */
import { describeCheckpoint } from "../checkpoint/checkpoint.ts";
import type { StoredHeads } from "../checkpoint/medusa/heads.ts";
import { requireIds, type StoredNgrams } from "../checkpoint/ngrams.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/open.ts";
import type { Adapted } from "../checkpoint/peft/adapted.ts";
import type { Adapter } from "../checkpoint/peft/types.ts";
import { sampled } from "../decode/choice.ts";
import { KnownNgrams } from "../decode/known-ngrams.ts";
import { withoutIds } from "../decode/silent.ts";
import type { ModelConfig } from "../model/config.ts";
import { withContextLength } from "../model/context.ts";
import type { Engine } from "../runtime/engine.ts";
import { defaultThreads, processorTime, warn } from "../runtime/host.ts";
import { openEngine } from "../runtime/open-engine.ts";
import { engineTime } from "../runtime/ort.ts";
import type { TokenIds } from "../runtime/session.ts";
import { type ChatTemplate, createChatTemplate } from "../text/chat.ts";
import { textReady } from "../text/ready.ts";
import { createTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { type Activity, type Calibration, calibrate } from "./calibrate.ts";
import { check } from "./check.ts";
import { cachedPassCosts } from "./cost-store.ts";
import type { DraftModel } from "./draft-model.ts";
import { requirePrecision, unitePrecision } from "./dtype.ts";
import { createLanguageModel, type PassKind } from "./language-model.ts";
import { type LoadSettings, loadSchema } from "./options.ts";
import { preparedOptions } from "./prepared-options.ts";
import { encodePrompt } from "./prompt.ts";
import type { LanguageModel, LoadOptions, PromptInput } from "./types.ts";

/**
 * Loads a model from a Hugging Face directory, a GGUF file or a hub id such as `HuggingFaceTB/SmolLM2-135M-Instruct`.
 * The checkpoint's files are closed again before it returns. Throws `CllmError` with what is wrong and the next move.
 *
 * @example
 * await using model = await load("HuggingFaceTB/SmolLM2-135M-Instruct");
 * const { text } = await model.generate({ prompt: "One, two,", maxNewTokens: 16 });
 */
export async function load(pathOrId: string, options: LoadOptions = {}): Promise<LanguageModel> {
  const settings = check(loadSchema, unitePrecision(options), { what: "load" });
  const { precision, onProgress, signal } = settings;
  requirePrecision(settings);
  const checkpoint = await openCheckpoint(pathOrId, settings);
  let heads: StoredHeads | null = null;
  try {
    const { name } = checkpoint;
    const identity = fingerprint(checkpoint);
    const { config: whole, weights, draft, note } = await withAdapters(checkpoint, settings);
    const config = withContextLength(whole, settings.contextLength);
    const prepared = settings.cache ? await preparedOptions(checkpoint, weights, settings) : undefined;
    await textReady(checkpoint.tokenizer);
    let made: TextSide | null = null;
    const text = (): TextSide => {
      made ??= textOf(checkpoint, config.vocabSize, settings);
      return made;
    };
    // It is made while threads prepare the model, but for what a caller may have got wrong, which fails at once.
    if (!prepared || settings.template !== undefined || settings.templateOptions !== undefined) text();
    if (note !== null) (settings.onWarning ?? warn)(note);
    heads = await withHeads(config, settings);
    const known = await withNgrams(config, settings, draft, checkpoint);
    const draftModel = await openDraftModel(() => ({ name, ...text() }), settings);
    const engine = await openEngine(config, weights, {
      precision,
      device: settings.device === "gpu" ? "webgpu" : settings.device,
      onNote: settings.onWarning ?? warn,
      ...(settings.threads !== undefined && { threads: settings.threads }),
      slots: settings.slots ?? 1,
      draft: draft?.modules,
      heads,
      prepared: prepared && { ...prepared, beside: text },
      ...(signal && { signal }),
      onProgress: (stage, what, done, total) =>
        onProgress?.({ stage, what, done, total, unit: stage === "quantize" ? "parts" : "graphs" }),
    }).catch(async (error: unknown) => {
      await draftModel?.dispose();
      throw error;
    });
    const { tokenizer, template } = await orDispose(engine, text);
    const silent = new Set([...tokenizer.silentIds].filter((id) => !config.eosTokenIds.includes(id)));
    return createLanguageModel({
      name,
      config,
      precision,
      ...{ device: engine.device, deviceWhy: engine.deviceWhy },
      tokenizer,
      template,
      sampling: checkpoint.sampling,
      session: () => withoutIds(engine.session(), silent),
      keep: settings.keep,
      suffixMemory: settings.suffixMemory,
      known,
      onNote: settings.onWarning ?? warn,
      drafter: draft !== null,
      draftModel,
      heads: heads?.heads ?? 0,
      measureCosts: (kind, abort) => calibrated(engine, [identity, ...ranksOf(draft)], settings, kind, abort),
      dispose: () => engine.dispose(),
    });
  } finally {
    await heads?.close();
    await checkpoint.close();
  }
}

/** What `make` gives; where it throws, nobody gets the engine. */
async function orDispose<T>(engine: Pick<Engine, "dispose">, make: () => T): Promise<T> {
  try {
    return make();
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}

/** The draft model that is asked for, with the same way to run. Throws `bad-input` for one with another vocabulary. */
async function openDraftModel(
  model: () => Pick<LanguageModel, "name" | "tokenizer">,
  { draftModel: path, adapter: _, draftAdapter: _draft, ngrams: _ngrams, revision: _rev, ...settings }: LoadSettings,
): Promise<DraftModel | null> {
  if (path === undefined) return null;
  const { draftModelOf, requireSameVocabulary } = await import("./draft-model.ts"); // a page loads it with the first one
  const { template: _template, templateOptions: _options, ...same } = settings;
  const { name, tokenizer } = model();
  const draft = await load(path, { ...same, dtype: undefined, contextLength: undefined, suffixMemory: 0 });
  await orDispose(draft, () => requireSameVocabulary({ name, tokenizer }, draft));
  return draftModelOf(draft, tokenizer.vocabSize, same.keep);
}

interface TextSide {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
}

function textOf(
  { tokenizer }: Checkpoint,
  vocabSize: number,
  { template: name, templateOptions }: Pick<LoadSettings, "template" | "templateOptions">,
): TextSide {
  return {
    tokenizer: createTokenizer(tokenizer, vocabSize),
    template: createChatTemplate(tokenizer, { name, templateOptions }),
  };
}

/** What a model has without its weights. */
export interface TextModel extends Pick<LanguageModel, "name" | "config" | "tokenizer" | "hasChatTemplate"> {
  /** As the loaded model's. Throws `context-overflow` for a prompt that does not fit. */
  promptIds(input: PromptInput): TokenIds;
}

/** How a model reads and writes text, without its weights. */
export async function loadText(pathOrId: string, options: LoadOptions = {}): Promise<TextModel> {
  const settings = check(loadSchema, unitePrecision(options), { what: "load" });
  const checkpoint = await openCheckpoint(pathOrId, settings);
  await checkpoint.close();
  const config = withContextLength(checkpoint.config, settings.contextLength);
  await textReady(checkpoint.tokenizer);
  const { tokenizer, template } = textOf(checkpoint, config.vocabSize, settings);
  return {
    ...{ name: checkpoint.name, config, tokenizer, hasChatTemplate: template.exists },
    promptIds: (input) => encodePrompt(input, tokenizer, template, config.contextLength),
  };
}

/** What passes cost on this engine: from the cache folder, else measured on a sequence of its own. */
function calibrated(
  engine: Engine,
  identity: readonly string[],
  { precision, threads, cacheDir, onProgress }: LoadSettings,
  { sampling, drafting }: PassKind,
  signal: AbortSignal | undefined,
): Promise<Calibration> {
  const kind = [sampling ? "sampled" : "greedy", ...(drafting ? ["drafting"] : [])];
  const key = [...identity, engine.device, precision, threads ?? defaultThreads(), ...kind];
  return cachedPassCosts(cacheDir, key, async () => {
    await using session = sampled(engine.session(), { temperature: sampling ? 1 : 0 });
    const onPass = (done: number, total: number): void =>
      onProgress?.({ stage: "calibrate", what: "cost of a pass", done, total, unit: "passes" });
    // Where tokens are sampled, searching the logits is a part of a pass, and not the engine's.
    const clock = sampling ? {} : { clock: engineTime };
    const share = engine.device === "cpu" ? { share: shareOfProcessors(engine.threads) } : {};
    const activity = (): Activity => engine.activity();
    return await calibrate(session, { signal, onPass, activity, drafting, ...share, ...clock });
  });
}

/** The share that this process has had of so many processors since it was last asked: its threads never rest while passes run. */
function shareOfProcessors(threads: number): () => number {
  let [since, used] = [performance.now(), processorTime() ?? 0];
  return () => {
    const [now, time] = [performance.now(), processorTime()];
    const share = time === null ? 1 : (time - used) / (threads * (now - since));
    [since, used] = [now, time ?? 0];
    return share;
  };
}

/** A page loads what adapters need only with the first one. */
async function withAdapters(
  { config, weights }: Checkpoint,
  { adapter, draftAdapter }: Pick<LoadSettings, "adapter" | "draftAdapter">,
): Promise<Adapted> {
  if (adapter === undefined && draftAdapter === undefined) return { config, weights, draft: null, note: null };
  const { adapted } = await import("../checkpoint/peft/adapted.ts");
  return await adapted({ config, weights }, adapter, draftAdapter);
}

/** The counts to draft from: those that are asked for, or else the model's own; null for none. */
async function withNgrams(
  { vocabSize }: ModelConfig,
  settings: Pick<LoadSettings, "ngrams" | "adapter">,
  draft: Adapter | null,
  checkpoint: Checkpoint,
): Promise<KnownNgrams | null> {
  const stored = await storedNgrams(settings, draft, checkpoint);
  if (stored === null) return null;
  requireIds(stored, vocabSize);
  return new KnownNgrams(stored.table);
}

/** With an adapter merged into it, a model says other things than its folder knows. */
async function storedNgrams(
  { ngrams: path, adapter }: Pick<LoadSettings, "ngrams" | "adapter">,
  draft: Adapter | null,
  checkpoint: Checkpoint,
): Promise<StoredNgrams | null> {
  if (path !== undefined) return await (await import("../checkpoint/read-ngrams.ts")).readNgrams(path);
  if (draft?.ngrams !== undefined) return draft.ngrams;
  return adapter === undefined ? ((await checkpoint.ngrams?.()) ?? null) : null;
}

/** The heads that are asked for, open; null for none. */
async function withHeads(
  config: ModelConfig,
  { medusaHeads, adapter, onWarning }: LoadSettings,
): Promise<StoredHeads | null> {
  if (medusaHeads === undefined) return null;
  const { readHeads } = await import("../checkpoint/medusa/read-heads.ts");
  const { headsNote } = await import("../checkpoint/medusa/heads.ts");
  const heads = await readHeads(medusaHeads, config);
  const note = headsNote(heads, adapter);
  if (note !== null) (onWarning ?? warn)(note);
  return heads;
}

/** What the speed of passes depends on of a draft adapter. */
function ranksOf(draft: Adapter | null): string[] {
  return draft === null ? [] : [JSON.stringify(Array.from(draft.modules, ([module, { rank }]) => [module, rank]))];
}

/** Names a model by what its speed depends on: configuration and stored types, not the weights' values. */
function fingerprint(checkpoint: Checkpoint): string {
  const { parameters, dtypes } = describeCheckpoint(checkpoint);
  return JSON.stringify([checkpoint.config, parameters, dtypes]);
}
