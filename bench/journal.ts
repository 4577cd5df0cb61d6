/**
 * Units of a long benchmark as lines of a file, so that it can be run in pieces: a unit that has a line is not run again. Knows no
 * benchmark.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

export interface Journal {
  /** Runs the units that have no line yet until the time is up, `lanes` at once, and returns all lines of these units. */
  run<T extends object>(
    units: readonly string[],
    one: (unit: string, index: number) => Promise<T>,
    lanes?: number,
  ): Promise<T[]>;
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
    async run<T extends object>(
      units: readonly string[],
      one: (unit: string, index: number) => Promise<T>,
      lanes: number = 1,
    ) {
      const waiting = units.entries();
      const lane = async (): Promise<void> => {
        for (const [i, unit] of waiting) {
          if (known.has(unit)) continue;
          if (performance.now() > end) return;
          const result = await one(unit, i);
          known.set(unit, result);
          if (path !== "") appendFileSync(path, `${JSON.stringify({ conditions, unit, result } satisfies Line)}\n`);
        }
      };
      await Promise.all(Array.from({ length: lanes }, lane));
      const results = units.flatMap((unit) => (known.has(unit) ? [known.get(unit) as T] : []));
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
