# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A daemon of each test file's own, and what the security tests share. Start modes and
# policies are lists: a mode that is added later is added here and every probe runs in it.

SECURITY_MODES=${SECURITY_MODES:-cold restore}
SECURITY_POLICIES=${SECURITY_POLICIES:-default network strict}
SECURITY=$(dirname "${BASH_SOURCE[0]}")
TOP=$(cd "$SECURITY/../.." && pwd)
export SECURITY TOP SECURITY_MODES SECURITY_POLICIES

# paths: where the programs under test are: SANDBOXD_BUILD as by `make install DESTDIR=`,
# else the build folder of this clone.
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
}

# daemon_make: a state folder with the images (hard links), policies, a socket and a
# cgroup root of its own, then daemon_start.
daemon_make() {
	local images=${SANDBOXD_TEST_IMAGES:-/var/lib/sandboxd}

	paths
	# Not beneath bats' own folder: the roles give up root and must reach it, and the
	# images are linked, which needs their file system.
	WORK=$(mktemp -d "${TMPDIR:-/var/tmp}/sandboxd-security.XXXXXX")
	chmod 755 "$WORK"
	export WORK STATE=$WORK/state RUN=$WORK/run GROUP=sandboxd-security-$$
	export SANDBOXD_STATE=$STATE SANDBOXD_SOCKET=$RUN/control.sock
	mkdir "$STATE" "$RUN" "$WORK/out"
	cp -al "$images/images" "$STATE/images"
	"$CTL" --state "$STATE" policy install --defaults >/dev/null
	daemon_start
}

daemon_start() {
	local criu=${SANDBOXD_CRIU:-} options=()

	[ -z "$criu" ] || options=(--criu "$criu/sbin/criu")
	"$DAEMON" --state "$STATE" --run "$RUN" --cgroup "$GROUP" "${options[@]}" \
		</dev/null >>"$WORK/log" 2>&1 3>&- 4>&- &
	echo $! >"$WORK/pid"
	disown
	wait_until 30 "$CTL" version || {
		cat "$WORK/log"
		return 1
	}
}

# daemon_stop: ends it and checks that nothing of it is left.
daemon_stop() {
	local pid
	pid=$(cat "$WORK/pid")

	kill "$pid" 2>/dev/null || true
	wait_until 30 gone "$pid"
}

daemon_remove() {
	local left

	daemon_stop
	left=$(grep -c " $WORK/" /proc/self/mountinfo || true)
	# What a failed test left behind goes with its cgroups, children first.
	while read -r group; do
		while read -r pid; do kill -KILL "$pid" 2>/dev/null || true; done <"$group/cgroup.procs" || true
		wait_until 5 rmdir "$group" || true
	done < <(find /sys/fs/cgroup -depth -type d -path "*/$GROUP*" 2>/dev/null)
	[ "$left" = 0 ] || echo "# $left mounts left beneath $WORK" >&2
	if [ "$left" = 0 ]; then
		rm -rf "$WORK"
	fi
	[ "$left" = 0 ]
}

gone() {
	! kill -0 "$1" 2>/dev/null
}

# wait_until SECONDS COMMAND...: polls; its status is the command's last.
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

# roles: the pids of the daemon's processes, without those of tasks.
roles() {
	local pid
	pid=$(cat "$WORK/pid")

	echo "$pid"
	pgrep -P "$pid" -u _sandboxd,_sandboxd-log || true
}

# memory: anonymous kilobytes that the roles hold together.
memory() {
	local pid total=0 kb

	for pid in $(roles); do
		kb=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status")
		total=$((total + ${kb:-0}))
	done
	echo "$total"
}

# fds: open files of the roles together.
fds() {
	local pid total=0

	for pid in $(roles); do
		total=$((total + $(find "/proc/$pid/fd" -mindepth 1 | wc -l)))
	done
	echo "$total"
}

# task FOLDER SCRIPT [JSON]: a task.json for a script of the folder, with further keys.
task() {
	jq -n --arg exec "$2" --argjson more "${3:-{\}}" '{exec: $exec, dir: "."} + $more' \
		>"$1/task.json"
}

# modes_of LABEL: the start modes by which the tasks with this label were started.
modes_of() {
	"$CTL" --json ps --all | jq -r --arg l "$1" '.[] | select(.label == $l) | .start.mode'
}

# field LABEL NAME: one field of the newest task with the label.
field() {
	"$CTL" --json ps --all |
		jq -r --arg l "$1" "[.[] | select(.label == \$l)] | sort_by(.created_at) | last | $2"
}

# rootfs IMAGE: where an image's files are.
rootfs() {
	realpath "$STATE/images/by-name/$1/rootfs"
}

# listing FOLDER: what a folder holds, by name, type, mode, owner, size, time and content's place.
listing() {
	find "$1" -printf '%P %y %m %U:%G %s %T@ %i %l\n' | sort
}

# processes_named MARKER: pids on this machine whose first argument is the marker.
processes_named() {
	grep -lszP "^\Q$1\E$" /proc/[0-9]*/cmdline 2>/dev/null || true
}

fail() {
	echo "$*" >&2
	return 1
}

# refute COMMAND...: fails where it succeeds (bats does not look at the status of "! ...").
refute() {
	if "$@"; then
		fail "should have failed: $*"
	fi
}

# none_named, some_named MARKER: processes of that name on this machine.
none_named() {
	[ -z "$(processes_named "$1")" ]
}

some_named() {
	[ -n "$(processes_named "$1")" ]
}

# has_status ID STATUS
has_status() {
	[ "$("$CTL" --json inspect "$1" | jq -r .status)" = "$2" ]
}

# no_cgroup ID: no cgroup with the task's id is left in any hierarchy.
no_cgroup() {
	[ -z "$(find /sys/fs/cgroup -type d -path "*/$GROUP/*$1*" 2>/dev/null)" ]
}

# fds_at_most NUMBER
fds_at_most() {
	[ "$(fds)" -le "$1" ]
}
