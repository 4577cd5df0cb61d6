/** A mean of adapters is one of their factors, and of nothing else. */
import { describe, expect, test } from "vitest";
import { meanAdapter } from "../../recipes/mean.ts";
import { adapterOf } from "../../src/checkpoint/peft/adapter.ts";
import type { Adapter } from "../../src/checkpoint/peft/types.ts";

const MODULE = "model.layers.0.self_attn.q_proj";

function adapter(name: string, value: number, { rank = 2, modules = [MODULE], alpha = 4 } = {}): Promise<Adapter> {
  const tensors = modules.flatMap((module) => [
    { name: `${module}.lora_A.weight`, shape: [rank, 3], data: new Float32Array(rank * 3).fill(value) },
    { name: `${module}.lora_B.weight`, shape: [2, rank], data: new Float32Array(2 * rank).fill(2 * value) },
  ]);
  return adapterOf({ name, rank, alpha, ...(name === "cllm" ? { draftTokenId: 5, leadingDraft: true } : {}) }, tensors);
}

describe("a mean of two adapters", () => {
  test.each([0, 0.25, 1])("weighs their factors, and drafts what the second drafts: %d", async (weight) => {
    const mean = meanAdapter(await adapter("target", 1), await adapter("cllm", 3), weight);
    const { a, b, scale } = mean.modules.get(MODULE)!;
    expect(a).toEqual(new Float32Array(6).fill(1 + 2 * weight));
    expect(b).toEqual(new Float32Array(4).fill(2 + 4 * weight));
    expect({ scale, draft: mean.draftTokenId, leading: mean.leadingDraft }).toEqual({
      scale: 2,
      draft: 5,
      leading: true,
    });
  });

  test.each([
    ["ranks", { rank: 1 }],
    ["scales", { alpha: 8 }],
    ["matrices", { modules: ["model.layers.0.mlp.up_proj"] }],
    ["how many matrices", { modules: [MODULE, "model.layers.1.self_attn.q_proj"] }],
  ])("of different %s is refused", async (_, other) => {
    const [one, two] = [await adapter("target", 1, other), await adapter("cllm", 3)];
    expect(() => meanAdapter(one, two, 0.5)).toThrow(/target (and cllm differ in what they adapt|adapts more)/);
  });
});
