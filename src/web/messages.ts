/** What a page and its worker say to each other. Knows neither. */
import type { ErrorCode } from "../error.ts";
import type { Chunk, GenerateOptions, Generation, LoadOptions, PassCosts, Progress } from "../generate/types.ts";

/** Options that can be sent: no functions, and a decoder by its name. */
export type SentLoadOptions = Omit<LoadOptions, "onProgress" | "onWarning" | "signal">;
export type SentRequest = Omit<GenerateOptions, "signal" | "draft">;

/** What a model is, without its weights. */
export interface ModelFacts {
  readonly name: string;
  readonly precision: string;
  readonly hasChatTemplate: boolean;
  readonly contextLength: number;
}

export type ToWorker =
  | {
      readonly type: "load";
      readonly id: number;
      readonly address: string;
      readonly options: SentLoadOptions;
      readonly engineFiles: string | null;
    }
  | { readonly type: "stream"; readonly id: number; readonly request: SentRequest }
  | { readonly type: "costs"; readonly id: number }
  | { readonly type: "encode"; readonly id: number; readonly text: string }
  | { readonly type: "decode"; readonly id: number; readonly tokens: Int32Array }
  | { readonly type: "abort"; readonly id: number };

export interface SentError {
  readonly code: ErrorCode | null;
  readonly message: string;
}

export type FromWorker =
  | { readonly type: "progress"; readonly id: number; readonly progress: Progress }
  | { readonly type: "warning"; readonly id: number; readonly line: string }
  | { readonly type: "chunk"; readonly id: number; readonly chunk: Chunk }
  | {
      readonly type: "done";
      readonly id: number;
      readonly value: ModelFacts | Generation | PassCosts | Int32Array | string;
    }
  | { readonly type: "failed"; readonly id: number; readonly error: SentError };
