/**
 * What a low-rank adapter is: the two matrices of each module, and what a configuration says of them. Knows no file.
 */
import type { LowRank } from "../../model/lora.ts";
import type { NamedTensor } from "../../model/memory-weights.ts";
import type { StoredNgrams } from "../ngrams.ts";

/** The adapter of one matrix; `scale` is what B A is multiplied by. */
export interface LoraModule extends LowRank {
  readonly alpha: number;
  readonly outputs: number;
}

export interface Adapter {
  /** For people: the directory, or what made it. */
  readonly name: string;
  /** What the adapter was trained on, a hub id or a path; null if it is not known. */
  readonly baseModel: string | null;
  /** Scales are alpha / √rank. */
  readonly rankStabilized: boolean;
  /** By the module that each belongs to: `model.layers.0.self_attn.q_proj`. */
  readonly modules: ReadonlyMap<string, LoraModule>;
  /** Embedding or head, by tensor, that takes the place of the base's: PEFT stores them whole where they are adapted or grew. */
  readonly copies?: ReadonlyMap<string, NamedTensor> | undefined;
  /** What decoders draft with it, where it was trained to see that; see `ModelConfig.draftTokenId`. */
  readonly draftTokenId?: number | undefined;
  /** See `ModelConfig.leadingDraft`. */
  readonly leadingDraft?: boolean | undefined;
  /** It was trained to draft for the model that it is for, and is never merged into it. Default: false. */
  readonly drafts?: boolean | undefined;
  /** Of such a one: what was counted of the model's answers, which is drafted from beside it. Default: nothing. */
  readonly ngrams?: StoredNgrams | undefined;
  /** Of such a one: the adapter that was merged into the base that it was trained for, by its name. */
  readonly baseAdapter?: string | undefined;
}

/** What `adapter_config.json` says beside the tensors. */
export interface AdapterConfig {
  readonly baseModel: string | null;
  readonly rankStabilized: boolean;
  /** Of a module such as `model.layers.0.self_attn.q_proj`. */
  rankOf(module: string): number;
  alphaOf(module: string): number;
}
