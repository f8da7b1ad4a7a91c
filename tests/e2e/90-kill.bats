#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill -9 of roles at random moments, while tasks start, run, log and end: no acknowledged task is
# lost, no line of a log is lost or doubled, every exit status is the task's own.
#
#	KILLS  how many    KILLS_SEED  of the random moments (printed)

load lib.bash

KILLS=${KILLS:-$(count 40 1000)}
LINES_EACH=150
# Prints numbered lines on both streams for about half a second; exits with its first argument.
NUMBERED="
import os, sys, time
for n in range($LINES_EACH):
    os.write(1, b'out %d\n' % n)
    os.write(2, b'err %d\n' % n)
    time.sleep(0.003)
sys.exit(int(sys.argv[-1]))"

setup_file() {
	export WARM=1

	daemon_make
	seq -f 'out %.0f' 0 $((LINES_EACH - 1)) >"$WORK/out"
	seq -f 'err %.0f' 0 $((LINES_EACH - 1)) >"$WORK/err"
	mkdir "$WORK/runs"
}

teardown_file() {
	daemon_remove
}

# background NAME: starts detached tasks until there is a file stop. The file acked-NAME has those that
# were acknowledged, with the status that each must have.
background() {
	local n=0 status id

	while [ ! -e "$WORK/stop" ]; do
		n=$((n + 1)) status=$((n % 7))
		# A request without an id was not acknowledged: the daemon may be starting.
		if id=$(sandboxctl run --detach python --code "$NUMBERED" --label "$1-$n" -- "$status" \
			2>>"$WORK/runs/$1.err") && [ -n "$id" ]; then
			echo "$id $status" >>"$WORK/acked-$1"
		fi
		wait_until "$PATIENCE" fewer_than 6
	done
}

# fewer_than N: fewer than N tasks have not ended.
fewer_than() {
	[ "$(sandboxctl ps --json | jq length)" -lt "$1" ]
}

# foreground NAME: runs whose output and status the command itself must deliver, also when the role that
# it was connected to is killed. A run that was refused (125) was not acknowledged.
foreground() {
	local n=0 status got

	while [ ! -e "$WORK/stop" ]; do
		n=$((n + 1)) status=$((n % 7)) got=0
		wait_until "$PATIENCE" sandboxctl version || return 1
		sandboxctl run python --code "$NUMBERED" --label "$1-$n" -- "$status" \
			>"$WORK/runs/$1-$n.out" 2>"$WORK/runs/$1-$n.err" </dev/null || got=$?
		echo "$n $status $got" >>"$WORK/ran-$1"
	done
}

@test "$KILLS times kill -9 of a role at a random moment, with tasks running" {
	local worker workers=()

	for worker in a b; do
		background "$worker" 3>&- &
		workers+=($!)
	done
	foreground c 3>&- &
	workers+=($!)
	roles_kill "$KILLS"
	wait "${workers[@]}"
	echo "# $(cat "$WORK"/acked-* | wc -l) tasks acknowledged, $(wc -l <"$WORK/ran-c") runs" >&3
	[ "$(cat "$WORK"/acked-* | wc -l)" -ge 20 ]
}

@test "no acknowledged task is lost: each has ended with its true exit status" {
	local id status bad=0

	while read -r id status; do
		timeout "$PATIENCE" "$CTL" wait "$id" >/dev/null || true
		if [ "$(inspect "$id" '"\(.exit_code) \(.verdict)"')" != \
			"$status $([ "$status" = 0 ] && echo ok || echo exit)" ]; then
			inspect "$id"
			bad=1
		fi
	done < <(cat "$WORK"/acked-*)
	[ "$bad" = 0 ]
}

@test "no line of any log is lost or doubled" {
	local id bad=0

	while read -r id _; do
		sandboxctl logs --stdout "$id" 2>/dev/null | cmp "$WORK/out" - || bad=1
		sandboxctl logs --stderr "$id" 2>&1 >/dev/null | cmp "$WORK/err" - || bad=1
		[ "$(inspect "$id" .log.lines)" = $((2 * LINES_EACH)) ] || bad=1
		[ "$bad" = 0 ] || fail "$id: $(inspect "$id")"
	done < <(cat "$WORK"/acked-*)
}

@test "run delivered every line once and the true status, across reconnects" {
	local n status got whole=0

	while read -r n status got; do
		if [ "$got" = 125 ] && [ ! -s "$WORK/runs/c-$n.out" ]; then
			continue # refused before it was acknowledged
		fi
		[ "$got" = "$status" ] || fail "run $n: status $got, not $status: $(tail -n 3 "$WORK/runs/c-$n.err")"
		cmp "$WORK/out" "$WORK/runs/c-$n.out"
		grep '^err ' "$WORK/runs/c-$n.err" | cmp "$WORK/err" -
		whole=$((whole + 1))
	done <"$WORK/ran-c"
	[ "$whole" -ge 5 ]
}

@test "a task that says nothing, and two restarts more than half a minute apart" {
	local id run

	sandboxctl run python --label silent --code "$GATE
gate()
print('at last')
sys.exit(7)" >"$WORK/silent" 2>&1 3>&- 4>&- &
	run=$!
	wait_until "$PATIENCE" silent_runs
	id=$(id_of silent)
	wait_until "$PATIENCE" role_kill logger
	# A little longer than run waits for a daemon that does not answer (CTL_RETRY_FOR_NS).
	wait_until "$PATIENCE" older_than 33 "$(date +%s)"
	wait_until "$PATIENCE" role_kill logger
	wait_until "$PATIENCE" signal_task "$id" USR1
	reap "$run"
	[ "$status" = 7 ] || fail "$status: $(cat "$WORK/silent")"
	[ "$(cat "$WORK/silent")" = "at last" ]
}

silent_runs() {
	[ "$(inspect "$(id_of silent)" .status)" = running ]
}

older_than() {
	[ $(($(date +%s) - $2)) -gt "$1" ]
}

@test "afterwards nothing is left and new tasks run" {
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
	[ "$(sandboxctl run python --start restore --code 'print(42)')" = 42 ]
}
