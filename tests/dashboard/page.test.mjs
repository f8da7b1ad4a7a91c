// SPDX-License-Identifier: Apache-2.0
// The dashboard in a real browser, against a real daemon.

import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {readFileSync} from 'node:fs';

import {ALPHA, BETA, GAMMA, OPERATOR, URL_, api, askWorker, browse, codeNamed, endedAs, eventually, fact, log, logIs, open, queue} from './rig.mjs';

const tasksOf = (who) => `#/p/${who.id}/tasks`;

browse('a wrong token is told so, and kept nowhere', async (page) => {
	await page.goto(URL_);
	for (const text of ['x'.repeat(43), 'two words', 'ünïcode']) {
		await page.getByLabel('Token').fill(text);
		await page.keyboard.press('Enter');
		await page.getByRole('alert').filter({hasText: /not known here|letters, digits/}).waitFor();
		assert.equal(await page.evaluate(() => document.activeElement.id), 'token');
		assert.equal(await page.evaluate(() => sessionStorage.length), 0);
	}
	assert.ok(await page.getByRole('navigation', {name: 'Views'}).isHidden());
});

browse('a task is queued by the form; its log arrives while it runs, also after a reload; it is cancelled', async (page) => {
	await open(page, ALPHA);
	await page.getByRole('button', {name: 'Queue a task of ticks'}).click();
	await page.getByLabel('Payload').fill('{"n": 1}');
	await page.getByLabel('Label').fill('by hand');
	await page.getByRole('button', {name: 'Queue it'}).click();
	await log(page).getByText('tick 3', {exact: true}).waitFor();
	await fact(page, 'Status').filter({hasText: 'running'}).waitFor();
	assert.equal(await fact(page, 'Label').textContent(), 'by hand');
	await page.getByText('"n": 1').waitFor();
	await page.reload();
	await log(page).getByText('tick 0', {exact: true}).waitFor({state: 'attached'});
	await logIs(page, 'live');
	await page.getByRole('button', {name: 'Cancel'}).click();
	await fact(page, 'Status').filter({hasText: 'cancelled'}).waitFor();
	await logIs(page, 'ended');
	assert.equal(await fact(page, 'Verdict').textContent(), 'cancelled');
	await page.getByRole('button', {name: 'Retry'}).waitFor();
});

browse('an ended task tells its payload, timings, start mode, use and history; a retry is a new task', async (page) => {
	const id = await queue(ALPHA, 'hello', {payload: '{"who":"world"}'});

	await endedAs(ALPHA, id, 'complete');
	await open(page, ALPHA, `${tasksOf(ALPHA)}/${id}`);
	await log(page).getByText('payload {"who":"world"}').waitFor();
	await logIs(page, 'ended');
	assert.equal(await fact(page, 'Verdict').textContent(), 'ok');
	assert.equal(await fact(page, 'Exit status').textContent(), '0');
	assert.match(await fact(page, 'Start mode').textContent(), /^(cold|restore|fork)$/);
	assert.match(await fact(page, 'Start took').textContent(), /^[\d.]+ m?s$/);
	assert.match(await fact(page, 'Ran').textContent(), /^[\d.]+ m?s$/);
	assert.match(await fact(page, 'Memory, peak').textContent(), /iB$/);
	assert.ok(await page.getByRole('region', {name: 'History'}).last().getByRole('row').count() > 2);
	const [download] = await Promise.all([
		page.waitForEvent('download'), page.getByRole('button', {name: 'Download'}).click(),
	]);
	assert.match(readFileSync(await download.path(), 'utf8'), /payload {"who":"world"}/);
	assert.equal(download.suggestedFilename(), `${id}.log`);
	await page.getByRole('button', {name: 'Retry'}).click();
	await page.waitForFunction((old) => !location.hash.endsWith(old), id);
	await log(page).getByText('payload {"who":"world"}').waitFor();
});

