#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A module of an image that takes over the process while it is warmed, and what it leaves is
# the template of later tasks: whatever that is, tasks end with the right result, in another
# start mode if need be, the neighbours' are forked, and no clone has fewer walls than others.

load lib.bash

setup_file() {
	security_setup
	evil_image
	cp "$SECURITY/bombs/hold.py" "$EVIL/rootfs/usr/lib/python3/dist-packages/hold.py"
	"$CTL" image warm python >/dev/null
	forks python
	role monitor >"$WORK/monitor"
	(nothing_of evil && fds) >"$WORK/fds"
}

teardown_file() {
	daemon_remove
}

# evil SOURCE: a module, and a checkpoint that has it. hold.py says what it may use; only parked
# does it its worst.
evil() {
	MODULE=evil_${BATS_TEST_NUMBER}_$((++MODULES))
	printf 'import sys\nif sys.argv[1:] == ["park"]:\n    from hold import *\n%s\n' \
		"    ${1//$'\n'/$'\n    '}" >"$EVIL/rootfs/usr/lib/python3/dist-packages/$MODULE.py"
	"$CTL" image warm evil --imports "$MODULE" >"$WORK/out/warm" 2>&1
}

# run_evil CODE [OPTION...]: a task that wants to be forked; in $output and $status.
run_evil() {
	jq -n --arg code "$1" --arg name "$MODULE" \
		'{code: $code, warm: {imports: [$name]}, start: "fork"}' >"$WORK/out/task.json"
	run --separate-stderr timeout "$PATIENCE" "$CTL" run evil "$WORK/out/task.json" \
		--label "$MODULE" --timeout 20 "${@:2}"
}

# its_template FILTER: what jq says of the template of this test.
its_template() {
	"$CTL" --json template ls | jq -e --arg m "$MODULE" "[.[] | select(.warm == [\$m])] | $1"
}

# settled: it is ready, or is none, and the log says why.
settled() {
	its_template 'any(.[]; .state == "ready")' || grep -q "$REASON" <(new_log)
}

new_log() {
	tail -n "+$LOGGED" "$WORK/log"
}

# right MODE: tasks of this template have the right result, and are started so; "other": not
# by a fork; "any": however they are.
right() {
	local mode n

	for n in 1 2 3 4 5 6; do
		run_evil 'print(6 * 7)'
		[ "$status $output" = "0 42" ] || fail "task $n: status $status, $output, $stderr, $(new_log)"
	done
	mode=$(field "$MODULE" .start.mode)
	[ "$1" != other ] || [ "$mode" = fork ] || return 0
	[ "$1" = any ] || [ "$mode" = "$1" ] || fail "$(modes_of "$MODULE") instead of $1: $(new_log)"
}

# unharmed: the neighbour's tasks are forked, the monitor lives, nothing of this template's is
# left when it goes.
unharmed() {
	# Its checkpoint may have been the 65th.
	forks python
	[ "$(role monitor)" = "$(cat "$WORK/monitor")" ]
	wait_until "$PATIENCE" nothing_of evil || fail "$("$CTL" template ls; left_overs)"
	fds_at_most $(($(cat "$WORK/fds") + 3)) || fail "$(cat "$WORK/fds") fds have become $(fds)"
}

# nothing_of IMAGE: no template of it any more, nor any process.
nothing_of() {
	local id

	for id in $("$CTL" --json template ls | jq -r --arg i "$1" '.[] | select(.image == $i) | .id'); do
		"$CTL" template retire "$id" >/dev/null
	done
	clean && [ "$("$CTL" --json template ls | jq --arg i "$1" '[.[] | select(.image == $i)] | length')" = 0 ] &&
		[ "$(find /sys/fs/cgroup -type d -path "*/$GROUP/template-*" -printf '%f\n' | sort -u | wc -l)" = \
			"$("$CTL" --json template ls | jq length)" ]
}

