// SPDX-License-Identifier: Apache-2.0
// A browser, and the daemon's API from outside of it. tests/dashboard/run sets the environment.

import assert from 'node:assert/strict';
import {request} from 'node:http';
import {createRequire} from 'node:module';
import {after, before, test} from 'node:test';

const env = process.env;
const require = createRequire(`${env.MODULES}/`);
const {chromium} = require('playwright-core');

export const PATIENCE = Number(env.PATIENCE ?? 60) * 1000;
export const URL_ = env.DASHBOARD_URL;
export const ALPHA = {id: env.ALPHA_ID, token: env.ALPHA_TOKEN};
export const BETA = {id: env.BETA_ID, token: env.BETA_TOKEN};
export const GAMMA = {id: env.GAMMA_ID, token: env.GAMMA_TOKEN};
export const OPERATOR = {token: env.OPERATOR_TOKEN};

let browser;

before(async () => {
	// Tests run as root, which Chromium's own sandbox does not.
	browser = await chromium.launch({executablePath: env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox']});
});
after(() => browser?.close());

// browse('what', async (page) => ...): a test in a tab of its own, in which nothing may go wrong
// that is not expected: an exception, a violation of the page's policy, a dialog, a request to
// another host.
export function browse(name, fn, options = {}) {
	test(name, {timeout: PATIENCE * 2}, async () => {
		const context = await browser.newContext({viewport: {width: 1280, height: 900}, acceptDownloads: true, ...options});
		const page = await context.newPage();
		const wrong = [];

		page.setDefaultTimeout(PATIENCE);
		page.on('pageerror', (e) => wrong.push(`exception: ${e.stack}`));
		page.on('dialog', (d) => {
			wrong.push(`dialog: ${d.message()}`);
			d.dismiss();
		});
		page.on('console', (m) => {
			if (/Content Security Policy|Trusted/i.test(m.text()))
				wrong.push(m.text());
		});
		page.on('request', (r) => {
			if (!r.url().startsWith(URL_) && !r.url().startsWith('blob:'))
				wrong.push(`request: ${r.url()}`);
		});
		try {
			await fn(page, context);
			assert.deepEqual(wrong, []);
		} finally {
			await context.close();
		}
	});
}

export async function api(who, method, path, body) {
	const response = await fetch(URL_ + path.replace(/^\//, ''), {
		method, headers: {Authorization: `Bearer ${who.token}`, 'Content-Type': 'application/json'},
		body: body === undefined ? undefined : JSON.stringify(body),
	});
	const text = await response.text();

	assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
	return JSON.parse(text);
}

// Asks the HTTP worker of alpha at the edge; the status.
export function askWorker(path) {
	const [host, port] = env.EDGE_HTTP.split(':');

	return new Promise((resolve, reject) => {
		request({host, port, path, headers: {Host: 'shop.alpha.localhost'}}, (answer) => {
			answer.resume();
			answer.on('end', () => resolve(answer.statusCode));
		}).on('error', reject).end();
	});
}

// Queues one task; its id.
export async function queue(who, code, more = {}) {
	const {tasks} = await api(who, 'POST', `/api/projects/${who.id}/tasks`, {tasks: [{code_name: code, ...more}]});

	return tasks[0].id;
}

export async function codeNamed(who, name) {
	const {codes} = await api(who, 'GET', `/api/projects/${who.id}/codes?per_page=100`);

	return codes.find((c) => c.name === name);
}

export async function eventually(what, fn) {
	const end = Date.now() + PATIENCE;

	for (;;) {
		const value = await fn();
		if (value)
			return value;
		assert.ok(Date.now() < end, `never: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}

export const endedAs = (who, id, status) => eventually(`${id} is ${status}`, async () =>
	(await api(who, 'GET', `/api/projects/${who.id}/tasks/${id}`)).status === status);

// Opens the page at a view, logged in.
export async function open(page, who, hash = '') {
	await page.goto(URL_ + hash);
	await page.getByLabel('Token').fill(who.token);
	await page.getByRole('button', {name: 'Log in'}).click();
	await page.getByRole('navigation', {name: 'Views'}).waitFor();
	await page.locator('main[aria-busy=false] h1:not(:text("Log in"))').waitFor();
}

export const log = (page) => page.getByRole('log');
export const logIs = (page, state) => page.locator(`[data-log-state=${state}]`).waitFor();
// What a definition list says of a name.
export const fact = (page, name) => page.locator('dl.facts > div', {has: page.locator(`dt:text-is("${name}")`)}).locator('dd');
