/**
 * The choice of the next token as a session: `chosen` wraps a session so that what follows each row is picked by penalties,
 * a grammar and sampling instead of plain likelihood. Each choice depends on the tokens before it only, the guesses of a pass
 * among them. So decoders run on it unchanged, and all of them write what `ar` writes on it. Knows no decoder and no text.
 */
import { CllmError } from "../error.ts";
import type { Constraint, State } from "../grammar/types.ts";
import { type Forest, type Session, type TokenIds, trunkLength } from "../runtime/session.ts";
import { WrappedSession } from "../runtime/wrapped-session.ts";
import { bestAllowed, forbid } from "./allowed.ts";
import { noiseAt, sample, sampleAmong } from "./gumbel.ts";
import { isSilent, type Penalties, type PenaltyOptions, penaltiesOf } from "./penalties.ts";
import { type SamplingOptions, samplingOf, survivors } from "./sampling.ts";
import { scoreOf, type TokenScore } from "./scores.ts";

export interface ChoiceOptions extends SamplingOptions, PenaltyOptions {
  /** What the text may be. Default: anything. */
  readonly constraint?: Constraint | undefined;
  /** With a constraint: the ids that end the text. They are allowed where it may end, and nowhere else. */
  readonly endIds?: ReadonlySet<number> | undefined;
  /** Score every token, with so many of the likeliest beside it, up to 20. Default: none is scored. */
  readonly logprobs?: number | undefined;
}

/** A session whose choices are made by options. */
export interface ChosenSession extends Session {
  /** How likely the model itself held the token at `index` of the text, once it is written; null where none is scored. */
  score(index: number): TokenScore | null;
}

/** A row's place in the grammar where what came before it is not allowed. */
const BROKEN = -1;

/**
 * Checks the options (`usage`) and wraps `session`, which holds a prefix of `prompt`; returns it as it is where they change
 * nothing. Disposing of either does.
 *
 * @example
 * const session = chosen(model.session(), prompt, { temperature: 0.8, seed: 7, repetitionPenalty: 1.1 });
 * for await (const { accepted } of jacobi(session, prompt, { maxNewTokens: 64 })) console.log(accepted);
 */
export function chosen(session: Session, prompt: TokenIds, options: ChoiceOptions): Session | ChosenSession {
  const { constraint, endIds = new Set<number>(), logprobs } = options;
  const draw = samplingOf(options, session.vocabSize);
  const penalties = penaltiesOf(options, session.vocabSize);
  if (constraint !== undefined && endIds.size === 0)
    throw new CllmError("usage", "a constraint needs endIds: the ids that may end the text where it may end");
  if (draw === null && isSilent(penalties) && constraint === undefined && logprobs === undefined) return session;
  return new Chosen(session, prompt, { draw, penalties, constraint, endIds, logprobs });
}

/**
 * Seeded sampling alone: `chosen` without what depends on the text. Every decoder writes what seeded autoregressive sampling
 * writes on it.
 *
 * @example
 * const seeded = sampled(session, { temperature: 0.8, seed: 7 });
 * for await (const { accepted } of jacobi(seeded, prompt, { maxNewTokens: 64 })) console.log(accepted);
 */
export function sampled(session: Session, options: SamplingOptions): Session {
  const { temperature, topK, topP, minP, seed } = options;
  return chosen(session, new Int32Array(0), {
    ...(temperature !== undefined && { temperature }),
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
    ...(minP !== undefined && { minP }),
    ...(seed !== undefined && { seed }),
  });
}

interface Rules {
  readonly draw: ReturnType<typeof samplingOf>;
  readonly penalties: Penalties;
  readonly constraint: Constraint | undefined;
  readonly endIds: ReadonlySet<number>;
  readonly logprobs: number | undefined;
}

class Chosen extends WrappedSession implements ChosenSession {
  readonly #rules: Rules;
  readonly #promptLength: number;
  #text: Int32Array; // the cached tokens, and room
  readonly #states: State[] = []; // per cached token from the prompt's last on: where the grammar stands behind it
  readonly #scores = new Map<number, TokenScore>();
  readonly #scratch: Float32Array; // (V,)
  #run: readonly number[] | null = null; // rows that the last pass ran; null for all
  readonly mend?: NonNullable<Session["mend"]>;

