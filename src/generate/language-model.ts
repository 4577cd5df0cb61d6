/**
 * The library's model: text in, text out, over token ids and sessions below. Ties together what a request needs: its check, its
 * sequence, its decoder, its text and its figures. Knows no file format and no decoder's inside.
 */
import type { ModelSampling } from "../checkpoint/checkpoint.ts";
import { AutoMemory } from "../decode/auto.ts";
import { tokenBudget } from "../decode/budget.ts";
import { type ChoiceOptions, type ChosenSession, chosen } from "../decode/choice.ts";
import type { KnownNgrams } from "../decode/known-ngrams.ts";
import { knownAnswers, SUFFIX_MEGABYTES, SuffixMemory, type SuffixView } from "../decode/suffix-memory.ts";
import { tokensPerForward } from "../decode/tokens-per-forward.ts";
import { CllmError } from "../error.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Precision } from "../model/precision.ts";
import type { DeviceName } from "../runtime/devices/name.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import type { ChatTemplate } from "../text/chat.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { type AnswerForm, answerForm, markIds } from "./answer-form.ts";
import { type Calibration, measuredOnce } from "./calibrate.ts";
import { check } from "./check.ts";
import { chooseDecoder, type DraftSources, requireSources } from "./decoders.ts";
import type { DraftModel } from "./draft-model.ts";
import type { Compiled } from "./formats.ts";
import { generationStream } from "./generation-stream.ts";
import { type Request, requestSchema } from "./options.ts";
import { encodePrediction, predictionStats } from "./prediction.ts";
import { encodePrompt } from "./prompt.ts";
import { chooseSampling } from "./sampling.ts";
import { SequencePool } from "./sequence-pool.ts";
import { answerFormat, argumentsOf } from "./tool-format.ts";
import type {
  ChosenLogprob,
  Chunk,
  GenerateOptions,
  Generation,
  GenerationStream,
  LanguageModel,
  PassCosts,
  PromptInput,
  Stats,
} from "./types.ts";
import { createWriter } from "./writer.ts";

/** What a language model is put together from. */
export interface ModelParts {
  readonly name: string;
  readonly config: ModelConfig;
  readonly precision: Precision;
  /** Default: the processor. */
  readonly device?: DeviceName;
  readonly deviceWhy?: string | null;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** Default: the model says nothing of it. */
  readonly sampling?: ModelSampling | null;
  /** A new, empty sequence. */
  session(): Session;
  /** Its sequences have a draft adapter. Default: false. */
  readonly drafter?: boolean;
  /** Medusa heads that they have. Default: 0. */
  readonly heads?: number;
  /** Measures what passes cost, or knows it already. */
  measureCosts(kind: PassKind, signal: AbortSignal | undefined): Promise<Calibration>;
  /** Sequences kept after their requests. Default: 1. */
  readonly keep?: number | undefined;
  /** Megabytes for earlier answers; 0 keeps none. Default: 16. */
  readonly suffixMemory?: number | undefined;
  /** Counts that were made before of its answers, for every request. Default: none. */
  readonly known?: KnownNgrams | null | undefined;
  /** Guesses for it. Disposed with it. Default: none. */
  readonly draftModel?: DraftModel | null;
  /** Told what is wrong with a request and changes no text. Default: nobody. */
  readonly onNote?: ((line: string) => void) | undefined;
  dispose(): Promise<void>;
}

/** Passes that cost alike: those of sampling fetch and search the logits, drafting ones have draft rows. */
export interface PassKind {
  readonly sampling: boolean;
  readonly drafting: boolean;
}

