#!/usr/bin/env bats
# bats file_tags=v2-all
# How tasks end, in each start mode: exit status, verdict, and what is said about it.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

setup_file() {
	WARM=1 daemon_make
}

# verdict WANT_STATUS WANT_VERDICT WANT_TASK_STATUS CODE [OPTION...]: in each start mode.
verdict() {
	local want=$1 verdict=$2 state=$3 code=$4 mode id

	shift 4
	for mode in $MODES; do
		run --separate-stderr timeout "$PATIENCE" "$CTL" run python --start "$mode" \
			--label "v-$BATS_TEST_NUMBER" --code "$code" "$@"
		echo "$mode: exit $status; $output; $stderr"
		[ "$status" = "$want" ] || return 1
		id=$(id_of "v-$BATS_TEST_NUMBER")
		[ "$(inspect "$id" .start.mode)" = "$mode" ] || return 1
		[ "$(inspect "$id" .verdict)" = "$verdict" ] || return 1
		[ "$(inspect "$id" .status)" = "$state" ] || return 1
		[ "$(inspect "$id" .exit_code)" = "$want" ] || return 1
	done
}

@test "exit 0 is ok" {
	verdict 0 ok complete 'pass'
	[ -z "$stderr" ]
}

@test "another exit status is an error, with no words of ours" {
	verdict 3 exit error 'raise SystemExit(3)'
	[ -z "$stderr" ]
}

@test "an abort is 134" {
	verdict 134 signal killed 'import os; os.abort()'
	[[ $stderr == *"signal 6"* ]]
	[ "$(inspect "$(id_of "v-$BATS_TEST_NUMBER")" .signal)" = 6 ]
}

@test "a crash is 139" {
	verdict 139 signal killed 'import ctypes; ctypes.string_at(1)'
	[[ $stderr == *"signal 11"* ]]
}

@test "a task that kills itself is 137, and not taken for out of memory" {
	verdict 137 signal killed 'import os; os.kill(os.getpid(), 9)'
	[[ $stderr != *memory* ]]
}

@test "TERM from inside ends it: 143" {
	verdict 143 signal killed 'import os, signal; os.kill(os.getpid(), signal.SIGTERM); import time; time.sleep(100)'
}

@test "timeout is 124, and said" {
	verdict 124 timeout timeout 'import time
print("ready")
time.sleep(1000)' --timeout "$BRIEF"
	[ "$output" = ready ]
	[[ $stderr == *"timed out after $BRIEF s"* ]]
}

# bats test_tags=v2
@test "a timeout ends a task that ignores TERM, and its children" {
	verdict 124 timeout timeout '
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for i in range(3):
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
time.sleep(1000)' --timeout "$BRIEF"
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

# bats test_tags=v2
@test "out of memory is 137, and said" {
	verdict 137 oom error '
x = []
while True:
    x.append(bytearray(1 << 20))' --memory 64M
	[[ $stderr == *"out of memory"* ]]
	[ "$(inspect "$(id_of "v-$BATS_TEST_NUMBER")" .usage.memory_peak_bytes)" -gt $((32 << 20)) ]
}

@test "out of memory in a child is the task's verdict when it fails of it" {
	verdict 137 oom error '
import os, sys
pid = os.fork()
if pid == 0:
    x = []
    while True:
        x.append(bytearray(1 << 20))
status = os.waitpid(pid, 0)[1]
sys.exit(128 + (status & 127))' --memory 64M
}

# bats test_tags=v2
@test "a child that was killed for memory is not the task's end, but is told" {
	local child='import subprocess, sys
child = subprocess.run([sys.executable, "-c", """
x = bytearray(1 << 30)
for i in range(0, len(x), 4096):
    x[i] = 1"""])
assert child.returncode == -9, child
'

	verdict 3 exit error "$child"'sys.exit(3)' --memory 64M
	[[ $stderr == *"warning: "*"1 of its processes was killed: out of memory" ]]
	verdict 0 ok complete "$child" --memory 64M
	[[ $stderr == *"warning: "*"1 of its processes was killed: out of memory" ]]
	verdict 1 exit error "$child"'raise OSError("no result")' --memory 64M
	[[ $(inspect "$(id_of "v-$BATS_TEST_NUMBER")" .warning) == *"out of memory" ]]
}

@test "an exit status of the task's own choice is no limit's doing, but that it was met is told" {
	verdict 3 exit error '
import os, sys, time
try:
    while True:
        if os.fork() == 0:
            time.sleep(1000)
except OSError:
    sys.exit(3)' --pids 16
	[[ $stderr == *"warning: it met its limit of processes" ]]
	verdict 3 exit error '
import sys
try:
    f = open("big", "wb")
    while True:
        f.write(b"x" * 65536)
except OSError:
    sys.exit(3)' --disk 1M
	[[ $stderr == *"warning: its disk was full when it ended" ]]
}

# bats test_tags=v2
@test "files in /tmp count as memory and end at the disk limit" {
	verdict 1 disk error '
f = open("/tmp/big", "wb")
while True:
    f.write(b"x" * 65536)' --disk 8M --memory 256M
	[[ $stderr == *"No space left"* ]]
	[[ $stderr == *"disk"* ]]
}

@test "the work folder has the disk limit too" {
	verdict 1 disk error '
f = open("big", "wb")
while True:
    f.write(b"x" * 65536)' --disk 8M --memory 256M
}

# bats test_tags=v2
@test "too many processes are refused, and that is the verdict when it fails of it" {
	verdict 1 pids error '
import os, time
while True:
    if os.fork() == 0:
        time.sleep(1000)' --pids 16
	[[ $stderr == *"BlockingIOError"* ]]
	[[ $stderr == *"16 processes"* ]]
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

@test "a task that copes with a refused fork is ok" {
	verdict 0 ok complete '
import os, time
n = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(1000)
        n += 1
except OSError:
    pass
assert 0 < n <= 16, n' --pids 16
}

@test "threads count as processes do" {
	verdict 0 ok complete '
import threading
stop = threading.Event()
n = 0
try:
    while n < 100:
        threading.Thread(target=stop.wait, daemon=True).start()
        n += 1
except RuntimeError:
    pass
stop.set()
assert n <= 16, n' --pids 16
}

@test "background children do not keep a task from ending" {
	verdict 5 exit error '
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
sys.exit(5)'
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

@test "open files are limited" {
	verdict 1 exit error '
fds = []
while True:
    fds.append(open("/dev/null"))'
	[[ $stderr == *"Too many open files"* ]]
}

@test "cpu time and peak memory are known" {
	verdict 0 ok complete '
x = bytearray(48 << 20)
for i in range(0, len(x), 4096):
    x[i] = 1
n = 0
import time
end = time.process_time() + 0.2
while time.process_time() < end:
    n += 1'
	id=$(id_of "v-$BATS_TEST_NUMBER")
	[ "$(inspect "$id" '.usage.cpu_ms >= 150 and .usage.cpu_ms < 60000')" = true ]
	[ "$(inspect "$id" ".usage.memory_peak_bytes >= $((48 << 20))")" = true ]
}

# bats test_tags=v2
@test "the cpu limit holds" {
	# With half a processor, a second of processor time takes two.
	run sandboxctl run python --cpus 0.5 --code '
import time
began = time.monotonic()
end = time.process_time() + 0.5
while time.process_time() < end:
    pass
print(time.monotonic() - began > 0.8)'
	[ "$output" = True ]
}
