/** What is kept of costs, wherever they are: the same in a folder and in a browser. */
import * as z from "zod";

const MAX_AGE_MS = 7 * 24 * 3600 * 1000; // machines change: other programs, drivers, power settings

interface KeptCosts {
  /** What they are for, in full. */
  readonly key: string;
  readonly costs: [size: number, ms: number][];
}

export const costsSchema: z.ZodType<KeptCosts> = z.strictObject({
  key: z.string(),
  costs: z.array(z.tuple([z.int().min(1), z.number().positive()])).min(1),
});

/** Whether costs of that time, in milliseconds since 1970, may still be believed. */
export const isFresh = (time: number): boolean => Date.now() - time < MAX_AGE_MS;
