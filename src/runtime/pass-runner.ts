/**
 * Runs passes of sequences on a compiled graph: one at a time, or those of several sequences together, which share the way of
 * the weights through the processor. A pass gets the same rows either way, bit for bit. Knows how decode graphs are fed (see
 * `model/decode-graph.ts`), not what they compute.
 */
import type { ModelConfig } from "../model/config.ts";
import { leadingPlaces, slotName } from "../model/decode-graph.ts";
import { toFloat16 } from "../model/float16.ts";
import { nextRound } from "./next-round.ts";
import {
  boolTensor,
  type Feeds,
  float16Tensor,
  float32Data,
  float32Tensor,
  int32Tensor,
  int64Data,
  int64Tensor,
  type Program,
  type Tensor,
} from "./ort.ts";

/** One pass of one sequence: S rows behind P cached tokens. */
export interface Pass {
  readonly ids: Int32Array; // (S,)
  readonly positions: Int32Array; // (S,)
  readonly bias: Float32Array; // (S, P + S), added to the attention scores
  readonly past: number; // P
  /** See `KvCache.tensors`. */
  readonly cache: readonly Tensor[];
  /** The first row that goes on to the vocabulary. */
  readonly headFrom: number;
  /** Rows that are not padding. */
  readonly useful: number;
  /** The first draft row; `useful` for none. */
  readonly draftsFrom: number;
  /** Whether the last hidden states are wanted. Default: false. */
  readonly hidden?: boolean;
}

export interface PassResults {
  /** What follows each row from `headFrom` on. */
  readonly next: Int32Array; // (H,)
  /** Where asked for. */
  readonly logits: Float32Array | null; // (H, V)
  /** What each row of logits is to be multiplied by; null for 1. */
  readonly scales: Float32Array | null; // (H,)
  /** The last hidden states, where asked for. */
  readonly hidden: Float32Array | null; // (H, D)
  /** The likeliest ids of each row, the likeliest first, of a pass with draft rows. */
  readonly candidates: Int32Array | null; // (H, c)
  readonly candidateLogits: Float32Array | null; // (H, c)
  /**
   * Keys and values of `count` rows, `(2 * layers, kvHeads, count, headSize)`; the pass's own begin with row `first`. Null where the
   * engine has written them into the cache.
   */
  readonly rows: Float32Array | null;
  readonly count: number;
  readonly first: number;
}

export interface PassRunner {
  run(pass: Pass, logits: boolean): Promise<PassResults>;
}

/**
 * A compiled graph, and the one with a draft adapter: the same one where every pass goes through it, null where there is no adapter.
 */
export interface Programs {
  readonly plain: Program;
  readonly drafting: Program | null;
}

/** Which of them runs a pass, by whether it has draft rows. */
const chosen = ({ plain, drafting }: Programs, drafts: boolean): Program => (drafts && drafting ? drafting : plain);

/** Whether there are draft rows among those that are not padding. */
const hasDrafts = ({ draftsFrom, useful }: Pick<Pass, "draftsFrom" | "useful">): boolean => draftsFrom < useful;

/** 1 for the draft rows of the passes, one after the other; nothing where the graph does not ask for it. */
function gateFeed(program: Program, passes: readonly Pass[], half = false): Feeds {
  if (!program.inputs.includes("gate")) return {};
  const count = passes.reduce((sum, { ids }) => sum + ids.length, 0);
  const gate = new Float32Array(count);
  let at = 0;
  for (const pass of passes) {
    if (hasDrafts(pass)) gate.fill(1, at + pass.draftsFrom, at + pass.useful);
    at += pass.ids.length;
  }
  const shape = [1, count, 1];
  return { gate: half ? float16Tensor(toFloat16(gate), shape) : float32Tensor(gate, shape) };
}

/** Outputs to fetch for some passes. */
function outputsFor(program: Program, logits: boolean, passes: readonly Pass[]): string[] {
  const there = (name: string): string[] => (program.outputs.includes(name) ? [name] : []);
  return [
    ...["next", "rows"],
    ...(logits ? ["logits", ...there("logit_scale")] : []),
    ...(passes.some(({ hidden }) => hidden === true) ? ["hidden"] : []),
    ...(passes.some(hasDrafts) ? [...there("candidates"), ...there("candidate_logits")] : []),
  ];
}

/** The numbers of an output that may not have been fetched. */
const fetched = (tensor: Tensor | undefined): Float32Array | null =>
  tensor === undefined ? null : float32Data(tensor);

const fetchedIds = (tensor: Tensor | undefined): Int32Array | null => (tensor === undefined ? null : int64Data(tensor));

/** The feeds of one sequence in a graph of one form, by the names that `nameOf` gives them. */
export type SequenceFeeds = (pass: Pass, nameOf: (name: string) => string) => Feeds;

