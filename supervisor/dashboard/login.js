// SPDX-License-Identifier: Apache-2.0
// The log-in: a token, kept for this tab alone.

import {h, replace} from './dom.js';

export function loginForm(main, message, enter) {
	const field = h('input', {
		id: 'token', type: 'password', autocomplete: 'off', spellcheck: 'false', required: true,
		'aria-describedby': 'token-help token-error',
	});
	const error = h('p', {id: 'token-error', class: 'notice bad', role: 'alert', hidden: !message}, message ?? '');
	const submit = h('button', {type: 'submit', class: 'main'}, 'Log in');
	const form = h('form', {class: 'login'},
		h('h1', null, 'Log in'),
		h('label', {for: 'token'}, 'Token'), field,
		h('p', {id: 'token-help', class: 'note'}, 'A project’s token shows the project; an operator’s token all projects and the ' +
			'node. sandboxctl project create NAME prints one. It is kept until this tab is closed.'),
		error, submit);

	const fail = (text) => {
		error.textContent = text;
		error.hidden = false;
		field.setAttribute('aria-invalid', 'true');
		field.focus();
	};

	form.addEventListener('submit', async (event) => {
		const text = field.value.trim();

		event.preventDefault();
		if (submit.getAttribute('aria-disabled') === 'true')
			return;
		// What cannot be a token must not be sent in a header either.
		if (!/^[\x21-\x7e]+$/.test(text)) {
			fail('A token is letters, digits, - and _.');
			return;
		}
		submit.setAttribute('aria-disabled', 'true');
		try {
			await enter(text);
		} catch (e) {
			fail(e.status === 401 || e.status === 403 ? 'This token is not known here.' : e.message);
		} finally {
			submit.removeAttribute('aria-disabled');
		}
	});
	replace(main, form);
	field.focus();
}
