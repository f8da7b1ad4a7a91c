// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them.

import {h} from './dom.js';

const two = (n) => String(n).padStart(2, '0');

// IronWorker writes year 1 for "no time".
function parseTime(text) {
	if (!text || text.startsWith('0001-'))
		return null;
	const date = new Date(text);
	return Number.isNaN(date.getTime()) ? null : date;
}

export function clock(date) {
	return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function day(date) {
	return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

// Local time; the day only when it is not today. The title has both.
export function time(text) {
	const date = parseTime(text);

	if (!date)
		return '–';
	const short = day(date) === day(new Date()) ? clock(date) : `${day(date)} ${clock(date)}`;
	return h('time', {datetime: text, title: text}, short);
}

// A time in nanoseconds as text; null where there is none.
export function iso(ns) {
	return ns ? new Date(ns / 1e6).toISOString() : null;
}

export function millis(text) {
	return parseTime(text)?.getTime() ?? null;
}

export function duration(ms) {
	if (ms === null || ms === undefined || !Number.isFinite(ms) || ms < 0)
		return '–';
	if (ms === 0)
		return '0 ms';
	if (ms < 10)
		return `${ms.toFixed(2)} ms`;
	if (ms < 100)
		return `${ms.toFixed(1)} ms`;
	if (ms < 1000)
		return `${Math.round(ms)} ms`;
	if (ms < 60000)
		return `${(ms / 1000).toFixed(1)} s`;
	const s = Math.round(ms / 1000);
	if (s < 3600)
		return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
	return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
}

export function bytes(n) {
	if (n === null || n === undefined || !Number.isFinite(n))
		return '–';
	const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
	let i = 0;

	for (; n >= 1024 && i < units.length - 1; i++)
		n /= 1024;
	return `${i === 0 || n >= 100 || Number.isInteger(n) ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

export function count(n) {
	return n === null || n === undefined ? '–' : Number(n).toLocaleString('en').replaceAll(',', ' ');
}

export function id(text) {
	return h('code', {class: 'id'}, text ?? '–');
}

export function digest(text) {
	return text ? h('code', {class: 'id', title: text}, text.slice(0, 12)) : '–';
}

const STATUSES = {
	queued: 'wait', preparing: 'wait', scheduled: 'wait', running: 'live', complete: 'good', error: 'bad',
	killed: 'bad', timeout: 'bad', cancelled: 'off', paused: 'off', active: 'good', parked: 'good',
	ready: 'good', warming: 'wait', up: 'good', starting: 'wait', draining: 'off', stopping: 'off', backoff: 'bad',
	failed: 'bad', degraded: 'bad', rolling: 'wait', down: 'off',
};

// The word says the status; its colour is only help.
export function status(word) {
	return h('span', {class: `status ${STATUSES[word] ?? 'off'}`}, word ?? '–');
}

// Limits as in a task: a number of bytes, text such as "320M", or null.
export function limits(object) {
	const unit = (key, value) => (typeof value !== 'number' ? value : ['memory', 'disk', 'log'].includes(key) ? bytes(value)
		: key === 'timeout' ? `${value} s` : value);

	return Object.entries(object ?? {}).map(([key, value]) => `${key} ${unit(key, value)}`).join(', ');
}

// JSON is laid out; other text stays as it is.
export function pretty(text) {
	try {
		return JSON.stringify(JSON.parse(text), null, 2);
	} catch {
		return text;
	}
}
