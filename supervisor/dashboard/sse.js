// SPDX-License-Identifier: Apache-2.0
// Server-sent events over fetch(): EventSource cannot send an Authorization header, and a token
// must not be part of a URL.

// A parser of the event stream format. It is given text and calls onEvent with {event, id, data};
// it does nothing else.
export class EventParser {
	constructor(onEvent) {
		this.onEvent = onEvent;
		this.rest = '';
		this.id = '';
		this.clear();
	}

	clear() {
		this.event = 'message';
		this.data = [];
	}

	feed(text) {
		this.rest += text;
		// A CR at the end of the text may be the first half of a CR LF.
		const end = this.rest.endsWith('\r') ? this.rest.length - 1 : this.rest.length;
		const lines = this.rest.slice(0, end).split(/\r\n|\r|\n/);

		this.rest = lines.pop() + this.rest.slice(end);
		for (const line of lines)
			this.line(line);
	}

	line(line) {
		if (line === '') {
			if (this.data.length > 0)
				this.onEvent({event: this.event, id: this.id, data: this.data.join('\n')});
			this.clear();
			return;
		}
		const colon = line.indexOf(':');
		const name = colon < 0 ? line : line.slice(0, colon);
		const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
		if (name === 'event')
			this.event = value;
		else if (name === 'data')
			this.data.push(value);
		else if (name === 'id' && !value.includes('\0'))
			this.id = value;
	}
}

// Waits; ends at once when the signal is aborted.
export function pause(ms, signal) {
	return new Promise((resolve) => {
		const timer = setTimeout(resolve, ms);
		signal.addEventListener('abort', () => {
			clearTimeout(timer);
			resolve();
		}, {once: true});
	});
}

// The server sends something every 15 s. A connection that is silent for longer is broken, which
// the browser would not notice for hours.
const SILENCE_MS = 45000;

async function readAll(response, parser, stop) {
	const reader = response.body.getReader();
	const decoder = new TextDecoder();

	for (;;) {
		const timer = setTimeout(stop, SILENCE_MS);
		try {
			const {done, value} = await reader.read();
			if (done)
				return;
			parser.feed(decoder.decode(value, {stream: true}));
		} finally {
			clearTimeout(timer);
		}
	}
}

// Follows a stream until onEvent returns true (the stream's end) or the signal is aborted. After a
// broken connection it continues behind the last event that came. open(lastId, signal) makes the
// request; an error of open with `final` set ends everything.
export async function follow({open, onEvent, onState, signal}) {
	let last = '', ended = false, wait = 250;

	while (!ended && !signal.aborted) {
		const attempt = new AbortController();
		const stop = () => attempt.abort();
		const parser = new EventParser((event) => {
			if (ended || signal.aborted)
				return;
			wait = 250;
			last = event.id || last;
			ended = onEvent(event) === true;
			if (ended)
				stop();
		});
		signal.addEventListener('abort', stop, {once: true});
		try {
			const response = await open(last, attempt.signal);
			onState('live');
			await readAll(response, parser, stop);
		} catch (error) {
			if (error.final && !signal.aborted)
				throw error;
		} finally {
			signal.removeEventListener('abort', stop);
		}
		if (ended || signal.aborted)
			break;
		onState('reconnecting');
		await pause(wait, signal);
		wait = Math.min(wait * 2, 8000);
	}
	if (!signal.aborted)
		onState('ended');
}
