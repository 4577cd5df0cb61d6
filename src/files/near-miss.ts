/** Names in error messages: suggestions for misspelt ones, and hostile ones cut short. Knows only strings. */

/** The candidates that `name` was most likely meant to be, best first, at most `count`; empty where none is near. */
export function nearMisses(name: string, candidates: Iterable<string>, count = 3): string[] {
  const limit = Math.max(2, Math.floor(name.length / 4));
  const near: { candidate: string; distance: number }[] = [];
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) > limit) continue;
    const distance = editDistance(name, candidate);
    if (distance <= limit) near.push({ candidate, distance });
  }
  return near
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/** Insertions, deletions and replacements between two strings (Levenshtein). */
function editDistance(a: string, b: string): number {
  let distances = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = distances[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, distances[j]! + 1, next[j - 1]! + 1));
    }
    distances = next;
  }
  return distances[b.length]!;
}

/** A hostile name can be megabytes long; errors show its start. */
export function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}... (${text.length} characters)` : text;
}
