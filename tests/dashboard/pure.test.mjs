// SPDX-License-Identifier: Apache-2.0
// The parts of the page that need no page: the event stream, colours, lines, charts.

import assert from 'node:assert/strict';
import {cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, test} from 'node:test';
import {fileURLToPath, pathToFileURL} from 'node:url';

// A copy: where no package.json says so, older versions of Node take no .js for a module.
const copy = mkdtempSync(join(tmpdir(), 'dashboard-'));
const DASHBOARD = pathToFileURL(`${copy}/`);

cpSync(fileURLToPath(new URL('../../supervisor/dashboard/', import.meta.url)), copy, {recursive: true});
writeFileSync(join(copy, 'package.json'), '{"type": "module"}');
after(() => rmSync(copy, {recursive: true}));

const {EventParser, follow} = await import(new URL('sse.js', DASHBOARD));
const {render, visible} = await import(new URL('ansi.js', DASHBOARD));
const {LINE_MAX, Lines} = await import(new URL('lines.js', DASHBOARD));
const {niceMax, path} = await import(new URL('chart.js', DASHBOARD));
const {merge} = await import(new URL('node.js', DASHBOARD));
const {Rates, quantile} = await import(new URL('http.js', DASHBOARD));
const {bytes, duration, pretty} = await import(new URL('format.js', DASHBOARD));

function parse(pieces) {
	const events = [];
	const parser = new EventParser((e) => events.push(e));

	pieces.forEach((p) => parser.feed(p));
	return events;
}

// Numbers that look random and are the same each time.
function* numbers(seed) {
	for (let x = seed; ;) {
		x = (x * 1103515245 + 12345) % 2147483648;
		yield x;
	}
}

test('sources: no string becomes HTML or code, and no other host is named', () => {
	for (const name of readdirSync(copy)) {
		const text = readFileSync(join(copy, name), 'utf8').replace('http://www.w3.org/2000/svg', '');

		assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|https?:\/\//, name);
	}
});

test('events: names, ids, several lines of data, comments, all line ends', () => {
	assert.deepEqual(parse(['event: stdout\nid: 7\ndata: a\ndata:b\n\n: ping\n\ndata\r\n\r\nid: 8\rdata: x: y\r\r \n']), [
		{event: 'stdout', id: '7', data: 'a\nb'},
		{event: 'message', id: '7', data: ''},
		{event: 'message', id: '8', data: 'x: y'},
	]);
	assert.deepEqual(parse(['data: never finished\n']), []);
});

test('events: however the stream is cut, they are the same', () => {
	const text = 'event: stdout\r\nid: 1\r\ndata: {"text":"é 😀"}\r\n\r\n: ping\n\nid: 2\ndata: x\r\rdata: y\n\n';
	const whole = parse([text]);
	const next = numbers(7);

	assert.equal(whole.length, 3);
	for (let i = 0; i < 300; i++) {
		const pieces = [];
		for (let at = 0; at < text.length;) {
			const n = 1 + (next.next().value >> 8) % 9;
			pieces.push(text.slice(at, at + n));
			at += n;
		}
		assert.deepEqual(parse(pieces), whole);
	}
});

function response(text) {
	return new Response(text);
}

test('events: after a broken connection it goes on behind the last one, and stops at the end', async () => {
	const asked = [], got = [], states = [];
	const answers = [
		() => response('id: 1\ndata: a\n\nid: 2\ndata: b\n\ndata: cut'),
		() => { throw new Error('gone'); },
		() => response('id: 3\ndata: c\n\nevent: end\ndata: {}\n\nid: 9\ndata: too late\n\n'),
	];

	await follow({
		open: async (last) => {
			asked.push(last);
			return answers.shift()();
		},
		onEvent: (e) => {
			got.push(e.data);
			return e.event === 'end';
		},
		onState: (s) => states.push(s),
		signal: new AbortController().signal,
	});
	assert.deepEqual(asked, ['', '2', '2']);
	assert.deepEqual(got, ['a', 'b', 'c', '{}']);
	assert.deepEqual(states, ['live', 'reconnecting', 'reconnecting', 'live', 'ended']);
});