  constructor(session: Session, prompt: TokenIds, rules: Rules) {
    super(session);
    this.#rules = rules;
    this.#promptLength = prompt.length;
    this.#text = prompt.slice();
    this.#scratch = new Float32Array(session.vocabSize);
    if (rules.constraint !== undefined) {
      const { constraint } = rules;
      this.#states.push(constraint.start);
      this.mend = (last, guesses, most) => this.#mend(constraint, last, guesses, most);
    }
  }

  async forward(tokens: TokenIds, forest?: Forest): Promise<TokenIds> {
    const start = this.inner.length;
    const pass = this.#place(tokens, forest, start);
    const { rows } = pass;
    const whole = rows.length === tokens.length;
    this.#run = whole ? null : rows;
    const run = whole ? tokens : Int32Array.from(rows, (row) => tokens[row]!);
    const logits = await this.inner.logits(run, whole ? forest : pass.forest); // (T, V)
    this.#hold(run, start, pass);
    const { vocabSize } = this;
    const next = Int32Array.from(tokens, (_, row) => tokens[row + 1] ?? tokens[row]!); // of rows that were not run
    for (const [i, row] of rows.entries()) {
      if (pass.positions[row]! < this.#promptLength - 1) continue;
      const ofRow = logits.subarray(i * vocabSize, (i + 1) * vocabSize);
      next[row] = this.#choose(ofRow, tokens, row, pass);
      const { logprobs } = this.#rules;
      if (logprobs !== undefined && i < pass.trunk)
        // a branch settles nothing
        this.#scores.set(pass.positions[row]! + 1, scoreOf(ofRow, next[row], logprobs));
    }
    return next;
  }

  async prefill(tokens: TokenIds, rows: number): Promise<TokenIds> {
    const head = tokens.subarray(0, tokens.length - rows); // whose logits are not used
    if (head.length > 0) await (this.inner.prefill?.(head, 1) ?? this.inner.forward(head));
    return this.forward(tokens.subarray(head.length));
  }

  override async headGuesses(row: number): Promise<readonly TokenIds[]> {
    const run = this.#run === null ? row : this.#run.indexOf(row);
    return run < 0 ? [] : await super.headGuesses(run);
  }

  score(index: number): TokenScore | null {
    return this.#scores.get(index) ?? null;
  }

  /** Where the grammar stands behind the text of `length` tokens. */
  #stateAt(length: number): State {
    return this.#states[Math.max(0, length - this.#promptLength)] ?? BROKEN;
  }

