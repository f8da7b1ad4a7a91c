#!/usr/bin/env bats
# bats file_tags=v2-all
# SPDX-License-Identifier: Apache-2.0
# Each project's tasks run with host ids of the project's own, in every start mode. To the kernel, a task
# of one project is another user than a task of another project, whatever they can see of each other.
# shellcheck disable=SC2016,SC2154 # code for the sandbox; stderr is set by run

load lib.bash

HOLDS='import time, sys; sys.stdout.write("up\n"); time.sleep(600)'

setup_file() {
	security_setup
	sandboxctl project create blue >/dev/null
	sandboxctl project create green >/dev/null
	warm python
	for project in default blue green; do
		forks python --project "$project"
	done
}

# base PROJECT: the first host id of the project's range. Ranges are given in the order in which projects
# are made: blue, then green.
base() {
	case $1 in
	default) echo 2000000 ;;
	blue) echo 2065536 ;;
	green) echo 2131072 ;;
	esac
}

# ids PID: the real, effective, saved and file system uids and gids of a process, each once.
ids() {
	awk '/^[UG]id:/ { for (i = 2; i <= 5; i++) print $i }' "/proc/$1/status" | sort -u
}

# held PROJECT MODE [OPTION...]: starts a task of the project that runs on; its id is put into $ID, its
# payload's pid into $PID.
held() {
	ID=$(detached python "$HOLDS" --project "$1" --start "$2" "${@:3}")
	wait_until "$PATIENCE" log_has "$ID" up
	[ "$(inspect "$ID" .start.mode)" = "$2" ] || fail "$(inspect "$ID")"
	PID=$(payload "$ID")
}

# init ID: the pid of the task's init.
init() {
	local pid

	for pid in $(groups_of "$1" | sed 's,$,/cgroup.procs,' | xargs cat); do
		awk '/^NSpid:/ && $NF == 1 { found = 1 } END { exit !found }' "/proc/$pid/status" || continue
		echo "$pid"
		return
	done
	return 1
}

end() {
	local id

	for id; do
		sandboxctl cancel --force "$id" >/dev/null
	done
	wait_until "$PATIENCE" clean
}

