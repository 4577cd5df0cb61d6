/**
 * A model of the library as a `LanguageModelV4` of the AI SDK: its options as a request, and a generation as content and as stream
 * parts. Knows nothing of how models are found and loaded.
 */
import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
  SharedV4Warning,
} from "@ai-sdk/provider";
import type { GenerateOptions, Generation, GenerationStream, LanguageModel, PromptInput } from "../generate/types.ts";
import type { AnswerPart, ToolCall } from "../text/tools/types.ts";
import { messagesOf, toolOf } from "./prompt.ts";

/** What a model may be told beyond the AI SDK's own options, for all requests or in `providerOptions.cllm`. */
export type CllmModelOptions = Omit<
  GenerateOptions,
  keyof Omit<PromptInput, "templateOptions"> | "promptIds" | "signal"
>;

/** The AI SDK's model over `loaded`, which is asked for when the first request comes. */
export function languageModelOf(
  modelId: string,
  loaded: (signal: AbortSignal | undefined) => Promise<LanguageModel>,
  defaults: CllmModelOptions,
): LanguageModelV4 {
  return {
    specificationVersion: "v4",
    provider: "cllm",
    modelId,
    supportedUrls: {},
    async doGenerate(options) {
      const { request, warnings } = requestOf(options, defaults);
      const model = await loaded(options.abortSignal);
      const generation = await model.generate(request);
      return {
        content: contentOf(generation),
        finishReason: finishReasonOf(generation),
        usage: usageOf(generation),
        warnings,
        request: { body: bodyOf(request) },
        response: { modelId, timestamp: new Date() },
        providerMetadata: metadataOf(generation),
      };
    },
    async doStream(options) {
      const { request, warnings } = requestOf(options, defaults);
      const model = await loaded(options.abortSignal);
      return { stream: streamOf(model.stream(request), warnings, modelId), request: { body: bodyOf(request) } };
    },
  };
}

function requestOf(
  options: LanguageModelV4CallOptions,
  defaults: CllmModelOptions,
): { readonly request: GenerateOptions; readonly warnings: SharedV4Warning[] } {
  const warnings: SharedV4Warning[] = [];
  const { prompt, maxOutputTokens, temperature, topP, topK, seed, stopSequences, reasoning, abortSignal } = options;
  const own = (options.providerOptions?.["cllm"] ?? {}) as CllmModelOptions;
  const tools = (options.tools ?? []).flatMap((tool) => {
    if (tool.type === "function") return [toolOf(tool)];
    warnings.push({ type: "unsupported", feature: `the provider's own tool ${tool.id}` });
    return [];
  });
  const thinking =
    reasoning === undefined || reasoning === "provider-default" ? {} : { enable_thinking: reasoning !== "none" };
  const given = {
    maxNewTokens: maxOutputTokens,
    temperature,
    topP,
    topK,
    seed,
    stop: stopSequences,
    signal: abortSignal,
    presencePenalty: options.presencePenalty,
    frequencyPenalty: options.frequencyPenalty,
    format: formatOf(options.responseFormat),
    ...(tools.length > 0 && { tools, toolChoice: toolChoiceOf(options.toolChoice) }),
  };
  const request: GenerateOptions = {
    maxNewTokens: "context",
    ...defaults,
    ...own,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    templateOptions: { ...thinking, ...defaults.templateOptions, ...own.templateOptions },
    messages: messagesOf(prompt),
  };
  return { request, warnings };
}

function toolChoiceOf(choice: LanguageModelV4CallOptions["toolChoice"]): GenerateOptions["toolChoice"] {
  return choice?.type === "tool" ? { name: choice.toolName } : (choice?.type ?? "auto");
}

function formatOf(asked: LanguageModelV4CallOptions["responseFormat"]): GenerateOptions["format"] {
  if (asked?.type !== "json") return undefined;
  return asked.schema === undefined ? { type: "json" } : { type: "json_schema", schema: asked.schema };
}

