/**
 * One sequence on a compiled model: turns a pass over token ids into feeds, and the results into next tokens and cache
 * rows. Knows how a decode graph is fed (see `model/decode-graph.ts`), not what it computes.
 *
 * Two rules keep every row bit for bit the same, whatever the other rows of its pass are:
 * - no product over a single row, because the engine's kernels for one row round differently: a pass of one token is
 *   padded to two, and one of more than `TILE` to an even number, because attention goes through its rows tile by tile;
 * - long passes are cut into chunks of `CHUNK` rows, so that memory stays bounded; chains may be cut anywhere.
 */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import { KvCache } from "./kv-cache.ts";
import {
  type Feeds,
  float32Data,
  float32Tensor,
  int32Tensor,
  int64Data,
  int64Tensor,
  type Program,
  type Tensor,
} from "./ort.ts";
import type { Forest, Session, TokenIds } from "./session.ts";

/** Rows of one run of the graph: the logits of this many are in memory at once. */
const CHUNK = 256;
/** Attention takes 2 * headSize rows at a time, or fewer where they do not fit the processor's cache: 32 and more, and even. */
const TILE = 32;
/** Rows of a chunk that go on to the vocabulary, at least: as few as keep their bits. */
const HEAD_ROWS = 2;
/** Added to the attention scores of slots that a row must not see. */
const HIDDEN = -1e9;

export function openSession(program: Program, config: ModelConfig): Session {
  return new OnnxSession(program, config);
}

class OnnxSession implements Session {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly draftToken: number | undefined;
  readonly #program: Program;
  readonly #config: ModelConfig;
  readonly #cache: KvCache;
  #cacheFeeds: Feeds = {};
  #zeros = new Float32Array(0); // the bias of a chain
  #length = 0;
  #busy = false;
  #disposed = false;

  constructor(program: Program, config: ModelConfig) {
    this.#program = program;
    this.#config = config;
    this.vocabSize = config.vocabSize;
    this.contextLength = config.contextLength;
    this.draftToken = config.draftTokenId;
    this.#cache = new KvCache(config);
    this.#feedCache();
  }

  get length(): number {
    return this.#length;
  }

  async forward(tokens: TokenIds, forest?: Forest): Promise<TokenIds> {
    const next = new Int32Array(tokens.length);
    for await (const { results, rows, at } of this.#passes(tokens, forest, ["next"])) {
      next.set(int64Data(results["next"]!).subarray(0, rows), at);
    }
    return next;
  }

  async prefill(tokens: TokenIds, rows: number): Promise<TokenIds> {
    const from = tokens.length - rows;
    const next = new Int32Array(rows);
    for await (const { results, rows: run, at, headFrom } of this.#passes(tokens, undefined, ["next"], from)) {
      const first = Math.max(from, at + headFrom); // of those that the chunk has, as an index into `tokens`
      if (first >= at + run) continue;
      next.set(int64Data(results["next"]!).subarray(first - at - headFrom, run - headFrom), first - from);
    }
    return next;
  }

  async logits(tokens: TokenIds, forest?: Forest): Promise<Float32Array> {
    const width = this.vocabSize;
    const all = new Float32Array(tokens.length * width);
    const outputs = this.#program.outputs.includes("logit_scale") ? ["logits", "logit_scale"] : ["logits"];
    for await (const { results, rows, at } of this.#passes(tokens, forest, outputs)) {
      const part = all.subarray(at * width, (at + rows) * width);
      part.set(float32Data(results["logits"]!).subarray(0, rows * width));
      const scales = results["logit_scale"];
      if (scales === undefined) continue;
      for (let row = 0; row < rows; row++) {
        const scale = float32Data(scales)[row] as number;
        for (let i = row * width; i < (row + 1) * width; i++) part[i] = (part[i] as number) * scale;
      }
    }
    return all;
  }