browse('a hostile task does not script, hide or draw anything', async (page) => {
	const label = '<img src=x onerror="window.pwned=1">';
	const id = await queue(ALPHA, 'hostile', {payload: `</pre><script>window.pwned=2</script>${label}`, label});

	await open(page, ALPHA, `${tasksOf(ALPHA)}/${id}`);
	await logIs(page, 'ended');
	const text = await log(page).textContent();
	for (const part of ['<img src=x onerror="window.pwned=\'img\'">', '<script>window.pwned=\'script\'</script>', '\\x1b]0;title\\x07',
		'hidden', 'invoice\\u202egnp.exe', '\\x00', 'no newline at the end', 'data: forged', '{{7*7}}'])
		assert.ok(text.includes(part), `${part} is not in ${text.slice(0, 2000)}`);
	assert.equal(await log(page).locator('.f1', {hasText: 'red'}).count(), 1);
	await log(page).getByText('46 000 more characters').waitFor();
	await page.goto(`${URL_}${tasksOf(ALPHA)}`);
	await page.getByRole('cell', {name: label}).first().waitFor();
	assert.equal(await page.evaluate(() => window.pwned), undefined);
	assert.equal(await page.locator('main img, main script, main style, main iframe, main a[href^=javascript]').count(), 0);
});

browse('a log of 100,000 lines is a few elements, and can be scrolled and searched', async (page) => {
	const id = await queue(ALPHA, 'lines');

	await endedAs(ALPHA, id, 'complete');
	await open(page, ALPHA, `${tasksOf(ALPHA)}/${id}`);
	await logIs(page, 'ended');
	await page.getByText('ended · 100 000 lines').waitFor();
	await log(page).getByText('line 99999', {exact: true}).waitFor();
	await log(page).focus();
	await page.keyboard.press('Home');
	await log(page).getByText('line 0', {exact: true}).waitFor();
	assert.equal(await page.getByLabel('Follow').isChecked(), false);
	await page.keyboard.press('End');
	await log(page).getByText('line 99999', {exact: true}).waitFor();
	assert.equal(await page.getByLabel('Follow').isChecked(), true);
	assert.ok(await log(page).locator('.line').count() < 300);
	// In one turn, so that there is one scroll event for both: the page puts the box at its end
	// (it draws anew for its filter), and its reader goes to the first line. The reader wins.
	await log(page).evaluate((box) => {
		box.scrollTop -= 100;
		document.querySelector('[aria-label="Show lines with"]').dispatchEvent(new Event('input'));
		box.scrollTop = 0;
	});
	await log(page).getByText('line 0', {exact: true}).waitFor();
	assert.equal(await page.getByLabel('Follow').isChecked(), false);
	// A step up of less than a line leaves the end, too.
	await page.keyboard.press('End');
	await log(page).getByText('line 99999', {exact: true}).waitFor();
	await log(page).evaluate((box) => {
		box.scrollTop -= 5;
	});
	await eventually('not following', async () => !await page.getByLabel('Follow').isChecked());
	await page.keyboard.press('End');
	await eventually('following', () => page.getByLabel('Follow').isChecked());
	// What is shown is there with the number of it, and not a moment later.
	assert.equal(await page.getByLabel('Show lines with').evaluate((filter) => {
		filter.value = 'line 5432';
		filter.dispatchEvent(new Event('input'));
		return document.querySelectorAll('[role=log] .line').length;
	}), 11);
	await page.getByText('100 000 lines, 11 shown').waitFor();
	assert.equal(await log(page).locator('.line').count(), 11);
});

browse('a broken connection costs no line and shows none twice', async (page) => {
	const id = await queue(ALPHA, 'ticks');
	const front = () => execFileSync('pgrep', ['-P', process.env.DAEMON_PID, '-u', '_sandboxd'], {encoding: 'utf8'}).trim().split('\n')[0];

	await open(page, ALPHA, `${tasksOf(ALPHA)}/${id}`);
	await log(page).getByText('tick 5', {exact: true}).waitFor();
	process.kill(Number(front()), 'SIGKILL');
	await logIs(page, 'reconnecting');
	await logIs(page, 'live');
	const shown = () => log(page).locator('.line').allTextContents();
	const last = Number((await shown()).at(-1).split(' ')[1]);
	await log(page).getByText(`tick ${last + 20}`, {exact: true}).waitFor();
	await page.getByRole('button', {name: 'Cancel'}).click();
	await logIs(page, 'ended');
	const lines = await shown();
	const first = Number(lines[0].split(' ')[1]);
	assert.deepEqual(lines, lines.map((_, i) => `tick ${first + i}`));
	// Nor were there any more than those that are in the window.
	const counted = await page.getByText(/^ended · /).textContent();
	assert.equal(counted.replaceAll(' ', ''), `ended·${Number(lines.at(-1).split(' ')[1]) + 1}lines`);
});

