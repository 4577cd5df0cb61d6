/**
 * WebAssembly in a browser: as on the processor, but attention in plain products, because the engine's own takes ten times as long
 * there (onnxruntime-web 1.30). In a bundle for browsers `ort.web.ts` stands in for `ort.ts`; in Node this device runs on the
 * processor, so that tests can compare.
 */
import { masksOf } from "../../model/attention.ts";
import type { ModelConfig } from "../../model/config.ts";
import { leadingPlaces } from "../../model/decode-graph.ts";
import { mostThreads, newPlaces, PLACES, plainBias } from "../../model/plain-attention.ts";
import { HostCache } from "../host-cache.ts";
import type { KvShape } from "../kv-cache.ts";
import { type Feeds, float32Tensor, int64Tensor, type Tensor } from "../ort.ts";
import { type Pass, type Programs, type SequenceFeeds, single, together } from "../pass-runner.ts";
import { cpu } from "./cpu.ts";
import type { Device } from "./device.ts";

export const web: Device = {
  ...cpu,
  name: "wasm",
  mostThreads,
  async plan(precision, options) {
    const plan = await cpu.plan(precision, options);
    return plan.form === "host" ? { ...plan, form: "plain" } : plan;
  },
  caches: async (shape) => ({ open: () => new PlainCache(shape), release: async () => {} }),
  runner([one, several], { config, slots }) {
    const feeds = plainFeeds(config);
    const alone = single(one as Programs, feeds);
    return several === undefined ? alone : together(several, config, slots, alone, feeds, true);
  },
};

/** A cache with a multiple of `PLACES` places, one more than tokens: a padding row may stand behind the context's end. */
class PlainCache extends HostCache {
  constructor(shape: KvShape) {
    super({ ...shape, contextLength: Math.ceil((shape.contextLength + 1) / PLACES) * PLACES }, true);
  }

  override reserve(tokens: number, length: number): boolean {
    return super.reserve(tokens + 1, length);
  }
}

const plainFeeds = (config: ModelConfig): SequenceFeeds => {
  const lead = leadingPlaces(config);
  const masks = masksOf(config);
  return ({ ids, bias, past, cache }: Pass, nameOf) => {
    const rows = ids.length;
    const [, , capacity] = cache[0]!.dims as readonly [number, number, number];
    const hiding = (slidingWindow: number | null): Tensor =>
      float32Tensor(plainBias(bias, { rows, past, capacity, slidingWindow, lead }), [1, 1, rows, capacity]);
    const feeds: Feeds = {
      [nameOf("bias")]: hiding(null),
      ...(masks.window && { [nameOf("window_bias")]: hiding(config.slidingWindow) }),
      [nameOf("places")]: int64Tensor(newPlaces(config, { rows, from: lead + past }), [1, config.kvHeads, rows, 3]),
      [nameOf("past")]: cache[0] as Tensor,
    };
    return feeds;
  };
};
