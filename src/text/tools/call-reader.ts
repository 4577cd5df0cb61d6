/**
 * Calls in the text of an answer, as it comes. It is read character by character, so that how the text was cut into chunks makes no
 * difference. What begins as a call and is none becomes text again, and says so. Knows no reasoning.
 */
import { type CallObject, createCallObject, type WholeCall } from "./call-object.ts";
import type { AnswerPart, BrokenReason, ToolForm } from "./types.ts";

export interface PartReader {
  push(text: string): AnswerPart[];
  /** The text ends here. */
  end(): AnswerPart[];
}

export interface CallReaderOptions {
  readonly form: ToolForm;
  /** Names of the tools that may be called. */
  readonly names: ReadonlySet<string>;
  newId(): string;
}

/** `start`: nothing but white space so far; `opened`: behind an opening; `after`: behind a call. */
type State = "start" | "text" | "opened" | "name" | "object" | "after";

const MAX_NAME = 256; // with what stands between a name and its arguments
const NAMED = /^([\w.-]{1,128})(?:\[CALL_ID\]\w*)?(?:\[ARGS\])?\s*$/;

export function createCallReader({ form, names, newId }: CallReaderOptions): PartReader {
  const { closings, bare, list, named } = form;
  const inText = bare ? form.written("", "").begin : null; // the beginning of an object that is a call wherever it stands
  const openings = inText === null ? form.openings : [...form.openings, inText];
  let state: State = bare ? "start" : "text";
  let parts: AnswerPart[] = [];
  let held = ""; // white space, or what may be the beginning of an opening or a closing
  let raw = ""; // the present call from its opening on
  let object: CallObject = createCallObject();
  let inList = false;
  let calls = 0;
  let begun: { readonly id: string; shown: number } | null = null;

  function write(text: string): void {
    const last = parts.at(-1);
    if (text === "") return;
    if (last?.type === "text") parts[parts.length - 1] = { type: "text", text: last.text + text };
    else parts.push({ type: "text", text });
  }
  function open(opening: string): void {
    [raw, held, state, inList] = [opening, "", "opened", false];
    if (opening !== inText) return;
    raw = "";
    openObject(null);
    for (const character of opening.slice(1)) step(character);
  }
  function openObject(name: string | null): void {
    [object, begun, state] = [createCallObject(name), null, "object"];
    object.push("{");
    raw += "{";
    begin();
  }
  function fail(reason: BrokenReason): void {
    show();
    const broken = { name: state === "object" ? object.name : null, reason, text: raw };
    parts.push({ type: "broken", index: begun === null ? null : calls, broken });
    if (begun !== null) calls++;
    [begun, state, inList, held] = [null, "text", false, ""];
    write(raw);
    raw = "";
  }
  /** An answer that only began like a call. */
  function beText(): void {
    state = "text";
    write(raw);
    raw = "";
  }
  /** The present call begins for the reader once its tool is known and its arguments have begun. */
  function begin(): void {
    const { name, hasArguments } = object;
    if (begun !== null || name === null || !hasArguments || !names.has(name)) return;
    begun = { id: newId(), shown: 0 };
    parts.push({ type: "begun", index: calls, id: begun.id, name });
  }
  /** Shows the arguments so far. */
  function show(): void {
    if (begun === null) return;
    const text = object.argumentsText().slice(begun.shown);
    begun.shown += text.length;
    if (text !== "") parts.push({ type: "arguments", index: calls, text });
  }
  function objectEnded(): void {
    const call = object.result();
    if (call === null && begun === null && isBareText()) beText();
    else if (call === null) fail("malformed");
    else if (!names.has(call.name)) fail("unknown-tool");
    else called(call);
  }
  function called(call: WholeCall): void {
    show();
    const id = begun?.id ?? newId();
    if (begun === null) {
      parts.push({ type: "begun", index: calls, id, name: call.name });
      parts.push({ type: "arguments", index: calls, text: call.argumentsText });
    }
    parts.push({ type: "called", index: calls++, call: { id, ...call } });
    [begun, raw, held, state] = [null, "", "", "after"];
  }
  /** An object that names no tool is an answer in JSON, or a part of one. */
  const isBareText = (): boolean => object.name === null && raw.trimStart().startsWith("{");

  function step(character: string): void {
    const blank = /\s/.test(character);
    switch (state) {
      case "start":
        if (blank) held += character;
        else if (character === "{") {
          [raw, held] = [held, ""];
          openObject(null);
        } else {
          state = "text";
          write(held);
          held = "";
          step(character);
        }
        return;
      case "text":
        held += character;
        while (held !== "" && !openings.some((opening) => opening.startsWith(held))) {
          write(held[0]!);
          held = held.slice(1);
        }
        if (openings.includes(held)) open(held);
        return;
      case "opened":
        opened(character, blank);
        return;
      case "name":
        if (character === "{") nameEnded();
        else {
          held += character;
          raw += character;
          if (held.length > MAX_NAME) fail("malformed");
        }
        return;
      case "object":
        raw += character;
        if (object.push(character)) objectEnded();
        else begin();
        return;
      case "after":
        afterCall(character, blank);
    }
  }
  function opened(character: string, blank: boolean): void {
    if (character === "{") openObject(null);
    else if (blank) raw += character;
    else if (list && character === "[" && !inList) {
      inList = true;
      raw += character;
    } else if (named && !inList && /\w/.test(character)) {
      [state, held] = ["name", character];
      raw += character;
    } else {
      fail("malformed");
      step(character);
    }
  }
  function nameEnded(): void {
    const name = NAMED.exec(held)?.[1];
    held = "";
    if (name !== undefined) openObject(name);
    else {
      fail("malformed");
      step("{");
    }
  }
  function afterCall(character: string, blank: boolean): void {
    const rest = held.trimStart();
    if (rest === "" && inList && character === ",") [raw, held, state] = [",", "", "opened"];
    else if (rest === "" && inList && character === "]") [held, inList] = ["", false];
    else if (rest === "" && bare && character === "{") {
      [raw, held] = [held, ""];
      openObject(null);
    } else if (rest === "" && blank) held += character;
    else {
      const longer = rest + character;
      if (openings.includes(longer)) open(longer);
      else if (closings.includes(longer)) held = "";
      else if ([...openings, ...closings].some((mark) => mark.startsWith(longer))) held += character;
      else {
        const text = held + character;
        [state, held] = ["text", ""];
        for (const each of text) step(each);
      }
    }
  }
  function taken(): AnswerPart[] {
    if (state === "object") show();
    const given = parts;
    parts = [];
    return given;
  }

  return {
    push(text) {
      for (const character of text) step(character);
      return taken();
    },
    end() {
      if (state === "object" && begun === null && isBareText()) beText();
      else if (state === "object" || state === "opened" || state === "name") fail("unfinished");
      else if (state !== "after" || held.trim() !== "") write(held);
      held = "";
      return taken();
    },
  };
}
