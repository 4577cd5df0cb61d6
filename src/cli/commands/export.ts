/**
 * `cllm export`: a model, with an adapter merged in or not, in the form that other programs read. Opens, checks what is in
 * the way, converts the tokenizer and hands over to the writers; knows no format itself.
 */
import { basename, resolve } from "node:path";
import * as z from "zod";
import { checkGgufTarget, writeGguf } from "../../checkpoint/gguf/write.ts";
import { modelCard } from "../../checkpoint/huggingface/model-card.ts";
import { checkHuggingFaceTarget, writeHuggingFace } from "../../checkpoint/huggingface/write.ts";
import { type Checkpoint, openCheckpoint } from "../../checkpoint/open.ts";
import {
  adaptedConfig,
  checkAdapterTarget,
  requireFit,
  withAdapter,
  writeAdapter,
} from "../../checkpoint/peft/adapter.ts";
import { readAdapter } from "../../checkpoint/peft/read-adapter.ts";
import type { Adapter } from "../../checkpoint/peft/types.ts";
import { checkOnnxTarget, writeOnnx } from "../../checkpoint/write-onnx.ts";
import { CllmError } from "../../error.ts";
import { toGgufTokenizer } from "../../text/to-gguf.ts";
import { toHuggingFaceTokenizer } from "../../text/to-huggingface.ts";
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
import { sizeOf } from "../size.ts";
import type { Terminal } from "../terminal.ts";

const FORMATS = ["huggingface", "gguf", "onnx", "adapter"] as const;
type Format = (typeof FORMATS)[number];
const TYPES = ["f32", "f16", "bf16", "q8_0", "int8"] as const;
type Type = (typeof TYPES)[number];

/** What each format can be written in, the default first. */
const TYPES_OF = {
  huggingface: ["f32", "f16", "bf16"],
  gguf: ["f32", "f16", "bf16", "q8_0"],
  onnx: ["f32", "int8"],
  adapter: ["f32", "f16", "bf16"],
} as const satisfies Readonly<Record<Format, readonly Type[]>>;

interface ExportSettings extends CheckpointSettings, Pick<ModelSettings, "adapter"> {
  readonly to: string;
  readonly format: Format | undefined;
  readonly dtype: Type;
  readonly baseModel: string | undefined;
  readonly overwrite: boolean;
}

export const exportModel: Command = defineCommand<ExportSettings>({
  name: "export",
  summary: "Write a model for other programs: Hugging Face, GGUF or ONNX",
  details:
    "huggingface is a directory for transformers, vLLM and llama.cpp's converter; gguf a file for llama.cpp; onnx a " +
    "directory with a graph for ONNX Runtime, whose inputs and outputs are those of Optimum and transformers.js; adapter " +
    "a PEFT directory. An --adapter is merged into the first three. What is written appears whole or not at all.",
  fields: {
    ...checkpointFields,
    adapter: modelFields.adapter,
    to: z.string().min(1).meta({ description: "folder or .gguf file to write", placeholder: "path" }),
    format: z
      .enum(FORMATS)
      .optional()
      .meta({ description: "what to write; default: gguf for names that end so, else huggingface" }),
    dtype: z.enum(TYPES).default("f32").meta({ description: "element type of matrices; f32 loses nothing" }),
    baseModel: z.string().min(1).optional().meta({
      description: "what an adapter says it is for; default: what it says now, or the model",
      placeholder: "id",
    }),
    overwrite: z.boolean().default(false).meta({ description: "replace what an earlier export has written there" }),
  },
  examples: [
    ["cllm export --to text-to-sql.gguf --dtype f16", "the model that comes with cllm, for llama.cpp"],
    ["cllm export --model model.gguf --to model-hf", "a GGUF file as a Hugging Face directory"],
    ["cllm export --model model-hf --to model-q8.gguf --dtype q8_0", "the other way round, for llama.cpp"],
    ["cllm export --model model-hf --adapter lora --to merged --dtype bf16", "with an adapter merged in"],
    ["cllm export --model model-hf --to model-onnx --format onnx", "a graph for ONNX Runtime"],
  ],
  foreign: { precision: "--dtype says what is written" },
  async run(settings, terminal) {
    const { to, dtype, overwrite } = settings;
    const format = settings.format ?? (to.endsWith(".gguf") ? "gguf" : "huggingface");
    checkType(format, dtype);
    if (format === "adapter" && settings.adapter === undefined) {
      throw new CllmError("usage", "--format adapter needs the --adapter to write");
    }
    if (format !== "adapter" && settings.baseModel !== undefined) {
      throw new CllmError("usage", `--base-model is for --format adapter; ${format} has the base in it`);
    }
    await checkTarget(format, to, overwrite);
    const { offline, revision, cacheDir, adapter: adapterFolder } = settings;
    const checkpoint = await openCheckpoint(orDemonstration(settings, terminal).model, {
      ...{ offline, revision, cacheDir },
      onProgress: terminal.progress,
      onWarning: terminal.note,
      signal: terminal.signal,
    });
    try {
      const adapter = adapterFolder === undefined ? null : await readAdapter(adapterFolder);
      await write(format, checkpoint, adapter, settings, terminal);
    } finally {
      terminal.endProgress();
      await checkpoint.close();
    }
    const bytes = await sizeOf(to);
    const done = { path: resolve(to), format, dtype, model: checkpoint.name, adapter: adapterFolder ?? null, bytes };
    const merged = adapterFolder === undefined || format === "adapter" ? "" : ` with ${adapterFolder}`;
    const line = `${checkpoint.name}${merged} as ${format} in ${dtype}: ${to}, ${formatBytes(bytes)}`;
    terminal.write(`${terminal.json ? JSON.stringify(done) : line}\n`);
  },
});

