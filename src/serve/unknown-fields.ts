/** What becomes of request fields that nobody knows: their names are told once each. Knows no field. */
import type { OnUnknown } from "./bodies.ts";

const MAX_TOLD = 50; // names of fields

/** Tells of each field that is ignored once, and of no more than there is room for: clients choose the names. */
export function ignoring(note: (line: string) => void): OnUnknown {
  const told = new Set<string>();
  return (names) => {
    const fresh = names.map((name) => name.slice(0, 80)).filter((name) => !told.has(name));
    if (fresh.length === 0 || told.size >= MAX_TOLD) return;
    for (const name of fresh) told.add(name);
    note(
      `ignored in a request: ${JSON.stringify(fresh.slice(0, MAX_TOLD)).slice(1, -1)}; --strict refuses such fields`,
    );
  };
}
