/**
 * Medusa (arXiv:2401.10774): heads on the last hidden state guess what stands behind the next token, several candidates each, and one pass
 * runs them as a tree (section 2.1.2). The likeliest candidates are the trunk, which is verified as in every decoder; the others are side
 * branches. A branch that turns out right is the next pass's trunk: it settles there, because only trunks round as `ar` does. The paper's
 * typical acceptance is left out: it is another text than the model's own.
 */
import { CllmError } from "../error.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import { plantCandidates, type TreePath } from "./candidate-tree.ts";
import { Grove } from "./forest.ts";
import { HeadRecord } from "./head-record.ts";
import { joinTokens } from "./join-tokens.ts";
import { commonPrefix } from "./prefix.ts";
import { requireInteger } from "./require.ts";
import { Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export interface MedusaOptions extends DecodeOptions {
  /** Candidates in the tree, at most. More settle per pass, and each pass costs more. Default: 12. */
  readonly nodes?: number;
  /**
   * The tree as paths, as Medusa's `medusa_choices` has them: `[[0], [0, 0], [1]]` tries two candidates of head 0, and behind the first the
   * best one of head 1. Default: the `nodes` most promising ones, by how often candidates were right so far.
   */
  readonly tree?: readonly TreePath[] | undefined;
  /** What earlier requests to the model taught; this one adds to it. Default: nothing. */
  readonly record?: HeadRecord | undefined;
}

/**
 * Guesses of a model's heads, as a tree. Throws `usage` on a session without heads.
 *
 * @example for await (const { accepted } of medusa(session, prompt, { maxNewTokens: 64, nodes: 20 })) console.log(accepted);
 */
export async function* medusa(
  session: Session,
  prompt: TokenIds,
  { nodes = 12, tree, record = new HeadRecord(), ...options }: MedusaOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("nodes", nodes, 1);
  const { heads = 0 } = session;
  if (heads === 0) throw new CllmError("usage", "decoder medusa needs heads: load the model with medusaHeads");
  const fixed = tree === undefined ? null : sorted(tree);
  const text = new Transcript(session, prompt, options);
  const sown = new Sown(record);
  const grove = new Grove((fixed?.length ?? nodes) + 2 + heads + text.left);
  let known: TokenIds = new Int32Array(0); // what a branch said that follows the last token

  /** What the heads guess behind a row that was just run, and what is known to follow it. */
  async function ask(row: number): Promise<readonly TokenIds[]> {
    if (text.left - 1 <= known.length) return [];
    const found = await text.headGuesses(row);
    sown.add(text.tokens.length + known.length, found);
    return found;
  }

  const first = await text.prefill();
  let guesses = await ask(0);
  yield first;
  while (text.unfinished()) {
    const most = text.left - 1; // guesses that can still be accepted
    const width = guesses[0]?.length ?? 0;
    const depth = Math.max(0, Math.min(guesses.length, most - known.length));
    const paths = (fixed ?? record.tree(nodes, depth, width)).filter((path) => fits(path, depth, guesses));
    const chain = chainOf(paths);
    const planned = joinTokens(
      known,
      Int32Array.from(chain, (rank, head) => guesses[head]![rank]!),
    ).subarray(0, most);
    const trunk = text.mend(planned, Math.max(planned.length, Math.min(most, nodes)));
    grove.plant(joinTokens(Int32Array.of(text.last), trunk));
    const kept = commonPrefix(planned, trunk); // what a grammar forces takes the place of guesses, and of what is behind them
    if (kept >= known.length) {
      const branches = { candidates: guesses, paths, chain: chain.slice(0, kept - known.length), at: known.length };
      plantCandidates(grove, branches, (rows) => text.sideRoom(rows) > 0);
    }

    const { next, settled } = await grove.run((tokens, forest) => text.run(tokens, forest));
    const end = grove.end(next, settled);
    known = grove.suggestion(next, settled);
    const iteration = text.accept(next.subarray(0, settled), grove.trunk, grove.rows);
    sown.reap(text.tokens);
    known = known.subarray(0, Math.max(0, text.left - 1));
    guesses = await ask(end);
    yield {
      ...iteration,
      draft: joinTokens(
        known,
        Int32Array.from(guesses, (ids) => ids[0]!),
      ),
    };
  }
}

/** Whether the heads have the path's candidates, and it is not too deep. */
const fits = (path: TreePath, depth: number, guesses: readonly TokenIds[]): boolean =>
  path.length > 0 && path.length <= depth && path.every((rank, head) => rank < (guesses[head]?.length ?? 0));

/** The path that is verified: from the root always the first child. */
function chainOf(paths: readonly TreePath[]): number[] {
  const chain: number[] = [];
  for (;;) {
    const child = paths.find((path) => path.length === chain.length + 1 && chain.every((rank, i) => path[i] === rank));
    if (child === undefined) return chain;
    chain.push(child.at(-1)!);
  }
}

/** Parents before children. Throws `usage` for paths that are none, and for those whose parent is missing. */
function sorted(tree: readonly TreePath[]): TreePath[] {
  const all = [...tree].sort((a, b) => a.length - b.length);
  const seen = new Set([""]);
  for (const path of all) {
    for (const rank of path) requireInteger("tree", rank, 0);
    if (path.length === 0 || !seen.has(path.slice(0, -1).join())) {
      const what = path.length === 0 ? "a path of no candidates" : `[${path}] without [${path.slice(0, -1)}]`;
      throw new CllmError("usage", `tree has ${what}: give every path's parent too`);
    }
    seen.add(path.join());
  }
  return all;
}

/** Guesses whose tokens are not written yet. */
class Sown {
  readonly #record: HeadRecord;
  #waiting: { readonly at: number; readonly guesses: readonly TokenIds[] }[] = [];

  constructor(record: HeadRecord) {
    this.#record = record;
  }

  /** Head k guesses the token at index `at` + k of the text. */
  add(at: number, guesses: readonly TokenIds[]): void {
    if (guesses.length > 0) this.#waiting.push({ at, guesses });
  }

  /** The text is so long now. */
  reap(text: TokenIds): void {
    const known = ({ at, guesses }: { readonly at: number; readonly guesses: readonly TokenIds[] }): boolean =>
      at + guesses.length <= text.length;
    for (const { at, guesses } of this.#waiting.filter(known))
      for (const [head, ids] of guesses.entries()) this.#record.observe(head, ids, text[at + head]!);
    this.#waiting = this.#waiting.filter((each) => !known(each));
  }
}
