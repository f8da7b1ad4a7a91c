#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A clone that has got its task and ends in some way before the task's first bytecode: the task is
# started in another mode, once, and nothing of it is lost, doubled, or run twice.
# shellcheck disable=SC2034,SC2154 # what run sets; LOGGED and REASON are of templates.bash

load lib.bash
load templates.bash

# begins ACT [OPTION...]: makes a template whose clones do this once they have a task.
begins() {
	LOGGED=1 REASON=template
	evil "begun(lambda: $1)" "${@:2}" || fail "$(cat "$WORK/out/warm")"
	wait_until "$PATIENCE" its_template 'any(.[]; .state == "ready")'
}

# held CODE: runs a task in the background whose clone has got it and then waits; sets $RUN_PID and $ID.
held() {
	LABEL=held-$MODULE
	jq -n --arg code "$1" --arg name "$MODULE" \
		'{code: $code, warm: {imports: [$name]}, start: "fork"}' >"$WORK/out/task.json"
	timeout "$PATIENCE" "$CTL" run evil "$WORK/out/task.json" --label "$LABEL" \
		>"$WORK/out/held" 2>"$WORK/out/held.err" 3>&- 4>&- &
	RUN_PID=$!
	wait_until "$PATIENCE" init_of "$LABEL"
	ID=$(id_of "$LABEL")
}

# init_of LABEL: the pid of the task's init in this machine's pid namespace.
init_of() {
	local pid group

	for group in $(groups_of "$(id_of "$1")"); do
		while read -r pid; do
			# The init is pid 1 of its own pid namespace.
			[ "$(awk '/^NSpid:/ { print $NF }' "/proc/$pid/status" 2>/dev/null)" != 1 ] ||
				{ echo "$pid" && return; }
		done <"$group/cgroup.procs"
	done
	return 1
}

# restored_once OUTPUT: the task of held has ended well, was restored, and its log is this.
restored_once() {
	reap "$RUN_PID"
	[ "$status $(cat "$WORK/out/held")" = "0 $1" ] || fail "$status $(cat "$WORK/out/held"*) $(tail -n 3 "$WORK/log")"
	[ "$("$CTL" logs "$ID" 2>/dev/null)" = "$1" ]
	[ "$(field "$LABEL" .start.mode)" = restore ]
	[ "$(grep -c 'restored: fork: ' "$WORK/out/held.err")" = 1 ] || fail "$(cat "$WORK/out/held.err")"
}

other_logger() {
	local now

	now=$(role logger) && [ -n "$now" ] && [ "$now" != "$1" ] && "$CTL" version
}

# other_monitor: kills the monitor, and waits until a new one has taken its place.
other_monitor() {
	kill -KILL "$(cat "$WORK/monitor")"
	wait_until "$PATIENCE" gone "$(cat "$WORK/monitor")"
	daemon_start
	role monitor >"$WORK/monitor"
}

# parked_inits: the inits of this daemon's clones that have no task.
parked_inits() {
	local pid

	for pid in $(processes); do
		if [[ $(tr '\0' ' ' <"/proc/$pid/cmdline") == 'sandboxd: init, parked'* ]]; then
			echo "$pid"
		fi
	done
}

no_payload() {
	refute payload "$1"
}

@test "a clone that dies when it has got its task: the task is restored" {
	local policy

	for policy in default unparked; do
		begins 'os.kill(os.getpid(), 9)' --policy "$policy"
		for _ in 1 2 3; do
			run_evil 'print(6 * 7)' --policy "$policy"
			[ "$status $output" = "0 42" ] || fail "$status $output $stderr"
			[[ $stderr == *"restored: fork: "* ]] || fail "$stderr"
		done
		[ "$(modes_of "$MODULE" | sort -u)" = restore ]
		# For a while no clone is asked from this template.
		wait_until "$PATIENCE" its_template 'all(.[]; .state != "ready")'
		new_log | grep -q 'its clones end before the first bytecode of their tasks'
		unharmed
	done
}

@test "its init dies when it has got its task: the task is restored, also with another logger" {
	local logger

	begins 'time.sleep(1000)'
	held 'print(6 * 7)'
	kill -KILL "$(init_of "$LABEL")"
	restored_once 42
	held 'print(6 * 8)'
	logger=$(role logger)
	kill -KILL "$logger"
	wait_until "$PATIENCE" other_logger "$logger"
	kill -KILL "$(init_of "$LABEL")"
	restored_once 48
	unharmed
}

@test "a clone that dies before its init can let it go: the task is restored" {
	local pid init

	begins 'None'
	run_evil 'pass'
	wait_until "$PATIENCE" its_template 'any(.[]; .parked > 0)'
	for pid in $(parked_inits); do
		kill -STOP "$pid"
	done
	held 'print(6 * 7)'
	init=$(init_of "$LABEL")
	kill -KILL "$(payload "$ID")"
	wait_until "$PATIENCE" no_payload "$ID"
	for pid in "$init" $(parked_inits); do
		kill -CONT "$pid" 2>/dev/null || true
	done
	restored_once 42
	grep -q 'the process is gone' "$WORK/out/held.err" || fail "$(cat "$WORK/out/held.err")"
	unharmed
}

