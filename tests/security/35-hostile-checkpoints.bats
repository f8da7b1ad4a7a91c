#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A module of an image that takes over its process while it is warmed, and a checkpoint with arbitrary
# content: no part of either is ever outside of any wall of its sandbox.

load lib.bash

# A setting of the host that only root may write; nothing depends on its value for a moment.
PROOF=/proc/sys/kernel/printk_ratelimit_burst

setup_file() {
	security_setup
	evil_image
	cp "$SECURITY/bombs/hold.py" "$EVIL/rootfs/usr/lib/python3/dist-packages/"
	BURST=$(cat "$PROOF")
	export BURST
}

teardown() {
	end_background
	# Puts back the value, in case an attack has changed it.
	echo "$BURST" >"$PROOF"
}

# evil SOURCE: makes the module that is warmed. It does its worst only in the mode park.
evil() {
	printf 'if open("/proc/self/cmdline").read().endswith("park\\0"):%s\n' "${1//$'\n'/$'\n    '}" >"$WORK/evil.py"
	cp "$WORK/evil.py" "$EVIL/rootfs/usr/lib/python3/dist-packages/evil.py"
}

run_evil() {
	printf '{"code": "print(6 * 7)", "warm": {"imports": ["evil"]}, "label": "%s"}' "$1" |
		timeout "$PATIENCE" "$CTL" run evil - --start restore 2>"$WORK/out/err"
}

# Code that every hostile module has: what it would do with any right outside of the sandbox.
# shellcheck disable=SC2016
GRAB='
from hold import *
def grab():
    try:
        with open("/proc/sys/kernel/printk_ratelimit_burst", "r+") as f:
            n = int(f.read()); f.seek(0); f.write(str(n + 1))
    except OSError:
        pass
def sibling(flags):
    """A process of these flags, which does its worst for as long as it lives."""
    if libc.syscall(56, flags | 17, 0, 0, 0, 0) == 0:
        while True:
            grab()
            time.sleep(0.001)
'

# alone_or_nothing ACT REASON: if the module does this, so that something would run beside the dump, no
# checkpoint is made, and the task has the right result.
alone_or_nothing() {
	local before

	before=$(cat "$PROOF")
	evil "${GRAB}$1"
	refute "$CTL" image warm evil --imports evil --force >"$WORK/out/warm" 2>&1
	grep -q "$2" "$WORK/out/warm" || fail "$1: $(cat "$WORK/out/warm")"
	[ "$(run_evil alone)" = 42 ] || fail "$1: $(cat "$WORK/out/err")"
	[ "$(modes_of alone | sort -u)" = cold ]
	[ "$(cat "$PROOF")" = "$before" ]
	[ -z "$(find "$STATE/checkpoints" -name '.tmp-*')" ]
}

@test "nothing runs beside a dump: siblings, children, threads, in any way they can be made" {
	local flags

	# A sibling; a sibling that shares memory; a child that does; and a child.
	for flags in 0x8000 0x8100 0x100 0; do
		alone_or_nothing "
if $flags & 0x100:
    parked(lambda: child($flags | 17))
else:
    parked(lambda: sibling($flags))" 'left processes (1)'
	done
	alone_or_nothing 'parked(lambda: thread())' 'left 2 threads'
	# Memory that is lent to a child until the child ends.
	alone_or_nothing 'waits(lambda: vforked())' 'warm: stop'
}

@test "a process that watches criu, to make a sibling as soon as that works, is not dumped" {
	alone_or_nothing '
def watch():
    """Its pid is the same each time. It sleeps until it is asked to dump."""
    while True:
        with open("/proc/1000/status") as f:
            if "sleeping" not in f.read():
                child(0x8100 | 17)
waits(watch)' 'where it parks'
}

@test "a process that makes siblings by its signals while it waits has them for nothing" {
	local before

	before=$(cat "$PROOF")
	evil "$GRAB
def act():
    signal.signal(signal.SIGALRM, lambda *_: child(0x8100 | 17))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
parked(act)"
	"$CTL" image warm evil --imports evil --force >"$WORK/out/warm" 2>&1 || true
	[ "$(run_evil signals)" = 42 ] || fail "$(cat "$WORK/out/err")"
	[ "$(cat "$PROOF")" = "$before" ]
}

