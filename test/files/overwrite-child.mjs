/** Overwrites a folder of two files again and again, from the built package: to be killed. */
import { pathToFileURL } from "node:url";

const [folder, dist] = process.argv.slice(2);
const { writeText, writeWholeFolder } = await import(pathToFileURL(`${dist}/files/write-whole.js`));
for (let i = 0; ; i++) {
  const write = async (partial) => {
    await writeText(partial, "config.json", `${i}`);
    await writeText(partial, "weights", `${i}`);
  };
  await writeWholeFolder(folder, write, { overwrite: true, marker: "config.json" });
  if (i === 0) console.log("begun");
}
