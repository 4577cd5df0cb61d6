/**
 * A model as the server sees it: requests in, passes out, text and token ids as plain data that goes into JSON. Here over a
 * `LanguageModel` of this process; `model-host.ts` has the same over a worker. Knows no HTTP.
 */
import type { ChosenLogprob, GenerateOptions, Generation, LanguageModel, Pass } from "../generate/types.ts";
import type { TokenIds } from "../runtime/session.ts";
import type { AnswerPart } from "../text/tools/types.ts";

/** A request of the library, and whether its passes are shown. */
export interface ServedRequest extends Omit<GenerateOptions, "signal" | "draft"> {
  /** Describe every pass: its tokens one by one, and the guesses after it. Default: false. */
  readonly passes?: boolean;
}

export interface TokenText {
  readonly id: number;
  /** The token by itself, parts of characters as U+FFFD. */
  readonly text: string;
}

/** A pass for people who watch. */
export interface WatchedPass extends Omit<Pass, "guesses"> {
  readonly accepted: readonly TokenText[];
  readonly guesses: readonly TokenText[];
}

/** What one pass wrote; `text` may be empty while a character or a stop string is incomplete. */
export interface PassEvent {
  readonly text: string;
  /** As a chunk of the library has them. */
  readonly parts?: readonly AnswerPart[];
  readonly logprobs?: readonly ChosenLogprob[];
  readonly pass?: WatchedPass;
}

export type ServedGeneration = Pick<
  Generation,
  "text" | "reasoning" | "toolCalls" | "finishReason" | "stopReason" | "stats" | "logprobs"
>;

/** What happens to a request: a pass, or its end, which comes last. */
export interface RunEvent {
  readonly event?: PassEvent;
  readonly generation?: ServedGeneration;
}

/** Where a loaded model runs, and in what precision. */
export type RunsOn = Pick<LanguageModel, "device" | "deviceWhy" | "precision">;

export interface Backend {
  readonly runsOn: RunsOn;
  /**
   * Throws what `LanguageModel.stream` throws; `unavailable` where the model ends meanwhile. It is over once the model is done
   * with the request, also after the signal.
   */
  run(request: ServedRequest, signal: AbortSignal): AsyncIterable<RunEvent>;
  dispose(): Promise<void>;
}

/**
 * A model of this process, for the worker, and for tests.
 *
 * @example const entry = { name: "mine", start: async () => inThisProcess(model) };
 */
export function inThisProcess(model: LanguageModel): Backend {
  const textOf = (id: number): TokenText => ({ id, text: model.tokenizer.tokenText(id) });
  const textsOf = (ids: TokenIds): TokenText[] => Array.from(ids, textOf);
  const { device, deviceWhy, precision } = model;
  return {
    runsOn: { device, deviceWhy, precision },
    async *run({ passes = false, ...request }, signal) {
      const chunks = model.stream({ ...request, signal });
      for await (const { text, parts, logprobs, tokens, pass } of chunks) {
        const written = { text, ...(parts !== undefined && { parts }), ...(logprobs !== undefined && { logprobs }) };
        if (!passes || pass === undefined) yield { event: written };
        else
          yield { event: { ...written, pass: { ...pass, accepted: textsOf(tokens), guesses: textsOf(pass.guesses) } } };
      }
      const { text, reasoning, toolCalls, finishReason, stopReason, stats, logprobs } = await chunks.result;
      const scored = logprobs !== undefined && { logprobs };
      yield { generation: { text, reasoning, toolCalls, finishReason, stopReason, stats, ...scored } };
    },
    dispose: () => model.dispose(),
  };
}
