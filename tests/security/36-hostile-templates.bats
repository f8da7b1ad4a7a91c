#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A module of an image that takes over the process while it is warmed, and what it leaves is
# the template of later tasks: whatever that is, tasks end with the right result, in another
# start mode if need be, the neighbours' are forked, and no clone has fewer walls than others.
# shellcheck disable=SC2034 # LOGGED and REASON are of templates.bash

load lib.bash
load templates.bash

@test "control: a module that does nothing is forked" {
	holds fork 'parked(lambda: None)'
	holds fork 'waits(wait_go)'
}

@test "control: what is done in a clone is done" {
	evil 'import builtins
def act():
    builtins.done = "done"
at_once(act)'
	wait_until "$PATIENCE" its_template 'any(.[]; .state == "ready")'
	run_evil 'import builtins; print(getattr(builtins, "done", ""))'
	[ "$output" = "done" ] || fail "$output $stderr"
	[ "$(field "$MODULE" .start.mode)" = fork ]
	unharmed
}

@test "its pipes are closed or changed before the dump: refused when it is warmed" {
	for fd in 1 3 4; do
		never_warm "parked(lambda: os.close($fd))" 'changed fd\|interpreter ended'
	done
	never_warm 'parked(lambda: os.closerange(0, 1 << 16))' 'interpreter ended\|did not end\|changed fd'
	# One pipe in place of another: each start puts its own pipes there, and the other end would be
	# left over.
	never_warm 'parked(lambda: os.dup2(os.pipe()[0], 3))' 'file descriptor [0-9]* is open'
}

@test "threads: refused when it is warmed" {
	never_warm 'import threading; threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()' \
		'started a thread\|left 2 threads'
	never_warm 'parked(lambda: thread())' 'left 2 threads'
}

@test "a child that shares its memory: refused when it is warmed" {
	never_warm 'parked(lambda: sharing_child())' 'left processes (1)'
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

# A signal could wake the process after criu has left it stopped and before it is confined.
@test "timers of all kinds: refused when it is warmed" {
	local kind

	for kind in REAL VIRTUAL PROF; do
		never_warm "parked(lambda: signal.setitimer(signal.ITIMER_$kind, 500))" 'timer .* is set'
	done
	never_warm 'parked(lambda: timer(signal.SIGCONT, 500))' 'timer .* is set'
	# The timers expire while criu works.
	never_warm '
def act():
    signal.signal(signal.SIGCONT, lambda *_: None)
    for n in range(500):
        timer(signal.SIGCONT, 0.001 + n / 5000)
parked(act)' 'timer .* is set\|criu does not dump it\|not in its read\|does not wait where it parks\|an unexpected stop'
}

@test "a signal that waits, or comes with its parent's end: refused when it is warmed" {
	never_warm 'parked(lambda: libc.prctl(1, signal.SIGCONT))' 'when its parent ends'
	for call in 'os.kill(os.getpid()' 'libc.tgkill(os.getpid(), os.getpid()'; do
		never_warm "
def act():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCONT])
    $call, signal.SIGCONT)
parked(act)" 'a signal waits'
	done
}

@test "timers that end its injected system calls" {
	harmless '
signal.signal(signal.SIGTRAP, lambda *_: None)
parked(lambda: timer(signal.SIGTRAP, 0.0001))'
}

@test "a timer that stops it" {
	never_warm 'parked(lambda: timer(signal.SIGSTOP, 300))' 'timer .* is set'
}

@test "SIGIO by a pipe that all of its clones would have" {
	never_warm '
def act():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTRAP])
    r, w = os.pipe()
    fcntl.fcntl(r, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(r, 10, signal.SIGTRAP)
    fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(w, b"x")
parked(act)' 'PermissionError'
}

@test "a filter of its own, which would not be restored" {
	# setns, clone3, recvmsg, capset, mmap, munmap, setrlimit, prctl, socketpair, set_robust_list,
	# setsid; the shipped policies let no process have a filter of its own.
	jq '.name = "filters" | .seccomp.syscalls += [
		{"names": ["seccomp"], "action": "SCMP_ACT_ALLOW",
			"args": [{"index": 0, "value": 4294967295, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]},
		{"names": ["prctl"], "action": "SCMP_ACT_ALLOW",
			"args": [{"index": 0, "value": 4294967295, "valueTwo": 22, "op": "SCMP_CMP_MASKED_EQ"}]}]' \
		"$TOP/policies/default.json" >"$WORK/filters.json"
	"$CTL" policy install "$WORK/filters.json" >/dev/null
	never_warm 'parked(lambda: kill_for(308, 435, 47, 126, 160, 53, 112))' 'expected Seccomp_filters' --policy filters
	never_warm 'parked(lambda: kill_for(72, 292, 9, 11, 157, 3, 308))' 'expected Seccomp_filters' --policy filters
}

@test "not dumpable" {
	holds fork 'parked(lambda: libc.prctl(4, 0, 0, 0, 0))'
}

@test "limits that are too small for what is injected" {
	never_warm 'parked(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5)))' 'Too many open files'
	never_warm 'parked(lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20)))' 'Cannot allocate\|criu does not dump'
	holds restore 'parked(lambda: resource.setrlimit(resource.RLIMIT_NPROC, (0, 0)))' 'template: clone: '
	holds fork 'parked(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))'
	holds fork 'parked(lambda: os.nice(19) and libc.sched_setscheduler(0, 5, ctypes.byref(ctypes.c_int(0))))'
}

