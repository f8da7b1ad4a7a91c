#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Tasks that exhaust what they can get: the right verdict, the neighbour works, the daemon
# does not grow, and nothing is left.

load lib.bash

setup_file() {
	security_setup
	cp -r "$SECURITY/bombs" "$WORK/bombs"
	cat >"$WORK/neighbour.json" <<-'END'
		{"code": "print(6 * 7)"}
	END
	# What the daemon allocates only once exists before anything is compared.
	warm python
	"$CTL" run python "$WORK/neighbour.json" >/dev/null
	rss >"$WORK/memory"
}

# attack VERDICT SCRIPT OPTIONS... -- ARGS...: runs the attack in each mode, beside a neighbour. VERDICT
# is a regular expression.
attack() {
	local verdict=$1 script=$2 mode label pid grown

	shift 2
	task "$WORK/bombs" "$script.py"
	for mode in $SECURITY_MODES; do
		label=attack-$RANDOM$RANDOM
		timeout 300 "$CTL" run python "$WORK/bombs/task.json" --start "$mode" --label "$label" \
			"$@" >"$WORK/out/attack" 2>"$WORK/out/attack.err" </dev/null 3>&- &
		pid=$!
		until [ "$(field "$label" .status)" != null ]; do sleep 0.02; done
		while kill -0 "$pid" 2>/dev/null; do
			[ "$(timeout 60 "$CTL" run python "$WORK/neighbour.json")" = 42 ] ||
				fail "$label: no neighbour runs"
		done
		STATUS=0
		wait "$pid" || STATUS=$?
		LABEL=$label
		[[ $(field "$label" .verdict) =~ ^($verdict)$ ]] ||
			fail "$script $* in $mode: $(field "$label" .), $(tail -n 3 "$WORK/out/attack.err")"
		[ "$(modes_of "$label")" = "$mode" ] || fail "started as $(modes_of "$label")"
		"$CTL" version >/dev/null
		nothing_left "$(field "$label" .id)"
		grown=$(($(rss) - $(cat "$WORK/memory")))
		[ "$grown" -lt 8192 ] || fail "$script $*: the daemon grew by $grown KiB"
	done
}

# has_children_at_most NUMBER: of the monitor: the roles, and no helper.
has_children_at_most() {
	[ "$(pgrep -c -P "$(cat "$WORK/pid")")" -le "$1" ]
}

# nothing_left ID: no cgroup with the task's id.
nothing_left() {
	wait_until "$PATIENCE" no_cgroup "$1" ||
		fail "cgroups of $1 are left"
}

# bats test_tags=v2-all
@test "fork bomb: pids" {
	attack pids fork_bomb
	[ "$STATUS" -eq 1 ]
}

@test "fork bomb that goes on: timeout" {
	attack timeout fork_bomb --timeout 3 -- forever
	[ "$STATUS" -eq 124 ]
}

@test "thread bomb: pids" {
	attack pids thread_bomb
	[ "$STATUS" -eq 1 ]
}

# bats test_tags=v2
@test "all tasks together leave the machine some of its processes" {
	local all most

	all=$(find /sys/fs/cgroup -path "*/$GROUP/pids.max" -exec cat {} +)
	most=$(sort -n /proc/sys/kernel/pid_max /proc/sys/kernel/threads-max | head -n 1)
	[ "$all" -gt 0 ] && [ "$all" -lt "$most" ]
}

# bats test_tags=v2-all
@test "memory bomb: anonymous" {
	attack oom memory_bomb --memory 64M -- anonymous
	[ "$STATUS" -eq 137 ]
}

@test "memory bomb: a file in a tmpfs larger than the memory" {
	task "$WORK/bombs" memory_bomb.py
	attack oom memory_bomb --memory 48M -- tmpfs
	[ "$STATUS" -eq 137 ]
}

# bats test_tags=v2-all
@test "memory bomb: memfd" {
	attack oom memory_bomb --memory 64M -- memfd
	[ "$STATUS" -eq 137 ]
}

