/**
 * One sequence on a compiled model: cuts what it is to run into passes, and turns their results into next tokens and cache
 * rows. Knows what a pass is, and neither how it is run nor what is computed.
 *
 * Two rules keep every row bit for bit the same, whatever the other rows of its pass are:
 * - no product over a single row, because the engine's kernels for one row round differently: a pass of one token is
 *   padded to two, and one of more than `TILE` to an even number, because attention goes through its rows tile by tile;
 * - long passes are cut into chunks of `CHUNK` rows, so that memory stays bounded; chains may be cut anywhere.
 */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import { KvCache } from "./kv-cache.ts";
import { float32Tensor, type Tensor } from "./ort.ts";
import type { Pass, PassResults, PassRunner } from "./pass-runner.ts";
import type { Forest, Session, TokenIds } from "./session.ts";

/** Rows of one run of the graph: the logits of this many are in memory at once. */
const CHUNK = 256;
/** Attention takes 2 * headSize rows at a time, or fewer where they do not fit the processor's cache: 32 and more, and even. */
const TILE = 32;
/** Rows of a chunk that go on to the vocabulary, at least: as few as keep their bits. */
const HEAD_ROWS = 2;
/** Added to the attention scores of places that a row must not see. */
const HIDDEN = -1e9;

export function openSession(runner: PassRunner, config: ModelConfig): Session {
  return new OnnxSession(runner, config);
}

class OnnxSession implements Session {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly draftToken: number | undefined;
  readonly leadingDraft: boolean;
  readonly #runner: PassRunner;
  readonly #config: ModelConfig;
  readonly #cache: KvCache;
  #cacheTensors: readonly Tensor[] = [];
  #zeros = new Float32Array(0); // the bias of a chain
  #length = 0;
  #busy = false;
  #disposed = false;

  constructor(runner: PassRunner, config: ModelConfig) {
    this.#runner = runner;
    this.#config = config;
    this.vocabSize = config.vocabSize;
    this.contextLength = config.contextLength;
    this.draftToken = config.draftTokenId;
    this.leadingDraft = config.leadingDraft === true;
    this.#cache = new KvCache(config);
    this.#feedCache();
  }

  get length(): number {
    return this.#length;
  }

  async forward(tokens: TokenIds, forest?: Forest): Promise<TokenIds> {
    const next = new Int32Array(tokens.length);
    for await (const { results, rows, at } of this.#passes(tokens, forest)) {
      next.set(results.next.subarray(0, rows), at);
    }
    return next;
  }

  async prefill(tokens: TokenIds, rows: number): Promise<TokenIds> {
    const from = tokens.length - rows;
    const next = new Int32Array(rows);
    for await (const { results, rows: run, at, headFrom } of this.#passes(tokens, undefined, { wanted: from })) {
      const first = Math.max(from, at + headFrom); // of those that the chunk has, as an index into `tokens`
      if (first >= at + run) continue;
      next.set(results.next.subarray(first - at - headFrom, run - headFrom), first - from);
    }
    return next;
  }

  async logits(tokens: TokenIds, forest?: Forest): Promise<Float32Array> {
    const width = this.vocabSize;
    const all = new Float32Array(tokens.length * width);
    for await (const { results, rows, at } of this.#passes(tokens, forest, { logits: true })) {
      const part = all.subarray(at * width, (at + rows) * width);
      part.set((results.logits as Float32Array).subarray(0, rows * width));
      const { scales } = results;
      if (scales === null) continue;
      for (let row = 0; row < rows; row++) {
        const scale = scales[row] as number;
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

  copyFrom(donor: Session, length: number): void {
    if (this.#disposed) throw disposed();
    if (this.#busy)
      throw new CllmError("bad-input", "a pass is running on this session: await it before copying to it");
    if (!(donor instanceof OnnxSession) || donor.#config !== this.#config) {
      throw new CllmError("bad-input", "the sequence to copy from is another model's: run its tokens instead");
    }
    if (donor.#disposed) throw disposed();
    if (!Number.isInteger(length) || length < 0 || length > donor.#length) {
      throw new CllmError("bad-input", `cannot copy ${length} tokens: the sequence has ${donor.#length}`);
    }
    if (this.#cache.reserve(length, 0)) this.#feedCache();
    this.#cache.copy(donor.#cache, length);
    this.#length = length;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    this.#cache.release();
    this.#cacheTensors = [];
    this.#zeros = new Float32Array(0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /**
   * Run the tokens in one pass, or a long chain in several. Yields each pass's results with the number of its tokens and
   * the index of its first. Only tokens from index `wanted` on go on to the vocabulary, and some
   * before them, from the pass's row `headFrom` on.
   */
  async *#passes(
    tokens: TokenIds,
    forest: Forest | undefined,
    { wanted = 0, logits = false }: { readonly wanted?: number; readonly logits?: boolean } = {},
  ): AsyncGenerator<{ results: PassResults; rows: number; at: number; headFrom: number }, void, void> {
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
        const results = await this.#runner.run(this.#pass(padded, forest, headFrom), logits);
        if (this.#disposed) throw disposed();
        this.#cache.append(results.rows, results.count, results.first, trunk, this.#length);
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
    if (this.#disposed) throw disposed();
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

  #pass(tokens: TokenIds, forest: Forest | undefined, headFrom: number): Pass {
    const past = this.#length;
    const rows = tokens.length;
    const total = past + rows;
    const places = Math.min(total, this.contextLength); // a padding row may stand behind the context's end
    if (this.#cache.reserve(places, past)) this.#feedCache();
    const positions = new Int32Array(rows);
    for (let i = 0; i < rows; i++) {
      const parent = forest === undefined ? i - 1 : parentOf(forest, i);
      positions[i] = parent < 0 ? past : (positions[parent] as number) + 1;
    }
    return { ids: tokens, positions, bias: this.#bias(rows, total, forest), past, cache: this.#cacheTensors, headFrom };
  }

  /** What is added to the scores of each row over all places, `(rows, total)`: a forest's rows see their ancestors only. */
  #bias(rows: number, total: number, forest: Forest | undefined): Float32Array {
    if (forest === undefined) {
      if (this.#zeros.length < rows * total) this.#zeros = new Float32Array(2 * rows * total);
      return this.#zeros.subarray(0, rows * total);
    }
    const past = total - rows;
    const bias = new Float32Array(rows * total);
    for (let i = 0; i < rows; i++) {
      const own = bias.subarray(i * total + past, i * total + past + i + 1); // later places are hidden by causality
      own.fill(HIDDEN);
      for (let at = i; at >= 0; at = parentOf(forest, at)) own[at] = 0;
    }
    return bias;
  }

  #feedCache(): void {
    const { kvHeads, headSize } = this.#config;
    const shape = [1, kvHeads, this.#cache.capacity, headSize];
    this.#cacheTensors = this.#cache.buffers.map((buffer) => float32Tensor(buffer, shape));
  }
}

const disposed = (): CllmError => new CllmError("disposed", "this session was disposed: open a new one");

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
