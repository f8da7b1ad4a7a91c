#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill -9 of roles at random moments, while tasks are queued by HTTP, fail, are tried again and end:
# each that was acknowledged has one end, exactly once in its history; none is lost.
#
#	KILLS  how many    KILLS_SEED  of the random moments (printed)
load daemon
load http

KILLS=${KILLS:-$(count 40 1000)}
# Tasks for each kill, at most: all of them are still kept when they are looked at.
EACH=6
# Fails so many times as its payload says, and is slow enough to be met by a kill now and then.
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

# submits PROJECT: queues tasks until the file stop is there; what was acknowledged is in the file
# acked: id, project, how many times it fails.
submits() {
	local fails ids id

	while [ ! -e "$WORK/stop" ]; do
		fails=$((RANDOM % 8)) # 3 and more: it never gets there
		[ "$fails" -le 3 ] || fails=0
		# Without an answer it was not acknowledged: the daemon may be starting.
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

# The database of a daemon that is down: one reader for all tasks and their histories.
# tasks_in_store QUERY: rows as JSON arrays.
tasks_in_store() {
	python3 - "$STATE/front/tasks.db" "$1" <<-'EOT'
		import json, sqlite3, sys
		for row in sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute(sys.argv[2]):
		    print(json.dumps(row))
	EOT
}

nothing_left() {
	[ "$(sandboxctl project ls --json | jq 'map(.tasks.queued + .tasks.running) | add')" = 0 ]
}

@test "$KILLS times kill -9 of a role at a random moment, with tasks queued" {
	local roles=(monitor front logger all) seed=${KILLS_SEED:-$RANDOM} killed=0 project workers=()

	echo "# KILLS_SEED=$seed" >&3
	RANDOM=$seed
	for project in ONE TWO; do
		submits "$project" 3>&- &
		workers+=($!)
	done
	while [ "$killed" -lt "$KILLS" ]; do
		sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
		if role_kill "${roles[RANDOM % 4]}"; then
			killed=$((killed + 1))
			echo "$killed" >"$WORK/killed"
		fi
	done
	touch "$WORK/stop"
	wait_until "$PATIENCE" sandboxctl version
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
		    # An attempt that the kills cost is one more; the code's own retries are two.
		    good = int(fails) < WORK
		    assert (t["state"] == COMPLETE) == good and bool(t["dead"]) == (not good), t
		    assert seen >= min(int(fails) + 1, WORK), (id, seen)
		print(f"# {len(acked)} tasks, {attempts} attempts", file=sys.stderr)
		# What was never acknowledged may be there: a client that got no answer asks again.
	EOT
}

@test "what ran has said so, under the attempt that it was" {
	local id n=0

	while read -r id _; do
		n=$((n + 1))
		[ $((n % 10)) = 0 ] || continue
		sandboxctl logs "$id" | grep -qx 'attempt 1' || fail "$(inspect "$id")"
	done <"$WORK/acked"
	[ "$n" -ge "$KILLS" ]
}
