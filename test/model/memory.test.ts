/** The estimate of a model's memory is what its graph is made of. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { Graph } from "../../src/graph/graph.ts";
import { decodeGraph } from "../../src/model/decode-graph.ts";
import { layeredWeights } from "../../src/model/layered-weights.ts";
import { weightBytes } from "../../src/model/memory.ts";
import { PRECISIONS } from "../../src/model/precision.ts";
import { productsFor } from "../../src/model/products.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";

test.each(PRECISIONS)("in %s, within a few per cent", async (precision) => {
  const folder = mkdtempSync(join(tmpdir(), "cllm-memory-"));
  const checkpoint = await openCheckpoint(writeTinyCheckpoint(folder));
  try {
    const { config, weights } = checkpoint;
    const products = productsFor(precision, new Graph(), { tiedHead: config.tiedHead, saturates: false });
    const { externalData } = await decodeGraph(config, layeredWeights(config, weights), products);
    const bytes = externalData.reduce((sum, { data }) => sum + data.byteLength, 0);
    expect(weightBytes(config, precision) / bytes).toBeGreaterThan(0.95);
    expect(weightBytes(config, precision) / bytes).toBeLessThan(1.05);
  } finally {
    await checkpoint.close();
    rmSync(folder, { recursive: true });
  }
});
