// SPDX-License-Identifier: Apache-2.0
// Services: the list of a project's, and one service's page with its replicas and revisions.

import {action, button, confirm, facts, h, heading, replace, say, section} from './dom.js';
import {bytes, count, duration, id, iso, status, time} from './format.js';
import {field, formDialog, number} from './queue_form.js';
import {table} from './table.js';

const named = (s) => `${s.app}/${s.name}`;
const serving = (s) => `${count(s.replicas.filter((r) => r.serves).length)} of ${count(s.instances)}`;

export async function services(page) {
	const base = `#/p/${page.parts[0]}/services`;
	const list = table({
		label: 'Services', key: named, empty: 'There is no service yet: sandboxctl push DIR.',
		columns: [
			{name: 'Service', cell: (s) => h('a', {href: `${base}/${named(s)}`}, named(s))},
			{name: 'State', cell: (s) => status(s.state)},
			{name: 'Replicas', cell: serving, cls: 'num'},
			{name: 'Type', cell: (s) => s.type},
			{name: 'Revision', cell: (s) => s.revision},
			{name: 'Restarts', cell: (s) => count(s.restarts), cls: 'num'},
			{name: 'Changed', cell: (s) => time(iso(s.changed_ns)), cls: 'wide'},
			{name: 'Address', cell: (s) => (s.url ? h('code', null, s.url) : '–'), cls: 'wide'},
		],
	});

	await page.poll(async () => list.set((await page.project.services(page.signal)).services));
	page.show('Services', heading('Services'), list.node);
}

function replicaTable(page, one, read) {
	const tasks = `#/p/${page.parts[0]}/tasks`;
	// One that leaves has the number of the one that takes its place.
	const leaves = (r) => r.state === 'draining' || r.state === 'stopping';
	const restart = (r) => !leaves(r) && action('Restart', async () => {
		await one.restart({replica: r.number});
		say(`Replica ${r.number} has begun anew.`);
		await read();
	}, {'aria-label': `Restart replica ${r.number}`});

	return table({
		label: 'Replicas', key: (r) => `${r.number} ${r.revision} ${leaves(r)}`, empty: 'No replica is wanted.',
		columns: [
			{name: 'Replica', cell: (r) => `${r.service}.${r.number}`},
			{name: 'State', cell: (r) => status(r.state)},
			{name: 'Gets requests', cell: (r) => (r.serves ? 'yes' : 'no')},
			{name: 'Revision', cell: (r) => r.revision},
			{name: 'Log', cell: (r) => (r.run || r.last_run ? h('a', {href: `${tasks}/${r.run || r.last_run}`}, id(r.run || r.last_run)) : '–')},
			{name: 'Stage', cell: (r) => r.stage, cls: 'wide'},
			{name: 'Ready after', cell: (r) => duration(r.ready_ms), cls: 'num wide'},
			{name: 'Restarts', cell: (r) => count(r.restarts), cls: 'num'},
			{name: 'Failure', cell: (r) => r.failure, cls: 'clip'},
			{name: '', cell: restart},
		],
	});
}

function revisionTable(one, name, read) {
	const deploy = (r) => !r.live && action('Deploy', async () => {
		if (!await confirm(`Make revision ${r.revision} of ${name} the live one?`, 'Deploy it'))
			return;
		await one.deploy({revision: r.revision});
		say(`${r.revision} is live.`);
		await read();
	}, {'aria-label': `Deploy ${r.revision}`});

	return table({
		label: 'Revisions', key: (r) => r.revision, empty: 'No revision.',
		columns: [
			{name: 'Revision', cell: (r) => r.revision},
			{name: 'Live', cell: (r) => (r.live ? status('active') : '')},
			{name: 'Put', cell: (r) => time(iso(r.created_ns))},
			{name: 'Image', cell: (r) => r.image, cls: 'wide'},
			{name: 'Size', cell: (r) => bytes(r.bytes), cls: 'num'},
			{name: 'Message', cell: (r) => r.message, cls: 'wide clip'},
			{name: '', cell: deploy},
		],
	});
}

function askScale(one, s, read) {
	const instances = h('input', {type: 'number', min: '1', step: '1', required: true, value: String(s.instances)});

	formDialog(`Scale ${named(s)}`, [field('Replicas', instances)], 'Scale it', async () => {
		await one.scale({instances: number(instances)});
		say('The number of replicas is changed.');
		await read();
	});
}

export async function service(page) {
	const [, app, name] = page.parts;
	const one = page.project.service(app, name);
	const about = h('div'), notes = h('div');
	const replicas = replicaTable(page, one, read), revisions = revisionTable(one, `${app}/${name}`, read);
	let now = null;

	async function read() {
		const [s, all] = await Promise.all([one.get(page.signal), one.revisions(page.signal)]);

		now = s.service;
		replace(about, facts([
			['State', status(now.state)], ['Replicas that serve', serving(now)], ['Type', now.type],
			['Address', now.url && h('code', null, now.url)],
			...now.ports.map((p) => [`Port ${p.name}`, h('code', null, p.url)]),
			['Memory of each', now.memory > 0 && bytes(now.memory)], ['Data', now.data_bytes > 0 && bytes(now.data_bytes)],
			['Restarts', count(now.restarts)], ['Changed', time(iso(now.changed_ns))],
		]));
		replace(notes, now.failure && h('p', {class: 'notice bad'}, now.failure));
		replicas.set(now.replicas);
		revisions.set(all.revisions);
	}

	await page.poll(read);
	page.show(`${app}/${name}`, heading(`${app}/${name}`,
		action('Restart all', async () => {
			await one.restart({});
			say('Other replicas have taken the places of all.');
			await read();
		}),
		button('Scale', () => askScale(one, now, read)),
		action('Remove', async () => {
			if (!await confirm(`Remove the service ${app}/${name} with its revisions and its data?`, 'Remove it'))
				return;
			await one.remove();
			location.hash = `#/p/${page.parts[0]}/services`;
		})), notes, about, section('Replicas', replicas.node), section('Revisions', revisions.node));
}