browse('the whole way by keyboard alone', async (page) => {
	const press = async (...keys) => {
		for (const key of keys)
			await page.keyboard.press(key);
	};
	const focused = () => page.evaluate(() => {
		const e = document.activeElement;
		return {text: e.getAttribute('aria-label') ?? e.textContent.trim(), outline: getComputedStyle(e).outlineStyle};
	});
	const tabTo = async (text) => {
		for (let i = 0; i < 60; i++) {
			const {text: here, outline} = await focused();
			if (here === text) {
				assert.notEqual(outline, 'none', `the focus on ${text} is not seen`);
				return;
			}
			await press('Tab');
		}
		assert.fail(`Tab never comes to ${text}`);
	};

	await page.goto(URL_);
	await page.getByLabel('Token').waitFor();
	await page.keyboard.type(ALPHA.token);
	await press('Enter');
	await page.getByRole('heading', {name: 'Workers', level: 1}).waitFor();
	// The skip link is the first of all.
	await page.evaluate(() => document.activeElement.blur());
	await page.evaluate(() => getSelection().removeAllRanges());
	await tabTo('Skip to the content');
	await press('Enter');
	await tabTo('Queue a task of ticks');
	await press('Enter');
	await page.getByRole('dialog').waitFor();
	await press('Escape');
	await page.getByRole('dialog').waitFor({state: 'detached'});
	assert.equal((await focused()).text, 'Queue a task of ticks');
	await press('Enter');
	await page.getByRole('dialog').waitFor();
	await press('Tab');
	await page.keyboard.type('typed');
	await tabTo('Queue it');
	await press('Enter');
	await log(page).getByText('tick 1', {exact: true}).waitFor();
	await tabTo('Cancel');
	await press('Enter');
	await fact(page, 'Status').filter({hasText: 'cancelled'}).waitFor();
	await page.getByRole('button', {name: 'Retry'}).waitFor();
	// The button that has taken the other's place has its focus.
	assert.equal((await focused()).text, 'Retry');
	await page.getByText('typed').waitFor();
});

// Luminance contrast as WCAG defines it, of an element's text on what is behind it.
function contrast(selector) {
	const parse = (text) => text.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
		.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const worst = {ratio: Infinity};

	for (const e of document.querySelectorAll(selector)) {
		let behind = e;
		while (behind && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0)
			behind = behind.parentElement;
		const [a, b] = [light(parse(getComputedStyle(e).color)), light(parse(getComputedStyle(behind).backgroundColor))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < worst.ratio)
			Object.assign(worst, {ratio, what: `${e.tagName}.${e.className} ${e.textContent.slice(0, 30)}`});
	}
	return worst;
}

browse('dark and light: by the system, by choice, and readable in both', async (page) => {
	const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
	const words = 'main a, main button, main .status, main .note, main dt, main dd, th, td, nav a, nav h2, header button, .log .line, .log span';
	const id = await queue(ALPHA, 'hostile');
	const theme = page.getByRole('button', {name: /^Theme/});

	await endedAs(ALPHA, id, 'complete');
	await page.emulateMedia({colorScheme: 'light'});
	await open(page, ALPHA, `${tasksOf(ALPHA)}/${id}`);
	await logIs(page, 'ended');
	const light = await background();
	const check = async () => {
		const worst = await page.evaluate(`(${contrast})(${JSON.stringify(words)})`);
		assert.ok(worst.ratio >= 4.5, `${worst.what}: ${worst.ratio}`);
	};
	await check();
	await page.emulateMedia({colorScheme: 'dark'});
	const dark = await background();
	assert.notEqual(dark, light);
	await check();
	await theme.click();
	assert.equal(await theme.textContent(), 'Theme: light');
	assert.equal(await background(), light);
	await page.reload();
	await theme.waitFor();
	assert.equal(await background(), light);
	await theme.click();
	await page.emulateMedia({colorScheme: 'light'});
	assert.equal(await background(), dark);
});

