// SPDX-License-Identifier: Apache-2.0
// Runs the files of cases/ in the real Pyodide, one process for all, and prints TAP.
// With --write, it writes into the files what their cases print here; with names, only those.
import buffer from "node:buffer";
import { webcrypto } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const modules = createRequire(path.join(process.env.MODULES, "package.json"));
const { loadPyodide } = await import(pathToFileURL(modules.resolve("pyodide/pyodide.mjs")));

const write = process.argv.includes("--write");
const named = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const folder = path.join(here, "cases");
const files = {};
for (const name of fs.readdirSync(folder).sort()) {
  if (name.endsWith(".py") && (named.length === 0 || named.includes(name.slice(0, -3))))
    files[name.slice(0, -3)] = fs.readFileSync(path.join(folder, name), "utf8");
}

// Node 18 has these, but not as globals.
globalThis.File ??= buffer.File;
globalThis.crypto ??= webcrypto;
globalThis.CustomEvent ??= class CustomEvent extends Event {
  constructor(name, options = {}) {
    super(name, options);
    this.detail = options.detail ?? null;
  }
};

// A case may leave a promise that nobody waits for.
process.on("unhandledRejection", () => {});

const pyodide = await loadPyodide();
pyodide.FS.writeFile("/home/pyodide/cases.py", fs.readFileSync(path.join(here, "cases.py")));
const cases = pyodide.pyimport("cases");
const given = pyodide.toPy(files);
if (write) {
  const written = (await cases.written(given)).toJs({ dict_converter: Object.fromEntries });
  for (const [name, text] of Object.entries(written))
    fs.writeFileSync(path.join(folder, `${name}.py`), text);
} else {
  const text = await cases.tap(given);
  console.log(text);
  // Pyodide leaves the timers of what was waited for.
  process.exit(/^not ok /m.test(text) ? 1 : 0);
}
