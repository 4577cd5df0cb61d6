/**
 * One call as its characters come: where the object ends, which tool it names, and the text of its arguments as soon as the tool is
 * known. JSON is checked when the object has ended. Knows nothing of what stands around it.
 */
import type { JsonObject } from "./types.ts";

/** What is known of a call. */
export interface CallObject {
  /** Takes the next character; true once the object has ended. The first one is `{`. */
  push(character: string): boolean;
  /** The tool that it names, once that was read. */
  readonly name: string | null;
  readonly hasArguments: boolean;
  /** The text of the arguments so far. */
  argumentsText(): string;
  /** The call, after the end; null where it is malformed. */
  result(): WholeCall | null;
}

export interface WholeCall {
  readonly name: string;
  readonly arguments: JsonObject;
  readonly argumentsText: string;
}

const ARGUMENTS = ["arguments", "parameters"];

/** Reads a call. With a `givenName` the object is the arguments. */
export function createCallObject(givenName: string | null = null): CallObject {
  let text = "";
  let depth = 0;
  let inString = false;
  let escaped = false;
  let stringFrom = 0;
  let key: string | null = null; // of the outer object
  let name = givenName;
  let names = 0; // how often the object has each: twice is malformed
  let argumentsFound = 0;
  let from = givenName === null ? -1 : 0; // of the arguments
  let to = -1;

  /** A string of the outer object has ended. */
  function stringEnded(): void {
    const value = parsed(text.slice(stringFrom));
    if (key === null) key = typeof value === "string" ? value : "";
    else if (key === "name" && givenName === null) {
      names++;
      if (typeof value === "string") name = value;
    }
  }
  function opened(character: string): void {
    if (depth === 1 && givenName === null && key !== null && ARGUMENTS.includes(key)) {
      argumentsFound++;
      if (character === "{" && from < 0) from = text.length - 1;
    }
    depth++;
  }
  function closed(): boolean {
    depth--;
    if (depth === (givenName === null ? 1 : 0) && from >= 0 && to < 0) to = text.length;
    return depth === 0;
  }

  return {
    push(character) {
      text += character;
      if (inString) {
        if (escaped) escaped = false;
        else if (character === "\\") escaped = true;
        else if (character === '"') {
          inString = false;
          if (depth === 1) stringEnded();
        }
        return false;
      }
      switch (character) {
        case '"':
          inString = true;
          stringFrom = text.length - 1;
          return false;
        case "{":
        case "[":
          opened(character);
          return false;
        case "}":
        case "]":
          return closed();
        case ",":
          if (depth === 1) key = null;
          return false;
        default:
          return false;
      }
    },
    get name() {
      return name;
    },
    get hasArguments() {
      return from >= 0;
    },
    argumentsText: () => (from < 0 ? "" : text.slice(from, to < 0 ? undefined : to)),
    result() {
      const value = parsed(text);
      if (!isObject(value) || names > 1 || argumentsFound > 1) return null;
      if (givenName !== null) return { name: givenName, arguments: value, argumentsText: text };
      const call = isObject(value["function"]) ? value["function"] : value;
      const given = call["arguments"] ?? call["parameters"] ?? {};
      const values = typeof given === "string" ? parsed(given) : given;
      if (typeof call["name"] !== "string" || !isObject(values)) return null;
      const written = from >= 0 ? text.slice(from, to) : typeof given === "string" ? given : JSON.stringify(values);
      return { name: call["name"], arguments: values, argumentsText: written };
    },
  };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
