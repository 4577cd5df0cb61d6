/**
 * Units of a long benchmark as lines of a file, so that it can be run in pieces: a unit that has a line is not run again. Knows no
 * benchmark.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

export interface Journal {
  /** Runs the units that have no line yet until the time is up, and returns all lines of these units. */
  run<T extends object>(units: readonly string[], one: (unit: string, index: number) => Promise<T>): Promise<T[]>;
}

/**
 * `path`: the file; empty for none. `minutes`: no unit begins later. `conditions`: what must be the same for a line to count, such
 * as the model and the settings.
 */
export function openJournal(path: string, minutes: number, conditions: object): Journal {
  const end = performance.now() + minutes * 60_000;
  const key = JSON.stringify(conditions);
  const known = new Map<string, object>();
  if (path !== "" && existsSync(path))
    for (const line of readFileSync(path, "utf8").split("\n")) {
      if (line === "") continue;
      const { conditions: under, unit, result } = JSON.parse(line) as Line;
      if (JSON.stringify(under) === key) known.set(unit, result);
    }
  return {
    async run<T extends object>(units: readonly string[], one: (unit: string, index: number) => Promise<T>) {
      const results: T[] = [];
      for (const [i, unit] of units.entries()) {
        let result = known.get(unit) as T | undefined;
        if (result === undefined) {
          if (performance.now() > end) continue;
          result = await one(unit, i);
          if (path !== "") appendFileSync(path, `${JSON.stringify({ conditions, unit, result } satisfies Line)}\n`);
        }
        results.push(result);
      }
      if (results.length < units.length)
        console.log(`${results.length} of ${units.length} done; the same command goes on from here`);
      return results;
    },
  };
}

interface Line {
  readonly conditions: object;
  readonly unit: string;
  readonly result: object;
}
