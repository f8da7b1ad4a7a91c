# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the daemon's tasks and roles hold of this machine, and what is left of tasks that have ended.
# Part of lib.bash.

# processes: all that live in a cgroup of this test's daemon, roles or tasks.
processes() {
	[ -n "${GROUP:-}" ] || return 0
	grep -ls "$GROUP" /proc/[0-9]*/cgroup | cut -d/ -f3 || true
}

# task_groups: cgroups of single tasks (their ids are in the names).
task_groups() {
	find /sys/fs/cgroup -type d -path "*/$GROUP*" -regextype posix-extended \
		-regex '.*[0-9a-f]{24}[^/]*' 2>/dev/null || true
}

# task_processes: those of them that are in the cgroup of a task.
task_processes() {
	[ -n "${GROUP:-}" ] || return 0
	grep -lsE "$GROUP.*[0-9a-f]{24}" /proc/[0-9]*/cgroup | cut -d/ -f3 || true
}

# left_overs: what ended tasks have left on this machine; nothing, that is.
left_overs() {
	local pid

	for pid in $(task_processes); do
		echo "process $pid: $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
	done
	task_groups
	grep "$WORK" /proc/self/mountinfo || true
	find "$RUN/tasks" -mindepth 1 2>/dev/null || true
	interfaces
}

# there COMMAND...: in the daemon's network namespace.
there() {
	${NETNS:+nsenter "--net=/run/netns/$NETNS"} "$@"
}

# interfaces: this machine's ends of the tasks' veth pairs. Their names begin as in the
# daemon's nft table, which is there once a task had a network.
interfaces() {
	local prefix

	prefix=$(there nft list table inet "$GROUP" 2>/dev/null | grep -o 'sb[0-9a-f][0-9a-f]-' | head -n 1 || true)
	[ -z "$prefix" ] || there ip -o link | grep -o " ${prefix}[^@: ]*" || true
}

clean() {
	[ -z "$(left_overs)" ]
}

# One that was asked for a moment ago may come only now.
no_templates() {
	sandboxctl template retire --all >/dev/null
	[ "$(sandboxctl --json template ls)" = '[]' ] && clean &&
		[ -z "$(find /sys/fs/cgroup -type d -path "*/$GROUP/*" \( -name 'parked-*' -o -name 'template-*' \))" ]
}

# retire_all: no template and nothing that is parked is left, to be counted with what leaked.
retire_all() {
	wait_until "$PATIENCE" no_templates || fail "$(sandboxctl template ls)$(left_overs)"
}

# role_pids: of the roles that are up.
role_pids() {
	cat "$WORK/pid"
	pgrep -P "$(cat "$WORK/pid")" -u _sandboxd,_sandboxd-log
}

# fds: open files of the roles together, but for the pool of network namespaces, which is as
# full as there was time to fill it. netns: those. rss: the roles' anonymous kilobytes.
fds() {
	local pid n=0

	for pid in $(role_pids); do
		n=$((n + $(find "/proc/$pid/fd" -mindepth 1 -not -lname 'net:*' 2>/dev/null | wc -l)))
	done
	echo "$n"
}

netns() {
	find "/proc/$(cat "$WORK/pid")/fd" -mindepth 1 -lname 'net:*' | wc -l
}

rss() {
	local pid kb n=0

	for pid in $(role_pids); do
		kb=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status")
		n=$((n + ${kb:-0}))
	done
	echo "$n"
}
