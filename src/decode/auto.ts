/**
 * The default decoder: before each pass it picks the draft and the length that promise the most tokens per millisecond,
 * from what passes cost here and from what was accepted so far; a pass without a draft is autoregressive. It can fall
 * behind autoregressive decoding by a small share of the time only, because it keeps accounts of what it may lose.
 */
import type { Session, TokenIds } from "../runtime/session.ts";
import { Acceptance } from "./acceptance.ts";
import { Accounts } from "./accounts.ts";
import { costModel } from "./cost.ts";
import { type DraftPolicy, ownDraft } from "./drafts.ts";
import { FreeDrafts, type FreeRecords, freeRecords } from "./free-drafts.ts";
import { OpenDraft } from "./open-draft.ts";
import { commonPrefix } from "./prefix.ts";
import { requireInteger } from "./require.ts";
import { Transcript } from "./transcript.ts";
import type { DecodeOptions, Iteration } from "./types.ts";

export interface AutoOptions extends DecodeOptions {
  /** Milliseconds of a pass by its number of tokens, measured on this model and machine, such as of 2, 4, 6, 8, 16, 32. */
  readonly costs: ReadonlyMap<number, number>;
  /** Most tokens of a pass. Default: 32. */
  readonly blockSize?: number;
  /** What earlier requests to the same model taught; this one adds to it. Default: nothing. */
  readonly memory?: AutoMemory;
  /** Where new guesses of its Jacobi windows come from. Default: `ownDraft`. */
  readonly draft?: DraftPolicy;
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
  readonly accounts: Accounts = new Accounts();
}

const NONE = new Int32Array(0);
const WIDE = 4; // tokens of the shortest wide window
const LEADING = 8; // tokens of a window that rides in the prompt's pass
const STAY = 1.06; // how much more another width must promise: each change costs guesses, or a pass that makes new ones
const UNKNOWN = 0.05; // how often a refined guess is thought to be right before any was seen

// Wide windows show their worth only over several passes, so a model is tried with some in a row.
const PROBE_PASSES = 3;
const PROBE_ROWS = 8; // fewer where the probe would lose more than this:
const PROBE_LOSS = 1.2; // passes of one token

/** A pass to run: how many tokens, and either the draft or the record of the Jacobi window that they come from. */
interface Plan {
  readonly rows: number;
  readonly draft: TokenIds | null;
  readonly window: Acceptance | null;
}

/**
 * Chooses before each pass which guesses to run, if any, by what passes cost here and how often guesses were right.
 *
 * @example for await (const { accepted } of auto(session, prompt, { maxNewTokens: 64, costs: await model.passCosts() })) console.log(accepted);
 */
export async function* auto(
  session: Session,
  prompt: TokenIds,
  { costs, blockSize = 32, memory = new AutoMemory(), draft: policy = ownDraft(session), ...options }: AutoOptions,
): AsyncGenerator<Iteration, void, void> {
  requireInteger("blockSize", blockSize, 1);
  const text = new Transcript(session, prompt, options);
  const { accounts, narrow, wide } = memory;
  const cost = costModel(costs);
  const loss = Float64Array.from({ length: blockSize + 1 }, (_, m) => cost(m) / cost(1) - 1); // of m tokens, if all fail
  let probeRows = Math.min(PROBE_ROWS, blockSize);
  while (probeRows > WIDE && loss[probeRows]! * PROBE_PASSES > PROBE_LOSS) probeRows--;

  const drafts = new FreeDrafts(memory.free, blockSize - 1);
  await using source = await OpenDraft.open(policy, prompt, session, options.signal);
  let refined: TokenIds = new Int32Array(0); // what the last pass wrote behind the settled tokens
  let lastWidth = 0; // tokens of the last wide window
  let probing = 0; // passes left of a probe
  const expected = new Float64Array(blockSize + 1); // [m]: tokens that a pass of m is expected to accept

  /** The pass of at most `most` tokens that promises the most tokens per time among those that may fail. */
  function choose(most: number): Plan {
    let plan: Plan = { rows: 1, draft: null, window: null };
    let best = 1; // tokens in the time of a pass of one, which is what autoregressive decoding promises
    const consider = (from: number, to: number, draft: TokenIds | null, window: Acceptance | null) => {
      for (let m = from; m <= to; m++) {
        const promise = expected[m]! / (1 + loss[m]!);
        const worth = window === wide && m === lastWidth ? promise * STAY : promise;
        const fresh = window === wide && 2 * refined.length < m; // then only the pass after it gains anything
        if (promise <= 1 || worth <= best || !accounts.affords(fresh ? 2 * loss[m]! : loss[m]!)) continue;
        best = worth;
        plan = { rows: m, draft, window };
      }
    };
    for (const { draft, record, prior } of drafts.sources) {
      record.expect(expected, draft.length + 1, prior);
      consider(2, draft.length + 1, draft, null);
    }
    narrow.expectWindow(expected, Math.min(WIDE - 1, most), UNKNOWN);
    consider(2, Math.min(WIDE - 1, most), null, narrow);
    wide.expectWindow(expected, most, narrow.rate(0, UNKNOWN));
    consider(WIDE, most, null, wide);
    return plan;
  }

  /** Instead of a plan without a wide window, now and then one with it, to see what it is worth. */
  function probe(plan: Plan, most: number): Plan {
    if (plan.window === wide) accounts.succeed();
    else if (probeRows >= WIDE && probeRows <= most) {
      if (probing === 0 && accounts.payExperiment(loss[probeRows]! * PROBE_PASSES)) probing = PROBE_PASSES;
      if (probing > 0 && accounts.affords(loss[probeRows]!)) plan = { rows: probeRows, draft: null, window: wide };
    }
    probing = Math.max(0, probing - 1);
    return plan;
  }

  accounts.open();
  if (session.leadingDraft) {
    text.unfinished();
    const verified = await text.verify(
      text.mend(await source.extend(text.tokens, refined, Math.min(LEADING, blockSize, text.left) - 1)),
    );
    refined = verified.refined;
    yield { ...verified.iteration, draft: refined };
  } else yield await text.prefill();
  while (text.unfinished()) {
    const most = Math.min(blockSize, text.left);
    drafts.offer(text.tokens, most - 1);
    const { rows, draft, window } = probe(choose(most), most);
    if (window === wide) lastWidth = rows;

    const kept = window ? refined.subarray(0, rows - 1) : NONE;
    const planned = window ? await source.extend(text.tokens, kept, rows - 1) : (draft ?? NONE).slice(0, rows - 1);
    const guesses = text.mend(planned);
    const verified = await text.verify(guesses);
    refined = verified.refined;

    const { accepted } = verified.iteration;
    const k = accepted.length; // guesses beyond the text's end are no better than wrong ones
    const tried = commonPrefix(kept, guesses);
    for (let i = 1; i <= Math.min(k, tried); i++) window?.observe(i - 1, i < k);
    drafts.learn(accepted, guesses.subarray(k - 1), refined);
    accounts.book(cost(1 + guesses.length) / cost(1), k);
    yield { ...verified.iteration, draft: refined };
  }
}
