/** The recipes of the adapters, a few steps of each stage on a tiny checkpoint: every command takes what the one before it made. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { builtCommand } from "../cli/command.ts";
import { writeTinyCheckpoint } from "../generate/tiny-checkpoint.ts";
import { hasSharedData, SHARED_DATA, skipNote } from "../tasks/shared-data.ts";

const { scratch, env } = builtCommand();
const script = fileURLToPath(new URL("../../scripts/recipe.mjs", import.meta.url));
const model = writeTinyCheckpoint(join(scratch, "base"), { contextLength: 2048 });
const recipe = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: "utf8", env });

describe("a recipe", () => {
  test.skipIf(!hasSharedData).each([
    ["spider", "gold", 9],
    ["gsm8k", "gold", 10],
  ] as const)(`goes from data to a page, and no further: %s ${skipNote}`, { timeout: 240_000 }, (name, last, steps) => {
    const out = join(scratch, name);
    const flags = [name, "--model", model, "--data-dir", SHARED_DATA, "--out", out, "--small"];
    const { status, stderr } = recipe(...flags);
    expect({ status, stderr }).toMatchObject({ status: 0 });
    for (const file of ["target/curves.svg", "trajectories.parquet", `${last}/log.jsonl`, "cllm-f16/cllm.json"]) {
      expect(existsSync(join(out, file)), file).toBe(true);
    }
    const report = JSON.parse(readFileSync(join(out, "evaluation/report.json"), "utf8"));
    expect(report).toMatchObject({ task: name, questions: 2, target: "base:target, ar" });
    for (const { differing } of report.contenders) expect(differing).toBe(0);
    const again = recipe(...flags);
    expect(again.status).toBe(0);
    expect(again.stderr.match(/: done, /g)).toHaveLength(steps);
  });

  test.skipIf(!hasSharedData).each(["spider-draft", "gsm8k-draft"])(
    `goes from prompts to a draft adapter that changes no answer: %s ${skipNote}`,
    { timeout: 240_000 },
    (name) => {
      const out = join(scratch, name);
      const flags = [name, "--model", model, "--data-dir", SHARED_DATA, "--out", out, "--small"];
      const { status, stderr } = recipe(...flags);
      expect({ status, stderr }).toMatchObject({ status: 0 });
      const own = JSON.parse(readFileSync(join(out, "draft-f16/cllm.json"), "utf8"));
      expect(own).toEqual({ draft_adapter: true, draft_token_id: 16 });
      for (const file of ["README.md", "ngrams.safetensors"])
        expect(existsSync(join(out, "draft-f16", file))).toBe(true);
      const report = JSON.parse(readFileSync(join(out, "evaluation/report.json"), "utf8"));
      for (const { differing } of report.contenders) expect(differing).toBe(0);
      expect(recipe(...flags).stderr.match(/: done, /g)).toHaveLength(name === "gsm8k-draft" ? 10 : 7);
      const heads = recipe(name.replace("-draft", "-medusa"), ...flags.slice(1));
      expect({ status: heads.status, stderr: heads.stderr }).toMatchObject({ status: 0 });
      expect(heads.stderr.match(/: done, /g)).toHaveLength(3); // the answers are those of the draft adapter's
      expect(existsSync(join(out, "heads/best/medusa_lm_head.safetensors"))).toBe(true);
      const asked = JSON.parse(readFileSync(join(out, "evaluation-heads/report.json"), "utf8"));
      expect(asked.contenders.map(({ decoder }: { decoder: string }) => decoder)).toContain("medusa");
      for (const { differing } of asked.contenders) expect(differing).toBe(0);
      const guessing = recipe(`${name}-model`, ...flags.slice(1));
      expect({ status: guessing.status, stderr: guessing.stderr }).toMatchObject({ status: 0 });
      const smaller = JSON.parse(readFileSync(join(out, "draft-model/best/config.json"), "utf8"));
      expect(smaller.num_hidden_layers).toBe(1);
      const compared = JSON.parse(readFileSync(join(out, "evaluation-draft-model/report.json"), "utf8"));
      expect(compared.contenders.map(({ decoder }: { decoder: string }) => decoder)).toContain("draft-model");
      for (const { differing } of compared.contenders) expect(differing).toBe(0);
    },
  );

  test.each([
    [
      ["spidr"],
      /no recipe "spidr". There are: gsm8k, gsm8k-draft, gsm8k-draft-model, gsm8k-medusa, spider, spider-draft, spider-draft-model, spider-medusa, text-to-sql-draft/,
    ],
    [["spider", "--data-dir", "nowhere"], /no folder nowhere/],
    [["spider", "--modle", "x"], /--modle/],
  ])("refuses %j", (args, message) => {
    const { status, stderr } = recipe(...args);
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});