@test "nobody may trace in a warm-up, or change what criu is" {
	evil "$GRAB
def act():
    assert libc.ptrace(0, 0, 0, 0) == -1 and libc.ptrace(16, 1000, 0, 0) == -1
    for name in 'mem', 'root/etc/passwd', 'fd/3', 'environ':
        try:
            os.open('/proc/1000/' + name, os.O_RDONLY)
        except OSError:
            continue
        os._exit(3)
parked(act)"
	"$CTL" image warm evil --imports evil --force >"$WORK/out/warm" 2>&1 || fail "$(cat "$WORK/out/warm")"
	# The control: the process that is to be found exists.
	evil "$GRAB
parked(lambda: os.stat('/proc/1000/status') and os._exit(3))"
	refute "$CTL" image warm evil --imports evil --force >"$WORK/out/warm" 2>&1
	grep -q 'interpreter ended' "$WORK/out/warm" || fail "$(cat "$WORK/out/warm")"
	# The module can end criu, which is the same user: then no checkpoint is made.
	evil "$GRAB
parked(lambda: os.kill(1000, 9))"
	refute "$CTL" image warm evil --imports evil --force >"$WORK/out/warm" 2>&1
}

# forge EDIT...: changes the checkpoint as it was dumped, and seals it as if it were right.
forge() {
	rm -rf "$CHECKPOINT"
	cp -a "$WORK/pristine" "$CHECKPOINT"
	"$SECURITY/forge.py" "$CHECKPOINT" "$@"
}

# removed WHAT EDIT...: the forged checkpoint gives a task nothing: the task has the right result by a
# cold start, and the checkpoint is removed, with a warning.
removed() {
	local label=forged-$RANDOM$RANDOM n

	n=$(grep -c 'error: checkpoint .* is removed' "$WORK/log" || true)
	forge "${@:2}"
	[ "$("$CTL" run python --start restore --label "$label" --code "$PROVE" 2>"$WORK/out/err")" = 42 ] ||
		fail "$1: $(cat "$WORK/out/err")"
	echo "$1: $(cat "$WORK/out/err")"
	[ "$(modes_of "$label")" = cold ] || fail "$1: $(modes_of "$label")"
	[[ $(field "$label" .warning) == *"was removed"* ]] || fail "$1: $(field "$label" .warning)"
	[ "$(grep -c 'error: checkpoint .* is removed' "$WORK/log")" = $((n + 1)) ] || fail "$1: $(tail -n 3 "$WORK/log")"
	[ "$(cat "$PROOF")" = "$BEFORE" ]
	[ ! -e "$CHECKPOINT" ] || fail "$1: it is still there"
}

# gives_nothing WHAT EDIT...: the forged checkpoint is restored, and the task is what every task is.
gives_nothing() {
	local label=forged-$RANDOM$RANDOM

	forge "${@:2}"
	[ "$("$CTL" run python --start restore --label "$label" --code "$PROVE" 2>"$WORK/out/err")" = 42 ] ||
		fail "$1: $(cat "$WORK/out/err")"
	[ "$(modes_of "$label")" = restore ] || fail "$1: $(cat "$WORK/out/err")"
	[ "$(cat "$PROOF")" = "$BEFORE" ]
}

# told_without WORDS: a task that is to be restored starts cold without a checkpoint, and is told so in
# these words.
told_without() {
	[ "$("$CTL" run python --start restore --code 'print(1)' 2>"$WORK/out/err")" = 1 ]
	grep -q "cold start: $1" "$WORK/out/err" || fail "$(cat "$WORK/out/err")"
}

