// SPDX-License-Identifier: Apache-2.0
// Schedules of a project.

import {action, button, confirm, h, heading, replace, say} from './dom.js';
import {count, duration, id, status, time} from './format.js';
import {anyCode, codeSelect, commonFields, commonValues, field, formDialog, number} from './queue_form.js';
import {table} from './table.js';

const PER_PAGE = 50;

function rule(s) {
	if (s.cron)
		return h('span', null, h('code', null, s.cron), ` ${s.timezone || 'UTC'}`);
	return s.run_every > 0 ? `every ${duration(s.run_every * 1000)}` : 'once';
}

function scheduleTable(page, read) {
	const cancel = (s) => s.status === 'scheduled' && action('Cancel', async () => {
		if (!await confirm(`Cancel the schedule of ${s.code_name} (${s.id}) for good?`, 'Cancel it'))
			return;
		await page.project.cancelSchedule(s.id);
		say('The schedule is cancelled.');
		await read();
	}, {'aria-label': `Cancel ${s.id}`});

	return table({
		label: 'Schedules', key: (s) => s.id, empty: 'There is no schedule.',
		columns: [
			{name: 'Schedule', cell: (s) => id(s.id)},
			{name: 'Status', cell: (s) => status(s.status)},
			{name: 'Worker', cell: (s) => s.code_name},
			{name: 'When', cell: rule},
			{name: 'Next', cell: (s) => (s.status === 'scheduled' ? time(s.next_start) : '–')},
			{name: 'Last', cell: (s) => time(s.last_run_time), cls: 'wide'},
			{name: 'Runs', cell: (s) => (s.run_times > 0 ? `${count(s.run_count)} of ${count(s.run_times)}` : count(s.run_count)), cls: 'num'},
			{name: 'Label', cell: (s) => s.label ?? '', cls: 'wide clip'},
			{name: 'Message', cell: (s) => s.msg ?? '', cls: 'wide clip'},
			{name: '', cell: cancel},
		],
	});
}

const iso = (input) => (input.value ? new Date(input.value).toISOString() : undefined);

// The fields of the three kinds of schedules; those of the kinds that are not chosen are hidden,
// and not sent.
function kindFields() {
	const f = {
		kind: h('select', null, h('option', {value: 'once'}, 'Once'), h('option', {value: 'every'}, 'Every so many seconds'),
			h('option', {value: 'cron'}, 'By a crontab line')),
		every: h('input', {type: 'number', min: '1', step: '1', value: '3600'}),
		cron: h('input', {type: 'text', class: 'code', maxlength: '127', placeholder: '0 7 * * mon-fri'}),
		zone: h('input', {type: 'text', maxlength: '63', value: Intl.DateTimeFormat().resolvedOptions().timeZone ?? 'UTC'}),
		start: h('input', {type: 'datetime-local', step: '1'}),
		end: h('input', {type: 'datetime-local', step: '1'}),
		times: h('input', {type: 'number', min: '1', step: '1'}),
	};
	const every = field('Seconds', f.every), end = field('Not after (local time)', f.end), times = field('Times at most', f.times);
	const cron = h('div', {class: 'columns'},
		field('Crontab line', f.cron, 'Minute, hour, day, month, weekday; six fields begin with seconds.'), field('Time zone', f.zone));
	const show = () => {
		every.hidden = f.kind.value !== 'every';
		cron.hidden = f.kind.value !== 'cron';
		f.cron.required = f.kind.value === 'cron';
		end.hidden = times.hidden = f.kind.value === 'once';
	};

	f.kind.addEventListener('change', show);
	show();
	return {f, nodes: [field('When', f.kind), every, cron,
		h('div', {class: 'columns'}, field('Not before (local time)', f.start), end, times)]};
}

function kindValues(f) {
	const values = {start_at: iso(f.start)};

	if (f.kind.value !== 'once')
		Object.assign(values, {end_at: iso(f.end), run_times: number(f.times)});
	if (f.kind.value === 'every')
		values.run_every = number(f.every);
	if (f.kind.value === 'cron')
		Object.assign(values, {cron: f.cron.value.trim(), timezone: f.zone.value.trim() || undefined});
	return values; // undefined members are not sent
}

function newSchedule(page, codes, read) {
	if (!anyCode(codes))
		return;
	const code = codeSelect(codes), common = commonFields(), kind = kindFields();

	formDialog('New schedule', [
		field('Worker', code), kind.nodes,
		field('Payload', common.payload, 'Any text, at most 64 KB; most workers read JSON.'),
		h('div', {class: 'columns'},
			field('Priority', common.priority), field('Timeout, s', common.timeout), field('Label', common.label)),
	], 'Schedule it', async () => {
		await page.project.schedule({...commonValues(code, common), ...kindValues(kind.f)});
		say('Scheduled.');
		await read();
	});
}

export async function schedules(page) {
	const codes = await page.project.codes(page.signal);
	const base = `#/p/${page.parts[0]}/schedules`;
	const at = Math.max(Number.parseInt(page.params.get('page') ?? '0', 10) || 0, 0);
	const pages = h('nav', {class: 'tools pager', 'aria-label': 'Pages'});
	const list = scheduleTable(page, () => read());
	let full;

	async function read() {
		const now = (await page.project.schedules({page: at, per_page: PER_PAGE}, page.signal)).schedules;
		list.set(now);
		if (full !== (now.length === PER_PAGE)) {
			full = now.length === PER_PAGE;
			replace(pages, at > 0 && h('a', {href: `${base}?page=${at - 1}`}, 'Newer'),
				full && h('a', {href: `${base}?page=${at + 1}`}, 'Older'));
		}
	}

	await page.poll(read);
	page.show('Schedules', heading('Schedules',
		button('New schedule', () => newSchedule(page, codes, read), {class: 'main'})), list.node, pages);
}
