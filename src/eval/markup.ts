/**
 * Texts and numbers on their way into a page: escaped, visible, and a dash where there is no figure. Whatever a model or a
 * data set wrote passes through here. Knows no page.
 */
import { escaped } from "../drawing/markup.ts";

/** A token so that all of it is seen, cut to `longest` characters and escaped. */
export function escapedToken(text: string, longest = 24): string {
  const seen = text.replaceAll(" ", "·").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
  const characters = [...seen];
  return escaped(characters.length > longest ? `${characters.slice(0, longest - 1).join("")}…` : seen);
}

export const DASH = "–";

/** With so many decimals; a dash where it is no number. */
export function fixed(value: number | null | undefined, digits: number): string {
  return value === null || value === undefined || !Number.isFinite(value) ? DASH : value.toFixed(digits);
}

/** `2.41 (2.30 to 2.52)`. */
export function withInterval(
  estimate: { readonly estimate: number; readonly low: number; readonly high: number } | null,
  digits: number,
  scale = 1,
): string {
  if (estimate === null) return DASH;
  const [middle, low, high] = [estimate.estimate, estimate.low, estimate.high].map((v) => fixed(v * scale, digits));
  return `${middle} (${low} to ${high})`;
}

/** The same for a cell: the interval below, in small print. */
export function stackedInterval(
  estimate: { readonly estimate: number; readonly low: number; readonly high: number } | null,
  digits: number,
  scale = 1,
): string {
  if (estimate === null) return DASH;
  const { low, high } = estimate;
  return stacked(fixed(estimate.estimate * scale, digits), fixed(low * scale, digits), fixed(high * scale, digits));
}

export const stacked = (middle: string, low: string, high: string): string =>
  `${middle}<small>${low} to ${high}</small>`;
