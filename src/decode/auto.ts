/**
 * The default decoder: before each pass it picks the draft and the length that promise the most tokens per millisecond,
 * from what passes cost here and from what was accepted so far; a pass without a draft is autoregressive. It can fall
 * behind autoregressive decoding by a small share of the time only, because it keeps accounts of what it may lose.
 */
import { CllmError } from "../error.ts";
import type { Session, TokenIds } from "../runtime/session.ts";
import { Acceptance } from "./acceptance.ts";
import { Accounts } from "./accounts.ts";
import { ASKED_PRIOR, AskedDraft, AskedRecord } from "./asked-draft.ts";
import { costModel } from "./cost.ts";
import { planDrafts, worthVerifying } from "./draft-window.ts";
import { type DraftPolicy, ownDraft } from "./drafts.ts";
import { FreeDrafts, type FreeRecords, freeRecords } from "./free-drafts.ts";
import { fromHeads } from "./heads-draft.ts";
import { OpenDraft } from "./open-draft.ts";
import { Pace } from "./pace.ts";
import { commonPrefix } from "./prefix.ts";
import { Regimes } from "./regimes.ts";
import { requireInteger } from "./require.ts";
import type { SuffixView } from "./suffix-memory.ts";
import { TextLengths } from "./text-lengths.ts";
import { Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";
import { WindowOutlook } from "./window-outlook.ts";

export interface AutoOptions extends DecodeOptions {
  /** Milliseconds of a pass by its number of tokens, measured on this model and machine, such as of 2, 4, 6, 8, 16, 32. */
  readonly costs: ReadonlyMap<number, number>;
  /** Most tokens of a pass. Default: 32. */
  readonly blockSize?: number;
  /**
   * The same for passes with draft rows, by all their rows, on a session that has a draft adapter. Default: `costs`.
   */
  readonly draftCosts?: ReadonlyMap<number, number> | undefined;
  /** What earlier requests to the same model taught; this one adds to it. Default: nothing. */
  readonly memory?: AutoMemory;
  /**
   * A draft of one's own, such as a draft model. It is asked where that pays: what asking takes is measured, and weighed against how often
   * its guesses were right. Default: the session's Medusa heads where it has any, asked in the same way.
   */
  readonly draft?: DraftPolicy | undefined;
  /** What earlier requests learnt of `draft`, or of the heads. Default: what `memory` has of that very function, or of heads. */
  readonly record?: AskedRecord | undefined;
  /** What the text is likely to be, in part or as a whole. Default: nothing is known. */
  readonly prediction?: TokenIds | undefined;
  /** Earlier answers to draft from. Default: none. */
  readonly answers?: SuffixView | undefined;
  /** Milliseconds, for what passes take, and asking the draft. Default: `performance.now`. */
  readonly clock?: () => number;
  /** Whether no other text is being written on this processor: else passes say nothing about their own time. Default: always. */
  readonly alone?: () => boolean;
}

/**
 * What `auto` learns about a model over any number of requests.
 *
 * @example
 * const memory = new AutoMemory(); // for every request to one model
 * for await (const { accepted } of auto(session, prompt, { maxNewTokens: 64, costs, memory })) console.log(accepted);
 */
export class AutoMemory {
  readonly free: FreeRecords = freeRecords();
  /** Jacobi's guesses in windows that cost next to nothing, and in wide ones. */
  readonly narrow: Acceptance = new Acceptance(0.95);
  readonly wide: Acceptance = new Acceptance(0.98);
  /** Guesses that draft rows refined. */
  readonly drafted: Acceptance = new Acceptance(0.98);
  readonly accounts: Accounts = new Accounts();
  /** What passes take beside what they are said to cost. */
  readonly pace: Pace = new Pace();
  /** How long texts were. */
  readonly lengths: TextLengths = new TextLengths();
  /** With a draft adapter: whether draft rows pay. */
  readonly regimes: Regimes = new Regimes();
  /** What Medusa heads cost, and how often they were right. */
  readonly heads: AskedRecord = new AskedRecord();
  readonly #asked = new WeakMap<DraftPolicy, AskedRecord>();

  /** What is known of a draft that is asked. */
  asked(draft: DraftPolicy): AskedRecord {
    const known = this.#asked.get(draft) ?? new AskedRecord();
    this.#asked.set(draft, known);
    return known;
  }
}

const NONE = new Int32Array(0);
const WIDE = 4; // tokens of the shortest wide window
const ALONE: Plan = { rows: 1, draft: null, window: null, drafts: 0 };
const LEADING = 8; // tokens of a window that rides in the prompt's pass, where nothing says how many pay
const STAY = 1.06; // how much more another width must promise: each change costs guesses, or a pass that makes new ones
const UNKNOWN = 0.05; // how often a refined guess is thought to be right before any was seen
const TRAINED = 0.6; // and one that draft rows refined, whose adapter was trained for it

// Wide windows show their worth only over several passes, so a model is tried with some in a row.
const PROBE_PASSES = 3;
const PROBE_ROWS = 8; // fewer where the probe would lose more than this:
const PROBE_VERIFY = 4; // of a probe with draft rows, and as many of these as above
const PROBE_LOSS = 1.2; // passes of one token

/** A pass to run: how many tokens, and either the draft or the record of the Jacobi window that they come from. */
interface Plan {
  readonly rows: number;
  readonly draft: TokenIds | null;
  readonly window: Acceptance | null;
  /** Draft rows beside them. */
  readonly drafts: number;
  /** The guesses are to be asked for. */
  readonly asks?: boolean;
  /** Tokens that it promises in the time of a pass of one. Default: one. */
  readonly promise?: number;
}

/**
 * Chooses before each pass which guesses to run, if any, by what passes cost here and how often guesses were right.
 *
 * @example for await (const { accepted } of auto(session, prompt, { maxNewTokens: 64, costs: await model.passCosts() })) console.log(accepted);
 */
export async function* auto(
  session: Session,
  prompt: TokenIds,
  {
    costs,
    draftCosts = costs,
    blockSize = 32,
    memory = new AutoMemory(),
    draft: given,
    record = given ? memory.asked(given) : memory.heads,
    prediction,
    answers,
    clock = () => globalThis.performance?.now() ?? 0, // where there is no clock, asking costs nothing
    alone = () => true,
    ...options
  }: AutoOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("blockSize", blockSize, 1);
  const drafter = session.drafter === true && blockSize > 1;
  const drafting = drafter && memory.regimes.next();
  const foreign = prediction?.find((id) => id < 0 || id >= session.vocabSize);
  if (foreign !== undefined)
    throw new CllmError("bad-input", `the prediction has token id ${foreign}; the vocabulary has ${session.vocabSize}`);
  const text = new Transcript(session, prompt, options);
  const { accounts, narrow, wide } = memory;
  const { pace } = memory;
  const [said, draftsSaid] = [costModel(costs), costModel(draftCosts)];
  const [cost, draftCost] = [pace.corrected(said), pace.corrected(draftsSaid)];
  const loss = Float64Array.from({ length: blockSize + 1 }, (_, m) => cost(m) / cost(1) - 1); // of m tokens, if all fail
  const draftLoss = Float64Array.from({ length: blockSize + 1 }, (_, m) => Math.max(0, draftCost(m) / cost(1) - 1));
  let probeRows = Math.min(PROBE_ROWS, blockSize);
  while (probeRows > WIDE && loss[probeRows]! * PROBE_PASSES > PROBE_LOSS) probeRows--;

  const free = new FreeDrafts(memory.free, blockSize - 1, { promptLength: prompt.length, prediction, answers });
  await using source = await OpenDraft.open(ownDraft(session), prompt, session, options.signal);
  const { heads = 0 } = session;
  let end = 0; // the row of the last pass that the last token follows
  const policy = given ?? (heads > 0 ? fromHeads(text, () => end) : undefined);
  await using own = policy === undefined ? null : await OpenDraft.open(policy, prompt, session, options.signal);
  const terms = { promptLength: prompt.length, unitMs: cost(1), clock, together: given ? undefined : heads };
  const asked = own && new AskedDraft(record, { ...terms, source: own });
  let refined: TokenIds = new Int32Array(0); // what the last pass wrote behind the settled tokens
  let lastWidth = 0; // tokens of the last wide window, or its draft rows
  let probing = 0; // passes left of a probe
  let [settled, spent] = [0, 0]; // tokens of all passes behind the prompt's, and their price in ones of one token
  const expected = new Float64Array(blockSize + 1); // [m]: tokens that a pass of m is expected to accept
  const outlook = new WindowOutlook(loss);

  /** Tells the outlook where the text stands. Returns how many tokens are left of it, where the refined guesses foresee its end. */
  function lookAhead(most: number): number | null {
    const written = text.tokens.length - prompt.length;
    const known = text.reachable(refined).length;
    const left = known < refined.length ? known + 1 : null;
    const rests = left !== null ? [left] : memory.lengths.beyond(written + known).map((length) => length - written);
    outlook.look(wide, most, narrow.rate(0, UNKNOWN), known, rests);
    return left;
  }

  /** Tokens of the window that rides in the prompt's pass, whose first is paid for; `otherwise` where no text was written before. */
  function leading(otherwise: number, most: number): number {
    lookAhead(most);
    let best = otherwise;
    if (!outlook.sees) return best;
    for (let m = 2; m <= most; m++) if (outlook.promise(m, 1) > outlook.promise(best, 1)) best = m;
    return best;
  }

  /** The pass of at most `most` tokens that promises the most tokens per time among those that may fail. */
  function choose(most: number): Plan {
    const asking = ask(most);
    let plan = asking?.plan ?? ALONE;
    let best = Math.max(1, asking?.promise ?? 1); // 1: tokens in the time of a pass of one, as autoregressive decoding has them
    const consider = (from: number, to: number, draft: TokenIds | null, window: Acceptance | null) => {
      for (let m = from; m <= to; m++) {
        const ahead = window === wide && outlook.sees;
        const promise = ahead ? outlook.promise(m) : expected[m]! / (1 + loss[m]!);
        const worth = window === wide && !ahead && m === lastWidth ? promise * STAY : promise;
        const fresh = window === wide && 2 * refined.length < m; // then only the pass after it gains anything
        if (promise <= 1 || worth <= best || !accounts.affords(fresh ? 2 * loss[m]! : loss[m]!)) continue;
        best = worth;
        plan = { rows: m, draft, window, drafts: 0 };
      }
    };
    for (const offered of free.sources) {
      offered.expect(expected);
      consider(2, offered.draft.length + 1, offered.draft, null);
    }
    if (drafting) return withDrafts(most, best) ?? { ...plan, promise: best };
    const left = lookAhead(most);
    if (left !== null) consider(2, Math.min(most, left), null, wide);
    else {
      narrow.expectWindow(expected, Math.min(WIDE - 1, most), UNKNOWN);
      consider(2, Math.min(WIDE - 1, most), null, narrow);
      wide.expectWindow(expected, most, narrow.rate(0, UNKNOWN));
      consider(WIDE, most, null, wide);
    }
    return { ...plan, promise: best };
  }

  /** The pass with guesses that are asked for which promises most, where it promises more than one token or is to be tried. */
  function ask(most: number): { readonly plan: Plan; readonly promise: number } | null {
    if (asked === null) return null;
    const longest = Math.min(most, 1 + asked.most);
    const opening = asked.opening(text.left);
    let rows = 0;
    let best = asked.trial > 0 ? 0 : 1;
    record.acceptance.expect(expected, longest, ASKED_PRIOR);
    for (let m = 2; m <= longest; m++) {
      const price = 1 + Math.max(0, loss[m]!) + asked.price(m - 1);
      const promise = expected[m]! / (price + opening * expected[m]!);
      if (promise <= best || !accounts.affords(price - 1)) continue;
      best = promise;
      rows = m;
    }
    if (rows === 0) return null;
    return { plan: { ...ALONE, rows, asks: true }, promise: asked.trial > 0 ? Number.POSITIVE_INFINITY : best };
  }

  /** Passes that are lost where draft rows bring nothing: fresh guesses settle nothing yet, so it takes two to see. */
  const risk = (): number => (refined.length === 0 ? 2 : 1);

  /** A plan with draft rows where it promises more than `best`. */
  function withDrafts(most: number, best: number): Plan | null {
    const { verify, drafts, promise } = planDrafts({
      ...{
        record: memory.drafted,
        prior: TRAINED,
        most,
        rows: blockSize,
        loss: draftLoss,
        last: lastWidth,
        stay: STAY,
      },
      affords: (worst) => accounts.affords(worst * risk()),
    });
    if (promise <= Math.max(1, best)) return null;
    return ride(Math.min(verify, most), drafts);
  }

  /** The trunk beside so many draft rows: what they refined, or a draft that promises more. Null where it may cost too much. */
  function ride(verify: number, drafts: number): Plan | null {
    let plan: Plan | null = null;
    let best = 0;
    const consider = (from: number, to: number, draft: TokenIds | null) => {
      for (let m = from; m <= to && m + drafts <= blockSize; m++) {
        const promise = expected[m]! / (1 + draftLoss[m + drafts]!);
        if (promise <= best || !accounts.affords(draftLoss[m + drafts]! * risk())) continue;
        best = promise;
        plan = { rows: m, draft, window: draft === null ? memory.drafted : null, drafts };
      }
    };
    const known = 1 + Math.min(verify - 1, worthVerifying(refined, session).length);
    memory.drafted.expect(expected, known, TRAINED);
    consider(1, known, null);
    for (const offered of free.sources) {
      offered.expect(expected);
      consider(2, offered.draft.length + 1, offered.draft);
    }
    return plan;
  }

  /** What a probe loses if its passes settle one token each, instead of what the plan promises. */
  const forgone = ({ promise = 1 }: Plan, extra: number): number => PROBE_PASSES * (promise * (1 + extra) - 1);

  /** Instead of a plan without a wide window, now and then one with it, to see what it is worth. */
  function probe(plan: Plan, most: number): Plan {
    if (plan.asks && asked!.trial > 0) return plan;
    if (plan.window === wide || plan.drafts > 0 || plan.asks) accounts.succeed();
    else if (drafting) {
      const rows = Math.min(blockSize, PROBE_VERIFY + PROBE_ROWS);
      if (probing === 0 && accounts.payExperiment(forgone(plan, draftLoss[rows]!))) probing = PROBE_PASSES;
      if (probing > 0) plan = ride(Math.min(PROBE_VERIFY, most), Math.max(1, rows - PROBE_VERIFY)) ?? plan;
    } else if (probeRows >= WIDE && probeRows <= most) {
      if (probing === 0 && accounts.payExperiment(forgone(plan, loss[probeRows]!))) probing = PROBE_PASSES;
      if (probing > 0 && accounts.affords(loss[probeRows]!))
        plan = { rows: probeRows, draft: null, window: wide, drafts: 0 };
    }
    probing = Math.max(0, probing - 1);
    return plan;
  }

  /** The prompt's pass, and while it runs the prompt is studied. */
  function studying<T>(pass: Promise<T>): Promise<T> {
    free.study(prompt);
    return pass;
  }

  accounts.open(drafter || session.draftToken !== undefined); // only a model that was trained for it is likely to guess well
  const longest = Math.min(LEADING, blockSize, text.left);
  if (prediction !== undefined && text.unfinished()) {
    const { iteration } = await studying(text.verify(text.mend(prediction.slice(0, longest - 1))));
    end = iteration.accepted.length - 1;
    yield iteration;
  } else if (session.leadingDraft && !drafting && text.unfinished()) {
    const guesses = await source.extend(text.tokens, refined, leading(longest, Math.min(blockSize, text.left)) - 1);
    const verified = await studying(text.verify(text.mend(guesses)));
    refined = verified.refined;
    end = verified.iteration.accepted.length - 1;
    yield { ...verified.iteration, draft: refined };
  } else yield await studying(text.prefill());
  try {
    while (text.unfinished()) {
      const start = clock();
      const undisturbed = alone();
      const most = Math.min(blockSize, text.left);
      free.offer(text.tokens, most - 1);
      const plan = probe(choose(most), most);
      const { rows, draft, window } = plan;
      if (window === wide) lastWidth = rows;
      if (plan.drafts > 0) lastWidth = plan.drafts;

      const kept = window ? refined.subarray(0, rows - 1) : NONE;
      const before = refined;
      const width = plan.drafts > 0 ? Math.min(plan.drafts, text.left - 1) : window ? rows - 1 : 0;
      const extended =
        width > 0 ? text.reachable(await source.extend(text.tokens, refined.subarray(0, width), width)) : NONE;
      if (plan.asks && asked!.trial === 0) record.chosen();
      const answered = plan.asks ? await asked!.ask(text.tokens, rows - 1) : NONE;
      const planned = plan.asks ? answered : window === null ? (draft ?? NONE) : plan.drafts > 0 ? kept : extended;
      const guesses = text.mend(planned.slice(0, rows - 1));
      const room = Math.max(0, text.sideRoom(1 + guesses.length));
      const drafts = plan.drafts > 0 ? extended.subarray(0, room) : NONE; // refined in draft rows
      const begin = clock();
      const verified = await text.verify(guesses, drafts);

      const { accepted, rows: run } = verified.iteration;
      const k = accepted.length; // guesses beyond the text's end are no better than wrong ones
      end = k - 1;
      const tried = commonPrefix(kept, guesses);
      if (drafting) memory.drafted.score(before, accepted);
      else for (let i = 1; i <= Math.min(k, tried); i++) window?.observe(i - 1, i < k);
      free.learn(accepted, (drafts.length > 0 ? drafts : guesses).subarray(k - 1), verified.refined);
      const questions = plan.asks ? asked!.price(rows - 1) : 0;
      if (plan.asks) asked!.learn(accepted);
      asked?.ran(clock() - begin, cost(run));
      if (!plan.asks && undisturbed && alone())
        pace.observe((drafts.length > 0 ? draftsSaid : said)(run), clock() - start, said(1));
      const price = (drafts.length > 0 ? Math.max(draftCost(run), cost(1)) : cost(run)) / cost(1) + questions;
      accounts.book(price, k);
      spent += price;
      settled += k;
      refined = drafting && drafts.length === 0 ? NONE : verified.refined; // what the base wrote behind wrong guesses is no draft
      yield { ...verified.iteration, draft: refined };
    }
  } finally {
    if (asked) record.length.observe(text.tokens.length - prompt.length);
    if (text.left === 0) memory.lengths.observe(text.tokens.length - prompt.length);
    if (drafter) memory.regimes.learn(drafting, settled, spent);
  }
}
