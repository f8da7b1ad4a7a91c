// SPDX-License-Identifier: Apache-2.0
// A log in a scrolling box. However many lines the log has, only the visible ones are elements.

import {Lines} from './lines.js';
import {button, h, replace, say} from './dom.js';
import {clock, count} from './format.js';
import {render} from './ansi.js';
import {follow} from './sse.js';

const LINE_HEIGHT = 18; // the height of .log .line in style.css
const MARGIN = 20;	// how many lines are drawn above and below the visible ones

export class LogView {
	// onTurn is called at the first line and at the end, because the task has changed then.
	constructor({task, open, download, onTurn, signal}) {
		this.open = open;
		this.download = download;
		this.onTurn = onTurn;
		this.signal = signal;
		this.name = `${task}.log`;
		this.lines = new Lines();
		this.shown = null;	// the filtered lines; null: no filter is set
		this.cut = 0;	// how often the log broke off without its end
		this.picked = 0;	// when the filter was applied last
		this.gone = 0;	// lines.gone when the box was drawn last
		this.following = true;
		this.top = 0;	// where the box was scrolled to last, by put() or by the user
		this.state = 'connecting';
		this.build();
		this.resize = new ResizeObserver(() => this.soon());
		this.resize.observe(this.box);
		signal.addEventListener('abort', () => this.resize.disconnect(), {once: true});
	}

	build() {
		this.rows = h('div', {class: 'rows'});
		this.space = h('div', {class: 'space'}, this.rows);
		this.box = h('div', {class: 'log', role: 'log', 'aria-live': 'off', 'aria-label': 'Log', tabindex: '0'},
			this.space);
		this.word = h('span', {class: 'note', role: 'status', 'data-log-state': 'connecting'});
		this.filter = h('input', {type: 'search', 'aria-label': 'Show lines with', placeholder: 'Show lines with',
			on: {input: () => this.refilter()}});
		this.stream = h('select', {'aria-label': 'Stream', on: {change: () => this.refilter()}},
			h('option', {value: ''}, 'Both streams'), h('option', {value: 'stdout'}, 'stdout'),
			h('option', {value: 'stderr'}, 'stderr'));
		this.tail = h('input', {type: 'checkbox', checked: true, on: {change: () => this.setFollowing(this.tail.checked)}});
		this.times = h('input', {type: 'checkbox', on: {change: () => this.box.classList.toggle('times', this.times.checked)}});
		this.node = h('section', {'aria-label': 'Log'},
			h('div', {class: 'head'}, h('h2', null, 'Log'), this.word,
				h('div', {class: 'tools'}, this.filter, this.stream,
					h('label', {class: 'check'}, this.times, 'Times'),
					h('label', {class: 'check'}, this.tail, 'Follow'),
					button('Download', () => this.save()))),
			this.box);
		this.box.addEventListener('scroll', () => this.scrolled(), {passive: true});
		this.tellState();
	}

	// Follows until the log ends or the user leaves the page.
	async run() {
		try {
			await follow({
				open: this.open,
				onEvent: (event) => this.event(event),
				onState: (state) => this.setState(state),
				signal: this.signal,
			});
		} catch (error) {
			this.lines.note(`The log cannot be read: ${error.message}`);
			this.setState('ended');
			this.changed();
		}
	}

	event({event, data}) {
		let what;

		try {
			what = JSON.parse(data);
		} catch {
			return false;
		}
		if (event === 'end' || this.lines.list.length === 0)
			this.onTurn();
		if (event === 'stdout' || event === 'stderr')
			this.lines.add(event, what.text ?? '', what.t);
		else if (event === 'dropped')
			this.lines.drop(what, what.t);
		this.changed();
		return event === 'end' && this.isEnd(what);
	}

	// The stream may end before the log, because the logger ended: then it is asked again, but
	// only a few times.
	isEnd({complete}) {
		if (complete !== false)
			return true;
		if (++this.cut < 5)
			return false;
		this.lines.note('[the end of this log is missing]');
		return true;
	}

	setState(state) {
		this.state = state;
		this.tellState();
	}

	tellState() {
		const words = {connecting: 'connecting', live: 'live', reconnecting: 'connection lost, trying again', ended: 'ended'};
		const n = this.lines.list.length + this.lines.gone;
		const part = this.shown ? `, ${count(this.shown.length)} shown` : '';
		const text = `${words[this.state]} · ${count(n)} ${n === 1 ? 'line' : 'lines'}${part}`;

		this.word.dataset.logState = this.state;
		// Screen readers hear of a change of the state, not of every line.
		this.word.setAttribute('aria-live', this.said === this.state ? 'off' : 'polite');
		this.said = this.state;
		this.word.textContent = text;
	}

