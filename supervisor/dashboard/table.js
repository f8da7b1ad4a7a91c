// SPDX-License-Identifier: Apache-2.0
// A table that follows its data: rows that have not changed stay the same elements, so that neither
// the focus nor a selection is lost when a list is read again.

import {h, replace} from './dom.js';

const FOCUSABLE = 'a, button, input, select';

function keepFocus(from, to) {
	const i = [...from.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);

	return i < 0 ? null : () => to.querySelectorAll(FOCUSABLE)[i]?.focus({preventScroll: true});
}

// columns: [{name, cell(row), cls}]; a column with cls 'num' is right-aligned, one with 'wide' is
// left out on a phone. key(row) tells rows apart. A row is drawn again when print(row) has changed.
export function table({label, columns, key, empty, print = JSON.stringify}) {
	const body = h('tbody');
	const head = h('tr', null, columns.map((c) =>
		h('th', {scope: 'col', class: c.cls}, c.name || h('span', {class: 'unseen'}, 'Actions'))));
	const nothing = h('p', {class: 'empty', hidden: true}, empty);
	const frame = h('div', {class: 'scroll', role: 'region', tabindex: '0', 'aria-label': label},
		h('table', {'aria-label': label}, h('thead', null, head), body));
	let known = new Map();

	function row(data) {
		return h('tr', {'data-key': key(data)}, columns.map((c, i) =>
			(i === 0 ? h('th', {scope: 'row', class: c.cls}, c.cell(data)) : h('td', {class: c.cls}, c.cell(data)))));
	}

	function set(rows) {
		const next = new Map();
		const order = [];
		let focus = null;

		for (const data of rows) {
			const k = key(data), text = print(data), old = known.get(k);
			let node = old?.node;
			if (!node || old.text !== text) {
				node = row(data);
				if (old)
					focus = keepFocus(old.node, node) ?? focus;
			}
			next.set(k, {node, text});
			order.push(node);
		}
		known = next;
		if (order.length !== body.children.length || order.some((node, i) => body.children[i] !== node)) {
			const active = document.activeElement;
			replace(body, order);
			// Moving an element takes the focus from it.
			if (body.contains(active))
				active.focus({preventScroll: true});
		}
		focus?.();
		nothing.hidden = rows.length > 0;
		frame.hidden = rows.length === 0;
	}

	return {node: h('div', null, frame, nothing), set};
}
