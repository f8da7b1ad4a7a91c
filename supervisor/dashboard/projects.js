// SPDX-License-Identifier: Apache-2.0
// All projects: an operator's first view.

import * as api from './api.js';
import {h, heading} from './dom.js';
import {bytes, count, id, time} from './format.js';
import {table} from './table.js';

export async function projects(page) {
	const list = table({
		label: 'Projects', key: (p) => p.id, empty: 'There is no project.',
		columns: [
			{name: 'Name', cell: (p) => h('a', {href: `#/p/${p.id}`}, p.name)},
			{name: 'Id', cell: (p) => id(p.id), cls: 'wide'},
			{name: 'Workers', cell: (p) => count(p.codes), cls: 'num'},
			{name: 'Queued', cell: (p) => count(p.tasks.queued), cls: 'num'},
			{name: 'Running', cell: (p) => count(p.tasks.running), cls: 'num'},
			{name: 'Schedules', cell: (p) => count(p.schedules), cls: 'num wide'},
			{name: 'Packages', cell: (p) => bytes(p.package_bytes), cls: 'num wide'},
			{name: 'Files', cell: (p) => count(p.package_files), cls: 'num wide'},
			{name: 'Logs', cell: (p) => bytes(p.log_bytes), cls: 'num wide'},
			{name: 'Tokens', cell: (p) => count(p.tokens), cls: 'num wide'},
			{name: 'Created', cell: (p) => time(p.created_at), cls: 'wide'},
		],
	});

	await page.poll(async () => list.set(await api.projects(page.signal)));
	page.show('Projects', heading('Projects'), list.node);
}