forged_setup() {
	CHECKPOINT=$STATE/checkpoints/$("$CTL" image warm python --json | jq -r .key) BEFORE=$(cat "$PROOF")
	[ -d "$WORK/pristine" ] || cp -a "$CHECKPOINT" "$WORK/pristine"
	PROVE='
import resource
assert resource.getrlimit(resource.RLIMIT_CORE) == (1, 1)
try:
    with open("/proc/sys/kernel/printk_ratelimit_burst", "r+") as f:
        n = int(f.read()); f.seek(0); f.write(str(n + 1))
    print("written")
except OSError:
    pass
with open("/proc/self/status") as f:
    s = dict(line.split(":", 1) for line in f)
assert all(int(s[c], 16) == 0 for c in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")), s
assert s["Uid"].split() == s["Gid"].split() == ["1000"] * 4 and s["NoNewPrivs"].split() == ["1"], s
assert s["Seccomp_filters"].split() == ["2"] and not s["Groups"].split(), s
print(42)'
}

@test "a checkpoint with forged credentials, sealed as right, gives nothing; it is removed, and said" {
	local caps='[0xffffffff, 0x1ff]' other=$((2000000 + 65536 * 7 + 1000))

	forged_setup
	# The controls: sealed again, an unchanged checkpoint is restored, and a changed one is not.
	gives_nothing 'nothing'
	removed 'uids' core-2:5.10.{1,3,5,7}=0
	# The daemon remembers that the checkpoint was wrong, so that not every task has another one
	# made, until one is restored.
	told_without 'the last checkpoint was not right and was removed: '
	gives_nothing 'nothing'
	rm -rf "$CHECKPOINT"
	told_without 'no checkpoint'
	removed 'gids' core-2:5.10.{2,4,6,8}=0
	removed 'a saved uid' core-2:5.10.5=0
	removed "another project's uids" "core-2:5.10.1=$other" "core-2:5.10.3=$other" "core-2:5.10.5=$other" "core-2:5.10.7=$other"
	removed 'groups' core-2:5.10.14='[0, 27]'
	removed 'all capabilities' "core-2:5.10.9=$caps" "core-2:5.10.10=$caps" "core-2:5.10.11=$caps" "core-2:5.10.12=$caps" \
		"core-2:5.10.19=$caps" core-2:5.10.18=0
	# CAP_CHECKPOINT_RESTORE, which criu itself has.
	removed 'a capability' "core-2:5.10.12=$caps" core-2:5.10.10='[0, 0x100]' core-2:5.10.11='[0, 0x100]'
	grep -q 'expected CapPrm' "$WORK/out/err" || fail "$(cat "$WORK/out/err")"
	removed 'root, all capabilities, no no_new_privs' core-2:5.10.{1,2,3,4,5,6,7,8}=0 "core-2:5.10.10=$caps" \
		"core-2:5.10.11=$caps" core-2:5.10.18=0
	gives_nothing 'no no_new_privs' "core-2:5.10.12=$caps" core-2:5.10.18=0
	removed 'a filter without content' core-2:5.11=2 core-2:5.12=0
	removed 'strict mode' core-2:5.11=1
}

@test "a checkpoint with forged namespaces, limits, files or program" {
	local cwd

	forged_setup
	removed 'a namespace of users' ids-2:10=77
	removed 'a mount namespace' ids-2:9=77
	removed 'a network namespace' ids-2:6=77
	removed 'a pid namespace' ids-2:5=77
	# A limit of 0 would have the host's handler run, and a limit above the task's own cannot be had.
	removed 'a limit of core files' core-2:3.8.1#4.1=0 core-2:3.8.1#4.2=0
	gives_nothing 'no limit of core files' core-2:3.8.1#4.1=-1 core-2:3.8.1#4.2=-1
	gives_nothing 'a personality' core-2:3.3=0x40000
	removed 'another pid' pstree:1=77
	# Where criu leaves this to us: the process must be in its read, and no signal may be on its way.
	removed 'another place in its program' core-2:2.2.17=0x1000
	grep -q 'it is not in its read' "$WORK/out/err" || fail "$(cat "$WORK/out/err")"
	# Whatever would wake the process before it is confined.
	removed 'an interval timer' core-2:3.7.1.3=1
	removed 'a timer' 'core-2:3.7.4="x"'
	removed "its parent's end" core-2:5.8=18
	removed 'a signal that waits' 'core-2:3.10="x"'
	removed "a thread's signal that waits" 'core-2:5.9="x"'
	removed 'a signal of its own choice' 'files:[/dev/null]3.5.3=18'
	removed 'the memory of the init' 'files:[/dev/null]3.6="/proc/1/mem"' 'files:[/proc/1/mem]3.2=2'
	removed 'a sysctl' 'files:[/dev/null]3.6="/proc/sys/kernel/printk_ratelimit_burst"' 'files:[/proc/sys]3.2=2'
	removed 'a file of the checkpoint' 'files:[/dev/null]3.6="/proc/self/fd/8/heap"'
	removed 'the folder of processes' 'files:[/dev/null]3.6="/proc"' 'files:[/proc]3.2=0x10000'
	# The checkpoint's folder, and one in /run, by descriptors that criu has open.
	cwd=$(od -An -tx1 -j13 -N1 "$WORK/pristine/fs-2.img")
	cwd=files:$(printf '%b' "[\\x08\\x${cwd# }\\x10]")3.6
	removed 'a folder of the host to be in' "$cwd='/proc/1000/fd/8'"
	grep -q 'its cwd is not' "$WORK/out/err" || fail "$(cat "$WORK/out/err")"
	removed "criu's folder to be in" "$cwd='/proc/1000/cwd'"
	removed 'a file of the host in its memory' 'files:[/run/heap]3.6="/proc/1000/fd/8/heap"'
	grep -q "not the image's is mapped" "$WORK/out/err" || fail "$(cat "$WORK/out/err")"
	removed "the init's session" pstree:3=0 pstree:4=0
	grep -q 'the session of another process' "$WORK/out/err" || fail "$(cat "$WORK/out/err")"
	removed 'another program' 'files:[/usr/bin/python]3.6="/run/heap"' 'files:[/run/heap]3.8=None'
}

@test "nothing is written to /work, where a task's package will be, while a checkpoint is made" {
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
	# The policy's bound for memory is 8 GiB and that for a file 4 GiB; the file takes the room
	# without being written.
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
