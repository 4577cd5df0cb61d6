/** `cllm train --from-adapter`: what a run needs to go on with an adapter that is there. Trains nothing. */
import type { Adapter } from "../checkpoint/peft/types.ts";
import { CllmError } from "../error.ts";
import { LORA_TARGETS, loraNames } from "../model/lora.ts";
import type { NamedTensor } from "../model/memory-weights.ts";
import type { TrainFields } from "../train/settings.ts";

export interface AdapterStart {
  readonly adapter: Adapter;
  readonly tensors: readonly NamedTensor[];
  readonly lora: Pick<TrainFields, "loraRank" | "loraAlpha" | "loraTargets">;
}

/** An adapter's tensors by the names that training has for them, and the settings that fit. Throws `usage` or `unsupported`. */
export function startOf(
  adapter: Adapter,
  { loraRank, loraAlpha, fromScratch }: Pick<TrainFields, "loraRank" | "loraAlpha"> & { readonly fromScratch: boolean },
): AdapterStart {
  const { name, modules, rankStabilized } = adapter;
  if (fromScratch) throw new CllmError("usage", "give --from-adapter or --from-scratch, not both");
  const [{ rank, alpha } = { rank: 0, alpha: 0 }] = modules.values();
  const targets = LORA_TARGETS.filter((target) => [...modules.keys()].some((module) => module.endsWith(`.${target}`)));
  const alike = [...modules].every(
    ([module, own]) =>
      own.rank === rank && own.alpha === alpha && targets.some((target) => module.endsWith(`.${target}`)),
  );
  if (!alike || rankStabilized) {
    const what = rankStabilized ? "is rank-stabilized" : "has matrices of several ranks or of other kinds";
    throw new CllmError("unsupported", `${name} ${what}: only plain adapters of one rank can be trained on`);
  }
  for (const [flag, wanted, own] of [
    ["--lora-rank", loraRank || rank, rank],
    ["--lora-alpha", loraAlpha ?? alpha, alpha],
  ] as const) {
    if (wanted !== own) throw new CllmError("usage", `${flag} is ${wanted}, but ${name} has ${own}: leave it away`);
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
