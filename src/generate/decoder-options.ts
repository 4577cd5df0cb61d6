/**
 * The names of decoders, and what each of them can be told. Knows no decoder's inside.
 */
import type { AutoOptions } from "../decode/auto.ts";
import type { JacobiOptions } from "../decode/jacobi.ts";
import type { LookaheadOptions } from "../decode/lookahead.ts";
import type { MedusaOptions } from "../decode/medusa.ts";
import type { MultiblockOptions } from "../decode/multiblock.ts";
import type { PromptLookupOptions } from "../decode/prompt-lookup.ts";
import type { SpeculativeOptions } from "../decode/speculative.ts";
import type { SuffixDraftOptions } from "../decode/suffix-draft.ts";
import type { DecodeOptions } from "../decode/types.ts";

/** Decoders that need nothing beside a prompt. */
export type PlainDecoderName = "auto" | "ar" | "jacobi" | "lookahead" | "prompt-lookup" | "suffix" | "multiblock";
export const PLAIN_DECODERS: readonly PlainDecoderName[] = [
  "auto",
  "ar",
  "jacobi",
  "lookahead",
  "prompt-lookup",
  "suffix",
  "multiblock",
];
/** `prediction` needs one, and `draft-model` a model that is loaded with one; `medusa` needs heads. */
export type DecoderName = PlainDecoderName | "prediction" | "draft-model" | "medusa";
export const DECODERS: readonly DecoderName[] = [...PLAIN_DECODERS, "prediction", "draft-model", "medusa"];

/** Options that a decoder alone has. Session, prompt and limits come from the request. */
type Own<Options, Theirs extends PropertyKey = keyof DecodeOptions> = {
  readonly [K in keyof Omit<Options, Theirs>]?: Omit<Options, Theirs>[K] | undefined;
};

/** What a decoder of each name can be told. */
export interface DecoderOptions {
  readonly auto: Own<AutoOptions, keyof DecodeOptions | keyof AutoKnowledge>;
  readonly ar: Own<DecodeOptions>;
  readonly jacobi: Own<JacobiOptions>;
  readonly lookahead: Own<LookaheadOptions>;
  readonly "prompt-lookup": Own<PromptLookupOptions>;
  readonly suffix: Own<SpeculativeOptions & SuffixDraftOptions, keyof DecodeOptions | "draft">;
  readonly multiblock: Own<MultiblockOptions>;
  readonly medusa: Own<MedusaOptions>;
  readonly prediction: Own<SpeculativeOptions, keyof DecodeOptions | "draft">;
  readonly "draft-model": Own<SpeculativeOptions, keyof DecodeOptions | "draft">;
}

/** What the library tells `auto`. */
export type AutoKnowledge = Pick<
  AutoOptions,
  "costs" | "draftCosts" | "memory" | "prediction" | "answers" | "record" | "clock" | "alone"
>;

/** A decoder by its name, with options of its own. */
export type NamedDecoder = { [N in DecoderName]: { readonly name: N } & DecoderOptions[N] }[DecoderName];
