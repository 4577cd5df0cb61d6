/**
 * Where a rendering keeps its names, and what it writes. Knows no template.
 */
import type { Budget } from "./budget.ts";
import type { Value } from "./values.ts";

/** Names and their values; what is not here is in the scope around it. */
export class Scope {
  readonly #values = new Map<string, Value>();
  readonly #outer: Scope | null;
  constructor(outer: Scope | null) {
    this.#outer = outer;
  }
  get(name: string): Value | undefined {
    for (let scope: Scope | null = this; scope !== null; scope = scope.#outer) {
      const value = scope.#values.get(name);
      if (value !== undefined) return value;
    }
    return undefined;
  }
  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }
}

/** What is being written. */
export class Output {
  readonly #budget: Budget;
  #parts: string[] = [];
  #length = 0;
  constructor(budget: Budget) {
    this.#budget = budget;
  }
  write(text: string): void {
    if (text === "") return;
    this.#length += text.length;
    if (this.#length > this.#budget.maxSize) this.#budget.size(this.#length);
    this.#budget.length(text.length);
    this.#parts.push(text);
  }
  text(): string {
    return this.#parts.join("");
  }
}