@test "clones that cannot be prepared ahead of a task, and have one by then" {
	holds fork 'cloned(lambda: time.sleep(0.3) or setattr(__import__("gc"), "collect", None))'
	new_log | grep -q 'before it was ready: none of its clones will wait'
}

@test "a full table of fds" {
	never_warm '
def act():
    try:
        while True:
            os.open("/usr/bin/python3", os.O_RDONLY)
    except OSError:
        pass
parked(act)' 'Too many open files'
}

@test "an address space that is full of holes, locked, or huge" {
	holds fork 'parked(lambda: holes(30000))'
	# vm.max_map_count leaves no room for another mapping.
	harmless 'parked(lambda: holes(1 << 20))'
	holds fork '
def act():
    try:
        kept.append(mmap.mmap(-1, 1 << 44, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, 0))
    except OSError:
        pass
parked(act)'
	holds fork 'parked(lambda: libc.mlockall(7))'
}

@test "more memory than its group may have" {
	never_warm '
def act():
    while True:
        kept.append(b"x" * (1 << 20))
parked(act)' 'MiB of memory'
}

@test "registers, stack, thread pointer, robust list and alternate stack of garbage" {
	# The template closes the pipe on which its clones wait: those that are parked end by that.
	LOGGED=1 REASON=template
	evil 'waits(lambda: garbage() or wait_go())' || fail "$(cat "$WORK/out/warm")"
	wait_until "$PATIENCE" settled
	for _ in 1 2 3 4 5 6; do
		run_evil 'print(6 * 7)'
		[ "$status $output" = "0 42" ] || [[ $status = 125 && -n $stderr ]] || fail "$status $output $stderr"
	done
	unharmed
	holds fork 'parked(lambda: libc.syscall(273, 0xdead0000, 24))'
	holds fork 'parked(lambda: libc.syscall(131, struct.pack("QQQ", 0xdead0000, 0, 1 << 20), 0))'
	holds fork 'parked(lambda: libc.syscall(218, 0xdead0000))'
}

@test "addresses for the kernel to write to, in the memory where the code will be" {
	# set_tid_address with the address at which a clone3 with CLONE_CHILD_SETTID would write; and
	# what follows from it.
	harmless 'parked(lambda: libc.syscall(218, where_the_page_will_be() + 0x33e))'
}

@test "an rseq area that sends injected code elsewhere" {
	# Another area than libc's, with a critical section that covers all memory except the way out.
	harmless 'parked(lambda: rseq_trap())'
	# In shared memory, where a clone could set it at any time.
	harmless 'parked(lambda: rseq_trap(shared=True))'
}

@test "not in the read of its pipe, where a restored process is let go" {
	never_warm 'waiting(lambda: libc.syscall(202, kept_word, 128, 0, struct.pack("QQ", 0, 20000000)))' 'where it parks'
	never_warm 'waiting(lambda: time.sleep(0.02))' 'where it parks'
	never_warm 'waits(spin)' 'where it parks'
}

@test "dead before it is held, or a moment later" {
	never_warm 'parked(lambda: os._exit(0))' 'interpreter ended'
	never_warm 'parked(lambda: os.write(4, b"P") and os.kill(os.getpid(), 9))' 'interpreter ended'
	# The kernel looks at this limit when the process has used some time, which may be before it is held.
	LOGGED=1 REASON=template
	! evil 'parked(lambda: resource.setrlimit(resource.RLIMIT_CPU, (0, 0)))' || wait_until "$PATIENCE" settled
	for _ in 1 2 3; do
		run_evil 'print(6 * 7)'
		[[ $status = 137 || $status = 125 || "$status $output" = "0 42" ]] || fail "$status $output $stderr"
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
			# The results of such tasks are their own; how they end is not.
			run_evil 'print(6 * 7)' --timeout 3
			[ "$status" != 124 ] || [ "$(field "$MODULE" .verdict)" = timeout ] || fail "$worst: hangs"
			[ "$status" != 125 ] || [ -n "$stderr" ] || fail "$worst: no words"
		done
		unharmed
	done
}

@test "a clone without a task gets of its init what a cold task gets: nothing" {
	local policy try

	printf 'import sys, init\ninit.TABLE.run(sys.stdout)\n' >"$WORK/out/cold.py"
	for policy in default unparked; do
		evil 'import builtins, io, init
def act():
    out = io.StringIO()
    init.TABLE.run(out)
    builtins.seen = out.getvalue()
at_once(act)' --policy "$policy" || fail "$(cat "$WORK/out/warm")"
		for _ in 1 2 3 4 5 6 7 8; do
			run_evil 'import builtins; print(getattr(builtins, "seen", ""), end="")' --policy "$policy"
			[ "$status" = 0 ] || fail "$status $output $stderr"
			[ -z "$output" ] || [ "$(field "$MODULE" .start.mode)" != fork ] || break
			wait_until "$PATIENCE" its_template 'any(.[]; .state == "ready")'
		done
		[ "$(field "$MODULE" .start.mode)" = fork ]
		# Without what the init itself may do when the probe is loaded: here that is before the
		# dump, and an init that has no task yet keeps what the begin of a task takes
		# (caps_keep_for_task).
		grep -v '"init:standing"' <<<"$output" >"$WORK/out/waiting"
		"$CTL" run evil --start cold --policy "$policy" --code "$(cat "$WORK/out/cold.py")" |
			grep -v '"init:standing"' >"$WORK/out/cold"
		"$SECURITY/judge.py" sandbox "$WORK/out/waiting"
		"$SECURITY/judge.py" same "$WORK/out/cold" "$WORK/out/waiting"
		unharmed
	done
}
