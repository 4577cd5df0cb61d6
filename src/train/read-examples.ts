/**
 * What a run learns from, as tokens: a data set as the model reads it, or the completions of a trajectory file. Says what it
 * leaves out. Knows no sequence length and no objective but which points it needs.
 */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { CllmError } from "../error.ts";
import { encodePrompt } from "../generate/prompt.ts";
import { mix } from "../hash.ts";
import { createChatTemplate } from "../text/chat.ts";
import { createTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { toCandidates } from "../trajectory/candidates.ts";
import { type DatasetOptions, readDataset, type UnusableRecord, unknownRolesText } from "../trajectory/dataset.ts";
import { identify } from "../trajectory/identity.ts";
import { openTrajectories } from "../trajectory/open.ts";
import type { Example } from "./objectives.ts";
import type { TrainSettings } from "./settings.ts";

/** A file of records, or a known data set by its name, with the fields that make prompts and answers. */
export interface DataSource extends Omit<DatasetOptions, "answers"> {
  readonly data: string;
  /** Continue prompts as they are, without the chat template. Default: false. */
  readonly raw?: boolean | undefined;
  /** Which of the model's named chat templates. Default: the one named `default`. */
  readonly chatTemplate?: string | undefined;
  /** Variables of the chat template. Default: none. */
  readonly templateOptions?: Readonly<Record<string, unknown>> | undefined;
}

/** A file of `runCollection`, or of the original CLLM code. */
export interface TrajectorySource {
  readonly trajectories: string;
}

export type TrainingSource = DataSource | TrajectorySource;

export interface ReadExamples {
  readonly examples: readonly Example[];
  /** What tells them apart from others; a run stores it. */
  readonly identity: Readonly<Record<string, string>>;
  /** For people: what is left out, and why. */
  readonly notes: readonly string[];
}

/** How an option is called in errors. */
export type NameOf = (option: string) => string;

/** Reads them all. Throws what the readers throw, and `usage` where the source does not have the points that are asked for. */
export async function readExamples(
  source: TrainingSource,
  checkpoint: Checkpoint,
  settings: Pick<TrainSettings, "objective" | "points" | "blockSize">,
  nameOf: NameOf,
): Promise<ReadExamples> {
  const tokenizer = createTokenizer(checkpoint.tokenizer, checkpoint.config.vocabSize);
  if ("trajectories" in source) return fromTrajectories(source, checkpoint, tokenizer, settings, nameOf);
  if (settings.points === "stored" && settings.objective === "consistency") {
    const needs = `${nameOf("points")} stored needs ${nameOf("trajectories")}`;
    throw new CllmError("usage", `${needs}: collect them with cllm collect`);
  }
  return fromData(source, checkpoint, tokenizer, nameOf);
}

async function fromTrajectories(
  { trajectories: path }: TrajectorySource,
  { name, config, weights }: Checkpoint,
  tokenizer: Tokenizer,
  settings: Pick<TrainSettings, "points" | "blockSize">,
  nameOf: NameOf,
): Promise<ReadExamples> {
  const { tokenizer: fingerprint, vocabSize } = await identify({ name, config, weights }, tokenizer);
  const { completions, blockSize } = await openTrajectories(path, {
    expect: { tokenizer: fingerprint, vocabSize },
    stopIds: new Set(config.eosTokenIds),
  });
  if (settings.points === "stored" && blockSize !== settings.blockSize) {
    const next = `give ${nameOf("blockSize")} ${blockSize}, or collect again`;
    throw new CllmError(
      "usage",
      `the points of ${path} are of ${blockSize} tokens, not ${settings.blockSize}: ${next}`,
    );
  }
  const examples = completions.filter(({ completionIds }) => completionIds.length > 0);
  const empty = completions.length - examples.length;
  const notes = empty === 0 ? [] : [`${empty} of ${completions.length} completions are empty and left out`];
  return { examples, identity: { trajectories: fingerprintOf(examples) }, notes };
}

async function fromData(
  { data, raw = false, chatTemplate, templateOptions, ...options }: DataSource,
  { config, tokenizer: source }: Checkpoint,
  tokenizer: Tokenizer,
  nameOf: NameOf,
): Promise<ReadExamples> {
  const dataset = await readDataset(data, { ...options, answers: "all" });
  const template = createChatTemplate(source, { name: chatTemplate, templateOptions });
  const reader = {
    tokenizer,
    config,
    promptIds: (input: Parameters<typeof encodePrompt>[0]) => encodePrompt(input, tokenizer, template),
  };
  const candidates = toCandidates(reader, dataset.examples, { chat: template.exists && !raw });
  const examples: Example[] = [];
  let unanswered = 0;
  for (const [i, candidate] of candidates.entries()) {
    const read = dataset.examples[i];
    if (read === undefined || "unusable" in read || "unusable" in candidate) continue;
    const { dataId, promptIds, labelIds } = candidate;
    if (labelIds !== null && labelIds.length > 0) {
      examples.push({ promptIds, completionIds: labelIds, group: read.record });
    } else if (options.skipBadRecords) unanswered++;
    else {
      const next = `name its field with ${nameOf("answerField")}, or ${nameOf("skipBadRecords")}`;
      throw new CllmError("bad-input", `${dataId} of ${dataset.name} has no answer: ${next}`);
    }
  }
  const bad = dataset.examples.filter(
    (example): example is UnusableRecord => "unusable" in example && !example.unknownRole,
  );
  const otherRoles = unknownRolesText(dataset, nameOf("strictData"));
  const notes = [
    ...(otherRoles === null ? [] : [otherRoles]),
    ...(bad.length > 0 ? [`${bad.length} records cannot be used and are left out; the first: ${bad[0]?.reason}`] : []),
    ...(unanswered > 0 ? [`${unanswered} records have no answer and are left out`] : []),
  ];
  return { examples, identity: { data: dataset.name, examples: fingerprintOf(examples) }, notes };
}

/** The same for the same tokens in the same order. */
function fingerprintOf(examples: readonly Example[]): string {
  let state = examples.length;
  for (const { promptIds, completionIds } of examples) {
    for (const ids of [promptIds, completionIds]) {
      state = mix(state ^ ids.length);
      for (const id of ids) state = mix(state ^ id);
    }
  }
  return state.toString(16).padStart(8, "0");
}
