/** The closing report of a collection, for people: what was kept, what was dropped and why, and what was measured. */
import type { Tokenizer } from "../text/tokenizer.ts";
import { DROP_REASONS, type DropReason } from "../trajectory/clean.ts";
import type { CollectionInfo, CollectionReport } from "../trajectory/info.ts";
import { formatTable, formatToken } from "./format.ts";
import type { Colors } from "./terminal.ts";

const WHY: Readonly<Record<DropReason, string>> = {
  "bad-record": "dropped: the record gives no prompt",
  "long-prompt": "dropped: the prompt is too long",
  empty: "dropped: empty completion",
  repetition: "dropped: one token 10 times over",
  "long-sequence": "dropped: prompt and completion are too long",
  "no-end": "dropped: no end of sequence",
};

const LONGEST_TOKEN = 24;

export function collectionText(
  report: CollectionReport,
  { model, settings }: CollectionInfo,
  output: string,
  tokenizer: Pick<Tokenizer, "tokenText">,
  colors: Colors,
): string {
  const { measures, dropped } = report;
  const counts = [
    ["kept", String(report.kept)],
    ...(report.withoutEnd > 0 ? [["  of them ended by the token budget", String(report.withoutEnd)]] : []),
    ...DROP_REASONS.filter((reason) => dropped[reason] > 0).map((reason) => [WHY[reason], String(dropped[reason])]),
  ];
  const figures = [
    ["completion tokens", String(measures.tokens)],
    [`blocks of ${settings.blockSize}`, String(measures.blocks)],
    ["points", String(measures.points)],
    ["  of them augmented", settings.augment ? String(report.augmentedPoints) : "off"],
    ["iterations per block", measures.iterationsPerBlock.toFixed(2)],
    ["fast-forwarded tokens per iteration", measures.fastForwarded.toFixed(2)],
    ["stationary tokens per block", measures.stationary.toFixed(2)],
    ["collocations, different ones", String(measures.distinctCollocations)],
  ];
  const collocations = measures.collocations.slice(0, 10).map(({ ids, count }) => {
    const texts = ids.map((id) => formatToken(tokenizer.tokenText(id), LONGEST_TOKEN));
    return [texts.join("│"), String(count)];
  });
  const tables = [
    formatTable(["prompts", String(report.prompts)], counts, colors),
    formatTable(["measured before augmentation", ""], figures, colors),
    ...(collocations.length > 0 ? [formatTable(["settled together", "times"], collocations, colors)] : []),
  ];
  const precision = `${model.name}, ${settings.precision}${settings.device === undefined ? "" : ` on ${settings.device}`}, ${settings.data}, seed ${settings.seed}`;
  return `${precision}\n\n${tables.join("\n")}\nwrote ${output}\n`;
}
