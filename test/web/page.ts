/** The playground's modules that know no page, with their types as the tests use them. */

export interface Token {
  readonly id: number;
  readonly text: string;
}

export interface Pass {
  readonly prefill: boolean;
  readonly rows: number;
  readonly ms: number;
  readonly accepted: readonly Token[];
  readonly guesses: readonly Token[];
}

export interface Figures {
  readonly tokens: number;
  readonly passes: number;
  readonly ms: number;
  readonly tokensPerPass: number | null;
  readonly tokensPerSecond: number | null;
}

export interface Settings {
  readonly model: string;
  readonly question: string;
  readonly form: string;
  readonly decoder: string;
  readonly blockSize: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed: number;
}

interface Modules {
  "events.js": {
    createEventParser(): (text: string) => string[];
    readEvents(response: Response): AsyncGenerator<string, void, void>;
  };
  "run.js": {
    figures(passes: readonly Pass[], count?: number): Figures;
    endTimes(passes: readonly Pass[]): number[];
    passAt(ends: readonly number[], time: number): number;
    firstDifference(a: readonly Pass[], b: readonly Pass[]): number | null;
    slowdownFor(ms: number): number;
    describe(pass: Pass, index: number): string;
  };
  "link.js": {
    readonly DECODERS: readonly string[];
    readonly FORMS: readonly string[];
    readonly DEFAULTS: Settings;
    readonly RANGES: Readonly<
      Record<string, { readonly least: number; readonly most: number; readonly whole: boolean }>
    >;
    writeLink(settings: Settings): string;
    readLink(hash: string): Settings | null;
  };
  "client.js": {
    requestOf(settings: Settings, decoder: string, database: object | null): { path: string; body: object };
    streamPasses(
      request: { path: string; body: object },
      key: string,
      signal: AbortSignal,
    ): AsyncGenerator<{ pass: Pass | null; text: string }, void, void>;
    listModels(key: string): Promise<string[]>;
  };
}

export async function pageModule<Name extends keyof Modules>(name: Name): Promise<Modules[Name]> {
  return (await import(new URL(`../../web/${name}`, import.meta.url).href)) as Modules[Name];
}
