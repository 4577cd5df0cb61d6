/**
 * Which tokens a grammar allows: the network walked over the tree of tokens. What a rule allows before it ends is found once,
 * wherever the rule is called from; only tokens that reach past its end are walked again. Knows no notation.
 */
import { CllmError } from "../error.ts";
import type { Source } from "./expression.ts";
import { DEAD, Machine } from "./machine.ts";
import { buildNetwork } from "./network.ts";
import type { Constraint, State } from "./types.ts";
import { type Tokens, TokenTree } from "./vocabulary.ts";
import { Work } from "./work.ts";

const KEPT_MASKS = 2048;
const FORCED_BYTES = 256; // a longer text is forced in parts
const FORCED_TOKENS = 64;

/** Tokens of a rule, whatever called it. */
interface Inner {
  readonly mask: Uint32Array;
  /** Nodes of the tree at which the rule may have ended, and the bytes up to there. */
  readonly exits: readonly { readonly node: number; readonly path: readonly number[] }[];
}

const TREES = new WeakMap<Tokens, TokenTree>();

/** The tree of a model's tokens, made when it is first needed. */
export function treeOf(tokens: Tokens): TokenTree {
  let tree = TREES.get(tokens);
  if (tree === undefined) {
    tree = new TokenTree(tokens);
    TREES.set(tokens, tree);
  }
  return tree;
}

/** A grammar over a model's tokens. Throws `usage` for what can never be written or grows without bounds. */
export function compileSource(source: Source, tokens: Tokens, work: Work = new Work()): Constraint {
  const tree = treeOf(tokens);
  const network = buildNetwork(source, work);
  const fewestTokens = tree.fewest(network.shortestText);
  if (fewestTokens === Number.POSITIVE_INFINITY)
    throw new CllmError("usage", "the model's tokens cannot write the format: bytes that it needs are in none of them");
  const machine = new Machine(network);
  const masks = new Map<number, Uint32Array>();
  const inners = new Map<number, Inner>();
  const onlies = new Map<number, Only | null>();
  const words = (tree.size + 31) >>> 5;
  const path = new Int32Array(tree.longest + 1); // state at each depth
  const pathBytes = new Uint8Array(tree.longest + 1); // and the byte that leads on from it

  const allow = (mask: Uint32Array, node: number): void => {
    for (let id = tree.token[node]!; id >= 0; id = tree.same[id]!) mask[id >>> 5]! |= 1 << (id & 31);
  };

  /** Walks the nodes from `from` to `to`, whose parent is reached in `state`, and marks the tokens that are allowed. */
  function walk(
    state: number,
    from: number,
    to: number,
    mask: Uint32Array,
    exits: Inner["exits"][number][] | null,
  ): void {
    const base = from < to ? tree.depth[from]! : 0;
    path[base] = state;
    for (let node = from; node < to; ) {
      const depth = tree.depth[node]!;
      const byte = tree.byte[node]!;
      const next = machine.step(path[depth]!, byte);
      pathBytes[depth] = byte;
      if (next === DEAD) {
        node = tree.end[node]!;
        continue;
      }
      allow(mask, node);
      if (exits !== null && machine.leaves(next)) {
        exits.push({ node, path: Array.from(pathBytes.subarray(0, depth + 1)) });
        node = tree.end[node]!;
        continue;
      }
      path[depth + 1] = next;
      node++;
    }
  }

  function innerOf(state: number): Inner {
    let inner = inners.get(state);
    if (inner === undefined) {
      const exits: Inner["exits"][number][] = [];
      const mask = new Uint32Array(words);
      walk(state, 0, tree.byte.length, mask, exits);
      inner = { mask, exits };
      inners.set(state, inner);
    }
    return inner;
  }

  function maskOf(state: number): Uint32Array {
    machine.begin();
    const inside = machine.inside(state);
    if (inside === null) {
      const mask = new Uint32Array(words);
      walk(state, 0, tree.byte.length, mask, null);
      return mask;
    }
    const inner = innerOf(inside);
    const mask = inner.mask.slice();
    for (const { node, path: bytes } of inner.exits) {
      let at = state;
      for (const byte of bytes) at = machine.step(at, byte);
      walk(at, node + 1, tree.end[node]!, mask, null);
    }
    return mask;
  }

  /**
   * What must come next, as the model writes it. Its first token is the only one allowed, unless another one goes on beyond the
   * text that must come: so the model meets that text in the tokens that it knows.
   */
  function onlyWay(state: number): Only | null {
    machine.begin();
    const bytes: number[] = [];
    let at = state;
    for (let byte = machine.only(at); byte >= 0 && bytes.length < FORCED_BYTES; byte = machine.only(at)) {
      bytes.push(byte);
      at = machine.step(at, byte);
    }
    if (bytes.length === 0) return null;
    const written = tokensOf(Uint8Array.from(bytes), tokens, tree);
    if (written.length === 0) return null;
    const further = tree.beyond(bytes).some((id) => ((natural(state)[id >>> 5]! >>> (id & 31)) & 1) === 1);
    const mask = new Uint32Array(words);
    mask[written[0]! >>> 5] = 1 << (written[0]! & 31);
    return { written, mask: further ? null : mask };
  }

  const natural = (state: number): Uint32Array => remembered(masks, state, maskOf);
  const only = (state: number): Only | null => remembered(onlies, state, onlyWay);

  function next(state: State, token: number): State | null {
    const single = only(state);
    if (single !== null && single.mask !== null && token !== single.written[0]) return null;
    const bytes = tree.bytes(token);
    if (bytes.length === 0) return null;
    machine.begin();
    let at = state;
    for (const byte of bytes) {
      at = machine.step(at, byte);
      if (at === DEAD) return null;
    }
    return at;
  }

  function forced(state: State): Int32Array {
    const ids: number[] = [];
    let at = state;
    for (let way = only(at); way !== null && ids.length < FORCED_TOKENS; way = only(at)) {
      const known = way.mask === null ? way.written : way.written.subarray(0, 1);
      for (const id of known) ids.push(id);
      if (way.mask === null) break; // the rest is likely, not sure
      at = next(at, way.written[0]!)!;
    }
    return ids.length === 0 ? NONE : Int32Array.from(ids);
  }

  only(machine.start) ?? natural(machine.start); // what can be read in too many ways is refused before any pass
  return {
    start: machine.start,
    fewestTokens,
    next,
    allowed: (state) => only(state)?.mask ?? natural(state),
    canEnd: (state) => machine.ends(state),
    forced,
  };
}

