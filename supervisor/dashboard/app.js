// SPDX-License-Identifier: Apache-2.0
// The page: who is logged in, which view the address names, and how views come and go.

import * as api from './api.js';
import {button, h, heading, replace, say} from './dom.js';
import {code, codes} from './codes.js';
import {httpWorker, httpWorkers} from './http.js';
import {loginForm} from './login.js';
import {nodeView} from './node.js';
import {checkpoints, images, templates} from './operator.js';
import {projects} from './projects.js';
import {schedules} from './schedules.js';
import {service, services} from './services.js';
import {workerAtWork, workersAtWork} from './background.js';
import {pause} from './sse.js';
import {task} from './task.js';
import {deadLetters, tasks} from './tasks.js';

const POLL_MS = 2000;

const ROUTES = [
	[/^projects$/, projects, 'operator'],
	[/^node$/, nodeView, 'operator'],
	[/^images$/, images, 'operator'],
	[/^templates$/, templates, 'operator'],
	[/^checkpoints$/, checkpoints, 'operator'],
	[/^p\/([0-9a-f]{24})$/, codes],
	[/^p\/([0-9a-f]{24})\/workers\/([0-9a-f]{24})$/, code],
	[/^p\/([0-9a-f]{24})\/http$/, httpWorkers],
	[/^p\/([0-9a-f]{24})\/http\/([a-z0-9-]{1,63})$/, httpWorker],
	[/^p\/([0-9a-f]{24})\/background$/, workersAtWork],
	[/^p\/([0-9a-f]{24})\/background\/([a-z0-9_]{1,40})$/, workerAtWork],
	[/^p\/([0-9a-f]{24})\/services$/, services],
	[/^p\/([0-9a-f]{24})\/services\/([a-z0-9-]{1,40})\/([a-z0-9_]{1,16})$/, service],
	[/^p\/([0-9a-f]{24})\/tasks$/, tasks],
	[/^p\/([0-9a-f]{24})\/tasks\/([0-9a-f]{24})$/, task],
	[/^p\/([0-9a-f]{24})\/schedules$/, schedules],
	[/^p\/([0-9a-f]{24})\/dead$/, deadLetters],
];

const main = document.getElementById('main');
const nav = document.getElementById('nav');
const where = document.getElementById('where');
const leave = document.getElementById('leave');
const offline = document.getElementById('offline');

let me = null;	// the answer of whoami
let names = new Map();	// projects' names by their ids
let current = null;	// the AbortController of the view that is shown

function seen(signal) {
	if (!document.hidden)
		return Promise.resolve();
	return new Promise((resolve) => {
		document.addEventListener('visibilitychange', resolve, {once: true, signal});
		signal.addEventListener('abort', resolve, {once: true});
	});
}

// What a view is given: the parts of its address, where to draw, and a timer that stops with the
// view.
function makePage(signal, parts, params) {
	const page = {
		main, signal, parts, params, me,
		project: parts[0] ? api.project(parts[0]) : null,
		show(title, ...children) {
			document.title = `${title} – sandboxd`;
			replace(main, children);
			main.querySelector('h1')?.focus({preventScroll: true});
			main.setAttribute('aria-busy', 'false');
		},
		// Calls fn now, and again and again while the page is visible. A first failure is
		// thrown to the view; after a later one the page says so and tries again.
		async poll(fn, ms = POLL_MS) {
			if (await fn() === 'done')
				return;
			(async () => {
				for (;;) {
					await pause(ms, signal);
					await seen(signal);
					if (signal.aborted || !main.isConnected)
						return;
					try {
						if (await fn() === 'done')
							return;
						offline.textContent = '';
					} catch (error) {
						if (signal.aborted)
							return;
						offline.textContent = `${error.message} Trying again.`;
					}
				}
			})();
		},
	};

	return page;
}

function link(href, text, active) {
	return h('li', null, h('a', {href, 'aria-current': active ? 'page' : null}, text));
}

