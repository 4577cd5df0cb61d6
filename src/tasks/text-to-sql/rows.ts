/**
 * Rows for a drawn schema: such that questions have one clear answer and mostly a non-empty one. Labels and numbers
 * differ within a column, one category is the most common, and some rows are pointed to by no other. Knows no
 * questions.
 */
import { drawValue } from "./columns.ts";
import type { Random } from "./random.ts";
import type { Cell, Database, DrawnColumn, DrawnTable } from "./schema.ts";
import type { Split } from "./words.ts";

/** Ten to twenty rows a table. */
export function drawDatabase(random: Random, schema: readonly DrawnTable[], split: Split): Database {
  const counts = new Map(schema.map(({ name }) => [name, random.between(10, 20)]));
  const tables = schema.map(({ name, columns }, t) => {
    const count = counts.get(name)!;
    const cells = columns.map((column, c) => {
      const own = random.split(1000 * t + c);
      return drawColumn(own, column, count, counts.get(column.references ?? "") ?? 0, split);
    });
    const rows = Array.from({ length: count }, (_, r) => cells.map((column) => column[r]!));
    return { name, columns: columns.map(withoutValues), rows };
  });
  return { tables };
}

function withoutValues({ name, role, references }: DrawnColumn) {
  return references === undefined ? { name, role } : { name, role, references };
}

function drawColumn(random: Random, column: DrawnColumn, count: number, parents: number, split: Split): Cell[] {
  const { role, values } = column;
  if (role === "key") return Array.from({ length: count }, (_, i) => i + 1);
  if (role === "foreign") {
    const ids = Array.from({ length: parents }, (_, i) => i + 1);
    return unevenly(random, random.sample(ids, Math.ceil(parents * random.pick([0.4, 0.6, 0.75]))), count);
  }
  const draw = () => drawValue(random, values!, split);
  if (role === "category") return unevenly(random, different(draw, random.between(3, 5)), count);
  return different(draw, count);
}

/** `count` different values where the draw has as many, else with repeats. */
function different(draw: () => Cell, count: number): Cell[] {
  const values = new Set<Cell>();
  for (let tries = 0; values.size < count && tries < 20 * count; tries++) values.add(draw());
  const list = [...values];
  return Array.from({ length: count }, (_, i) => list[i % list.length]!);
}

/** Values drawn so that the first ones are more frequent, and the very first the most frequent of all. */
function unevenly(random: Random, values: readonly Cell[], count: number): Cell[] {
  const cells = Array.from(
    { length: count },
    () => values[Math.min(random.below(values.length), random.below(values.length))]!,
  );
  const times = (value: Cell) => cells.filter((cell) => cell === value).length;
  const first = values[0]!;
  while (values.some((value) => value !== first && times(value) >= times(first))) {
    const others = cells.flatMap((cell, i) => (cell === first ? [] : [i]));
    cells[random.pick(others)] = first;
  }
  return cells;
}