/** The only text that can follow. */
interface Only {
  /** In the model's own tokens, or the longest. */
  readonly written: Int32Array;
  /** The first of them as a set; null where others go beyond it. */
  readonly mask: Uint32Array | null;
}

const NONE = new Int32Array(0);

/** What was found for a state before, the latest used kept longest. */
function remembered<T>(known: Map<number, T>, state: number, find: (state: number) => T): T {
  let value = known.get(state);
  if (value !== undefined) {
    if (known.size > KEPT_MASKS / 2) {
      known.delete(state);
      known.set(state, value);
    }
    return value;
  }
  value = find(state);
  if (known.size >= KEPT_MASKS) known.delete(known.keys().next().value as number);
  known.set(state, value);
  return value;
}

/** A text as the model writes it; as its longest tokens where its own way changes the text, such as by a space before it. */
function tokensOf(bytes: Uint8Array, tokens: Tokens, tree: TokenTree): Int32Array {
  const text = new TextDecoder().decode(bytes);
  const whole = text.endsWith("\ufffd") ? text.slice(0, -1) : text;
  const written = tokens.encode(whole);
  let at = 0;
  let count = 0;
  for (const id of written) {
    const piece = tree.bytes(id);
    if (piece.length === 0 || !piece.every((byte, i) => byte === bytes[at + i])) break;
    at += piece.length;
    count++;
  }
  return count === written.length && count > 0 ? written : Int32Array.from(tree.cover(bytes));
}
