#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a template has open or mapped, its clones have too: they share nothing by it, neither
# with it nor with each other.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # what run sets; LOGGED and REASON are of templates.bash

load lib.bash
load templates.bash

@test "files that its clones would have in common: refused, but for the image" {
	holds fork 'parked(lambda: os.open("/usr/bin/python3", os.O_RDONLY))'
	# No process can open its memory as a file to write to, not even for a moment.
	never_warm 'parked(lambda: os.open("/proc/self/mem", os.O_RDWR))' 'Read-only file system'
	for file in 'os.open("/proc/self/mem", os.O_RDONLY)' 'os.dup2(os.open("/proc/self/mem", os.O_RDONLY), 0)' \
		'os.open("/tmp/x", os.O_RDWR | os.O_CREAT)' 'os.open("/proc", os.O_PATH)' 'os.open("/", os.O_RDONLY)' \
		'socket.socketpair()[0].detach()' 'os.memfd_create("x")' 'os.open("/proc/self/maps", os.O_RDONLY)' \
		'select.epoll().__class__ and os.eventfd(0)' 'os.open("/usr/bin/python3", os.O_PATH)' \
		'os.pidfd_open(os.getpid())' 'libc.inotify_init()' 'os.dup(3)'; do
		never_warm "parked(lambda: $file)" 'file descriptor [0-9]* is open'
	done
}

# reads [OPTION...]: what a task reads from files that its template has open, and the offset afterwards.
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
	# Descriptor 51 is a duplicate of 50; 52 is not.
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

	holds fork "parked(lambda: [$open for _ in range(16)])"
	holds restore "parked(lambda: [$open for _ in range(17)])" 'more than 16 files'
	never_warm "parked(lambda: fcntl.flock($open, fcntl.LOCK_SH))" 'file descriptor [0-9]* is open'
}

@test "memory that its clones would write to in common: refused" {
	holds restore 'parked(lambda: kept.append(mmap.mmap(-1, 4096)))' 'memory is shared'
	# The mapping is read-only now, but could be made writable.
	holds restore 'parked(lambda: map_shared_readonly())' 'memory is shared'
	never_warm 'parked(lambda: libc.shmat(libc.shmget(0, 4096, 0o1600), None, 0))' 'SysVIPC'
	holds fork '
def act():
    fd = os.open("/usr/bin/python3", os.O_RDONLY)
    kept.append(libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0))
    os.close(fd)
parked(act)'
}
