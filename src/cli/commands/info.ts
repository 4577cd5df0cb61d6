/**
 * `cllm info`: what a checkpoint is and what it would take to run it, from its headers alone. Reads no weights.
 */

import { type CheckpointFacts, describeCheckpoint } from "../../checkpoint/checkpoint.ts";
import { type Checkpoint, openCheckpoint } from "../../checkpoint/open.ts";
import { requireFit } from "../../checkpoint/peft/adapter.ts";
import { readAdapter } from "../../checkpoint/peft/read-adapter.ts";
import type { Adapter } from "../../checkpoint/peft/types.ts";
import type { ModelConfig } from "../../model/config.ts";
import { cacheBytes, weightBytes } from "../../model/memory.ts";
import { PRECISIONS, type Precision } from "../../model/precision.ts";
import {
  type CheckpointSettings,
  type Command,
  checkpointFields,
  defineCommand,
  type ModelSettings,
  modelFields,
} from "../command.ts";
import { formatBytes } from "../format.ts";
import { orDemonstration } from "../model.ts";
import type { Colors } from "../terminal.ts";

/** What is printed, as an object. */
interface Info extends CheckpointFacts {
  readonly config: ModelConfig;
  readonly tokenizer: { readonly kind: string; readonly vocabSize: number };
  readonly chatTemplate: boolean;
  /** Names of the chat templates, where they have any. */
  readonly namedTemplates: readonly string[];
  /** The adapter that was named, which fits this model. */
  readonly adapter?: AdapterFacts;
  /** Estimates in bytes, by precision. */
  readonly memory: Readonly<Record<Precision, { readonly weights: number; readonly keyValuePer1000Tokens: number }>>;
}

interface AdapterFacts {
  readonly name: string;
  readonly baseModel: string | null;
  readonly modules: number;
  readonly parameters: number;
  readonly ranks: readonly number[];
}

type InfoSettings = CheckpointSettings & Pick<ModelSettings, "adapter">;

export const info: Command = defineCommand<InfoSettings>({
  name: "info",
  summary: "Say what a checkpoint is, and its memory in each precision",
  fields: { ...checkpointFields, adapter: modelFields.adapter },
  examples: [
    ["cllm info", "the model that comes with cllm"],
    ["cllm info --model model.gguf", "a file"],
    ["cllm info --model HuggingFaceTB/SmolLM2-135M-Instruct --json", "a hub id, as JSON"],
  ],
  foreign: {
    precision: "it says the memory of each",
    dtype: "it says the memory of each precision",
    device: "it runs no model, and weights take the same memory on a GPU",
    threads: "it runs no model",
  },
  async run(settings, terminal) {
    const { offline, revision, cacheDir } = settings;
    const checkpoint = await openCheckpoint(orDemonstration(settings, terminal).model, {
      ...{ offline, revision, cacheDir },
      onProgress: terminal.progress,
      onWarning: terminal.note,
      signal: terminal.signal,
    });
    try {
      terminal.endProgress();
      const adapter = settings.adapter === undefined ? null : await readAdapter(settings.adapter);
      if (adapter !== null) requireFit(checkpoint.weights, adapter, adapter.copies); // throws where it is for another model
      const found = gather(checkpoint, adapter);
      terminal.write(terminal.json ? `${JSON.stringify(found)}\n` : asText(found, terminal.colors));
    } finally {
      await checkpoint.close();
    }
  },
});

function gather(checkpoint: Checkpoint, adapter: Adapter | null): Info {
  const { config, tokenizer } = checkpoint;
  const facts = describeCheckpoint(checkpoint);
  const namedTemplates = Object.keys(tokenizer.namedTemplates ?? {});
  const memory = Object.fromEntries(
    PRECISIONS.map((precision) => [
      precision,
      { weights: weightBytes(config, precision), keyValuePer1000Tokens: cacheBytes(config, 1000) },
    ]),
  ) as Info["memory"];
  return {
    ...facts,
    config,
    tokenizer: { kind: tokenizerKind(checkpoint), vocabSize: config.vocabSize },
    chatTemplate: tokenizer.chatTemplate !== null || namedTemplates.length > 0,
    namedTemplates,
    ...(adapter !== null && { adapter: adapterFacts(adapter) }),
    memory,
  };
}

