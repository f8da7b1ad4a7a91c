// SPDX-License-Identifier: Apache-2.0
// Background workers: the list of a project's, and one worker's page with its queue and dead letters.

import {action, button, confirm, facts, h, heading, replace, say, section} from './dom.js';
import {bytes, count, id, iso, status, time} from './format.js';
import {field, formDialog} from './queue_form.js';
import {table} from './table.js';

const waiting = (w) => w.ready + w.held + w.later;

export async function workersAtWork(page) {
	const base = `#/p/${page.parts[0]}/background`;
	const list = table({
		label: 'Background workers', key: (w) => w.name,
		empty: 'There is no background worker yet: sandboxctl background up FILE.',
		columns: [
			{name: 'Worker', cell: (w) => h('a', {href: `${base}/${w.name}`}, w.name)},
			{name: 'Kind', cell: (w) => w.kind},
			{name: 'State', cell: (w) => status(w.state)},
			{name: 'Waiting', cell: (w) => count(waiting(w)), cls: 'num'},
			{name: 'Done', cell: (w) => count(w.done), cls: 'num'},
			{name: 'Failed', cell: (w) => count(w.failed), cls: 'num'},
			{name: 'Dead letters', cell: (w) => count(w.dead), cls: 'num'},
			{name: 'Revision', cell: (w) => w.revision, cls: 'wide'},
		],
	});

	await page.poll(async () => list.set((await page.project.backgrounds(page.signal)).workers));
	page.show('Background workers', heading('Background workers'), list.node);
}

// An item is JSON, and what is no JSON is asked for again.
function askItem(one, read) {
	const text = h('textarea', {rows: '4', required: true, spellcheck: 'false'});

	formDialog('Put an item', [field('Item, as JSON', text)], 'Put it', async () => {
		let item;

		try {
			item = JSON.parse(text.value);
		} catch (e) {
			throw new Error(`An item must be JSON: ${e.message}`);
		}
		const {ids} = await one.put({item});
		say(`Item ${ids[0]} waits.`);
		await read();
	});
}

function deadTable(one, read) {
	const again = (item) => h('span', null,
		action('Retry', async () => {
			await one.retry({id: item.id});
			say(`Item ${item.id} waits once more.`);
			await read();
		}, {'aria-label': `Retry item ${item.id}`}), ' ',
		action('Remove', async () => {
			if (!await confirm(`Remove the dead letter ${item.id}?`, 'Remove it'))
				return;
			await one.removeDead({id: item.id});
			await read();
		}, {'aria-label': `Remove item ${item.id}`}));

	return table({
		label: 'Dead letters', key: (item) => item.id, empty: 'No dead letter.',
		columns: [
			{name: 'Item', cell: (item) => String(item.id)},
			{name: 'Put', cell: (item) => time(iso(item.put_ns))},
			{name: 'Failures', cell: (item) => count(item.failures), cls: 'num'},
			{name: 'Value', cell: (item) => h('code', null, item.kind === 'json' ? JSON.stringify(item.item) : `pickled, ${item.bytes} bytes`), cls: 'clip'},
			{name: 'Error', cell: (item) => item.error, cls: 'clip'},
			{name: '', cell: again},
		],
	});
}

function runTable(page) {
	const tasks = `#/p/${page.parts[0]}/tasks`;

	return table({
		label: 'Replicas', key: (r) => `${r.number} ${r.revision} ${r.run}`, empty: 'No replica is wanted.',
		columns: [
			{name: 'Replica', cell: (r) => String(r.number)},
			{name: 'State', cell: (r) => status(r.state)},
			{name: 'Revision', cell: (r) => r.revision},
			{name: 'Log', cell: (r) => (r.run || r.last_run ? h('a', {href: `${tasks}/${r.run || r.last_run}`}, id(r.run || r.last_run)) : '–')},
			{name: 'Restarts', cell: (r) => count(r.restarts), cls: 'num'},
			{name: 'Failure', cell: (r) => r.failure, cls: 'clip'},
		],
	});
}

export async function workerAtWork(page) {
	const name = page.parts[1];
	const one = page.project.background(name);
	const about = h('div'), notes = h('div'), buttons = h('div');
	const dead = deadTable(one, read), runs = runTable(page);
	let now = null;

	const act = (text, what, done) => action(text, async () => {
		await what();
		say(done);
		await read();
	});

	function actions() {
		const triggered = now.kind === 'event' || now.kind === 'interval';

		return [
			triggered ? act('Trigger', one.trigger, 'It is called once more.') : button('Put', () => askItem(one, read)), ' ',
			now.state === 'stopped' ? act('Start', one.start, 'It goes on.') : act('Stop', one.stop, 'It ends when its call has ended.'),
			' ', act('Restart', one.restart, 'Another process has taken its place.'),
			' ', action('Remove', async () => {
				if (!await confirm(`Remove the worker ${name} with its items?`, 'Remove it'))
					return;
				await one.remove();
				location.hash = `#/p/${page.parts[0]}/background`;
			}),
			' ', now.dead > 0 && act('Retry all', () => one.retry({}), 'All dead letters wait once more.'),
		];
	}

	async function read() {
		const [w, letters] = await Promise.all([one.get(page.signal), one.dead(page.signal)]);
		const old = now && [now.kind, now.state, now.dead > 0].join();

		now = w.worker;
		replace(about, facts([
			['State', status(now.state)], ['Kind', now.kind], ['Worker', h('code', null, now.worker)],
			['Ready', count(now.ready)], ['Held by its process', count(now.held)], ['Wait for their next attempt', count(now.later)],
			['Dead letters', count(now.dead)], ['Bytes', bytes(now.bytes)], ['Done', count(now.done)], ['Failed attempts', count(now.failed)],
			['Triggered', now.triggered ? 'yes' : 'no'], ['Revision', now.revision],
		]));
		// Others only where they change: a button keeps its focus.
		if (old !== [now.kind, now.state, now.dead > 0].join())
			replace(buttons, actions());
		replace(notes, now.failure && h('p', {class: 'notice bad'}, now.failure));
		dead.set(letters.dead_letters);
		runs.set(now.replicas);
	}

	await page.poll(read);
	page.show(name, heading(name, buttons), notes, about, section('Dead letters', dead.node), section('Replicas', runs.node));
}