browse('another project’s data is not shown, whatever the address says', async (page) => {
	const secret = await queue(BETA, 'hello', {payload: 'BETA-SECRET', label: 'beta-label'});
	const code = await codeNamed(BETA, 'hello');

	await endedAs(BETA, secret, 'complete');
	await open(page, ALPHA);
	const nav = page.getByRole('navigation', {name: 'Views'});
	assert.deepEqual(await nav.getByRole('link').allTextContents(), ['Workers', 'HTTP workers', 'Services', 'Background', 'Tasks', 'Schedules', 'Dead letters']);
	for (const hash of [`#/p/${BETA.id}`, tasksOf(BETA), `${tasksOf(BETA)}/${secret}`, `${tasksOf(ALPHA)}/${secret}`,
		`#/p/${ALPHA.id}/workers/${code.id}`, `#/p/${BETA.id}/schedules`, `#/p/${BETA.id}/dead`, `#/p/${BETA.id}/http`, `#/p/${BETA.id}/services`, `#/p/${BETA.id}/background`, `#/p/${BETA.id}/services/site/www`, `#/p/${ALPHA.id}/services/site/none`, `#/p/${ALPHA.id}/http/none`, '#/projects', '#/node', '#/images']) {
		await page.goto(URL_ + hash);
		await page.getByRole('heading', {name: 'Not shown'}).waitFor();
		assert.doesNotMatch(await page.locator('body').textContent(), /BETA-SECRET|beta/);
		await page.goto(`${URL_}#/p/${ALPHA.id}`);
		await page.getByRole('heading', {name: 'Workers', level: 1}).waitFor();
	}
	await page.goto(`${URL_}${tasksOf(ALPHA)}?label=beta-label`);
	await page.getByText('No task matches the filters.').waitFor();
});

browse('tasks: filters by status, worker and label; pages; cancelling all that wait', async (page) => {
	const code = await codeNamed(ALPHA, 'waits');
	const path = `/api/projects/${ALPHA.id}`;

	await api(ALPHA, 'POST', `${path}/codes/${code.id}/pause_task_queue`);
	await api(ALPHA, 'POST', `${path}/tasks`, {tasks: Array.from({length: 60}, (_, i) => ({code_name: 'waits', label: i % 2 ? 'odd' : 'even'}))});
	const failed = await queue(ALPHA, 'fails', {label: 'odd'});
	await endedAs(ALPHA, failed, 'error');
	await open(page, ALPHA, `${tasksOf(ALPHA)}?code_name=waits`);
	const rows = page.getByRole('table', {name: 'Tasks'}).locator('tbody tr');
	assert.equal(await rows.count(), 50);
	await page.getByRole('link', {name: 'Older'}).click();
	await eventually('the second page', async () => await rows.count() === 10);
	await page.getByRole('link', {name: 'Newest'}).click();
	await eventually('the first page', async () => await rows.count() === 50);
	await page.getByRole('searchbox', {name: 'Label'}).fill('odd');
	await page.keyboard.press('Enter');
	await eventually('those of the label', async () => await rows.count() === 30);
	await page.getByRole('combobox', {name: 'Worker'}).selectOption('');
	await page.getByLabel('error', {exact: true}).check();
	await eventually('those that failed', async () => await rows.count() === 1);
	await page.getByRole('link', {name: failed}).waitFor();
	await page.goto(`${URL_}#/p/${ALPHA.id}/workers/${code.id}`);
	await page.getByRole('heading', {name: 'waits', level: 1}).waitFor();
	assert.equal(await fact(page, 'State').textContent(), 'paused');
	await page.getByRole('button', {name: 'Cancel all that wait'}).click();
	await page.getByRole('button', {name: 'Back'}).click();
	assert.equal(await fact(page, 'queued').textContent(), '60');
	await page.getByRole('button', {name: 'Cancel all that wait'}).click();
	await page.getByRole('button', {name: 'Cancel them'}).click();
	await fact(page, 'cancelled').filter({hasText: '60'}).waitFor();
	await page.getByRole('button', {name: 'Resume waits'}).click();
	await fact(page, 'State').filter({hasText: 'active'}).waitFor();
});

