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
# Start modes: what must be the same in all of them is tried in each.
# shellcheck disable=SC2034 # used by the tests
MODES='cold restore fork'
# The longest that anything may take, for an emulated machine is slow. No test waits longer than
# until it is ready.
PATIENCE=${PATIENCE:-60}
# Seconds: long enough for an interpreter to start, and too short to hold up the tests.
BRIEF=1
[ -z "${SANDBOXD_V2:-}" ] || PATIENCE=300 BRIEF=5
export E2E TOP PATIENCE BRIEF

# count FEW MANY: how often to do something that tells more the more often it is done: FEW times in
# every run of the tests, MANY times in each round of scripts/test soak-all. The daemon keeps 10,000
# ended tasks, so a test that looks at all of its own makes fewer.
count() {
	echo $((${SOAK:-0} ? $2 : $1))
}

# shellcheck source=tests/e2e/leaks.bash
. "$E2E/leaks.bash"

# paths: finds the programs under test.
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

# daemon_make [IMAGE...]: makes a state folder with the policies and these images (as hard links;
# default: python), and starts a daemon of its own. WARM=1: also makes a checkpoint and a template
# of each image.
daemon_make() {
	local name

	paths
	# Not in bats' own folder: the roles are not root and must be able to reach it, and hard
	# links need the images' file system. In two pid namespaces $$ may be
	# the same, so the group's name has $RANDOM too.
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

# forks IMAGE [OPTION...]: runs such tasks until one is forked; from then on there is a template for
# them.
forks() {
	wait_until "$PATIENCE" forked_once "$@" || fail "no task is forked: $(tail -n 3 "$WORK/log")"
}

forked_once() {
	sandboxctl run "$1" --start fork --label forked-once "${@:2}" --code 'pass' </dev/null &&
		[ "$(inspect "$(id_of forked-once)" .start.mode)" = fork ]
}

# image_link NAME: puts the image into this test's state folder, its files as hard links.
image_link() {
	local digest

	digest=$(readlink "$IMAGES/by-name/$1") || fail "there is no image $1 in $IMAGES"
	mkdir -p "$STATE/images/by-name"
	[ -d "$STATE/images/${digest#../}" ] ||
		cp -al "$IMAGES/${digest#../}" "$STATE/images/" 2>/dev/null ||
		cp -a "$IMAGES/${digest#../}" "$STATE/images/"
	ln -sfn "$digest" "$STATE/images/by-name/$1"
}

# image_with_pip NAME: this test's image of the name gets a pip of its own, with the bytecode that an
# install needs. In an image without one each build unpacks this machine's and compiles it.
image_with_pip() {
	local from to pip=(/usr/share/python-wheels/pip-*.whl) modules=usr/lib/python3/dist-packages

	from=$(realpath "$STATE/images/by-name/$1")
	to=$STATE/images/$(printf 'pip %s' "$1" | sha256sum | cut -d ' ' -f 1)
	cp -al "$from" "$to"
	mkdir -p "$to/rootfs/$modules"
	unzip -q "${pip[0]}" -d "$to/rootfs/$modules"
	env -u PYTHONDONTWRITEBYTECODE chroot "$to/rootfs" /usr/bin/python3 -m pip install --break-system-packages \
		--no-index nothing >/dev/null 2>&1 || true
	[ -d "$to/rootfs/$modules/pip/_internal/__pycache__" ] || fail "pip does not run in the image $1"
	ln -sfn "../${to##*/}" "$STATE/images/by-name/$1"
}

has_image() {
	paths
	[ -L "$IMAGES/by-name/$1" ]
}

# daemon_options: the options of every start of this test's daemon. HTTP: an ADDRESS:PORT to listen
# on. EDGE: the edge's. MORE_OPTIONS: further words.
daemon_options() {
	printf '%s\n' --state "$STATE" --run "$RUN" --cgroup "$GROUP" --http "${HTTP:-127.0.0.1:0}" --edge-http "${EDGE:-none}"
	# shellcheck disable=SC2086
	[ -z "${MORE_OPTIONS:-}" ] || printf '%s\n' $MORE_OPTIONS
	if [ -n "${FAKE_CRIU:-}" ]; then
		printf '%s\n' --criu "$FAKE_CRIU"
	elif [ -n "${SANDBOXD_CRIU:-}" ]; then
		printf '%s\n' --criu "$SANDBOXD_CRIU/sbin/criu"
	fi
}

# NETNS: the name of a network namespace that the daemon takes for the machine's. UNDER: words of a
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

# daemon_stop: ends the roles; running tasks go on.
daemon_stop() {
	local pid

	pid=$(cat "$WORK/pid")
	kill "$pid" 2>/dev/null || true
	wait_until "$PATIENCE" gone "$pid"
}

# daemon_remove: for teardown_file. The file fails when anything is left of a task.
daemon_remove() {
	local left='' pid group

	# Without a name, everything on this machine would count as this test's.
	[ -n "${GROUP:-}" ] || return 0
	gone "$(cat "$WORK/pid")" && left="the daemon died; its last words: $(tail -n 20 "$WORK/log")"$'\n'
	# The daemon removes what ended tasks have left a moment later. A parked clone has an
	# interface, which is gone with its template. A task that still runs is a mistake of the
	# test's.
	clean || wait_until "$PATIENCE" no_templates || true
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

# http_url: the URL of the daemon's HTTP server, whose port is another after each start.
http_url() {
	echo "http://$(cat "$RUN/http")"
}

# role NAME: the pid of a role: monitor, front, logger or edge.
role() {
	local main user

	main=$(cat "$WORK/pid")
	case $1 in
	monitor) echo "$main" && return ;;
	front) user=_sandboxd ;;
	logger) user=_sandboxd-log ;;
	edge) user=_sandboxd-edge ;;
	esac
	pgrep -P "$main" -u "$user" | head -n 1
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# wait_until SECONDS COMMAND...: tries the command again and again; fails when it has not succeeded
# in that time.
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