  truncate(length: number): void {
    if (this.#busy) throw new CllmError("bad-input", "a pass is running on this session: await it before truncating");
    if (!Number.isInteger(length) || length < 0 || length > this.#length) {
      throw new CllmError("bad-input", `cannot truncate to ${length}: the sequence has ${this.#length} tokens`);
    }
    this.#length = length;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    this.#cache.release();
    this.#cacheFeeds = {};
    this.#zeros = new Float32Array(0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /**
   * Run the tokens in one pass, or a long chain in several, fetching `outputs`. Yields each pass's results with the
   * number of its tokens and the index of its first. Only tokens from index `wanted` on go on to the vocabulary, and some
   * before them, from the pass's row `headFrom` on.
   */
  async *#passes(
    tokens: TokenIds,
    forest: Forest | undefined,
    outputs: readonly string[],
    wanted = 0,
  ): AsyncGenerator<{ results: Record<string, Tensor>; rows: number; at: number; headFrom: number }, void, void> {
    this.#check(tokens, forest);
    this.#busy = true;
    const start = this.#length;
    try {
      const chunk = forest === undefined ? CHUNK : tokens.length;
      for (let at = 0; at < tokens.length; at += chunk) {
        const part = tokens.subarray(at, at + chunk);
        const trunk = forest === undefined ? part.length : trunkLength(forest);
        const padded = pad(part);
        const headFrom = Math.max(0, Math.min(wanted - at, part.length - HEAD_ROWS));
        const results = await this.#program.run(this.#feeds(padded, forest, headFrom), [...outputs, "rows"]);
        this.#cache.append(float32Data(results["rows"]!), padded.length, trunk, this.#length);
        this.#length += trunk;
        yield { results, rows: part.length, at, headFrom };
      }
    } catch (error) {
      this.#length = start;
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  #check(tokens: TokenIds, forest: Forest | undefined): void {
    if (this.#disposed) throw new CllmError("disposed", "this session was disposed: open a new one");
    if (this.#busy) throw new CllmError("bad-input", "a pass is running on this session: await it before the next");
    if (tokens.length === 0) throw new CllmError("bad-input", "no tokens to run: pass at least one");
    for (const id of tokens) {
      if (id < 0 || id >= this.vocabSize) {
        throw new CllmError("bad-input", `token id ${id} is outside the vocabulary of ${this.vocabSize} ids`);
      }
    }
    const total = this.#length + tokens.length;
    if (total > this.contextLength) {
      const over = total - this.contextLength;
      throw new CllmError(
        "context-overflow",
        `${total} tokens are ${over} more than the model's context of ${this.contextLength}: shorten the prompt`,
      );
    }
    if (forest === undefined) return;
    if (forest.parents.length !== tokens.length) {
      throw new CllmError("bad-input", `${forest.parents.length} parents for ${tokens.length} tokens`);
    }
    if (this.#length === 0 && trunkLength(forest) < tokens.length) {
      throw new CllmError("bad-input", "branches need a sequence to follow: run the prompt before the forest");
    }
    for (const [i, parent] of forest.parents.entries()) {
      if (parent >= -1 && parent < i) continue;
      throw new CllmError("bad-input", `the parent of token ${i} is ${parent}: it must be -1 or an earlier token`);
    }
  }

  #feeds(tokens: TokenIds, forest: Forest | undefined, headFrom: number): Feeds {
    const past = this.#length;
    const rows = tokens.length;
    const total = past + rows;
    const slots = Math.min(total, this.contextLength); // a padding row may stand behind the context's end
    if (this.#cache.reserve(slots, past)) this.#feedCache();
    const positions = new Int32Array(rows);
    for (let i = 0; i < rows; i++) {
      const parent = forest === undefined ? i - 1 : parentOf(forest, i);
      positions[i] = parent < 0 ? past : (positions[parent] as number) + 1;
    }
    return {
      ...this.#cacheFeeds,
      ids: int64Tensor(tokens, [1, rows]),
      positions: int64Tensor(positions, [1, rows]),
      bias: float32Tensor(this.#bias(rows, total, forest), [1, 1, rows, total]),
      last_slot: int32Tensor(Int32Array.of(total - 1), [1]),
      total: int32Tensor(Int32Array.of(total), [1]),
      new_from: int64Tensor([past], [1]),
      new_to: int64Tensor([total], [1]),
      head_from: int64Tensor([headFrom], [1]),
    };
  }

  /** What is added to the scores of each row over all slots, `(rows, total)`: a forest's rows see their ancestors only. */
  #bias(rows: number, total: number, forest: Forest | undefined): Float32Array {
    if (forest === undefined) {
      if (this.#zeros.length < rows * total) this.#zeros = new Float32Array(2 * rows * total);
      return this.#zeros.subarray(0, rows * total);
    }
    const past = total - rows;
    const bias = new Float32Array(rows * total);
    for (let i = 0; i < rows; i++) {
      const own = bias.subarray(i * total + past, i * total + past + i + 1); // later slots are hidden by causality
      own.fill(HIDDEN);
      for (let at = i; at >= 0; at = parentOf(forest, at)) own[at] = 0;
    }
    return bias;
  }

  #feedCache(): void {
    const { kvHeads, headSize } = this.#config;
    const shape = [1, kvHeads, this.#cache.capacity, headSize];
    for (const [i, buffer] of this.#cache.buffers.entries()) {
      this.#cacheFeeds[`past_${i}`] = float32Tensor(buffer, shape);
    }
  }
}

/** The tokens, with the last one repeated where their number is one that must not be run. */
function pad(tokens: TokenIds): TokenIds {
  const rows = tokens.length;
  if (rows !== 1 && (rows <= TILE || rows % 2 === 0)) return tokens;
  const padded = new Int32Array(rows + 1);
  padded.set(tokens);
  padded[rows] = tokens[rows - 1] as number;
  return padded;
}

/** A padding row stands alone. */
function parentOf({ parents }: Forest, row: number): number {
  return parents[row] ?? -1;
}

/** The longest leading run in which every token follows the one before it. */
function trunkLength({ parents }: Forest): number {
  let length = 0;
  while (length < parents.length && parents[length] === length - 1) length++;
  return length;
}
