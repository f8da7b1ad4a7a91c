# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A daemon of each test file's own (state, socket, cgroup root), and what the tests say
# about its tasks. The same files run on cgroup v1, on v2 and on an older kernel.
#
#	SANDBOXD_BUILD        what is under test, as by `make install DESTDIR=`; default: build/
#	SANDBOXD_TEST_IMAGES  a state folder whose images are used; default: /var/lib/sandboxd
#	SANDBOXD_CRIU         a CRIU as by scripts/criu-build; default: the daemon's own
bats_require_minimum_version 1.5.0

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$E2E/../.." && pwd)
# Start modes: what must be alike in all is tried in each.
# shellcheck disable=SC2034 # used by the tests
MODES='cold restore fork'
# A machine under emulation is slow: this is how long things may take, never how long
# they are waited for when they are ready.
PATIENCE=${PATIENCE:-60}
# Seconds in which an interpreter is started, and no test is held up for long.
BRIEF=1
[ -z "${SANDBOXD_V2:-}" ] || PATIENCE=300 BRIEF=5
export E2E TOP PATIENCE BRIEF

# count FEW MANY: how often a test does what is the more telling the more often it is done: FEW times in
# every run of the tests, MANY in each round of scripts/test soak-all. The daemon keeps 10,000 ended
# tasks: a test that looks at all of its own makes fewer.
count() {
	echo $((${SOAK:-0} ? $2 : $1))
}

# shellcheck source=tests/e2e/leaks.bash
. "$E2E/leaks.bash"

# paths: where the programs under test are.
paths() {
	if [ -n "${SANDBOXD_BUILD:-}" ]; then
		CTL=$SANDBOXD_BUILD/usr/local/bin/sandboxctl
		DAEMON=$SANDBOXD_BUILD/usr/local/sbin/sandboxd
		export SANDBOXD_SHARE=${SANDBOXD_SHARE:-$SANDBOXD_BUILD/usr/local/share/sandboxd}
	else
		CTL=$TOP/build/sandboxctl DAEMON=$TOP/build/sandboxd
		export SANDBOXD_SHARE=${SANDBOXD_SHARE:-$TOP}
	fi
	export CTL DAEMON
	IMAGES=${SANDBOXD_TEST_IMAGES:-${SANDBOXD_STATE_SEED:-/var/lib/sandboxd}}/images
	export IMAGES
}

sandboxctl() {
	"$CTL" "$@"
}

