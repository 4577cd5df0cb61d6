/**
 * What passes cost, in one interleaved run over the precisions: a pass of m tokens, its ratio to a pass of one, how much of
 * a pass is spent outside ONNX Runtime, and `auto` against autoregressive decoding on a model that accepts nothing (the real
 * model, its logits replaced by a function that no draft can foresee).
 */
import { openCheckpoint } from "../src/checkpoint/open.ts";
import { quantile } from "../src/eval/statistics.ts";
import { hash } from "../src/hash.ts";
import { AutoMemory, ar, auto, type Precision, type Session, type TokenIds } from "../src/index.ts";
import { createEngine, type Engine } from "../src/runtime/engine.ts";
import { engineTime } from "../src/runtime/ort.ts";
import { flags, median, modelPath, report } from "./conditions.ts";

const settings = flags({
  precisions: "int8,fp32",
  sizes: "1,2,4,8,16,32",
  context: 256,
  rounds: 25,
  requests: 12,
  "max-new-tokens": 128,
  threads: 2,
  seed: 0,
});
const sizes = settings.sizes.split(",").map(Number);
const precisions = settings.precisions.split(",") as Precision[];

/** The session, but what follows a token is a hash of its position and itself: no guess is ever right. */
function unforeseeable(session: Session): Session {
  const after = (tokens: TokenIds, length: number): TokenIds =>
    tokens.map((id, i) => hash(settings.seed, length + i, id) % session.vocabSize);
  return {
    vocabSize: session.vocabSize,
    contextLength: session.contextLength,
    get length() {
      return session.length;
    },
    async forward(tokens, forest) {
      const length = session.length;
      await session.forward(tokens, forest);
      return after(tokens, length);
    },
    logits: (tokens, forest) => session.logits(tokens, forest),
    truncate: (length) => session.truncate(length),
    dispose: () => session.dispose(),
    [Symbol.asyncDispose]: () => session.dispose(),
  };
}

const checkpoint = await openCheckpoint(modelPath(), {});
const engines = new Map<Precision, Engine>();
for (const precision of precisions) {
  engines.set(
    precision,
    await createEngine(checkpoint.config, checkpoint.weights, { precision, threads: settings.threads }),
  );
}
const ids = Int32Array.from(
  { length: settings.context },
  (_, i) => hash(settings.seed, i) % checkpoint.config.vocabSize,
);

const times = new Map<string, number[]>();
const outside: Record<string, number[]> = {};
const sessions = new Map<Precision, Session>();
for (const [precision, engine] of engines) {
  const session = engine.session();
  await session.forward(ids);
  sessions.set(precision, session);
}
for (let round = -1; round < settings.rounds; round++) {
  for (const [precision, session] of sessions) {
    await session.forward(ids.subarray(0, 2)); // what the other precision left in the caches is gone after this
    session.truncate(settings.context);
    for (const size of sizes) {
      const inEngine = engineTime();
      const start = performance.now();
      await session.forward(ids.subarray(0, size));
      const elapsed = performance.now() - start;
      session.truncate(settings.context);
      if (round < 0) continue; // warm-up
      const key = `${precision} ${size}`;
      times.set(key, [...(times.get(key) ?? []), elapsed]);
      outside[precision] ??= [];
      outside[precision].push(1 - (engineTime() - inEngine) / elapsed);
    }
  }
}

const figures: Record<string, unknown> = {};
const cost = (precision: Precision, size: number): number => median(times.get(`${precision} ${size}`) ?? []);
for (const precision of precisions) {
  const costs = Object.fromEntries(sizes.map((size) => [size, Number(cost(precision, size).toFixed(2))]));
  const spread = (size: number): string =>
    [0.25, 0.75].map((q) => quantile(times.get(`${precision} ${size}`) ?? [], q).toFixed(1)).join(" to ");
  console.log(`\n${precision}: ms per pass, median (quartiles)`);
  for (const size of sizes)
    console.log(
      `  ${String(size).padStart(3)} tokens  ${cost(precision, size).toFixed(1).padStart(6)}  (${spread(size)})`,
    );
  const ratio = cost(precision, 16) / cost(precision, 1);
  const share = median(outside[precision] ?? []);
  console.log(`  16 tokens / 1 token: ${ratio.toFixed(2)}   outside ONNX Runtime: ${(100 * share).toFixed(1)} %`);
  figures[precision] = { costs, ratio16To1: ratio, shareOutsideEngine: share };
}
if (precisions.includes("int8") && precisions.includes("fp32")) {
  figures["int8ToFp32At16"] = cost("int8", 16) / cost("fp32", 16);
  console.log(`\nint8 / fp32, 16 tokens: ${(figures["int8ToFp32At16"] as number).toFixed(2)}`);
}

for (const [precision, session] of sessions) {
  const costs = new Map(sizes.map((size) => [size, cost(precision, size)]));
  const memory = new AutoMemory();
  const hostile = unforeseeable(session);
  const ratios: number[] = [];
  for (let request = 0; request < settings.requests; request++) {
    const prompt = ids.subarray(request, request + 64);
    const options = { maxNewTokens: settings["max-new-tokens"] };
    const elapsed: Record<string, number> = {};
    for (const name of request % 2 === 0 ? ["ar", "auto"] : ["auto", "ar"]) {
      session.truncate(0);
      const decoder =
        name === "ar" ? ar(hostile, prompt, options) : auto(hostile, prompt, { ...options, costs, memory });
      let start = 0;
      for await (const iteration of decoder) if (iteration.prefill) start = performance.now();
      elapsed[name] = performance.now() - start;
    }
    ratios.push(elapsed["ar"]! / elapsed["auto"]!);
  }
  figures[`${precision}AutoToArAcceptingNothing`] = {
    median: median(ratios),
    quartiles: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
  };
  console.log(
    `${precision}: auto / ar where nothing is accepted: ${median(ratios).toFixed(3)}, ${settings.requests} requests`,
  );
}
for (const session of sessions.values()) await session.dispose();
for (const engine of engines.values()) await engine.dispose();
await checkpoint.close();
report("speed", settings, figures);