function adapterFacts({ name, baseModel, modules }: Adapter): AdapterFacts {
  const list = [...modules.values()];
  const parameters = list.reduce((sum, { a, b }) => sum + a.length + b.length, 0);
  const ranks = [...new Set(list.map(({ rank }) => rank))].sort((a, b) => a - b);
  return { name, baseModel, modules: modules.size, parameters, ranks };
}

function tokenizerKind({ tokenizer }: Checkpoint): string {
  if (tokenizer.kind === "gguf") return tokenizer.model === "llama" ? "SentencePiece BPE" : "byte-level BPE";
  const { model, pre_tokenizer: preTokenizer } = tokenizer.tokenizerJson as {
    readonly model?: { readonly type?: string; readonly byte_fallback?: boolean };
    readonly pre_tokenizer?: unknown;
  };
  const kind = model?.type ?? "unknown";
  if (kind !== "BPE") return kind;
  return JSON.stringify(preTokenizer ?? null).includes("ByteLevel") ? "byte-level BPE" : "SentencePiece BPE";
}

function asText(found: Info, colors: Colors): string {
  const { config } = found;
  const scaling = config.ropeScaling === null ? "" : `, ${config.ropeScaling.type} scaling`;
  const yes = (value: boolean): string => (value ? "yes" : "no");
  const lines: readonly (readonly [string, string])[] = [
    ["name", found.name],
    ["format", `${found.format}, ${formatBytes(found.byteLength)} of weights`],
    ["stored as", found.dtypes.map(({ dtype, tensors }) => `${dtype} (${tensors} tensors)`).join(", ")],
    ["family", config.family],
    ["parameters", `${formatCount(found.parameters)} (${found.parameters})`],
    ["layers", `${config.layers}, hidden size ${config.hiddenSize}, intermediate size ${config.intermediateSize}`],
    ["attention", `${config.heads} heads of ${config.headSize}, ${config.kvHeads} for keys and values`],
    ["positions", `rotary, theta ${config.ropeTheta}${scaling}`],
    [
      "context",
      `${config.contextLength} tokens${config.slidingWindow === null ? "" : `, window of ${config.slidingWindow}`}`,
    ],
    ["tied head", yes(config.tiedHead)],
    ["tokenizer", `${found.tokenizer.kind}, vocabulary of ${found.tokenizer.vocabSize}`],
    ["end of sequence", config.eosTokenIds.join(", ") || "none"],
    ["chat template", found.namedTemplates.join(", ") || yes(found.chatTemplate)],
    ...(found.demonstration === null ? [] : [["demonstration", found.demonstration] as const]),
    ...adapterLines(found.adapter),
    ...PRECISIONS.map((precision): readonly [string, string] => {
      const { weights, keyValuePer1000Tokens } = found.memory[precision];
      const cache = `${formatBytes(keyValuePer1000Tokens)} per 1000 tokens of context`;
      return [`memory, ${precision}`, `about ${formatBytes(weights)} of weights and ${cache}`];
    }),
  ];
  const width = Math.max(...lines.map(([label]) => label.length));
  return lines.map(([label, value]) => `${colors.bold(label.padEnd(width))}  ${value}\n`).join("");
}

function adapterLines(adapter: AdapterFacts | undefined): readonly (readonly [string, string])[] {
  if (adapter === undefined) return [];
  const { name, baseModel, modules, parameters, ranks } = adapter;
  const made = baseModel === null ? "" : `, made for ${baseModel}`;
  return [
    [
      "adapter",
      `${name}: rank ${ranks.join(", ")}, ${formatCount(parameters)} parameters in ${modules} matrices${made}`,
    ],
  ];
}

/** 135 M, 7.24 B. */
function formatCount(count: number): string {
  const units = ["", " k", " M", " B"];
  const exponent = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(count) / 3)));
  return `${Number((count / 1000 ** exponent).toPrecision(3))}${units[exponent]}`;
}