# daemon_make [IMAGE...]: a state folder with these images (hard links; default: python)
# and the policies, then a daemon of its own. WARM=1: and a checkpoint and a template of each image.
daemon_make() {
	local name

	paths
	# Not beneath bats' own folder: the roles give up root and must reach it, and hard
	# links need the images' file system. In pid namespaces side by side, $$ may be the same.
	WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/sandboxd-e2e.XXXXXX")
	chmod 755 "$WORK"
	export WORK STATE=$WORK/state RUN=$WORK/run GROUP=sandboxd-e2e-$$-$RANDOM
	export SANDBOXD_STATE=$STATE SANDBOXD_SOCKET=$RUN/control.sock
	mkdir "$STATE"
	[ $# -gt 0 ] || set -- python
	for name; do
		image_link "$name"
	done
	sandboxctl policy install --defaults >/dev/null
	daemon_start
	[ -z "${WARM:-}" ] || for name; do
		sandboxctl image warm "$name" >/dev/null
		forks "$name"
	done
}

# forks IMAGE [OPTION...]: waits until a task like this comes out of a template; for the others
# after it there is one.
forks() {
	wait_until "$PATIENCE" forked_once "$@" || fail "no task is forked: $(tail -n 3 "$WORK/log")"
}

forked_once() {
	sandboxctl run "$1" --start fork --label forked-once "${@:2}" --code 'pass' </dev/null &&
		[ "$(inspect "$(id_of forked-once)" .start.mode)" = fork ]
}

# image_link NAME: the image in this test's state folder, its files as hard links.
image_link() {
	local digest

	digest=$(readlink "$IMAGES/by-name/$1") || fail "there is no image $1 in $IMAGES"
	mkdir -p "$STATE/images/by-name"
	[ -d "$STATE/images/${digest#../}" ] ||
		cp -al "$IMAGES/${digest#../}" "$STATE/images/" 2>/dev/null ||
		cp -a "$IMAGES/${digest#../}" "$STATE/images/"
	ln -sfn "$digest" "$STATE/images/by-name/$1"
}

has_image() {
	paths
	[ -L "$IMAGES/by-name/$1" ]
}

# daemon_options: what every start of this test's daemon is given; HTTP is an ADDRESS:PORT, and
# MORE_OPTIONS are words.
daemon_options() {
	printf '%s\n' --state "$STATE" --run "$RUN" --cgroup "$GROUP" --http "${HTTP:-127.0.0.1:0}"
	# shellcheck disable=SC2086
	[ -z "${MORE_OPTIONS:-}" ] || printf '%s\n' $MORE_OPTIONS
	if [ -n "${FAKE_CRIU:-}" ]; then
		printf '%s\n' --criu "$FAKE_CRIU"
	elif [ -n "${SANDBOXD_CRIU:-}" ]; then
		printf '%s\n' --criu "$SANDBOXD_CRIU/sbin/criu"
	fi
}

# NETNS: a network namespace by name; the daemon has it for the machine's own. UNDER: words of a
# command that executes the daemon.
daemon_start() {
	local options

	mapfile -t options < <(daemon_options)
	# shellcheck disable=SC2086
	${NETNS:+nsenter "--net=/run/netns/$NETNS"} ${UNDER:-} "$DAEMON" "${options[@]}" </dev/null >>"$WORK/log" 2>&1 3>&- 4>&- &
	echo $! >"$WORK/pid"
	disown
	wait_until "$PATIENCE" sandboxctl version || {
		cat "$WORK/log" >&2
		return 1
	}
}

# daemon_stop: the roles end; tasks go on.
daemon_stop() {
	local pid

	pid=$(cat "$WORK/pid")
	kill "$pid" 2>/dev/null || true
	wait_until "$PATIENCE" gone "$pid"
}

# daemon_remove: for teardown_file. What is left of any task fails the file.
daemon_remove() {
	local left='' pid group

	# Without a name, everything on this machine would be this test's.
	[ -n "${GROUP:-}" ] || return 0
	gone "$(cat "$WORK/pid")" && left="the daemon died; its last words: $(tail -n 20 "$WORK/log")"$'\n'
	# What has ended is cleaned up by the daemon, a moment later; what runs is a mistake.
	wait_until "$PATIENCE" clean || true
	daemon_stop || true
	left+=$(left_overs)
	there nft delete table inet "$GROUP" 2>/dev/null || true
	for pid in $(processes); do
		kill -KILL "$pid" 2>/dev/null || true
	done
	while read -r group; do
		wait_until "$PATIENCE" rmdir "$group" || true
	done < <(find /sys/fs/cgroup -depth -type d -path "*/$GROUP*" 2>/dev/null)
	if [ -n "$left" ]; then
		printf 'left behind, log in %s:\n%s\n' "$WORK/log" "$left" >&2
		return 1
	fi
	rm -rf "$WORK"
}

# http_url: where the daemon's HTTP server is. A daemon that is started again has another port.
http_url() {
	echo "http://$(cat "$RUN/http")"
}

# role NAME: the pid of a role: monitor, front or logger.
role() {
	local main user

	main=$(cat "$WORK/pid")
	case $1 in
	monitor) echo "$main" && return ;;
	front) user=_sandboxd ;;
	logger) user=_sandboxd-log ;;
	esac
	pgrep -P "$main" -u "$user" | head -n 1
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# wait_until SECONDS COMMAND...: polls; fails when the command has not become true.
wait_until() {
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$end" ]; then
			return 1
		fi
		sleep 0.02
	done
}

# role_kill ROLE: kill -9 of it, or of all at once. Fails when the role is just being started again.
role_kill() {
	local main pids

	main=$(cat "$WORK/pid")
	if [ "$1" = all ]; then
		pids="$main $(role front) $(role logger)"
	else
		pids=$(role "$1")
	fi
	# shellcheck disable=SC2086 # one or more
	[ -n "$pids" ] && kill -KILL $pids 2>/dev/null || return 1
	if [ "$1" = monitor ] || [ "$1" = all ]; then
		wait_until "$PATIENCE" gone "$main"
		daemon_start
	fi
}

