/**
 * `adapter_config.json` of PEFT, and the file of our own beside it: the one place that knows their keys. Unknown keys
 * are allowed as long as they ask for nothing. What asks for more than low-rank matrices is refused by name. Reads no
 * files.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import { shorten } from "../../files/near-miss.ts";
import type { Adapter, AdapterConfig } from "./types.ts";

const rank = z.number().int().min(1).max(65_536);
const alpha = z.number().min(-1e9).max(1e9);

const schema = z.looseObject({
  peft_type: z.string(),
  base_model_name_or_path: z.string().nullish(),
  r: rank,
  lora_alpha: alpha.nullish(),
  use_rslora: z.boolean().nullish(),
  bias: z.string().nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
  rank_pattern: z.record(z.string(), rank).nullish(),
  alpha_pattern: z.record(z.string(), alpha).nullish(),
});

/** Keys that say nothing about what the adapter computes, or that its tensors say better. */
const HARMLESS: ReadonlySet<string> = new Set([
  ...["task_type", "auto_mapping", "revision", "inference_mode", "peft_version", "lora_dropout", "megatron_core"],
  ...["target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "qalora_group_size"],
  ...["eva_config", "loftq_config", "corda_config", "lora_ga_config"], // say how to start: see PLAIN_STARTS
  "fan_in_fan_out", // PEFT ignores it for the matrices of these families
  ...Object.keys(schema.shape),
]);
/** What an adapter may hold whole. */
const WHOLE: ReadonlySet<unknown> = new Set(["lm_head", "embed_tokens"]);
/** Ways to start training that leave the base model's weights as they were. */
const PLAIN_STARTS: ReadonlySet<unknown> = new Set([undefined, null, true, false, "gaussian", "orthogonal", "eva"]);

/** Read the configuration. Throws `bad-file` for wrong values and `unsupported` for what is not built. */
export function readAdapterConfig(json: Record<string, unknown>, path: string): AdapterConfig {
  const refuse = (what: string): CllmError =>
    new CllmError("unsupported", `${path}: ${what} is not supported; plain LoRA is; merge the adapter with PEFT`);
  if (json["peft_type"] !== "LORA") throw refuse(`an adapter of type ${shorten(String(json["peft_type"]))}`);
  const result = schema.safeParse(json);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    throw new CllmError("bad-file", `${path}: ${issue.path.join(".")}: ${issue.message}; save the adapter again`);
  }
  const config = result.data;
  if ((config.bias ?? "none") !== "none") throw refuse(`bias ${shorten(config.bias!)}`);
  if (!PLAIN_STARTS.has(config.init_lora_weights)) {
    throw refuse(`init_lora_weights ${shorten(String(config.init_lora_weights))}, which changes the base model,`);
  }
  for (const [key, value] of Object.entries(json)) {
    if (key === "modules_to_save" && isWholly(value, WHOLE)) continue; // its tensors are there
    if (!HARMLESS.has(key) && asksForSomething(value))
      throw refuse(`${shorten(key)} ${shorten(JSON.stringify(value))}`);
  }
  const ranks = patternReader(config.rank_pattern ?? {}, "rank_pattern", refuse);
  const alphas = patternReader(config.alpha_pattern ?? {}, "alpha_pattern", refuse);
  return {
    baseModel: config.base_model_name_or_path || null,
    rankStabilized: config.use_rslora === true,
    rankOf: (module) => ranks(module) ?? config.r,
    alphaOf: (module) => alphas(module) ?? config.lora_alpha ?? 8, // PEFT's default
  };
}

const DRAFT_TOKEN = "draft_token_id";
const LEADING_DRAFT = "leading_draft";
const DRAFT_ADAPTER = "draft_adapter";
const BASE_ADAPTER = "base_adapter";

export type DraftConfig = Pick<Adapter, "draftTokenId" | "leadingDraft" | "drafts" | "baseAdapter">;

/** What decoders draft and where, from the file beside PEFT's own; undefined where it does not say. Throws `bad-file`. */
export function readDraftConfig(json: Record<string, unknown>, path: string): DraftConfig {
  const bad = (key: string, what: string): CllmError => {
    const message = `${path}: ${key} must be ${what}, not ${shorten(JSON.stringify(json[key]))}`;
    return new CllmError("bad-file", `${message}; save the adapter again`);
  };
  const { [DRAFT_TOKEN]: id, [LEADING_DRAFT]: leading, [DRAFT_ADAPTER]: drafts, [BASE_ADAPTER]: baseAdapter } = json;
  if (id !== undefined && !(typeof id === "number" && Number.isSafeInteger(id) && id >= 0))
    throw bad(DRAFT_TOKEN, "a token id");
  if (leading !== undefined && typeof leading !== "boolean") throw bad(LEADING_DRAFT, "true or false");
  if (drafts !== undefined && typeof drafts !== "boolean") throw bad(DRAFT_ADAPTER, "true or false");
  if (baseAdapter !== undefined && typeof baseAdapter !== "string") throw bad(BASE_ADAPTER, "a name");
  return { draftTokenId: id, leadingDraft: leading, drafts, baseAdapter };
}

