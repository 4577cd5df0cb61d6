/**
 * `cllm/ai-sdk`: models of this process for the AI SDK, without a server. `generateText`, `streamText`, structured output and tools
 * of `ai` 7 work as with any provider. Needs the types of `@ai-sdk/provider` 4, which come with `ai`.
 */
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { CllmError } from "../error.ts";
import { load } from "../generate/load.ts";
import type { LanguageModel, LoadOptions } from "../generate/types.ts";
import { type CllmModelOptions, languageModelOf } from "./language-model.ts";

export type { CllmModelOptions };

/** Models by path or hub id, loaded when they are first asked. */
export interface CllmProvider extends AsyncDisposable {
  (model: string | LanguageModel, options?: CllmModelOptions): LanguageModelV4;
  readonly specificationVersion: "v4";
  languageModel(modelId: string): LanguageModelV4;
  /** There are none here: throws `unsupported`. */
  embeddingModel(modelId: string): never;
  /** There are none here: throws `unsupported`. */
  imageModel(modelId: string): never;
  /** Frees the models that were loaded here. Those that were given loaded stay. */
  dispose(): Promise<void>;
}

/**
 * A provider for the AI SDK. Its options are those of `load`, for every model that it loads. A model that is loaded already can be
 * given in place of a name. Requests may name options of the library in `providerOptions.cllm`.
 *
 * @example
 * import { generateText } from "ai";
 * await using cllm = createCllm({ precision: "int8" });
 * const model = cllm("HuggingFaceTB/SmolLM2-135M-Instruct", { decoder: "jacobi" });
 * const { text } = await generateText({ model, prompt: "Name three prime numbers." });
 */
export function createCllm(options: Omit<LoadOptions, "signal"> = {}): CllmProvider {
  const models = new Map<string, Promise<LanguageModel>>();
  let disposed = false;

  async function loaded(id: string): Promise<LanguageModel> {
    if (disposed) throw new CllmError("disposed", `the provider was disposed; create another one for ${id}`);
    const known = models.get(id) ?? load(id, options);
    models.set(id, known);
    try {
      return await known;
    } catch (error) {
      models.delete(id); // the next request tries again
      throw error;
    }
  }
  const provider = (model: string | LanguageModel, own: CllmModelOptions = {}): LanguageModelV4 =>
    typeof model === "string"
      ? languageModelOf(model, () => loaded(model), own)
      : languageModelOf(model.name, async () => model, own);
  const none = (what: string, id: string): never => {
    throw new CllmError("unsupported", `${id}: cllm has no ${what} models; it writes text`);
  };
  async function dispose(): Promise<void> {
    disposed = true;
    const all = await Promise.allSettled(models.values());
    models.clear();
    await Promise.all(all.map((each) => (each.status === "fulfilled" ? each.value.dispose() : undefined)));
  }
  return Object.assign(provider, {
    specificationVersion: "v4" as const,
    languageModel: (id: string) => provider(id),
    embeddingModel: (id: string) => none("embedding", id),
    imageModel: (id: string) => none("image", id),
    dispose,
    [Symbol.asyncDispose]: dispose,
  });
}
