/** The script that bundles for browsers, with its types: for tests and benchmarks in a page. */
interface Chunk {
  readonly fileName: string;
  readonly code: string;
}
interface Bundler {
  readonly ENTRIES: Readonly<Record<string, string>>;
  readonly WITH_ENGINE: object;
  bundle(input: Readonly<Record<string, string>>, options?: object): Promise<Chunk[]>;
  webChunks(): Promise<Chunk[]>;
  foreignModules(chunks: readonly Chunk[]): string[];
  firstChunks(chunks: readonly Chunk[]): Chunk[];
  gzipped(chunks: readonly Chunk[]): number;
}

export const root: URL = new URL("../../", import.meta.url);
export const bundler: Bundler = (await import(
  /* @vite-ignore */ new URL("scripts/web/bundle.mjs", root).href
)) as Bundler;
