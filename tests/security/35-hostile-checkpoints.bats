#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A module of an image that takes over the process while it is warmed: what it leaves in the
# checkpoint is never let into a sandbox without all of its walls.

load lib.bash

setup_file() {
	security_setup
	evil_image
}

# evil SOURCE: the module that is warmed. It does its worst in the park mode only.
evil() {
	printf 'import sys\nif sys.argv[1:] == ["park"]:%s\n' "${1//$'\n'/$'\n    '}" >"$WORK/evil.py"
	cp "$WORK/evil.py" "$EVIL/rootfs/usr/lib/python3/dist-packages/evil.py"
}

run_evil() {
	printf '{"code": "print(6 * 7)", "warm": {"imports": ["evil"]}, "label": "%s"}' "$1" |
		timeout "$PATIENCE" "$CTL" run evil - --start restore 2>"$WORK/out/err"
}

@test "a process that was forked behind the parking is not restored beside the task" {
	local n warmed=0

	# After the check for other processes, before criu stops it: a matter of luck.
	for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
		evil "
import os, time
os.write(4, b'P')
time.sleep(0.001 * $n)
if os.fork() == 0:
    while True:
        time.sleep(1)
os.read(3, 1)
print('not alone')
os._exit(0)"
		"$CTL" image warm evil --imports evil --force >"$WORK/out/warm" 2>&1 || continue
		[ "$(run_evil "forked-$n")" = 42 ] || fail "$(cat "$WORK/out/err")"
		[ "$(modes_of "forked-$n")" = cold ]
		grep -q 'processes where' "$WORK/out/err" && warmed=1
		[ "$warmed" = 0 ] || break
	done
	[ "$warmed" = 1 ] || fail "no checkpoint of two processes: $(cat "$WORK/out/warm")"
}

@test "no file of /work, where a task's package will be, can be in a checkpoint" {
	evil "
import os
try:
    os.open('/work/x', os.O_RDWR | os.O_CREAT)
except PermissionError:
    os.write(2, b'refused')
os._exit(9)"
	run "$CTL" image warm evil --imports evil --force
	[ "$status" != 0 ]
	[[ "$output" == *refused* ]]
}

@test "the heap file does not fill the host's disk" {
	# The policy's bound for memory is 8 GiB and a file's 4 GiB; room is taken, not written.
	evil "
import os
fd = os.open('/run/heap', os.O_RDWR)
try:
    os.posix_fallocate(fd, 0, 4 << 30 | 1 << 20)
except OSError as error:
    os.write(2, b'no room')
    os._exit(9)
while True:
    os.read(3, 1)"
	run timeout "$PATIENCE" "$CTL" image warm evil --imports evil --force
	[ "$status" != 0 ]
	[[ "$output" == *"too much to /run/heap"* || "$output" == *"no room"* ]]
	[ -z "$(find "$STATE/checkpoints" -name '.tmp-*')" ]
}