# holds MODE SOURCE [REASON]: a template that has done this, and what becomes of its tasks. With
# a reason it is refused, if it has done it before it was held: a matter of luck.
holds() {
	local try

	REASON=${3:-the template is held}
	for try in 1 2 3 4 5 6 7 8; do
		LOGGED=$(($(wc -l <"$WORK/log") + 1))
		evil "$2" || fail "$(cat "$WORK/out/warm")"
		wait_until "$PATIENCE" settled || fail "neither held nor refused: $(new_log)"
		if [ -z "${3:-}" ] || ! its_template 'any(.[]; .state == "ready")' >/dev/null; then
			break
		fi
	done
	echo "$2: try $try: $(new_log)"
	right "$1"
	[ -z "${3:-}" ] || grep -q "$3" <(new_log) || fail "no word of $3: $(new_log)"
	unharmed
}

# never_warm SOURCE REASON: no checkpoint is made of it; its tasks start cold.
never_warm() {
	LOGGED=$(($(wc -l <"$WORK/log") + 1))
	refute evil "$1"
	grep -q "$2" "$WORK/out/warm" || fail "$(cat "$WORK/out/warm")"
	right cold
	unharmed
}

@test "control: a module that does nothing is forked" {
	holds fork 'parked(lambda: None)'
	holds fork 'restored(lambda: None)'
}

@test "control: what is done after the restore is done" {
	local try

	# With some luck before it is held, and with this much luck now and then.
	for try in 1 2 3 4 5 6 7 8; do
		evil 'import builtins
def act():
    builtins.done = os.uname().nodename
restored(act)'
		wait_until "$PATIENCE" its_template 'any(.[]; .state == "ready")'
		run_evil 'import builtins; print(getattr(builtins, "done", "")[:9])'
		[ "$output" != template- ] || break
	done
	[ "$output" = template- ] || fail "$output $stderr"
	unharmed
}

@test "its pipes are closed or changed before the dump: refused when it is warmed" {
	for fd in 1 3 4; do
		never_warm "parked(lambda: os.close($fd))" 'changed fd\|interpreter ended'
	done
	never_warm 'parked(lambda: os.closerange(0, 1 << 16))' 'interpreter ended\|did not end\|changed fd'
	# A pipe for a pipe: each start puts its own there; the other end is left over.
	holds other 'parked(lambda: os.dup2(os.pipe()[0], 3))' 'file descriptor [0-9]* is open'
}

@test "all fds closed once it is restored: its clones get their own" {
	holds fork 'restored(lambda: os.closerange(0, 1 << 16))'
}

@test "threads: refused when it is warmed, and when they come later" {
	never_warm 'import threading; threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()' \
		'started a thread\|left 2 threads'
	never_warm 'parked(lambda: thread())' 'left 2 threads'
	holds other 'restored(lambda: thread())' 'template [0-9a-f]*: '
}

@test "a child that shares its memory: refused when it is warmed, and when it comes later" {
	never_warm 'parked(lambda: sharing_child())' 'left 1 processes'
	holds other 'restored(lambda: sharing_child())' 'template [0-9a-f]*: '
}

@test "held in vfork, with its memory lent to a child" {
	holds other 'restored(lambda: vforked())' 'template [0-9a-f]*: '
}

@test "handlers for all signals, SIGTRAP and SIGCHLD ignored, everything blocked" {
	holds fork '
def act():
    for n in range(1, 65):
        try:
            signal.signal(n, lambda *_: None)
        except (OSError, ValueError):
            pass
    signal.signal(signal.SIGTRAP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
parked(act)'
}

@test "timers of all kinds: none runs in a clone, none in the template" {
	holds fork '
def act():
    for n in signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGUSR2:
        signal.signal(n, lambda *_: os._exit(77))
    # Later than a hold, sooner than a task.
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.001)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.05, 0.001)
    signal.setitimer(signal.ITIMER_PROF, 0.05, 0.001)
    timer(signal.SIGUSR2, 0.05)
restored(act)'
}

