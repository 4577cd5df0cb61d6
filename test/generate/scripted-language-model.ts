/** A language model over a scripted one: real tokenizer, real templates, real decoders, and arithmetic that is a hash. */
import type { ModelSampling } from "../../src/checkpoint/checkpoint.ts";
import { createLanguageModel } from "../../src/generate/language-model.ts";
import type { LanguageModel, PassCosts } from "../../src/generate/types.ts";
import type { ModelConfig } from "../../src/model/config.ts";
import { ngramModel, type ScriptedModel, type ScriptedSession, scriptedSession } from "../../src/runtime/scripted.ts";
import type { Session, TokenIds } from "../../src/runtime/session.ts";
import { createChatTemplate } from "../../src/text/chat.ts";
import { createTokenizer } from "../../src/text/tokenizer.ts";
import { tinyTokenizerSource } from "./tiny-checkpoint.ts";

export interface Scripted extends LanguageModel {
  /** Sequences that were opened, in order. */
  readonly opened: readonly ScriptedSession[];
  /** How many of them are not disposed of. */
  alive(): number;
}

export interface ScriptedOptions {
  readonly predictability?: number;
  readonly contextLength?: number;
  readonly seed?: number;
  readonly chat?: boolean;
  /** As `Session` has it. */
  readonly leadingDraft?: boolean;
  readonly sampling?: ModelSampling;
  /** Sequences kept after their requests. */
  readonly keep?: number;
  /** The model as a function. Default: an n-gram model of `predictability` and `seed`. */
  readonly next?: (context: TokenIds) => number;
  /** A chat template of one's own, in place of the tiny checkpoint's. */
  readonly template?: string;
  /** What the model writes after `<|im_start|>assistant` and a line break, to messages with so many turns. */
  readonly answers?: (turns: number) => string;
  /** Puts something between the model and its sessions. */
  readonly wrap?: (session: Session) => Session;
}

export const FLAT_COSTS: PassCosts = new Map([2, 4, 8, 16, 32].map((size) => [size, 10 + size / 10]));

/** Writes tools and calls as Qwen's template does, in short. */
export const HERMES_TEMPLATE: string =
  "{% if tools %}<|im_start|>system\n<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools> <tool_call><|im_end|>\n{% endif %}" +
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}" +
  "{% for call in m.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking %}<think>\n{% endif %}{% endif %}{# </think> #}";

/** Text of the tiny checkpoint, with and without a chat template; made once, because it is the slow part. */
const texts = [false, true].map((chat) => {
  const { source, vocabSize, eosTokenId } = tinyTokenizerSource({ chat });
  return { tokenizer: createTokenizer(source, vocabSize), template: createChatTemplate(source), vocabSize, eosTokenId };
});

export function scriptedLanguageModel(options: ScriptedOptions = {}): Scripted {
  const {
    predictability = 0.7,
    contextLength = 512,
    seed = 0,
    chat = true,
    leadingDraft = false,
    answers,
    next = answers && answering(answers),
    keep,
    sampling = null,
    wrap = (session: Session) => session,
  } = options;
  const { tokenizer, vocabSize, eosTokenId, ...own } = texts[Number(chat)]!;
  const template =
    options.template === undefined
      ? own.template
      : createChatTemplate({ ...tinyTokenizerSource({ chat }).source, chatTemplate: options.template });
  const text = next === undefined ? ngramModel(vocabSize, predictability, seed) : { vocabSize, next };
  const model: ScriptedModel = { ...text, contextLength, leadingDraft };
  const config: ModelConfig = {
    ...{ family: "llama", vocabSize, hiddenSize: 64, layers: 2, heads: 4, kvHeads: 2, headSize: 16 },
    ...{ intermediateSize: 128, contextLength, normEpsilon: 1e-5, ropeTheta: 10000, ropeScaling: null },
    ...{ slidingWindow: null, tiedHead: true, attentionBias: false, outputBias: false, queryKeyNorm: false },
    ...{ bosTokenId: null, eosTokenIds: [eosTokenId] },
  };
  const opened: ScriptedSession[] = [];
  const disposed = new Set<Session>();
  const open = (): Session => {
    const session = scriptedSession(model);
    opened.push(session);
    const dispose = async (): Promise<void> => {
      disposed.add(session);
      await session.dispose();
    };
    return wrap(Object.create(session, { dispose: { value: dispose }, [Symbol.asyncDispose]: { value: dispose } }));
  };
  const languageModel = createLanguageModel({
    name: "scripted",
    config,
    precision: "fp32",
    tokenizer,
    template,
    sampling,
    session: open,
    keep,
    measureCosts: async () => ({ costs: FLAT_COSTS, verdict: "good" }),
    dispose: async () => {},
  });
  return { ...languageModel, opened, alive: () => opened.length - disposed.size };
}

/** The next token of a model that writes these answers, behind the last turn that the prompt opens. */
function answering(answers: (turns: number) => string): (context: TokenIds) => number {
  const { tokenizer, eosTokenId } = texts[1]!;
  const opening = tokenizer.encode("<|im_start|>assistant\n", { addSpecialTokens: false });
  const [start] = opening;
  const written = new Map<number, TokenIds>();
  return (context) => {
    let at = context.length - opening.length;
    while (at >= 0 && !opening.every((id, i) => context[at + i] === id)) at--;
    const turns = context.subarray(0, Math.max(0, at)).filter((id) => id === start).length;
    const ids = written.get(turns) ?? tokenizer.encode(answers(turns), { addSpecialTokens: false });
    written.set(turns, ids);
    return ids[context.length - at - opening.length] ?? eosTokenId;
  };
}
