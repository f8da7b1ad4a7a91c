#!/usr/bin/env bats
# Ending tasks from outside: cancel, Ctrl-C on run, in each phase and each start mode.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

setup_file() {
	WARM=1 daemon_make
}

IGNORING='
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for i in range(3):
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
print("ready")
while True:
    time.sleep(1000)
'

# attached LABEL CODE [OPTION...]: runs a task in the background, with its output in ./out and SIGINT as
# a shell leaves it for a foreground command. Sets pid.
attached() {
	local label=$1 code=$2

	shift 2
	: >out
	env --default-signal=INT "$CTL" run python --label "$label" --code "$code" "$@" \
		>out 2>err 3>&- 4>&- &
	pid=$!
	# A shell's background job ignores SIGINT until env has undone that.
	wait_until "$PATIENCE" hears_int "$pid"
}

hears_int() {
	! has_signals "$1" SigIgn 2
}

# has_signals PID FIELD BITS: one of these bits is in this line of the process's status.
has_signals() {
	local bits

	bits=$(awk -v field="$2:" '$1 == field { print $2 }' "/proc/$1/status") || return
	[ $((0x$bits & $3)) != 0 ]
}

@test "cancel is TERM: the task may end in its own way" {
	for mode in $MODES; do
		id=$(detached python '
import signal, sys, time
def end(number, frame):
    print("bye")
    sys.exit(9)
signal.signal(signal.SIGTERM, end)
sys.stdout.write("ready\n") # at once, unlike print()
while True:
    time.sleep(1000)' --start "$mode")
		wait_until "$PATIENCE" log_has "$id" ready
		sandboxctl cancel "$id"
		sandboxctl wait "$id" || true
		[ "$(inspect "$id" .status)" = cancelled ]
		[ "$(inspect "$id" .verdict)" = cancelled ]
		[ "$(sandboxctl logs "$id")" = $'ready\nbye' ]
		[ "$(inspect "$id" .start.mode)" = "$mode" ]
	done
}

# A task that ends in good order, with status 0, when it is told to: by TERM first, and then by USR1 as
# well.
ORDERLY="$GATE
import time
def end(number, frame):
    print('half', flush=True)
    gate()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print('ready', flush=True)
while True:
    time.sleep(1000)"

@test "an orderly end on demand is no success: cancelled, in every mode and under the next monitor" {
	for mode in $MODES; do
		id=$(detached python "$ORDERLY" --start "$mode")
		wait_until "$PATIENCE" log_has "$id" ready
		sandboxctl cancel "$id"
		wait_until "$PATIENCE" log_has "$id" half
		# The record says why the task was told to end, also after another monitor has taken
		# over.
		[ "$mode" != fork ] || wait_until "$PATIENCE" role_kill monitor
		signal_task "$id" USR1
		run timeout "$PATIENCE" "$CTL" wait "$id"
		[ "$status" = 143 ]
		run inspect "$id" '[.status, .verdict, .exit_code, .start.mode] | join(" ")'
		[ "$output" = "cancelled cancelled 0 $mode" ] || fail "$mode: $output"
	done
}

@test "a task without a handler dies of TERM: 143" {
	for mode in $MODES; do
		id=$(detached python "$FOREVER" --start "$mode")
		wait_until "$PATIENCE" log_has "$id" ready
		sandboxctl cancel "$id"
		run timeout "$PATIENCE" "$CTL" wait "$id"
		[ "$status" = 143 ]
		[ "$(inspect "$id" .verdict)" = cancelled ]
	done
}

@test "cancel --force kills what ignores TERM, with all its children" {
	for mode in $MODES; do
		id=$(detached python "$IGNORING" --start "$mode")
		wait_until "$PATIENCE" log_has "$id" ready
		sandboxctl cancel "$id"
		status_is "$id" running
		sandboxctl cancel --force "$id"
		run timeout "$PATIENCE" "$CTL" wait "$id"
		[ "$status" = 137 ]
		[ "$(inspect "$id" .status)" = cancelled ]
	done
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

@test "several at once; an unknown one is said and the others are cancelled" {
	one=$(detached python "$FOREVER")
	two=$(detached python "$FOREVER")
	run sandboxctl cancel --force "$one" ffffffffffffffffffffffff "$two"
	[ "$status" = 125 ]
	[[ $output == *ffffffffffffffffffffffff* ]]
	for id in "$one" "$two"; do
		wait_until "$PATIENCE" status_is "$id" cancelled
	done
}

@test "cancelling an ended task changes nothing" {
	id=$(sandboxctl run -d python --code 'raise SystemExit(2)')
	sandboxctl wait "$id" || true
	before=$(inspect "$id")
	sandboxctl cancel "$id"
	sandboxctl cancel --force "$id"
	[ "$(inspect "$id")" = "$before" ]
}

@test "Ctrl-C on run: TERM, its last words are shown, 130" {
	attached int '
import signal, sys, time
def end(number, frame):
    print("bye")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
sys.stdout.write("ready\n") # at once, unlike print()
while True:
    time.sleep(1000)'
	wait_until "$PATIENCE" file_has out ready
	kill -INT $pid
	reap $pid
	[ "$status" = 130 ]
	[ "$(cat out)" = $'ready\nbye' ]
	labelled int cancelled
	wait_until "$PATIENCE" none_running
}

@test "Ctrl-C again: KILL of the whole cgroup" {
	attached int2 "$IGNORING"
	wait_until "$PATIENCE" file_has out ready
	id=$(id_of int2)
	kill -INT $pid
	# When the daemon was asked to cancel, the first SIGINT has been handled.
	wait_until "$PATIENCE" cancel_asked "$id" || true
	kill -INT $pid
	reap $pid
	[ "$status" = 130 ]
	status_is "$id" cancelled
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

# cancel_asked ID: TERM has been delivered (the task ignores it, so nothing else shows that).
cancel_asked() {
	sandboxctl inspect --json "$1" | jq -e '.history[]? | select(.event == "cancel")' >/dev/null
}

@test "TERM to run is like Ctrl-C: 143" {
	attached term "$FOREVER"
	wait_until "$PATIENCE" file_has out ready
	kill -TERM $pid
	reap $pid
	[ "$status" = 143 ]
	labelled term cancelled
}

@test "TERM to run is heard while the front is stopped, and the task ends when the front goes on" {
	local front statuses=''

	front=$(role front)
	attached told 'import time; print("in"); time.sleep(1000)'
	wait_until "$PATIENCE" grep -q in out
	kill -STOP "$front"
	kill -TERM "$pid"
	wait "$pid" || statuses+="$? "
	mv err told.err
	attached untold 'import time; time.sleep(1000)'
	# From here on it has asked, or does so before it looks at signals.
	wait_until "$PATIENCE" has_signals "$pid" SigBlk 0x4000
	kill -TERM "$pid"
	wait "$pid" || statuses+=$?
	kill -CONT "$front"
	[ "$statuses" = '143 143' ] || fail "$statuses"
	grep -q 'left task .* behind' told.err || fail "$(cat told.err)"
	wait_until "$PATIENCE" is_cancelled told
	[ "$(sandboxctl ps -a --json | jq '[.[] | select(.label == "untold")] | length')" = 0 ]
}

is_cancelled() {
	[ "$(sandboxctl ps -a --json | jq -r --arg l "$1" '.[] | select(.label == $l).verdict')" = cancelled ]
}

@test "Ctrl-C at any moment of a start leaves nothing running" {
	# At moments from before the request is sent until after the first line.
	for ms in 0 1 2 3 5 8 12 20 30 50; do
		attached "early$ms" "$FOREVER" --start cold
		sleep "$(printf '0.%03d' $ms)"
		kill -INT $pid
		reap $pid
		echo "$ms ms: $status $(cat out err)"
		[ "$status" = 130 ]
	done
	wait_until "$PATIENCE" none_running
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

none_running() {
	[ "$(sandboxctl ps --json)" = "[]" ]
}

@test "Ctrl-C while output is stuck is heard" {
	mkfifo pipe
	# Both ends of the pipe are open, and nothing is ever read from it.
	exec 9<>pipe
	env --default-signal=INT "$CTL" run python --label stuck --code '
import time
while True:
    print("x" * 1000)' >pipe 2>err 3>&- 4>&- &
	pid=$!
	wait_until "$PATIENCE" labelled stuck running
	kill -INT $pid
	wait_until "$PATIENCE" labelled stuck cancelled
	# Only output that nobody reads is left.
	kill -INT $pid
	reap $pid
	[ "$status" = 130 ]
	exec 9>&-
}

@test "Ctrl-C on logs -f leaves the task alone" {
	id=$(detached python "$FOREVER")
	env --default-signal=INT "$CTL" logs -f "$id" >out 2>err 3>&- 4>&- &
	pid=$!
	wait_until "$PATIENCE" file_has out ready
	kill -INT $pid
	reap $pid
	[ "$status" = 130 ]
	status_is "$id" running
	sandboxctl cancel --force "$id"
}

@test "a run that is killed leaves its task running, and its log complete" {
	attached killed "$GATE
print('ready')
gate()
print('later')"
	wait_until "$PATIENCE" file_has out ready
	kill -KILL $pid
	reap $pid
	id=$(id_of killed)
	status_is "$id" running
	signal_task "$id" USR1
	run sandboxctl wait "$id"
	[ "$status" = 0 ]
	[ "$(sandboxctl logs "$id")" = $'ready\nlater' ]
}

@test "cancelled tasks leave nothing behind" {
	wait_until "$PATIENCE" none_running
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}