	changed() {
		if (this.shown)
			this.stale = true;
		this.soon();
	}

	// Draws at most once in each frame.
	soon() {
		if (this.pending)
			return;
		this.pending = requestAnimationFrame(() => {
			this.pending = 0;
			if (this.stale)
				this.pickSometimes();
			this.tellState();
			this.draw();
		});
	}

	refilter() {
		this.pick();
		this.tellState();
		this.draw();
	}

	// A filter reads all lines, so it is not applied for each piece that comes.
	pickSometimes() {
		if (performance.now() - this.picked > 300)
			this.pick();
		else
			setTimeout(() => this.soon(), 300);
	}

	pick() {
		const text = this.filter.value.toLowerCase(), stream = this.stream.value;

		this.stale = false;
		this.picked = performance.now();
		this.shown = !text && !stream ? null : this.lines.list.filter((line) =>
			(!stream || line.stream === stream) && (!text || line.text.toLowerCase().includes(text)));
	}

	setFollowing(on) {
		this.following = on;
		this.tail.checked = on;
		if (on)
			this.draw();
	}

	// A user who scrolls up, however little, wants to read; a user who comes back to the end
	// wants to follow. A position that put() has set says nothing about what the user wants.
	scrolled() {
		const {scrollTop, scrollHeight, clientHeight} = this.box;
		const left = scrollHeight - scrollTop - clientHeight;
		const moved = scrollTop - this.top;

		this.top = scrollTop;
		if (Math.abs(moved) < 0.5)
			return;
		const atEnd = left < (moved < 0 ? 1.5 : LINE_HEIGHT);
		if (this.following !== atEnd)
			this.setFollowing(atEnd);
		this.soon();
	}

	put(top) {
		this.box.scrollTop = top;
		this.top = this.box.scrollTop;
	}

	draw() {
		const list = this.shown ?? this.lines.list;
		const cut = !this.shown && this.lines.gone > 0 ? 1 : 0;
		const n = list.length + cut;

		this.space.style.height = `${n * LINE_HEIGHT}px`;
		// A user who reads further up keeps seeing the same lines.
		if (!this.following && !this.shown && this.lines.gone !== this.gone)
			this.put(this.box.scrollTop - (this.lines.gone - this.gone) * LINE_HEIGHT);
		this.gone = this.lines.gone;
		if (this.following) {
			const end = this.box.scrollHeight - this.box.clientHeight;
			if (Math.abs(this.box.scrollTop - end) > 1)
				this.put(end);
		}
		const first = Math.max(Math.floor(this.box.scrollTop / LINE_HEIGHT) - MARGIN, 0);
		const last = Math.min(Math.ceil((this.box.scrollTop + this.box.clientHeight) / LINE_HEIGHT) + MARGIN, n);
		this.rows.style.transform = `translateY(${first * LINE_HEIGHT}px)`;
		replace(this.rows, Array.from({length: Math.max(last - first, 0)}, (_, i) =>
			first + i < cut ? this.cutNotice() : this.row(list[first + i - cut])));
	}

	cutNotice() {
		return h('div', {class: 'line note'},
			`${count(this.lines.gone)} earlier lines are no longer kept in this page; the download has all`);
	}

	row(line) {
		const pieces = line.stream === 'note' ? [{text: line.text, cls: ''}] : render(line.text, line.state).pieces;
		const stamp = line.t ? new Date(line.t) : null;

		return h('div', {class: `line ${line.stream}`, title: line.t, 'data-time': stamp ? clock(stamp) : ''},
			pieces.map(({text, cls}) => (cls ? h('span', {class: cls}, text) : text)),
			line.more > 0 && h('span', {class: 'note'}, ` ${count(line.more)} more characters; the download has all`));
	}

	async save() {
		try {
			const url = URL.createObjectURL(await this.download());
			const link = document.createElement('a');

			link.href = url;
			link.download = this.name;
			link.click();
			setTimeout(() => URL.revokeObjectURL(url), 10000);
		} catch (error) {
			say(`The log cannot be downloaded: ${error.message}`, true);
		}
	}
}
