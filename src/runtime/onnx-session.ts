/**
 * One sequence on a compiled model: cuts what it is to run into passes, and turns their results into next tokens and cache
 * rows. Knows what a pass is, and neither how it is run nor what is computed; what passes may be like is the device's to say.
 */
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import { cpu, hostCaches } from "./devices/cpu.ts";
import type { Caches, RowRules } from "./devices/device.ts";
import type { Heads } from "./heads.ts";
import type { KvCache } from "./kv-cache.ts";
import type { Pass, PassResults, PassRunner } from "./pass-runner.ts";
import { type Candidates, type Forest, type Session, type TokenIds, trunkLength } from "./session.ts";

/** Added to the attention scores of places that a row must not see. */
const HIDDEN = -1e9;
const NONE = new Float32Array(0);

/** What a sequence has of its device. */
export interface Place {
  readonly rows: RowRules;
  readonly caches: Caches;
  /** The graph has a draft adapter. Default: false. */
  readonly drafter?: boolean;
  /** Heads on the last hidden state. Default: none. */
  readonly heads?: Heads | null;
}

/** A new, empty sequence. Default: on the processor. */
export function openSession(
  runner: PassRunner,
  config: ModelConfig,
  place: Place = { rows: cpu.rows, caches: hostCaches(config) },
): Session {
  return new OnnxSession(runner, config, place);
}

class OnnxSession implements Session {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly draftToken: number | undefined;
  readonly leadingDraft: boolean;
  readonly drafter: boolean;
  readonly heads: number;
  readonly #heads: Heads | null;
  #hidden: Float32Array = NONE; // (rows, D) of what the last call gave, with heads
  readonly #hiddenSize: number;
  readonly #runner: PassRunner;
  readonly #rows: RowRules;
  readonly #cache: KvCache;
  #zeros: Float32Array = NONE; // the bias of a chain
  #guessed: readonly Guessed[] = []; // of the last pass, where it had draft rows, part by part
  #length = 0;
  #busy = false;
  #disposed = false;

  constructor(runner: PassRunner, config: ModelConfig, { rows, caches, drafter = false, heads = null }: Place) {
    this.#runner = runner;
    this.vocabSize = config.vocabSize;
    this.#hiddenSize = config.hiddenSize;
    this.contextLength = config.contextLength;
    this.draftToken = config.draftTokenId;
    this.leadingDraft = config.leadingDraft === true;
    this.drafter = drafter;
    this.heads = heads?.count ?? 0;
    this.#heads = heads;
    this.#rows = rows;
    this.#cache = caches.open();
  }

  get length(): number {
    return this.#length;
  }

