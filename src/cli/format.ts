/** Numbers and tables for people. Knows nothing of what they are about. */
import Table from "cli-table3";

/** What a table's head is written with: terminal colours, or nothing. */
interface HeadStyle {
  readonly bold: (text: string) => string;
}

/** 412 ms, 3.2 s, 2 min 5 s. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 99_950) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Decimal units, three digits: 98.4 MB. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let exponent = 0;
  let value = bytes;
  while (value >= 999.5 && exponent < units.length - 1) {
    value /= 1000;
    exponent++;
  }
  return `${exponent === 0 || value >= 99.95 ? Math.round(value) : value.toPrecision(3)} ${units[exponent]}`;
}

/** Columns of text without lines around them, the first to the left and the others to the right. */
export function formatTable(head: readonly string[], cells: readonly (readonly string[])[], colors: HeadStyle): string {
  const none = Object.fromEntries(
    ["top", "bottom", "left", "right", "mid"].flatMap((side) =>
      ["", "-mid", "-left", "-right", "-middle"].map((part) => [`${side}${part}`, ""]),
    ),
  );
  const table = new Table({
    head: head.map((text) => colors.bold(text)),
    chars: { ...none, middle: "  " },
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    colAligns: head.map((_, column) => (column === 0 ? "left" : "right")),
  });
  for (const line of cells) table.push([...line]);
  const lines = table.toString().split("\n");
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

/** A token so that all of it is seen: spaces as ·, line breaks as ⏎, other control characters as their pictures. */
export function formatToken(text: string, longest: number): string {
  const visible = text
    .replaceAll(" ", "·")
    .replaceAll("\n", "⏎")
    .replaceAll("\t", "⇥")
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Zl}\p{Zp}]/gu, (control) => {
      const code = control.codePointAt(0)!;
      return code < 0x20 ? String.fromCodePoint(0x2400 + code) : "�";
    });
  const characters = [...visible];
  return characters.length > longest ? `${characters.slice(0, longest - 1).join("")}…` : visible;
}

/** "1 pass", "2 passes". */
export const formatPasses = (count: number): string => (count === 1 ? "1 pass" : `${count} passes`);
