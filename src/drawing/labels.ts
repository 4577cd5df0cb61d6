/** Places for the labels of points that cover neither a point nor each other. Knows no text but its length. */
import type { Frame } from "./axes.ts";

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * For each labelled point a place beside it where its label covers neither a point, nor an obstacle, nor an earlier
 * label; null where there is none. Points that come first choose first.
 */
export function placeLabels(
  points: readonly { readonly x: number; readonly y: number; readonly label: string }[],
  { width, right, left, top, height, bottom }: Frame,
  obstacles: readonly Box[] = [],
): (Pick<Box, "x" | "y"> | null)[] {
  const taken: Box[] = [...points.map(({ x, y }) => ({ x: x - 5, y: y - 5, width: 10, height: 10 })), ...obstacles];
  return points.map(({ x, y, label }) => {
    const size = { width: 6.4 * [...label].length, height: 13 };
    const places = [
      { x: x + 9, y: y - 6 },
      { x: x - 9 - size.width, y: y - 6 },
      { x: x - size.width / 2, y: y - 22 },
      { x: x - size.width / 2, y: y + 9 },
      { x: x + 9, y: y - 20 },
      { x: x + 9, y: y + 8 },
      { x: x - 9 - size.width, y: y - 20 },
      { x: x - 9 - size.width, y: y + 8 },
    ];
    const free = places
      .map((place) => ({ ...place, ...size }))
      .find((box) => {
        const inside =
          box.x >= left && box.x + box.width <= width - right + 8 && box.y >= top - 6 && box.y < height - bottom;
        return inside && taken.every((other) => !overlap(box, other));
      });
    if (free === undefined) return null;
    taken.push(free);
    return { x: free.x, y: free.y + 10 };
  });
}

const overlap = (a: Box, b: Box): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
