// SPDX-License-Identifier: Apache-2.0
// Requests to /api (openapi.json describes it). The token is kept in this tab's session storage,
// and is sent only in the Authorization header.

const KEY = 'token';

export class ApiError extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
		// Asking again would give the same answer.
		this.final = status >= 400 && status < 500 && status !== 429;
	}
}

let token = null;
let onRefused = () => {};

try {
	token = sessionStorage.getItem(KEY);
} catch {
	// The browser forbids storage: the log-in lasts as long as the page.
}

export function loggedIn() {
	return token !== null;
}

export function setToken(text) {
	token = text;
	try {
		if (text === null)
			sessionStorage.removeItem(KEY);
		else
			sessionStorage.setItem(KEY, text);
	} catch {
		// as above
	}
}

// fn is called when the server refuses the token.
export function whenRefused(fn) {
	onRefused = fn;
}

async function words(response) {
	try {
		const {msg} = await response.json();
		if (typeof msg === 'string' && msg)
			return msg;
	} catch {
		// the answer is not our server's, but for instance a proxy's
	}
	return `The server answers ${response.status}.`;
}

async function request(method, path, {body, headers, signal} = {}) {
	const used = token;
	let response;

	try {
		response = await fetch(path, {
			method, signal, cache: 'no-store', credentials: 'omit', redirect: 'error', referrerPolicy: 'no-referrer',
			headers: {
				Authorization: `Bearer ${used}`,
				...(body === undefined ? {} : {'Content-Type': 'application/json'}),
				...headers,
			},
			body: body === undefined ? undefined : JSON.stringify(body),
		});
	} catch (error) {
		if (signal?.aborted)
			throw error;
		throw new ApiError(0, 'The server cannot be reached.');
	}
	if (response.ok)
		return response;
	const error = new ApiError(response.status, await words(response));
	if (response.status === 401 && used === token)
		onRefused(error);
	throw error;
}

const json = async (...args) => (await request(...args)).json();
const get = (path, signal) => json('GET', path, {signal});
const post = (path, body = {}) => json('POST', path, {body});
const query = (params) => {
	const text = new URLSearchParams(Object.entries(params).filter(([, v]) => v !== undefined && v !== null && v !== ''));
	return text.size === 0 ? '' : `?${text}`;
};

// The requests about one project.
export function project(id) {
	const base = `/api/projects/${encodeURIComponent(id)}`;
	const at = (...parts) => [base, ...parts.map(encodeURIComponent)].join('/');

	return {
		get: (signal) => get(base, signal),
		codes: async (signal) => {
			const all = [];
			for (let page = 0; ; page++) {
				const {codes} = await get(`${at('codes')}?page=${page}&per_page=100`, signal);
				all.push(...codes);
				if (codes.length < 100)
					return all;
			}
		},
		code: (code, signal) => get(at('codes', code), signal),
		revisions: async (code, signal) => (await get(at('codes', code, 'revisions'), signal)).revisions,
		stats: (code, signal) => get(at('codes', code, 'stats'), signal),
		pause: (code) => post(at('codes', code, 'pause_task_queue')),
		resume: (code) => post(at('codes', code, 'resume_task_queue')),
		cancelAll: (code) => post(at('codes', code, 'cancel_all')),
		tasks: (params, signal) => get(at('tasks') + query(params), signal),
		deadLetters: (params, signal) => get(at('dead_letters') + query(params), signal),
		queue: (task) => post(at('tasks'), {tasks: [task]}),
		task: (task, signal) => get(at('tasks', task), signal),
		cancel: (task) => post(at('tasks', task, 'cancel')),
		retry: (task) => post(at('tasks', task, 'retry')),
		log: async (task) => (await request('GET', at('tasks', task, 'log'), {headers: {Accept: 'text/plain'}})).blob(),
		events: (task, last, signal) => request('GET', at('tasks', task, 'events'), {
			signal,
			headers: {Accept: 'text/event-stream', ...(last ? {'Last-Event-ID': last} : {})},
		}),
		httpWorkers: (signal) => get(at('http', 'workers'), signal),
		httpWorker: (name, signal) => get(at('http', 'workers', name), signal),
		httpVersions: (name, signal) => get(at('http', 'workers', name, 'versions'), signal),
		backgrounds: (signal) => get(at('background'), signal),
		background: (name) => ({
			get: (signal) => get(at('background', name), signal),
			dead: (signal) => get(at('background', name, 'dead_letters'), signal),
			put: (what) => post(at('background', name, 'items'), what),
			trigger: () => post(at('background', name, 'trigger'), {}),
			stop: () => post(at('background', name, 'stop'), {}),
			start: () => post(at('background', name, 'start'), {}),
			restart: () => post(at('background', name, 'restart'), {}),
			remove: () => json('DELETE', at('background', name)),
			retry: (what) => post(at('background', name, 'dead_letters', 'retry'), what),
			removeDead: (what) => post(at('background', name, 'dead_letters', 'remove'), what),
		}),
		services: (signal) => get(at('services'), signal),
		service: (app, name) => ({
			get: (signal) => get(at('services', app, name), signal),
			revisions: (signal) => get(at('services', app, name, 'revisions'), signal),
			deploy: (what) => post(at('services', app, name, 'deploy'), what),
			restart: (what) => post(at('services', app, name, 'restart'), what),
			scale: (what) => post(at('services', app, name, 'scale'), what),
			remove: () => json('DELETE', at('services', app, name)),
		}),
		schedules: (params, signal) => get(at('schedules') + query(params), signal),
		schedule: (schedule) => post(at('schedules'), {schedules: [schedule]}),
		cancelSchedule: (schedule) => post(at('schedules', schedule, 'cancel')),
	};
}

export const whoami = (signal) => get('/api/whoami', signal);
export const projects = async (signal) => (await get('/api/projects', signal)).projects;
export const node = (since, signal) => get(`/api/node${query({since})}`, signal);
export const images = async (signal) => (await get('/api/images', signal)).images;
export const warmImage = (name) => post(`/api/images/${encodeURIComponent(name)}/warm`);
export const templates = async (signal) => (await get('/api/templates', signal)).templates;
export const retireTemplate = (id) => json('DELETE', `/api/templates/${encodeURIComponent(id)}`);
export const checkpoints = async (signal) => (await get('/api/checkpoints', signal)).checkpoints;
