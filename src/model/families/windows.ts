/**
 * Which layers look back how far, in the words of Hugging Face's configurations. Knows no family.
 */
import * as z from "zod";
import type { ModelConfig } from "../config.ts";
import { longestContext } from "../context.ts";
import type { HuggingFaceFields } from "./family.ts";

/** Read for the families that have windows. */
const typesSchema = z.looseObject({
  use_sliding_window: z.boolean().nullish(),
  layer_types: z.array(z.string()).nullish(),
});
/** Read where some layer has a window. */
const sizeSchema = z.looseObject({
  sliding_window: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).nullish(),
  max_window_layers: z.number().int().nonnegative().nullish(),
});

type Windows = Pick<ModelConfig, "slidingWindow" | "slidingLayers">;

const DEFAULT_WINDOW = 4096;
const DEFAULT_FULL_LAYERS = 28;

/** By layer, whether it has a window. Null where the file has no `layer_types`. */
export function readLayerTypes(fields: HuggingFaceFields, { family, layers }: ModelConfig): readonly boolean[] | null {
  const { layer_types: types } = fields.parse(typesSchema);
  if (!types) return null;
  const other = types.find((type) => type !== "full_attention" && type !== "sliding_attention");
  if (other !== undefined) {
    const message = `layer_types names ${other}; full_attention and sliding_attention are supported`;
    throw fields.unsupported(message, `use a usual ${family} model`);
  }
  if (types.length !== layers) throw fields.bad(`layer_types has ${types.length} entries for ${layers} layers`);
  return types.map((type) => type === "sliding_attention");
}

/** The window of a configuration whose layers have one or not, as `sliding` says by layer. */
function windowOf(fields: HuggingFaceFields, sliding: readonly boolean[], common: ModelConfig): Windows {
  const count = sliding.filter(Boolean).length;
  if (count === 0) return { slidingWindow: null };
  const { sliding_window: given } = fields.parse(sizeSchema);
  const window = given === undefined ? DEFAULT_WINDOW : given; // null says none, absence the default
  if (window === null && count < sliding.length) {
    throw fields.bad(`sliding_window is null, but ${count} of ${sliding.length} layers are to have a window`);
  }
  if (window === null || window >= longestContext(common)) return { slidingWindow: null };
  return { slidingWindow: window, ...(count < sliding.length && { slidingLayers: sliding }) };
}

/** Mistral's words: all layers have the window, or those of `usual`, unless `layer_types` says otherwise. */
export function readWindow(
  fields: HuggingFaceFields,
  common: ModelConfig,
  usual: readonly boolean[] = Array<boolean>(common.layers).fill(true),
): Windows {
  return windowOf(fields, readLayerTypes(fields, common) ?? usual, common);
}

/** `layer_types`. Layers with a rotary base of their own keep their kind where no window is left. */
export function writeLayerTypes(config: ModelConfig): Record<string, unknown> {
  const { layers, slidingWindow, slidingLayers, slidingRopeTheta } = config;
  const none = slidingWindow === null && slidingRopeTheta === undefined;
  const types = Array.from({ length: layers }, (_, i) =>
    !none && (slidingLayers?.[i] ?? true) ? "sliding_attention" : "full_attention",
  );
  return { layer_types: types };
}

/** Qwen's words: a window has to be switched on, and begins at some layer. */
export function readLaterWindow(fields: HuggingFaceFields, common: ModelConfig): Windows {
  const types = readLayerTypes(fields, common);
  const { use_sliding_window: used } = fields.parse(typesSchema);
  if (used === false && types?.includes(true)) {
    throw fields.bad("layer_types names layers with a window, but use_sliding_window is false");
  }
  if (types !== null) return windowOf(fields, types, common);
  if (used !== true) return { slidingWindow: null };
  const first = fields.parse(sizeSchema).max_window_layers ?? DEFAULT_FULL_LAYERS;
  return windowOf(
    fields,
    Array.from({ length: common.layers }, (_, index) => index >= first),
    common,
  );
}

/** Some readers take absence for a window of 4096, so `null` is written where there is no window. */
export function writeLaterWindow(config: ModelConfig): Record<string, unknown> {
  const { slidingWindow, slidingLayers } = config;
  if (slidingWindow === null) return { use_sliding_window: false, sliding_window: null };
  if (slidingLayers !== undefined) {
    return { use_sliding_window: true, sliding_window: slidingWindow, ...writeLayerTypes(config) };
  }
  return { use_sliding_window: true, sliding_window: slidingWindow, max_window_layers: 0 };
}

/** What llama.cpp's graphs of families without windows lack. */
export function missingWindow({ slidingWindow }: ModelConfig): string | null {
  return slidingWindow === null ? null : `sliding window (this model's is of ${slidingWindow} tokens)`;
}
