/**
 * Medusa's losses and gradients beside PyTorch's: the heads of FasterDecoding's Medusa written with `torch.nn` on a model that transformers
 * loads, on the same tokens. Runs where Python has both: `CLLM_PYTHON` names one, else `python3` is asked.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { writeHeads } from "../../src/checkpoint/medusa/heads.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { cleanSegment } from "../../src/train/objectives.ts";
import { fullParameters, medusaParameters } from "../../src/train/parameters.ts";
import { trainSettings } from "../../src/train/settings.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { gaussian, randomIds } from "../model/random-model.ts";

const python = process.env["CLLM_PYTHON"] ?? "python3";
const WANTED = "torch, transformers, safetensors";
const isThere = spawnSync(python, ["-c", `import ${WANTED}`]).status === 0;
const hint = isThere ? "" : ` (skipped: ${python} has not all of ${WANTED}; CLLM_PYTHON names another one)`;
const scratch = mkdtempSync(join(tmpdir(), "cllm-medusa-torch-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const SCRIPT = `
import json, sys, torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
model_path, heads_path, request = sys.argv[1], sys.argv[2], json.load(open(sys.argv[3]))
class ResBlock(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.linear, self.act = torch.nn.Linear(size, size), torch.nn.SiLU()
    def forward(self, x):
        return x + self.act(self.linear(x))
model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
size, count = model.config.hidden_size, request["heads"]
last = [torch.nn.Linear(size, model.config.vocab_size, bias=False)] if request["own"] else []
heads = torch.nn.ModuleList(torch.nn.Sequential(ResBlock(size), *[torch.nn.Linear(size, model.config.vocab_size, bias=False) for _ in last]) for _ in range(count))
heads.load_state_dict(load_file(heads_path))
if request["frozen"]:
    for p in model.parameters(): p.requires_grad = False
ids, start = torch.tensor(request["ids"])[None], request["start"]
hidden = model.model(ids).last_hidden_state[0]
loss_of = torch.nn.CrossEntropyLoss()
loss = 0 if request["frozen"] else loss_of(model.lm_head(hidden[start:-1]), ids[0, start + 1:])
each = []
for k, head in enumerate(heads):
    y = head(hidden[start:-(2 + k)])
    if not request["own"]: y = model.lm_head(y)
    own = loss_of(y, ids[0, start + 2 + k:])
    each.append(own.item())
    loss = loss + request["weight"] * 0.8 ** (k + 1) * own
loss.backward()
grads = {name: p.grad.flatten().tolist() for name, p in heads.named_parameters()}
if not request["frozen"]: grads["model.layers.0.mlp.down_proj.weight"] = model.model.layers[0].mlp.down_proj.weight.grad.flatten().tolist()
print(json.dumps({"loss": loss.item(), "heads": each, "gradients": grads}))
`;

describe.skipIf(!isThere)(`heads in PyTorch${hint}`, () => {
  test.each([
    ["a frozen base and a shared matrix", {}],
    ["own matrices", { medusaLinear: "own" }],
    ["the base too", { medusaBase: "trained", medusaWeight: 0.2 }],
  ] as const)(
    "%s: loss and gradients are ours",
    async (_, more) => {
      const settings = trainSettings({ objective: "medusa", medusaNumHeads: 3, sequenceLength: 64, ...more });
      const shape = settings.medusa!;
      const model = writeTinyCheckpoint(join(scratch, "tiny"));
      const checkpoint = await openCheckpoint(model);
      const { config, weights } = checkpoint;
      const base = shape.base === "frozen" ? null : await fullParameters(config, weights);
      const parameters = await medusaParameters(config, weights, shape, base);
      const random = gaussian(8);
      for (const { name, data } of parameters.trained)
        if (/^\d/.test(name)) for (let i = 0; i < data.length; i++) data[i] = 0.1 * random();
      const heads = parameters.trained.filter(({ name }) => /^\d/.test(name));
      const folder = join(scratch, `heads-${shape.base}-${shape.ownLinear}`);
      await writeHeads(folder, { shape, config, tensors: heads, baseModel: model, baseAdapter: null });
      const example = {
        promptIds: randomIds(5, config.vocabSize, 1),
        completionIds: randomIds(17, config.vocabSize, 2),
      };
      const ids = [...example.promptIds, ...example.completionIds];
      const request = join(scratch, "request.json");
      const frozen = shape.base === "frozen";
      const start = example.promptIds.length - 1;
      writeFileSync(
        request,
        JSON.stringify({ ids, start, heads: shape.heads, own: shape.ownLinear, frozen, weight: shape.weight }),
      );
      const args = ["-c", SCRIPT, model, join(folder, "medusa_lm_head.safetensors"), request];
      const { status, stdout, stderr } = spawnSync(python, args, { encoding: "utf8", maxBuffer: 2 ** 28 });
      expect({ status, stderr }).toMatchObject({ status: 0 });
      const theirs = JSON.parse(stdout.trim().split("\n").at(-1)!) as {
        loss: number;
        heads: number[];
        gradients: Record<string, number[]>;
      };
      await using trainer = await Trainer.create(config, parameters, { ...settings, threads: 1 });
      const count = example.completionIds.length;
      const factors = Array.from({ length: shape.heads }, (_, k) => (shape.weight * 0.8 ** (k + 1)) / (count - 1 - k));
      const pack = { segments: [cleanSegment(example)] };
      const ours = await trainer.gradients([pack], { ar: 1 / count, consistency: 0 }, factors);
      const byTensor = await trainer.read(ours);
      expect(ours.loss).toBeCloseTo(theirs.loss, 4);
      for (const [k, { sum, weight }] of ours.headLosses.entries())
        expect(sum / weight).toBeCloseTo(theirs.heads[k]!, 4);
      for (const [name, expected] of Object.entries(theirs.gradients)) {
        const found = byTensor[parameters.trained.findIndex((tensor) => tensor.name === name)]!;
        const largest = Math.max(...expected.map(Math.abs));
        const apart = Math.max(...expected.map((value, i) => Math.abs(value - found[i]!)));
        expect(apart / largest).toBeLessThan(1e-3); // float32 sums in another order
      }
      await checkpoint.close();
    },
    120_000,
  );
});