/** What is shown of a request where people look at it: no functions and no signals. */
const bodyOf = ({ signal: _, decoder, ...request }: GenerateOptions): object => ({
  ...request,
  ...(typeof decoder !== "function" && { decoder }),
});

function contentOf({ text, reasoning, toolCalls }: Generation): LanguageModelV4Content[] {
  return [
    ...(reasoning === null ? [] : [{ type: "reasoning" as const, text: reasoning }]),
    ...(text === "" ? [] : [{ type: "text" as const, text }]),
    ...toolCalls.map(toolCallOf),
  ];
}

const toolCallOf = ({ id, name, arguments: values, argumentsText }: ToolCall) => ({
  type: "tool-call" as const,
  toolCallId: id,
  toolName: name,
  input: argumentsText ?? JSON.stringify(values),
});

function finishReasonOf({ finishReason }: Generation): LanguageModelV4FinishReason {
  return { unified: finishReason, raw: finishReason };
}

function usageOf({ stats: { promptTokens, cachedTokens, newTokens } }: Generation): LanguageModelV4Usage {
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - cachedTokens,
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: { total: newTokens, text: undefined, reasoning: undefined },
  };
}

/** How it was decoded, for people who look. */
function metadataOf({ seed, stats }: Generation) {
  const { forwards, tokensPerForward, tokensPerSecond } = stats;
  return { cllm: { seed, forwards, tokensPerForward, tokensPerSecond } };
}

function streamOf(
  generation: GenerationStream,
  warnings: SharedV4Warning[],
  modelId: string,
): ReadableStream<LanguageModelV4StreamPart> {
  const parts = streamParts(generation, warnings, modelId);
  return new ReadableStream<LanguageModelV4StreamPart>({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await parts.return();
      await generation.return();
    },
  });
}

/** What fails on the way is a part of the stream, as the AI SDK wants it. */
async function* streamParts(
  generation: GenerationStream,
  warnings: SharedV4Warning[],
  modelId: string,
): AsyncGenerator<LanguageModelV4StreamPart, void, void> {
  const blocks = createBlocks();
  yield { type: "stream-start", warnings };
  yield { type: "response-metadata", modelId, timestamp: new Date() };
  try {
    for await (const { text, parts } of generation)
      for (const part of parts ?? [{ type: "text" as const, text }]) yield* blocks.next(part);
    yield* blocks.end();
    const whole = await generation.result;
    yield {
      type: "finish",
      finishReason: finishReasonOf(whole),
      usage: usageOf(whole),
      providerMetadata: metadataOf(whole),
    };
  } catch (error) {
    yield { type: "error", error };
  }
}

/** Pieces of an answer as blocks that have a beginning and an end. */
function createBlocks() {
  let open: { readonly type: "text" | "reasoning"; readonly id: string } | null = null;
  let count = 0;
  const calls = new Map<number, string>(); // ids of calls that have begun
  function* end(): Generator<LanguageModelV4StreamPart, void, void> {
    if (open !== null) yield { type: `${open.type}-end`, id: open.id };
    open = null;
  }
  function* next(part: AnswerPart): Generator<LanguageModelV4StreamPart, void, void> {
    switch (part.type) {
      case "text":
      case "reasoning":
        if (part.text === "") return;
        if (open?.type !== part.type) {
          yield* end();
          open = { type: part.type, id: String(count++) };
          yield { type: `${part.type}-start`, id: open.id };
        }
        yield { type: `${part.type}-delta`, id: open.id, delta: part.text };
        return;
      case "begun":
        yield* end();
        calls.set(part.index, part.id);
        yield { type: "tool-input-start", id: part.id, toolName: part.name };
        return;
      case "arguments":
        yield { type: "tool-input-delta", id: calls.get(part.index)!, delta: part.text };
        return;
      case "called":
        yield { type: "tool-input-end", id: part.call.id };
        yield toolCallOf(part.call);
        return;
      case "broken":
        if (part.index !== null) yield { type: "tool-input-end", id: calls.get(part.index)! };
    }
  }
  return { next, end };
}
