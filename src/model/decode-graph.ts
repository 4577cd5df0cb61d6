/**
 * The model as a graph for decoding: token ids and cached keys and values in, next tokens, logits and new keys and values
 * out. The layers are those of `transformer.ts`. Knows precisions only through `Products`, and no runtime.
 *
 * Inputs, for S tokens after P cached ones, total = P + S, and a cache with C places:
 *   ids (1, S), positions (1, S)  int64 · bias (1, 1, S, total) float32, added to the attention scores
 *   last_place (1) = total - 1, total (1)  int32 · new_from (1) = P, new_to (1) = total  int64
 *   head_from (1) int64: the first of the H rows that go on to the vocabulary
 *   past_{2l}, past_{2l+1} (1, kvHeads, C, headSize)  float32: keys and values of layer l
 * Outputs:
 *   next (1, H) int64 · logits (1, H, V) and, in low precisions, logit_scale (1, H, 1) to multiply them by
 *   rows (2 * layers, kvHeads, S, headSize) float32: what to append to the cache
 *   hidden (1, H, D) float32: what the head reads, for heads beside it
 *   candidates (1, H, c) int64, candidate_logits (1, H, c) float32, with a draft adapter: the likeliest ids, the likeliest first
 *
 * A graph of several slots runs passes of as many sequences together, or of fewer: S tokens in all, of which slot s has those from
 * `from:s` to `to:s` (1) int64, where `used:s` () bool. It has all that is said of a sequence above for itself, bias:s, total:s and
 * so on. Matrices see all rows at once; attention is each sequence's own. Instead of head_from there is head_rows (H) int64.
 *
 * In the resident form the cache is the device's: instead of rows there are present_{2l}, present_{2l+1}, the whole cache again,
 * for which a run gives the tensors of past_{2l}, past_{2l+1}: only the new rows are written then, behind the P cached tokens. All rows go on
 * to the vocabulary, H = S, and there is neither head_from nor new_from, new_to. Bias and cache are of the products' type.
 *
 * In the plain form attention is written in plain products, see `plain-attention.ts`. The bias is (1, 1, S, C), over all places of the
 * cache, and hides whatever a row must not see; layers with a sliding window have a window_bias of their own. The cache is one input,
 * past (2 * layers, kvHeads, C, headSize), and `places` (1, kvHeads, S, 3) int64 says where in it the new rows belong. There is neither
 * last_place nor total, new_from nor new_to.
 */
import { CllmError } from "../error.ts";
import type { EncodedModel, Value } from "../graph/graph.ts";
import { attentionAttributes, capped, headNorm, masksOf, rotationOf, rotations, slides } from "./attention.ts";
import type { ModelConfig } from "./config.ts";
import { constantParts } from "./constant-parts.ts";
import { type DraftAdapter, draftedWeights, gatedProducts } from "./draft-adapter.ts";
import type { LayeredWeights, LayerWeights } from "./layered-weights.ts";
import { plainAttention } from "./plain-attention.ts";
import type { ProductPlan } from "./product-plan.ts";
import { CANDIDATES, type Products } from "./products.ts";
import { projectionRows } from "./tensors.ts";
import { transformer } from "./transformer.ts";

export interface DecodeGraphOptions {
  /** Called before each layer is built, with layers done so far. */
  readonly onLayer?: (done: number) => void;
  /** Sequences that one pass can run together. Default: 1. */
  readonly slots?: number;
  /** Default: host. */
  readonly form?: ProductPlan["form"];
  /** Factors for draft rows. The graph has an input more: gate (1, S, 1), 1 for draft rows and 0 for all others. */
  readonly draft?: DraftAdapter | null;
}

