/**
 * An answer on the screen as it comes: each pass of the text in a colour, and on a terminal what the model thinks before it, dim.
 * Knows no command.
 */
import type { Chunk } from "../generate/types.ts";
import { passColor } from "./passes.ts";
import type { Terminal } from "./terminal.ts";

export interface AnswerView {
  /** The text so far, without what the model thought. */
  readonly text: string;
  show(chunk: Chunk): void;
  /** Ends the last line. */
  end(): void;
}

/** `silent`: only the text is gathered. */
export function createAnswerView(
  { colorPasses, silent = false }: { readonly colorPasses: boolean; readonly silent?: boolean },
  terminal: Terminal,
): AnswerView {
  const { colors, interactive } = terminal;
  const plain = (text: string): string => text;
  let passes = 0;
  let last = "\n";
  let text = "";
  let thinking = false;
  const write = (shown: string, color: (text: string) => string): void => {
    if (shown === "" || silent) return;
    terminal.write(color(shown));
    last = shown;
  };
  return {
    get text() {
      return text;
    },
    show({ text: said, parts = [] }) {
      const color = colorPasses ? passColor(passes++, colors) : plain;
      const thought = parts.map((part) => (part.type === "reasoning" ? part.text : "")).join("");
      text += said;
      if (thought !== "" && interactive) {
        thinking = true;
        write(thought, colors.dim);
      }
      if (said === "") return;
      if (thinking) write("\n\n", plain);
      thinking = false;
      write(said, color);
    },
    end() {
      if (!last.endsWith("\n")) terminal.write("\n");
      last = "\n";
    },
  };
}
