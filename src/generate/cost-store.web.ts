/**
 * Where a browser keeps the costs of passes: in its Cache API, under everything that they depend on. What is damaged or cannot be kept
 * is measured again. The twin of `cost-store.ts`.
 */
import { CALIBRATED_SIZES, type Calibration, METHOD } from "./calibrate.ts";
import { costsSchema, isFresh } from "./kept-costs.ts";

/** The package's version, which the build puts in its place. */
declare const CLLM_VERSION: string;

const CACHE = "cllm-costs";

export async function cachedPassCosts(
  _cacheDir: string | undefined,
  key: readonly (string | number)[],
  measure: () => Promise<Calibration>,
): Promise<Calibration> {
  const machine = [navigator.hardwareConcurrency, navigator.userAgent];
  const whole = JSON.stringify([...key, CALIBRATED_SIZES, METHOD, CLLM_VERSION, ...machine]);
  const address = `${self.location.origin}/cllm-costs?${new URLSearchParams({ key: whole })}`; // nothing is fetched from there
  const cache = await openCache();
  try {
    const kept = await cache?.match(address);
    if (kept !== undefined && isFresh(Number(kept.headers.get("x-cllm-time")))) {
      const { costs, key: keptKey } = costsSchema.parse(await kept.json());
      if (keptKey === whole) return { costs: new Map(costs), verdict: "good" };
    }
  } catch {
    // None yet, or damaged.
  }
  const measured = await measure();
  if (measured.verdict !== "good") return measured;
  const content = JSON.stringify({ key: whole, costs: [...measured.costs] });
  const headers = { "content-type": "application/json", "x-cllm-time": String(Date.now()) };
  await cache?.put(address, new Response(content, { headers })).catch(() => {});
  return measured;
}

/** Null where the page has none: it is not served securely. */
async function openCache(): Promise<Cache | null> {
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}