/** What belongs to one sequence of a pass. */
interface Slot {
  /** Of a name that the slots have in common, this one's. */
  readonly nameOf: (name: string) => string;
  readonly bias: Value;
  /** The same for layers with a window; null where attention itself hides what is beyond it. */
  readonly windowBias: Value | null;
  /** The last place and the number of places that are used; null where the bias alone says what is seen. */
  readonly used: { readonly last: Value; readonly total: Value } | null;
  /** Which places of the cache are new; null where the cache is a device's, or where `places` says it. */
  readonly added: { readonly from: Value; readonly to: Value } | null;
  /** In the plain form, where the new rows go, and the keys and values of each layer in turn; null in others. */
  readonly whole: { readonly places: Value; readonly past: readonly Value[] } | null;
  /** Which of the pass's rows are its own; null where all are. */
  readonly own: { readonly used: Value; readonly from: Value; readonly to: Value } | null;
}

/** What a slot's own input is called. */
export const slotName = (name: string, slot: number): string => `${name}:${slot}`;

/** Attention takes heads of a multiple of this many channels. */
const HEAD_STEP = 16;
/** The largest that some model has. */
const LARGEST_HEAD = 256;
/** Heads of up to so many channels give the same bits for any number of cached tokens. */
const PLAIN_HEAD = 128;
/** With more places than this, the sums over the channels of larger heads are always cut in the same way. */
const FEWEST_PLACES = 64;
/** The score of an attention sink that takes no share. */
const NOTHING = -1e30;

/**
 * Places of the cache that come before the first token and that no row sees. Scores of heads with more than 128 channels are
 * sums that the engine cuts by the number of places where these are few, so that a row would not keep its bits; with places
 * in front there are always enough. The engine also goes through the places block by block, of which the last may be small,
 * but not where attention has sinks: so such models have sinks that take nothing.
 */
export function leadingPlaces({ headSize }: Pick<ModelConfig, "headSize">): number {
  return headSize > PLAIN_HEAD ? FEWEST_PLACES : 0;
}

const FLOAT32 = 1;

