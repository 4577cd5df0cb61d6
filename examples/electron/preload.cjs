/** What the window may do: ask, stop, and hear what the model says. */
const { contextBridge, ipcRenderer } = require("electron");

contextBridge.exposeInMainWorld("model", {
  ask: (request) => ipcRenderer.send("ask", request),
  onMessage: (listen) => ipcRenderer.on("model", (_, message) => listen(message)),
});
