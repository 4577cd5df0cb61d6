/**
 * What a model thinks before it answers, between tags that its chat template knows. Splits it from the answer as the text comes.
 * Knows no calls and no request.
 */

/** The tags around a model's reasoning. */
export interface ReasoningTags {
  readonly open: string;
  readonly close: string;
}

const ALL_TAGS: readonly ReasoningTags[] = [
  { open: "<think>", close: "</think>" },
  { open: "[THINK]", close: "[/THINK]" },
];

/** The tags that a chat template marks reasoning with; null where it marks none. */
export function reasoningTagsOf(template: string): ReasoningTags | null {
  return ALL_TAGS.find(({ open, close }) => template.includes(open) || template.includes(close)) ?? null;
}

/** Whether a text that goes on from this one goes on inside the reasoning. */
export function endsInReasoning(before: string, { open, close }: ReasoningTags): boolean {
  return before.lastIndexOf(open) > before.lastIndexOf(close);
}

export interface ReasoningSplit {
  readonly reasoning: string;
  readonly text: string;
}

export interface ReasoningReader {
  push(text: string): ReasoningSplit;
  end(): ReasoningSplit;
}

/**
 * Reasoning stands at the beginning of an answer or not at all. Line breaks around it belong to neither part. With `inside` the
 * prompt has opened it already.
 */
export function createReasoningReader({ open, close }: ReasoningTags, inside: boolean): ReasoningReader {
  let state: "before" | "inside" | "behind" | "outside" = inside ? "inside" : "before";
  let held = "";
  let begun = false; // the reasoning has a text
  let given = { reasoning: "", text: "" };

  function think(text: string): void {
    const shown = begun ? text : text.replace(/^\n+/, "");
    if (shown !== "") begun = true;
    given.reasoning += shown;
  }
  function step(character: string): void {
    switch (state) {
      case "before":
        held += character;
        if (held.trimStart() === open) [state, held] = ["inside", ""];
        else if (!open.startsWith(held.trimStart())) outside();
        return;
      case "inside": {
        held += character;
        if (held.endsWith(close)) {
          think(held.slice(0, -close.length).replace(/\n+$/, ""));
          [state, held] = ["behind", ""];
          return;
        }
        // Line breaks and the beginning of the closing tag are kept for later.
        const kept = held.length - keptOf(held, close);
        if (kept > 0) think(held.slice(0, kept));
        held = held.slice(kept);
        return;
      }
      case "behind":
        if (character === "\n") return;
        state = "outside";
        given.text += character;
        return;
      case "outside":
        given.text += character;
    }
  }
  function outside(): void {
    given.text += held;
    [state, held] = ["outside", ""];
  }
  function taken(): ReasoningSplit {
    const split = given;
    given = { reasoning: "", text: "" };
    return split;
  }
  return {
    push(text) {
      for (const character of text) step(character);
      return taken();
    },
    end() {
      if (state === "inside") think(held.replace(/\n+$/, ""));
      else given.text += held;
      held = "";
      return taken();
    },
  };
}

/** How many characters at the end are line breaks, and behind them the beginning of the tag. */
function keptOf(text: string, close: string): number {
  let tag = Math.min(text.length, close.length - 1);
  while (tag > 0 && !close.startsWith(text.slice(text.length - tag))) tag--;
  const before = text.slice(0, text.length - tag);
  return text.length - before.replace(/\n+$/, "").length;
}
