# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the security tests share, on top of the end-to-end tests' daemon. Start modes and policies
# are lists: a new mode is added here, and then every probe runs in it.

SECURITY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/e2e/lib.bash
. "$SECURITY/../e2e/lib.bash"

SECURITY_MODES=${SECURITY_MODES:-cold restore fork}
# What differs between policies does not differ between kernels too.
[ "${SANDBOXD_V2:-}" != one ] || SECURITY_POLICIES=${SECURITY_POLICIES:-network}
SECURITY_POLICIES=${SECURITY_POLICIES:-default network strict}
export SECURITY SECURITY_MODES SECURITY_POLICIES

# security_setup [IMAGE...]: starts the daemon, and makes a folder for what tasks print.
security_setup() {
	daemon_make "$@"
	mkdir "$WORK/out"
}

teardown_file() {
	daemon_remove
}

# warm IMAGE [OPTION...]: makes a checkpoint, if one of the modes needs it.
warm() {
	[[ " $SECURITY_MODES " == " cold " ]] || "$CTL" image warm "$@" >/dev/null
}

# task FOLDER SCRIPT [JSON]: writes a task.json for a script of the folder, with JSON as further
# keys.
task() {
	jq -n --arg exec "$2" --argjson more "${3:-{\}}" '{exec: $exec, dir: "."} + $more' \
		>"$1/task.json"
}

# modes_of LABEL: the start modes by which the tasks with this label were started.
modes_of() {
	"$CTL" --json ps --all | jq -r --arg l "$1" '.[] | select(.label == $l) | .start.mode'
}

# ready_for MODE IMAGE [OPTION...]
ready_for() {
	[ "$1" != fork ] || forks "${@:2}"
}

# field LABEL FILTER: what a jq filter says of the newest task with the label; null when there is
# none.
field() {
	"$CTL" --json ps --all |
		jq -r --arg l "$1" "[.[] | select(.label == \$l)] | max_by(.created_at) | $2"
}

# rootfs IMAGE: the folder of an image's files.
rootfs() {
	realpath "$STATE/images/by-name/$1/rootfs"
}

# listing FOLDER: each entry of a folder with its name, type, mode, owner, size, time and where its
# content lies.
listing() {
	find "$1" -printf '%P %y %m %U:%G %s %T@ %i %l\n' | sort
}

# processes_named MARKER: processes on this machine whose first argument is the marker.
processes_named() {
	grep -lszP "^\Q$1\E$" /proc/[0-9]*/cmdline 2>/dev/null || true
}

none_named() {
	[ -z "$(processes_named "$1")" ]
}

some_named() {
	[ -n "$(processes_named "$1")" ]
}

# no_cgroup ID: no cgroup with the task's id is left in any hierarchy.
no_cgroup() {
	refute grep -q "$1" < <(task_groups) 2>/dev/null
}

# fds_at_most NUMBER
fds_at_most() {
	[ "$(fds)" -le "$1" ]
}

# refute COMMAND...: fails when the command succeeds (bats does not look at the status of "! ...").
refute() {
	if "$@"; then
		fail "should have failed: $*"
	fi
}

# evil_image: makes an image "evil" for modules of the test's own: a copy of the image python, whose
# other files are links. Its folder is put into $EVIL.
evil_image() {
	EVIL=$STATE/images/$(printf evil | sha256sum | cut -d ' ' -f 1)
	export EVIL
	cp -al "$(realpath "$STATE/images/by-name/python")" "$EVIL"
	ln -s "../${EVIL##*/}" "$STATE/images/by-name/evil"
	mkdir -p "$EVIL/rootfs/usr/lib/python3/dist-packages"
}
