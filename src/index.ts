/**
 * What a user of the library imports: `load` and its types, the decoders over `Session` for people who bring their own
 * model, and what makes, trains and writes models.
 */

export { type GgufContent, type WriteGgufOptions, writeGguf } from "./checkpoint/gguf/write.ts";
export {
  type HuggingFaceContent,
  type WriteHuggingFaceOptions,
  writeHuggingFace,
} from "./checkpoint/huggingface/write.ts";
export {
  type AdapterContent,
  adapterOf,
  readAdapter,
  type WriteAdapterOptions,
  withAdapter,
  writeAdapter,
} from "./checkpoint/peft/adapter.ts";
export type { Adapter } from "./checkpoint/peft/types.ts";
export { writeOnnx } from "./checkpoint/write-onnx.ts";
export { ar } from "./decode/ar.ts";
export { AutoMemory, type AutoOptions, auto } from "./decode/auto.ts";
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
} from "./decode/drafts.ts";
export { type JacobiOptions, jacobi } from "./decode/jacobi.ts";
export { type LookaheadOptions, lookahead } from "./decode/lookahead.ts";
export { type MultiblockOptions, multiblock } from "./decode/multiblock.ts";
export { type PromptLookupOptions, promptLookup } from "./decode/prompt-lookup.ts";
export { type SamplingOptions, sampled } from "./decode/sampling.ts";
export { fromSession, type SessionDraftOptions } from "./decode/session-draft.ts";
export { type Trajectory, type TrajectoryOptions, trajectory } from "./decode/trajectory.ts";
export type { DecodeOptions, Decoder, Iteration } from "./decode/types.ts";
export { CllmError, type ErrorCode } from "./error.ts";
export {
  type BootstrapOptions,
  bootstrap,
  type Estimate,
  type Interval,
  mcNemarExact,
  pairedDifference,
  pairedRatio,
  wilsonInterval,
} from "./eval/statistics.ts";
export { measurePassCosts } from "./generate/calibrate.ts";
export type { Device, Dtype } from "./generate/dtype.ts";
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
export {
  createJudge,
  type Judge,
  type Judgement,
  type JudgeOptions,
} from "./tasks/mt-bench/judge.ts";
export type { JudgedConversation } from "./tasks/mt-bench/judge-prompts.ts";
export { type OpenTaskOptions, openTask, TASKS, type TaskName } from "./tasks/open-task.ts";
export type { PromptFormat, Task, TaskExample, Verdict, VerdictName } from "./tasks/task.ts";
export type { DecodeOptions as TextOptions, EncodeOptions, Tokenizer } from "./text/tokenizer.ts";
export { type Evaluation, evaluate, type HeldOut } from "./train/evaluate.ts";
export type { Example } from "./train/objectives.ts";
export { type PreparedTraining, prepareTraining, type TrainingOptions } from "./train/prepare.ts";
export type { DataSource, TrainingSource, TrajectorySource } from "./train/read-examples.ts";
export { type RunResult, runTraining, type TrainRun } from "./train/run.ts";
export { type TrainFields, type TrainSettings, trainSettings } from "./train/settings.ts";
export { type ExampleSource, shuffled } from "./train/source.ts";
export type { EvaluationRecord, StepRecord, TrainRecord } from "./train/train.ts";
export { type CollectOptions, collect } from "./trajectory/collect.ts";
export type { CollectionInfo, CollectionReport, CollectionSettings } from "./trajectory/info.ts";
export { type OpenTrajectoriesOptions, openTrajectories, type Trajectories } from "./trajectory/open.ts";
export { writeTrajectories } from "./trajectory/store.ts";
export type { CollectedCompletion, CollectionPrompt } from "./trajectory/types.ts";