@test "timers that end its injected system calls: not cloned, and the right result" {
	holds restore '
signal.signal(signal.SIGTRAP, lambda *_: None)
restored(lambda: timer(signal.SIGTRAP, 0.0001))' 'template [0-9a-f]*: template'
}

@test "a timer that stops it" {
	holds any 'restored(lambda: timer(signal.SIGSTOP, 0.3))'
}

@test "SIGIO by a pipe that all of its clones would have" {
	holds restore '
def act():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTRAP])
    r, w = os.pipe()
    fcntl.fcntl(r, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(r, 10, signal.SIGTRAP)
    fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(w, b"x")
restored(act)' 'file descriptor [0-9]* is open'
}

@test "a filter that kills for what is injected" {
	# setns, clone3, recvmsg, capset, mmap, munmap, setrlimit, prctl, socketpair, set_robust_list, setsid
	holds fork 'parked(lambda: kill_for(308, 435, 47, 126, 160, 53, 112))'
}

@test "a filter that kills for what is injected and for what its tasks need" {
	# fcntl, dup3, mmap, prctl: the template is held and cloned, and its clones die of it.
	LOGGED=$(($(wc -l <"$WORK/log") + 1)) REASON=template
	evil 'restored(lambda: kill_for(72, 292, 9, 11, 157, 3, 308))'
	wait_until "$PATIENCE" settled
	run_evil 'print(6 * 7)'
	[[ $status = 159 || $status = 125 || "$status $output" = "0 42" ]] || fail "$status $output $stderr"
	unharmed
}

@test "not dumpable" {
	holds fork 'parked(lambda: libc.prctl(4, 0, 0, 0, 0))'
	holds fork 'restored(lambda: libc.prctl(4, 0, 0, 0, 0))'
}

@test "limits that are too small for what is injected" {
	holds restore 'restored(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (5, 1024)))' 'Too many open files'
	holds other 'restored(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5)))' 'Too many open files'
	holds restore 'restored(lambda: resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)))' 'template: clone: '
	holds restore 'restored(lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20)))' 'Cannot allocate'
	holds fork 'restored(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))'
	holds fork 'restored(lambda: os.nice(19) and libc.sched_setscheduler(0, 5, ctypes.byref(ctypes.c_int(0))))'
}

@test "a full table of fds" {
	holds restore '
def act():
    try:
        while True:
            os.open("/usr/bin/python3", os.O_RDONLY)
    except OSError:
        pass
restored(act)' 'template [0-9a-f]*: '
}

@test "files that its clones would have in common: refused, but for the image" {
	holds fork 'restored(lambda: os.open("/usr/bin/python3", os.O_RDONLY))'
	for file in 'os.open("/proc/self/mem", os.O_RDWR)' 'os.dup2(os.open("/proc/self/mem", os.O_RDWR), 0)' \
		'os.open("/tmp/x", os.O_RDWR | os.O_CREAT)' 'os.open("/proc", os.O_PATH)' 'os.open("/", os.O_RDONLY)' \
		'socket.socketpair()[0].detach()' 'os.memfd_create("x")' 'os.open("/proc/self/maps", os.O_RDONLY)' \
		'select.epoll().__class__ and os.eventfd(0)' 'os.open("/usr/bin/python3", os.O_PATH)' \
		'os.pidfd_open(os.getpid())' 'libc.inotify_init()' 'os.dup(3)'; do
		holds restore "restored(lambda: $file)" 'file descriptor [0-9]* is open'
	done
}

# reads NAME: what a task reads of files that its template has open, and where it is then.
reads() {
	run_evil 'import fcntl, os
print([(os.read(n, 4), os.get_inheritable(n), fcntl.fcntl(n, fcntl.F_GETFL)) for n in (50, 51, 52)],
      [os.lseek(n, 0, os.SEEK_CUR) for n in (50, 51, 52)], sorted(map(int, os.listdir("/proc/self/fd"))))' "$@"
	[ "$status" = 0 ] || fail "$status $output $stderr"
}

