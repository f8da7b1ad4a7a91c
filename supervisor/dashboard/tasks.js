// SPDX-License-Identifier: Apache-2.0
// Lists of tasks: all of a project, with filters and pages, and its dead letters.

import {action, button, h, heading, replace, say} from './dom.js';
import {duration, id, status, time} from './format.js';
import {queueTask} from './queue_form.js';
import {table} from './table.js';

const STATUSES = ['queued', 'preparing', 'running', 'complete', 'error', 'cancelled', 'killed', 'timeout'];
const LIMIT = 50;

export const ended = (t) => !['queued', 'preparing', 'running'].includes(t.status);

// The table of tasks, which several views show; read() is called after an action, to read the list
// again.
export function taskTable(page, {read, empty = 'There is no such task.'}) {
	const base = `#/p/${page.parts[0]}`;

	const act = (t) => (ended(t)
		? action('Retry', async () => {
			const {tasks: [next]} = await page.project.retry(t.id);
			say(`Queued again as ${next.id}.`);
			await read();
		}, {'aria-label': `Retry ${t.id}`})
		: action('Cancel', async () => {
			await page.project.cancel(t.id);
			say(`${t.id} is cancelled.`);
			await read();
		}, {'aria-label': `Cancel ${t.id}`}));

	return table({
		label: 'Tasks', key: (t) => t.id, empty,
		columns: [
			{name: 'Task', cell: (t) => h('a', {href: `${base}/tasks/${t.id}`}, id(t.id))},
			{name: 'Status', cell: (t) => status(t.status)},
			{name: 'Worker', cell: (t) => t.code_name ?? '–'},
			{name: 'Label', cell: (t) => t.label ?? '', cls: 'wide clip'},
			{name: 'Message', cell: (t) => t.msg ?? t.error ?? '', cls: 'wide clip'},
			{name: 'Created', cell: (t) => time(t.created_at)},
			{name: 'Start', cell: (t) => t.start?.mode ?? '–', cls: 'wide'},
			{name: 'Duration', cell: (t) => duration(t.duration_ms), cls: 'num wide'},
			{name: '', cell: act},
		],
	});
}

function filterForm(page, codes, go) {
	const chosen = new Set((page.params.get('status') ?? '').split(',').filter(Boolean));
	const boxes = STATUSES.map((name) => h('input', {type: 'checkbox', name: 'status', value: name, checked: chosen.has(name)}));
	const code = h('select', {'aria-label': 'Worker', value: page.params.get('code_name') ?? ''},
		h('option', {value: ''}, 'All workers'), codes.map((c) => h('option', {value: c.name}, c.name)));
	const label = h('input', {type: 'search', 'aria-label': 'Label', placeholder: 'Label', value: page.params.get('label') ?? ''});
	const apply = () => go({
		status: boxes.filter((b) => b.checked).map((b) => b.value).join(','), code_name: code.value, label: label.value.trim(),
	});
	const form = h('form', {class: 'filters', role: 'search', 'aria-label': 'Filter tasks'},
		h('fieldset', null, h('legend', {class: 'unseen'}, 'Status'),
			boxes.map((box, i) => h('label', {class: 'check'}, box, STATUSES[i]))),
		code, label, h('button', {type: 'submit'}, 'Show'));

	form.addEventListener('change', (event) => event.target !== label && apply());
	form.addEventListener('submit', (event) => {
		event.preventDefault();
		apply();
	});
	return form;
}

function address(path, params) {
	const kept = new URLSearchParams(Object.entries(params).filter(([, v]) => v));
	return `#/${path}${kept.size ? `?${kept}` : ''}`;
}

// Links to the newest page and to the next older one.
function pager(path, params, before) {
	return h('nav', {class: 'tools pager', 'aria-label': 'Pages'},
		params.before && h('a', {href: address(path, {...params, before: ''})}, 'Newest'),
		before && h('a', {href: address(path, {...params, before})}, 'Older'));
}

export async function tasks(page) {
	const path = `p/${page.parts[0]}/tasks`;
	const params = Object.fromEntries(['status', 'code_name', 'label', 'before'].map((n) => [n, page.params.get(n) ?? '']));
	const codes = await page.project.codes(page.signal);
	const pages = h('div');
	const list = taskTable(page, {read: () => read(), empty: 'No task matches the filters.'});
	let older;

	async function read() {
		const now = await page.project.tasks({...params, limit: LIMIT}, page.signal);
		list.set(now.tasks);
		if (older !== now.before) {
			older = now.before;
			replace(pages, pager(path, params, older));
		}
	}

	await page.poll(read);
	page.show('Tasks', heading('Tasks', button('Queue a task', () => queueTask(page, codes), {class: 'main'})),
		filterForm(page, codes, (next) => {
			location.hash = address(path, next);
		}), list.node, pages);
}

export async function deadLetters(page) {
	const path = `p/${page.parts[0]}/dead`;
	const before = page.params.get('before') ?? '';
	const pages = h('div');
	const list = taskTable(page, {read: () => read(), empty: 'No task has failed for good.'});

	async function read() {
		const now = await page.project.deadLetters({before, limit: LIMIT}, page.signal);
		list.set(now.tasks);
		replace(pages, pager(path, {before}, now.before));
	}

	await page.poll(read, 10000);
	page.show('Dead letters', heading('Dead letters'),
		h('p', {class: 'note'}, 'Tasks that have failed with no retry left. A retry is a new task with the same payload.'),
		list.node, pages);
}