/** The feeds of one sequence in the host form, whose cache has `lead` places that nobody sees before the first token. */
export function fusedFeeds(lead: number): SequenceFeeds {
  return ({ ids, bias, past, cache }, nameOf) => {
    const rows = ids.length;
    const total = lead + past + rows;
    const feeds: Feeds = {
      [nameOf("bias")]: float32Tensor(lead === 0 ? bias : behind(lead, bias, rows), [1, 1, rows, total]),
      [nameOf("last_place")]: int32Tensor(Int32Array.of(total - 1), [1]),
      [nameOf("total")]: int32Tensor(Int32Array.of(total), [1]),
      [nameOf("new_from")]: int64Tensor([total - rows], [1]),
      [nameOf("new_to")]: int64Tensor([total], [1]),
    };
    for (const [i, tensor] of cache.entries()) feeds[nameOf(`past_${i}`)] = tensor;
    return feeds;
  };
}

/** A bias of `rows` rows with `lead` hidden places in front of each. */
function behind(lead: number, bias: Float32Array, rows: number): Float32Array {
  const width = bias.length / rows;
  const all = new Float32Array(rows * (lead + width)).fill(HIDDEN);
  for (let row = 0; row < rows; row++) {
    all.set(bias.subarray(row * width, (row + 1) * width), row * (lead + width) + lead);
  }
  return all;
}

/** Added to the scores of places that nobody sees. */
const HIDDEN = -1e9;

/** Every pass by itself, on a graph of one slot. */
export function single(programs: Programs, sequenceFeeds: SequenceFeeds = fusedFeeds(0)): PassRunner {
  return {
    async run(pass, logits) {
      const count = pass.ids.length;
      const program = chosen(programs, hasDrafts(pass));
      const feeds = {
        ...sequenceFeeds(pass, (name) => name),
        ids: int64Tensor(pass.ids, [1, count]),
        positions: int64Tensor(pass.positions, [1, count]),
        head_from: int64Tensor([pass.headFrom], [1]),
        ...gateFeed(program, [pass]),
      };
      const results = await program.run(feeds, outputsFor(program, logits, [pass]));
      const { logits: all, logit_scale: scales, next, rows, hidden, candidates } = results;
      return {
        next: int64Data(next!),
        logits: fetched(all),
        scales: fetched(scales),
        hidden: fetched(hidden),
        candidates: fetchedIds(candidates),
        candidateLogits: fetched(results["candidate_logits"]),
        rows: float32Data(rows!),
        ...{ count, first: 0 },
      };
    },
  };
}

/** What hides a place in half floats, which have no more. */
const HIDDEN_HALF = -60_000;

/** Every pass by itself, on a graph of the resident form: the engine writes the cache. `half`: it computes in half floats. */
export function resident(program: Program, half: boolean): PassRunner {
  return {
    async run(pass, logits) {
      const { ids, positions, bias, past, cache } = pass;
      const count = ids.length;
      const total = past + count;
      const added = half
        ? float16Tensor(toFloat16(bias.map((value) => Math.max(value, HIDDEN_HALF))), [1, 1, count, total])
        : float32Tensor(bias, [1, 1, count, total]);
      const feeds: Feeds = {
        ids: int64Tensor(ids, [1, count]),
        positions: int64Tensor(positions, [1, count]),
        bias: added,
        last_place: int32Tensor(Int32Array.of(total - 1), [1]),
        total: int32Tensor(Int32Array.of(total), [1]),
        ...gateFeed(program, [pass], half),
      };
      const into: Feeds = {};
      for (const [i, tensor] of cache.entries()) {
        feeds[`past_${i}`] = tensor;
        into[`present_${i}`] = tensor;
      }
      const wanted = ["next", ...(logits ? ["logits"] : []), ...(pass.hidden ? ["hidden"] : [])];
      const results = await program.run(feeds, wanted, into);
      return {
        next: int64Data(results["next"]!),
        logits: fetched(results["logits"]),
        hidden: fetched(results["hidden"]),
        ...{ scales: null, candidates: null, candidateLogits: null, rows: null, count, first: 0 },
      };
    },
  };
}

/** A pass that waits to be run with others. */
interface Waiting {
  readonly pass: Pass;
  readonly logits: boolean;
  resolve(results: PassResults): void;
  reject(error: unknown): void;
}

/** Most rows of passes that run together; more rows would share nothing. A pass with more rows runs alone. */
const ROWS = 256;

/**
 * Runs passes that are asked for in the same round of the event loop together, up to `slots` of them, first come first
 * served, on a graph of that many slots. A single pass runs on `alone`, which spends nothing on empty slots. `whole`: caches are one tensor.
 */