test('events: an answer that stays the same is not asked for again', async () => {
	const error = Object.assign(new Error('Not found'), {final: true});

	await assert.rejects(follow({
		open: async () => { throw error; }, onEvent: () => false, onState: () => {}, signal: new AbortController().signal,
	}), error);
});

test('colours: SGR becomes class names, and goes on in the next line', () => {
	const one = render('a \x1b[1;31mred\x1b[0m b \x1b[42m');

	assert.deepEqual(one.pieces, [{text: 'a ', cls: ''}, {text: 'red', cls: 'f1 bold'}, {text: ' b ', cls: ''}]);
	assert.deepEqual(render('next', one.state).pieces, [{text: 'next', cls: 'b2'}]);
	assert.deepEqual(render('\x1b[38;5;196mx').pieces, [{text: 'x', cls: 'f9'}]);
	assert.deepEqual(render('\x1b[38;2;0;255;0mx').pieces, [{text: 'x', cls: 'f10'}]);
	assert.deepEqual(render('\x1b[mplain').pieces, [{text: 'plain', cls: ''}]);
});

test('colours: no text is hidden by them', () => {
	assert.deepEqual(render('\x1b[30;40mx').pieces, [{text: 'x', cls: 'f0'}]);
	assert.deepEqual(render('\x1b[8mx').pieces, [{text: 'x', cls: ''}]);
	assert.deepEqual(render('\x1b[38;5;1;48;5;1mx').pieces, [{text: 'x', cls: 'f1'}]);
});

test('colours: whatever else a terminal would obey is shown', () => {
	const shown = (text) => render(text).pieces.map((p) => p.text).join('');

	assert.equal(shown('\x1b]0;t\x07\x1b[2J\x1b[1;1H'), '\\x1b]0;t\\x07\\x1b[2J\\x1b[1;1H');
	assert.equal(shown('a\rb\x00\x9b31m\x7f'), 'a\\x0db\\x00\\x9b31m\\x7f');
	assert.equal(shown('x\u202ey\u2066\u200b\ufeff\u2028'), 'x\\u202ey\\u2066\\u200b\\ufeff\\u2028');
	assert.equal(shown('\t tab, é and 😀 stay'), '\t tab, é and 😀 stay');
	assert.equal(visible('\ud800 \udc00'), '\\ud800 \\udc00');
	assert.equal(shown('\x1b[38;5m\x1b[999999999999mx'), 'x');
	assert.equal(shown(`\x1b[${'1;'.repeat(100)}m`), `\\x1b[${'1;'.repeat(100)}m`);
	for (const {cls} of render('\x1b[38;5;300mx\x1b[48;2;1mx\x1b[38;2;999;-1;xmx').pieces)
		assert.match(cls, /^([fb]\d{1,2}|bold|dim|italic|under|inverse| )*$/);
});

test('lines: pieces are put together by stream', () => {
	const l = new Lines();

	l.add('stdout', 'a');
	l.add('stderr', 'e1\ne2');
	l.add('stdout', 'b\n\nc\r\n');
	assert.deepEqual(l.list.map(({stream, text}) => [stream, text]),
		[['stdout', 'ab'], ['stderr', 'e1'], ['stderr', 'e2'], ['stdout', ''], ['stdout', 'c']]);
	l.add('stderr', '!\n');
	assert.equal(l.list[2].text, 'e2!');
});

test('lines: long ones are cut and counted, old ones go, memory is bounded', () => {
	const l = new Lines(100, 20000);

	l.add('stdout', 'x'.repeat(LINE_MAX + 5));
	l.add('stdout', 'y\n');
	assert.equal(l.list[0].text.length, LINE_MAX);
	assert.equal(l.list[0].more, 6);
	for (let i = 0; i < 1000; i++)
		l.add('stdout', `${i}\n`);
	assert.ok(l.list.length <= 110);
	assert.equal(l.list.length + l.gone, 1001);
	assert.equal(l.list.at(-1).text, '999');
	for (let i = 0; i < 50; i++)
		l.add('stdout', `${'z'.repeat(3000)}\n`);
	assert.ok(l.chars <= 22000);
	assert.equal(l.chars, l.list.reduce((n, {text}) => n + text.length, 0));
});

