/**
 * Which models a server has: names for what its command line says. A model is called by its hub id or the name of its
 * file or folder, unless it is given one; an adapter is called `base:name`. Reads no weights.
 */
import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { hubName, parseHubId } from "../checkpoint/hub/id.ts";
import { readOwnFacts } from "../checkpoint/own-facts.ts";
import { adapterFolder, adapterHint, PROJECT_ADAPTERS } from "../checkpoint/peft/shipped.ts";
import { CllmError } from "../error.ts";
import { diskFolder } from "../files/disk-folder.ts";
import { type HostOptions, startModel } from "./model-host.ts";
import type { ModelEntry } from "./models.ts";
import type { LoadSettings } from "./wire.ts";

export interface ServedModel {
  readonly name: string;
  /** Path or hub id. */
  readonly model: string;
  readonly adapter?: string;
  /** Folder or name of its draft adapter. */
  readonly draftAdapter?: string;
  /** Path or hub id of its draft model. */
  readonly draftModel?: string;
  /** Folder of its Medusa heads. */
  readonly medusaHeads?: string;
  /** Folder of n-grams of its answers, or the name of a draft adapter. */
  readonly ngrams?: string;
}

/** What belongs to models, each as `name=path`. */
export interface BesideModels {
  /** Adapters, each of which makes one more model. */
  readonly adapters?: readonly string[];
  readonly draftAdapters?: readonly string[];
  readonly draftModels?: readonly string[];
  readonly medusaHeads?: readonly string[];
  readonly ngrams?: readonly string[];
}

/**
 * Throws `usage` for names that are none or that do not say which model an adapter or a draft adapter is for, `not-found` for paths.
 *
 * @example servedModels(["small=owner/name"], { adapters: ["faq=./faq/best"] }); // small, and small:faq
 */
export function servedModels(
  models: readonly string[],
  { adapters = [], draftAdapters = [], draftModels = [], medusaHeads = [], ngrams = [] }: BesideModels = {},
): readonly ServedModel[] {
  const bases = models.map((given): ServedModel => {
    const { name, value } = split(given);
    requireModel(`--model ${given}`, value);
    return { name: name ?? nameOf(value), model: value };
  });
  const adapted = adapters.map((given): ServedModel => {
    const { name: said, value: adapter } = split(given);
    const folder = adapterFolder(adapter);
    const name = said ?? (PROJECT_ADAPTERS.includes(adapter) ? adapter : null); // the project's own have names
    if (name === null) throw new CllmError("usage", `--adapter ${given}: give it a name, as in name=${given}`);
    if (!existsSync(folder)) {
      throw new CllmError("not-found", `--adapter ${given}: ${adapter} does not exist; ${adapterHint(adapter)}`);
    }
    const owner = bases.find((base) => name.startsWith(`${base.name}:`));
    if (owner !== undefined) return { name, model: owner.model, adapter };
    if (bases.length === 1) return { name: `${bases[0]!.name}:${name}`, model: bases[0]!.model, adapter };
    const first = bases[0]!.name;
    throw new CllmError("usage", `--adapter ${given}: say for which model, as in ${first}:${name}=${adapter}`);
  });
  const withAdapters = draftAdapters.reduce(
    (all, given) => {
      const { value } = split(given);
      if (existsSync(adapterFolder(value))) return withDraft(all, given, "draftAdapter");
      const what = `--draft-adapter ${given}: ${value} does not exist`;
      throw new CllmError("not-found", `${what}; ${adapterHint(value)}`);
    },
    [...bases, ...adapted] as readonly ServedModel[],
  );
  const drafted = draftModels.reduce((all, given) => {
    requireModel(`--draft-model ${given}`, split(given).value);
    return withDraft(all, given, "draftModel");
  }, withAdapters);
  const withHeads = medusaHeads.reduce((all, given) => {
    const { value } = split(given);
    if (existsSync(value)) return withDraft(all, given, "medusaHeads");
    const what = `--medusa-heads ${given}: ${value} does not exist`;
    throw new CllmError("not-found", `${what}; give a folder with medusa_lm_head.safetensors`);
  }, drafted);
  return ngrams.reduce((all, given) => {
    const { value } = split(given);
    if (existsSync(adapterFolder(value))) return withDraft(all, given, "ngrams");
    throw new CllmError(
      "not-found",
      `--ngrams ${given}: ${value} does not exist; give a folder that cllm ngrams wrote`,
    );
  }, withHeads);
}

