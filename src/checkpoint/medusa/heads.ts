/**
 * Medusa heads in a folder: `config.json` and `medusa_lm_head.safetensors`, as FasterDecoding's Medusa releases them (Cai et al.,
 * arXiv:2401.10774). Read, checked against the model that they are for, and written. Knows no graph.
 */
import { join } from "node:path";
import { CllmError } from "../../error.ts";
import { type Folder, fileIn, jsonIn, optionalJsonIn } from "../../files/folder.ts";
import { writeText, writeWholeFolder } from "../../files/write-whole.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { MedusaHeads } from "../../model/heads-graph.ts";
import { type MedusaShape, medusaTensors } from "../../model/medusa.ts";
import type { NamedTensor } from "../../model/memory-weights.ts";
import { readSafetensorsHeader } from "../huggingface/safetensors.ts";
import { writeJson } from "../huggingface/write.ts";
import { writeSafetensors } from "../huggingface/write-safetensors.ts";
import { readDraftConfig } from "../peft/config.ts";
import { storedWeights } from "../stored-weights.ts";
import { medusaCard } from "./card.ts";
import { headTensors, medusaConfigJson, readMedusaConfig } from "./config.ts";

export const MEDUSA_WEIGHTS = "medusa_lm_head.safetensors";
const PICKLED = "medusa_lm_head.pt";
const CONFIG = "config.json";
/** What Medusa's configuration has no key for. */
const OWN_CONFIG = "cllm.json";
const MAX_CONFIG_BYTES = 4 * 2 ** 20;

/** Heads whose file is open: they are read where they are compiled. */
export interface StoredHeads extends MedusaHeads {
  readonly name: string;
  readonly baseModel: string | null;
  /** The adapter that was merged into it, null for none; undefined where the folder does not say. */
  readonly baseAdapter: string | null | undefined;
  close(): Promise<void>;
}

/**
 * Opens the heads in a folder for a model of these sizes. Throws `not-found`; `unsupported` for a pickled file, which could run any code, and
 * for tensors that are none of heads; `bad-file`; `bad-weights` for heads of another size.
 */
export async function openHeadsIn(
  folder: Folder,
  config: Pick<ModelConfig, "hiddenSize" | "vocabSize">,
): Promise<StoredHeads> {
  const { path } = folder;
  const own = await folder.has(MEDUSA_WEIGHTS);
  if (!own && (await folder.has(PICKLED))) {
    const code = `torch.load("${PICKLED}", weights_only=True)`;
    throw new CllmError(
      "unsupported",
      `${fileIn(folder, PICKLED)} is a pickle, which can run any code, and is not read: ` +
        `write it as ${MEDUSA_WEIGHTS}, in Python by safetensors.torch.save_file(${code}, "${MEDUSA_WEIGHTS}")`,
    );
  }
  const name = own ? MEDUSA_WEIGHTS : "model.safetensors"; // as vLLM has it
  const json = (await folder.has(CONFIG)) ? await jsonIn(folder, CONFIG, MAX_CONFIG_BYTES) : null;
  if (!own && (json?.["model_type"] !== "medusa" || !(await folder.has(name))))
    throw new CllmError(
      "not-found",
      `${path} has no Medusa heads: there is no ${MEDUSA_WEIGHTS}; give a folder with it, such as best/ of cllm train --objective medusa`,
    );
  const { baseModel } = readMedusaConfig(json ?? {}, fileIn(folder, CONFIG));
  const facts = await optionalJsonIn(folder, OWN_CONFIG, MAX_CONFIG_BYTES);
  const baseAdapter =
    facts === null ? undefined : (readDraftConfig(facts, fileIn(folder, OWN_CONFIG)).baseAdapter ?? null);
  const file = await folder.open(name);
  try {
    const weights = storedWeights(await readSafetensorsHeader(file), () => file.close());
    const { shape, stored } = headTensors(weights.names(), file.path);
    requireFit(path, baseModel, config, shape, (tensor) => {
      const found = stored.get(tensor);
      return found === undefined ? null : weights.shape(found);
    });
    return {
      ...shape,
      ...{ name: path, baseModel, baseAdapter },
      weights: { read: (tensor, from, to) => weights.read(stored.get(tensor) ?? tensor, from, to) },
      close: () => weights.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function requireFit(
  path: string,
  baseModel: string | null,
  config: Pick<ModelConfig, "hiddenSize" | "vocabSize">,
  shape: MedusaShape,
  shapeOf: (tensor: string) => readonly number[] | null,
): void {
  if (shape.heads === 0) throw new CllmError("bad-weights", `${path} has no heads in its file: save them again`);
  for (const [tensor, wanted] of medusaTensors(config, shape)) {
    const found = shapeOf(tensor);
    if (found === null)
      throw new CllmError("bad-weights", `the heads ${path} lack the tensor ${tensor}: save them again`);
    if (`${found}` === `${wanted}`) continue;
    const next =
      baseModel === null ? "load the model that they were trained for" : `they were trained for ${baseModel}`;
    const message = `the heads ${path} are for another model: their ${tensor} is [${found}], and this one needs [${wanted}]`;
    throw new CllmError("bad-weights", `${message}; ${next}`);
  }
}

/** What is odd about using them for a model that `adapter` is merged into, for people; null for nothing. Its text is right anyway. */
export function headsNote({ name, baseAdapter }: StoredHeads, adapter: string | undefined): string | null {
  if (baseAdapter === undefined) return null;
  const merged =
    adapter
      ?.replace(/[\\/]+$/, "")
      .split(/[\\/]/)
      .at(-1) ?? null;
  if (merged === baseAdapter) return null;
  const trained = baseAdapter === null ? "the model without an adapter" : `the model with ${baseAdapter}`;
  return `the heads ${name} were trained for ${trained}: they will guess worse here, and the text is the same`;
}

export interface HeadsContent {
  readonly shape: MedusaShape;
  readonly config: Pick<ModelConfig, "hiddenSize" | "vocabSize">;
  readonly tensors: readonly NamedTensor[];
  readonly baseModel: string;
  /** The adapter that is merged into it; null for none. */
  readonly baseAdapter: string | null;
}

/**
 * Writes heads as they are released. The folder appears whole or not at all. Throws `usage` where something is in the way, and `disk`.
 *
 * @example await writeHeads("./heads", { shape, config, tensors, baseModel: "owner/name", baseAdapter: null }, { overwrite: true });
 */
export async function writeHeads(
  folder: string,
  { shape, config, tensors, baseModel, baseAdapter }: HeadsContent,
  { overwrite = false }: { readonly overwrite?: boolean } = {},
): Promise<void> {
  await writeWholeFolder(
    folder,
    async (partial) => {
      await writeJson(partial, CONFIG, medusaConfigJson(shape, { baseModel, ...config }));
      await writeJson(partial, OWN_CONFIG, baseAdapter === null ? {} : { base_adapter: baseAdapter });
      await writeText(partial, "README.md", medusaCard(folder, shape, baseModel, baseAdapter));
      await writeSafetensors(join(partial, MEDUSA_WEIGHTS), tensors);
    },
    { overwrite, marker: MEDUSA_WEIGHTS },
  );
}
