/**
 * `cllm trajectory`: blocks converging under Jacobi decoding, one line per point, as text or as a picture. A view for
 * people; the points themselves come from `decode/`.
 */
import * as z from "zod";
import { joinTokens } from "../../decode/join-tokens.ts";
import { trajectory as trace } from "../../decode/trajectory.ts";
import { CllmError } from "../../error.ts";
import { writeWhole } from "../../files/write-whole.ts";
import type { LanguageModel } from "../../generate/types.ts";
import { type Command, type DraftSettings, defineCommand, type ModelSettings, undraftedFields } from "../command.ts";
import { conditionsOf, loadModel, orDemonstration } from "../model.ts";
import { asMessage, PROMPT_DETAILS, type PromptSettings, promptFields, readPrompt } from "../prompt.ts";
import type { Terminal } from "../terminal.ts";
import { type TracedBlock, trajectorySvg } from "../trajectory-svg.ts";
import { trajectoryText } from "../trajectory-text.ts";

interface TrajectorySettings extends PromptSettings, Omit<ModelSettings, keyof DraftSettings> {
  readonly blockSize: number;
  readonly blocks: number;
  readonly svg: string | undefined;
}

export const trajectory: Command = defineCommand<TrajectorySettings>({
  name: "trajectory",
  summary: "Watch a block of tokens converge, point by point",
  details: `${PROMPT_DETAILS}\n\nEach line is a point of the block, the first one guessed, the last one what greedy decoding writes.`,
  fields: {
    ...promptFields,
    ...undraftedFields,
    blockSize: z.int().min(1).max(64).default(16).meta({ description: "tokens of a block", placeholder: "tokens" }),
    blocks: z
      .int()
      .min(1)
      .max(64)
      .default(1)
      .meta({ description: "how many blocks, one after the other", placeholder: "n" }),
    svg: z.string().min(1).optional().meta({ description: "draw them into this file instead", placeholder: "file" }),
  },
  argument: "prompt",
  examples: [
    ['cllm trajectory "Which bands have no concerts? Show the name."', "one block of 16 tokens as text"],
    [
      'cllm trajectory "Which bands have no concerts? Show the name." --block-size 8 --blocks 2 --svg bands.svg',
      "two blocks as a picture",
    ],
  ],
  foreign: {
    draftAdapter: "trajectories are those of the model by itself",
    medusaHeads: "trajectories are those of the model by itself",
    ngrams: "trajectories are those of the model by itself",
  },
  async run(settings, terminal) {
    const input = await readPrompt(settings, terminal.signal);
    await using model = await loadModel(orDemonstration(settings, terminal), terminal);
    const prompt = model.promptIds(asMessage(input, settings, model));
    const blocks = await traceBlocks(model, prompt, settings, terminal);
    if (settings.svg !== undefined) {
      const title = `Jacobi decoding with ${model.name}, ${conditionsOf(model)}, blocks of ${settings.blockSize}`;
      const svg = trajectorySvg(title, blocks);
      await writeWhole(settings.svg, (file) => file.writeFile(svg));
      terminal.note(`wrote ${settings.svg}`);
    } else if (!terminal.json) terminal.write(blocks.map((block) => trajectoryText(block, terminal)).join("\n"));
    if (!terminal.json) return;
    const report = {
      model: model.name,
      precision: model.precision,
      device: model.device,
      promptTokens: prompt.length,
      blocks,
      settings,
    };
    terminal.write(`${JSON.stringify(report)}\n`);
  },
});

/** Block after block; each begins where the one before it ended, and the model's end of sequence ends them all. */
async function traceBlocks(
  model: LanguageModel,
  prompt: Int32Array,
  { blockSize, blocks: count }: TrajectorySettings,
  { signal }: Terminal,
): Promise<readonly TracedBlock[]> {
  const over = prompt.length + blockSize * count - model.config.contextLength;
  if (over > 0) {
    const message = `${prompt.length} prompt tokens and ${count} blocks of ${blockSize} are ${over} too many for the context of ${model.config.contextLength}; ask for fewer or smaller blocks`;
    throw new CllmError("context-overflow", message);
  }
  await using session = model.session();
  const blocks: TracedBlock[] = [];
  let text = prompt;
  for (let index = 0; index < count; index++) {
    const { points, settled, accepted, forwards } = await trace(session, text, { blockSize, signal });
    const fixedPoint = points.at(-1)!;
    const texts = points.map((point) => [...point].map((id) => model.tokenizer.tokenText(id)));
    blocks.push({ points: points.map((point) => [...point]), texts, settled, accepted, forwards });
    if (fixedPoint.some((id) => model.config.eosTokenIds.includes(id))) break;
    text = joinTokens(text, fixedPoint);
  }
  return blocks;
}
