/**
 * Commands with several models: flags that may be repeated, each value as `name=path`, and which models they say. Knows no
 * command in particular.
 */
import { basename, resolve } from "node:path";
import * as z from "zod";
import type { Fields } from "../generate/options.ts";
import { type ServedModel, servedModels } from "../serve/served-models.ts";
import { type DraftSettings, type ModelSettings, modelFields } from "./command.ts";
import { inGroup } from "./flags.ts";

type Repeated = "model" | "adapter" | "draftAdapter" | "draftModel" | "medusaHeads" | "ngrams";

/** As the settings of one model, with lists of those that may be repeated. */
export type SeveralSettings = Omit<ModelSettings, Repeated> & { readonly [key in Repeated]: readonly string[] };

/** Any number of texts. */
export const listField: z.ZodType<readonly string[]> = z.array(z.string().min(1)).default([]);

/** The fields of a command's models, with what it says of two of them. */
export const severalFields = (says: { readonly model: string; readonly adapter: string }): Fields<SeveralSettings> => ({
  ...modelFields,
  ...inGroup("Model", {
    model: listField.meta({ description: says.model, placeholder: "model", short: "m" }),
    adapter: listField.meta({ description: says.adapter, placeholder: "name=folder" }),
    draftAdapter: listField.meta({
      description: "draft adapter of one of these models, as name=folder; may be repeated, and changes no text",
      placeholder: "name=folder",
    }),
    draftModel: listField.meta({
      description:
        "smaller model with the same vocabulary that guesses for one of these, as name=model; may be repeated",
      placeholder: "name=model",
    }),
    medusaHeads: listField.meta({
      description:
        "Medusa heads of one of these models, as name=folder, for the decoders medusa and auto; may be repeated",
      placeholder: "name=folder",
    }),
    ngrams: listField.meta({
      description: "n-grams of the answers of one of these models, as name=folder; may be repeated, and change no text",
      placeholder: "name=folder",
    }),
  }),
});

/** The models that the settings name; `otherwise` where they name none. Throws what `servedModels` throws. */
export const modelsOf = (settings: SeveralSettings, otherwise: () => string): readonly ServedModel[] =>
  servedModels(settings.model.length > 0 ? settings.model : [otherwise()], {
    adapters: settings.adapter,
    draftAdapters: settings.draftAdapter,
    draftModels: settings.draftModel,
    medusaHeads: settings.medusaHeads,
    ngrams: settings.ngrams,
  });

/** What is each model's own, where none has been said. */
export const ofOneModel: { readonly [key in Exclude<Repeated, "model">]: undefined } = {
  adapter: undefined,
  draftAdapter: undefined,
  draftModel: undefined,
  medusaHeads: undefined,
  ngrams: undefined,
};

/** The settings of one of several models. */
export const settingsOf = (settings: SeveralSettings, { name: _, ...own }: ServedModel): ModelSettings => ({
  ...settings,
  ...ofOneModel,
  ...own,
});

type DraftNames = { readonly [key in Exclude<keyof DraftSettings, "suffixMemory">]?: string };

/** What drafts for a model, by the names of folders and files, for what a command stores. */
export const draftNames = ({ draftAdapter, draftModel, medusaHeads, ngrams }: DraftSettings): DraftNames => ({
  ...(draftAdapter !== undefined && { draftAdapter: basename(resolve(draftAdapter)) }),
  ...(draftModel !== undefined && { draftModel: basename(resolve(draftModel)) }),
  ...(medusaHeads !== undefined && { medusaHeads: basename(resolve(medusaHeads)) }),
  ...(ngrams !== undefined && { ngrams: basename(resolve(ngrams)) }),
});
