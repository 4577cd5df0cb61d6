/**
 * `config.json` of Medusa heads, and the names of their tensors: as FasterDecoding's Medusa and text-generation-inference have them
 * (`0.0.linear.weight`), and as vLLM has them (`blocks.0.layers.0.weight`). The one place that knows these. Reads no file.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import { shorten } from "../../files/near-miss.ts";
import { blockName, linearName, type MedusaShape } from "../../model/medusa.ts";

const count = z.int().min(1).max(64);
const schema = z.looseObject({
  medusa_num_heads: count.nullish(),
  medusa_num_layers: count.nullish(),
  num_heads: count.nullish(),
  num_hidden_layers: count.nullish(),
  base_model_name_or_path: z.string().nullish(),
});

export interface MedusaConfig {
  readonly baseModel: string | null;
  /** Where the configuration says it. */
  readonly layers: number | null;
}

/** Throws `bad-file` for wrong values. */
export function readMedusaConfig(json: Record<string, unknown>, path: string): MedusaConfig {
  const result = schema.safeParse(json);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    throw new CllmError("bad-file", `${path}: ${issue.path.join(".")}: ${issue.message}; save the heads again`);
  }
  const { base_model_name_or_path: base, medusa_num_layers: layers } = result.data;
  return { baseModel: base || null, layers: layers ?? null };
}

/** The released form: `medusa_num_heads` and the rest, as `MedusaConfig.save_pretrained` writes it. */
export function medusaConfigJson(
  { heads, layers }: MedusaShape,
  { baseModel, hiddenSize, vocabSize }: { baseModel: string | null; hiddenSize: number; vocabSize: number },
): Record<string, unknown> {
  return {
    model_type: "medusa",
    medusa_num_heads: heads,
    medusa_num_layers: layers,
    base_model_name_or_path: baseModel,
    hidden_size: hiddenSize,
    vocab_size: vocabSize,
    version: "2",
  };
}

/** Our names of a file's tensors, each with the file's own, and what heads they make. Throws `unsupported` and `bad-weights`. */
export function headTensors(
  names: readonly string[],
  path: string,
): { readonly shape: MedusaShape; readonly stored: ReadonlyMap<string, string> } {
  const blocks = new Map<string, string>();
  const linears = new Map<number, string>();
  let [heads, layers, bias] = [0, 0, false];
  const ends: [name: string, head: number, at: number][] = []; // `0.1.weight`: a matrix to the vocabulary behind the blocks
  for (const name of names) {
    const plain = name.replace(/^medusa_heads?\./, "");
    const block =
      /^(\d+)\.(\d+)\.linear\.(weight|bias)$/.exec(plain) ??
      /^blocks\.(\d+)\.layers\.(\d+)\.(weight|bias)$/.exec(plain);
    if (block !== null) {
      const [head, layer] = [Number(block[1]), Number(block[2])];
      blocks.set(blockName(head, layer, block[3] as "weight" | "bias"), name);
      [heads, layers, bias] = [Math.max(heads, head + 1), Math.max(layers, layer + 1), bias || block[3] === "bias"];
      continue;
    }
    const linear = /^(\d+)\.(\d+)\.weight$/.exec(plain);
    const vllm = /^lm_heads\.(\d+)\.weight$/.exec(plain);
    if (linear !== null) ends.push([name, Number(linear[1]), Number(linear[2])]);
    else if (vllm !== null) linears.set(Number(vllm[1]), name);
    else {
      const next = "heads of residual blocks and matrices to the whole vocabulary are; export them so";
      throw new CllmError("unsupported", `${path}: the tensor ${shorten(name)} is not supported; ${next}`);
    }
  }
  for (const [name, head, at] of ends) {
    if (at !== layers)
      throw new CllmError("bad-weights", `${path}: ${name} stands where block ${at} should be; save the heads again`);
    linears.set(head, name);
  }
  const ownLinear = linears.size > 0;
  const shape: MedusaShape = {
    heads: [...linears.keys()].reduce((most, head) => Math.max(most, head + 1), heads),
    layers,
    ownLinear,
    bias,
  };
  const stored = new Map([...blocks, ...[...linears].map(([head, name]) => [linearName(head, layers), name] as const)]);
  return { shape, stored };
}
