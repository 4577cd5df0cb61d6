/** What a run needs to go on with an adapter that is there. Trains nothing. */
import type { Adapter } from "../checkpoint/peft/types.ts";
import { CllmError } from "../error.ts";
import { isLoraTarget, LORA_TARGETS, type LoraTarget, loraNames } from "../model/lora.ts";
import type { NamedTensor } from "../model/memory-weights.ts";
import type { TrainFields } from "./settings.ts";

export interface AdapterStart {
  readonly adapter: Adapter;
  readonly tensors: readonly NamedTensor[];
  readonly lora: Pick<TrainFields, "loraRank" | "loraAlpha" | "loraTargets">;
}

/** An adapter's tensors by the names that training has for them, and the settings that fit. Throws `usage` or `unsupported`. */
export function startOf(
  adapter: Adapter,
  wanted: { readonly [K in "loraRank" | "loraAlpha"]?: TrainFields[K] | undefined } & { readonly fromScratch: boolean },
  nameOf: (option: string) => string,
): AdapterStart {
  const { name, modules, rankStabilized, copies } = adapter;
  if (wanted.fromScratch)
    throw new CllmError("usage", `give ${nameOf("fromAdapter")} or ${nameOf("fromScratch")}, not both`);
  const [{ rank, alpha } = { rank: 0, alpha: 0 }] = modules.values();
  const has = (module: string, ...targets: readonly LoraTarget[]): boolean =>
    isLoraTarget(`${module}.weight`, { targets });
  const targets = LORA_TARGETS.filter((target) => [...modules.keys()].some((module) => has(module, target)));
  const alike = [...modules].every(
    ([module, own]) => own.rank === rank && own.alpha === alpha && has(module, ...targets),
  );
  if (!alike || rankStabilized || copies !== undefined) {
    const other =
      copies === undefined ? "has matrices of several ranks or of other kinds" : "has an embedding or a head";
    const what = rankStabilized ? "is rank-stabilized" : other;
    throw new CllmError("unsupported", `${name} ${what}: only plain adapters of one rank can be trained on`);
  }
  for (const [option, asked, own] of [
    ["loraRank", wanted.loraRank || rank, rank],
    ["loraAlpha", wanted.loraAlpha ?? alpha, alpha],
  ] as const) {
    if (asked !== own) throw new CllmError("usage", `${nameOf(option)} is ${asked}, but ${name} has ${own}: omit it`);
  }
  const tensors: NamedTensor[] = [...modules].flatMap(([module, { a, b, inputs, outputs }]) => {
    const names = loraNames(`${module}.weight`);
    return [
      { name: names.a, shape: [rank, inputs], data: a },
      { name: names.b, shape: [outputs, rank], data: b },
    ];
  });
  return { adapter, tensors, lora: { loraRank: rank, loraAlpha: alpha, loraTargets: targets } };
}
