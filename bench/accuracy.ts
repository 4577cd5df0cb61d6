/**
 * How faithful the precisions are: fp32 greedy tokens against PyTorch's goldens, and the share of positions at which int8
 * and int4 choose the token that fp32 chose, teacher-forced on the fp32 greedy text of the first GSM8K test prompts.
 */
import { type LanguageModel, load, type Precision } from "../src/index.ts";
import { flags, goldens, gsm8k, modelPath, report } from "./conditions.ts";

const settings = flags({ precisions: "int8,int4,stored", limit: 32, "max-new-tokens": 128, gap: 1e-3 });

/** Tokens after `prompt` that `model` writes greedily, and how often they differ from the golden ones beyond rounding. */
async function againstGoldens(model: LanguageModel): Promise<{ tokens: number; differences: number }> {
  let [tokens, differences] = [0, 0];
  for (const { promptIds, greedyIds, gaps } of goldens()) {
    await using session = model.session();
    let next = (await session.forward(promptIds)).at(-1)!;
    for (const [i, golden] of greedyIds.entries()) {
      tokens++;
      if (next !== golden && (gaps[i] ?? 0) > settings.gap) differences++;
      next = (await session.forward(Int32Array.of(golden)))[0]!; // go on from the golden text
    }
  }
  return { tokens, differences };
}

/** The share of `text` that `model` would have chosen after what comes before. */
async function agreement(model: LanguageModel, texts: readonly { prompt: Int32Array; text: Int32Array }[]) {
  let [same, all] = [0, 0];
  for (const { prompt, text } of texts) {
    await using session = model.session();
    const next = await session.forward(Int32Array.of(...prompt, ...text.subarray(0, -1)));
    text.forEach((token, i) => {
      all++;
      if (next[prompt.length - 1 + i] === token) same++;
    });
  }
  return { positions: all, share: same / all };
}

const texts: { prompt: Int32Array; text: Int32Array }[] = [];
const figures: Record<string, unknown> = {};
{
  await using model = await load(modelPath(), { precision: "fp32" });
  figures["fp32AgainstGoldens"] = await againstGoldens(model);
  console.log("fp32 against PyTorch's goldens:", figures["fp32AgainstGoldens"]);
  for (const input of gsm8k(settings.limit)) {
    const options = { ...input, decoder: "ar" as const, maxNewTokens: settings["max-new-tokens"] };
    const { tokens } = await model.generate(options);
    texts.push({ prompt: model.promptIds(input), text: tokens });
  }
}
for (const precision of settings.precisions.split(",") as Precision[]) {
  await using model = await load(modelPath(), { precision });
  const { positions, share } = await agreement(model, texts);
  figures[precision] = { positions, share };
  console.log(`${precision} agrees with fp32 at ${(100 * share).toFixed(2)} % of ${positions} positions`);
}
report("accuracy", settings, figures);
