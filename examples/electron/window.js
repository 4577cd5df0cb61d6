/** The window: sends the question, and shows the answer as it comes. */
const element = (id) => document.getElementById(id);
let id = 0;

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  window.model.ask({ id, abort: true });
  element("answer").textContent = "";
  element("figures").textContent = "";
  window.model.ask({ id: ++id, prompt: element("prompt").value });
});
element("stop").addEventListener("click", () => window.model.ask({ id, abort: true }));
window.model.onMessage((message) => {
  if (message.id !== id) return;
  if (message.text) element("answer").append(message.text);
  if (message.error) element("figures").textContent = message.error;
  if (message.stats) element("figures").textContent = `${message.stats.tokensPerSecond.toFixed(0)} tokens/s`;
});