browse('services: replicas, their logs, scaling, restarts, and the way back to an older revision', async (page) => {
	await open(page, ALPHA);
	await page.getByRole('link', {name: 'Services'}).click();
	const row = page.getByRole('table', {name: 'Services'}).locator('tbody tr');
	await row.filter({hasText: 'www-site.alpha.localhost'}).filter({hasText: '1 of 1'}).filter({hasText: 'r2'}).waitFor();
	await row.getByRole('link', {name: 'site/www'}).click();
	await page.getByRole('heading', {name: 'site/www', level: 1}).waitFor();
	await page.getByRole('button', {name: 'Scale'}).click();
	await page.getByRole('spinbutton', {name: 'Replicas'}).fill('2');
	await page.getByRole('button', {name: 'Scale it'}).click();
	const replicas = page.getByRole('table', {name: 'Replicas'}).locator('tbody tr');
	await eventually('two replicas', async () => await replicas.filter({hasText: 'up'}).count() === 2);
	await page.getByRole('button', {name: 'Deploy r1'}).click();
	await page.getByRole('button', {name: 'Deploy it'}).click();
	const revisions = page.getByRole('table', {name: 'Revisions'}).locator('tbody tr');
	await revisions.filter({hasText: 'active'}).filter({hasText: 'r1'}).waitFor();
	await eventually('replicas of r1', async () => await replicas.filter({hasText: 'up'}).filter({hasText: 'r1'}).count() === 2);
	await eventually('no other replicas', async () => await replicas.count() === 2);
	const log = replicas.nth(1).getByRole('link');
	const before = await log.textContent();
	await page.getByRole('button', {name: 'Restart replica 1'}).click();
	await eventually('another run', async () => ![before, null].includes(await log.textContent()) &&
		await replicas.nth(1).filter({hasText: 'up'}).count() === 1);
	await log.click();
	await page.getByText('replica 1', {exact: true}).waitFor();
	await page.goBack();
	await page.getByRole('button', {name: 'Remove'}).click();
	await page.getByRole('button', {name: 'Back'}).click();
	await page.getByRole('button', {name: 'Remove'}).click();
	await page.getByRole('button', {name: 'Remove it'}).click();
	await page.getByText('There is no service yet: sandboxctl push DIR.').waitFor();
});

browse('background workers: their queues, dead letters, triggers, stop and start', async (page) => {
	await open(page, GAMMA);
	await page.getByRole('link', {name: 'Background'}).click();
	const row = page.getByRole('table', {name: 'Background workers'}).locator('tbody tr');
	await row.filter({hasText: 'rings'}).filter({hasText: 'event'}).waitFor();
	await row.getByRole('link', {name: 'send'}).click();
	await page.getByRole('heading', {name: 'send', level: 1}).waitFor();
	for (const item of ['{', '"bad <b>"', '"good"']) {
		await page.getByRole('button', {name: 'Put', exact: true}).click();
		await page.getByRole('textbox', {name: 'Item, as JSON'}).fill(item);
		await page.getByRole('button', {name: 'Put it'}).click();
		if (item === '{') {
			await page.getByText('An item must be JSON').waitFor();
			await page.getByRole('button', {name: 'Back'}).click();
		}
	}
	const dead = page.getByRole('table', {name: 'Dead letters'}).locator('tbody tr');
	await dead.filter({hasText: '"bad <b>"'}).filter({hasText: 'ValueError: not liked'}).waitFor();
	await eventually('the other is done', async () => await fact(page, 'Done').textContent() === '1');
	await page.getByRole('button', {name: /^Retry item/}).click();
	await eventually('it has failed again', async () => await fact(page, 'Failed attempts').textContent() === '2');
	await page.getByRole('button', {name: /^Remove item/}).click();
	await page.getByRole('button', {name: 'Remove it', exact: true}).click();
	await page.getByText('No dead letter.').waitFor();
	await page.getByRole('button', {name: 'Stop', exact: true}).click();
	await page.getByRole('button', {name: 'Start', exact: true}).click();
	await page.getByRole('button', {name: 'Stop'}).waitFor();
	await page.goto(`${URL_}#/p/${GAMMA.id}/background/rings`);
	await page.getByRole('button', {name: 'Trigger'}).click();
	await eventually('it was called', async () => await fact(page, 'Triggered').textContent() === 'no');
	for (const name of ['rings', 'send']) {
		await page.goto(`${URL_}#/p/${GAMMA.id}/background/${name}`);
		await page.getByRole('heading', {name, level: 1}).waitFor();
		await page.getByRole('button', {name: 'Remove', exact: true}).click();
		await page.getByRole('button', {name: 'Remove it', exact: true}).click();
		await page.getByRole('heading', {name: 'Background workers', level: 1}).waitFor();
	}
});

