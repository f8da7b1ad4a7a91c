#!/usr/bin/env bats
# bats file_tags=v2-all
# kill -9 of any role, or of all: tasks go on, no line is lost or doubled, the true exit
# status comes out.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

setup_file() {
	WARM=1 daemon_make
}

# kill_role NAME: kills a role, and waits until another process has taken its place.
kill_role() {
	local old

	old=$(role "$1")
	[ -n "$old" ] || fail "there is no role $1"
	kill -KILL "$old"
	if [ "$1" = monitor ]; then
		# Nothing starts the monitor again here, and the other roles end with it.
		wait_until "$PATIENCE" gone "$old"
		daemon_start
	else
		wait_until "$PATIENCE" replaced "$1" "$old"
	fi
}

replaced() {
	local new

	new=$(role "$1")
	[ -n "$new" ] && [ "$new" != "$2" ] && sandboxctl version
}

# A task that prints numbered lines on both streams until the gate opens, and then a last one.
COUNTING="$GATE
import os, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
n = 0
while not signal.sigtimedwait([signal.SIGUSR1], 0.001):
    os.write(1, b'out %d\n' % n)
    os.write(2, b'err %d\n' % n)
    n += 1
os.write(1, b'end %d\n' % n)
sys.exit(42)"

# complete FILE PREFIX: the numbered lines are 0, 1, 2, ... without a gap or a repetition.
complete() {
	local n

	n=$(grep -c "^$2 " "$1")
	[ "$n" -gt 0 ] && diff <(grep "^$2 " "$1") <(seq -f "$2 %g" 0 $((n - 1)))
}

# connected PID: the client, which is this process or its child, has a socket.
connected() {
	local pid

	for pid in "$1" $(pgrep -P "$1"); do
		find "/proc/$pid/fd" -lname 'socket:*'
	done | grep -q .
}

# survives MODE KILL...: a task in this mode, followed by run, logs -f and wait, survives these kills.
survives() {
	local mode=$1 label=r-$BATS_TEST_NUMBER-$1 id run logs wait name

	shift
	: >out # or the last round's text would be taken for this round's
	sandboxctl run python --start "$mode" --label "$label" --code "$COUNTING" >out 2>err 3>&- 4>&- &
	run=$!
	wait_until "$PATIENCE" file_lines out 20 || return 1
	id=$(id_of "$label")
	sandboxctl logs -f "$id" >logs.out 2>logs.err 3>&- 4>&- &
	logs=$!
	sandboxctl wait "$id" >wait.out 2>wait.err 3>&- 4>&- &
	wait=$!
	# A client that never found a daemon ends at once; one that has lost its daemon connects again.
	wait_until "$PATIENCE" connected "$logs" && wait_until "$PATIENCE" connected "$wait" || return 1
	for name; do
		kill_role "$name" || return 1
		status_is "$id" running || return 1
		wait_until "$PATIENCE" file_lines out $(($(wc -l <out) + 20)) || return 1
	done
	signal_task "$id" USR1
	reap $run
	echo "$mode $*: run $status; $(tail -n 2 out); $(grep -v '^err ' err)"
	[ "$status" = 42 ] || return 1
	reap $logs
	[ "$status" = 0 ] || return 1
	reap $wait
	[ "$status" = 42 ] || return 1
	[ "$(inspect "$id" '[.status, .verdict, .exit_code, .start.mode] | join(" ")')" = "error exit 42 $mode" ] || return 1
	complete out out && complete err err || return 1
	[ "$(tail -n 1 out)" = "end $(grep -c '^out ' out)" ] || return 1
	cmp out logs.out && diff <(grep '^err ' err) logs.err || return 1
	sandboxctl logs "$id" >after.out 2>after.err
	cmp out after.out
}

