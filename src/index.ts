/**
 * What a user of the library imports: `load` and its types, and the decoders over `Session` for people who bring their
 * own model.
 */
export { ar } from "./decode/ar.ts";
export { AutoMemory, type AutoOptions, auto } from "./decode/auto.ts";
export {
  type Draft,
  type DraftPolicy,
  fromLookup,
  fromPrompt,
  given,
  repeatLast,
} from "./decode/drafts.ts";
export { type JacobiOptions, jacobi } from "./decode/jacobi.ts";
export { type LookaheadOptions, lookahead } from "./decode/lookahead.ts";
export { type MultiblockOptions, multiblock } from "./decode/multiblock.ts";
export { type PromptLookupOptions, promptLookup } from "./decode/prompt-lookup.ts";
export { type SamplingOptions, sampled } from "./decode/sampling.ts";
export { type Trajectory, type TrajectoryOptions, trajectory } from "./decode/trajectory.ts";
export type { DecodeOptions, Decoder, Iteration } from "./decode/types.ts";
export { CllmError, type ErrorCode } from "./error.ts";
export { measurePassCosts } from "./generate/calibrate.ts";
export { load } from "./generate/load.ts";
export {
  type Chunk,
  DECODERS,
  type DecoderName,
  type FinishReason,
  type GenerateOptions,
  type Generation,
  type LanguageModel,
  type LoadOptions,
  type Message,
  type PassCosts,
  type Progress,
  type PromptInput,
  type Sampling,
  type Stats,
} from "./generate/types.ts";
export type { Family, ModelConfig, RopeScaling } from "./model/config.ts";
export { PRECISIONS, type Precision } from "./model/precision.ts";
export {
  chaoticModel,
  consistentModel,
  ngramModel,
  type ScriptedModel,
  type ScriptedSession,
  scriptedSession,
} from "./runtime/scripted.ts";
export type { Forest, Session, TokenIds } from "./runtime/session.ts";
export type { DecodeOptions as TextOptions, EncodeOptions, Tokenizer } from "./text/tokenizer.ts";
