/**
 * Pictures as SVG: within a page, which has the colours, or as a file of its own without outside parts, in the reader's
 * light or dark scheme. Knows nothing of what is drawn.
 */
import { escaped } from "./markup.ts";

/** Colours of pages and pictures alike. */
export interface Scheme {
  readonly paper: string;
  readonly ink: string;
  readonly faint: string;
  readonly grid: string;
  /** Of curves and dots. */
  readonly series: readonly string[];
  /** Of the tokens of a block. */
  readonly settled: string;
  readonly early: string;
  readonly open: string;
}

export const LIGHT: Scheme = {
  ...{ paper: "#ffffff", ink: "#1b1f24", faint: "#5a636d", grid: "#dfe3e7" },
  series: ["#1f6feb", "#c2410c", "#1a7f4b", "#7c3aed", "#a1477f"],
  ...{ settled: "#bfe8c8", early: "#cfe3ff", open: "#eceff2" },
};

export const DARK: Scheme = {
  ...{ paper: "#0f1419", ink: "#e6e8eb", faint: "#98a2ad", grid: "#2b323a" },
  series: ["#58a6ff", "#fb923c", "#4ade80", "#c084fc", "#f19ac8"],
  ...{ settled: "#1f5a33", early: "#1f3f68", open: "#262c34" },
};

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A picture within a page: it scales, takes the page's colours and says in words what it shows. */
export function inlineSvg({ width, height }: Size, title: string, content: string): string {
  return `<svg viewBox="0 0 ${width} ${height}" role="group" aria-label="${escaped(title)}">\n${content}\n</svg>`;
}

/** A picture as a file: its title at `left` on top, `rules` in the colours of both schemes. No variables, which many viewers lack. */
export function svgFile(
  { width, height, left }: Size & { readonly left: number },
  title: string,
  rules: (scheme: Scheme) => string,
  parts: readonly string[],
): string {
  const colors = (scheme: Scheme): string =>
    `text { fill: ${scheme.ink}; } .faint, .tick, .axis { fill: ${scheme.faint}; } .paper { fill: ${scheme.paper}; } ` +
    `.grid { stroke: ${scheme.grid}; stroke-width: 1; } ${rules(scheme)}`;
  const style = [
    "text { font: 12px system-ui, sans-serif; } .title { font: 600 15px system-ui, sans-serif; }",
    colors(LIGHT),
    `@media (prefers-color-scheme: dark) { ${colors(DARK)} }`,
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${escaped(title)}</title>`,
    `<style>\n${style.join("\n")}\n</style>`,
    `<rect class="paper" width="100%" height="100%"/>`,
    `<text class="title" x="${left}" y="28">${escaped(title)}</text>`,
    ...parts,
    "</svg>\n",
  ].join("\n");
}