# reap PID: waits for a background command of this shell; its exit status is in $status.
# (bats' run waits in a subshell, whose child it is not.)
# shellcheck disable=SC2034 # the tests read it
reap() {
	status=0
	wait "$1" || status=$?
}

fail() {
	echo "$*" >&2
	return 1
}

# refused TEXT COMMAND...: exit status 125, nothing on stdout, and this is said.
# shellcheck disable=SC2154 # run sets status and stderr
refused() {
	run --separate-stderr sandboxctl "${@:2}"
	[ "$status" = 125 ] || fail "exit status $status: $output $stderr"
	[ -z "$output" ] || fail "$output"
	[[ $stderr == *"$1"* ]] || fail "$stderr"
}

# policies_refused: for each line "JQ|WORDS" of stdin, `policy check` says the words of the default
# policy that is changed so.
policies_refused() {
	local edit want

	while IFS='|' read -r edit want; do
		echo "$edit"
		jq "$edit" "$TOP/policies/default.json" >bad.json
		refused "$want" policy check bad.json
	done
}

# inspect ID [JQ]: a task's object, or what the jq filter says of it.
inspect() {
	sandboxctl inspect --json "$1" | jq -r "${2:-.}"
}

# id_of LABEL: the id of the newest task with a label.
id_of() {
	sandboxctl ps --all --json |
		jq -er --arg l "$1" '[.[] | select(.label == $l)] | max_by(.created_at) | .id'
}

# mode LABEL: how the newest task with this label was started.
mode() {
	inspect "$(id_of "$1")" .start.mode
}

# status_is ID STATUS
status_is() {
	[ "$(inspect "$1" .status)" = "$2" ]
}

# labelled LABEL STATUS: the newest task with the label has this status.
labelled() {
	status_is "$(id_of "$1")" "$2"
}

# log_has ID TEXT: the task's log has a line with the text.
log_has() {
	sandboxctl logs "$1" 2>&1 | grep -qF -- "$2"
}

# file_has FILE TEXT
file_has() {
	grep -qF -- "$2" "$1"
}

# file_lines FILE N: the file has at least N lines.
file_lines() {
	[ "$(wc -l <"$1")" -ge "$2" ]
}

# detached IMAGE CODE [OPTION...]: starts Python in the background; prints the task's id.
detached() {
	local image=$1 code=$2

	shift 2
	sandboxctl run --detach "$image" --code "$code" "$@"
}

# groups_of ID: the cgroups of a task. A group of cgroup v2 cannot be renamed: that of a forked
# task is called as it was when it waited, which its record tells.
groups_of() {
	local parked

	task_groups | grep "$1" || true
	parked=$(grep -aoE 'parked-[0-9a-f]{12}' "$RUN/tasks/$1" 2>/dev/null) || return 0
	find /sys/fs/cgroup -type d -path "*/$GROUP/$parked*"
}

# payload ID: the pid of a task's first Python process, as this machine sees it.
payload() {
	local pid group

	while read -r group; do
		while read -r pid; do
			# Pid 2 of its own namespace; 1 is the sandbox's init.
			if [ "$(awk '/^NSpid:/ { print $NF }' "/proc/$pid/status" 2>/dev/null)" = 2 ]; then
				echo "$pid"
				return
			fi
		done <"$group/cgroup.procs"
	done < <(groups_of "$1")
	return 1
}

# signal_task ID SIGNAL: to a task's Python, from outside.
signal_task() {
	kill -s "$2" "$(payload "$1")"
}

# A task that waits for signal_task ID USR1 where it calls gate(). It says nothing by itself.
# shellcheck disable=SC2034 # used by the tests
GATE='
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
def gate():
    signal.sigwait([signal.SIGUSR1])
'

# A task that never ends by itself, once it has said "ready".
# shellcheck disable=SC2034
FOREVER='
import time
print("ready")
while True:
    time.sleep(1000)
'

# is_v2: limits come from cgroup v2 on this machine.
is_v2() {
	[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]
}
