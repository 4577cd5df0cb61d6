/** Laws of the language model, over a scripted model: what a request gives depends on the request alone. */
import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { CllmError } from "../../src/error.ts";
import { type GenerateOptions, type Generation, type LanguageModel, PLAIN_DECODERS } from "../../src/generate/types.ts";
import { type ScriptedOptions, scriptedLanguageModel } from "./scripted-language-model.ts";

const decoder = fc.constantFrom(...PLAIN_DECODERS);
const prompt = fc.string({ minLength: 1, maxLength: 40, unit: fc.constantFrom(..."the and aé✓\n o".split("")) });
const request: fc.Arbitrary<GenerateOptions> = fc.record(
  {
    prompt,
    blockSize: fc.integer({ min: 1, max: 20 }),
    jacobiForm: fc.constantFrom("window" as const, "block" as const),
    maxNewTokens: fc.integer({ min: 1, max: 60 }),
    temperature: fc.constantFrom(0, 0, 0.8),
    topK: fc.constantFrom(0, 5),
    seed: fc.integer({ min: 0, max: 9 }),
    stop: fc.array(fc.string({ minLength: 1, maxLength: 2, unit: fc.constantFrom(..."thea✓ ".split("")) }), {
      maxLength: 2,
    }),
    stopIds: fc.array(fc.integer({ min: 0, max: 270 }), { maxLength: 2 }),
    ignoreEos: fc.boolean(),
    prediction: fc.string({ maxLength: 60, unit: fc.constantFrom(..."the and aé✓\n o\ud800".split("")) }),
    memoryScope: fc.constantFrom("one", "other"),
  },
  { requiredKeys: ["prompt", "seed"] }, // without a seed, one is drawn
);
const options: fc.Arbitrary<ScriptedOptions> = fc.record({
  predictability: fc.constantFrom(0, 0.5, 0.9),
  seed: fc.integer({ min: 0, max: 5 }),
  leadingDraft: fc.boolean(),
});

async function collect(
  model: LanguageModel,
  wanted: GenerateOptions,
): Promise<{ text: string; tokens: number[]; whole: Generation }> {
  const stream = model.stream(wanted);
  let text = "";
  const tokens: number[] = [];
  for await (const chunk of stream) {
    text += chunk.text;
    tokens.push(...chunk.tokens);
  }
  return { text, tokens, whole: await stream.result };
}

/** What of a generation must not depend on how it was made. */
const essence = ({ text, tokens, finishReason, stopReason }: Generation): object => ({
  ...{ text, tokens: [...tokens], finishReason, stopReason },
});

const failure = async (work: Promise<unknown>): Promise<CllmError> => {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CllmError);
  return error as CllmError;
};

