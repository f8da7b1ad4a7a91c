// SPDX-License-Identifier: Apache-2.0
// The node: what it does now, and live charts of the last minutes.

import * as api from './api.js';
import {chart} from './chart.js';
import {facts, h, heading, replace, section} from './dom.js';
import {bytes, count, duration, time} from './format.js';
import {table} from './table.js';

const SPAN = 300; // seconds; there is one sample for each

// Appends the new samples to the known ones, none twice, and keeps only what the charts show.
export function merge(known, fresh) {
	const last = known.length ? Date.parse(known.at(-1).time) : -Infinity;
	const all = [...known, ...fresh.filter((s) => Date.parse(s.time) > last)];
	const end = all.length ? Date.parse(all.at(-1).time) : 0;

	return all.filter((s) => end - Date.parse(s.time) <= SPAN * 1000);
}

function makeCharts() {
	const whole = (v) => count(Number.isInteger(v) ? v : Number(v.toFixed(1)));

	return [
		chart({title: 'Start latency', print: duration, span: SPAN, series: [{name: 'p50', of: (s) => s.start_p50_ms}]}),
		chart({title: 'Queue depth', print: whole, span: SPAN,
			series: [{name: 'queued', of: (s) => s.queued}, {name: 'running', of: (s) => s.running}]}),
		chart({title: 'Memory', print: bytes, binary: true, span: SPAN, series: [{name: 'used', of: (s) => s.memory_used}]}),
		chart({title: 'Lifecycles per second', print: whole, span: SPAN,
			series: [{name: 'ended', of: (s) => s.ended}, {name: 'not complete', of: (s) => s.errors}]}),
	];
}

function startTable() {
	return table({
		label: 'Starts in the last five minutes', key: (s) => s.mode, empty: 'No start yet.',
		columns: [
			{name: 'Start mode', cell: (s) => s.mode},
			{name: 'Starts', cell: (s) => count(s.count), cls: 'num'},
			{name: 'p50', cell: (s) => duration(s.p50_ms), cls: 'num'},
			{name: 'p99', cell: (s) => duration(s.p99_ms), cls: 'num'},
			{name: 'Longest', cell: (s) => duration(s.max_ms), cls: 'num'},
		],
	});
}

export async function nodeView(page) {
	const charts = makeCharts(), starts = startTable();
	const now = h('div');
	let samples = [], epoch;

	async function read() {
		const node = await api.node(samples.at(-1)?.time, page.signal);
		// A new daemon counts from zero, so the old samples do not go with the new ones.
		if (epoch !== node.started_at)
			samples = [];
		epoch = node.started_at;
		samples = merge(samples, node.samples);
		charts.forEach((c) => c.set(samples));
		starts.set(['fork', 'restore', 'cold'].map((mode) => ({mode, ...node.starts[mode]})));
		replace(now, facts([
			['Running', count(node.tasks.running)], ['Preparing', count(node.tasks.preparing)], ['Queued', count(node.tasks.queued)],
			['Delayed', count(node.tasks.delayed)], ['Lifecycles per second', node.lifecycles_per_second.toFixed(1)],
			['Memory available', `${bytes(node.memory.available_bytes)} of ${bytes(node.memory.total_bytes)}`],
			['Limits of running tasks', bytes(node.memory.limits_bytes)], ['Projects', count(node.projects)],
			['Version', node.version], ['Up since', time(node.started_at)],
		]));
	}

	await page.poll(read, 1000);
	page.show('Node', heading('Node'), now, h('div', {class: 'charts'}, charts.map((c) => c.node)),
		section('Starts in the last five minutes', starts.node));
}