  #after(state: State, token: number): State {
    const { constraint } = this.#rules;
    if (constraint === undefined || state === BROKEN) return state;
    return constraint.next(state, token) ?? BROKEN;
  }

  /** What is behind each row, and which rows are worth running: the first, and those that the grammar lets be. */
  #place(tokens: TokenIds, forest: Forest | undefined, start: number): Placed {
    const positions = new Int32Array(tokens.length);
    const states: State[] = [];
    const parents = Int32Array.from(tokens, (_, row) => forest?.parents[row] ?? row - 1);
    const places = new Int32Array(tokens.length).fill(-1); // of each row among those that are run
    const rows: number[] = [];
    const draftsFrom = forest?.draftsFrom ?? tokens.length;
    for (const [row, token] of tokens.entries()) {
      const parent = parents[row]!;
      const position = parent < 0 ? start : positions[parent]! + 1;
      positions[row] = position;
      const before = parent < 0 ? this.#stateAt(start) : states[parent]!;
      states.push(position < this.#promptLength ? this.#stateAt(0) : this.#after(before, token));
      const broken = this.#rules.constraint !== undefined && states[row] === BROKEN;
      // A draft row settles nothing, and refines guesses behind one that cannot be.
      if (row > 0 && row < draftsFrom && (broken || (parent >= 0 && places[parent] === -1))) continue;
      places[row] = rows.push(row) - 1;
    }
    const kept = Int32Array.from(rows, (row) => (parents[row]! < 0 ? -1 : places[parents[row]!]!));
    const drafts = rows.filter((row) => row >= draftsFrom).length;
    const run = { parents: kept, draftsFrom: kept.length - drafts };
    const trunk = trunkLength(run);
    return { positions, states, parents, rows, trunk, forest: trunk === kept.length ? undefined : run };
  }

  /** The trunk is in the cache now. */
  #hold(run: TokenIds, start: number, { rows, states, trunk, positions }: Placed): void {
    if (start + trunk > this.#text.length) {
      const larger = new Int32Array(2 * (start + trunk));
      larger.set(this.#text);
      this.#text = larger;
    }
    this.#text.set(run.subarray(0, trunk), start);
    if (this.#rules.constraint === undefined) return;
    for (let i = 0; i < trunk; i++) {
      const at = positions[rows[i]!]! + 1 - this.#promptLength;
      if (at > 0) this.#states[at] = states[rows[i]!]!;
    }
  }

  /** What follows a row. */
  #choose(row: Float32Array, tokens: TokenIds, at: number, pass: Placed): number {
    const { draw, penalties, constraint, endIds } = this.#rules;
    const index = pass.positions[at]! + 1; // of the token that is chosen
    const state = pass.states[at]!;
    const bound = state === BROKEN ? undefined : constraint; // only a draft row can stand behind what is not allowed
    const allowed = bound?.allowed(state) ?? null;
    const ends = bound?.canEnd(state) || isNone(allowed) ? endIds : null;
    let logits = row;
    if (!isSilent(penalties)) {
      this.#scratch.set(row);
      logits = this.#scratch;
      penalties.apply(logits, this.#text.subarray(0, this.#promptLength), this.#written(tokens, at, pass));
    }
    let id: number;
    if (draw === null) id = bestAllowed(logits, allowed, ends);
    else {
      if (allowed !== null) {
        if (logits === row) this.#scratch.set(row);
        logits = this.#scratch;
        forbid(logits, allowed, ends);
      }
      const noise = noiseAt(draw.seed, index);
      id = draw.filtered
        ? sampleAmong(survivors(logits, draw.scale, draw), logits, draw.scale, noise)
        : sample(logits, draw.scale, noise);
    }
    return id;
  }

  /** The tokens of the answer up to and with a row. */
  #written(tokens: TokenIds, at: number, { parents, positions }: Placed): TokenIds {
    const end = positions[at]! + 1;
    const written = new Int32Array(Math.max(0, end - this.#promptLength));
    let row = at;
    let index = written.length - 1;
    for (; row >= 0 && index >= 0; row = parents[row]!, index--) written[index] = tokens[row]!;
    if (index >= 0) written.set(this.#text.subarray(this.#promptLength, this.#promptLength + index + 1));
    return written;
  }

  /**
   * Guesses behind `last`, the token that is accepted and not run yet: what the grammar forces is put in, and they end before
   * the first that it does not allow.
   */
  #mend(constraint: Constraint, last: number, guesses: TokenIds, most: number): TokenIds {
    const before = this.inner.length;
    let state = before < this.#promptLength ? constraint.start : this.#after(this.#stateAt(before), last);
    const mended: number[] = [];
    let at = 0;
    while (mended.length < most && state !== BROKEN) {
      const forced = constraint.forced(state);
      const given = guesses.subarray(at, at + 1);
      const tokens = forced.length > 0 ? forced : given;
      if (tokens.length === 0) break;
      for (const token of tokens) {
        state = mended.length < most ? this.#after(state, token) : BROKEN;
        if (state === BROKEN) break;
        mended.push(token);
        at++;
      }
    }
    return Int32Array.from(mended);
  }
}

/** Whether no token is allowed: none can go on, so the text can only end. */
function isNone(allowed: Uint32Array | null): boolean {
  if (allowed === null) return false;
  for (const word of allowed) if (word !== 0) return false;
  return true;
}

/** The rows of a pass in the text. */
interface Placed {
  readonly positions: Int32Array; // (T,) index of each row's token in the text
  readonly states: readonly State[];
  readonly parents: Int32Array; // (T,)
  /** Those that are run. */
  readonly rows: readonly number[];
  /** How many of them stay in the cache. */
  readonly trunk: number;
  readonly forest: Forest | undefined;
}
