/** What names a model in a browser. */
import { expect, test } from "vitest";
import { webAddress } from "../../src/checkpoint/web-address.ts";

const base = "https://example.org/app/page.html";
const HUB = "https://huggingface.co";

test.each([
  ["/models/mine/", "https://example.org/models/mine", "mine"],
  ["./mine", "https://example.org/app/mine", "mine"],
  ["../my%20model", "https://example.org/my%20model", "my model"],
  ["http://127.0.0.1:8080/model", "http://127.0.0.1:8080/model", "model"],
  ["owner/name", `${HUB}/owner/name/resolve/main`, "owner/name"],
  ["hf://owner/name@v2", `${HUB}/owner/name/resolve/v2`, "owner/name"],
  [`${HUB}/owner/name`, `${HUB}/owner/name/resolve/main`, "owner/name"],
  ["owner/name/q8/a b.gguf", `${HUB}/owner/name/resolve/main/q8/a%20b.gguf`, "owner/name/q8/a b.gguf"],
  ["/models/model.gguf", "https://example.org/models/model.gguf", "model.gguf"],
])("%s", (text, address, name) => {
  expect(webAddress(text, base)).toEqual({ address, name });
});

test("a revision that is given is asked for", () => {
  expect(webAddress("owner/name", base, "refs/pr/1").address).toBe(`${HUB}/owner/name/resolve/refs%2Fpr%2F1`);
});

test.each([
  ["", "not-found"],
  ["mine", "not-found"],
  ["owner/name:Q4_K_M", "unsupported"],
])("%s is refused", (text, code) => {
  expect(() => webAddress(text, base)).toThrow(expect.objectContaining({ code }));
});
