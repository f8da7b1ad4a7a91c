// SPDX-License-Identifier: Apache-2.0
// HTTP workers: the list of a project's, and one worker's page with its versions and instances.

import {chart} from './chart.js';
import {facts, h, heading, replace, section} from './dom.js';
import {count, duration, id, iso, status, time} from './format.js';
import {table} from './table.js';

const SPAN = 300; // seconds that a chart shows
const WINDOW_MS = 20000; // over which a rate is taken

// The time, in seconds, that a part q of the requests took no longer than, as far as the buckets tell: evenly
// spread within each. null where there are none.
export function quantile(bounds, buckets, q) {
	const all = buckets.reduce((sum, n) => sum + n, 0);
	let left = q * all;

	if (all === 0)
		return null;
	for (let i = 0; i < bounds.length; i++) {
		const from = i === 0 ? 0 : bounds[i - 1];
		if (buckets[i] > 0 && left <= buckets[i])
			return from + (bounds[i] - from) * (left / buckets[i]);
		left -= buckets[i];
	}
	return bounds.at(-1) ?? null;
}

// What counts have become in the last seconds. add(counts, now): {rate, errors, p50, p99}, of which the times
// are null where there was no request. Counters that are less than before have begun anew.
export class Rates {
	#samples = [];

	add(counts, now) {
		if (this.#samples.length && counts.requests < this.#samples.at(-1).counts.requests)
			this.#samples = [];
		this.#samples.push({counts, now});
		while (this.#samples.length > 2 && now - this.#samples[1].now >= WINDOW_MS)
			this.#samples.shift();
		const {counts: before, now: then} = this.#samples[0];
		const seconds = (now - then) / 1000;
		const buckets = counts.buckets.map((n, i) => n - (before.buckets[i] ?? 0));
		const per = (n) => (seconds > 0 ? n / seconds : 0);

		return {
			rate: per(counts.requests - before.requests),
			errors: per(counts.status[5] - before.status[5]),
			p50: quantile(counts.bounds, buckets, 0.5),
			p99: quantile(counts.bounds, buckets, 0.99),
		};
	}
}

const rate = (n) => (n === 0 || n >= 100 ? count(Math.round(n)) : n.toFixed(1));
const took = (s) => (s === null ? '–' : duration(s * 1000));

function split(w) {
	return w.versions.map((v) => [id(v.version.slice(0, 8)), v.percent < 100 && ` ${v.percent} %`, ' ']);
}

// How many instances are in which state: "2 up, 1 starting".
function states(w) {
	const n = new Map();

	for (const i of w.instances)
		n.set(i.state, (n.get(i.state) ?? 0) + 1);
	return [...n].map(([state, k]) => `${k} ${state}`).join(', ') || 'none';
}

export async function httpWorkers(page) {
	const base = `#/p/${page.parts[0]}/http`;
	const rates = new Map();
	const list = table({
		label: 'HTTP workers', key: (w) => w.name,
		empty: 'No HTTP worker has been deployed yet: sandboxctl deploy DIR.',
		columns: [
			{name: 'Worker', cell: (w) => h('a', {href: `${base}/${w.name}`}, w.name)},
			{name: 'Serves', cell: split},
			{name: 'Instances', cell: states},
			{name: 'Requests', cell: (w) => count(w.counts.requests), cls: 'num'},
			{name: 'A second', cell: (w) => rate(w.now.rate), cls: 'num'},
			{name: 'p50', cell: (w) => took(w.now.p50), cls: 'num wide'},
			{name: 'p99', cell: (w) => took(w.now.p99), cls: 'num wide'},
			{name: '5xx', cell: (w) => count(w.counts.status[5]), cls: 'num'},
			{name: 'Address', cell: (w) => h('code', null, w.url), cls: 'wide'},
		],
	});

	async function read() {
		const {workers} = await page.project.httpWorkers(page.signal);

		for (const w of workers) {
			if (!rates.has(w.name))
				rates.set(w.name, new Rates());
			w.now = rates.get(w.name).add(w.counts, performance.now());
		}
		list.set(workers);
	}

	await page.poll(read);
	page.show('HTTP workers', heading('HTTP workers'), list.node);
}

function versionTable() {
	return table({
		label: 'Versions', key: (v) => v.id, empty: 'No version.',
		columns: [
			{name: 'Version', cell: (v) => id(v.id)},
			{name: 'Number', cell: (v) => count(v.number), cls: 'num'},
			{name: 'Serves', cell: (v) => (v.serves ? status('active') : '')},
			{name: 'Image', cell: (v) => v.image, cls: 'wide'},
			{name: 'Python', cell: (v) => v.python + (v.python_ended ? ' (ended)' : ''), cls: 'wide'},
			{name: 'Snapshot', cell: (v) => v.snapshot + (v.snapshot_state === 'ready' ? '' : ` (${v.snapshot_state})`)},
			{name: 'Created', cell: (v) => time(iso(v.created_ns))},
			{name: 'Message', cell: (v) => v.message, cls: 'wide clip'},
		],
	});
}

function instanceTable(page) {
	const tasks = `#/p/${page.parts[0]}/tasks`;

	return table({
		label: 'Instances', key: (i) => i.id, empty: 'No instance runs: the next request starts one.',
		columns: [
			{name: 'Instance', cell: (i) => (i.id ? h('a', {href: `${tasks}/${i.id}`}, id(i.id)) : '–')},
			{name: 'State', cell: (i) => status(i.state)},
			{name: 'Version', cell: (i) => id(i.version.slice(0, 8))},
			{name: 'Started', cell: (i) => time(iso(i.created_ns))},
			{name: 'Start mode', cell: (i) => i.start_mode ?? '–'},
			{name: 'Start took', cell: (i) => duration(i.start_ms), cls: 'num wide'},
			{name: 'Ready after', cell: (i) => duration(i.ready_ms), cls: 'num'},
			{name: 'Requests', cell: (i) => count(i.served), cls: 'num'},
			{name: 'Now', cell: (i) => count(i.in_flight), cls: 'num'},
		],
	});
}

// Of each cron: when it is called next, and what has come of its last call.
function cronTable() {
	const last = (c) => (c.running ? 'runs now' : c.outcome ? `${c.outcome} after ${duration(c.took_ms)}` : '–');
	return table({
		label: 'Crons', key: (c) => c.cron, empty: '',
		columns: [
			{name: 'Cron', cell: (c) => h('code', null, c.cron)},
			{name: 'Next', cell: (c) => time(iso(c.next_ns))},
			{name: 'Last', cell: (c) => time(iso(c.last_ns))},
			{name: 'Result', cell: (c) => [last(c), c.message && `: ${c.message}`], cls: 'clip'},
			{name: 'Skipped', cell: (c) => count(c.skipped), cls: 'num'},
		],
	});
}

function makeCharts() {
	return [
		chart({title: 'Requests a second', print: rate, span: SPAN,
			series: [{name: 'all', of: (s) => s.rate}, {name: '5xx', of: (s) => s.errors}]}),
		chart({title: 'Latency', print: duration, span: SPAN,
			series: [{name: 'p50', of: (s) => s.p50}, {name: 'p99', of: (s) => s.p99}]}),
	];
}

export async function httpWorker(page) {
	const [, name] = page.parts;
	const about = h('div'), routes = h('div'), notes = h('div');
	const cronList = cronTable(), crons = h('div', {hidden: true}, section('Crons', cronList.node));
	const versions = versionTable(), instances = instanceTable(page), charts = makeCharts();
	const rates = new Rates();
	let samples = [];

	function draw(w, all) {
		const {counts} = w;
		const ms = (s) => (s === null ? null : s * 1000);
		const now = rates.add(counts, performance.now());

		samples = [...samples, {time: new Date().toISOString(), rate: now.rate, errors: now.errors, p50: ms(now.p50), p99: ms(now.p99)}];
		samples = samples.filter((s) => Date.now() - Date.parse(s.time) <= SPAN * 1000);
		charts.forEach((c) => c.set(samples));
		replace(about, facts([
			['Address', w.url && h('code', null, w.url)], ['Instances', states(w)], ['Requests', count(counts.requests)],
			['A second', rate(now.rate)],
			['Took on average', counts.requests > 0 && duration(counts.seconds * 1000 / counts.requests)],
			['4xx', count(counts.status[4])], ['5xx', count(counts.status[5])], ['Restarts', count(counts.restarts)],
			['Wakes', count(counts.wakes)], ['Changed', time(iso(w.changed_ns))],
		]));
		replace(routes, w.routes.length > 0 && section('Routes', h('ul', null, w.routes.map((r) => h('li', null, h('code', null, r))))));
		crons.hidden = w.crons.length === 0;
		cronList.set(w.crons);
		replace(notes, all.filter((v) => v.serves && v.snapshot_error).map((v) =>
			h('p', {class: 'notice bad'}, `Instances of ${v.id.slice(0, 8)} start without the snapshot: ${v.snapshot_error}`)));
		versions.set(all);
		instances.set(w.instances);
	}

	await page.poll(async () => {
		const [{worker}, {versions: all}] = await Promise.all([
			page.project.httpWorker(name, page.signal), page.project.httpVersions(name, page.signal),
		]);
		draw(worker, all);
	});
	page.show(name, heading(name), notes, about, h('div', {class: 'charts'}, charts.map((c) => c.node)), routes, crons,
		section('Instances', instances.node), section('Versions', versions.node));
}