# role_kill ROLE: kills the role, or all of them at once, by kill -9. Fails while the role is being
# started again.
role_kill() {
	local main pids

	main=$(cat "$WORK/pid")
	if [ "$1" = all ]; then
		pids="$main $(role front) $(role logger)"
	else
		pids=$(role "$1")
	fi
	# shellcheck disable=SC2086 # one word or more
	[ -n "$pids" ] && kill -KILL $pids 2>/dev/null || return 1
	if [ "$1" = monitor ] || [ "$1" = all ]; then
		wait_until "$PATIENCE" gone "$main"
		daemon_start
	fi
}

# roles_kill N: kills roles so many times, each at a random moment: one, or all at once. The random moments
# come from KILLS_SEED, which is printed; WORK/killed has how many there were. Then makes WORK/stop, and
# waits until the daemon answers.
roles_kill() {
	local roles=(monitor front logger all) seed=${KILLS_SEED:-$RANDOM} killed=0

	echo "# KILLS_SEED=$seed" >&3
	RANDOM=$seed
	while [ "$killed" -lt "$1" ]; do
		sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
		if role_kill "${roles[RANDOM % 4]}"; then
			killed=$((killed + 1))
			echo "$killed" >"$WORK/killed"
		fi
	done
	touch "$WORK/stop"
	wait_until "$PATIENCE" sandboxctl version
}

nothing_runs() {
	[ -z "$(sandboxctl ps --quiet)" ]
}

# services_remove: for the teardown of tests that make services: removes all, and waits until none runs.
services_remove() {
	local each

	for each in $(sandboxctl service ls --json | jq -r '.[] | .app + "/" + .name'); do
		sandboxctl service rm "$each" || true
	done
	wait_until "$PATIENCE" nothing_runs
}