/** The file beside PEFT's own; null where there is nothing to say. */
export function draftConfigJson(adapter: DraftConfig): Record<string, unknown> | null {
  const { draftTokenId, leadingDraft = false, drafts = false, baseAdapter } = adapter;
  if (draftTokenId === undefined && !drafts) return null;
  return {
    ...(drafts && { [DRAFT_ADAPTER]: true }),
    ...(drafts && baseAdapter !== undefined && { [BASE_ADAPTER]: baseAdapter }),
    ...(draftTokenId !== undefined && { [DRAFT_TOKEN]: draftTokenId }),
    ...(leadingDraft && { [LEADING_DRAFT]: true }),
  };
}

function isWholly(value: unknown, of: ReadonlySet<unknown>): boolean {
  return Array.isArray(value) && value.every((entry) => of.has(entry));
}

function asksForSomething(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return value !== null && value !== false && value !== "" && value !== 0;
}

/**
 * The first entry whose key is the module's name or an end of it after a dot. PEFT takes keys for regular expressions;
 * all that are in use are names, and expressions from unknown files are not run.
 */
function patternReader(
  pattern: Readonly<Record<string, number>>,
  key: string,
  refuse: (what: string) => CllmError,
): (module: string) => number | undefined {
  const entries = Object.entries(pattern).map(([written, value]) => {
    const anchored = written.startsWith("^");
    const name = written.replace(/^\^/, "").replace(/\$$/, "").replaceAll("\\.", ".");
    if (!/^[\w.-]+$/.test(name)) throw refuse(`the regular expression ${shorten(written)} in ${key}`);
    return { name, anchored, value };
  });
  return (module) =>
    entries.find(({ name, anchored }) => module === name || (!anchored && module.endsWith(`.${name}`)))?.value;
}

/** `adapter_config.json` for an adapter: the commonest rank and alpha, and patterns for the modules that differ. */
export function adapterConfigJson({ baseModel, rankStabilized, modules, copies }: Adapter): Record<string, unknown> {
  const entries = [...modules];
  const r = commonest(entries.map(([, module]) => module.rank));
  const loraAlpha = commonest(entries.map(([, module]) => module.alpha));
  const differing = (key: "rank" | "alpha", common: number): Record<string, number> =>
    Object.fromEntries(entries.flatMap(([name, module]) => (module[key] === common ? [] : [[name, module[key]]])));
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseModel,
    inference_mode: true,
    r,
    lora_alpha: loraAlpha,
    lora_dropout: 0,
    use_rslora: rankStabilized,
    target_modules: targetModules([...modules.keys()]),
    rank_pattern: differing("rank", r),
    alpha_pattern: differing("alpha", loraAlpha),
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: true,
    modules_to_save: savedModules([...(copies?.keys() ?? [])].filter((tensor) => !modules.has(moduleOf(tensor)))),
    layers_to_transform: null,
    layers_pattern: null,
    use_dora: false,
  };
}

const moduleOf = (tensor: string): string => tensor.replace(/\.weight$/, "");

function savedModules(tensors: readonly string[]): readonly string[] | null {
  return tensors.length === 0 ? null : tensors.map((tensor) => moduleOf(tensor).replace(/^model\./, ""));
}

function commonest(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
}

/** Short names where every layer that has a module has them all, else full ones: PEFT takes both for ends of names. */
function targetModules(names: readonly string[]): string[] {
  const layersOf = new Map<string, Set<string>>();
  for (const name of names) {
    const short = name.slice(name.lastIndexOf(".") + 1);
    layersOf.set(short, (layersOf.get(short) ?? new Set()).add(/\.layers\.(\d+)\./.exec(name)?.[1] ?? ""));
  }
  const layers = new Set([...layersOf.values()].flatMap((set) => [...set]));
  const everywhere = [...layersOf.values()].every((set) => set.size === layers.size);
  const gapless = [...layers].every((layer) => layer !== "" && Number(layer) < layers.size);
  return everywhere && gapless ? [...layersOf.keys()] : [...names];
}
