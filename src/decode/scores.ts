/** How likely a model held a token and its rivals: logarithms of probabilities, from logits as the model gave them. */
export interface TokenScore {
  /** Natural logarithm of the probability of the token that was chosen. */
  readonly logprob: number;
  /** The likeliest tokens, the likeliest first; as many as were asked for. */
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

/** The score of `id` in a row of logits, with the `count` likeliest beside it; the smaller id comes first of equals. */
export function scoreOf(row: Float32Array, id: number, count: number): TokenScore {
  let highest = Number.NEGATIVE_INFINITY;
  for (const logit of row) if (logit > highest) highest = logit;
  let sum = 0;
  for (const logit of row) sum += Math.exp(logit - highest);
  const whole = highest + Math.log(sum);
  const top: number[] = [];
  if (count > 0)
    for (let each = 0; each < row.length; each++) {
      if (top.length === count && row[each]! <= row[top.at(-1)!]!) continue;
      let at = top.length;
      while (at > 0 && row[top[at - 1]!]! < row[each]!) at--;
      top.splice(at, 0, each);
      if (top.length > count) top.pop();
    }
  return { logprob: row[id]! - whole, top: top.map((each) => ({ id: each, logprob: row[each]! - whole })) };
}
