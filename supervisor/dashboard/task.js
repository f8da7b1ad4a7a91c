// SPDX-License-Identifier: Apache-2.0
// One task: what was asked for, what became of it, and its log while it is written.

import {action, facts, h, heading, replace, say, section} from './dom.js';
import {bytes, count, digest, duration, id, limits, millis, pretty, status, time} from './format.js';
import {LogView} from './logview.js';
import {table} from './table.js';
import {ended} from './tasks.js';

function runningFor(t) {
	if (t.duration_ms !== null)
		return duration(t.duration_ms);
	return t.started_at ? `${duration(Date.now() - millis(t.started_at))} so far` : null;
}

function outcome(t) {
	return facts([
		['Status', status(t.status)], ['Verdict', t.verdict], ['Message', t.msg], ['Error', t.error], ['Warning', t.warning],
		['Exit status', t.exit_code], ['Signal', t.signal],
		['Progress', t.percent > 0 && h('span', null, h('progress', {max: '100', value: t.percent}), h('span', null, ` ${t.percent} %`))],
	]);
}

function timings(t) {
	return facts([
		['Created', time(t.created_at)], ['Not before', t.not_before && time(t.not_before)], ['Started', time(t.started_at)],
		['Ended', time(t.finished_at)], ['Waited', t.wait_ms !== null && duration(t.wait_ms)], ['Ran', runningFor(t)],
		['Start mode', t.start.mode ?? '–'], ['Start took', t.start.ms !== null && duration(t.start.ms)],
		['Asked for', t.start.requested],
	]);
}

function usage(t) {
	return facts([
		['CPU', t.usage.cpu_ms !== null && duration(t.usage.cpu_ms)],
		['Memory, peak', t.usage.memory_peak_bytes !== null && bytes(t.usage.memory_peak_bytes)],
		['Log', t.log.lines !== null && `${count(t.log.lines)} lines, ${bytes(t.log.bytes)}${t.log.removed ? ', removed' : ''}`],
		['Dropped', t.log.dropped > 0 && bytes(t.log.dropped)],
		['Limits', limits(t.limits)],
	]);
}

function asked(page, t) {
	const base = `#/p/${page.parts[0]}`;
	const other = (task) => task && h('a', {href: `${base}/tasks/${task}`}, id(task));

	return facts([
		['Worker', t.code_id ? h('a', {href: `${base}/workers/${t.code_id}`}, t.code_name) : t.code_name],
		['Revision', t.revision], ['Image', t.image], ['Policy', t.policy], ['Priority', count(t.priority)], ['Label', t.label],
		['Cluster', t.cluster], ['Attempt', t.attempt > 0 && count(t.attempt)],
		['Retries left', t.retries_left > 0 && count(t.retries_left)],
		['First attempt', other(t.original_task_id)], ['Next attempt', other(t.retry_task_id)],
		['Schedule', t.schedule_id && id(t.schedule_id)], ['Dead letter', t.dead_letter && 'yes: no retry is left'],
		['Image digest', digest(t.image_digest)], ['Package', t.package_digest && digest(t.package_digest)],
	]);
}

function historyTable() {
	return table({
		label: 'History', key: (e) => e.key, empty: 'Nothing yet.',
		columns: [
			{name: 'Time', cell: (e) => time(e.time)},
			{name: 'Event', cell: (e) => e.event},
			{name: 'Detail', cell: (e) => e.detail ?? ''},
		],
	});
}

function cancelButton(page, read) {
	return action('Cancel', async () => {
		await page.project.cancel(page.parts[1]);
		say('The task is being cancelled.');
		await read();
	}, {class: 'danger'});
}

function retryButton(page) {
	return action('Retry', async () => {
		const {tasks: [next]} = await page.project.retry(page.parts[1]);
		say('Queued again: this is the new task.');
		location.hash = `#/p/${page.parts[0]}/tasks/${next.id}`;
	});
}

export async function task(page) {
	const taskId = page.parts[1];
	const boxes = [h('div'), h('div'), h('div'), h('div')];
	const buttons = h('span', {class: 'tools'}), history = historyTable();
	let wasEnded = null, t;

	async function read() {
		t = await page.project.task(taskId, page.signal);
		[outcome(t), timings(t), usage(t), asked(page, t)].forEach((list, i) => {
			// An element is only replaced when it has changed, so that a focused link
			// or selected text stays.
			if (boxes[i].firstChild?.isEqualNode(list) !== true)
				replace(boxes[i], list);
		});
		history.set(t.history.map((e, i) => ({...e, key: String(i)})));
		if (wasEnded !== ended(t)) {
			const focused = buttons.contains(document.activeElement);
			wasEnded = ended(t);
			replace(buttons, wasEnded ? retryButton(page) : cancelButton(page, read));
			if (focused)
				buttons.querySelector('button').focus();
		}
		// A failed task may still get a retry, which the page then links to.
		return wasEnded && (t.status === 'complete' || t.status === 'cancelled' || t.retry_task_id) ? 'done' : undefined;
	}

	await page.poll(read, 1000);
	const log = new LogView({
		task: taskId, signal: page.signal,
		open: (last, signal) => page.project.events(taskId, last, signal),
		download: () => page.project.log(taskId),
		// When this fails, the next poll tells why.
		onTurn: () => read().catch(() => {}),
	});
	page.show(`Task ${taskId}`, heading(h('span', null, 'Task ', id(taskId)), buttons),
		h('div', {class: 'cards'}, section('Outcome', boxes[0]), section('Time', boxes[1]), section('Use', boxes[2]),
			section('Request', boxes[3])),
		log.node,
		section('Payload', t.payload ? h('pre', {tabindex: '0', 'aria-label': 'Payload'}, pretty(t.payload)) :
			h('p', {class: 'empty'}, 'None.')),
		section('History', history.node));
	log.run();
}
