/** Makes what a checkpoint's text needs ready: in a page that loads code, here it is there already. */
import type { TokenizerSource } from "../checkpoint/tokenizer-source.ts";

/** To be awaited before `createTokenizer` and `createChatTemplate`, where they run in a page too. */
export async function textReady(_source: TokenizerSource): Promise<void> {}
