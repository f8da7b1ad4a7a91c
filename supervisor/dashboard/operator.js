// SPDX-License-Identifier: Apache-2.0
// What belongs to the node: images, templates, checkpoints.

import * as api from './api.js';
import {action, confirm, h, heading, say} from './dom.js';
import {bytes, count, digest, duration, id, status, time} from './format.js';
import {table} from './table.js';

function modules(image) {
	if (image.modules.length === 0)
		return 'none';
	return h('details', null, h('summary', null, `${image.modules.length} modules`),
		h('p', {class: 'words'}, image.modules.map((m) => `${m.name} ${m.version}`).join(', ')));
}

const warmed = (list) => (list?.length ? h('span', {class: 'words'}, list.join(', ')) : 'Python alone');

export async function images(page) {
	const list = table({
		label: 'Images', key: (i) => i.name, empty: 'There is no image: sandboxctl image build.',
		columns: [
			{name: 'Image', cell: (i) => i.name},
			{name: 'Description', cell: (i) => i.description ?? '', cls: 'wide'},
			{name: 'Suite', cell: (i) => i.suite ?? '–', cls: 'wide'},
			{name: 'Python', cell: (i) => i.python ?? '–'},
			{name: 'Modules', cell: modules},
			{name: 'Tasks', cell: (i) => count(i.tasks), cls: 'num'},
			{name: 'Size', cell: (i) => bytes(i.size), cls: 'num wide'},
			{name: 'Built', cell: (i) => time(i.built_at), cls: 'wide'},
			{name: 'Digest', cell: (i) => digest(i.digest), cls: 'wide'},
			{name: '', cell: (i) => action('Warm', async () => {
				await api.warmImage(i.name);
				say(`The checkpoint of ${i.name} is being made.`);
			}, {'aria-label': `Warm ${i.name}`})},
		],
	});

	await page.poll(async () => list.set(await api.images(page.signal)), 5000);
	page.show('Images', heading('Images'), list.node);
}

export async function templates(page) {
	const read = async () => list.set(await api.templates(page.signal));
	const list = table({
		label: 'Templates', key: (t) => t.id, empty: 'No template is parked: the first fork of an image makes one.',
		columns: [
			{name: 'Template', cell: (t) => id(t.id)},
			{name: 'State', cell: (t) => status(t.state)},
			{name: 'Image', cell: (t) => t.image ?? digest(t.image_digest)},
			{name: 'Policy', cell: (t) => t.policy, cls: 'wide'},
			{name: 'Warm', cell: (t) => warmed(t.warm), cls: 'wide'},
			{name: 'Parked', cell: (t) => count(t.parked), cls: 'num'},
			{name: 'Running', cell: (t) => count(t.running), cls: 'num'},
			{name: 'Forks', cell: (t) => count(t.forks), cls: 'num'},
			{name: 'Memory', cell: (t) => bytes(t.memory_bytes), cls: 'num'},
			{name: 'Made', cell: (t) => time(t.created_at), cls: 'wide'},
			{name: 'Used', cell: (t) => time(t.used_at), cls: 'wide'},
			{name: '', cell: (t) => action('Retire', async () => {
				if (!await confirm(`Retire the template ${t.id}? The next task that wants it makes a new one.`, 'Retire it'))
					return;
				await api.retireTemplate(t.id);
				say('The template is retired.');
				await read();
			}, {'aria-label': `Retire ${t.id}`})},
		],
	});

	await page.poll(read);
	page.show('Templates', heading('Templates'), list.node);
}

export async function checkpoints(page) {
	const list = table({
		label: 'Checkpoints', key: (c) => c.key || `${c.image_digest} ${c.policy_digest} ${c.warm}`, empty: 'No checkpoint is known.',
		columns: [
			{name: 'Key', cell: (c) => digest(c.key)},
			{name: 'State', cell: (c) => status(c.state === 'making' ? 'warming' : c.state)},
			{name: 'Image', cell: (c) => c.image ?? digest(c.image_digest)},
			{name: 'Warm', cell: (c) => warmed(c.warm)},
			{name: 'Templates', cell: (c) => count(c.templates), cls: 'num'},
			{name: 'Dump', cell: (c) => duration(c.dump_ms), cls: 'num wide'},
			{name: 'Size', cell: (c) => bytes(c.bytes), cls: 'num wide'},
			{name: 'Policy digest', cell: (c) => digest(c.policy_digest), cls: 'wide'},
		],
	});

	await page.poll(async () => list.set(await api.checkpoints(page.signal)));
	page.show('Checkpoints', heading('Checkpoints'), list.node);
}
