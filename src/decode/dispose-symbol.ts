/** Browsers and JavaScript engines that do not know `Symbol.asyncDispose` yet get it. To be imported before what uses it. */
if (Symbol.asyncDispose === undefined) {
  Object.defineProperty(Symbol, "asyncDispose", { value: Symbol.for("Symbol.asyncDispose") });
}
