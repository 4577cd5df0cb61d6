/** A mean of two adapters' weights, for a CLLM between its target and itself. Trains nothing. */
import { writeAdapter } from "../src/checkpoint/peft/adapter.ts";
import { readAdapter } from "../src/checkpoint/peft/read-adapter.ts";
import type { Adapter, LoraModule } from "../src/checkpoint/peft/types.ts";

/**
 * Write an adapter whose factors are `weight` times `cllm`'s plus the rest of `target`'s: one that was trained on from the other, so
 * that their factors belong together, and the mean has less of what was forgotten than of what was learned (Wortsman et al., Robust
 * fine-tuning of zero-shot models, arXiv:2109.01903). What decoders draft is `cllm`'s. Throws a `RangeError` where they are not
 * of the same matrices and ranks.
 */
export async function writeMean(folder: string, target: string, cllm: string, weight: number): Promise<void> {
  const [from, to] = [await readAdapter(target), await readAdapter(cllm)];
  await writeAdapter(folder, meanAdapter(from, to, weight));
}

export function meanAdapter(from: Adapter, to: Adapter, weight: number): Adapter {
  const modules = new Map<string, LoraModule>();
  for (const [name, module] of to.modules) {
    const before = from.modules.get(name);
    if (before?.rank !== module.rank || before.scale !== module.scale) {
      throw new RangeError(`${from.name} and ${to.name} differ in what they adapt: ${name}`);
    }
    modules.set(name, { ...module, a: mean(before.a, module.a, weight), b: mean(before.b, module.b, weight) });
  }
  if (from.modules.size !== modules.size) throw new RangeError(`${from.name} adapts more than ${to.name}`);
  return { ...to, modules };
}

const mean = (from: Float32Array, to: Float32Array, weight: number): Float32Array =>
  to.map((value, i) => weight * value + (1 - weight) * (from[i] as number));