export function together(
  programs: Programs,
  config: ModelConfig,
  slots: number,
  alone: PassRunner,
  sequenceFeeds: SequenceFeeds,
  whole = false,
): PassRunner {
  const waiting: Waiting[] = [];
  const { vocabSize, kvHeads, headSize, hiddenSize } = config;
  const places = leadingPlaces(config) + 1;
  const [count, parts] = whole ? [1, 2 * config.layers] : [2 * config.layers, 1];
  const dims = [parts, kvHeads, places, headSize];
  const empty = float32Tensor(new Float32Array(parts * kvHeads * places * headSize), dims);
  const unused: Pass = {
    ...{ ids: Int32Array.of(0), positions: Int32Array.of(0), bias: new Float32Array(1), past: 0, headFrom: 0 },
    ...{ useful: 1, draftsFrom: 1 },
    cache: Array<Tensor>(count).fill(empty),
  };
  const idle = Array.from({ length: slots }, (_, slot) => ({
    ...sequenceFeeds(unused, (name) => slotName(name, slot)),
    ...own(slot, false, 0, 0),
  }));
  let busy = false;

  /** The first passes that fit together. */
  function take(): Waiting[] {
    let rows = 0;
    let count = 0;
    for (const { pass } of waiting.slice(0, slots)) {
      rows += pass.ids.length;
      if (count > 0 && rows > ROWS) break;
      count++;
    }
    return waiting.splice(0, count);
  }

  async function flush(): Promise<void> {
    const passes = take();
    try {
      const [first] = passes as [Waiting];
      const results = passes.length > 1 ? await runTogether(passes) : [await alone.run(first.pass, first.logits)];
      for (const [i, { resolve }] of passes.entries()) resolve(results[i] as PassResults);
    } catch (error) {
      for (const { reject } of passes) reject(error);
    }
    if (waiting.length > 0) nextRound(flush);
    else busy = false;
  }

  async function runTogether(passes: readonly Waiting[]): Promise<PassResults[]> {
    const logits = passes.some((each) => each.logits);
    const ids: number[] = [];
    const positions: number[] = [];
    const heads: number[] = [];
    let feeds: Feeds = {};
    for (const [slot, quiet] of idle.entries()) {
      const pass = passes[slot]?.pass;
      if (pass === undefined) {
        feeds = Object.assign(feeds, quiet);
        continue;
      }
      const from = ids.length;
      for (const id of pass.ids) ids.push(id);
      for (const position of pass.positions) positions.push(position);
      for (let row = from + pass.headFrom; row < ids.length; row++) heads.push(row);
      Object.assign(
        feeds,
        sequenceFeeds(pass, (name) => slotName(name, slot)),
        own(slot, true, from, ids.length),
      );
    }
    const count = ids.length;
    const running = passes.map(({ pass }) => pass);
    const program = chosen(programs, running.some(hasDrafts));
    const results = await program.run(
      {
        ...feeds,
        ids: int64Tensor(ids, [1, count]),
        positions: int64Tensor(positions, [1, count]),
        head_rows: int64Tensor(heads, [heads.length]),
        ...gateFeed(program, running),
      },
      outputsFor(program, logits, running),
    );
    const next = int64Data(results["next"]!);
    const rows = float32Data(results["rows"]!);
    const all = fetched(results["logits"]);
    const scales = fetched(results["logit_scale"]);
    const states = fetched(results["hidden"]);
    const candidates = fetchedIds(results["candidates"]);
    const candidateLogits = fetched(results["candidate_logits"]);
    const width = candidates === null ? 0 : candidates.length / next.length;
    let [first, head] = [0, 0];
    return passes.map(({ pass, logits: wanted }) => {
      const [from, to] = [head, head + pass.ids.length - pass.headFrom];
      const result = {
        next: next.subarray(from, to),
        logits: wanted && all !== null ? all.subarray(from * vocabSize, to * vocabSize) : null,
        scales: scales?.subarray(from, to) ?? null,
        hidden: states?.subarray(from * hiddenSize, to * hiddenSize) ?? null,
        candidates: candidates?.subarray(from * width, to * width) ?? null,
        candidateLogits: candidateLogits?.subarray(from * width, to * width) ?? null,
        ...{ rows, count, first },
      };
      first += pass.ids.length;
      head = to;
      return result;
    });
  }

  return {
    run(pass, logits) {
      return new Promise((resolve, reject) => {
        waiting.push({ pass, logits, resolve, reject });
        if (busy) return;
        busy = true;
        nextRound(flush);
      });
    },
  };
}

/** Which rows of a pass a slot has. */
const own = (slot: number, used: boolean, from: number, to: number): Feeds => ({
  [slotName("used", slot)]: boolTensor(used),
  [slotName("from", slot)]: int64Tensor([from], [1]),
  [slotName("to", slot)]: int64Tensor([to], [1]),
});