describe("a generation", () => {
  test("is the same streamed as whole", async () => {
    await fc.assert(
      fc.asyncProperty(options, request, decoder, async (model, wanted, name) => {
        const streamed = await collect(scriptedLanguageModel(model), { ...wanted, decoder: name });
        const whole = await scriptedLanguageModel(model).generate({ ...wanted, decoder: name });
        expect(essence(streamed.whole)).toEqual(essence(whole));
        expect(streamed.text).toBe(whole.text);
        expect(streamed.tokens).toEqual([...whole.tokens]);
      }),
      { numRuns: 150 },
    );
  });

  test("is the same with every decoder", async () => {
    await fc.assert(
      fc.asyncProperty(options, request, decoder, async (model, wanted, name) => {
        const ar = await scriptedLanguageModel(model).generate({ ...wanted, decoder: "ar" });
        const other = await scriptedLanguageModel(model).generate({ ...wanted, decoder: name });
        expect(essence(other)).toEqual(essence(ar));
      }),
      { numRuns: 200 },
    );
  });

  test("does not depend on the requests before it", async () => {
    await fc.assert(
      fc.asyncProperty(
        options,
        fc.array(fc.tuple(request, decoder), { minLength: 2, maxLength: 5 }),
        async (model, requests) => {
          const shared = scriptedLanguageModel(model);
          for (const [wanted, name] of requests) {
            const alone = await scriptedLanguageModel(model).generate({ ...wanted, decoder: name });
            expect(essence(await shared.generate({ ...wanted, decoder: name }))).toEqual(essence(alone));
          }
          expect(shared.alive()).toBe(1);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("does not depend on the requests beside it", async () => {
    await fc.assert(
      fc.asyncProperty(
        options,
        fc.array(fc.tuple(request, decoder), { minLength: 2, maxLength: 4 }),
        async (model, requests) => {
          const shared = scriptedLanguageModel(model);
          const together = await Promise.all(
            requests.map(([wanted, name]) => shared.generate({ ...wanted, decoder: name })),
          );
          for (const [i, [wanted, name]] of requests.entries()) {
            const alone = await scriptedLanguageModel(model).generate({ ...wanted, decoder: name });
            expect(essence(together[i]!)).toEqual(essence(alone));
          }
          expect(shared.alive()).toBe(1);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("ends before the first stop string, with the token that completes it", async () => {
    await fc.assert(
      fc.asyncProperty(options, request, decoder, async (model, { stop: _, ...base }, name) => {
        const wanted = { ...base, decoder: name };
        const free = await scriptedLanguageModel(model).generate(wanted);
        fc.pre(free.text.length > 2);
        const stop = [...free.text].slice(1, 3).join("");
        const language = scriptedLanguageModel(model);
        const stopped = await language.generate({ ...wanted, stop: [stop] });
        expect(stopped).toMatchObject({ finishReason: "stop", stopReason: stop });
        expect(stopped.text).toBe(free.text.slice(0, free.text.indexOf(stop)));
        expect([...stopped.tokens]).toEqual([...free.tokens.subarray(0, stopped.tokens.length)]);
        expect(stopped.stats.newTokens).toBe(stopped.tokens.length);
        const shown = (ids: Int32Array): string =>
          language.tokenizer.decode(ids, { skipSpecialTokens: true, continuation: true });
        expect(shown(stopped.tokens)).toContain(stop);
        if (stop.includes("\ufffd")) return; // half a character, cut there, looks the same
        expect(shown(stopped.tokens.subarray(0, -1))).not.toContain(stop);
      }),
      { numRuns: 100 },
    );
  });

  test("ends with the stop id, which is no text", async () => {
    await fc.assert(
      fc.asyncProperty(options, prompt, decoder, async (model, text, name) => {
        const free = await scriptedLanguageModel(model).generate({ prompt: text, ignoreEos: true, maxNewTokens: 20 });
        const id = free.tokens[7]!;
        const end = free.tokens.indexOf(id);
        const wanted = { prompt: text, ignoreEos: true, maxNewTokens: 20, stopIds: [id], decoder: name };
        const language = scriptedLanguageModel(model);
        const stopped = await language.generate(wanted);
        expect(stopped).toMatchObject({ finishReason: "stop", stopReason: id });
        expect([...stopped.tokens]).toEqual([...free.tokens.subarray(0, end + 1)]);
        const shown = language.tokenizer.decode(free.tokens.subarray(0, end), {
          skipSpecialTokens: true,
          continuation: true,
        });
        expect(stopped.text).toBe(shown);
      }),
      { numRuns: 60 },
    );
  });

  test("counts what it did", async () => {
    await fc.assert(
      fc.asyncProperty(options, prompt, decoder, async (model, text, name) => {
        const language = scriptedLanguageModel(model);
        const { stats, tokens } = await language.generate({
          prompt: text,
          decoder: name,
          maxNewTokens: 30,
          ignoreEos: true,
        });
        expect(stats.newTokens).toBe(30);
        expect(tokens.length).toBe(30);
        expect(stats.prefillTokens).toBeGreaterThan(0);
        expect(stats.accepted.reduce((sum, count) => sum + count, stats.prefillTokens)).toBe(30);
        expect(stats.forwards).toBe(stats.accepted.length);
        expect(stats.tokensPerForward).toBeCloseTo((30 - stats.prefillTokens) / stats.forwards);
        expect(stats.promptTokens).toBe(language.promptIds({ prompt: text }).length);
        expect(language.opened[0]!.passes.length).toBe(stats.forwards + 1);
        if (name === "ar") expect(stats.tokensPerForward).toBe(1);
      }),
      { numRuns: 60 },
    );
  });
});

test("tokens per forward is of what decode passes added to the text, be it with a leading draft or a stop string", async () => {
  await fc.assert(
    fc.asyncProperty(options, request, decoder, async (model, wanted, name) => {
      const { stats, tokens } = await scriptedLanguageModel(model).generate({ ...wanted, decoder: name });
      const decoded = stats.accepted.reduce((sum, count) => sum + count, 0);
      expect(stats.prefillTokens + decoded).toBe(tokens.length);
      expect(stats.forwards).toBe(stats.accepted.length);
      expect(stats.tokensPerForward).toBe(stats.forwards === 0 ? 0 : decoded / stats.forwards);
    }),
    { numRuns: 200 },
  );
});

describe("a conversation", () => {
  test("is not computed again where it goes on", async () => {
    const model = scriptedLanguageModel();
    const first = [{ role: "user" as const, content: "the first question" }];
    const answer = await model.generate({ messages: first, maxNewTokens: 20 });
    expect(answer.stats.cachedTokens).toBe(0);
    const next = [
      ...first,
      { role: "assistant" as const, content: answer.text },
      { role: "user" as const, content: "and then" },
    ];
    const more = await model.generate({ messages: next, maxNewTokens: 20 });
    expect(more.stats.cachedTokens).toBeGreaterThanOrEqual(model.promptIds({ messages: first }).length);
    const fresh = await scriptedLanguageModel().generate({ messages: next, maxNewTokens: 20 });
    expect(essence(more)).toEqual(essence(fresh));
    expect(model.opened.length).toBe(1);
  });

  test("finds its own sequence again, where as many are kept as conversations take turns", async () => {
    const model = scriptedLanguageModel({ keep: 2 });
    const talks = ["a story about the sea", "the rules of chess"].map((content) => [
      { role: "user" as const, content },
    ]);
    for (const messages of talks) await model.generate({ messages, maxNewTokens: 20 });
    for (const messages of talks) {
      const next = [
        ...messages,
        { role: "assistant" as const, content: "well" },
        { role: "user" as const, content: "so" },
      ];
      const { stats } = await model.generate({ messages: next, maxNewTokens: 20 });
      const said = model.promptIds({ messages }).length;
      expect(stats.cachedTokens).toBeGreaterThan(said - 8); // the generation prompt is said, the answer is another one
    }
    expect(model.opened.length).toBe(2);
  });

  test("is answered the same however many sequences are kept, and no more are", async () => {
    const prompts = fc.array(fc.array(fc.constantFrom("one ", "two ", "three "), { minLength: 1, maxLength: 6 }), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(prompts, fc.nat({ max: 3 }), async (texts, keep) => {
        const model = scriptedLanguageModel({ keep });
        for (const words of texts) {
          const request = { prompt: words.join(""), maxNewTokens: 8, decoder: "jacobi" as const };
          const generation = await model.generate(request);
          expect(essence(generation)).toEqual(essence(await scriptedLanguageModel().generate(request)));
          expect(model.alive()).toBeLessThanOrEqual(keep);
        }
        await model.dispose();
        expect(model.alive()).toBe(0);
      }),
      { numRuns: 25 },
    );
  });

  test("begins with what another one has in common with it, be that one still running", async () => {
    const model = scriptedLanguageModel();
    const wanted = (content: string): GenerateOptions => ({ prompt: `the same long instructions; ${content}` });
    const running = model.stream({ ...wanted("one"), ignoreEos: true });
    await running.next();
    const { stats, ...other } = await model.generate({ ...wanted("two"), maxNewTokens: 9 });
    expect(stats.cachedTokens).toBeGreaterThanOrEqual(
      model.promptIds({ prompt: "the same long instructions" }).length - 1,
    );
    const alone = await scriptedLanguageModel().generate({ ...wanted("two"), maxNewTokens: 9 });
    expect(essence({ ...other, stats })).toEqual(essence(alone));
    await running.return();
  });

  test("runs the whole prompt where that is asked for, whatever the cache has, and writes the same", async () => {
    const shared: fc.Arbitrary<ScriptedOptions> = fc.record({
      keep: fc.nat({ max: 2 }),
      predictability: fc.constant(0.9),
    });
    await fc.assert(
      fc.asyncProperty(shared, prompt, decoder, async (parts, text, name) => {
        const model = scriptedLanguageModel(parts);
        const wanted: GenerateOptions = { prompt: `instructions; ${text}`, decoder: name, maxNewTokens: 9 };
        const running = model.stream({ ...wanted, ignoreEos: true });
        await running.next();
        const first = await model.generate(wanted);
        const anew = await model.generate({ ...wanted, cachePrompt: false });
        expect(anew.stats.cachedTokens).toBe(0);
        expect(anew.stats.promptTokens).toBeGreaterThan(1);
        expect(essence(anew)).toEqual(essence(first));
        const again = await model.generate(wanted);
        expect(again.stats.cachedTokens).toBeGreaterThan(0);
        expect(essence(again)).toEqual(essence(first));
        await running.return();
        await model.dispose();
        expect(model.alive()).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  test("without the cache takes over the memory of the sequence that would go next, and nothing it holds", async () => {
    const model = scriptedLanguageModel({ keep: 2 });
    const uncached: GenerateOptions = { prompt: "one two", cachePrompt: false, maxNewTokens: 5 };
    for (const opened of [1, 2, 2, 2]) {
      const { stats } = await model.generate(uncached);
      expect(stats.cachedTokens).toBe(0);
      expect(model.opened.length).toBe(opened);
    }
    expect(model.alive()).toBe(2);
  });

  test("is answered the same, whichever others run beside it", async () => {
    const texts = fc.array(fc.array(fc.constantFrom("one ", "two "), { minLength: 1, maxLength: 12 }), {
      minLength: 2,
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(texts, fc.nat({ max: 2 }), decoder, async (all, keep, name) => {
        const model = scriptedLanguageModel({ keep });
        const requests = all.map((words, i) => ({ prompt: words.join(""), maxNewTokens: 4 + 3 * i, decoder: name }));
        const apart = requests.map(async (request, i) => {
          for (let ticks = 0; ticks < 5 * i; ticks++) await null; // so that they begin while others are at any point
          return essence(await model.generate(request));
        });
        const alone = await Promise.all(requests.map((request) => scriptedLanguageModel().generate(request)));
        expect(await Promise.all(apart)).toEqual(alone.map(essence));
        expect(model.alive()).toBeLessThanOrEqual(keep);
      }),
      { numRuns: 60 },
    );
  });

  test("is the template's text", () => {
    const model = scriptedLanguageModel();
    const ids = model.promptIds({ messages: [{ role: "user", content: "hello" }] });
    expect(model.tokenizer.decode(ids)).toBe("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n");
  });

  test("goes on with a last message of the assistant's, unless told otherwise", () => {
    const model = scriptedLanguageModel();
    const messages = [
      { role: "user", content: "hello" },
      { role: "assistant", content: "Sure" },
    ] as const;
    const text = (options: object) => model.tokenizer.decode(model.promptIds({ messages, ...options }));
    const begun = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\nSure";
    expect(text({})).toBe(begun);
    expect(text({ continueFinalMessage: false })).toBe(`${begun}<|im_end|>\n<|im_start|>assistant\n`);
    expect(text({ addGenerationPrompt: false })).toBe(`${begun}<|im_end|>\n`);
    expect(() => model.promptIds({ prompt: "hello", continueFinalMessage: true })).toThrow(/needs messages/);
  });

  test("takes variables of the template, and refuses those that a request has options for", () => {
    const model = scriptedLanguageModel();
    const messages = [{ role: "user", content: "hello" }] as const;
    const plain = model.promptIds({ messages });
    expect(model.promptIds({ messages, templateOptions: { enable_thinking: false } })).toEqual(plain);
    expect(() => model.promptIds({ messages, templateOptions: { messages: [] } })).toThrow(/cannot set messages/);
  });

  test("needs a template", async () => {
    const model = scriptedLanguageModel({ chat: false });
    expect(model.hasChatTemplate).toBe(false);
    const error = await failure(model.generate({ messages: [{ role: "user", content: "hello" }] }));
    expect(error.code).toBe("bad-template");
  });
});

describe("an interrupted request", () => {
  test("leaves the model as it was, by break and by abort, and leaks nothing", async () => {
    await fc.assert(
      fc.asyncProperty(
        options,
        request,
        decoder,
        fc.nat(6),
        fc.boolean(),
        async (scripted, wanted, name, after, byBreak) => {
          const model = scriptedLanguageModel(scripted);
          const abort = new AbortController();
          let passes = 0;
          const interrupted = (async () => {
            for await (const _ of model.stream({ ...wanted, decoder: name, signal: abort.signal })) {
              if (passes++ < after) continue;
              if (byBreak) break;
              abort.abort();
            }
          })();
          const error = await interrupted.then(
            () => null,
            (reason: unknown) => reason as CllmError,
          );
          if (error !== null) expect(error.code).toBe("aborted");
          const again = await model.generate({ ...wanted, decoder: name });
          const alone = await scriptedLanguageModel(scripted).generate({ ...wanted, decoder: name });
          expect(essence(again)).toEqual(essence(alone));
          expect(model.opened.length).toBe(1);
          expect(model.alive()).toBe(1);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("that was aborted before does no pass", async () => {
    const model = scriptedLanguageModel();
    const error = await failure(model.generate({ prompt: "the", signal: AbortSignal.abort() }));
    expect(error.code).toBe("aborted");
    expect(model.opened.length).toBe(0);
  });

  test("whose pass fails costs its sequence, not the model", async () => {
    let failing = false;
    const model = scriptedLanguageModel({
      wrap: (session) =>
        Object.create(session, {
          forward: {
            value: (...args: Parameters<typeof session.forward>) => {
              if (failing && session.length > 5) throw new CllmError("engine", "the engine failed");
              return session.forward(...args);
            },
          },
        }),
    });
    const wanted: GenerateOptions = { prompt: "the and", maxNewTokens: 20, decoder: "jacobi", ignoreEos: true };
    failing = true;
    expect((await failure(model.generate(wanted))).code).toBe("engine");
    expect(model.alive()).toBe(0);
    failing = false;
    const alone = await scriptedLanguageModel().generate(wanted);
    expect(essence(await model.generate(wanted))).toEqual(essence(alone));
    expect(model.alive()).toBe(1);
  });

  test("a thousand requests leave one sequence", async () => {
    const model = scriptedLanguageModel();
    for (let i = 0; i < 1000; i++) {
      const stream = model.stream({
        prompt: `the ${i % 17}`,
        maxNewTokens: 4,
        decoder: PLAIN_DECODERS[i % PLAIN_DECODERS.length]!,
      });
      await stream.next();
      if (i % 3 === 0) await stream.return();
      else if (i % 3 === 1) await stream[Symbol.asyncDispose]();
      else while (!(await stream.next()).done);
    }
    expect(model.alive()).toBe(1);
    await model.dispose();
    expect(model.alive()).toBe(0);
  });
});

describe("context overflow", () => {
  test("is an error that says how much too long, before any work", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 60 }),
        decoder,
        async (length, maxNewTokens, name) => {
          const model = scriptedLanguageModel({ contextLength: 50 });
          const wanted = { prompt: "x".repeat(length), maxNewTokens, decoder: name };
          const over = length + maxNewTokens - 50;
          if (over <= 0) {
            expect((await model.generate({ ...wanted, ignoreEos: true })).tokens.length).toBe(maxNewTokens);
            return;
          }
          const error = await failure(model.generate(wanted));
          expect(error.code).toBe("context-overflow");
          expect(error.message).toContain(`${over} too many`);
          expect(model.opened.length).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("of a text that cannot fit is told from its length, before it is encoded", async () => {
    const model = scriptedLanguageModel({ contextLength: 50 });
    const encode = vi.spyOn(model.tokenizer, "encode");
    try {
      const text = "x".repeat(100_000);
      for (const input of [{ prompt: text }, { messages: [{ role: "user" as const, content: text }] }]) {
        const error = await failure(model.generate(input));
        expect(error).toMatchObject({ code: "context-overflow" });
        expect(error.message).toMatch(/has at least \d+ tokens, and the context is 50; shorten the prompt/);
      }
      expect(encode).not.toHaveBeenCalled();
    } finally {
      encode.mockRestore();
    }
  });

  test("does not come from ids that are known: they are taken as they are", async () => {
    const model = scriptedLanguageModel({ contextLength: 50 });
    const input = { prompt: "the sea and the road" };
    const promptIds = model.promptIds(input);
    const known = await model.generate({ ...input, promptIds, maxNewTokens: 9 });
    expect(known.text).toBe((await model.generate({ ...input, maxNewTokens: 9 })).text);
    for (const ids of [Int32Array.of(99_999), Int32Array.of(-1)])
      expect((await failure(model.generate({ ...input, promptIds: ids }))).message).toMatch(
        /^promptIds: .* is not a token id/,
      );
  });

  test("does not come from the default budget", async () => {
    const model = scriptedLanguageModel({ contextLength: 50 });
    const { tokens } = await model.generate({ prompt: "x".repeat(20), ignoreEos: true });
    expect(tokens.length).toBe(30);
    expect((await failure(model.generate({ prompt: "x".repeat(50) }))).message).toContain("1 too many");
  });
});

describe("a request for all that the context leaves", () => {
  test("fills it to the last token, or ends before, and refuses a prompt that leaves nothing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 60 }), decoder, fc.boolean(), async (length, name, ignoreEos) => {
        const model = scriptedLanguageModel({ contextLength: 50, leadingDraft: ignoreEos });
        const wanted = { prompt: "x".repeat(length), maxNewTokens: "context" as const, decoder: name, ignoreEos };
        if (length >= 50) {
          const error = await failure(model.generate(wanted));
          expect(error).toMatchObject({ code: "context-overflow" });
          expect(error.message).toContain(`leave no room for a new one in the context of 50: ${length - 49} too many`);
          return;
        }
        const { tokens, finishReason } = await model.generate(wanted);
        if (finishReason === "length") expect(tokens.length).toBe(50 - length);
        else expect(tokens.length).toBeLessThanOrEqual(50 - length);
      }),
      { numRuns: 100 },
    );
  });
});

describe("a request that is wrong", () => {
  const cases: readonly (readonly [object, string, RegExp])[] = [
    [{ prompt: "a", blokSize: 8 }, "usage", /no blokSize; did you mean blockSize\?/],
    [{ prompt: "a", blockSize: 0 }, "usage", /blockSize must be at least 1, not 0/],
    [{ prompt: "a", blockSize: 2.5 }, "usage", /blockSize must be a whole number, not 2.5/],
    [{ prompt: "a", decoder: "jacobian" }, "usage", /decoder must be one of auto, .*, not "jacobian"/],
    [{ prompt: "a", maxNewTokens: 0 }, "usage", /maxNewTokens must be at least 1, not 0/],
    [{ prompt: "a", maxNewTokens: "all" }, "usage", /maxNewTokens must be .*, or context, not "all"/],
    [{ prompt: "a", temperature: -1 }, "usage", /temperature must be at least 0/],
    [{ prompt: "a", temperature: Number.NaN }, "usage", /temperature must be a number, not NaN/],
    [{ prompt: "a", topP: 0 }, "usage", /topP must be more than 0/],
    [{ prompt: "a", stop: [""] }, "usage", /stop\[0\] must be a text that is not empty/],
    [{ prompt: "a", stopIds: [100000] }, "bad-input", /stopIds: 100000 is not a token id/],
    [{ prompt: "a", messages: [{ role: "user", content: "b" }] }, "usage", /not both/],
    [{}, "usage", /not neither/],
    [{ messages: [] }, "usage", /messages must be a list that is not empty/],
    [
      { messages: [{ role: "robot", content: "b" }] },
      "usage",
      /messages\[0\]\.role must be one of system, user, assistant/,
    ],
    [{ messages: [{ role: "user" }] }, "usage", /messages\[0\]\.content is missing/],
    [{ prompt: 7 }, "usage", /prompt must be a text, not 7/],
    [{ prompt: "" }, "bad-input", /prompt is empty/],
    [{ prompt: "a", signal: {} }, "usage", /signal must be of type AbortSignal/],
  ];
  test.each(cases)("%j", async (wanted, code, message) => {
    const model = scriptedLanguageModel();
    const error = await failure(model.generate(wanted as GenerateOptions));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(model.opened.length).toBe(0);
  });
});

describe("a disposed model", () => {
  test("ends its requests and takes no more", async () => {
    const model = scriptedLanguageModel();
    const paused = model.stream({ prompt: "the", ignoreEos: true });
    await paused.next();
    const running = failure(model.generate({ prompt: "and", ignoreEos: true, decoder: "ar" })); // its first pass has begun
    await model.dispose();
    expect((await running).code).toBe("disposed");
    expect((await failure(paused.next())).code).toBe("disposed");
    expect((await failure(model.generate({ prompt: "the" }))).code).toBe("disposed");
    expect(() => model.session()).toThrow(CllmError);
    expect(model.alive()).toBe(0);
    await model.dispose();
  });
});
