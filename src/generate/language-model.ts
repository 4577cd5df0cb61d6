/**
 * The library's model: text in, text out, over token ids and sessions below. Owns the sequences: one for each running
 * request, and those of the last finished ones, kept for their KV caches. Knows no file format and no decoder's inside.
 */
import { AutoMemory } from "../decode/auto.ts";
import { tokenBudget } from "../decode/budget.ts";
import { commonPrefix } from "../decode/prefix.ts";
import { tokensPerForward } from "../decode/tokens-per-forward.ts";
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Precision } from "../model/precision.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import type { ChatTemplate } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { measuredOnce } from "./calibrate.ts";
import { check } from "./check.ts";
import { type AutoKnowledge, startDecoder } from "./decoders.ts";
import { type Request, requestSchema } from "./options.ts";
import { encodePrompt } from "./prompt.ts";
import type { Chunk, GenerateOptions, Generation, LanguageModel, PassCosts, PromptInput, Stats } from "./types.ts";
import { createWriter } from "./writer.ts";

/** What a language model is put together from. */
export interface ModelParts {
  readonly name: string;
  readonly config: ModelConfig;
  readonly precision: Precision;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** A new, empty sequence. */
  session(): Session;
  /** Measures what passes cost, or knows it already; those of sampling fetch and search the logits. */
  measureCosts(sampling: boolean, signal: AbortSignal | undefined): Promise<PassCosts>;
  /** Sequences kept after their requests. Default: 1. */
  readonly keep?: number | undefined;
  dispose(): Promise<void>;
}

/** A sequence, and the tokens in its KV cache as far as that goes: all of them, or while it is in use those of its prompt. */
interface Sequence {
  readonly session: Session;
  tokens: TokenIds;
}

/** A request whose sequence is in use. */
interface Running {
  readonly sequence: Sequence;
  /** The pass that it waits for; null while its reader has the turn. */
  pass: Promise<unknown> | null;
}

