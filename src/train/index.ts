/**
 * `cllm/train`: a run from a model and a file of examples, or from examples of one's own; and the trajectories that consistency
 * training learns from.
 */

export { CllmError, type ErrorCode } from "../error.ts";
export type { LoraSettings } from "../model/lora.ts";
export type { NamedTensor } from "../model/memory-weights.ts";
export type { WantedDevice } from "../runtime/open-device.ts";
export type { DropReason } from "../trajectory/clean.ts";
export { type CollectOptions, collect } from "../trajectory/collect.ts";
export type { ExpectedIdentity, ModelIdentity } from "../trajectory/identity.ts";
export type {
  CollectionInfo,
  CollectionReport,
  CollectionSettings,
  CollectionShard,
  TrajectoryFormat,
} from "../trajectory/info.ts";
export type { Collocation, TrajectoryReport } from "../trajectory/measure.ts";
export { type OpenTrajectoriesOptions, openTrajectories, type Trajectories } from "../trajectory/open.ts";
export { writeTrajectories } from "../trajectory/store.ts";
export type { CollectedCompletion, CollectionPrompt } from "../trajectory/types.ts";
export type { Choice, Measured } from "./choice.ts";
export type { HeldOut } from "./held-out.ts";
export type { Example } from "./objectives.ts";
export { type PreparedTraining, prepareTraining, type TrainingOptions } from "./prepare.ts";
export type { DataSource, NameOf, TrainingSource, TrajectorySource } from "./read-examples.ts";
export { type RunResult, runTraining, type TrainRun } from "./run.ts";
export { type MedusaSettings, type TrainFields, type TrainSettings, trainSettings } from "./settings.ts";
export { type ExampleSource, shuffled } from "./source.ts";
export type { EvaluationRecord, StepRecord, TrainRecord } from "./train.ts";
