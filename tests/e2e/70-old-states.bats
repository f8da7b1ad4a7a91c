#!/usr/bin/env bats
# State folders of earlier versions: what they hold is there after an upgrade, and goes on.
# shellcheck disable=SC2034,SC2154 # http.bash reads it; what run sets
load lib
load http

# states/schema-N.tar.xz: front/, packages/ and logs/ of a daemon whose store had that schema, made by
# that version's own command: a project with a worker, of which a task is done, one waits for a week,
# and a schedule begins in the year 2036; and a task of the operator's.
setup_file() {
	export GREEN=6b0e1decbd8fc2f0009c4e67 GREEN_TOKEN=OroTSSgqDYBEqepIHUymYIXuIHvwV055WlLvnbt8G-U PROJECT=GREEN
	export DONE=6b0e1df3675badb6f7b713c6 LATER=6b0e1df4dffc8212572d5ca1
	export DIRECT=6b0e1dec19f8376e6e862f5e STATES=$E2E/states
	daemon_make python iron
}

teardown_file() {
	daemon_remove
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

# state_open FILE: the daemon is started with what the archive holds in place of its own.
state_open() {
	daemon_stop
	rm -rf "${STATE:?}/front" "$STATE/packages" "$STATE/logs"
	tar -C "$STATE" -xJf "$1"
	chown -R _sandboxd: "$STATE/front" "$STATE/packages"
	chown -R _sandboxd-log: "$STATE/logs"
	chmod 700 "$STATE/front" "$STATE/packages" "$STATE/logs"
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
		[ "$(rest GET tasks | jq -r '[.tasks[].id] | sort | join(" ")')" = "$DONE $LATER" ]
		has_status "$DONE" complete
		[ "$(rest GET "tasks/$DONE/log")" = 'hello from the worker note' ]
		[ "$(rest GET codes | jq -r '.codes[0] | "\(.name) \(.rev)"')" = 'hello 1' ]
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
		# It was made to wait for a week: by now it may be due, and done too.
		has_status "$LATER" queued || wait_until "$PATIENCE" has_status "$LATER" complete
		rest POST "tasks/$LATER/cancel" >/dev/null
	done
}

@test "a store of a later version is refused in words, and not touched" {
	local before

	daemon_stop
	python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA user_version = 99")' \
		"$STATE/front/tasks.db"
	before=$(sha256sum <"$STATE/front/tasks.db")
	MORE_OPTIONS='' timeout "$PATIENCE" "$DAEMON" --state "$STATE" --run "$RUN" --cgroup "$GROUP" --http none \
		</dev/null >later.log 2>&1 3>&- 4>&- &
	wait_until "$PATIENCE" file_has later.log 'version 99'
	kill %1
	wait %1 || true
	[ "$(sha256sum <"$STATE/front/tasks.db")" = "$before" ]
	rm -rf "$STATE/front"
	daemon_start
}