function requireModel(flag: string, value: string): void {
  if (value.startsWith("hf:") || existsSync(value) || parseHubId(value) !== null) return;
  throw new CllmError("not-found", `${flag}: ${value} does not exist; give a GGUF file, a directory or a hub id`);
}

const FLAGS = {
  draftAdapter: "--draft-adapter",
  draftModel: "--draft-model",
  medusaHeads: "--medusa-heads",
  ngrams: "--ngrams",
} as const;

/** The models, of which the one that a draft names has it. It needs no name of its own, because it changes no text. */
function withDraft(models: readonly ServedModel[], given: string, kind: keyof typeof FLAGS): readonly ServedModel[] {
  const { name, value } = split(given);
  const flag = FLAGS[kind];
  const names = models.map((model) => model.name);
  const meant = models.filter((model) => name === null || model.name === name || model.name.endsWith(`:${name}`));
  if (meant.length !== 1) {
    const next = `say for which model, as in ${names[0]}=${value}; there are ${names.join(", ")}`;
    throw new CllmError("usage", `${flag} ${given}: ${next}`);
  }
  const [model] = meant;
  if (model![kind] !== undefined)
    throw new CllmError("usage", `${flag} ${given}: ${model!.name} has one already; give one for each model`);
  return models.map((each) => (each === model ? { ...each, [kind]: value } : each));
}

/**
 * How they are started: each in a worker of its own. What a model is for is read here if the model is a local
 * directory; an adapter is for what its model is for. Throws `bad-file`.
 *
 * @example
 * const entries = await modelEntries(servedModels(["model.gguf"]), { precision: "int8" });
 * await using models = createModels(entries, { maxRunning: 4, maxWaiting: 64 });
 */
export async function modelEntries(
  served: readonly ServedModel[],
  options: LoadSettings = {},
  workerFile?: HostOptions["workerFile"],
): Promise<readonly ModelEntry[]> {
  const facts = await Promise.all(served.map(({ model }) => readOwnFacts(diskFolder(model))));
  return served.map(({ name, model, adapter, draftAdapter, draftModel, medusaHeads, ngrams }, i) => ({
    name,
    draftModel: draftModel === undefined ? null : nameOf(draftModel),
    draftAdapter: draftAdapter === undefined ? null : basename(draftAdapter),
    medusaHeads: medusaHeads === undefined ? null : basename(medusaHeads),
    ngrams: ngrams === undefined ? null : basename(ngrams),
    demonstration: facts[i]!.demonstration,
    start: (admit, onEnd) =>
      startModel({
        model,
        options: {
          ...options,
          ...(adapter !== undefined && { adapter }),
          ...(draftAdapter !== undefined && { draftAdapter }),
          ...(draftModel !== undefined && { draftModel }),
          ...(medusaHeads !== undefined && { medusaHeads }),
          ...(ngrams !== undefined && { ngrams }),
        },
        workerFile,
        admit,
        onEnd,
      }),
  }));
}

/** `name=value`; a path may have an equals sign behind a slash. */
function split(given: string): { readonly name: string | null; readonly value: string } {
  const at = given.indexOf("=");
  const name = given.slice(0, Math.max(0, at));
  if (at < 0 || /^[.~/\\]|:\/\//.test(name)) return { name: null, value: given };
  const value = given.slice(at + 1);
  if (name === "" || value === "") throw new CllmError("usage", `${given}: give it as name=path`);
  return { name, value };
}

function nameOf(model: string): string {
  const id = existsSync(model) ? null : parseHubId(model);
  return id === null ? basename(resolve(model)).replace(/\.gguf$/i, "") : hubName(id);
}