# end_tree PID: kills a process and all that it has started. Each is stopped first, so that it starts
# no more meanwhile.
end_tree() {
	local child

	kill -STOP "$1" 2>/dev/null || return 0
	for child in $(pgrep -P "$1"); do
		end_tree "$child"
	done
	kill -KILL "$1"
}

# end_background: ends what the test has left in the background, except daemons. Each teardown calls
# it: such a process has bats' output open, also where the test has closed it for a function, and
# the run would not end before the process does.
end_background() {
	local pid

	for pid in $(jobs -rp); do
		end_tree "$pid"
		wait "$pid" 2>/dev/null || true
	done
}

# A file that defines another one calls end_background there.
teardown() {
	end_background
}

# reap PID: waits for a background command of this shell, and puts its exit status into $status.
# (bats' run waits in a subshell, and the command is not a child of that.)
# shellcheck disable=SC2034 # the tests read it
reap() {
	status=0
	wait "$1" || status=$?
}

fail() {
	echo "$*" >&2
	return 1
}

# refused TEXT COMMAND...: the command must exit with status 125, print nothing on stdout, and print
# the text on stderr.
# shellcheck disable=SC2154 # run sets status and stderr
refused() {
	run --separate-stderr sandboxctl "${@:2}"
	[ "$status" = 125 ] || fail "exit status $status: $output $stderr"
	[ -z "$output" ] || fail "$output"
	[[ $stderr == *"$1"* ]] || fail "$stderr"
}

# policies_refused: stdin has lines "JQ|WORDS". For each, `policy check` must say the words about
# the default policy as the jq filter changes it.
policies_refused() {
	local edit want

	while IFS='|' read -r edit want; do
		echo "$edit"
		jq "$edit" "$TOP/policies/default.json" >bad.json
		refused "$want" policy check bad.json
	done
}

# inspect ID [JQ]: prints a task's object, or what a jq filter makes of it.
inspect() {
	sandboxctl inspect --json "$1" | jq -r "${2:-.}"
}

# id_of LABEL: the id of the newest task with a label.
id_of() {
	sandboxctl ps --all --json |
		jq -er --arg l "$1" '[.[] | select(.label == $l)] | max_by(.created_at) | .id'
}

# mode LABEL: the start mode of the newest task with the label.
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

# groups_of ID: the cgroups of a task. cgroup v2 cannot rename a group, so a forked task's group has
# the name that it was parked with, which its record tells.
groups_of() {
	local parked

	task_groups | grep "$1" || true
	parked=$(grep -aoE 'parked-[0-9a-f]{12}' "$RUN/tasks/$1" 2>/dev/null) || return 0
	find /sys/fs/cgroup -type d -path "*/$GROUP/$parked*"
}

# payload ID: the pid of a task's first Python process in this machine's pid namespace.
payload() {
	local pid group

	while read -r group; do
		while read -r pid; do
			# The process that is pid 2 of its own namespace; pid 1 is the sandbox's
			# init.
			if [ "$(awk '/^NSpid:/ { print $NF }' "/proc/$pid/status" 2>/dev/null)" = 2 ]; then
				echo "$pid"
				return
			fi
		done <"$group/cgroup.procs"
	done < <(groups_of "$1")
	return 1
}

# signal_task ID SIGNAL: sends a signal to a task's Python, from outside the sandbox.
signal_task() {
	kill -s "$2" "$(payload "$1")"
}

# A task that, when it calls gate(), waits for signal_task ID USR1. It prints nothing itself.
# shellcheck disable=SC2034 # used by the tests
GATE='
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
def gate():
    signal.sigwait([signal.SIGUSR1])
'

# A task that prints "ready" and then never ends by itself.
# shellcheck disable=SC2034
FOREVER='
import time
print("ready")
while True:
    time.sleep(1000)
'

# is_v2: whether limits on this machine are those of cgroup v2.
is_v2() {
	[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]
}
