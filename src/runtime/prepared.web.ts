/** A browser keeps no prepared models. The twin of `prepared.ts`. */
export async function withPrepared(): Promise<null> {
  return null;
}
