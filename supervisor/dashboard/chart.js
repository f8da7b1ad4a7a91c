// SPDX-License-Identifier: Apache-2.0
// Line charts as SVG. A chart can also be read as words: its heading has the newest values, and the
// arrow keys move through the samples.

import {h, replace, svg} from './dom.js';
import {clock} from './format.js';

const WIDTH = 480, HEIGHT = 150;
const LEFT = 56, RIGHT = 8, TOP = 8, BOTTOM = 20;

// The next round number that is not less than v: 1, 2 or 5 times a power of ten; for bytes, a power
// of two.
export function niceMax(v, binary = false) {
	if (!(v > 0))
		return 1;
	if (binary)
		return 2 ** Math.ceil(Math.log2(v));
	const power = 10 ** Math.floor(Math.log10(v));
	return [1, 2, 5, 10].find((m) => m * power >= v * 0.9999) * power;
}

// A path of an SVG: M to a value behind a gap, else L to it. A null value is a gap.
export function path(values, x, y) {
	let d = '', open = false;

	values.forEach((v, i) => {
		if (v === null || v === undefined) {
			open = false;
			return;
		}
		d += `${open ? 'L' : 'M'}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
		// A single sample between two gaps would be invisible.
		if (!open && (values[i + 1] === null || values[i + 1] === undefined))
			d += 'h0.1';
		open = true;
	});
	return d;
}

// series: [{name, of(sample)}]. print(value): the value with its unit. set(samples): samples are
// {time, ...}, one for each second, oldest first. span: the seconds that the chart's width stands
// for.
export function chart({title, series, print, binary = false, span = 300}) {
	const now = h('figcaption');
	const lines = series.map((_, i) => svg('path', {class: `line s${i}`}));
	const marks = [0, 0.5, 1].map(() => svg('text', {class: 'axis', x: LEFT - 6, 'text-anchor': 'end'}));
	const grid = [0, 0.5, 1].map((part) => {
		const at = TOP + (1 - part) * (HEIGHT - TOP - BOTTOM);
		return svg('line', {class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at});
	});
	const from = svg('text', {class: 'axis', x: LEFT, y: HEIGHT - 5});
	const to = svg('text', {class: 'axis', x: WIDTH - RIGHT, y: HEIGHT - 5, 'text-anchor': 'end'});
	const cursor = svg('line', {class: 'cursor', y1: TOP, y2: HEIGHT - BOTTOM, visibility: 'hidden'});
	const drawing = svg('svg', {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, 'aria-hidden': 'true', focusable: 'false'},
		grid, marks, from, to, lines, cursor);
	const plot = h('div', {class: 'plot', tabindex: '0', role: 'img'}, drawing);
	const node = h('figure', {class: 'chart', 'data-chart': title}, now, plot);
	let samples = [], x = () => LEFT, at = -1;

	function tell() {
		const i = at >= 0 ? at : samples.length - 1;
		const s = samples[i];
		const values = series.map(({name, of}, k) => ({name, k, text: s && of(s) !== null ? print(of(s)) : '–'}));

		replace(now, h('strong', null, title), values.map(({name, k, text}) =>
			h('span', {class: `key s${k}`}, series.length > 1 && `${name} `, h('b', null, text))),
		at >= 0 && h('span', {class: 'note'}, clock(new Date(s.time))));
		plot.setAttribute('aria-label', `${title}: ${values.map(({name, text}) => `${name} ${text}`).join(', ')}` +
			`${at >= 0 ? ` at ${clock(new Date(s.time))}` : ''}. Left and right arrow keys walk through the samples.`);
		cursor.setAttribute('visibility', at >= 0 ? 'visible' : 'hidden');
		if (at >= 0) {
			cursor.setAttribute('x1', x(at));
			cursor.setAttribute('x2', x(at));
		}
	}

	function point(i) {
		at = samples.length === 0 || i < 0 ? -1 : Math.min(i, samples.length - 1);
		tell();
	}

	plot.addEventListener('pointermove', (event) => {
		const box = drawing.getBoundingClientRect();
		const want = ((event.clientX - box.left) / box.width) * WIDTH;
		let best = -1;
		for (let i = 0; i < samples.length; i++) {
			if (best < 0 || Math.abs(x(i) - want) < Math.abs(x(best) - want))
				best = i;
		}
		point(best);
	});
	plot.addEventListener('pointerleave', () => point(-1));
	plot.addEventListener('blur', () => point(-1));
	plot.addEventListener('keydown', (event) => {
		const last = samples.length - 1, i = at < 0 ? last : at;
		const next = {ArrowLeft: Math.max(i - 1, 0), ArrowRight: Math.min(i + 1, last), Home: 0, End: last, Escape: -1}[event.key];
		if (next === undefined)
			return;
		event.preventDefault();
		point(next);
	});

	function set(list) {
		const end = list.length ? Date.parse(list.at(-1).time) : Date.now();
		const values = series.map(({of}) => list.map(of));
		const top = niceMax(values.flat().reduce((max, v) => Math.max(max, v ?? 0), 0), binary);
		const y = (v) => TOP + (1 - v / top) * (HEIGHT - TOP - BOTTOM);
		const pointed = at >= 0 ? samples[at]?.time : null;

		samples = list;
		x = (i) => WIDTH - RIGHT - ((end - Date.parse(samples[i].time)) / 1000 / span) * (WIDTH - LEFT - RIGHT);
		lines.forEach((line, i) => line.setAttribute('d', path(values[i], x, y)));
		[0, 0.5, 1].forEach((part, i) => {
			marks[i].textContent = print(top * part);
			marks[i].setAttribute('y', y(top * part) + 4);
		});
		from.textContent = clock(new Date(end - span * 1000));
		to.textContent = clock(new Date(end));
		// The cursor stays on its sample while the samples move.
		at = pointed === null ? -1 : samples.findIndex((s) => s.time === pointed);
		tell();
	}

	return {node, set};
}
