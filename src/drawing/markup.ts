/** Texts on their way into HTML and SVG. Whatever a model or a data set wrote passes through here. Knows no page. */

const NAMED: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Fit for an element and for a quoted attribute. Control characters, which could hide or turn text, become marks. */
export function escaped(text: string): string {
  return text
    .replaceAll(/[&<>"']/g, (character) => NAMED[character]!)
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (control) => (control === "\n" ? control : "\u{fffd}"));
}
