/**
 * Several candidates for each place behind the last token, of heads or of draft rows, as branches beside the trunk that has the likeliest
 * ones. Knows neither passes nor who guesses.
 */
import type { TokenIds } from "../runtime/session.ts";
import type { Grove } from "./forest.ts";

/** Candidates on the way from the root: `[0, 2]` is the second place's candidate 2 behind the first place's candidate 0. */
export type TreePath = readonly number[];

/** Which candidates become branches. */
export interface CandidateTree {
  /** For each place, the likeliest first. */
  readonly candidates: readonly TokenIds[];
  /** Ranks of candidates, place by place; parents come before their children. */
  readonly paths: readonly TreePath[];
  /** The path that the trunk has, behind its first `1 + at` rows. */
  readonly chain: TreePath;
  readonly at: number;
}

/** Adds the paths that are not the trunk's to a pass, as far as it has `room` for another row. */
export function plantCandidates(
  grove: Grove,
  { candidates, paths, chain, at }: CandidateTree,
  room: (rows: number) => boolean,
): void {
  const rows = new Map<string, number>([["", at]]);
  for (const [i] of chain.entries()) rows.set(chain.slice(0, i + 1).join(), at + 1 + i);
  for (const path of paths) {
    if (rows.has(path.join())) continue;
    const parent = rows.get(path.slice(0, -1).join());
    if (parent === undefined || !room(grove.rows)) continue;
    rows.set(path.join(), grove.add(candidates[path.length - 1]![path.at(-1)!]!, parent));
  }
}

/**
 * The `nodes` paths that are likeliest to be right, each behind its parent. `rates[d][rank]` says how likely candidate `rank` of place d is,
 * and places are taken to be independent. First candidates down to depth `given` are there already: those are no paths, and not counted.
 */
export function promisingPaths(rates: readonly (readonly number[])[], nodes: number, given = 0): TreePath[] {
  const ranks = rates.map((ofPlace) =>
    ofPlace.map((rate, rank) => ({ rank, rate })).sort((a, b) => b.rate - a.rate || a.rank - b.rank),
  );
  const paths: TreePath[] = [];
  if ((ranks[0]?.length ?? 0) === 0) return paths;
  // Of each path that is taken: its best child, and its next best sibling.
  const open = [{ path: [] as TreePath, worth: 1, at: 0 }];
  const worthOf = ({ path, worth, at }: (typeof open)[number]): number => worth * ranks[path.length]![at]!.rate;
  const isGiven = (path: TreePath): boolean => path.length <= given && path.every((rank) => rank === 0);
  while (paths.length < nodes && open.length > 0) {
    open.sort((a, b) => worthOf(b) - worthOf(a));
    const { path, worth, at } = open.shift()!;
    const { rank, rate } = ranks[path.length]![at]!;
    const taken = [...path, rank];
    if (!isGiven(taken)) paths.push(taken);
    if (at + 1 < ranks[path.length]!.length) open.push({ path, worth, at: at + 1 });
    if ((ranks[taken.length]?.length ?? 0) > 0) open.push({ path: taken, worth: worth * rate, at: 0 });
  }
  return paths;
}
