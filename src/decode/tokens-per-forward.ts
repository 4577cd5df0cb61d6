/**
 * Tokens per forward: the one definition that the library, the server, evaluations and training share. Knows counts only.
 */

/**
 * Tokens that decode passes added to the text over the number of these passes; 0 where there was none. `accepted` has one
 * count for each decode pass. The prompt's pass stands apart with all that it gave: its bonus token, and the guesses that
 * it confirmed where a first draft rode in it. Over several texts it is the same of all their passes together.
 *
 * @example tokensPerForward([4, 1, 4]) // 3
 */
export function tokensPerForward(accepted: readonly number[]): number {
  return accepted.length === 0 ? 0 : accepted.reduce((sum, count) => sum + count, 0) / accepted.length;
}
