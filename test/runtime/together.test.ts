/** Passes of several sequences that run together give each of them the bits that it would have had alone. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ModelConfig } from "../../src/model/config.ts";
import { PRECISIONS } from "../../src/model/precision.ts";
import { cpu } from "../../src/runtime/devices/cpu.ts";
import { web } from "../../src/runtime/devices/web.ts";
import { createEngine, type Engine } from "../../src/runtime/engine.ts";
import type { Session, TokenIds } from "../../src/runtime/session.ts";
import { BASE, randomIds, randomWeights } from "../model/random-model.ts";

const MODELS: Readonly<Record<string, ModelConfig>> = {
  llama: { ...BASE, contextLength: 700 },
  mistral: { ...BASE, family: "mistral", contextLength: 700, slidingWindow: 20, tiedHead: false, kvHeads: 4 },
  qwen3: { ...BASE, family: "qwen3", contextLength: 700, queryKeyNorm: true, kvHeads: 1, hiddenSize: 64 },
};
const settings = Object.keys(MODELS).flatMap((model) => [
  ...PRECISIONS.map((precision) => ({ model, precision, device: cpu })),
  { model, precision: "fp32" as const, device: web },
]);
const SLOTS = 3;

/** What one sequence asks for: passes of so many tokens, each with its logits, its next tokens or only the last ones. */
const sequences = fc.record({
  seed: fc.nat(99),
  passes: fc.array(
    fc.record({
      size: fc.integer({ min: 1, max: 40 }),
      kind: fc.constantFrom("logits", "forward", "prefill", "forest"),
    }),
    { minLength: 1, maxLength: 6 },
  ),
});
type Sequence = typeof sequences extends fc.Arbitrary<infer T> ? T : never;

/** All that a session says to it. */
async function ask(session: Session, { seed, passes }: Sequence): Promise<unknown[]> {
  const said: unknown[] = [];
  for (const [i, { size, kind }] of passes.entries()) {
    const ids: TokenIds = randomIds(size, session.vocabSize, seed + i);
    if (kind === "logits") said.push((await session.logits(ids)).slice());
    else if (kind === "prefill") said.push(await session.prefill!(ids, Math.min(size, 1 + (seed % 9))));
    else if (kind === "forward" || session.length === 0) said.push(await session.forward(ids));
    else {
      const parents = Int32Array.from(ids, (_, row) => (row % 5 === 3 ? row - 2 : row - 1));
      said.push(await session.forward(ids, { parents }));
    }
    said.push(session.length);
  }
  return said;
}

describe.each(settings)("$model in $precision on $device.name", ({ model, precision, device }) => {
  const config = MODELS[model]!;
  let alone: Engine;
  let several: Engine;
  beforeAll(async () => {
    const weights = randomWeights(config);
    alone = await createEngine(config, weights, { precision, threads: 2, device });
    several = await createEngine(config, weights, { precision, threads: 2, slots: SLOTS, device });
  });
  afterAll(async () => {
    await alone.dispose();
    await several.dispose();
  });

  test("every sequence is told what it is told alone", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(sequences, { minLength: 1, maxLength: SLOTS + 2 }), async (asked) => {
        const expected: unknown[][] = [];
        for (const sequence of asked) {
          await using session = alone.session();
          expected.push(await ask(session, sequence));
        }
        const sessions = asked.map(() => several.session());
        const found = await Promise.all(sessions.map((session, i) => ask(session, asked[i] as Sequence)));
        for (const session of sessions) await session.dispose();
        for (const [i, said] of found.entries()) expect(said, `sequence ${i}`).toEqual(expected[i]);
      }),
      { numRuns: 12 },
    );
  });
});

describe("a sequence that ends meanwhile", () => {
  test("fails by itself, and the others go on", async () => {
    const config = MODELS["llama"]!;
    await using engine = await createEngine(config, randomWeights(config), { precision: "fp32", threads: 1, slots: 2 });
    const [one, other] = [engine.session(), engine.session()];
    const ids = randomIds(5, config.vocabSize, 1);
    const expected = await other.forward(ids);
    other.truncate(0);
    const [lost, kept] = [one.forward(ids), other.forward(ids)];
    await one.dispose();
    await expect(lost).rejects.toMatchObject({ code: "disposed" });
    expect(await kept).toEqual(expected);
    const [last, gone] = [other.forward(ids), other.forward(ids)];
    await expect(gone).rejects.toMatchObject({ code: "bad-input" });
    await last;
    await engine.dispose();
    await expect(other.forward(ids)).rejects.toMatchObject({ code: "disposed" });
    await other.dispose();
  });
});
