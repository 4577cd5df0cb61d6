/** The engine on a real model against PyTorch's outputs: SmolLM2-135M, dequantized from the same file for both. */
import { existsSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { goldensFile, smolLM2 } from "../../scripts/real-data.mjs";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { createEngine, type Engine } from "../../src/runtime/engine.ts";

const path = smolLM2();
const goldensPath = goldensFile();
const here = path.includes("SmolLM2-135M-Instruct") && existsSync(path) && existsSync(goldensPath);
if (!here) console.warn(`Skipped: the engine on SmolLM2 needs ${path} and ${goldensPath}.`);

interface Goldens {
  readonly greedy: readonly { prompt_ids: number[]; greedy_ids: number[]; top2_margin: number[] }[];
  readonly logits: readonly { position: number; top_ids: number[]; top_logits: number[]; logsumexp: number }[];
}

/** Smaller gaps between the best two logits than this are decided by rounding. */
const ROUNDING = 1e-3;

async function open(precision: "fp32" | "int8"): Promise<Engine> {
  const { config, weights, close } = await openCheckpoint(path);
  try {
    return await createEngine(config, weights, { precision });
  } finally {
    await close();
  }
}

describe.skipIf(!here)("SmolLM2", () => {
  const goldens: Goldens = here ? JSON.parse(readFileSync(goldensPath, "utf8")) : { greedy: [], logits: [] };

  describe("in fp32", () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await open("fp32");
      return () => engine.dispose();
    });

    test.each([0, 1, 2, 3])("writes PyTorch's 32 tokens after prompt %d", async (index) => {
      const { prompt_ids, greedy_ids, top2_margin } = goldens.greedy[index]!;
      await using session = engine.session();
      let [next = -1] = await session.prefill!(Int32Array.from(prompt_ids), 1);
      for (let i = 0; i < 32; i++) {
        if (next !== greedy_ids[i]) expect(top2_margin[i], `token ${i}`).toBeLessThanOrEqual(ROUNDING);
        next = (await session.forward(Int32Array.of(greedy_ids[i]!)))[0]!;
      }
    });

    test("has PyTorch's logits", async () => {
      await using session = engine.session();
      const logits = await session.logits(Int32Array.from(goldens.greedy[0]!.prompt_ids));
      for (const { position, top_ids, top_logits, logsumexp } of goldens.logits) {
        const row = logits.subarray(position * session.vocabSize, (position + 1) * session.vocabSize);
        const order = [...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, top_ids.length);
        expect(order).toEqual(top_ids);
        for (const [i, id] of top_ids.entries()) expect(row[id]).toBeCloseTo(top_logits[i]!, 3);
        const sum = row.reduce((total, value) => total + Math.exp(value - row[order[0]!]!), 0);
        expect(row[order[0]!]! + Math.log(sum)).toBeCloseTo(logsumexp, 3);
      }
    });
  });

  test("in int8 agrees with at least 96 % of PyTorch's tokens, each after PyTorch's own text", async () => {
    await using engine = await open("int8");
    let [agreed, total] = [0, 0];
    for (const { prompt_ids, greedy_ids, top2_margin } of goldens.greedy.slice(0, 4)) {
      await using session = engine.session();
      const [first = -1] = await session.prefill!(Int32Array.from(prompt_ids), 1);
      const next = [first, ...(await session.forward(Int32Array.from(greedy_ids.slice(0, -1))))];
      for (const [i, id] of greedy_ids.entries()) {
        if (next[i] === id || top2_margin[i]! <= ROUNDING) agreed++;
        total++;
      }
    }
    expect(agreed / total).toBeGreaterThanOrEqual(0.96);
  });
});
