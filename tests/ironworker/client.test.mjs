// SPDX-License-Identifier: Apache-2.0
// Every call of an IronWorker client that nobody here has written, with what its users do next.

import assert from 'node:assert/strict';
import {mkdirSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {test} from 'node:test';

const require = createRequire(`${process.env.MODULES}/`);
const iron = require('iron_worker');
const AdmZip = require('adm-zip');

const client = new iron.Client();
const LIMIT = {timeout: 120000};

// call('tasksGet', id): what the client hands to its callback, or its error.
const on = (object, name, ...args) => new Promise((resolve, reject) =>
	object[name](...args, (error, body) => error ? reject(error) : resolve(body)));
const call = (name, ...args) => on(client, name, ...args);

const HELLO = `import json, os, sys
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("hello", json.load(open(args["-payload"]))["name"], args["-id"] == os.environ["TASK_ID"])
print("to stderr", file=sys.stderr)
`;

// A package of one file, in the form that needle sends. Its id.
async function upload(name, source, more = {}) {
	const zip = new AdmZip();

	zip.addFile(`${name}.py`, Buffer.from(source));
	const body = await on(client.api, 'codesUpload', {
		data: JSON.stringify({name, runtime: 'python', file_name: `${name}.py`, image: 'python', ...more}),
		file: {buffer: zip.toBuffer(), content_type: 'application/zip', filename: `${name}.zip`},
	});
	assert.equal(body.msg, 'Upload successful.');
	return body.id;
}

test('README: queue a worker, its status, its log', LIMIT, async () => {
	await upload('hello', HELLO);
	const {id} = await call('tasksCreate', 'hello', {name: 'world'}, {priority: 1, label: 'first'});

	assert.match(id, /^[0-9a-z]{24}$/);
	const done = await call('tasksWaitFor', id, {});
	assert.equal(done.status, 'complete');
	assert.deepEqual([done.code_name, done.priority, done.label, done.payload], ['hello', 1, 'first', '{"name":"world"}']);
	assert.equal(await call('tasksLog', id), 'hello world True\nto stderr\n');
	assert.equal(await call('tasksStdout', id), 'hello world True\n');
});

test('waiting for a log that is not there yet', LIMIT, async () => {
	await upload('later', 'print("at last")');
	const {id} = await call('tasksCreate', 'later', '', {delay: 1});

	await assert.rejects(call('tasksLog', id), /log/);
	assert.equal(await call('tasksWaitForLog', id, {}), 'at last\n');
});

test('tasksRun gives back what the worker has printed', LIMIT, async () => {
	await upload('runs', HELLO);
	assert.equal(await call('tasksRun', 'runs', {name: 'you'}, {}), 'hello you True\n');
	// Text that is no JSON is the payload as it is.
	await upload('text', 'import os\nprint(open(os.environ["PAYLOAD_FILE"]).read() * 2)');
	assert.equal(await call('tasksRun', 'text', 'ab', {}), 'abab\n');
});

test('many at once; lists, filters, progress, cancel, retry', LIMIT, async () => {
	const code = await upload('bulk', 'print("bulk")');
	const made = await call('tasksCreateBulk', ['a', 'b', 'c'].map((label) =>
		({codeName: 'bulk', payload: {label}, options: {delay: 3600, label}})));
	const queued = await call('tasksList', {code_name: 'bulk', queued: 1});

	assert.deepEqual(queued.map((t) => t.label), ['c', 'b', 'a']);
	assert.equal(made.id, queued[2].id);
	assert.deepEqual(await call('tasksList', {code_name: 'bulk', complete: 1}), []);
	assert.deepEqual((await call('tasksList', {code_name: 'bulk', per_page: 2, page: 1})).map((t) => t.label), ['a']);
	assert.equal((await call('tasksSetProgress', made.id, {percent: 40, msg: 'so far'})).msg, 'Progress set');
	const told = await call('tasksGet', made.id);
	assert.deepEqual([told.percent, told.msg, told.status, told.delay], [40, 'so far', 'queued', 3600]);

	assert.equal((await call('tasksCancel', made.id)).msg, 'Cancelled');
	assert.equal((await call('tasksGet', made.id)).status, 'cancelled');
	assert.equal((await call('tasksCancelAll', code)).msg, 'Cancelled');
	assert.deepEqual((await call('tasksList', {code_name: 'bulk', cancelled: 1})).length, 3);
	const again = await call('tasksRetry', made.id, 0);
	assert.equal((await call('tasksWaitFor', again.tasks[0].id, {})).status, 'complete');
	assert.equal((await call('tasksGet', again.tasks[0].id)).original_task_id, made.id);
});

test('packages: list, revisions, download, delete', LIMIT, async () => {
	const id = await upload('package', 'print(1)');
	assert.equal(await upload('package', 'print(2)'), id);
	assert.ok((await call('codesList', {})).some((c) => c.id === id && c.rev === 2));
	assert.equal((await call('codesGet', id)).name, 'package');
	assert.deepEqual((await call('codesRevisions', id, {})).map((r) => r.rev), [2, 1]);
	assert.match(await call('codesDownload', id, {revision: 1}), /^PK\x03\x04.*package\.py/s);
	await call('codesDelete', id);
	await assert.rejects(call('codesGet', id), /Not found/);
});

test('a folder with its own __runner__.sh, as the client uploads it', LIMIT, async () => {
	// The client copies this folder, and adds a line to the script: "node" and what it is given.
	mkdirSync('upload_files');
	writeFileSync('upload_files/__runner__.sh', '#!/bin/sh\nnode() {\n\tpython3 "$@"\n}\n');
	writeFileSync('upload_files/worker.py', HELLO);
	assert.equal((await call('codesUpload', 'folder', 'out', 'worker.py "$@"')).msg, 'Upload successful.');
	assert.equal(await call('tasksRun', 'folder', {name: 'shell'}, {}), 'hello shell True\n');
});

test('schedules: made, listed, run, cancelled; too often is an error', LIMIT, async () => {
	await upload('often', 'import os\nprint(open(os.environ["PAYLOAD_FILE"]).read())');
	const {id} = await call('schedulesCreate', 'often', {n: 1}, {run_every: 60, run_times: 2, label: 's'});
	const is = async () => (await call('tasksList', {code_name: 'often', complete: 1}))[0];
	let ran;

	while (!(ran = await is()))
		await new Promise((resolve) => setTimeout(resolve, 50));
	assert.equal(await call('tasksLog', ran.id), '{"n":1}\n');
	const told = await call('schedulesGet', id);
	assert.deepEqual([told.code_name, told.status, told.run_every, told.run_times], ['often', 'scheduled', 60, 2]);
	assert.ok((await call('schedulesList', {})).some((s) => s.id === id));
	assert.equal((await call('schedulesCancel', id)).msg, 'Cancelled');
	assert.equal((await call('schedulesGet', id)).status, 'cancelled');
	await assert.rejects(call('schedulesCreate', 'often', {}, {run_every: 59}), /run_every.*60/);
});

test('errors come with their words', LIMIT, async () => {
	await assert.rejects(call('tasksCreate', 'nobody', {}, {}), /there is no worker "nobody"/);
	await assert.rejects(call('tasksGet', '0'.repeat(24)), /there is no task/);
	await assert.rejects(on(client.api, 'codesUpload', {
		data: '{"name": "broken", "runtime": "python", "file_name": "x.py"}',
		file: {buffer: Buffer.from('no zip'), content_type: 'application/zip', filename: 'x.zip'},
	}), /zip/);
	await assert.rejects(on(new iron.Client({token: 'x'.repeat(27)}), 'codesList', {}), /token/i);
});