@test "a task is cancelled, or its time is up, before its clone has begun: no other is started" {
	begins 'time.sleep(1000)'
	held 'print(6 * 7)'
	"$CTL" cancel "$ID"
	reap "$RUN_PID"
	[ "$(inspect "$ID" .status)" = cancelled ] || fail "$(inspect "$ID")"
	run_evil 'print(6 * 7)' --timeout 1
	[ "$status" = 124 ] || fail "$status $output $stderr"
	[ -z "$(cat "$WORK/out/held")$output" ]
	unharmed
}

@test "what ends by itself before it has begun, or has said something, is not started again" {
	begins 'os._exit(9)'
	run_evil 'print(6 * 7)'
	[ "$status $output" = "9 " ] || fail "$status $output $stderr"
	[[ $stderr != *restored* ]] || fail "$stderr"
	begins 'os.write(1, b"said") and os.kill(os.getpid(), 19)'
	held 'print(6 * 7)'
	wait_until "$PATIENCE" file_has "$WORK/out/held" said
	kill -KILL "$(payload "$ID")"
	reap "$RUN_PID"
	[ "$status $(cat "$WORK/out/held")" = "137 said" ] || fail "$status $(cat "$WORK/out/held"*)"
	# More than a pipe holds, before any reader has to be there.
	begins 'os.write(1, b"x" * (1 << 20))'
	run_evil 'print(6 * 7)'
	[ "$status ${#output} ${output: -2}" = "0 $(((1 << 20) + 2)) 42" ] || fail "$status ${#output} $stderr"
	[ "$(modes_of "$MODULE")" = fork ]
	unharmed
}

# polite: a task of this template is seen running, gets a TERM, and has been started once.
polite() {
	local id end code='
import signal, sys, time
def term(*_):
    print("term", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, term)
time.sleep(1000)'

	for end in cancel kill; do
		jq -n --arg code "$code" --arg name "$MODULE" \
			'{code: $code, warm: {imports: [$name]}, start: "fork"}' >"$WORK/out/task.json"
		id=$("$CTL" run -d evil "$WORK/out/task.json" "$@")
		wait_until "$PATIENCE" status_is "$id" running || fail "$(inspect "$id")"
		[ "$(inspect "$id" '.start.mode, (.started_at | type)' | xargs)" = "fork string" ] || fail "$(inspect "$id")"
		wait_until "$PATIENCE" waits "$id"
		if [ "$end" = cancel ]; then
			"$CTL" cancel "$id"
			"$CTL" wait "$id" || true
			[ "$("$CTL" logs "$id")" = term ] || fail "$(inspect "$id") $("$CTL" logs "$id")"
		else
			kill -KILL "$(payload "$id")"
			"$CTL" wait "$id" || true
			[ "$(inspect "$id" '.start.mode, .exit_code, .verdict, .warning' | xargs)" = "fork 137 signal null" ] ||
				fail "$(inspect "$id")"
		fi
	done
}

# waits ID: the task's Python sleeps (clock_nanosleep, 230).
waits() {
	[ "$(cut -d ' ' -f 1 "/proc/$(payload "$1")/syscall")" = 230 ]
}

@test "what is said on its pipe before a task's stamp, or instead of it: it runs, once" {
	local policy act

	for policy in default unparked; do
		# A byte too early, a stamp too early, a second P, or another pipe in this one's place.
		for act in 'os.write(4, b"x")' 'os.write(4, b"S 1\n")' 'os.write(4, b"PP")' \
			'os.dup2(os.open("/dev/null", os.O_WRONLY), 4)'; do
			evil "os.register_at_fork(after_in_child=lambda: $act)" --policy "$policy" ||
				fail "$(cat "$WORK/out/warm")"
			wait_until "$PATIENCE" its_template 'any(.[]; .state == "ready")'
			polite --policy "$policy"
		done
		unharmed
	done
}

@test "the monitor dies before a clone has begun: the task is not run twice" {
	begins 'os.kill(os.getpid(), 19)'
	held 'print(6 * 7)'
	other_monitor
	status_is "$ID" running || status_is "$ID" preparing
	kill -CONT "$(payload "$ID")"
	reap "$RUN_PID"
	[ "$status $(cat "$WORK/out/held")" = "0 42" ] || fail "$status $(cat "$WORK/out/held"*)"
	begins 'time.sleep(1000)'
	held 'print(6 * 7)'
	other_monitor
	kill -KILL "$(init_of "$LABEL")"
	reap "$RUN_PID"
	[[ $status != 0 && -z $(cat "$WORK/out/held") ]] || fail "$status $(cat "$WORK/out/held"*)"
	unharmed
}
