// SPDX-License-Identifier: Apache-2.0
// Turns a line of a task's output into pieces of plain text with class names. Of everything that a
// terminal would obey, only colours and weights (SGR) have an effect. All else that could deceive a
// reader (other escape sequences, control characters, bidirectional overrides) is shown as \x1b,
// \u202e.

const PLAIN = Object.freeze({fg: -1, bg: -1, bold: false, dim: false, italic: false, under: false, inverse: false});

// eslint-disable-next-line no-control-regex
const SGR = /\x1b\[([0-9;:]{0,64})m/g;
// eslint-disable-next-line no-control-regex
const STRANGE = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

export function visible(text) {
	return text.replace(STRANGE, (c) => {
		const code = c.charCodeAt(0);
		return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
	});
}

// The nearest of the 16 colours, which are readable in both themes; an arbitrary colour is not.
function nearest(r, g, b) {
	const high = Math.max(r, g, b), low = Math.min(r, g, b);

	if (high - low < 40)
		return high < 64 ? 0 : high < 140 ? 8 : high < 220 ? 7 : 15;
	const middle = (high + low) / 2;
	const hue = (r > middle ? 1 : 0) + (g > middle ? 2 : 0) + (b > middle ? 4 : 0);
	return high > 200 ? hue + 8 : hue;
}

function cube(n) {
	if (n < 16)
		return n;
	if (n >= 232)
		return nearest(...Array(3).fill(8 + (n - 232) * 10));
	const level = (v) => (v === 0 ? 0 : 55 + v * 40);
	return nearest(level(Math.floor((n - 16) / 36)), level(Math.floor((n - 16) / 6) % 6), level((n - 16) % 6));
}

// Reads what follows a 38 or 48: returns [colour, how many numbers were read].
function extended(codes, i) {
	if (codes[i + 1] === 5)
		return [codes[i + 2] <= 255 ? cube(codes[i + 2]) : -1, 2];
	if (codes[i + 1] === 2)
		return [nearest(...codes.slice(i + 2, i + 5).map((v) => Math.min(v ?? 0, 255))), 4];
	return [-1, 1];
}

function apply(state, codes) {
	let next = {...state};

	for (let i = 0; i < codes.length; i++) {
		const c = codes[i];
		if (c === 0)
			next = {...PLAIN};
		else if (c === 1)
			next.bold = true;
		else if (c === 2)
			next.dim = true;
		else if (c === 3)
			next.italic = true;
		else if (c === 4)
			next.under = true;
		else if (c === 7)
			next.inverse = true;
		else if (c === 22)
			next.bold = next.dim = false;
		else if (c === 23)
			next.italic = false;
		else if (c === 24)
			next.under = false;
		else if (c === 27)
			next.inverse = false;
		else if (c >= 30 && c <= 37)
			next.fg = c - 30;
		else if (c >= 90 && c <= 97)
			next.fg = c - 82;
		else if (c === 39)
			next.fg = -1;
		else if (c >= 40 && c <= 47)
			next.bg = c - 40;
		else if (c >= 100 && c <= 107)
			next.bg = c - 92;
		else if (c === 49)
			next.bg = -1;
		else if (c === 38 || c === 48) {
			const [colour, taken] = extended(codes, i);
			next[c === 38 ? 'fg' : 'bg'] = colour;
			i += taken;
		}
	}
	return next;
}

function classes(s) {
	// Text in the colour of its background would be hidden.
	const bg = s.bg === s.fg ? -1 : s.bg;
	const list = [];

	if (s.fg >= 0)
		list.push(`f${s.fg}`);
	if (bg >= 0)
		list.push(`b${bg}`);
	for (const name of ['bold', 'dim', 'italic', 'under', 'inverse']) {
		if (s[name])
			list.push(name);
	}
	return list.join(' ');
}

// Returns {pieces: [{text, cls}], state}; the next line of the stream begins with state.
export function render(line, state = PLAIN) {
	const pieces = [];
	let at = 0;
	const push = (text) => {
		if (text)
			pieces.push({text: visible(text), cls: classes(state)});
	};

	if (!line.includes('\x1b'))
		return {pieces: line ? [{text: visible(line), cls: classes(state)}] : [], state};
	SGR.lastIndex = 0;
	for (let m = SGR.exec(line); m; m = SGR.exec(line)) {
		push(line.slice(at, m.index));
		at = m.index + m[0].length;
		state = apply(state, m[1].split(/[;:]/).map(Number));
	}
	push(line.slice(at));
	return {pieces, state};
}

// The state after a line, without making its pieces.
export function after(line, state = PLAIN) {
	if (!line.includes('\x1b'))
		return state;
	return render(line, state).state;
}

export {PLAIN};
