/** A browser keeps no prepared models: weights are prepared in memory. The twin of `prepared-options.ts`. */
export async function preparedOptions(): Promise<undefined> {}
