// SPDX-License-Identifier: Apache-2.0
// Dialogs that ask for a new task and for a new schedule.

import {button, h, say} from './dom.js';

let unique = 0;

// A field with a label; screen readers read help along with it.
export function field(label, control, help) {
	const id = `field-${++unique}`;

	control.id = id;
	if (help)
		control.setAttribute('aria-describedby', `${id}-help`);
	return h('div', {class: 'field'}, h('label', {for: id}, label), control,
		help && h('p', {class: 'note', id: `${id}-help`}, help));
}

// A whole number, or undefined when the field is empty.
export function number(control) {
	return control.value === '' ? undefined : Number(control.value);
}

// A modal dialog. submit() sends; an error that it throws is shown in the dialog.
export function formDialog(title, fields, verb, submit) {
	const error = h('p', {class: 'notice bad', role: 'alert', hidden: true});
	const send = h('button', {type: 'submit', class: 'main'}, verb);
	const form = h('form', null, h('h2', {id: 'dialog-title'}, title), fields, error,
		h('div', {class: 'tools'}, button('Back', () => dialog.close()), send));
	const dialog = h('dialog', {class: 'form', 'aria-labelledby': 'dialog-title'}, form);

	form.addEventListener('submit', async (event) => {
		event.preventDefault();
		if (send.getAttribute('aria-disabled') === 'true')
			return;
		send.setAttribute('aria-disabled', 'true');
		try {
			await submit();
			dialog.close();
		} catch (e) {
			error.textContent = e.message;
			error.hidden = false;
		} finally {
			send.removeAttribute('aria-disabled');
		}
	});
	dialog.addEventListener('close', () => dialog.remove());
	// The dialog closes when the user goes to another view.
	addEventListener('hashchange', () => dialog.close(), {once: true});
	document.body.append(dialog);
	dialog.showModal();
	form.querySelector('select, input, textarea').focus();
}

export function codeSelect(codes, chosen) {
	return h('select', {required: true, value: chosen ?? codes[0]?.name},
		codes.map((c) => h('option', {value: c.name}, c.paused ? `${c.name} (paused)` : c.name)));
}

export function commonFields() {
	return {
		payload: h('textarea', {rows: '5', spellcheck: 'false', class: 'code'}),
		priority: h('select', null, h('option', {value: ''}, 'The worker’s'), ['0', '1', '2'].map((p) => h('option', {value: p}, p))),
		timeout: h('input', {type: 'number', min: '0', max: '3600', step: '1'}),
		label: h('input', {type: 'text', maxlength: '128'}),
	};
}

export function commonValues(code, f) {
	return {
		code_name: code.value,
		...(f.payload.value === '' ? {} : {payload: f.payload.value}),
		...(f.priority.value === '' ? {} : {priority: Number(f.priority.value)}),
		...(f.timeout.value === '' ? {} : {timeout: number(f.timeout)}),
		...(f.label.value === '' ? {} : {label: f.label.value}),
	};
}

// Returns false, and shows a message, when the project has no worker to run.
export function anyCode(codes) {
	if (codes.length === 0)
		say('No worker has been uploaded yet: sandboxctl upload NAME.', true);
	return codes.length > 0;
}

export function queueTask(page, codes, chosen) {
	if (!anyCode(codes))
		return;
	const code = codeSelect(codes, chosen), f = commonFields();
	const delay = h('input', {type: 'number', min: '0', max: '604800', step: '1'});

	formDialog('Queue a task', [
		field('Worker', code),
		field('Payload', f.payload, 'Any text, at most 64 KB; most workers read JSON.'),
		h('div', {class: 'columns'},
			field('Priority', f.priority), field('Delay, s', delay), field('Timeout, s', f.timeout), field('Label', f.label)),
	], 'Queue it', async () => {
		const {tasks} = await page.project.queue({
			...commonValues(code, f), ...(delay.value === '' ? {} : {delay: number(delay)}),
		});
		location.hash = `#/p/${page.parts[0]}/tasks/${tasks[0].id}`;
	});
}