export function createLanguageModel(parts: ModelParts): LanguageModel {
  const { name, config, precision, device = "cpu", deviceWhy = null, tokenizer, template } = parts;
  const { sampling = null, drafter = false, heads = 0 } = parts;
  const sequences = new SequencePool(() => parts.session(), parts.keep);
  const memory = new AutoMemory();
  const { suffixMemory = SUFFIX_MEGABYTES, known = null, draftModel = null, onNote = () => {} } = parts;
  const answers = suffixMemory === 0 ? null : new SuffixMemory(suffixMemory, known);
  const onlyKnown = known && knownAnswers(known);
  const formats = once(async () => (await import("./formats.ts")).formatsOf(tokenizer, markIds(template, tokenizer)));
  const measured = [false, true].map((drafting) =>
    [false, true].map((sampling) => measuredOnce((signal) => parts.measureCosts({ sampling, drafting }, signal))),
  );
  const costsOf = (sampling: boolean, drafting: boolean, signal: AbortSignal | undefined): Promise<PassCosts> =>
    measured[Number(drafting)]![Number(sampling)]!(signal);
  let disposal: Promise<void> | null = null;
  let writing = 0; // texts at the same time

  function requireAlive(): void {
    if (disposal !== null) throw new CllmError("disposed", `${name} was disposed; load it again`);
  }

  /** Earlier answers that a request may draft from, and adds its own to; null where there are none. */
  function answersFor({ memoryScope, cachePrompt }: Request): SuffixView | null {
    const scope = memoryScope ?? (cachePrompt ? "" : null);
    return scope === null || answers === null ? onlyKnown : answers.scoped(scope);
  }

  function sourcesOf(request: Request, choice: ChoiceOptions): DraftSources {
    const { prediction, draft = null, cachePrompt: cached } = request;
    const predicted = prediction && encodePrediction(prediction, tokenizer, config.contextLength, onNote);
    const model = draftModel && { draft: draftModel.policy(choice, { cached }), record: draftModel.record };
    return { prediction: predicted || null, answers: answersFor(request), draft, model };
  }

  const promptIds = (input: PromptInput): TokenIds => encodePrompt(input, tokenizer, template);

  /** One request from its check to its last token: everything that a generation is made of happens here. */
  async function* chunks(options: GenerateOptions): AsyncGenerator<Chunk, Generation, void> {
    requireAlive();
    const request = check(requestSchema, options, { what: "the request" });
    const { signal } = request;
    const prompt = request.promptIds ?? encodePrompt(request, tokenizer, template, config.contextLength);
    const maxNewTokens = tokenBudget(prompt.length, request.maxNewTokens, config.contextLength);
    for (const id of prompt) requireId("promptIds", id, config.vocabSize);
    for (const id of request.stopIds) requireId("stopIds", id, config.vocabSize);
    const decoder = chooseDecoder(request);
    if (decoder.name === "medusa" && heads === 0)
      throw new CllmError(
        "usage",
        `${name} has no heads for decoder medusa: load it with medusaHeads (--medusa-heads)`,
      );
    const { seed, ...draw } = chooseSampling(request, sampling);
    const own = new Set(request.ignoreEos ? [] : config.eosTokenIds);
    const form = answerForm(request, prompt, tokenizer, template);
    const format = await compiledFormat(request, form, maxNewTokens);
    const writer = createWriter(request, tokenizer, { own, asked: new Set(request.stopIds) }, form);
    throwIfAborted(signal);
    const endIds = new Set(config.eosTokenIds).add(config.eosTokenIds[0] ?? 0); // without any, the text is cut where it is whole
    const choice: ChoiceOptions = {
      ...draw,
      ...(seed !== null && { seed }),
      ...adjustmentsOf(request),
      ...(format !== null && { constraint: format.constraint, endIds }),
    };
    const sources = sourcesOf(request, choice);
    requireSources(decoder.name, sources);
    const plain = draw.temperature === 0 && format === null && !adjusts(request);
    const costs = decoder.name === "auto" ? await costsOf(!plain, false, signal) : null;
    const draftCosts = costs !== null && drafter ? await costsOf(!plain, true, signal) : undefined;
    requireAlive();

    await using lease = sequences.acquire(prompt, { cached: request.cachePrompt });
    const cachedTokens = lease.session.length;
    const session = chosen(lease.session, prompt, choice);
    const progress = format?.follow(endIds) ?? null;
    const logprobs: ChosenLogprob[] = [];
    const limits = { maxNewTokens, stopIds: new Set([...own, ...request.stopIds]), ...(signal && { signal }) };
    const clock = createClock();
    const alone = (): boolean => writing === 1;
    const passes = decoder.start(session, prompt, limits, sources, costs && { costs, draftCosts, memory, alone });
    const answer = new Int32Array(maxNewTokens);
    let left = maxNewTokens;
    writing++;
    try {
      while (left > 0 && !writer.finished()) {
        throwIfAborted(signal);
        const start = performance.now();
        const { done, value } = await passes.next();
        const ms = performance.now() - start;
        requireAlive();
        if (done) break;
        const { prefill, rows, draft: guesses = new Int32Array(0) } = value;
        const accepted = value.accepted.subarray(0, left);
        const whole = progress?.wholeAfter(accepted) ?? null;
        const chunk = withLogprobs(writer.write(accepted.subarray(0, whole ?? accepted.length)), logprobs, (i) =>
          request.logprobs === undefined ? null : (session as ChosenSession).score(prompt.length + i),
        );
        answer.set(chunk.tokens, maxNewTokens - left);
        left -= chunk.tokens.length;
        if (whole !== null) writer.finish();
        if (prefill)
          clock.countPrefill(ms, chunk.tokens.length, rows, rows - Math.max(1, prompt.length - cachedTokens));
        else clock.count(ms, chunk.tokens.length);
        yield { ...chunk, pass: { prefill, rows, ms, guesses } };
        requireAlive();
      }
    } finally {
      writing--;
      await passes.return();
      sources.answers?.add(prompt, answer.subarray(0, maxNewTokens - left)); // also what was broken off: the model wrote it
    }
    const { rest, ...written } = writer.end();
    if (rest.text !== "" || rest.parts !== undefined) yield rest;
    const isWhole = written.finishReason === "stop" && progress?.whole() === true;
    return {
      ...written,
      seed,
      stats: {
        ...clock.stats(prompt.length, cachedTokens, written.tokens.length),
        ...predictionStats(sources.prediction, written.tokens),
      },
      ...(format?.json && { parsed: isWhole ? format.parse(written.text) : null }),
      ...(request.logprobs !== undefined && { logprobs }),
    };
  }

  /**
   * What the request's format and tools mean for this model; null where the text is free. Throws `usage` where no answer could have
   * the form.
   */
  async function compiledFormat(request: Request, form: AnswerForm, maxNewTokens: number): Promise<Compiled | null> {
    const wanted = answerFormat(request, form);
    if (wanted === undefined) return null;
    if (request.ignoreEos)
      throw new CllmError("usage", "format and ignoreEos are both given; an answer with a form ends with it");
    const compile = await formats();
    const compiled = compiledOf(compile, wanted, form);
    const { fewestTokens } = compiled.constraint;
    if (fewestTokens > maxNewTokens) {
      const [field, what] = request.format === undefined ? ["toolChoice", "call"] : ["format", "text that it allows"];
      const shortest = `${field}: the shortest ${what} takes ${fewestTokens} tokens`;
      throw new CllmError("usage", `${shortest}, and maxNewTokens is ${maxNewTokens}; raise it, or ask for less`);
    }
    return request.format === undefined || wanted === request.format
      ? compiled
      : { ...compile(request.format), constraint: compiled.constraint, follow: compiled.follow };
  }

  /** The chunk with what is known of its tokens, which is kept in `all`. */
  function withLogprobs(
    chunk: Chunk,
    all: ChosenLogprob[],
    scoreOf: (index: number) => ReturnType<ChosenSession["score"]>,
  ): Chunk {
    const first = all.length;
    const named = (id: number, logprob: number) => ({
      ...{ id, text: tokenizer.tokenText(id), bytes: [...tokenizer.tokenBytes(id)], logprob },
    });
    for (const id of chunk.tokens) {
      const score = scoreOf(all.length);
      if (score === null) return chunk;
      all.push({ ...named(id, score.logprob), top: score.top.map((each) => named(each.id, each.logprob)) });
    }
    return { ...chunk, logprobs: all.slice(first) };
  }

  const stream = (options: GenerateOptions): GenerationStream => generationStream(chunks(options));

  async function disposeAll(): Promise<void> {
    await sequences.dispose();
    await parts.dispose();
    await draftModel?.dispose();
  }

  const dispose = (): Promise<void> => {
    disposal ??= disposeAll();
    return disposal;
  };

  return {
    name,
    config,
    precision,
    ...{ device, deviceWhy },
    tokenizer,
    hasChatTemplate: template.exists,
    sampling,
    generate: ((options: GenerateOptions) => stream(options).result) as LanguageModel["generate"],
    stream,
    promptIds,
    session: () => {
      requireAlive();
      return parts.session();
    },
    drafter,
    draftModel: draftModel?.name ?? null,
    heads,
    passCosts: async (signal, { sampling: drawn = false, drafting = false } = {}) => {
      requireAlive();
      if (drafting && !drafter) throw new CllmError("usage", `${name} has no draft adapter: load it with one`);
      return costsOf(drawn, drafting, signal);
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

/** Compiles a format; where it fails for a tool's schema, the error names the tool. */
function compiledOf(
  compile: (format: NonNullable<Request["format"]>) => Compiled,
  wanted: NonNullable<Request["format"]>,
  { calls }: AnswerForm,
): Compiled {
  try {
    return compile(wanted);
  } catch (error) {
    for (const [i, tool] of (calls?.tools ?? []).entries()) {
      try {
        compile(argumentsOf(tool));
      } catch (own) {
        if (!(own instanceof CllmError)) throw own;
        throw new CllmError(own.code, `tools[${i}].parameters, of ${tool.name}: ${own.message}`, { cause: own });
      }
    }
    if (!(error instanceof CllmError) || error.message.startsWith("format")) throw error;
    throw new CllmError(error.code, `format: ${error.message}`, { cause: error });
  }
}

function requireId(option: string, id: number, vocabSize: number): void {
  if (id >= 0 && id < vocabSize) return;
  throw new CllmError("bad-input", `${option}: ${id} is not a token id; the vocabulary has ids 0 to ${vocabSize - 1}`);
}

/** What `make` gives, made when it is first asked for. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** Whether a request changes what tokens are likely, or asks how likely they are. */
function adjusts(request: Request): boolean {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, logprobs } = request;
  const penalized = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
  return penalized || Object.keys(logitBias).length > 0 || logprobs !== undefined;
}

function adjustmentsOf({ repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, logprobs }: Request) {
  const biases = new Map(Object.entries(logitBias).map(([id, bias]) => [Number(id), bias]));
  return { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias: biases, logprobs };
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CllmError("aborted", "the request was aborted", { cause: signal.reason });
}

/** What a generation's passes tell. */
type PassStats = Omit<Stats, "acceptedPredictionTokens" | "rejectedPredictionTokens">;

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
    stats(promptTokens: number, cachedTokens: number, newTokens: number): PassStats {
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
