/**
 * Quantized weights of Hugging Face directories: those in eight-bit floats are read, their scales multiplied in; all others are
 * refused by the name of their method. Knows the configuration's words and how tensors are called; reads no files.
 */
import * as z from "zod";
import { CllmError } from "../../error.ts";
import { shorten } from "../../files/near-miss.ts";
import type { Complaints } from "../../model/families/family.ts";
import { type StoredTensor, unsupportedType } from "../stored-weights.ts";

const blockSize = z.tuple([z.number().int().min(1), z.number().int().min(1)]);
/** Of `config.json`. Values that are of another type count as absent, so that the method is named all the same. */
const schema = z.looseObject({
  quant_method: z.string().nullish().catch(null),
  format: z.string().nullish().catch(null),
  quant_algo: z.string().nullish().catch(null),
  weight_block_size: blockSize.nullish().catch(null),
});
type Quantization = z.infer<typeof schema>;

const settingsOf = (value: unknown): Quantization => schema.safeParse(value).data ?? {};

const INSTEAD =
  "use the original model's repository, with weights in F32, F16, BF16 or F8, or a GGUF file of the model";

/** Throws `unsupported` for weights that are quantized in another way than as eight-bit floats. */
export function rejectQuantization(
  config: { readonly quantization_config?: unknown; readonly quantization?: unknown },
  { unsupported }: Complaints,
): void {
  const refused = (method: string, key: string): CllmError =>
    unsupported(`weights quantized by ${shorten(method)} (${key}) are not supported`, INSTEAD);
  if (typeof config.quantization === "object" && config.quantization !== null) throw refused("MLX", "quantization");
  if ((config.quantization_config ?? null) === null) return;
  const settings = settingsOf(config.quantization_config);
  if (isSwitchedOff(settings) || isFloat8(settings)) return;
  const { quant_method: method, format, quant_algo: algorithm } = settings;
  const kind = format ?? algorithm;
  throw refused(`${method ?? "an unnamed method"}${kind ? ` as ${kind}` : ""}`, "quantization_config");
}

/** Settings that bitsandbytes leaves in the configuration of weights that are no longer quantized. */
function isSwitchedOff(settings: Quantization): boolean {
  const on = ["load_in_4bit", "load_in_8bit", "_load_in_4bit", "_load_in_8bit"].some((key) => settings[key] === true);
  return settings.quant_method === "bitsandbytes" && !on;
}

function isFloat8({ quant_method: method, format, quant_algo: algorithm }: Quantization): boolean {
  if (method === "fp8" || method === "fbgemm_fp8") return true;
  if (method === "compressed-tensors") return format === "float-quantized" || format === "naive-quantized";
  return method === "modelopt" && algorithm === "FP8";
}

/** Parts of tensors that only a method's own kernels can read, the surest first. */
const METHODS: readonly (readonly [method: string, part: RegExp])[] = [
  ["bitsandbytes", /\.(absmax|quant_map|nested_absmax|SCB|quant_state\.bitsandbytes__\w+)$/],
  ["GPTQ", /\.g_idx$/],
  ["AWQ", /\.qzeros$/],
  ["compressed-tensors", /\.weight_packed$/],
  ["HQQ", /\.W_q$/],
  ["ExLlama", /\.(q_weight|trellis)$/],
  ["AQLM", /\.codebooks$/],
  ["quanto", /\.weight\._(data|scale)$/],
  ["MLX", /\.(biases|scales)$/],
];

/** Throws `unsupported` where tensors are those of a method, whatever the configuration says of it. */
export function rejectQuantizedTensors(tensors: readonly StoredTensor[]): void {
  for (const [method, part] of METHODS) {
    const found = tensors.find(({ name }) => part.test(name));
    if (found === undefined) continue;
    const message = `${found.file.path} holds the tensor ${shorten(found.name)}: weights quantized by ${method} are not supported`;
    throw new CllmError("unsupported", `${message}; ${INSTEAD}`);
  }
}

/** What eight-bit floats are multiplied by is called so behind the matrix's own name. */
const SCALES = ["_scale_inv", "_scale"] as const;
/** Of activations and caches, which are not quantized here. */
const UNUSED = /\.(input_scale(_ub)?|output_scale|activation_scale|[kv]_proj\.[kv]_scale)$/;

/**
 * The tensors with what scales belong to each. A scale is one for the whole matrix, or for each of equal blocks of it. Throws
 * `bad-weights` for scales that do not fit their matrix, `unsupported` for a type of scales that cannot be read.
 */
export function withScales(tensors: readonly StoredTensor[], settings: unknown): StoredTensor[] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const blocks = settingsOf(settings).weight_block_size ?? null;
  const used = new Set<StoredTensor>();
  const scaled = tensors.map((tensor) => {
    if (!tensor.dtype.startsWith("F8_")) return tensor;
    const scale = SCALES.map((suffix) => byName.get(`${tensor.name}${suffix}`)).find((found) => found !== undefined);
    if (scale === undefined) return tensor;
    if (!scale.codec) throw unsupportedType(scale);
    used.add(scale);
    return { ...tensor, scales: { tensor: scale, ...blockOf(tensor, scale, blocks) } };
  });
  if (used.size === 0) return scaled;
  return scaled.filter((tensor, i) => !used.has(tensors[i]!) && !UNUSED.test(tensor.name));
}

/** Rows and columns of the matrix that a scale is for. */
function blockOf(
  { name, shape, file }: StoredTensor,
  scale: StoredTensor,
  given: readonly [number, number] | null,
): { readonly rows: number; readonly columns: number } {
  const [height = 1, width = 1] = shape;
  const [down = 1, across = 1] = scale.shape;
  if (shape.length === 2 && scale.shape.length <= 2) {
    if (down === 1 && across === 1) return { rows: height, columns: width };
    if (given && Math.ceil(height / given[0]) === down && Math.ceil(width / given[1]) === across) {
      return { rows: given[0], columns: given[1] };
    }
    if (height % down === 0 && width % across === 0) return { rows: height / down, columns: width / across };
  }
  const message = `tensor ${scale.name} of ${file.path} is [${scale.shape}], which does not fit ${name}, [${shape}]`;
  throw new CllmError("bad-weights", `${message}; fetch the checkpoint again`);
}