@test "host ids are the project's, in every start mode; inside they are the same" {
	local mode project held=()

	for mode in $SECURITY_MODES; do
		for project in default blue green; do
			held "$project" "$mode"
			held+=("$ID")
			[ "$(ids "$PID")" = $(($(base "$project") + 1000)) ] || fail "$project $mode: $(ids "$PID")"
			[ "$(awk '{ print $1, $2, $3 }' "/proc/$PID/uid_map")" = "0 $(base "$project") 65536" ] ||
				fail "$project $mode: $(cat "/proc/$PID/uid_map")"
			[ "$(cat "/proc/$PID/uid_map")" = "$(cat "/proc/$PID/gid_map")" ]
			# Also its init, which the task must not be able to signal.
			[ "$(ids "$(init "$ID")")" = $(($(base "$project") + 999)) ]
		done
	done
	end "${held[@]}"
	for mode in $SECURITY_MODES; do
		for project in default blue; do
			# What the task may do with its own files and its own /proc is what it ever was.
			run --separate-stderr sandboxctl run python --project "$project" --start "$mode" --label own --code '
import os, signal, subprocess
open("made", "w").close(); open("/tmp/made", "w").close()
print(os.getresuid(), os.getresgid(), os.getgroups(), os.stat("made").st_uid, os.stat("/tmp/made").st_gid,
      os.stat("/proc/self/fd").st_uid, len(os.listdir("/proc/self/fd")) > 3, os.stat("/work").st_uid,
      open("/proc/self/comm").read().strip() != "", bool(os.readlink("/proc/self/exe")))
os.write(os.open("/dev/stdout", os.O_WRONLY), b"anew\n")
child = subprocess.Popen(["sleep", "600"]); child.send_signal(signal.SIGTERM); print(child.wait())'
			[ "$output" = "(1000, 1000, 1000) (1000, 1000, 1000) [] 1000 1000 1000 True 1000 True True
anew
-15" ] || fail "$project $mode: $status $output $stderr"
			[ "$(mode own)" = "$mode" ]
		done
	done
}

# as PID COMMAND...: runs a command with the host ids of that process and without capabilities, outside
# of all sandboxes, where it can see all of their processes.
as() {
	local id

	id=$(ids "$1")
	setpriv --reuid "$id" --regid "$id" --clear-groups --bounding-set=-all "${@:2}"
}

@test "one can neither signal nor trace another project's, even where it can see it" {
	local mode mine theirs other ids=()

	for mode in $SECURITY_MODES; do
		held blue "$mode"
		mine=$PID ids+=("$ID")
		held blue "$mode"
		other=$PID ids+=("$ID")
		held green "$mode"
		theirs=$PID ids+=("$ID")
		# The control: with ids of the same project it could, where nothing else keeps them
		# apart.
		as "$mine" kill -0 "$other"
		as "$mine" ls "/proc/$mine" >/dev/null
		refute as "$mine" kill -0 "$theirs"
		refute as "$mine" cat "/proc/$theirs/environ"
		refute as "$mine" ls "/proc/$theirs/fd"
		refute as "$mine" ls "/proc/$theirs/root"
	done
	end "${ids[@]}"
}

@test "a checkpoint of the image alone is everybody's; one with a package is its project's" {
	local n

	n=$(find "$STATE/checkpoints" -mindepth 1 -maxdepth 1 -type d | wc -l)
	[ "$n" = 1 ] || fail "$n checkpoints of one image"
	mkdir -p "$BATS_TEST_TMPDIR/app"
	cd "$BATS_TEST_TMPDIR"
	echo 'import os; WARMED = os.getpid()' >app/own.py
	jq -n '{code: "import own, os; print(os.getuid())", dir: "app", warm: {module: "own"}}' >task.json
	for project in blue green; do
		owned_fork "$project"
		n=$((n + 1))
		[ "$(find "$STATE/checkpoints" -mindepth 1 -maxdepth 1 -type d | wc -l)" = "$n" ]
	done
}

# owned_fork PROJECT: at last a task of the project, whose module is warmed, is forked.
owned_fork() {
	wait_until "$PATIENCE" owned_forked "$1" || fail "$(tail "$WORK/log")"
}

owned_forked() {
	[ "$(sandboxctl run python task.json --project "$1" --label owned 2>/dev/null)" = 1000 ] &&
		[ "$(mode owned)" = fork ]
}

# Resources that the kernel counts by user, and of which the host gives a user few: takes timers, message
# queues and inotify instances until there are no more, or n of them.
COUNTED='
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def some(n, make):
    for i in range(n):
        if make(i) < 0:
            return i
    return n
event = (ctypes.c_int * 16)(0, 0, 10)
def timers(n):
    return some(n, lambda i: libc.timer_create(1, event, ctypes.byref(ctypes.c_void_p())))
def queues(n):
    return some(n, lambda i: libc.mq_open(b"/q%d-%d" % (os.getpid(), i), os.O_CREAT | os.O_RDWR, 0o600, None))
def watchers(n):
    return some(n, lambda i: libc.inotify_init1(0))
'

# limits PID NAME...: prints the soft and the hard limit of each.
limits() {
	local name

	for name in "${@:2}"; do
		awk -v name="$name" 'index($0, name) == 1 { print $(NF - 2), $(NF - 1) }' "/proc/$1/limits"
	done
}

# bats test_tags=v2
@test "what a task has used up of its signals, message queues and inotify is no other's, of whatever project" {
	local mode project ids=() count='timers(5), watchers(5)' some='5 5' all=1

	# If the daemon itself is bounded, then so is everything that one user of the host has in all of
	# its tasks.
	if [ "$(limits "$(role monitor)" 'Max msgqueue size')" = 'unlimited unlimited' ]; then
		count+=', queues(2)' some+=' 2' all='queues(20)'
	fi
	for mode in $SECURITY_MODES; do
		ids+=("$(detached python "$COUNTED
mine = timers(1100), watchers(40), $all"'
assert mine[0] == 1024 and mine[1] == 32 and 0 < mine[2] < 20, mine
print("up", flush=True)
time.sleep(600)' --project green --start "$mode")")
		wait_until "$PATIENCE" log_has "${ids[-1]}" up ||
			fail "$mode: $(inspect "${ids[-1]}") $(sandboxctl logs "${ids[-1]}" 2>&1)"
		[ "$(inspect "${ids[-1]}" .start.mode)" = "$mode" ] || fail "$(inspect "${ids[-1]}")"
	done
	for mode in $SECURITY_MODES; do
		for project in blue green; do
			run sandboxctl run python --code "$COUNTED
print($count)" --project "$project" --start "$mode"
			[ "$output" = "$some" ] || fail "$mode, $project: $output"
		done
	done
	end "${ids[@]}"
}

@test "a task's limits are its policy's in every start mode, whatever the daemon's are" {
	local mode

	for mode in $SECURITY_MODES; do
		held green "$mode"
		[ "$(limits "$PID" 'Max pending signals' 'Max msgqueue size' 'Max locked memory')" = \
			$'1024 1024\n819200 819200\n65536 65536' ] || fail "$mode: $(cat "/proc/$PID/limits")"
		end "$ID"
	done
}

@test "a new monitor knows whose its tasks are, and ends them" {
	local mode ids=()

	for mode in $SECURITY_MODES; do
		held green "$mode"
		ids+=("$ID")
	done
	daemon_stop
	daemon_start
	for mode in "${ids[@]}"; do
		[ "$(ids "$(payload "$mode")")" = 2132072 ]
		[ "$(inspect "$mode" .project)" = green ]
		wait_until "$PATIENCE" status_is "$mode" running
	done
	end "${ids[@]}"
	forks python --project green
}
