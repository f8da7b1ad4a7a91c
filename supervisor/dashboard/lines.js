// SPDX-License-Identifier: Apache-2.0
// A task's output as lines, pure. Pieces come as they were written: a piece may hold many
// lines, or part of one. Each stream has its own line that is not done yet.

import {PLAIN, after} from './ansi.js';
import {bytes as bytesText, count} from './format.js';

// What a browser's memory should hold of a log; the whole of it can be downloaded.
export const LINES_MAX = 200000;
export const CHARS_MAX = 32 << 20;
// Of a line that is longer the rest is counted.
export const LINE_MAX = 4000;

export class Lines {
	constructor(max = LINES_MAX, chars = CHARS_MAX) {
		this.max = max;
		this.charsMax = chars;
		this.chars = 0;
		this.list = [];
		this.gone = 0;	// lines that are no longer in list
		this.open = {};	// by stream: the line that has had no newline
		this.state = {};	// by stream: colours that go on
	}

	// stream: 'stdout', 'stderr' or 'note'. t: when it came.
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

	// Bytes that are missing here; what goes missing in one place is one line.
	drop({reason, bytes, kept}, t) {
		const last = this.list.at(-1);
		const line = last?.dropped ? last : {stream: 'note', dropped: 0, more: 0, t, state: PLAIN};

		line.dropped += bytes;
		line.text = `[${reason === 'disk' ? 'no room for the log' : `log limit of ${bytesText(kept)} reached`}: ` +
			`${count(line.dropped)} bytes dropped]`;
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
			// An empty line: nothing has opened it.
			this.grow(stream, '');
			return this.close(stream);
		}
		// A terminal's line end.
		if (line.more === 0 && line.text.endsWith('\r'))
			line.text = line.text.slice(0, -1);
		this.state[stream] = after(line.text, line.state);
		delete this.open[stream];
		return undefined;
	}

	trim() {
		// In large steps: each moves the whole array.
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