# bats test_tags=v2-all
@test "memory bomb: many small processes" {
	attack 'oom|exit' memory_bomb --memory 64M -- children
	# On cgroup v1 only one process is killed. When that is not the first, the first ends by itself,
	# and the end says that others were killed.
	[ "$STATUS $(field "$LABEL" .verdict)" = '137 oom' ] ||
		[[ "$STATUS $(field "$LABEL" '[.verdict, .warning] | join(" ")')" == '1 exit '*'out of memory' ]]
}

# bats test_tags=v2-all
@test "disk: bytes" {
	attack disk disk_bomb -- bytes /tmp
	attack disk disk_bomb -- bytes /work
	[ "$STATUS" -eq 1 ]
}

@test "disk: files, symlinks, deep and wide folders" {
	attack disk disk_bomb -- inodes /work
	attack disk disk_bomb -- symlinks /tmp
	attack disk disk_bomb -- wide /tmp
	attack disk disk_bomb -- deep /work
}

@test "disk: other writable places are bounded too" {
	local where

	for where in /dev/shm /run /dev /; do
		task "$WORK/bombs" disk_bomb.py
		run timeout 120 "$CTL" run python "$WORK/bombs/task.json" --memory 256M --timeout 60 -- bytes "$where"
		[ "$status" -eq 1 ] || fail "$where: exit status $status"
		[[ $output == *"No space left"* || $output == *"Permission denied"* ||
			$output == *"Read-only"* || $output == *"No such file"* ]] || fail "$where: $output"
	done
}

@test "file descriptors: EMFILE for the task alone" {
	attack exit fd_bomb
	[ "$STATUS" -eq 3 ]
	[ "$(cat "$WORK/out/attack")" = EMFILE ]
}

# bats test_tags=v2
@test "sockets: what waits in them is bounded by the memory limit" {
	# Or the task is killed, where data in sockets counts as memory.
	attack 'ok|oom' socket_bomb --memory 64M
	[ "$(cat "$WORK/out/attack")" -le 64 ] || [ "$STATUS" = 137 ] || fail "$(cat "$WORK/out/attack") MiB"
}

@test "connections that are over: few are kept in the machine's table, in each mode" {
	local mode

	for mode in $SECURITY_MODES; do
		ready_for "$mode" python
		[ "$("$CTL" run python --start "$mode" --label kept \
			--code 'print(open("/proc/sys/net/ipv4/tcp_max_tw_buckets").read(), end="")' </dev/null)" = 8192 ]
		[ "$(field kept .start.mode)" = "$mode" ]
	done
}

# bats test_tags=v2-all
@test "CPU: spinning processes that ignore signals end with the timeout" {
	attack timeout spin --timeout 2
	[ "$STATUS" -eq 124 ]
}

@test "log: 1 GiB in one line is cut with a marker, and costs no memory" {
	attack ok output --timeout 250 -- line
	[ "$STATUS" -eq 0 ]
	[ "$(field "$LABEL" .log.bytes)" = $((1 << 30)) ]
	[ "$(field "$LABEL" .log.dropped)" -ge $(((1 << 30) - (17 << 20))) ]
	[ "$(stat -c %s "$WORK/out/attack")" -le $((17 << 20)) ]
	grep -qi "log limit" "$WORK/out/attack.err"
}

@test "log: a million lines, all there" {
	attack ok output --timeout 250 -- lines
	[ "$(field "$LABEL" .log.lines)" = 1000000 ]
	seq -f 'line %.0f' 0 999999 | cmp - "$WORK/out/attack"
}

@test "log: NULs are bytes like others" {
	attack ok output -- nul
	{ printf 'a\0b\n' && head -c 100000 /dev/zero && printf '\nend\n'; } | cmp - "$WORK/out/attack"
}

@test "afterwards: no process, mount or file of a task is left, and fds are as they were" {
	local before

	retire_all
	wait_until "$PATIENCE" has_children_at_most 3
	before=$(fds)
	for _ in 1 2 3; do
		"$CTL" run python "$WORK/neighbour.json" >/dev/null
	done
	# Waits until nothing is left of any task, nor its record.
	retire_all
	wait_until "$PATIENCE" fds_at_most "$before" || fail "$before fds became $(fds)"
	refute grep -q "$WORK" <(tr ' ' '\n' </proc/self/mountinfo)
}
