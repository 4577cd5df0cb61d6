/**
 * The library's types: what `load` and `LanguageModel` take and give. Text goes in and out here; below, only token ids.
 */
import type * as z from "zod";
import type { ModelSampling } from "../checkpoint/checkpoint.ts";
import type { NewTokens } from "../decode/budget.ts";
import type { DraftPolicy } from "../decode/drafts.ts";
import type { Decoder } from "../decode/types.ts";
import type { Format } from "../grammar/format.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Precision } from "../model/precision.ts";
import type { DeviceName } from "../runtime/devices/name.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { AnswerPart, BrokenCall, Tool, ToolCall } from "../text/tools/types.ts";
import type { DecoderName, NamedDecoder } from "./decoder-options.ts";

export {
  type AutoKnowledge,
  DECODERS,
  type DecoderName,
  type DecoderOptions,
  type NamedDecoder,
  PLAIN_DECODERS,
  type PlainDecoderName,
} from "./decoder-options.ts";

export type { LoadOptions, Progress } from "./load-options.ts";

export interface Message {
  /** `tool`: the result of a call that the assistant's message before it has. */
  readonly role: "system" | "user" | "assistant" | "tool";
  /** May be empty where the assistant only calls tools. */
  readonly content: string;
  /** The assistant's calls. Each needs a `tool` message behind this one. */
  readonly toolCalls?: readonly ToolCall[] | undefined;
  /** Which call a `tool` message answers. */
  readonly toolCallId?: string | undefined;
  /** What the assistant thought, for templates that want it back. */
  readonly reasoning?: string | undefined;
}

/** `auto`: the model may call tools. `none`: it is not told of them. `required`: it calls one, or the one of this name. */
export type ToolChoice = "auto" | "none" | "required" | { readonly name: string };

export interface Sampling {
  /** Randomness of the choice. 0 is greedy, the default. */
  readonly temperature?: number | undefined;
  /** Keep the k likeliest tokens; 0 keeps all. */
  readonly topK?: number | undefined;
  /** Keep the likeliest tokens whose probabilities sum to at least this; 1 keeps all. */
  readonly topP?: number | undefined;
  /** Drop tokens less likely than this share of the likeliest one's probability; 0 drops none. */
  readonly minP?: number | undefined;
  /** Same seed, same text, in every decoder. Default: one is drawn, and the generation says which. */
  readonly seed?: number | undefined;
  /**
   * Values that are not given here are those of the model's own settings, see `LanguageModel.sampling`. Default: false.
   */
  readonly modelSampling?: boolean | undefined;
}

/** What changes how likely tokens are, and what is said of it. Every decoder writes the same with it. */
export interface Adjustments {
  /** Makes tokens of prompt and answer less likely: over 1 by dividing their logits. Default: 1. */
  readonly repetitionPenalty?: number | undefined;
  /** Taken once off the logits of tokens that the answer has. Default: 0. */
  readonly presencePenalty?: number | undefined;
  /** Taken off the logits of tokens for each time that the answer has them. Default: 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Added to the logits of token ids, such as `{ 42: -100 }`. Default: none. */
  readonly logitBias?: Readonly<Record<string, number>> | undefined;
  /** Say how likely the model held each token, and so many of the likeliest beside it, up to 20. Default: nothing is said. */
  readonly logprobs?: number | undefined;
}

/** What to write after: exactly one of the two. */
export interface PromptInput {
  /** Text continued as it is. */
  readonly prompt?: string | undefined;
  /** A conversation, put through the model's chat template. */
  readonly messages?: readonly Message[] | undefined;
  /** Variables of the chat template, such as `{ enable_thinking: false }`: JSON values by name. Default: none. */
  readonly templateOptions?: Readonly<Record<string, unknown>> | undefined;
  /** Functions that the model may call, for `messages`. What it calls is in `Generation.toolCalls`; running it is yours. Default: none. */
  readonly tools?: readonly Tool[] | undefined;
  /** Default: `auto`. */
  readonly toolChoice?: ToolChoice | undefined;
  /**
   * Whether the text goes on with the last message instead of a new turn. Default: whether that message is the
   * assistant's, unless `addGenerationPrompt` is given.
   */
  readonly continueFinalMessage?: boolean | undefined;
  /** Whether to open the assistant's turn after the messages. Default: unless the last message is continued. */
  readonly addGenerationPrompt?: boolean | undefined;
}

