// SPDX-License-Identifier: Apache-2.0
// Makes elements. All text goes in as text nodes: no string of a task, a project or a log is ever
// parsed as HTML, and no link made here leads out of this page.

const PROPS = new Set(['value', 'checked', 'disabled', 'hidden', 'open', 'selected', 'required', 'multiple']);

function set(node, name, value) {
	if (value === undefined || value === null || value === false) {
		if (PROPS.has(name))
			node[name] = false;
		return;
	}
	if (PROPS.has(name)) {
		node[name] = value;
		return;
	}
	if (/^on|^style$|^src|^action$|^formaction$/i.test(name))
		throw new Error(`an element here has no attribute ${name}`);
	if (name === 'href' && !String(value).startsWith('#'))
		throw new Error('a link here stays in the page');
	node.setAttribute(name, value === true ? '' : String(value));
}

function add(node, children) {
	for (const child of children.flat(Infinity)) {
		if (child === undefined || child === null || child === false || child === '')
			continue;
		node.append(child instanceof Node ? child : document.createTextNode(String(child)));
	}
	return node;
}

// h('a', {href: '#/x', on: {click: fn}}, 'text', node, ...)
export function h(name, attrs, ...children) {
	const node = document.createElement(name);

	for (const [key, value] of Object.entries(attrs ?? {})) {
		if (key === 'on') {
			for (const [event, fn] of Object.entries(value))
				node.addEventListener(event, fn);
		} else if (key !== 'value') {
			set(node, key, value);
		}
	}
	add(node, children);
	// Set after the children, because a select has no value before it has options.
	if (attrs && attrs.value !== undefined && attrs.value !== null)
		node.value = attrs.value;
	return node;
}

export function svg(name, attrs, ...children) {
	const node = document.createElementNS('http://www.w3.org/2000/svg', name);

	for (const [key, value] of Object.entries(attrs ?? {}))
		set(node, key, value);
	return add(node, children);
}

export function replace(node, ...children) {
	node.replaceChildren();
	return add(node, children);
}

// Shows a short message, also to screen readers.
let toastTimer;
export function say(text, bad = false) {
	const toast = document.getElementById('toast');

	toast.textContent = text;
	toast.classList.toggle('bad', bad);
	toast.classList.add('shown');
	clearTimeout(toastTimer);
	toastTimer = setTimeout(() => toast.classList.remove('shown'), bad ? 12000 : 5000);
}

export function button(text, fn, attrs = {}) {
	return h('button', {type: 'button', ...attrs, on: {click: fn}}, text);
}

// A button that sends a request: it cannot be pressed again while that is under way, and a failure
// is shown.
export function action(text, fn, attrs = {}) {
	const node = button(text, async () => {
		// The attribute `disabled` is not used, because it would take the focus away.
		if (node.getAttribute('aria-disabled') === 'true')
			return;
		node.setAttribute('aria-disabled', 'true');
		try {
			await fn();
		} catch (error) {
			say(error.message, true);
		} finally {
			node.removeAttribute('aria-disabled');
		}
	}, attrs);

	return node;
}

export function heading(text, ...tools) {
	return h('div', {class: 'head'}, h('h1', {tabindex: '-1'}, text), h('div', {class: 'tools'}, tools));
}

export function section(title, ...children) {
	return h('section', {'aria-label': title}, h('h2', null, title), children);
}

// pairs: [[name, value], ...]. Pairs without a value are left out.
export function facts(pairs) {
	const list = h('dl', {class: 'facts'});

	for (const [name, value] of pairs) {
		if (value === undefined || value === null || value === '' || value === false)
			continue;
		list.append(h('div', null, h('dt', null, name), h('dd', null, value)));
	}
	return list;
}

// Asks a question before something that cannot be undone; resolves to true when the user confirms.
export function confirm(question, verb) {
	return new Promise((resolve) => {
		const dialog = h('dialog', {'aria-labelledby': 'question'},
			h('p', {id: 'question'}, question),
			h('form', {method: 'dialog', class: 'tools'},
				h('button', {value: 'no', autofocus: true}, 'Back'),
				h('button', {value: 'yes', class: 'danger'}, verb)));

		// A form with method "dialog" sends nothing, but the page's Content-Security-Policy
		// allows no form to be submitted at all.
		dialog.querySelector('form').addEventListener('submit', (event) => {
			event.preventDefault();
			dialog.close(event.submitter?.value ?? 'no');
		});
		dialog.addEventListener('close', () => {
			dialog.remove();
			resolve(dialog.returnValue === 'yes');
		});
		document.body.append(dialog);
		dialog.showModal();
	});
}
