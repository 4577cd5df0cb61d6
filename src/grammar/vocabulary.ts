/**
 * The bytes of a model's tokens as a tree in one array, parents before children: what a grammar is walked over to find the
 * tokens that it allows. Made once for a model. Knows no grammar.
 */

/** What a grammar engine is told about a model's tokens. */
export interface Tokens {
  /** Ids are in `[0, size)`. */
  readonly size: number;
  /** The bytes of a token; none where the id has no token, or one that stands for no text. */
  bytes(id: number): Uint8Array;
  /** The model's own way to write a text, without special tokens around it. */
  encode(text: string): Int32Array;
}

export class TokenTree {
  readonly size: number;
  /** The byte of each node; children follow their parent. */
  readonly byte: Uint8Array;
  /** The node behind each node's children. */
  readonly end: Int32Array;
  readonly depth: Uint16Array;
  /** The first token that ends at each node, or -1; further ones of the same bytes by `same`. */
  readonly token: Int32Array;
  /** Per id: another with the same bytes, or -1. */
  readonly same: Int32Array;
  readonly longest: number;
  readonly #bytes: readonly Uint8Array[];

  constructor(tokens: Tokens) {
    this.size = tokens.size;
    this.same = new Int32Array(tokens.size).fill(-1);
    const first = new Map<string, number>();
    const all: Uint8Array[] = [];
    let nodes = 0;
    for (let id = 0; id < tokens.size; id++) {
      const bytes = tokens.bytes(id);
      all.push(bytes);
      if (bytes.length === 0 || bytes.length > 1024) continue;
      const key = latin1(bytes);
      const other = first.get(key);
      if (other === undefined) first.set(key, id);
      else {
        this.same[id] = this.same[other]!;
        this.same[other] = id;
      }
    }
    this.#bytes = all;
    const keys = [...first.keys()].sort();
    let before = "";
    for (const key of keys) {
      nodes += key.length - common(before, key);
      before = key;
    }
    this.byte = new Uint8Array(nodes);
    this.end = new Int32Array(nodes);
    this.depth = new Uint16Array(nodes);
    this.token = new Int32Array(nodes).fill(-1);
    const open: number[] = []; // the path to the node before
    let node = 0;
    before = "";
    let longest = 0;
    for (const key of keys) {
      const kept = common(before, key);
      while (open.length > kept) this.end[open.pop()!] = node;
      for (let at = kept; at < key.length; at++) {
        this.byte[node] = key.charCodeAt(at);
        this.depth[node] = at;
        open.push(node++);
      }
      this.token[node - 1] = first.get(key)!;
      longest = Math.max(longest, key.length);
      before = key;
    }
    while (open.length > 0) this.end[open.pop()!] = node;
    this.longest = longest;
  }

  bytes(id: number): Uint8Array {
    return this.#bytes[id] ?? new Uint8Array(0);
  }

  /** Fewest tokens that write these bytes, infinite where none do. */
  fewest(bytes: Uint8Array): number {
    const least = new Float64Array(bytes.length + 1).fill(Number.POSITIVE_INFINITY);
    least[0] = 0;
    for (let at = 0; at < bytes.length; at++)
      if (least[at]! < Number.POSITIVE_INFINITY)
        this.#along(bytes, at, (_, to) => {
          least[to] = Math.min(least[to]!, least[at]! + 1);
        });
    return least[bytes.length]!;
  }

  /** Tokens that write these bytes, the longest first at each place; as far as there are any. */
  cover(bytes: Uint8Array): number[] {
    const ids: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      let [best, reach] = [-1, at];
      this.#along(bytes, at, (id, to) => {
        [best, reach] = [id, to];
      });
      if (best < 0) break;
      ids.push(best);
      at = reach;
    }
    return ids;
  }

  /** Tokens that begin with these bytes and go on. */
  beyond(bytes: readonly number[]): number[] {
    let node = 0;
    let end = this.byte.length;
    for (const byte of bytes) {
      while (node < end && this.byte[node] !== byte) node = this.end[node]!;
      if (node >= end) return [];
      end = this.end[node]!;
      node++;
    }
    const ids: number[] = [];
    for (let at = node; at < end; at++) for (let id = this.token[at]!; id >= 0; id = this.same[id]!) ids.push(id);
    return ids;
  }

  /** Every token that is what `bytes` have from `from` on, shortest first. */
  #along(bytes: Uint8Array, from: number, found: (id: number, to: number) => void): void {
    let node = 0;
    let end = this.byte.length;
    for (let at = from; at < bytes.length; at++) {
      while (node < end && this.byte[node] !== bytes[at]) node = this.end[node]!;
      if (node >= end) return;
      if (this.token[node]! >= 0) found(this.token[node]!, at + 1);
      end = this.end[node]!;
      node++;
    }
  }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function common(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let i = 0;
  while (i < most && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}
