// SPDX-License-Identifier: Apache-2.0
// Workers: the list of what a project has uploaded, and one worker's page.

import {action, confirm, button, facts, h, heading, replace, say, section} from './dom.js';
import {bytes, count, digest, pretty, status, time} from './format.js';
import {queueTask} from './queue_form.js';
import {table} from './table.js';
import {taskTable} from './tasks.js';

function concurrency(c) {
	return c.max_concurrency > 0 ? count(c.max_concurrency) : 'no bound';
}

// A button to pause the worker, or to resume a paused one; done() is called afterwards.
function pauseButton(page, c, done) {
	return action(c.paused ? 'Resume' : 'Pause', async () => {
		const {msg} = await (c.paused ? page.project.resume(c.id) : page.project.pause(c.id));
		say(`${c.name}: ${msg}`);
		await done();
	}, {'aria-label': `${c.paused ? 'Resume' : 'Pause'} ${c.name}`});
}

export async function codes(page) {
	const base = `#/p/${page.parts[0]}`;
	let all = [];
	const list = table({
		label: 'Workers', key: (c) => c.id,
		empty: 'No worker has been uploaded yet: sandboxctl upload NAME.',
		columns: [
			{name: 'Worker', cell: (c) => h('a', {href: `${base}/workers/${c.id}`}, c.name)},
			{name: 'State', cell: (c) => status(c.paused ? 'paused' : 'active')},
			{name: 'Queued', cell: (c) => count(c.queued), cls: 'num'},
			{name: 'Running', cell: (c) => count(c.running), cls: 'num'},
			{name: 'Image', cell: (c) => c.image, cls: 'wide'},
			{name: 'Revision', cell: (c) => count(c.rev), cls: 'num wide'},
			{name: 'Concurrency', cell: concurrency, cls: 'num wide'},
			{name: 'Retries', cell: (c) => count(c.retries), cls: 'num wide'},
			{name: 'Package', cell: (c) => bytes(c.zip_bytes), cls: 'num wide'},
			{name: 'Changed', cell: (c) => time(c.latest_change), cls: 'wide'},
			{name: '', cell: (c) => h('span', {class: 'tools'},
				button('Queue', () => queueTask(page, all, c.name), {'aria-label': `Queue a task of ${c.name}`}),
				pauseButton(page, c, read))},
		],
	});

	async function read() {
		all = await page.project.codes(page.signal);
		list.set(all);
	}

	await page.poll(read);
	page.show('Workers', heading('Workers',
		button('Queue a task', () => queueTask(page, all), {class: 'main'})), list.node);
}

async function cancelAll(page, c) {
	if (!await confirm(`Cancel all tasks of ${c.name} that wait now?`, 'Cancel them'))
		return;
	say(`${c.name}: ${(await page.project.cancelAll(c.id)).msg}`);
}

function revisionTable() {
	return table({
		label: 'Revisions', key: (r) => String(r.rev), empty: 'No revision.',
		columns: [
			{name: 'Revision', cell: (r) => count(r.rev), cls: 'num'},
			{name: 'Uploaded', cell: (r) => time(r.created_at)},
			{name: 'File', cell: (r) => h('code', null, r.file_name)},
			{name: 'Image', cell: (r) => r.image, cls: 'wide'},
			{name: 'Size', cell: (r) => bytes(r.zip_bytes), cls: 'num'},
			{name: 'SHA-256', cell: (r) => digest(r.checksum), cls: 'wide'},
		],
	});
}

function codeFacts(c) {
	return facts([
		['State', status(c.paused ? 'paused' : 'active')], ['Queued', count(c.queued)], ['Running', count(c.running)],
		['Revision', count(c.rev)], ['Image', c.image], ['Policy', c.policy],
		['File', c.file_name && h('code', null, c.file_name)], ['Command', c.command && h('code', null, c.command)],
		['Concurrency', concurrency(c)], ['Retries', c.retries > 0 ? `${c.retries}, after ${c.retries_delay} s` : 'none'],
		['Default priority', count(c.default_priority)], ['Package', bytes(c.package_bytes)], ['Changed', time(c.latest_change)],
	]);
}

const STATS = ['queued', 'preparing', 'running', 'complete', 'error', 'cancelled', 'killed', 'timeout'];

export async function code(page) {
	const [project, id] = page.parts;
	const base = `#/p/${project}`;
	const about = h('div'), buttons = h('span', {class: 'tools'}), counts = h('div');
	const revisions = revisionTable(), newest = taskTable(page, {read: () => read()});
	let c;

	function draw(stats) {
		replace(about, codeFacts(c));
		replace(counts, facts(STATS.map((s) => [s, h('a', {
			href: `${base}/tasks?${new URLSearchParams({code_name: c.name, status: s})}`,
		}, count(stats[s]))])));
	}

	async function read() {
		const paused = c?.paused;
		const [now, stats, page1] = await Promise.all([
			page.project.code(id, page.signal), page.project.stats(id, page.signal),
			c ? page.project.tasks({code_name: c.name, limit: 20}, page.signal) : null,
		]);
		c = now;
		newest.set((page1 ?? await page.project.tasks({code_name: c.name, limit: 20}, page.signal)).tasks);
		draw(stats);
		if (paused !== c.paused) {
			replace(buttons, button('Queue a task', () => queueTask(page, [c], c.name), {class: 'main'}),
				pauseButton(page, c, read), action('Cancel all that wait', () => cancelAll(page, c), {class: 'danger'}));
		}
	}

	await page.poll(read);
	revisions.set(await page.project.revisions(id, page.signal));
	page.show(c.name, heading(c.name, buttons), about,
		section('Tasks by status', counts),
		section('Newest tasks', newest.node, h('p', null,
			h('a', {href: `${base}/tasks?${new URLSearchParams({code_name: c.name})}`}, 'All tasks of this worker'))),
		c.config && section('Configuration', h('pre', {tabindex: '0'}, pretty(c.config))),
		section('Revisions', revisions.node));
}
