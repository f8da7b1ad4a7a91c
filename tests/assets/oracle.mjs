// SPDX-License-Identifier: Apache-2.0
// What miniflare answers to each of cases.json, a line each, as JSON:
// [html_handling, not_found_handling, path, status, location, body, {header: value}].
//
//	MODULES=FOLDER RULES=FILE node oracle.mjs    FOLDER/node_modules has miniflare, FILE is rules.json of the site
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import path from "node:path";

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const { Miniflare } = createRequire(path.resolve(process.env.MODULES, "node_modules") + "/")("miniflare");
const cases = JSON.parse(readFileSync(path.join(here, "cases.json"), "utf8"));
const rules = JSON.parse(readFileSync(process.env.RULES, "utf8"));

// As wrangler hands rules over.
function configOf(html, missing) {
	const staticRules = {}, dynamic = {};
	rules.redirects.forEach(([from, to, status], i) => {
		if (/[*:]/.test(from.replace("https://", ""))) dynamic[from] = { status, to };
		else staticRules[from] = { status, to, lineNumber: i + 1 };
	});
	const headers = {};
	for (const [pattern, set, unset] of rules.headers)
		headers[pattern] = { set: Object.fromEntries(set), unset };
	return {
		html_handling: html, not_found_handling: missing,
		redirects: { version: 1, staticRules, rules: dynamic },
		headers: { version: 2, rules: headers },
	};
}

function ask(url, target) {
	return new Promise((resolve, reject) => {
		const out = request({ host: url.hostname, port: url.port, path: target, headers: { host: "site.example" } }, (answer) => {
			const parts = [];
			answer.on("data", (part) => parts.push(part));
			answer.on("end", () => resolve([answer, Buffer.concat(parts).toString()]));
		});
		out.on("error", reject);
		out.end();
	});
}

for (const [i, [html, missing]] of cases.configs.entries()) {
	const mf = new Miniflare({
		modules: true, script: "export default { fetch() { return new Response('worker') } }",
		compatibilityDate: "2026-03-01",
		assets: {
			directory: path.join(here, "site"), assetConfig: configOf(html, missing),
			routerConfig: { has_user_worker: false },
		},
	});
	const url = await mf.ready;
	for (const target of i ? cases.files : [...cases.files, ...cases.rules]) {
		const [answer, body] = await ask(url, target);
		const headers = cases.headers.filter((name) => name in answer.headers).map((name) => [name, answer.headers[name]]);
		console.log(JSON.stringify([html, missing, target, answer.statusCode, answer.headers.location ?? null,
			body.trim(), Object.fromEntries(headers)]));
	}
	await mf.dispose();
}