/** Build the graph, reading one layer's weights at a time. Throws `unsupported` for heads of odd sizes. */
export async function decodeGraph(
  config: ModelConfig,
  given: LayeredWeights,
  ungated: Products,
  { onLayer, slots: count = 1, form = "host", draft = null }: DecodeGraphOptions = {},
): Promise<EncodedModel> {
  const { layers, heads, kvHeads, headSize, vocabSize, contextLength } = config;
  if (headSize % HEAD_STEP !== 0 || headSize > LARGEST_HEAD) {
    const limit = `multiples of ${HEAD_STEP} up to ${LARGEST_HEAD} can`;
    throw new CllmError("unsupported", `heads of ${headSize} channels cannot be run, ${limit}: use another model`);
  }
  const { graph, dtype } = ungated;
  const resident = form === "resident";
  const plain = form === "plain";
  const ids = graph.input("ids", "int64", [1, "S"]);
  const positions = graph.input("positions", "int64", [1, "S"]);
  const masks = masksOf(config);
  const weights = draft === null ? given : draftedWeights(config, given, draft);
  const products = draft === null ? ungated : gatedProducts(ungated, graph.input("gate", dtype, [1, "S", 1]));
  /** The cache of the plain form, cut up. A copy, so that the new rows are written into it without another. */
  const cached = (nameOf: Slot["nameOf"]): readonly Value[] => {
    const past = graph.input(nameOf("past"), dtype, [2 * layers, kvHeads, nameOf("C"), headSize]);
    return graph.ops("Split", [past], 2 * layers, { axis: 0, num_outputs: 2 * layers });
  };
  const slots = Array.from({ length: count }, (_, index): Slot => {
    const nameOf = (name: string): string => (count === 1 ? name : slotName(name, index));
    const [rows, seen] = count === 1 ? ["S", "total"] : [nameOf("S"), nameOf("places")];
    const hiding = (name: string): Value => {
      const bias = graph.input(nameOf(name), dtype, [1, 1, rows, plain ? nameOf("C") : seen]);
      return plain ? graph.op("Tile", [bias, graph.integers(1, 1, heads / kvHeads, 1)]) : bias;
    };
    const one = (name: string, dtype: "int32" | "int64"): Value => graph.input(nameOf(name), dtype, [1]);
    return {
      nameOf,
      bias: hiding("bias"),
      windowBias: plain && masks.window ? hiding("window_bias") : null,
      used: plain ? null : { last: one("last_place", "int32"), total: one("total", "int32") },
      added: resident || plain ? null : { from: one("new_from", "int64"), to: one("new_to", "int64") },
      whole: plain
        ? { places: graph.input(nameOf("places"), "int64", [1, kvHeads, rows, 3]), past: cached(nameOf) }
        : null,
      own:
        count === 1
          ? null
          : { used: graph.input(nameOf("used"), "bool", []), from: one("from", "int64"), to: one("to", "int64") },
    };
  });
  const head = resident ? null : graph.input(count === 1 ? "head_from" : "head_rows", "int64", [count === 1 ? 1 : "H"]);
  const places = leadingPlaces(config) + contextLength + 1; // one more for a row that only pads a pass
  const rotationIn = rotations(config, places, (data, shape) => products.floats(data, shape));
  // Of one more place in every row's sum, which gets nothing.
  const sinks =
    leadingPlaces(config) > 0 && !resident ? [products.floats(new Float32Array(heads).fill(NOTHING), [heads])] : [];
  const newRows: Value[] = [];

  /** Attention over cache and pass; x is normalized, `(1, S, D)`. */
  const attention = (x: Value, layer: LayerWeights, index: number): Value => {
    const qkv = products.apply(x, layer.qkv, "qkv");
    const rotation = rotationIn(index);
    let inputs: (Value | null)[] = [qkv, null, null]; // (1, S, (heads + 2 * kvHeads) * headSize)
    const normed = layer.queryNorm !== null && layer.keyNorm !== null;
    if (normed || resident) {
      const sizes = graph.integers(...projectionRows(config));
      let [q, k, v] = graph.ops("Split", [qkv, sizes], 3, { axis: -1 }) as [Value, Value, Value];
      if (normed) {
        const weight = (data: Float32Array): Value => products.floats(data, [data.length]);
        q = headNorm(graph, config, q, weight(layer.queryNorm), heads);
        k = headNorm(graph, config, k, weight(layer.keyNorm), kvHeads);
      }
      if (resident && rotation !== null) {
        const tables = [positions, rotation.cos, rotation.sin];
        q = graph.op("RotaryEmbedding", [q, ...tables], rotationOf(config, heads));
        k = graph.op("RotaryEmbedding", [k, ...tables], rotationOf(config, kvHeads));
      }
      inputs = [q, k, v];
    }
    const bySlot = slots.map((slot) => attend(inputs, slot, index)); // output, new keys, new values
    const [out, keys, values] = count === 1 ? bySlot[0]! : ([0, 1, 2] as const).map((i) => joined(bySlot, i));
    if (resident) {
      const shape = [1, kvHeads, "C", headSize];
      for (const [i, value] of [keys, values].entries()) graph.output(value!, `present_${2 * index + i}`, dtype, shape);
    }
    newRows.push(keys as Value, values as Value);
    return products.apply(out as Value, layer.output, "output");
  };

  /** Attention of one sequence to its cache and its own rows: what it gives, and the keys and values of these rows. */
  const attend = (inputs: readonly (Value | null)[], slot: Slot, index: number): readonly Value[] => {
    const { bias, windowBias, used, added, whole, own, nameOf } = slot;
    const past = [2 * index, 2 * index + 1].map(
      (i) => whole?.past[i] ?? graph.input(nameOf(`past_${i}`), dtype, [1, kvHeads, nameOf("C"), headSize]),
    );
    const ofOwn = (value: Value | null): Value | null =>
      value === null || own === null ? value : graph.op("Slice", [value, own.from, own.to, graph.integers(1)]);
    const run = (): readonly Value[] => {
      if (used === null) {
        const rows = inputs.filter((value) => value !== null).map(ofOwn) as [Value] | [Value, Value, Value];
        return plainAttention(graph, config, {
          rows,
          rotation: rotationIn(index),
          positions: ofOwn(positions) as Value,
          bias: slides(config, index) ? (windowBias as Value) : bias,
          past,
          places: (whole as NonNullable<Slot["whole"]>).places,
        });
      }
      // Not every device's attention reads positions, so the resident form has rotated before.
      const rotation = resident ? null : rotationIn(index);
      const rotary = rotation === null ? [null, null, null] : [rotation.cos, rotation.sin, ofOwn(positions)];
      const [out, ...caches] = graph.ops(
        "GroupQueryAttention",
        [...inputs.map(ofOwn), ...past, used.last, used.total, ...rotary, bias, ...sinks],
        3,
        attentionAttributes(config, index, rotation !== null),
      ) as [Value, Value, Value];
      if (added === null) return [out, ...caches];
      const rows = caches.map((cache) => graph.op("Slice", [cache, added.from, added.to, graph.integers(2)]));
      return [out, ...rows]; // (1, S, heads * headSize), twice (1, kvHeads, S, headSize)
    };
    if (own === null) return run();
    // Cut out of what is there and not constants, which the engine would fold into branches that it cannot read back.
    const zero = graph.integers(0);
    const none = (): Value[] => {
      const out = graph.op("Slice", [
        inputs[0] as Value,
        graph.integers(0, 0),
        graph.integers(0, heads * headSize),
        graph.integers(1, 2),
      ]);
      return [out, ...past.map((cache) => graph.op("Slice", [cache, zero, zero, graph.integers(2)]))];
    };
    return graph.either(own.used, run, none);
  };

  /** One output of all slots, row by row: keys and values have their rows in the third dimension. */
  const joined = (parts: readonly (readonly Value[])[], output: 0 | 1 | 2): Value =>
    graph.op(
      "Concat",
      parts.map((part) => part[output] as Value),
      { axis: output === 0 ? 1 : 2 },
    );

  /** Logits, and what they are still to be multiplied by. */
  const cap = (logits: Value, scale: Value | null): { logits: Value; scale: Value | null } => {
    if (config.logitCap === undefined) return { logits, scale };
    const whole = scale === null ? logits : graph.op("Mul", [logits, scale]);
    return { logits: capped(graph, whole, config.logitCap, (value) => graph.scalar(value)), scale: null };
  };

  const parts = constantParts(weights, products, attention, onLayer);
  let x = await transformer(config, parts, products.embed(ids, await weights.embedding())); // (1, S, D)
  onLayer?.(layers);
  if (head !== null)
    x =
      count === 1
        ? graph.op("Slice", [x, head, graph.integers(2 ** 31), graph.integers(1)])
        : graph.op("Gather", [x, head], { axis: 1 }); // (1, H, D)
  const whole = (value: Value): Value => (dtype === "float32" ? value : graph.op("Cast", [value], { to: FLOAT32 }));
  graph.output(whole(x), "hidden", "float32", [1, "H", config.hiddenSize]);
  const { logits: made, scale: left, next, candidates } = await products.head(x, () => weights.head());
  graph.output(next, "next", "int64", [1, "H"]);
  const { logits, scale } = cap(whole(made), left);
  graph.output(logits, "logits", "float32", [1, "H", vocabSize]);
  if (scale !== null) graph.output(scale, "logit_scale", "float32", [1, "H", 1]);
  if (draft !== null) {
    const best = (): NonNullable<typeof candidates> => {
      const count = graph.integers(Math.min(CANDIDATES, vocabSize));
      const [logits, ids] = graph.ops("TopK", [whole(made), count], 2, { axis: -1 }) as [Value, Value];
      return { ids, logits };
    };
    const { ids: likeliest, logits: theirs } = candidates ?? best();
    graph.output(likeliest, "candidates", "int64", [1, "H", "candidates"]);
    graph.output(theirs, "candidate_logits", "float32", [1, "H", "candidates"]);
  }
  if (!resident)
    graph.output(graph.op("Concat", newRows, { axis: 0 }), "rows", "float32", [2 * layers, kvHeads, "S", headSize]);
  return graph.encode();
}