  async forward(tokens: TokenIds, forest?: Forest): Promise<TokenIds> {
    const next = new Int32Array(tokens.length);
    const hidden: Float32Array[] = [];
    const guessed: Guessed[] = [];
    let known = 0; // rows whose candidates are there
    for await (const { results, rows, at } of this.#passes(tokens, forest)) {
      next.set(results.next.subarray(0, rows), at);
      hidden.push(this.#states(results, 0, rows));
      const { candidates: ids, candidateLogits: logits } = results;
      if (ids === null || logits === null) continue;
      guessed.push({ next: results.next, ids, logits, rows });
      known += rows;
    }
    this.#keep(hidden);
    this.#guessed = known === tokens.length ? guessed : [];
    return next;
  }

  async prefill(tokens: TokenIds, rows: number): Promise<TokenIds> {
    const from = tokens.length - rows;
    const next = new Int32Array(rows);
    const hidden: Float32Array[] = [];
    this.#guessed = [];
    for await (const { results, rows: run, at, headFrom } of this.#passes(tokens, undefined, { wanted: from })) {
      const first = Math.max(from, at + headFrom); // of those that the chunk has, as an index into `tokens`
      if (first >= at + run) continue;
      next.set(results.next.subarray(first - at - headFrom, run - headFrom), first - from);
      hidden.push(this.#states(results, first - at - headFrom, run - headFrom));
    }
    this.#keep(hidden);
    return next;
  }

  async logits(tokens: TokenIds, forest?: Forest): Promise<Float32Array> {
    const width = this.vocabSize;
    const all = new Float32Array(tokens.length * width);
    const hidden: Float32Array[] = [];
    this.#guessed = [];
    for await (const { results, rows, at } of this.#passes(tokens, forest, { logits: true })) {
      hidden.push(this.#states(results, 0, rows));
      const part = all.subarray(at * width, (at + rows) * width);
      part.set((results.logits as Float32Array).subarray(0, rows * width));
      const { scales } = results;
      if (scales === null) continue;
      for (let row = 0; row < rows; row++) {
        const scale = scales[row] as number;
        for (let i = row * width; i < (row + 1) * width; i++) part[i] = (part[i] as number) * scale;
      }
    }
    this.#keep(hidden);
    return all;
  }

  candidates(from: number): readonly Candidates[] {
    let before = 0;
    return this.#guessed.flatMap((part) => {
      const first = Math.max(0, from - before);
      before += part.rows;
      return candidatesOf(part, first);
    });
  }

  async headGuesses(row: number): Promise<readonly TokenIds[]> {
    if (this.#disposed) throw disposed();
    if (this.#heads === null) throw new CllmError("bad-input", "the model has no heads: load it with medusaHeads");
    const width = this.#hiddenSize;
    const rows = this.#hidden.length / width;
    if (!(Number.isInteger(row) && row >= 0 && row < rows))
      throw new CllmError("bad-input", `row ${row} is not among the ${rows} rows that the last pass gave`);
    return await this.#heads.guess(this.#hidden.slice(row * width, (row + 1) * width));
  }

  /** The hidden states of some rows of a pass; none without heads. */
  #states({ hidden }: PassResults, from: number, to: number): Float32Array {
    return hidden?.subarray(from * this.#hiddenSize, to * this.#hiddenSize) ?? NONE;
  }

  #keep(parts: readonly Float32Array[]): void {
    if (this.#heads === null) return;
    const [first = NONE] = parts;
    this.#hidden = parts.length === 1 ? first : joinFloats(parts);
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
    if (!(donor instanceof OnnxSession) || donor.#runner !== this.#runner) {
      throw new CllmError("bad-input", "the sequence to copy from is another model's: run its tokens instead");
    }
    if (donor.#disposed) throw disposed();
    if (!Number.isInteger(length) || length < 0 || length > donor.#length) {
      throw new CllmError("bad-input", `cannot copy ${length} tokens: the sequence has ${donor.#length}`);
    }
    this.#cache.copy(donor.#cache, length);
    this.#length = length;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    if (!this.#busy) this.#cache.release(); // a pass under way still reads it
    this.#zeros = NONE;
    this.#hidden = NONE;
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
      const { most, head } = this.#rows;
      const trunk = forest === undefined ? tokens.length : trunkLength(forest);
      const positions = this.#positions(tokens.length, forest);
      for (let at = 0; at < tokens.length; at += most) {
        const part = tokens.subarray(at, at + most);
        const headFrom = Math.max(0, Math.min(wanted - at, part.length - head));
        const results = await this.#runner.run(await this.#pass(part, { at, positions, forest, headFrom }), logits);
        if (this.#disposed) throw disposed();
        const keep = at + part.length < tokens.length ? part.length : Math.max(0, trunk - at);
        this.#cache.append(results.rows, results.count, results.first, keep, this.#length);
        this.#length += part.length;
        yield { results, rows: part.length, at, headFrom };
      }
      this.#length = start + trunk;
    } catch (error) {
      this.#length = start;
      throw error;
    } finally {
      this.#busy = false;
      if (this.#disposed) this.#cache.release();
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
    const { parents, draftsFrom = parents.length } = forest;
    if (draftsFrom < parents.length && !this.drafter) {
      throw new CllmError("bad-input", "draft rows need a draft adapter: load the model with one");
    }
    if (!(Number.isInteger(draftsFrom) && draftsFrom >= 1 && draftsFrom <= parents.length)) {
      throw new CllmError("bad-input", `draft rows begin at ${draftsFrom}: it must be from 1 to ${parents.length}`);
    }
    for (const [i, parent] of parents.entries()) {
      if (parent >= -1 && parent < i) continue;
      throw new CllmError("bad-input", `the parent of token ${i} is ${parent}: it must be -1 or an earlier token`);
    }
  }

  /** Where each token stands in its text: behind its parent. */
  #positions(rows: number, forest: Forest | undefined): Int32Array {
    const positions = new Int32Array(rows);
    for (let i = 0; i < rows; i++) {
      const parent = forest === undefined ? i - 1 : (forest.parents[i] as number);
      positions[i] = parent < 0 ? this.#length : (positions[parent] as number) + 1;
    }
    return positions;
  }

  /** The pass of the tokens `part`, which begin with index `at` of what is run, padded to what the device wants. */
  async #pass(
    part: TokenIds,
    {
      at,
      positions,
      forest,
      headFrom,
    }: Pick<Pass, "positions" | "headFrom"> & { at: number; forest: Forest | undefined },
  ): Promise<Pass> {
    const past = this.#length;
    const count = part.length;
    const rows = this.#rows.padded(count);
    const reserving = this.#cache.reserve(Math.min(past + rows, this.contextLength), past);
    if (typeof reserving !== "boolean") await reserving; // waiting for nothing would part passes that can run together
    const ids = new Int32Array(rows).fill(part[count - 1] as number);
    ids.set(part);
    const own = new Int32Array(rows).fill(Math.min(past + count, this.contextLength)); // nobody looks at a padding row
    own.set(positions.subarray(at, at + count));
    return {
      ids,
      positions: own,
      bias: this.#bias(rows, past, at, forest),
      past,
      cache: this.#cache.tensors,
      headFrom,
      useful: count,
      draftsFrom: Math.max(0, Math.min((forest?.draftsFrom ?? at + count) - at, count)),
      hidden: this.#heads !== null,
    };
  }

  /**
   * What is added to the scores of each row over all places, `(rows, past + rows)`: a forest's rows see their ancestors only, also
   * those of passes before, which are the last `at` of the `past` places.
   */
  #bias(rows: number, past: number, at: number, forest: Forest | undefined): Float32Array {
    const total = past + rows;
    if (forest === undefined) {
      if (this.#zeros.length < rows * total) this.#zeros = new Float32Array(2 * rows * total);
      return this.#zeros.subarray(0, rows * total);
    }
    const first = past - at; // place of the forest's first row
    const bias = new Float32Array(rows * total);
    for (let i = 0; i < rows; i++) {
      const own = bias.subarray(i * total + first, i * total + past + i + 1); // later places are hidden by causality
      own.fill(HIDDEN);
      for (let row = at + i; row >= 0; row = forest.parents[row] ?? -1) own[row] = 0; // a padding row stands alone
    }
    return bias;
  }
}

/** What rows of a pass wrote, `(rows,)`, and the likeliest ids behind each, `(rows, c)`, with their logits. */
interface Guessed {
  readonly next: Int32Array;
  readonly ids: Int32Array;
  readonly logits: Float32Array;
  readonly rows: number;
}

/** The candidates of each row from `first` on, what it wrote first. */
function candidatesOf({ next, ids, logits, rows }: Guessed, first: number): Candidates[] {
  const width = ids.length / next.length;
  return Array.from({ length: Math.max(0, rows - first) }, (_, i) => {
    const row = first + i;
    const theirs = ids.subarray(row * width, (row + 1) * width);
    const scores = logits.subarray(row * width, (row + 1) * width);
    const isWritten = (at: number): number => Number(theirs[at] === next[row]);
    const order = [...theirs.keys()].sort((a, b) => isWritten(b) - isWritten(a) || scores[b]! - scores[a]! || a - b);
    return { ids: Int32Array.from(order, (at) => theirs[at]!), logits: Float32Array.from(order, (at) => scores[at]!) };
  });
}

function joinFloats(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const disposed = (): CllmError => new CllmError("disposed", "this session was disposed: open a new one");
