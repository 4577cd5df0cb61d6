/**
 * `cllm/decode`: decoders, drafts and sampling over token ids and a `Session` of one's own. It uses no module of Node,
 * so it runs in a browser too; `test/project/subpaths.test.ts` bundles it for one.
 */
import "./dispose-symbol.ts";

export { CllmError, type ErrorCode } from "../error.ts";
export { type ContentFormat, compileFormat, type Format, type TagsFormat } from "../grammar/format.ts";
export type { Constraint, State } from "../grammar/types.ts";
export type { Tokens } from "../grammar/vocabulary.ts";
export {
  chaoticModel,
  consistentModel,
  ngramModel,
  type ScriptedModel,
  type ScriptedSession,
  scriptedSession,
} from "../runtime/scripted.ts";
export type { Candidates, Forest, Session, TokenIds } from "../runtime/session.ts";
export { ar } from "./ar.ts";
export { AutoMemory, type AutoOptions, auto } from "./auto.ts";
export { type BudgetOptions, type NewTokens, tokenBudget } from "./budget.ts";
export type { TreePath } from "./candidate-tree.ts";
export { type ChoiceOptions, type ChosenSession, chosen, sampled } from "./choice.ts";
export {
  constant,
  type Draft,
  type DraftPolicy,
  fromLookup,
  fromPrompt,
  type GuessOptions,
  given,
  ownDraft,
  repeatLast,
} from "./drafts.ts";
export { HeadRecord } from "./head-record.ts";
export { type JacobiOptions, jacobi } from "./jacobi.ts";
export { KnownNgrams } from "./known-ngrams.ts";
export { type LookaheadOptions, lookahead } from "./lookahead.ts";
export { type MedusaOptions, medusa } from "./medusa.ts";
export { type MultiblockOptions, multiblock } from "./multiblock.ts";
export { type Followers, followers, NgramCounts } from "./ngram-counts.ts";
export { OpenDraft } from "./open-draft.ts";
export type { PenaltyOptions } from "./penalties.ts";
export { fromPrediction, PredictionCursor } from "./prediction.ts";
export { type PromptLookupOptions, promptLookup } from "./prompt-lookup.ts";
export type { SamplingOptions } from "./sampling.ts";
export type { TokenScore } from "./scores.ts";
export { fromSession, type SessionDraftOptions } from "./session-draft.ts";
export { type SpeculativeOptions, speculative } from "./speculative.ts";
export { fromSuffixes, type SuffixDraftOptions } from "./suffix-draft.ts";
export { countAnswer, type Foretold, knownAnswers, SuffixMemory, type SuffixView } from "./suffix-memory.ts";
export { tokensPerForward } from "./tokens-per-forward.ts";
export { type Trajectory, type TrajectoryOptions, trajectory } from "./trajectory.ts";
export { Transcript, type Verified } from "./transcript.ts";
export type { DecodeOptions, Decoder, Iteration } from "./types.ts";