@test "files of the image: each clone has them to itself, as a restored task has them" {
	local restored n

	echo 'abcdefghijklmnopqrstuvwxyz' >"$EVIL/rootfs/usr/lib/python3/dist-packages/letters"
	LOGGED=$(($(wc -l <"$WORK/log") + 1)) REASON='the template is held'
	# 51 is 50 by another number, 52 is not.
	evil '
def act():
    for n in 50, 52:
        os.dup2(os.open("/usr/lib/python3/dist-packages/letters", os.O_RDONLY | os.O_NONBLOCK), n)
    os.closerange(5, 50)
    os.dup2(50, 51, inheritable=False)
    os.lseek(50, 3, 0)
parked(act)'
	reads --start restore
	restored=$output
	[[ $restored == *"[(b'defg', True, "*"), (b'hijk', False, "*"), (b'abcd', True, "*")] [11, 11, 4] "* ]] ||
		fail "$restored"
	wait_until "$PATIENCE" settled
	for n in 1 2 3 4 5 6; do
		reads
		[ "$(field "$MODULE" .start.mode)" = fork ] || fail "task $n: $stderr $(new_log)"
		[ "$output" = "$restored" ] || fail "task $n: $output, not $restored"
	done
	unharmed
}

@test "more files of the image than it may have, or one with a lock: refused" {
	local open='os.open("/usr/bin/python3", os.O_RDONLY)'

	holds fork "restored(lambda: [$open for _ in range(16)])"
	holds restore "restored(lambda: [$open for _ in range(17)])" 'more than 16 files'
	holds restore "restored(lambda: fcntl.flock($open, fcntl.LOCK_SH))" 'file descriptor [0-9]* is open'
}

@test "memory that its clones would write to in common: refused" {
	holds restore 'restored(lambda: kept.append(mmap.mmap(-1, 4096)))' 'memory is shared'
	# Read-only now, and not for ever.
	holds restore 'restored(lambda: map_shared_readonly())' 'memory is shared'
	holds restore 'restored(lambda: libc.shmat(libc.shmget(0, 4096, 0o1600), None, 0))' 'memory is shared'
	holds fork '
def act():
    fd = os.open("/usr/bin/python3", os.O_RDONLY)
    kept.append(libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0))
    os.close(fd)
restored(act)'
}

@test "what one clone writes to the memory of all by a file of the template's: no other sees it" {
	local n

	# /proc/self/mem of the template would do it, wherever the file is.
	for n in 0 50; do
		LOGGED=1 REASON=template
		evil "
import builtins
def act():
    builtins.room = ctypes.create_string_buffer(4096)
    os.dup2(os.open('/proc/self/mem', os.O_RDWR), $n)
restored(act)"
		wait_until "$PATIENCE" settled
		for _ in 1 2 3 4 5 6 7 8; do
			run_evil "
import builtins, ctypes, os
try:
    print(getattr(builtins, 'room', ctypes.create_string_buffer(1)).value)
    os.pwrite($n, b'written by another', ctypes.addressof(builtins.room))
except (OSError, AttributeError):
    pass"
			[ "$output" = "b''" ] || fail "$status $output $stderr"
		done
		unharmed
	done
}

@test "an address space that is full of holes, locked, or huge" {
	holds fork 'restored(lambda: holes(30000))'
	# No room for another mapping: vm.max_map_count.
	holds any 'restored(lambda: holes(1 << 20))'
	holds fork '
def act():
    try:
        kept.append(mmap.mmap(-1, 1 << 44, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, 0))
    except OSError:
        pass
restored(act)'
	holds fork 'restored(lambda: libc.mlockall(7))'
}

@test "more memory than its group may have" {
	holds restore '
def act():
    while True:
        kept.append(b"x" * (1 << 20))
restored(act)' 'template [0-9a-f]*: '
}

