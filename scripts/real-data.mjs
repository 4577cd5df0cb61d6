/**
 * Where tests and benchmarks find the real model, the data sets and PyTorch's tokens: what `CLLM_MODEL` (or `CLLM_MODELS`),
 * `CLLM_DATA` and `CLLM_GOLDENS` name, else the folder `shared/` beside the checkout. Nothing else names that folder. Whatever
 * needs one of them looks first whether it is there.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FILE = "SmolLM2-135M-Instruct.Q4_1.gguf";
const beside = (...path) => join(fileURLToPath(new URL("../../shared", import.meta.url)), ...path);
const named = (...variables) => variables.map((name) => process.env[name]).find(Boolean);

/** A model by its name or path, as commands take it. */
export function givenModel() {
  return named("CLLM_MODEL", "CLLM_MODELS") ?? beside("models", FILE);
}

/** The file of SmolLM2-135M-Instruct, also where a folder with it is named. */
export function smolLM2() {
  const given = givenModel();
  return given.endsWith(".gguf") ? given : join(given, FILE);
}

/** The folder of models, beside each other. */
export function modelFolder() {
  const models = named("CLLM_MODELS");
  return models === undefined || models.endsWith(".gguf") ? beside("models") : models;
}

/** The folder of data sets, with `gsm8k/`, `spider/`, `humaneval/` and `mt_bench/` in it. */
export function dataSets() {
  return named("CLLM_DATA") ?? beside("data");
}

/** What PyTorch writes with SmolLM2-135M-Instruct: tokens, gaps, losses and gradients, as JSON. */
export function goldensFile() {
  return named("CLLM_GOLDENS") ?? beside("goldens", "smollm2.json");
}