browse('HTTP workers: what serves, its instances and its requests, live', async (page) => {
	await open(page, ALPHA);
	await page.getByRole('link', {name: 'HTTP workers'}).click();
	const row = page.getByRole('table', {name: 'HTTP workers'}).locator('tbody tr');
	await row.getByRole('link', {name: 'shop'}).waitFor();
	await row.filter({hasText: 'shop.alpha.localhost'}).waitFor();
	for (let i = 0; i < 3; i++)
		assert.equal(await askWorker('/'), 200);
	const cell = (n) => row.locator('td').nth(n);
	await cell(2).filter({hasText: /^3$/}).waitFor();
	await cell(1).filter({hasText: /^1 up$/}).waitFor();
	await row.getByRole('link', {name: 'shop'}).click();
	await page.getByRole('heading', {name: 'shop', level: 1}).waitFor();
	assert.equal(await fact(page, 'Requests').textContent(), '3');
	assert.equal(await fact(page, '5xx').textContent(), '0');
	const version = page.getByRole('table', {name: 'Versions'}).locator('tbody tr');
	await version.filter({hasText: 'active'}).filter({hasText: 'dedicated'}).waitFor();
	const instance = page.getByRole('table', {name: 'Instances'}).locator('tbody tr');
	await instance.filter({hasText: 'up'}).filter({hasText: /cold|restore|fork/}).waitFor();
	assert.equal(await instance.count(), 1);
	await page.getByRole('heading', {name: 'Routes'}).waitFor();
	await page.locator('li code').filter({hasText: 'shop.example/basket/*'}).waitFor();
	const cron = page.getByRole('table', {name: 'Crons'}).locator('tbody tr');
	await cron.filter({hasText: '0 3 * * *'}).filter({hasText: '–'}).waitFor();
	// What a call has come to is seen without a reload.
	await api(ALPHA, 'POST', `/api/projects/${ALPHA.id}/http/workers/shop/trigger`, {cron: '0 3 * * *'});
	await cron.filter({hasText: /exception after .*scheduled/}).waitFor();
	assert.deepEqual(await page.locator('.chart strong').allTextContents(), ['Requests a second', 'Latency']);
	// Of this page, while it is open.
	assert.equal(await askWorker('/raise'), 500);
	await fact(page, '5xx').filter({hasText: /^1$/}).waitFor();
	await fact(page, 'Requests').filter({hasText: /^4$/}).waitFor();
	await eventually('a rate', async () => await askWorker('/') === 200 &&
		await page.getByRole('img', {name: /^Requests a second: all (0\.[1-9]|[1-9])/}).isVisible());
	// An instance that dies is a restart.
	const before = await instance.getByRole('link').textContent();
	assert.equal(await askWorker('/die'), 502);
	await fact(page, 'Restarts').filter({hasText: /^1$/}).waitFor();
	assert.equal(await askWorker('/'), 200);
	await eventually('another instance', async () => await instance.count() === 1 &&
		await instance.getByRole('link').textContent() !== before);
});

browse('dead letters: what has failed for good, and its retry', async (page) => {
	const id = await queue(ALPHA, 'fails', {label: 'dead one'});

	await endedAs(ALPHA, id, 'error');
	await open(page, ALPHA, `#/p/${ALPHA.id}/dead`);
	await page.getByRole('link', {name: id}).waitFor();
	await page.getByRole('button', {name: `Retry ${id}`}).click();
	await page.getByRole('status').filter({hasText: 'Queued again as'}).waitFor();
	await page.goto(`${URL_}${tasksOf(ALPHA)}/${id}`);
	await fact(page, 'Next attempt').getByRole('link').waitFor();
	assert.equal(await fact(page, 'Exit status').textContent(), '3');
});

