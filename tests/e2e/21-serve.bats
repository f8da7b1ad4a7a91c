#!/usr/bin/env bats
# Runs that serve: the socket that the front gives one is the descriptor 5 of its payload, in every way to
# start, and nobody else has it. Runs that last: no deadline ends them, and their logs keep the last bytes.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # code for the sandbox; status is set by run
load daemon
load templates

setup_file() {
	local other=$BATS_FILE_TMPDIR/roles

	paths
	make -s -C "$TOP" BUILD=build-test build-test/e2e/serve_front
	# The same daemon beside another front, for it executes what is beside it.
	mkdir "$other"
	cp "$DAEMON" "$other/sandboxd"
	cp "$(dirname "$DAEMON")/sandboxd-logger" "$other" 2>/dev/null ||
		cp "$(dirname "$DAEMON")/../libexec/sandboxd/sandboxd-logger" "$other"
	cp "$TOP/build-test/e2e/serve_front" "$other/sandboxd-front"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$other"
	printf '#!/bin/sh\nshift\nexec "%s" "$@"\n' "$other/sandboxd" >"$other/instead"
	chmod 755 "$other/instead"
	export UNDER=$other/instead
	WARM=1 daemon_make
}

serves() {
	python3 "$E2E/serve.py" "$@"
	[ "$(mode serve)" = "$1" ]
}

@test "a socket that listens is the payload's in all start modes" {
	for start in $MODES; do
		serves "$start" listen
	done
}

@test "one end of a pair is, too, also of a parked process that becomes a cold start" {
	for start in $MODES; do
		serves "$start" pair
		serves "$start" own
	done
}

@test "a clone that is made when it is asked for has it" {
	unparked
	serves fork listen --policy unparked
	serves fork pair --policy unparked
}

@test "it is at 5 also where a library of the image has a file open" {
	image_link python314
	sandboxctl image warm python314 >/dev/null
	forks python314
	for start in $MODES; do
		IMAGE=python314 serves "$start" listen
	done
}

@test "a run that does not serve has nothing at 5" {
	for start in $MODES; do
		sandboxctl run python --start "$start" --label none --code '
import os
try:
    print(os.readlink("/proc/self/fd/5"))
except OSError as error:
    print(error.errno)' >out
		[ "$(cat out)" = 2 ]
		[ "$(mode none)" = "$start" ]
	done
}

@test "without a socket a run that serves is not started, in words" {
	run --separate-stderr sandboxctl run python --label serve --code 'print("wrong")'
	[ "$status $output" = "125 " ]
	[[ $stderr == *"no socket has come"* ]]
}

# timed_out: a task that began later than all others, and has the same timeout as they, is over.
timed_out() {
	run ! sandboxctl run python --timeout 1 --code 'while True: pass'
	[ "$status" = 124 ]
}

@test "a run that lasts outlives its timeout under this monitor and the next, and its log has the last lines" {
	jq -n --arg code "$GATE"'
for n in range(20000):
    print("line", n)
gate()
print("the end")' '{code: $code, limits: {timeout: 1, log: "32K"}}' >task.json
	for start in $MODES; do
		ids+=("$(sandboxctl run --detach python task.json --label lasts --start "$start")")
	done
	for id in "${ids[@]}"; do
		wait_until "$PATIENCE" log_has "$id" "line 19999"
	done
	timed_out
	wait_until "$PATIENCE" role_kill monitor
	timed_out
	for id in "${ids[@]}"; do
		status_is "$id" running
		signal_task "$id" USR1
		[ "$(sandboxctl wait "$id" --json | jq -r .status)" = complete ]
		sandboxctl logs "$id" >out 2>err
		[ "$(tail -n 1 out)" = "the end" ]
		diff <(tail -n +2 out | head -n -1) <(seq -f 'line %.0f' 20000 | sed '$d' | tail -n "$(($(wc -l <out) - 2))")
		[ "$(stat -c %s out)" -gt 16000 ]
		grep -q '^\[the log keeps its last .*: [0-9]* bytes before them are gone\]$' err
	done
	[ "$(for id in "${ids[@]}"; do inspect "$id" .start.mode; done | xargs)" = "$MODES" ]
}

@test "a policy that does not say so lets no run last" {
	run --separate-stderr sandboxctl run python --label lasts --policy strict --code 'print("wrong")'
	[ "$status $output" = "125 " ]
	[[ $stderr == *'policy strict: a run without a deadline needs "lasting": true'* ]]
}
