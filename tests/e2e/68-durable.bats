#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill -9 of roles at random moments, while tasks are queued by HTTP, fail, are tried again and end:
# each that was acknowledged has one end, exactly once in its history; none is lost.
#
#	KILLS  how many    KILLS_SEED  of the random moments (printed)
load daemon
load http

KILLS=${KILLS:-$(count 40 1000)}
# The most tasks for each kill, so that all of them are still kept when they are looked at.
EACH=6
# Fails as many times as its payload says, and is slow enough to be hit by a kill now and then.
WORKER='
import os, sys, time
with open(os.environ["PAYLOAD_FILE"]) as f:
    fails = int(f.read())
print("attempt", os.environ["TASK_ATTEMPT"], flush=True)
time.sleep(0.02)
sys.exit(int(os.environ["TASK_ATTEMPT"]) <= fails)'

setup_file() {
	export WARM=1

	daemon_make
	project_make one
	project_make two
	code_make work '{"retries": 2, "retries_delay": 0}' <<<"$WORKER"
	PROJECT=TWO code_make work '{"retries": 2, "retries_delay": 1}' <<<"$WORKER"
	: >"$WORK/acked"
	echo 0 >"$WORK/killed"
}

# submits PROJECT: queues tasks until there is a file stop. The file acked has those that were
# acknowledged: id, project, how many times the task fails.
submits() {
	local fails ids id

	while [ ! -e "$WORK/stop" ]; do
		fails=$((RANDOM % 8)) # with 3 or more it never succeeds
		[ "$fails" -le 3 ] || fails=0
		# A request without an answer was not acknowledged: the daemon may be starting.
		if ids=$(PROJECT=$1 rest POST tasks --data "{\"tasks\": [
			{\"code_name\": \"work\", \"payload\": \"$fails\"},
			{\"code_name\": \"work\", \"payload\": \"$fails\", \"priority\": 2}]}" \
			2>>"$WORK/submits.err" | jq -er '.tasks[].id'); then
			for id in $ids; do
				echo "$id $1 $fails"
			done >>"$WORK/acked"
		fi
		wait_until 600 few_enough
	done
}

few_enough() {
	[ -e "$WORK/stop" ] ||
		[ "$(wc -l <"$WORK/acked")" -lt $((EACH * ($(cat "$WORK/killed") + 5))) ]
}

# tasks_in_store QUERY: reads the database of a daemon that does not run, once for all tasks and their
# histories; prints rows as JSON arrays.
tasks_in_store() {
	python3 - "$STATE/front/tasks.db" "$1" <<-'EOT'
		import json, sqlite3, sys
		for row in sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute(sys.argv[2]):
		    print(json.dumps(row))
	EOT
}

# A task that has exited and whose log's end is not known yet is still listed, and has no end yet.
nothing_left() {
	[ "$(sandboxctl ps --json)" = "[]" ] &&
		[ "$(sandboxctl project ls --json | jq 'map(.tasks.queued + .tasks.running) | add')" = 0 ]
}

@test "$KILLS times kill -9 of a role at a random moment, with tasks queued" {
	local project workers=()

	for project in ONE TWO; do
		submits "$project" 3>&- &
		workers+=($!)
	done
	roles_kill "$KILLS"
	wait "${workers[@]}"
	echo "# $(wc -l <"$WORK/acked") tasks acknowledged" >&3
	[ "$(wc -l <"$WORK/acked")" -ge "$KILLS" ]
}

@test "all of them come to an end" {
	wait_until 300 nothing_left || fail "$(sandboxctl ps)"
	daemon_stop
	tasks_in_store "SELECT id, state, retry, original, attempt, dead_letter,
		(SELECT count(*) FROM history h WHERE h.task_id = t.id AND event IN
		('complete', 'error', 'cancelled', 'killed', 'timeout')) FROM tasks t" >"$WORK/rows"
	daemon_start
	[ "$(wc -l <"$WORK/rows")" -ge "$(wc -l <"$WORK/acked")" ]
}

@test "each has one end, once in its history, and its attempts are linked" {
	python3 - "$WORK/rows" "$WORK/acked" <<-'EOT'
		import json, sys
		COMPLETE, ERROR, WORK = 3, 4, 3
		tasks = {}
		for line in open(sys.argv[1]):
		    row = dict(zip(("id", "state", "retry", "original", "attempt", "dead", "ends"), json.loads(line)))
		    assert row["id"] not in tasks, row
		    assert row["ends"] == 1 and row["state"] in (COMPLETE, ERROR), row
		    tasks[row["id"]] = row
		acked = [line.split() for line in open(sys.argv[2])]
		assert len({a[0] for a in acked}) == len(acked), "an id was given twice"
		attempts = 0
		for id, project, fails in acked:
		    t, seen = tasks[id], 1
		    assert t["attempt"] == 1 and not t["original"], t
		    while t["retry"]:
		        assert t["state"] == ERROR and not t["dead"], t
		        after = tasks[t["retry"]]
		        assert after["original"] == id and after["attempt"] == t["attempt"] + 1, (t, after)
		        t, seen = after, seen + 1
		    attempts += seen
		    # An attempt that the kills end is one more; the worker's own retries are two.
		    good = int(fails) < WORK
		    assert (t["state"] == COMPLETE) == good and bool(t["dead"]) == (not good), t
		    assert seen >= min(int(fails) + 1, WORK), (id, seen)
		print(f"# {len(acked)} tasks, {attempts} attempts", file=sys.stderr)
		# A task that was not acknowledged may exist: a client without an answer asks again.
	EOT
}

@test "what ran to its own end has said so, under the attempt that it was" {
	# A kill may hit an attempt before its first instruction: the last one is what has run for certain.
	local id attempt n=0

	while read -r id attempt; do
		sandboxctl logs "$id" | grep -qx "attempt $attempt" || fail "$(inspect "$id")"
		n=$((n + 1))
	done < <(python3 - "$WORK/rows" "$WORK/acked" <<-'EOT'
		import json, sys
		rows = {row[0]: row for row in map(json.loads, open(sys.argv[1]))}
		for line in list(open(sys.argv[2]))[::10]:
		    row = rows[line.split()[0]]
		    while row[2]:
		        row = rows[row[2]]
		    print(row[0], row[4])
	EOT
	)
	[ "$n" -ge $((KILLS / 10)) ]
}

# changed_store SQL: changes the database of a daemon that does not run.
changed_store() {
	python3 -c 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.executescript(sys.argv[2]); db.close()' \
		"$STATE/front/tasks.db" "$1"
}

@test "a row that is damaged costs its own task, is named in the log, and costs no other one" {
	local ids

	mapfile -t ids < <(PROJECT=ONE rest POST tasks --data '{"tasks": [
		{"code_name": "work", "payload": "0", "delay": 3600},
		{"code_name": "work", "payload": "0", "delay": 3600}]}' | jq -r '.tasks[].id')
	[ "${#ids[@]}" = 2 ]
	daemon_stop
	changed_store "UPDATE tasks SET payload = x'00' WHERE id = '${ids[0]}'"
	daemon_start
	wait_until "$PATIENCE" is_status "${ids[0]}" error
	[ "$(inspect "${ids[0]}" .error)" = 'its row in the store is damaged' ]
	file_has "$WORK/log" "task ${ids[0]} is not started, unless it runs already: the task store's column payload"
	is_status "${ids[1]}" queued
	[ "$(PROJECT=ONE rest GET 'tasks?per_page=100' | jq -r --arg id "${ids[0]}" '.tasks[] | select(.id == $id) | .status')" = error ]
	[ "$(sandboxctl run python --code 'print(1)')" = 1 ]
}

# is_status ID STATUS
is_status() {
	[ "$(inspect "$1" .status)" = "$2" ]
}