export function createLanguageModel(parts: ModelParts): LanguageModel {
  const { name, config, precision, tokenizer, template, keep = 1 } = parts;
  const running = new Set<Running>();
  const memory = new AutoMemory();
  const kept: Sequence[] = []; // the one that was used last comes last
  const greedyCosts = measuredOnce((signal) => parts.measureCosts(false, signal));
  const sampledCosts = measuredOnce((signal) => parts.measureCosts(true, signal));
  let disposal: Promise<void> | null = null;

  function requireAlive(): void {
    if (disposal !== null) throw new CllmError("disposed", `${name} was disposed of; load it again`);
  }

  /**
   * The kept sequence to go on with, if any: the one that shares most with the prompt. While there is room to keep more, one that
   * would lose most of what it holds stays as it is: it is another conversation's. Without `cached`, the one that would go
   * next, for its memory alone: a new one's is slow until every page of it was written to.
   */
  function reusable(prompt: TokenIds, cached: boolean): Sequence | null {
    const full = kept.length >= keep;
    if (!cached) return full ? (kept[0] ?? null) : null;
    const best = closest(kept, prompt);
    const losing = best !== null && 2 * sharedBy(best, prompt) < best.tokens.length;
    return losing && !full ? null : best;
  }

  /**
   * The reusable sequence, cut back to what it shares with the prompt, or a new one. Where yet another one shares more, be it in
   * use, that much is copied from it. Without `cached` nothing of the prompt is there.
   */
  function acquire(prompt: TokenIds, cached: boolean): Running {
    const best = reusable(prompt, cached);
    const sequence = best ?? { session: parts.session(), tokens: new Int32Array(0) };
    if (best !== null) kept.splice(kept.indexOf(best), 1);
    const shared = cached ? sharedBy(sequence, prompt) : 0;
    const donor = cached ? closest([...kept, ...[...running].map((request) => request.sequence)], prompt) : null;
    const { session } = sequence;
    if (donor !== null && session.copyFrom && sharedBy(donor, prompt) > shared)
      session.copyFrom(donor.session, sharedBy(donor, prompt));
    else session.truncate(shared);
    sequence.tokens = prompt; // as far as the session has come
    const request = { sequence, pass: null };
    running.add(request);
    return request;
  }

  /** Keeps the sequence of a request that ended well, instead of the oldest one; a broken one is disposed of. */
  async function release(request: Running, usable: boolean): Promise<void> {
    if (!running.delete(request)) return; // dispose() took it
    if (!usable || disposal !== null) return request.sequence.session.dispose();
    kept.push(request.sequence);
    if (kept.length > keep) await kept.shift()!.session.dispose();
  }

  const promptIds = (input: PromptInput): TokenIds => encodePrompt(input, tokenizer, template);

  /** What `auto` needs to know before it decodes; other decoders need nothing. */
  async function knowledgeFor({ decoder, temperature, signal }: Request): Promise<AutoKnowledge | null> {
    if (decoder !== "auto") return null;
    return { costs: await (temperature === 0 ? greedyCosts : sampledCosts)(signal), memory };
  }

  async function* stream(options: GenerateOptions): AsyncGenerator<Chunk, Generation, void> {
    requireAlive();
    const request = check(requestSchema, options, { what: "the request" });
    const prompt = promptIds(request);
    const maxNewTokens = tokenBudget(prompt.length, request.maxNewTokens, config.contextLength);
    for (const id of request.stopIds) requireId(id, config.vocabSize);
    const writer = createWriter(request, tokenizer);
    throwIfAborted(request.signal);
    const knowledge = await knowledgeFor(request);
    requireAlive();

    const own = acquire(prompt, request.cachePrompt);
    const { session } = own.sequence;
    const cachedTokens = session.length;
    const known = new Int32Array(prompt.length + maxNewTokens); // the prompt and every accepted token
    known.set(prompt);
    let length = prompt.length;
    let intact = true; // no pass is under way or has failed, so the cache is what it says it is
    const clock = createClock();
    const stopIds = new Set([...request.stopIds, ...(request.ignoreEos ? [] : config.eosTokenIds)]);
    const limits = { maxNewTokens, stopIds, ...(request.signal && { signal: request.signal }) };
    const decoder = startDecoder(request, session, prompt, limits, knowledge);
    try {
      while (!writer.finished()) {
        throwIfAborted(request.signal);
        const start = performance.now();
        intact = false;
        const pass = decoder.next();
        own.pass = pass.catch(() => {});
        const { done, value } = await pass;
        own.pass = null;
        intact = true;
        requireAlive();
        if (done) break;
        const { prefill, rows, draft: guesses = new Int32Array(0) } = value;
        const ms = performance.now() - start;
        known.set(value.accepted, length);
        length += value.accepted.length;
        const chunk = writer.write(value.accepted, stopIds);
        if (prefill)
          clock.countPrefill(ms, chunk.tokens.length, rows, rows - Math.max(1, prompt.length - cachedTokens));
        else clock.count(ms, chunk.tokens.length);
        yield { ...chunk, pass: { prefill, rows, ms, guesses } };
        requireAlive();
      }
      const { rest, ...written } = writer.end();
      if (rest !== "") yield { text: rest, tokens: new Int32Array(0) };
      return { ...written, stats: clock.stats(prompt.length, cachedTokens, written.tokens.length) };
    } catch (error) {
      intact ||= error instanceof CllmError && error.code === "aborted"; // decoders look at the signal between passes
      throw error;
    } finally {
      own.pass = null;
      await decoder.return();
      if (intact) own.sequence.tokens = known.slice(0, session.length);
      await release(own, intact);
    }
  }

  async function generate(options: GenerateOptions): Promise<Generation> {
    const chunks = stream(options);
    for (;;) {
      const { done, value } = await chunks.next();
      if (done) return value;
    }
  }

  async function disposeAll(): Promise<void> {
    const requests = [...running];
    running.clear();
    await Promise.all(requests.map(({ pass }) => pass));
    const sequences = [...requests.map(({ sequence }) => sequence), ...kept.splice(0)];
    for (const { session } of sequences) await session.dispose();
    await parts.dispose();
  }

  const dispose = (): Promise<void> => {
    disposal ??= disposeAll();
    return disposal;
  };

  return {
    name,
    config,
    precision,
    tokenizer,
    hasChatTemplate: template.source !== null,
    generate,
    stream,
    promptIds,
    session: () => {
      requireAlive();
      return parts.session();
    },
    passCosts: async (signal) => {
      requireAlive();
      return greedyCosts(signal);
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

/** How many of its first tokens a prompt need not run beside a sequence: its last one is always run, for what follows it. */
function sharedBy({ session, tokens }: Sequence, prompt: TokenIds): number {
  return Math.min(session.length, commonPrefix(tokens, prompt), prompt.length - 1);
}

/** The sequence that shares most with a prompt, the first of several; null of none. */
function closest(sequences: readonly Sequence[], prompt: TokenIds): Sequence | null {
  let best: Sequence | null = null;
  for (const sequence of sequences)
    if (best === null || sharedBy(sequence, prompt) > sharedBy(best, prompt)) best = sequence;
  return best;
}

function requireId(id: number, vocabSize: number): void {
  if (id < vocabSize) return;
  throw new CllmError("bad-input", `stopIds: ${id} is not a token id; the vocabulary has ids 0 to ${vocabSize - 1}`);
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CllmError("aborted", "the request was aborted", { cause: signal.reason });
}

/** Adds up what the passes took, the prefill apart. */
function createClock() {
  const accepted: number[] = [];
  let prefillTokens = 0;
  let prefillMs = 0;
  let decodeMs = 0;
  return {
    /** A prefill of `rows`, `guesses` of them behind the prompt: these are decoding, and their share of the time counts as such. */
    countPrefill(ms: number, tokens: number, rows: number, guesses: number): void {
      const share = guesses / rows;
      prefillTokens = tokens;
      prefillMs = ms * (1 - share);
      decodeMs += ms * share;
    },
    count(ms: number, tokens: number): void {
      decodeMs += ms;
      accepted.push(tokens);
    },
    stats(promptTokens: number, cachedTokens: number, newTokens: number): Stats {
      const decoded = newTokens - 1; // the prompt gives the first
      return {
        promptTokens,
        cachedTokens,
        newTokens,
        prefillTokens,
        forwards: accepted.length,
        tokensPerForward: tokensPerForward(accepted),
        prefillMs,
        decodeMs,
        tokensPerSecond: decodeMs === 0 ? 0 : decoded / (decodeMs / 1000),
        accepted,
      };
    },
  };
}