@test "the front is in a network where nothing is, so that no socket of it leads to this machine's" {
	front=$(role front)
	[ "$(readlink "/proc/$front/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	[ "$(nsenter -t "$front" -n ip -br link | wc -l)" = 1 ]
	[ -z "$(nsenter -t "$front" -n ip -br addr show up)" ]
	[ "$(readlink "/proc/$(role monitor)/ns/net")" = "$(readlink /proc/self/ns/net)" ]
}

@test "front killed: tasks go on" {
	survives cold front
	survives restore front
	survives fork front
}

@test "logger killed: tasks go on" {
	survives cold logger
	survives restore logger
	survives fork logger
}

@test "monitor killed and started again: tasks are adopted" {
	survives cold monitor
	survives restore monitor
	# The templates ended with the old monitor.
	forks python
	survives fork monitor
	forks python
	survives fork front logger monitor
}

@test "all three, one after the other, twice" {
	survives cold front logger monitor logger front monitor
}

# bats test_tags=v2
@test "everything killed at once" {
	sandboxctl run -d python --label all --code "$COUNTING"
	id=$(id_of all)
	wait_until "$PATIENCE" log_has "$id" 'out 20'
	kill -KILL "$(role front)" "$(role logger)" "$(role monitor)"
	wait_until "$PATIENCE" gone "$(cat "$WORK/pid")"
	daemon_start
	status_is "$id" running
	signal_task "$id" USR1
	run sandboxctl wait "$id"
	[ "$status" = 42 ]
	sandboxctl logs "$id" >out 2>err
	complete out out
	complete err err
	[ "$(tail -n 1 out)" = "end $(grep -c '^out ' out)" ]
}

@test "a task that ends while the daemon is away: true exit status, whole log" {
	for mode in $MODES; do
		for end in "7 sys.exit(7)" "134 os.abort()" "137 os.kill(os.getpid(), 9)"; do
			forks python
			ends_away "$mode" "${end#* }" "${end%% *}"
		done
	done
}

# ends_away MODE CODE STATUS
ends_away() {
	local id pid

	sandboxctl run -d python --start "$1" --label away --code "$GATE
import os
print('before')
gate()
print('x' * 100000)
sys.stdout.flush()
$2"
	id=$(id_of away)
	wait_until "$PATIENCE" log_has "$id" before
	[ "$(inspect "$id" .start.mode)" = "$1" ]
	pid=$(payload "$id")
	daemon_stop
	kill -USR1 "$pid"
	wait_until "$PATIENCE" not_running "$pid"
	daemon_start
	run timeout "$PATIENCE" "$CTL" wait "$id"
	echo "$1, $2: $status"
	[ "$status" = "$3" ]
	[ "$status" != 137 ] || [ "$(inspect "$id" .verdict)" = signal ]
	[ "$(sandboxctl logs "$id" | wc -c)" = 100008 ]
}

# not_running PID: the process does not exist, or is dead and not yet reaped, or waits for room in its
# pipe.
not_running() {
	gone "$1" || [[ $(ps -o stat= -p "$1") == Z* ]]
}

@test "a task whose pipe fills while the daemon is away waits, and loses nothing" {
	sandboxctl run -d python --label full --code "$GATE
import os
print('before')
gate()
for i in range(50000):
    os.write(1, b'line %d\n' % i)"
	id=$(id_of full)
	wait_until "$PATIENCE" log_has "$id" before
	pid=$(payload "$id")
	daemon_stop
	kill -USR1 "$pid"
	wait_until "$PATIENCE" in_pipe_write "$pid"
	daemon_start
	run timeout "$PATIENCE" "$CTL" wait "$id"
	[ "$status" = 0 ]
	sandboxctl logs "$id" | tail -n +2 | cmp - <(seq -f 'line %.0f' 0 49999)
}

in_pipe_write() {
	[[ $(cat "/proc/$1/wchan" 2>/dev/null) == *pipe_w* ]] ||
		[[ $(cat "/proc/$1/syscall" 2>/dev/null) == "1 "* ]]
}

# bats test_tags=v2
@test "timeouts and limits hold after an adoption" {
	# Long enough for the task to say that it is ready, however slow the machine is.
	id=$(detached python "$FOREVER" --timeout $((5 * BRIEF)))
	wait_until "$PATIENCE" log_has "$id" ready
	kill_role monitor
	run timeout "$PATIENCE" "$CTL" wait "$id"
	[ "$status" = 124 ]
	id=$(detached python "$GATE
print('ready')
gate()
x = []
while True:
    x.append(bytearray(1 << 20))" --memory 64M)
	wait_until "$PATIENCE" log_has "$id" ready
	kill_role monitor
	signal_task "$id" USR1
	run timeout "$PATIENCE" "$CTL" wait "$id"
	[ "$status" = 137 ]
	[ "$(inspect "$id" .verdict)" = oom ]
}

@test "cancel works on an adopted task" {
	id=$(detached python "$FOREVER")
	wait_until "$PATIENCE" log_has "$id" ready
	kill_role monitor
	sandboxctl cancel "$id"
	run timeout "$PATIENCE" "$CTL" wait "$id"
	[ "$status" = 143 ]
	[ "$(inspect "$id" .verdict)" = cancelled ]
}

# bats test_tags=v2
@test "usage of an adopted task is known" {
	id=$(detached python "$GATE
x = bytearray(32 << 20)
for i in range(0, len(x), 4096):
    x[i] = 1
print('ready')
gate()")
	wait_until "$PATIENCE" log_has "$id" ready
	kill_role monitor
	signal_task "$id" USR1
	run timeout "$PATIENCE" "$CTL" wait "$id"
	[ "$status" = 0 ]
	[ "$(inspect "$id" ".usage.memory_peak_bytes >= $((32 << 20)) and .usage.cpu_ms > 0")" = true ]
}

# bats test_tags=v2
@test "parked clones end with their monitor, and the next one prints nothing about them" {
	forks python
	wait_until "$PATIENCE" parked
	kill_role monitor
	wait_until "$PATIENCE" no_parked_group
	if grep 'parked-.* has no record' "$WORK/log"; then
		fail "a parked clone is worth a warning"
	fi
}

no_parked_group() {
	[ -z "$(find /sys/fs/cgroup -type d -path "*/$GROUP/parked-*" 2>/dev/null)" ]
}

parked() {
	sandboxctl template ls --json | jq -e 'any(.[]; .parked > 0)'
}

@test "history outlives every restart" {
	id=$(sandboxctl run -d python --code 'raise SystemExit(6)')
	sandboxctl wait "$id" || true
	before=$(inspect "$id")
	kill_role front
	kill_role monitor
	[ "$(inspect "$id")" = "$before" ]
}

@test "new tasks run after all of this, and nothing is left" {
	run sandboxctl run python --code 'print("fine")'
	[ "$output" = fine ]
	# Nor of keepers, whose monitor was killed.
	retire_all
}