test('lines: what was dropped is told once for each place', () => {
	const l = new Lines();

	l.add('stdout', 'a\n');
	l.drop({reason: 'limit', bytes: 1000, kept: 16 << 20});
	l.drop({reason: 'limit', bytes: 500, kept: 16 << 20});
	l.add('stdout', 'b\n');
	l.drop({reason: 'disk', bytes: 7, kept: 0});
	l.add('stdout', 'c\n');
	l.drop({reason: 'ring', bytes: 3, kept: 16 << 20});
	assert.deepEqual(l.list.map((line) => line.text),
		['a', '[log limit of 16 MiB reached: 1 500 bytes dropped]', 'b', '[no room for the log: 7 bytes dropped]', 'c',
			'[the log keeps its last 16 MiB: 3 bytes before them are gone]']);
});

test('charts: round scales, and gaps where nothing is known', () => {
	assert.deepEqual([0, 0.3, 1, 1.2, 4, 7, 99, 101].map((v) => niceMax(v)), [1, 0.5, 1, 2, 5, 10, 100, 200]);
	assert.equal(niceMax(9e9, true), 2 ** 34);
	assert.equal(path([1, 2, null, 3, null], (i) => i, (v) => v), 'M0.0 1.0L1.0 2.0M3.0 3.0h0.1');
	assert.equal(path([], (i) => i, (v) => v), '');
});

test('charts: samples are kept once, for as long as they are shown', () => {
	const at = (s) => ({time: new Date(s * 1000).toISOString()});
	const known = merge([], [at(1), at(2)]);

	assert.deepEqual(merge(known, [at(2), at(3)]), [at(1), at(2), at(3)]);
	assert.deepEqual(merge(known, [at(400)]), [at(400)]);
});

test('words: durations, sizes, payloads', () => {
	assert.deepEqual([0, 1.234, 45.67, 345.6, 5000, 61000, 3700000, null, NaN, -1].map(duration),
		['0 ms', '1.23 ms', '45.7 ms', '346 ms', '5.0 s', '1 min 01 s', '1 h 01 min', '–', '–', '–']);
	assert.deepEqual([0, 1023, 1024, 320 << 20, undefined].map(bytes), ['0 B', '1023 B', '1 KiB', '320 MiB', '–']);
	assert.equal(pretty('{"a":1}'), '{\n  "a": 1\n}');
	assert.equal(pretty('{"a":'), '{"a":');
});

test('HTTP workers: a part of the requests took no longer than this', () => {
	const bounds = [0.1, 0.2, 1];

	assert.equal(quantile(bounds, [0, 0, 0, 0], 0.5), null);
	assert.equal(quantile(bounds, [10, 0, 0, 0], 0.5), 0.05);
	assert.equal(quantile(bounds, [1, 1, 0, 0], 1), 0.2);
	assert.ok(Math.abs(quantile(bounds, [5, 0, 5, 0], 0.9) - 0.84) < 1e-9);
	// What took longer than all bounds took at least the last.
	assert.equal(quantile(bounds, [1, 0, 0, 9], 0.9), 1);
});

test('HTTP workers: rates are of the last seconds, and counters may begin anew', () => {
	const rates = new Rates();
	const counts = (requests, errors = 0) => ({requests, status: {5: errors}, bounds: [1], buckets: [requests, 0]});

	assert.equal(rates.add(counts(100), 0).rate, 0);
	assert.equal(rates.add(counts(120, 2), 2000).rate, 10);
	assert.equal(rates.add(counts(120, 2), 4000).errors, 0.5);
	assert.equal(rates.add(counts(120, 2), 4000).p50, 0.5);
	// nginx was started again.
	assert.deepEqual(rates.add(counts(3), 6000), {rate: 0, errors: 0, p50: null, p99: null});
	assert.equal(rates.add(counts(5), 8000).rate, 1);
	// What is older than the window does not count.
	for (let s = 10; s <= 60; s += 2)
		rates.add(counts(5), s * 1000);
	assert.equal(rates.add(counts(5), 62000).rate, 0);
});
