#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What one task leaves to the next, and what a start mode must not change.

load lib.bash

setup_file() {
	security_setup
	warm python
}

@test "tasks with a network follow one another at once, each with an address of its own" {
	local n

	for n in $(seq 20); do
		"$CTL" run python --policy network --code '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("192.0.2.1", 9))
print(s.getsockname()[0])' >>"$WORK/out/addresses"
	done
	[ "$(sort -u "$WORK/out/addresses" | wc -l)" = 20 ]
}

@test "the limit of open files is the task's in every start mode, below and above the policy's" {
	local mode n

	for mode in $SECURITY_MODES; do
		for n in 64 1024 2048; do
			jq -n --argjson n "$n" '{code: "import resource\nprint(*resource.getrlimit(resource.RLIMIT_NOFILE))",
				limits: {nofile: $n}}' |
				"$CTL" run python - --start "$mode" --label "n-$mode-$n" >"$WORK/out/nofile"
			[ "$(cat "$WORK/out/nofile")" = "$n $n" ]
			[ "$(modes_of "n-$mode-$n")" = "$mode" ]
		done
	done
}

@test "a task opens its own output by name in every start mode, and nobody else's" {
	local mode

	for mode in $SECURITY_MODES; do
		[ "$("$CTL" run python --start "$mode" --code '
for name in "/dev/stdout", "/proc/self/fd/1":
    with open(name, "w") as out:
        out.write("x")
try:
    open("/proc/1/fd/3")
except PermissionError:
    print("y")')" = xxy ]
	done
}