function drawNav(path, projectId) {
	const groups = [];
	const base = `p/${projectId}`;

	if (projectId) {
		groups.push(h('h2', null, names.get(projectId) ?? 'Project'), h('ul', null,
			link(`#/${base}`, 'Workers', path === base || path.startsWith(`${base}/workers`)),
			link(`#/${base}/http`, 'HTTP workers', path === `${base}/http` || path.startsWith(`${base}/http/`)),
			link(`#/${base}/services`, 'Services', path.startsWith(`${base}/services`)),
			link(`#/${base}/background`, 'Background', path.startsWith(`${base}/background`)),
			link(`#/${base}/tasks`, 'Tasks', path.startsWith(`${base}/tasks`)),
			link(`#/${base}/schedules`, 'Schedules', path === `${base}/schedules`),
			link(`#/${base}/dead`, 'Dead letters', path === `${base}/dead`)));
	}
	if (me.operator) {
		groups.push(h('h2', null, 'Operator'), h('ul', null,
			['projects', 'node', 'images', 'templates', 'checkpoints'].map((name) =>
				link(`#/${name}`, name[0].toUpperCase() + name.slice(1), path === name))));
	}
	replace(nav, groups);
	nav.hidden = false;
	leave.hidden = false;
	replace(where, projectId ? names.get(projectId) ?? projectId : 'node');
}

function problem(error) {
	const text = error.status === 404 ? 'There is nothing of this name here, or it belongs to another project.' : error.message;

	document.title = 'Not shown – sandboxd';
	replace(main, heading('Not shown'), h('p', {class: 'notice bad', role: 'alert'}, text),
		button('Try again', () => route()));
	main.querySelector('h1').focus({preventScroll: true});
	main.setAttribute('aria-busy', 'false');
}

function home() {
	return me.operator ? '#/projects' : `#/p/${me.project.id}`;
}

async function learnNames(projectId) {
	if (names.has(projectId))
		return;
	try {
		names.set(projectId, (await api.project(projectId).get()).name);
	} catch {
		// The view itself will say what is wrong with this project.
	}
}

async function route() {
	const [path, search = ''] = location.hash.replace(/^#\/?/, '').split('?');

	current?.abort();
	offline.textContent = '';
	current = new AbortController();
	const {signal} = current;
	if (!api.loggedIn() || !me)
		return login();
	if (path === '') {
		location.replace(home());
		return;
	}
	main.setAttribute('aria-busy', 'true');
	for (const [pattern, view, needs] of ROUTES) {
		const match = pattern.exec(path);
		if (!match || (needs === 'operator' && !me.operator))
			continue;
		const parts = match.slice(1);
		if (parts[0])
			await learnNames(parts[0]);
		if (signal.aborted)
			return;
		drawNav(path, parts[0] ?? null);
		try {
			await view(makePage(signal, parts, new URLSearchParams(search)));
		} catch (error) {
			if (!signal.aborted)
				problem(error);
		}
		return;
	}
	drawNav(path, null);
	problem({status: 404});
}

function logout() {
	current?.abort();
	api.setToken(null);
	me = null;
	names = new Map();
	nav.hidden = true;
	leave.hidden = true;
	replace(nav);
	replace(where);
	offline.textContent = '';
	main.setAttribute('aria-busy', 'false');
}

function login(message) {
	logout();
	document.title = 'Log in – sandboxd';
	loginForm(main, message, enter);
}

// Asks the server whose the token is; throws an error, which the form shows.
async function enter(token) {
	api.setToken(token);
	try {
		me = await api.whoami();
	} catch (error) {
		api.setToken(null);
		throw error;
	}
	names.set(me.project.id, me.project.name);
	await route();
}

api.whenRefused(() => {
	// While the user logs in, the form says it.
	if (me)
		login('This token is no longer good: it was revoked, or the server has forgotten it.');
});
leave.addEventListener('click', () => {
	logout();
	location.hash = '#/';
	login();
	say('Logged out.');
});
document.querySelector('.skip').addEventListener('click', (event) => {
	// The address belongs to the view, so the link must not change it.
	event.preventDefault();
	main.focus();
});
addEventListener('hashchange', route);

if (api.loggedIn()) {
	try {
		me = await api.whoami();
		names.set(me.project.id, me.project.name);
		await route();
	} catch (error) {
		if (error.status === 401)
			login('This token is no longer good: it was revoked, or the server has forgotten it.');
		else
			problem(error);
	}
} else {
	login();
}
