#!/usr/bin/env bats
# State folders of earlier versions: what they hold is there after an upgrade, and goes on.
# shellcheck disable=SC2034,SC2154 # http.bash reads it; what run sets
load lib
load http

# states/schema-N.tar.xz: front/, packages/ and logs/ of a daemon whose store had that schema, made by
# that version's own command: a project with a worker, of which a task is done, one waits for a week,
# and a schedule begins in the year 2036; a task of the operator's; and, from schema 3 on, another
# worker, which is paused while a task of it waits. schema-N.ids names all of them, for a shell.
setup_file() {
	export PROJECT=GREEN STATES=$E2E/states
	daemon_make python iron
}

teardown_file() {
	daemon_remove
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

# state_unpack FILE: stops the daemon, and puts the archive's content in place of its state.
state_unpack() {
	daemon_stop
	rm -rf "${STATE:?}/front" "$STATE/packages" "$STATE/logs"
	tar -C "$STATE" -xJf "$1"
	chown -R _sandboxd: "$STATE/front" "$STATE/packages"
	chown -R _sandboxd-log: "$STATE/logs"
	chmod 700 "$STATE/front" "$STATE/packages" "$STATE/logs"
	QUEUED='' PAUSED=''
	# shellcheck source=/dev/null
	. "${1%.tar.xz}.ids"
}

state_open() {
	state_unpack "$1"
	daemon_start
}

has_status() {
	[ "$(rest GET "tasks/$1" | jq -r .status)" = "$2" ]
}

@test "each of them opens, and has its projects, tokens, workers, tasks, schedules, history and logs" {
	local state

	for state in "$STATES"/schema-*.tar.xz; do
		state_open "$state"
		[ "$(sandboxctl project ls --json | jq -r '[.[].name] | sort | join(" ")')" = 'default green' ]
		[ "$(rest GET tasks | jq -r '[.tasks[].id] | sort | join(" ")')" = "$(printf '%s\n' "$DONE" "$LATER" "$QUEUED" | sort | xargs)" ]
		has_status "$DONE" complete
		[ "$(rest GET "tasks/$DONE/log")" = 'hello from the worker note' ]
		[ "$(rest GET codes | jq -r '.codes[] | select(.name == "hello").rev')" = 1 ]
		[[ $(rest GET schedules | jq -r '.schedules[0].next_start') == 2036-* ]]
		[ "$(sandboxctl logs "$DIRECT")" = 'kept line' ]
		inspect "$DIRECT" .status | grep -qx complete
		sandboxctl inspect "$DONE" | grep -q accepted
	done
}

@test "an old worker runs, and what waited still waits" {
	local state id

	for state in "$STATES"/schema-*.tar.xz; do
		state_open "$state"
		id=$(rest POST tasks -d '{"tasks": [{"code_name": "hello", "payload": "1"}]}' | jq -r '.tasks[0].id')
		wait_until "$PATIENCE" has_status "$id" complete
		[ "$(rest GET "tasks/$id/log")" = 'hello from the worker note' ]
		# It was made to wait for a week: by now it may be due, and complete.
		has_status "$LATER" queued || wait_until "$PATIENCE" has_status "$LATER" complete
		rest POST "tasks/$LATER/cancel" >/dev/null
		[ -n "$QUEUED" ] || continue
		has_status "$QUEUED" queued
		rest POST "codes/$PAUSED/resume_task_queue" >/dev/null
		wait_until "$PATIENCE" has_status "$QUEUED" complete
	done
}

# direct_waits TASK_JSON: changes the store so that the operator's run still waits, with an image that is
# here.
direct_waits() {
	python3 - "$STATE" "$DIRECT" "$1" <<-'EOF'
		import os, sqlite3, sys
		state, task, spec = sys.argv[1:]
		digest = lambda link: bytes.fromhex(os.path.basename(os.readlink(state + link))[:64])
		db = sqlite3.connect(state + '/front/tasks.db')
		db.execute('UPDATE tasks SET state = 0, verdict = 0, finished_ns = 0, started_ns = 0, start_us = 0,'
		           ' exit_code = -1, log_known = 0, image_digest = ?, policy_id = ?, spec = ? WHERE id = ?',
		           (digest('/images/by-name/python'), digest('/policies/default'), spec, task))
		db.commit()
	EOF
}

direct_has_ended() {
	[ "$(inspect "$DIRECT" .finished_at)" != null ]
}

# Old stores keep an operator's run as the text of its task.json.
@test "an operator's run that waited is started, if what is kept of it is valid" {
	local state

	for state in "$STATES"/schema-*.tar.xz; do
		state_unpack "$state"
		direct_waits '{"code": "import os; print(open(os.environ[\"PAYLOAD_FILE\"]).read())", "payload": [1,  2.0]}'
		daemon_start
		wait_until "$PATIENCE" direct_has_ended
		inspect "$DIRECT" .status | grep -qx complete
		[ "$(sandboxctl logs "$DIRECT" | tail -n 1)" = '[1,  2.0]' ]
		state_unpack "$state"
		direct_waits '{"code": "pass", "cod": 1}'
		daemon_start
		wait_until "$PATIENCE" direct_has_ended
		inspect "$DIRECT" .status | grep -qx error
		inspect "$DIRECT" .error | grep -q 'task.json: cod'
	done
}

@test "quotas that an old project had are kept" {
	state_open "$STATES/schema-3.tar.xz"
	sandboxctl project ls --json | jq -e '.[] | select(.name == "green").quota |
		.queued == 1000 and .kept_log_bytes == 10485760 and .policies == ["default", "network"]'
}

# refused SQL WORDS: a store that SQL of a later release has changed is refused in these words, and not
# touched. Afterwards the daemon has a new store.
refused() {
	local before

	daemon_stop
	python3 -c 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.executescript(sys.argv[2]); db.close()' \
		"$STATE/front/tasks.db" "$1"
	before=$(sha256sum <"$STATE/front/tasks.db")
	MORE_OPTIONS='' timeout "$PATIENCE" "$DAEMON" --state "$STATE" --run "$RUN" --cgroup "$GROUP" --http none --edge-http none \
		</dev/null >later.log 2>&1 3>&- 4>&- &
	wait_until "$PATIENCE" file_has later.log "$2"
	kill %1
	wait %1 || true
	[ "$(sha256sum <"$STATE/front/tasks.db")" = "$before" ]
	rm -rf "$STATE/front"
	daemon_start
}

@test "a store of a later version is refused in words, and not touched" {
	refused 'PRAGMA user_version = 99' 'version 99'
}

@test "so is one in which a capability has a later version, or that has one more" {
	refused "UPDATE schema SET version = 9 WHERE name = 'schedules'" '"schedules" have version 9'
	refused "CREATE TABLE later (k); INSERT INTO later VALUES (1); INSERT INTO schema VALUES ('later', 1)" \
		'holds "later"'
}
