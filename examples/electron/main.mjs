/** Electron's main process: a window, and the model in a process of its own, so that passes never freeze the window. */
import { fileURLToPath } from "node:url";
import { app, BrowserWindow, ipcMain, utilityProcess } from "electron";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

app.whenReady().then(async () => {
  const model = utilityProcess.fork(path("model.mjs"), process.argv.slice(2, 3));
  const window = new BrowserWindow({ width: 800, height: 500, webPreferences: { preload: path("preload.cjs") } });
  model.on("message", (message) => {
    if (!window.isDestroyed()) window.webContents.send("model", message);
  });
  ipcMain.on("ask", (_, request) => model.postMessage(request));
  await window.loadFile(path("index.html"));
});

app.on("window-all-closed", () => app.quit());
