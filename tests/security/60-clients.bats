#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Clients of the control socket that are wrong, hostile or slow: each is refused in words or cut
# off, the daemon serves the next, and grows by nothing.

load lib.bash

setup_file() {
	security_setup
	# A first task, so that what the daemon keeps for the project's later tasks, and for those with a
	# folder, exists already.
	mkdir "$WORK/first"
	echo 'print(1)' >"$WORK/first/main.py"
	echo '{"exec": "main.py", "dir": "."}' >"$WORK/first/task.json"
	"$CTL" run python "$WORK/first/task.json" >/dev/null
	retire_all
	rss >"$WORK/memory"
	fds >"$WORK/fds"
	"$CTL" --json ps --all | jq length >"$WORK/tasks"
}

# clients PREFIX: runs the cases of hostile_client.py with such names.
clients() {
	local grown

	timeout 300 /usr/bin/python3 "$SECURITY/hostile_client.py" "$SANDBOXD_SOCKET" python "$1" \
		>"$WORK/out/clients-${1%:}" || fail "the client itself failed"
	"$SECURITY/judge.py" sandbox "$WORK/out/clients-${1%:}"
	retire_all
	wait_until "$PATIENCE" fds_at_most "$(cat "$WORK/fds")" ||
		fail "$(cat "$WORK/fds") fds became $(fds)"
	grown=$(($(rss) - $(cat "$WORK/memory")))
	[ "$grown" -lt 40960 ] || fail "the daemon grew by $grown KiB"
}

# nothing_created: a refused request leaves no task.
nothing_created() {
	[ "$("$CTL" --json ps --all | jq length)" = "$(cat "$WORK/tasks")" ]
}

@test "frames: huge, empty and negative lengths" {
	clients frame:
}

@test "frames: clients that go away early" {
	clients early-close:
}

@test "JSON: depth, size, encodings, duplicates, trailing bytes" {
	clients json:
	nothing_created
}

@test "JSON: wrong types in each field of each request" {
	clients types:
	nothing_created
}

@test "JSON: a request cut at each byte" {
	clients truncation
	nothing_created
}

@test "task: every wrong field is refused by its name" {
	clients task:
	nothing_created
}

@test "fds: wrong kinds and too many" {
	clients fds:
	nothing_created
}

@test "slow clients do not hold up others" {
	clients slow:
}

@test "many clients" {
	clients many:
}

@test "archives: whatever leads out, lies or explodes is refused" {
	local suid

	clients archive:
	# The package has lost its set-id bits, and only the daemon can reach it.
	suid=$(find "$STATE/packages" -perm /6000 | wc -l)
	[ "$suid" = 0 ]
	[ ! -e /tmp/hostile-client-mark ]
	[ "$(stat -c %U "$STATE/packages")" = _sandboxd ]
	[ $((0$(stat -c %a "$STATE/packages") & 077)) = 0 ]
}
