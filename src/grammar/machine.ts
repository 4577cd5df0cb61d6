/**
 * Runs a network over bytes. A state of the run is every way in which the text so far can stand in the grammar: places in the
 * network, each with the rules to return to. States are found as they are reached and kept by number, so that a text which
 * comes the same way again costs one look into a table. Knows no tokens.
 */
import { CllmError } from "../error.ts";
import type { Network } from "./network.ts";

/** No text can follow. */
export const DEAD = -1;
const UNKNOWN = -2;

/** Steps that one question may take before the grammar is refused: each is a place that is looked at. */
const MAX_WORK = 1_000_000;
/** Ways that one text may stand in the grammar. */
const MAX_PLACES = 5000;

/** Bottoms of stacks: the end of the text, and the unknown rest of a stack of which only the top is looked at. */
const TEXT_END = 0;
const OUTSIDE = 1;

interface State {
  /** Places that read a byte: pairs of network state and stack. */
  readonly places: readonly number[];
  /** The text may end here. */
  readonly ends: boolean;
  /** The rule at the top of the stack may end here, in a run whose stack is not known below it. */
  readonly leaves: boolean;
}

export class Machine {
  readonly #network: Network;
  readonly #classes: Uint8Array; // (256,) bytes that no edge tells apart
  readonly #examples: readonly number[]; // a byte of each class
  readonly #states: State[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #next: (Int32Array | undefined)[] = []; // per state: (classes,)
  readonly #below: number[] = [-1, -1]; // per stack: the stack under its top
  readonly #returns: number[] = [-1, -1]; // per stack: where its top returns to
  readonly #stacks = new Map<number, number>();
  #work = 0;
  readonly start: number;

  constructor(network: Network) {
    this.#network = network;
    ({ classes: this.#classes, examples: this.#examples } = byteClasses(network));
    this.start = this.#closure([network.start, TEXT_END]);
  }

  /** The state after one more byte, or `DEAD`. */
  step(state: number, byte: number): number {
    this.#next[state] ??= new Int32Array(this.#examples.length).fill(UNKNOWN);
    const table = this.#next[state];
    const kind = this.#classes[byte]!;
    const known = table[kind]!;
    if (known !== UNKNOWN) return known;
    const { places } = this.#states[state]!;
    const reached: number[] = [];
    for (let i = 0; i < places.length; i += 2) {
      const edges = this.#network.bytes[places[i]!]!;
      for (let e = 0; e < edges.length; e += 3)
        if (byte >= edges[e]! && byte <= edges[e + 1]!) reached.push(edges[e + 2]!, places[i + 1]!);
    }
    table[kind] = reached.length === 0 ? DEAD : this.#closure(reached);
    return table[kind];
  }

  ends(state: number): boolean {
    return this.#states[state]!.ends;
  }

  leaves(state: number): boolean {
    return this.#states[state]!.leaves;
  }

  /** The only byte that can follow, or -1 where several can, or the text may end. */
  only(state: number): number {
    const { places, ends } = this.#states[state]!;
    if (ends) return -1;
    let only = -1;
    for (let i = 0; i < places.length; i += 2) {
      const edges = this.#network.bytes[places[i]!]!;
      for (let e = 0; e < edges.length; e += 3) {
        if (edges[e] !== edges[e + 1] || (only >= 0 && only !== edges[e])) return -1;
        only = edges[e]!;
      }
    }
    return only;
  }

  /**
   * The same places with an unknown stack below them, where all of them have the same stack: what can be read before the
   * rule ends is the same wherever it was called from. Null where stacks differ.
   */
  inside(state: number): number | null {
    const { places } = this.#states[state]!;
    const stack = places[1];
    if (stack === undefined || stack === TEXT_END) return null;
    const inner = places.slice();
    for (let i = 1; i < places.length; i += 2) {
      if (places[i] !== stack) return null;
      inner[i] = OUTSIDE;
    }
    return this.#intern(inner, false, false);
  }

  /** A new question begins: the steps it takes are counted anew. */
  begin(): void {
    this.#work = 0;
  }

  /** Follows what reads nothing from `reached`, pairs of network state and stack. */
  #closure(reached: readonly number[]): number {
    const { free, calls, ends, bytes } = this.#network;
    const seen = new Set<number>();
    const queue: number[] = [];
    const places: number[] = [];
    let [textEnds, leaves] = [false, false];
    const reach = (at: number, stack: number): void => {
      const key = stack * ends.length + at;
      if (seen.has(key)) return;
      seen.add(key);
      queue.push(at, stack);
    };
    for (let i = 0; i < reached.length; i += 2) reach(reached[i]!, reached[i + 1]!);
    while (queue.length > 0) {
      const stack = queue.pop()!;
      const at = queue.pop()!;
      if (++this.#work > MAX_WORK || seen.size > MAX_PLACES)
        throw new CllmError(
          "usage",
          "the format can be read in too many ways at once; make its alternatives or repetitions begin differently",
        );
      if (bytes[at]!.length > 0) places.push(at, stack);
      for (const next of free[at]!) reach(next, stack);
      const called = calls[at]!;
      for (let i = 0; i < called.length; i += 2) reach(called[i]!, this.#push(called[i + 1]!, stack));
      if (!ends[at]) continue;
      if (stack === TEXT_END) textEnds = true;
      else if (stack === OUTSIDE) leaves = true;
      else reach(this.#returns[stack]!, this.#below[stack]!);
    }
    return this.#intern(places, textEnds, leaves);
  }

  /** The stack with one more rule to return to. A call at the very end of a rule returns to where that one does. */
  #push(back: number, stack: number): number {
    const { bytes, free, calls, ends } = this.#network;
    if (ends[back] && bytes[back]!.length === 0 && free[back]!.length === 0 && calls[back]!.length === 0) return stack;
    const key = stack * ends.length + back;
    let pushed = this.#stacks.get(key);
    if (pushed === undefined) {
      pushed = this.#below.push(stack) - 1;
      this.#returns.push(back);
      this.#stacks.set(key, pushed);
    }
    return pushed;
  }

  #intern(places: readonly number[], ends: boolean, leaves: boolean): number {
    if (places.length === 0 && !ends && !leaves) return DEAD;
    const size = this.#network.ends.length;
    const order: number[] = [];
    for (let i = 0; i < places.length; i += 2) order.push(places[i + 1]! * size + places[i]!);
    order.sort((a, b) => a - b);
    const key = `${order.join(",")}${ends ? "." : ""}${leaves ? ";" : ""}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      const sorted = order.flatMap((each) => [each % size, Math.floor(each / size)]);
      number = this.#states.push({ places: sorted, ends, leaves }) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }
}

/** Bytes by the edges that tell them apart: tables need one place for each class only. */
function byteClasses({ bytes }: Network): { classes: Uint8Array; examples: number[] } {
  const borders = new Uint8Array(257);
  for (const edges of bytes)
    for (let e = 0; e < edges.length; e += 3) borders[edges[e]!] = borders[edges[e + 1]! + 1] = 1;
  const classes = new Uint8Array(256);
  const examples = [0];
  for (let byte = 1; byte < 256; byte++) {
    if (borders[byte] === 1) examples.push(byte);
    classes[byte] = examples.length - 1;
  }
  return { classes, examples };
}
