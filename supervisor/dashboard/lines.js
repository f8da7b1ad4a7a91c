// SPDX-License-Identifier: Apache-2.0
// Turns a task's output into lines, without touching the page. Pieces of output come as they were
// written: a piece may hold many lines, or a part of one. Each stream has one line that is not
// finished.

import {PLAIN, after} from './ansi.js';
import {bytes as bytesText, count} from './format.js';

// The most of a log that the page keeps in memory; a download has all of it.
export const LINES_MAX = 200000;
export const CHARS_MAX = 32 << 20;
// The rest of a longer line is only counted.
export const LINE_MAX = 4000;

export class Lines {
	constructor(max = LINES_MAX, chars = CHARS_MAX) {
		this.max = max;
		this.charsMax = chars;
		this.chars = 0;
		this.list = [];
		this.gone = 0;	// how many lines were removed from list
		this.open = {};	// by stream: the line that has not ended with a newline yet
		this.state = {};	// by stream: the colours that go on in the next line
	}

	// stream: 'stdout', 'stderr' or 'note'. t: when the text came.
	add(stream, text, t) {
		const parts = text.split('\n');

		for (let i = 0; i < parts.length; i++) {
			const last = i === parts.length - 1;
			if (last && parts[i] === '')
				break;
			this.grow(stream, parts[i], t);
			if (!last)
				this.close(stream);
		}
		this.trim();
	}

	note(text, t) {
		this.list.push({stream: 'note', text, more: 0, t, state: PLAIN});
		this.trim();
	}

	// Adds a line about missing bytes; what is missing in one place is one line.
	drop({reason, bytes, kept}, t) {
		const last = this.list.at(-1);
		const line = last?.dropped ? last : {stream: 'note', dropped: 0, more: 0, t, state: PLAIN};

		line.dropped += bytes;
		const what = {disk: 'no room for the log', ring: `the log keeps its last ${bytesText(kept)}`};
		line.text = `[${what[reason] ?? `log limit of ${bytesText(kept)} reached`}: ` +
			`${count(line.dropped)} bytes ${reason === 'ring' ? 'before them are gone' : 'dropped'}]`;
		if (line !== last)
			this.list.push(line);
		this.trim();
	}

	grow(stream, text, t) {
		let line = this.open[stream];

		if (!line) {
			line = {stream, text: '', more: 0, t, state: this.state[stream] ?? PLAIN};
			this.open[stream] = line;
			this.list.push(line);
		}
		const room = Math.max(LINE_MAX - line.text.length, 0);
		line.text += text.slice(0, room);
		this.chars += Math.min(text.length, room);
		line.more += Math.max(text.length - room, 0);
	}

	close(stream) {
		const line = this.open[stream];

		if (!line) {
			// The line is empty: nothing has begun it.
			this.grow(stream, '');
			return this.close(stream);
		}
		// A terminal's end of line is CR LF.
		if (line.more === 0 && line.text.endsWith('\r'))
			line.text = line.text.slice(0, -1);
		this.state[stream] = after(line.text, line.state);
		delete this.open[stream];
		return undefined;
	}

	trim() {
		// Lines are removed many at a time, because each removal moves the whole array.
		if (this.list.length <= this.max * 1.1 && this.chars <= this.charsMax * 1.1)
			return;
		let n = Math.max(this.list.length - this.max, 0);
		for (let i = 0; i < this.list.length && (i < n || this.chars > this.charsMax); i++) {
			this.chars -= this.list[i].text.length;
			n = i + 1;
		}
		this.list.splice(0, n);
		this.gone += n;
	}
}