function checkType(format: Format, dtype: Type): void {
  const possible: readonly Type[] = TYPES_OF[format];
  if (possible.includes(dtype)) return;
  const formats = FORMATS.filter((name) => (TYPES_OF[name] as readonly Type[]).includes(dtype));
  const hint = `${dtype} is one of ${formats.join(", ")}`;
  throw new CllmError("usage", `--format ${format} takes --dtype ${possible.join(", ")}, not ${dtype}; ${hint}`);
}

async function checkTarget(format: Format, to: string, overwrite: boolean): Promise<void> {
  if (format === "gguf") checkGgufTarget(to, { overwrite });
  else if (format === "onnx") await checkOnnxTarget(to, overwrite);
  else if (format === "adapter") await checkAdapterTarget(to, overwrite);
  else await checkHuggingFaceTarget(to, { overwrite });
}

async function write(
  format: Format,
  checkpoint: Checkpoint,
  adapter: Adapter | null,
  { to, dtype, baseModel, overwrite }: ExportSettings,
  terminal: Terminal,
): Promise<void> {
  const { name, tokenizer } = checkpoint;
  const config = adapter === null ? checkpoint.config : adaptedConfig(checkpoint.config, adapter);
  const copies = adapter !== null && format === "adapter";
  if (copies) requireFit(checkpoint.weights, adapter, adapter.copies);
  const weights = adapter === null || copies ? checkpoint.weights : withAdapter(checkpoint.weights, adapter);
  const onWrite = (what: string, done: number, total: number): void =>
    terminal.progress({ stage: "write", what, done, total, unit: format === "onnx" ? "layers" : "tensors" });
  const shared = { overwrite, onWrite, signal: terminal.signal };
  const type = dtype.toUpperCase() as "F32" | "F16" | "BF16";
  if (format === "gguf") {
    const content = { name, config, weights, tokenizer: toGgufTokenizer(tokenizer, config.vocabSize) };
    return writeGguf(to, content, { ...shared, dtype: dtype.toUpperCase() as "Q8_0" | typeof type });
  }
  const title = basename(resolve(to));
  if (format === "adapter") {
    const named = { ...adapter!, baseModel: baseModel ?? adapter!.baseModel ?? name };
    return writeAdapter(to, named, { dtype: type, overwrite });
  }
  const card = modelCard({ title, base: name, adapter: adapter?.name ?? null, format, dtype, family: config.family });
  const content = { config, weights, card, tokenizer: toHuggingFaceTokenizer(tokenizer, config) };
  if (format === "onnx") return writeOnnx(to, content, { ...shared, precision: dtype === "int8" ? "int8" : "fp32" });
  return writeHuggingFace(to, content, { ...shared, dtype: type });
}
