/**
 * `cllm`: what a user of the library imports. `load` and its types, decoders over a `Session` of one's own, checkpoints to open and
 * to write, tasks and statistics. Beside it are `cllm/decode`, `cllm/train` and `cllm/serve`.
 */

export {
  type Checkpoint,
  type CheckpointFacts,
  describeCheckpoint,
  type ModelSampling,
} from "./checkpoint/checkpoint.ts";
export type { FloatType } from "./checkpoint/encoders.ts";
export { type GgufContent, type GgufType, type WriteGgufOptions, writeGguf } from "./checkpoint/gguf/write.ts";
export type { DownloadProgress } from "./checkpoint/hub/download.ts";
export {
  type HuggingFaceContent,
  type WriteHuggingFaceOptions,
  writeHuggingFace,
} from "./checkpoint/huggingface/write.ts";
export { type StoredNgrams, writeNgrams } from "./checkpoint/ngrams.ts";
export { type OpenOptions, openCheckpoint } from "./checkpoint/open.ts";
export type { OwnFacts } from "./checkpoint/own-facts.ts";
export {
  type AdapterContent,
  adapterOf,
  type WriteAdapterOptions,
  withAdapter,
  writeAdapter,
} from "./checkpoint/peft/adapter.ts";
export { readAdapter } from "./checkpoint/peft/read-adapter.ts";
export type { Adapter, LoraModule } from "./checkpoint/peft/types.ts";
export { readNgrams } from "./checkpoint/read-ngrams.ts";
export type { OnWrite, TensorSource } from "./checkpoint/tensor-source.ts";
export type {
  GgufTokenizerSource,
  HuggingFaceTokenizerSource,
  TokenizerSource,
} from "./checkpoint/tokenizer-source.ts";
export { type OnnxContent, type WriteOnnxOptions, writeOnnx } from "./checkpoint/write-onnx.ts";
export {
  AutoMemory,
  type AutoOptions,
  ar,
  auto,
  type Candidates,
  type ChoiceOptions,
  type ChosenSession,
  type Constraint,
  type ContentFormat,
  chaoticModel,
  chosen,
  compileFormat,
  consistentModel,
  constant,
  countAnswer,
  type DecodeOptions,
  type Decoder,
  type Draft,
  type DraftPolicy,
  type Followers,
  type Forest,
  type Foretold,
  type Format,
  followers,
  fromLookup,
  fromPrediction,
  fromPrompt,
  fromSession,
  fromSuffixes,
  type GuessOptions,
  given,
  HeadRecord,
  type Iteration,
  type JacobiOptions,
  jacobi,
  KnownNgrams,
  knownAnswers,
  type LookaheadOptions,
  lookahead,
  type MedusaOptions,
  type MultiblockOptions,
  medusa,
  multiblock,
  type NewTokens,
  NgramCounts,
  ngramModel,
  OpenDraft,
  ownDraft,
  type PenaltyOptions,
  PredictionCursor,
  type PromptLookupOptions,
  promptLookup,
  repeatLast,
  type SamplingOptions,
  type ScriptedModel,
  type ScriptedSession,
  type Session,
  type SessionDraftOptions,
  type SpeculativeOptions,
  type State,
  type SuffixDraftOptions,
  SuffixMemory,
  type SuffixView,
  sampled,
  scriptedSession,
  speculative,
  type TagsFormat,
  type TokenIds,
  type TokenScore,
  type Tokens,
  type Trajectory,
  type TrajectoryOptions,
  Transcript,
  type TreePath,
  tokensPerForward,
  trajectory,
  type Verified,
} from "./decode/index.ts";
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
export { type Activity, type CalibrateOptions, measurePassCosts } from "./generate/calibrate.ts";
export type { Device, Dtype } from "./generate/dtype.ts";
export { load } from "./generate/load.ts";
export {
  type Adjustments,
  type ChosenLogprob,
  type Chunk,
  DECODERS,
  type DecoderName,
  type DecoderOptions,
  type FinishReason,
  type GenerateOptions,
  type Generation,
  type GenerationStream,
  type LanguageModel,
  type LoadOptions,
  type Message,
  type NamedDecoder,
  type Pass,
  type PassCosts,
  PLAIN_DECODERS,
  type PlainDecoderName,
  type Progress,
  type PromptInput,
  type Sampling,
  type Stats,
  type StopReason,
  type TokenLogprob,
  type ToolChoice,
} from "./generate/types.ts";
export type { Activation, ModelConfig, NormPlace, RopeScaling } from "./model/config.ts";
export type { NamedTensor } from "./model/memory-weights.ts";
export { type HostPrecision, PRECISIONS, type Precision } from "./model/precision.ts";
export type { BlockForm, Weights } from "./model/weights.ts";
export type { DeviceName } from "./runtime/devices/name.ts";
export {
  createJudge,
  type Judge,
  type Judgement,
  type JudgeOptions,
} from "./tasks/mt-bench/judge.ts";
export type { JudgedConversation } from "./tasks/mt-bench/judge-prompts.ts";
export { type OpenTaskOptions, openTask, TASKS, type TaskName } from "./tasks/open-task.ts";
export type { PromptFormat, Task, TaskExample, Verdict, VerdictName } from "./tasks/task.ts";
export { toGgufTokenizer } from "./text/to-gguf.ts";
export { toHuggingFaceTokenizer } from "./text/to-huggingface.ts";
export type { DecodeOptions as TextOptions, EncodeOptions, Tokenizer } from "./text/tokenizer.ts";
export type { AnswerPart, BrokenCall, BrokenReason, JsonObject, Tool, ToolCall } from "./text/tools/types.ts";
