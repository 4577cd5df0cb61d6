/**
 * What a person types or pipes in, message by message: on a terminal with editing, history and completion; several lines as one
 * message. Ctrl-C is an event, not the end. Knows nothing of what is said.
 */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";

/** `interrupt`: Ctrl-C at a prompt without text. */
export type Typed = { readonly message: string } | { readonly interrupt: true };

export interface ChatInput extends AsyncDisposable {
  /** A person sits there, who sees prompts and can press Ctrl-C. */
  readonly interactive: boolean;
  /** The next message; null at the end of the input. */
  read(): Promise<Typed | null>;
  /** Shows nothing of what is typed, and calls `onInterrupt` for Ctrl-C, until the returned function is called. */
  busy(onInterrupt: () => void): () => void;
}

export interface ChatInputOptions {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Where prompts go. */
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  /** What stands before a message, and before its further lines. */
  readonly prompts: readonly [first: string, more: string];
  /** Words that the tab key completes. */
  complete(line: string): string[];
  /** Ends the input. */
  readonly signal: AbortSignal;
}

export function openChatInput({ stdin, output, prompts, complete, signal }: ChatInputOptions): ChatInput {
  const interactive = stdin.isTTY === true && output.isTTY === true;
  let muted = false;
  const shown = new Writable({
    write(chunk, _encoding, done) {
      if (muted) done();
      else output.write(chunk as Uint8Array, done);
    },
  });
  const reader = createInterface({
    input: stdin,
    ...(interactive && { output: Object.assign(shown, { columns: output.columns ?? 80, isTTY: true }) }),
    terminal: interactive,
    historySize: 500,
    removeHistoryDuplicates: true,
    completer: (line: string) => [complete(line), line],
  });
  const joined = createLineJoiner();
  const typed: (Typed | null)[] = [];
  let waiting: ((next: Typed | null) => void) | null = null;
  let onInterrupt: (() => void) | null = null;
  let ended = false;

  function give(next: Typed | null): void {
    if (waiting === null) typed.push(next);
    else {
      waiting(next);
      waiting = null;
    }
  }
  function prompt(): void {
    if (!interactive || ended) return;
    reader.setPrompt(prompts[joined.open ? 1 : 0]);
    reader.prompt();
  }
  reader.on("line", (line) => {
    const message = joined.push(line);
    if (message === null) return prompt();
    give({ message });
  });
  reader.on("SIGINT", () => {
    if (onInterrupt !== null) return onInterrupt();
    const hadText = joined.open || reader.line !== "";
    joined.reset();
    reader.write(null, { ctrl: true, name: "e" }); // to the end of the line, then the line is dropped
    reader.write(null, { ctrl: true, name: "u" });
    if (!hadText) return give({ interrupt: true });
    output.write("\n");
    prompt();
  });
  reader.on("close", () => {
    if (ended) return;
    ended = true;
    const rest = joined.end();
    if (rest !== null) give({ message: rest });
    give(null);
  });
  const end = (): void => reader.close();
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();

  return {
    interactive,
    read() {
      if (typed.length > 0) return Promise.resolve(typed.shift()!);
      if (ended) return Promise.resolve(null);
      prompt();
      return new Promise((resolve) => {
        waiting = resolve;
      });
    },
    busy(interrupted) {
      muted = true;
      onInterrupt = interrupted;
      return () => {
        muted = false;
        onInterrupt = null;
      };
    },
    async [Symbol.asyncDispose]() {
      ended = true;
      signal.removeEventListener("abort", end);
      reader.close();
    },
  };
}

export interface LineJoiner {
  /** Whether a message has begun and needs more lines. */
  readonly open: boolean;
  /** The message that this line completes, or null. */
  push(line: string): string | null;
  /** What is left where no line follows. */
  end(): string | null;
  reset(): void;
}

const FENCE = '"""';

/** Lines as messages: one each, but a backslash at the end goes on, and `"""` opens a message up to the next `"""`. */
export function createLineJoiner(): LineJoiner {
  let lines: string[] = [];
  let fenced = false;
  function taken(): string {
    const message = lines.join("\n");
    lines = [];
    fenced = false;
    return message;
  }
  return {
    get open() {
      return fenced || lines.length > 0;
    },
    push(line) {
      if (!fenced && lines.length === 0 && line.trimStart().startsWith(FENCE)) {
        fenced = true;
        line = line.trimStart().slice(FENCE.length);
        if (line === "") return null;
      }
      if (fenced) {
        const last = line.trimEnd().endsWith(FENCE);
        const text = last ? line.trimEnd().slice(0, -FENCE.length) : line;
        if (!last || text !== "") lines.push(text);
        return last ? taken() : null;
      }
      if (line.endsWith("\\")) {
        lines.push(line.slice(0, -1));
        return null;
      }
      lines.push(line);
      return taken();
    },
    end: () => (lines.length === 0 ? null : taken()),
    reset() {
      taken();
    },
  };
}
