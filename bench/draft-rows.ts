/**
 * What passes with draft rows cost beside plain ones of as many rows, for adapters of several ranks and matrices with random factors:
 * before one is trained, so that its sizes can be chosen. All graphs share the weights, and take turns.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCheckpoint } from "../src/checkpoint/open.ts";
import { hash } from "../src/hash.ts";
import { LORA_TARGETS, type LoraTarget, loraTensors, lowRanks } from "../src/model/lora.ts";
import type { Precision } from "../src/model/precision.ts";
import { createEngine, type Engine } from "../src/runtime/engine.ts";
import { defaultThreads } from "../src/runtime/host.ts";
import { draftForest } from "../src/runtime/session.ts";
import { flags, median, modelPath, report } from "./conditions.ts";

const settings = flags({
  ...{ precision: "int8", rounds: 15, context: 200, rows: "6,12,24", threads: defaultThreads() },
  adapters: "16:all,8:all,32:all,16:q_proj+k_proj+v_proj+gate_proj+up_proj,16:o_proj+down_proj,16:all:15",
});
const checkpoint = await openCheckpoint(modelPath(), {});
const { config, weights } = checkpoint;
const folder = await mkdtemp(join(tmpdir(), "cllm-draft-rows-"));
const prepared = { folder, identity: "bench", name: "bench", source: null, limitBytes: 1e12 };
const shared = { precision: settings.precision as Precision, threads: settings.threads, prepared };

/** `RANK:MATRICES[:LAYERS]`, the latter from the last one on. */
function adapterOf(text: string) {
  const [rank = "16", names = "all", layers = String(config.layers)] = text.split(":");
  const targets = names === "all" ? LORA_TARGETS : (names.split("+") as LoraTarget[]);
  const lora = { rank: Number(rank), alpha: 2 * Number(rank), targets };
  const tensors = Array.from(loraTensors(config, lora), ([name, shape], index) => ({
    ...{ name, shape },
    data: Float32Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      (_, i) => (hash(index, i) / 2 ** 32 - 0.5) / 100,
    ),
  }));
  const from = config.layers - Number(layers);
  const kept = tensors.filter(({ name }) => Number(/layers\.(\d+)\./.exec(name)?.[1] ?? 0) >= from);
  return lowRanks(kept, lora);
}

const ways: { name: string; engine: Engine; ms: Map<number, number[]> }[] = [
  { name: "plain", engine: await createEngine(config, weights, shared), ms: new Map() },
];
for (const name of settings.adapters.split(","))
  ways.push({
    name,
    engine: await createEngine(config, weights, { ...shared, draft: adapterOf(name) }),
    ms: new Map(),
  });
const sizes = [1, ...settings.rows.split(",").map(Number)];
const ids = Int32Array.from({ length: settings.context + 64 }, (_, i) => hash(i) % config.vocabSize);
const sessions = ways.map(({ engine }) => engine.session());
for (const session of sessions) await session.forward(ids.subarray(0, settings.context));
for (let round = -2; round < settings.rounds; round++) {
  for (const size of sizes) {
    for (const [i, session] of sessions.entries()) {
      const forest = session.drafter && size > 1 ? draftForest(Math.ceil(size / 3), size) : undefined;
      const start = performance.now();
      await session.forward(ids.subarray(settings.context, settings.context + size), forest);
      const ms = performance.now() - start;
      session.truncate(settings.context);
      if (round >= 0) ways[i]!.ms.set(size, [...(ways[i]!.ms.get(size) ?? []), ms]);
    }
  }
}
const figures = ways.map(({ name, ms }) => ({
  name,
  ms: Object.fromEntries(sizes.map((size) => [size, median(ms.get(size)!)])),
}));
for (const { name, ms } of figures)
  console.log(`${name.padEnd(48)} ${sizes.map((size) => `${size}: ${ms[size]!.toFixed(1)} ms`).join("   ")}`);
for (const { engine } of ways) await engine.dispose();
await checkpoint.close();
await rm(folder, { recursive: true, force: true });
report("draft-rows", settings, { ways: figures });
