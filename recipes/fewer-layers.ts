/**
 * A checkpoint with some of a model's layers: the beginning of a small draft model, which has the model's own vocabulary. Untrained it
 * writes nonsense. Trains nothing.
 */

import { writeHuggingFace } from "../src/checkpoint/huggingface/write.ts";
import { openCheckpoint } from "../src/checkpoint/open.ts";
import { adaptedConfig, withAdapter } from "../src/checkpoint/peft/adapter.ts";
import { readAdapter } from "../src/checkpoint/peft/read-adapter.ts";
import type { TensorSource } from "../src/checkpoint/tensor-source.ts";
import { toHuggingFaceTokenizer } from "../src/text/to-huggingface.ts";

/** Which layers stay: the first ones, and the last, which the head is used to. Throws a `RangeError` for more than there are. */
export function keptLayers(layers: number, kept: number): readonly number[] {
  if (!(kept >= 1 && kept <= layers)) throw new RangeError(`${kept} of ${layers} layers cannot be kept`);
  return [...Array.from({ length: kept - 1 }, (_, i) => i), layers - 1];
}

/** The tensors of the layers that stay, under their new numbers. */
export function fewerLayers(weights: TensorSource, kept: readonly number[]): TensorSource {
  const layer = /^(model\.layers\.)(\d+)/;
  const before = (name: string): string => name.replace(layer, (_, start, index) => `${start}${kept[Number(index)]}`);
  return {
    names: () =>
      weights.names().flatMap((name) => {
        const at = kept.indexOf(Number(layer.exec(name)?.[2] ?? kept[0]));
        return at < 0 ? [] : [name.replace(layer, (_, start) => `${start}${at}`)];
      }),
    shape: (name) => weights.shape(before(name)),
    read: (name, from, to) => weights.read(before(name), from, to),
  };
}

/** Writes `kept` layers of the model, with an adapter merged where one is named. */
export async function writeFewerLayers(
  folder: string,
  model: string,
  adapter: string | null,
  kept: number,
): Promise<void> {
  const checkpoint = await openCheckpoint(model);
  try {
    const given = adapter === null ? null : await readAdapter(adapter);
    const config = given === null ? checkpoint.config : adaptedConfig(checkpoint.config, given);
    const weights = given === null ? checkpoint.weights : withAdapter(checkpoint.weights, given);
    const layers = keptLayers(config.layers, Math.min(kept, config.layers));
    await writeHuggingFace(folder, {
      config: { ...config, layers: layers.length },
      weights: fewerLayers(weights, layers),
      tokenizer: toHuggingFaceTokenizer(checkpoint.tokenizer, config),
    });
  } finally {
    await checkpoint.close();
  }
}
