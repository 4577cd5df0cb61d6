/**
 * `cllm ngrams`: counts what follows what in a model's answers, into a file that decoding drafts from. It takes seconds and no pass. The
 * counting itself is in `decode/`.
 */
import { join } from "node:path";
import * as z from "zod";
import { NGRAMS, writeNgrams } from "../../checkpoint/ngrams.ts";
import { NgramCounts } from "../../decode/ngram-counts.ts";
import { countAnswer } from "../../decode/suffix-memory.ts";
import { CllmError } from "../../error.ts";
import { checkAborted } from "../../files/write-whole.ts";
import { loadText, type TextModel } from "../../generate/load.ts";
import type { TokenIds } from "../../runtime/session.ts";
import { toCandidates } from "../../trajectory/candidates.ts";
import { readDataset } from "../../trajectory/dataset.ts";
import { type ExpectedIdentity, tokenizerFingerprint } from "../../trajectory/identity.ts";
import { openTrajectories } from "../../trajectory/open.ts";
import { type CheckpointSettings, type Command, checkpointFields, defineCommand } from "../command.ts";
import { type DataSettings, dataFields, datasetOptions } from "../data-fields.ts";
import { formatBytes } from "../format.ts";
import { chooseModel, GENERAL_MODEL } from "../model.ts";
import { listField } from "../several.ts";

interface NgramsSettings extends CheckpointSettings, DataSettings {
  readonly trajectories: readonly string[];
  readonly out: string;
  readonly least: number;
  readonly megabytes: number;
}

interface Answer {
  readonly prompt: TokenIds;
  readonly ids: TokenIds;
}

const COUNTING_BYTES = 2e9; // while counting: far more n-grams are seen than are kept
const ENTRY_BYTES = 16;

export const ngrams: Command = defineCommand<NgramsSettings>({
  name: "ngrams",
  summary: "Count what follows what in a model's answers, for drafts from the first request on",
  details:
    "auto and suffix draft from earlier answers, and at first there are none. What this command writes, --ngrams reads: counts of " +
    "what followed one to eight tokens in the answers that it was given. Those should be the model's own, to prompts such as it will " +
    "be asked. They come from trajectory files of cllm collect, from records with a prompt and an answer, or from both.\n\n" +
    "Written into the folder of a draft adapter, or of a model that is a directory of Hugging Face, they are read with it. No text " +
    "depends on them.",
  fields: {
    trajectories: listField.meta({
      description: "a file of cllm collect; may be repeated",
      placeholder: "file",
      short: "t",
    }),
    ...dataFields,
    ...checkpointFields,
    out: z
      .string()
      .min(1)
      .meta({ description: `the folder for ${NGRAMS}`, placeholder: "folder", short: "o" }),
    least: z
      .int()
      .min(1)
      .max(1000)
      .default(2)
      .meta({ description: "leave out n-grams that were followed less often", placeholder: "times" }),
    megabytes: z.number().min(0.001).max(2000).default(16).meta({
      description: "most that the file may take; if need be, more of the seldom ones are left out",
      placeholder: "MB",
    }),
  },
  groups: {
    Counting: ["trajectories", "out", "least", "megabytes"],
    Data: Object.keys(dataFields) as (keyof DataSettings)[],
  },
  examples: [
    ["cllm ngrams -t faq.parquet -o faq-draft", "what cllm collect wrote, for a draft adapter"],
    [
      `cllm ngrams --model ${GENERAL_MODEL} --data faq.jsonl --answer-field answer -o known`,
      "prompts and answers as texts, such as those of a log",
    ],
  ],
  unused: ({ data }) =>
    data === undefined
      ? Object.fromEntries(
          Object.keys(dataFields)
            .filter((key) => key !== "data")
            .map((key) => [key, "it is for --data"]),
        )
      : {},
  async run(settings, terminal) {
    const { trajectories, data, out, least, megabytes } = settings;
    if (trajectories.length === 0 && data === undefined)
      throw new CllmError("usage", "no answers: give --trajectories, files of cllm collect, or --data with answers");
    const known = data !== undefined || settings.model !== undefined;
    const model = known ? await loadText(chooseModel(settings.model), loading(settings, terminal.signal)) : null;
    const counts = new NgramCounts(COUNTING_BYTES);
    let [answers, tokens] = [0, 0];
    for await (const { prompt, ids } of answersOf(settings, model)) {
      checkAborted(terminal.signal, join(out, NGRAMS));
      countAnswer(counts, prompt, ids);
      answers++;
      tokens += ids.length;
    }
    const { table, seen } = mostSeen(counts, least, megabytes * 1e6);
    if (table.length === 0) {
      const message = `in ${answers} answers no n-gram was followed ${least} times`;
      throw new CllmError("bad-input", `${message}; give more answers, or a smaller --least`);
    }
    await writeNgrams(out, table);
    const output = join(out, NGRAMS);
    const [kept, bytes] = [table.byteLength / ENTRY_BYTES, table.byteLength];
    if (seen > least)
      terminal.note(`left out what was followed fewer than ${seen} times, to stay below ${megabytes} MB`);
    if (terminal.json)
      terminal.write(`${JSON.stringify({ output, answers, tokens, ngrams: kept, least: seen, bytes })}\n`);
    else {
      terminal.write(`${answers} answers, ${tokens} tokens: ${kept} n-grams, ${formatBytes(bytes)}\nwrote ${output}\n`);
    }
  },
});

const loading = (
  { offline, revision, cacheDir, chatTemplate }: NgramsSettings,
  signal: AbortSignal,
): Parameters<typeof loadText>[1] => ({ offline, revision, cacheDir, template: chatTemplate, signal });

/** The answers of all files. Throws `bad-input` for a record without one, and what reading the files throws. */
async function* answersOf(settings: NgramsSettings, model: TextModel | null): AsyncGenerator<Answer, void, void> {
  const expect: ExpectedIdentity =
    model === null
      ? {}
      : { name: model.name, vocabSize: model.config.vocabSize, tokenizer: tokenizerFingerprint(model.tokenizer) };
  for (const path of settings.trajectories) {
    const { completions } = await openTrajectories(path, { expect });
    for (const { promptIds, completionIds } of completions) yield { prompt: promptIds, ids: completionIds };
  }
  const { data, raw } = settings;
  if (data === undefined || model === null) return;
  const { examples } = await readDataset(data, datasetOptions(settings));
  for (const candidate of toCandidates(model, examples, { chat: model.hasChatTemplate && !raw })) {
    if ("unusable" in candidate) continue;
    const { dataId, promptIds, labelIds } = candidate;
    if (labelIds === null)
      throw new CllmError("bad-input", `${data}, record ${dataId} has no answer; name its field with --answer-field`);
    yield { prompt: promptIds, ids: labelIds };
  }
}

/** As many n-grams as fit, those that were followed least left out, and how often the others were at least. */
function mostSeen(counts: NgramCounts, least: number, mostBytes: number): { table: Uint32Array; seen: number } {
  const table = counts.table(least);
  if (table.byteLength <= mostBytes) return { table, seen: least };
  const often = Uint32Array.from({ length: table.byteLength / ENTRY_BYTES }, (_, i) => table[4 * i + 1]!).sort();
  const room = Math.floor(mostBytes / ENTRY_BYTES);
  const seen = often[often.length - 1 - room]! + 1; // more than the first that finds no room
  return { table: counts.table(seen), seen };
}
