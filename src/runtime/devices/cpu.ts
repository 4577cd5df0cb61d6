/**
 * The processor: graphs of the host form, caches in the process's memory, passes of any width. Knows no other device.
 *
 * Two rules keep every row bit for bit the same, whatever the other rows of its pass are:
 * - no product over a single row, because the engine's kernels for one row round differently: a pass of one token is
 *   padded to two, and one of more than `TILE` to an even number, because attention goes through its rows tile by tile;
 * - long passes are cut into chunks of `CHUNK` rows, so that memory stays bounded; chains may be cut anywhere.
 */
import { CllmError } from "../../error.ts";
import { leadingPlaces } from "../../model/decode-graph.ts";
import { HostCache } from "../host-cache.ts";
import type { KvShape } from "../kv-cache.ts";
import { compile } from "../ort.ts";
import { fusedFeeds, type Programs, single, together } from "../pass-runner.ts";
import { bytesSaturate } from "../saturation.ts";
import type { Caches, Device } from "./device.ts";

/** Rows of one run of the graph: the logits of this many are in memory at once. */
const CHUNK = 256;
/** Attention takes 2 * headSize rows at a time, or fewer where they do not fit the processor's cache: 32 and more, and even. */
const TILE = 32;

export const cpu: Device = {
  name: "cpu",
  shares: true,
  rows: { most: CHUNK, head: 2, padded: (rows) => (rows === 1 || (rows > TILE && rows % 2 === 1) ? rows + 1 : rows) },
  async plan(precision, { wholeWeights }) {
    if (precision === "f16") {
      const next = "take int8, or fp32, or a GPU with device webgpu";
      throw new CllmError(
        "unsupported",
        `precision f16 is not built for cpu, which multiplies half floats slowly: ${next}`,
      );
    }
    return { form: "host", precision, saturates: precision === "int8" && (await bytesSaturate()), wholeWeights };
  },
  compile,
  caches: async (shape) => hostCaches(shape),
  memory: null,
  runner([one, several], { config, slots }) {
    const feeds = fusedFeeds(leadingPlaces(config));
    const alone = single(one as Programs, feeds);
    return several === undefined ? alone : together(several, config, slots, alone, feeds);
  },
};

/** Caches that share nothing. */
export const hostCaches = (shape: KvShape): Caches => ({ open: () => new HostCache(shape), release: async () => {} });