@test "registers, stack, thread pointer, robust list and alternate stack of garbage" {
	# It closes the pipe that its clones wait at: those that are parked end by that.
	LOGGED=1 REASON=template
	evil 'restored(lambda: garbage())'
	wait_until "$PATIENCE" settled
	for _ in 1 2 3 4 5 6; do
		run_evil 'print(6 * 7)'
		[ "$status $output" = "0 42" ] || [[ $status = 125 && -n $stderr ]] || fail "$status $output $stderr"
	done
	unharmed
	holds fork 'restored(lambda: libc.syscall(273, 0xdead0000, 24))'
	holds fork 'restored(lambda: libc.syscall(131, struct.pack("QQQ", 0xdead0000, 0, 1 << 20), 0))'
	holds fork 'restored(lambda: libc.syscall(218, 0xdead0000))'
}

@test "addresses for the kernel to write to, in the memory where the code will be" {
	# set_tid_address: of what a clone3 with CLONE_CHILD_SETTID would write. And all that follows it.
	holds restore 'restored(lambda: libc.syscall(218, where_the_page_will_be() + 0x33e))' 'its tid address'
}

@test "an rseq area that sends injected code elsewhere" {
	# Another area than libc's, and a critical section of all memory but the way out.
	holds restore 'restored(lambda: rseq_trap())' 'template: '
	# In memory that would be shared: set at any time, by a clone.
	holds restore 'restored(lambda: rseq_trap(shared=True))' 'template [0-9a-f]*: '
	# At no address at all, and then it waits for ever.
	LOGGED=1 REASON=template
	evil 'restored(lambda: rseq_unmapped())'
	wait_until "$PATIENCE" settled
	run_evil 'print(6 * 7)' --timeout 3
	[[ $status = 124 || $status = 125 || "$status $output" = "0 42" ]] || fail "$status $output $stderr"
	unharmed
}

@test "held somewhere else than in its read" {
	# In a futex, a poll, a sleep: its clones go on there.
	holds fork 'waiting(lambda: libc.syscall(202, kept_word, 128, 0, struct.pack("QQ", 0, 20000000)))'
	holds fork 'waiting(lambda: select.select([], [], [], 0.02))'
	holds fork 'waiting(lambda: time.sleep(0.02))'
	# In none.
	holds other 'restored(lambda: spin())' 'does not wait in a system call'
}

@test "dead before it is held, or a moment later" {
	holds other 'restored(lambda: os._exit(0))' 'template [0-9a-f]*: '
	holds other 'restored(lambda: os.kill(os.getpid(), 9))' 'template [0-9a-f]*: '
	# Held before it has come to that, it is the clones that end so.
	LOGGED=1 REASON=template
	for _ in 1 2 3; do
		evil 'restored(lambda: resource.setrlimit(resource.RLIMIT_CPU, (0, 0)) or timer(9, 0.5))'
		wait_until "$PATIENCE" settled
		for _ in 1 2 3; do
			run_evil 'print(6 * 7)'
			[[ $status = 137 || $status = 125 || "$status $output" = "0 42" ]] || fail "$status $output $stderr"
		done
	done
	unharmed
}

@test "clones that do their worst before they have a task" {
	local worst

	for worst in 'os._exit(0)' 'os.kill(0, 9)' 'os.write(4, b"S 1\n" * 9)' 'os.close(4)' 'os.write(1, b"x" * (1 << 20))' \
		'[resource.prlimit(1, n, (0, 0)) for n in (1, 2, 7)]' 'bomb()' 'os.kill(os.getpid(), 19)' 'spin()' \
		'[os.kill(1, n) for n in range(1, 32)]' 'os.dup2(3, 5) and os.read(3, 1)'; do
		LOGGED=1 REASON=template
		evil "cloned(lambda: $worst)" || fail "$(cat "$WORK/out/warm")"
		wait_until "$PATIENCE" settled
		for _ in 1 2 3; do
			# Their result is their own; their end is not.
			run_evil 'print(6 * 7)' --timeout 3
			[ "$status" != 124 ] || [ "$(field "$MODULE" .verdict)" = timeout ] || fail "$worst: hangs"
			[ "$status" != 125 ] || [ -n "$stderr" ] || fail "$worst: no words"
		done
		unharmed
	done
}