browse('schedules: a wrong crontab line is told; a right one is listed, runs and is cancelled', async (page) => {
	await open(page, ALPHA, `#/p/${ALPHA.id}/schedules`);
	await page.getByText('There is no schedule.').waitFor();
	await page.getByRole('button', {name: 'New schedule'}).click();
	await page.getByRole('dialog').getByLabel('Worker').selectOption('hello');
	await page.getByLabel('When').selectOption('cron');
	await page.getByLabel('Crontab line').fill('* * * * mondays');
	await page.getByLabel('Time zone').fill('Europe/Berlin');
	await page.getByLabel('Payload').fill('by schedule');
	await page.getByRole('button', {name: 'Schedule it'}).click();
	await page.getByRole('dialog').getByRole('alert').filter({hasText: /\w/}).waitFor();
	await page.getByLabel('Crontab line').fill('* * * * * *');
	await page.getByRole('button', {name: 'Schedule it'}).click();
	const row = page.getByRole('table', {name: 'Schedules'}).locator('tbody tr');
	await row.filter({hasText: '* * * * * * Europe/Berlin'}).filter({hasText: 'scheduled'}).waitFor();
	await row.getByRole('button', {name: /^Cancel/}).click();
	await page.getByRole('button', {name: 'Cancel it'}).click();
	await row.filter({hasText: 'cancelled'}).waitFor();
	assert.equal(await row.getByRole('button').count(), 0);
});

browse('a token that is revoked leads back to the log-in', async (page) => {
	const path = `/api/projects/${ALPHA.id}/tokens`;
	const made = await api(OPERATOR, 'POST', path, {label: 'short-lived'});

	await open(page, made);
	await api(OPERATOR, 'DELETE', `${path}/${made.id}`);
	await page.getByRole('alert').filter({hasText: 'no longer good'}).waitFor();
	assert.equal(await page.evaluate(() => sessionStorage.length), 0);
	assert.doesNotMatch(await page.locator('body').textContent(), /ticks/);
});

browse('an operator sees all projects, and the node: charts, images, templates, checkpoints', async (page) => {
	await open(page, OPERATOR);
	for (const name of ['alpha', 'beta', 'default'])
		await page.getByRole('link', {name, exact: true}).waitFor();
	await page.getByRole('link', {name: 'beta', exact: true}).click();
	await page.getByRole('heading', {name: 'Workers', level: 1}).waitFor();
	await page.getByRole('link', {name: 'default', exact: true}).waitFor({state: 'detached'});
	await page.getByRole('link', {name: 'Projects'}).click();
	await page.getByRole('link', {name: 'default', exact: true}).click();
	await page.getByText('No worker has been uploaded yet: sandboxctl upload NAME.').waitFor();
	await page.getByRole('button', {name: 'Queue a task'}).click();
	await page.getByRole('status').filter({hasText: 'No worker has been uploaded yet'}).waitFor();
	await page.getByRole('link', {name: 'Node', exact: true}).click();
	await page.locator('.chart').nth(3).waitFor();
	assert.deepEqual(await page.locator('.chart strong').allTextContents(),
		['Start latency', 'Queue depth', 'Memory', 'Lifecycles per second']);
	const line = page.locator('[data-chart=Memory] path').first();
	const before = await line.getAttribute('d');
	await eventually('the chart moves', async () => await line.getAttribute('d') !== before);
	const plot = page.getByRole('img', {name: /^Queue depth: queued \d+, running \d+/});
	await plot.focus();
	await page.keyboard.press('ArrowLeft');
	await page.getByRole('img', {name: /^Queue depth: .* at \d\d:\d\d:\d\d/}).waitFor();
	await page.getByRole('link', {name: 'Images'}).click();
	await page.getByRole('rowheader', {name: 'python'}).waitFor();
	await page.getByRole('link', {name: 'Templates'}).click();
	await page.getByRole('heading', {name: 'Templates', level: 1}).waitFor();
	await page.getByRole('link', {name: 'Checkpoints'}).click();
	await page.getByRole('heading', {name: 'Checkpoints', level: 1}).waitFor();
});

browse('on a phone no view is wider than the screen', async (page) => {
	const id = await queue(ALPHA, 'hostile');

	await endedAs(ALPHA, id, 'complete');
	await open(page, OPERATOR);
	for (const hash of ['#/projects', '#/node', '#/images', `#/p/${ALPHA.id}`, tasksOf(ALPHA), `${tasksOf(ALPHA)}/${id}`,
		`#/p/${ALPHA.id}/schedules`, `#/p/${ALPHA.id}/dead`, `#/p/${ALPHA.id}/http`, `#/p/${ALPHA.id}/http/shop`]) {
		await page.goto(URL_ + hash);
		await page.locator('main[aria-busy=false] h1').waitFor();
		const width = await page.evaluate(() => document.documentElement.scrollWidth);
		assert.ok(width <= page.viewportSize().width, `${hash}: ${width}`);
	}
}, {viewport: {width: 360, height: 740}, hasTouch: true, isMobile: true});
