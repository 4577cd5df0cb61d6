/** Matrices in plain loops are what their definitions say. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { diagonal, type Matrix, piecesOf, stack, transpose } from "../../src/model/matrix.ts";
import { gaussian } from "./random-model.ts";

const sizes = fc.integer({ min: 1, max: 80 });

function random(rows: number, columns: number, seed: number): Matrix {
  return { rows, columns, data: Float32Array.from({ length: rows * columns }, gaussian(seed)) };
}

const at = ({ columns, data }: Matrix, r: number, c: number): number => data[r * columns + c]!;

test("transposing swaps rows and columns, and twice is nothing", () => {
  fc.assert(
    fc.property(sizes, sizes, fc.nat(), (rows, columns, seed) => {
      const matrix = random(rows, columns, seed);
      const turned = transpose(matrix);
      expect([turned.rows, turned.columns]).toEqual([columns, rows]);
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < columns; c++) if (at(turned, c, r) !== at(matrix, r, c)) expect.fail(`at ${r}, ${c}`);
      expect(transpose(turned)).toEqual(matrix);
      expect(turned.data).not.toBe(matrix.data);
    }),
  );
});

test("so it does with a matrix that takes several panels", () => {
  const [rows, columns] = [1501, 1600]; // two million numbers and more
  const matrix = random(rows, columns, 3);
  const turned = transpose(matrix);
  for (let r = 0; r < rows; r += 7)
    for (let c = 0; c < columns; c++) if (at(turned, c, r) !== at(matrix, r, c)) expect.fail(`at ${r}, ${c}`);
});

test("stacking keeps every row, in order", () => {
  fc.assert(
    fc.property(fc.array(sizes, { minLength: 1, maxLength: 4 }), sizes, (heights, columns) => {
      const matrices = heights.map((rows, i) => random(rows, columns, i));
      const tall = stack(matrices);
      expect([tall.rows, tall.columns]).toEqual([heights.reduce((a, b) => a + b, 0), columns]);
      expect([...tall.data]).toEqual(matrices.flatMap(({ data }) => [...data]));
    }),
  );
});

test("pieces have all rows in order, and no more numbers than they may", () => {
  const tall = fc.integer({ min: 1, max: 700 });
  fc.assert(
    fc.property(tall, sizes, fc.integer({ min: 1, max: 20_000 }), (rows, columns, most) => {
      const matrix = random(rows, columns, 1);
      const pieces = piecesOf(matrix, most);
      expect(stack(pieces).data).toEqual(matrix.data);
      for (const piece of pieces) {
        expect(piece.data.length).toBeLessThanOrEqual(Math.max(most, 128 * columns));
        if (piece !== pieces.at(-1)) expect(piece.rows % 128).toBe(0);
      }
    }),
  );
});

test("a diagonal matrix scales columns", () => {
  fc.assert(
    fc.property(sizes, sizes, fc.nat(), (rows, columns, seed) => {
      const matrix = random(rows, columns, seed);
      const scale = random(1, columns, seed + 1).data;
      const square = diagonal(scale);
      expect([square.rows, square.columns]).toEqual([columns, columns]);
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) {
          let sum = 0;
          for (let k = 0; k < columns; k++) sum += at(matrix, r, k) * at(square, k, c);
          if (sum !== at(matrix, r, c) * scale[c]!) expect.fail(`at ${r}, ${c}`);
        }
      }
    }),
    { numRuns: 30 },
  );
});