export interface GenerateOptions extends PromptInput, Sampling, Adjustments {
  /**
   * The form of the answer: JSON, a schema, a regular expression, a grammar, or tags in free text. A zod schema is taken too,
   * and types `parsed`. No token breaks the form, under any decoder. Default: any text.
   */
  readonly format?: Format | z.ZodType | undefined;
  /**
   * What the text is likely to be, such as a file of which a few lines change. `auto` and `prediction` draft from it, also behind
   * parts that turn out otherwise. No text depends on it. Default: nothing is known.
   */
  readonly prediction?: string | undefined;
  /**
   * A draft of one's own, for `auto`, which asks it where that pays, and for `jacobi` and `multiblock`. No text depends on it.
   * Default: none.
   */
  readonly draft?: DraftPolicy | undefined;
  /**
   * Whose answers are drafted from, and may draft from this one: requests of other scopes see nothing of it. Default: one scope for all,
   * or none with `cachePrompt: false`.
   */
  readonly memoryScope?: string | undefined;
  /** What `promptIds` gives for this request, where it is known already: the text is not encoded again. */
  readonly promptIds?: TokenIds | undefined;
  /**
   * A name, a name with options such as `{ name: "lookahead", window: 8 }`, or a decoder of one's own. All of them
   * write the same text; your own is trusted, not checked. Default: `auto`.
   */
  readonly decoder?: DecoderName | NamedDecoder | Decoder | undefined;
  /** Tokens solved for together; ignored by `ar` and `lookahead`, most tokens of a pass for `auto`. Default: 16, and 32. */
  readonly blockSize?: number | undefined;
  /** Jacobi's form: `window` keeps `blockSize` guesses in flight, `block` finishes a block before the next. */
  readonly jacobiForm?: "window" | "block" | undefined;
  /** Most tokens to write; `context`: all that the context leaves. Default: 256, or what the context leaves. */
  readonly maxNewTokens?: NewTokens | undefined;
  /** Strings that end the text; they are not part of it. */
  readonly stop?: readonly string[] | undefined;
  /** Ids that end the text, beside the model's own. */
  readonly stopIds?: readonly number[] | undefined;
  /** Write on past the model's end-of-sequence ids. Default: false. */
  readonly ignoreEos?: boolean | undefined;
  /** Whether an answer may have several calls; without it the answer ends with the first. Default: true. */
  readonly parallelToolCalls?: boolean | undefined;
  /**
   * Whether the cache may begin with what the prompt has in common with earlier requests. Default: true; without it the whole
   * prompt runs, so that timings of the same prompt compare.
   */
  readonly cachePrompt?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** `stop`: a stop string, a stop id or the end of sequence; `tool-calls`: the same, with calls to answer; `length`: the budget. */
export type FinishReason = "stop" | "tool-calls" | "length";

/** What ended a text: the stop string, the one of `stopIds`, or null for the model's end of sequence and for `length`. */
export type StopReason = string | number | null;

/** Counted from the first decode pass on; the prefill stands apart. */
export interface Stats {
  readonly promptTokens: number;
  /** Prompt tokens that were in the KV cache already. */
  readonly cachedTokens: number;
  readonly newTokens: number;
  /** Those of them that the prefill gave: one, or more where it confirmed guesses. */
  readonly prefillTokens: number;
  /** Decode passes, prefill apart. */
  readonly forwards: number;
  /** The mean of `accepted`, 0 without decode passes; see `tokensPerForward`. */
  readonly tokensPerForward: number;
  readonly prefillMs: number;
  /** Of decode passes, and the share of the prefill that its guesses took. */
  readonly decodeMs: number;
  /** Tokens after the first one over decodeMs. */
  readonly tokensPerSecond: number;
  /** Tokens that each decode pass added to the text, in order. Those that it wrote past a stop string do not count. */
  readonly accepted: readonly number[];
  /** Tokens of the prediction that the text has, and those that it has not; 0 without a prediction. */
  readonly acceptedPredictionTokens: number;
  readonly rejectedPredictionTokens: number;
}

/** A token and how likely the model held it. */
export interface TokenLogprob {
  readonly id: number;
  /** The token by itself, and its bytes, which may be part of a character. */
  readonly text: string;
  readonly bytes: readonly number[];
  /** Natural logarithm of its probability, before penalties, biases, sampling and format. */
  readonly logprob: number;
}

/** One for each token of the answer. */
export interface ChosenLogprob extends TokenLogprob {
  /** The likeliest tokens in its place, as many as were asked for. */
  readonly top: readonly TokenLogprob[];
}

export interface Generation {
  /** The answer, without reasoning and calls. */
  readonly text: string;
  /** What the model thought first, where its chat template marks that; else null. */
  readonly reasoning: string | null;
  /** Calls of `tools`, in order. */
  readonly toolCalls: readonly ToolCall[];
  /** What began as a call and is text, and why. */
  readonly brokenCalls: readonly BrokenCall[];
  readonly tokens: TokenIds;
  readonly finishReason: FinishReason;
  readonly stopReason: StopReason;
  /** The seed that writes the same again; null where the choice was greedy. */
  readonly seed: number | null;
  readonly stats: Stats;
  /** With a format of JSON: the value of the text, or null where the budget ended it before it was whole. */
  readonly parsed?: unknown;
  /** Where asked for: of each of `tokens`. */
  readonly logprobs?: readonly ChosenLogprob[];
}

/**
 * What became final in one pass. `text` may be empty while a character or a stop string is incomplete; what is left of it
 * at the end comes in a last chunk without tokens.
 */
export interface Chunk {
  readonly text: string;
  readonly tokens: TokenIds;
  /** Reasoning, text and calls in the order of the answer, where it has more than text. */
  readonly parts?: readonly AnswerPart[];
  /** Where asked for: of each of `tokens`. */
  readonly logprobs?: readonly ChosenLogprob[];
  /** The pass that wrote it, for people who watch; absent from a last chunk without tokens. */
  readonly pass?: Pass;
}

/** How a pass went. */
export interface Pass {
  /** Whether it ran the prompt; the first pass does, and no other. */
  readonly prefill: boolean;
  /** Tokens that went through the model. */
  readonly rows: number;
  readonly ms: number;
  /** Guesses in flight after it, for what follows; none from decoders that keep none. */
  readonly guesses: TokenIds;
}

/**
 * Chunks in order, and what they amount to.
 *
 * @example
 * const stream = model.stream({ prompt: "Once upon a time" });
 * for await (const { text } of stream) process.stdout.write(text);
 * const { stats } = await stream.result;
 */
export interface GenerationStream extends AsyncIterableIterator<Chunk, void, void>, AsyncDisposable {
  /**
   * The whole generation, or what went wrong. Settles once everything is read; where nobody has begun to, asking for it reads
   * everything. Rejects with `aborted` after a `break`.
   */
  readonly result: Promise<Generation>;
  /** Cancels: no further pass runs. */
  return(): Promise<IteratorResult<Chunk, void>>;
}

/** What a pass of so many tokens costs here, in milliseconds; all that `auto` needs to know about a machine. */
export type PassCosts = ReadonlyMap<number, number>;

/**
 * A loaded model. Requests may overlap: each gets a sequence of its own over the same weights, and their passes take
 * turns. The sequence of the last finished request (or several, see `keep`) is kept, so that what the next prompt shares
 * with it is not computed again. After an error, an abort or a `break` the model goes on as before.
 */
export interface LanguageModel extends AsyncDisposable {
  /** For people and results: the hub id, or the name of the directory or file. */
  readonly name: string;
  readonly config: ModelConfig;
  readonly precision: Precision;
  /** Where it runs. Every decoder writes this device's `ar` tokens, at this precision; other devices may write others. */
  readonly device: DeviceName;
  /** Why device `auto` did not take a GPU; null where it did, or where a device was asked for by its name. */
  readonly deviceWhy: string | null;
  readonly tokenizer: Tokenizer;
  /** The model's own settings for sampling, which `modelSampling` asks for; null where it has none, or is to be greedy. */
  readonly sampling: ModelSampling | null;
  /** It has a draft adapter. */
  readonly drafter: boolean;
  /** The name of its draft model; null where it has none. */
  readonly draftModel: string | null;
  /** How many Medusa heads it has, which the decoder `medusa` needs. */
  readonly heads: number;
  /** Whether `messages` can be given. */
  readonly hasChatTemplate: boolean;
  /**
   * Throws `usage` for options that are wrong, among them a format that cannot be compiled or that no text of the budget has,
   * before any pass; and what decoding throws.
   */
  generate<S extends z.ZodType>(
    options: GenerateOptions & { readonly format: S },
  ): Promise<Generation & { readonly parsed: z.output<S> | null }>;
  generate(options: GenerateOptions): Promise<Generation>;
  /** The same as it comes; `break` cancels. */
  stream(options: GenerateOptions): GenerationStream;
  /** The token ids that a request's prompt or messages become: what decoders take. */
  promptIds(input: PromptInput): TokenIds;
  /** A new, empty sequence, for people who call decoders themselves. The caller disposes of it. */
  session(): Session;
  /**
   * Cost of a pass by its number of tokens, with `sampling` of one whose logits are searched, with `drafting` of one with draft rows; measured once for this
   * model, precision and machine, then cached. While other requests run nothing is measured, and the usual costs are
   * given.
   */
  passCosts(
    signal?: AbortSignal,
    options?: { readonly sampling?: boolean; readonly drafting?: boolean },
  ): Promise<PassCosts>;
  /** Frees the weights and every sequence. Requests that are still running fail with `disposed`. */
  dispose(): Promise<void>;
}
