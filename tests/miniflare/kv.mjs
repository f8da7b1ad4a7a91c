// SPDX-License-Identifier: Apache-2.0
// Makes the calls of kv.json in npm's miniflare, and prints as TAP whether they give what is written there. With
// --write, it writes down what they give.
//
//	MODULES   where `npm ci` has put miniflare
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const { Miniflare } = createRequire(path.join(process.env.MODULES, "package.json"))("miniflare");

const file = path.join(here, "kv.json");
const cases = JSON.parse(fs.readFileSync(file, "utf8"));
const miniflare = new Miniflare({
  modules: true,
  scriptPath: path.join(here, "worker.js"),
  compatibilityDate: "2026-03-01",
  kvNamespaces: ["KV"],
  // Nothing of it goes to a network.
  cf: false,
});
const answer = await miniflare.dispatchFetch("http://host/", { method: "POST", body: JSON.stringify(cases) });
const results = await answer.json();
await miniflare.dispose();

if (process.argv.includes("--write")) {
  cases.forEach(({ calls }, n) => calls.forEach((step, at) => (step.gives = results[n][at])));
  const lines = cases.map(({ name, calls }) => {
    const steps = calls.map((step) => "  " + JSON.stringify(step)).join(",\n");
    return `{"name": ${JSON.stringify(name)}, "calls": [\n${steps}\n]}`;
  });
  fs.writeFileSync(file, `[\n${lines.join(",\n")}\n]\n`);
} else {
  let failed = 0;
  cases.forEach(({ name, calls }, n) => {
    const wrong = calls.filter((step, at) => JSON.stringify(step.gives) !== JSON.stringify(results[n][at]));
    failed += wrong.length > 0;
    console.log(`${wrong.length ? "not ok" : "ok"} ${n + 1} - ${name}`);
    for (const step of wrong) {
      console.log(`# ${JSON.stringify(step.call)} gives ${JSON.stringify(results[n][calls.indexOf(step)])}`);
    }
  });
  console.log(`1..${cases.length}`);
  process.exitCode = failed ? 1 : 0;
}
