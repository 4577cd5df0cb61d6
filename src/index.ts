export { CllmError, type ErrorCode } from "./error.ts";
