# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What of this machine the daemon's tasks and roles hold, and what is left of tasks that have ended.
# lib.bash loads it.

# processes: all processes in the cgroups of this test's daemon, of roles and of tasks.
processes() {
	[ -n "${GROUP:-}" ] || return 0
	grep -ls "$GROUP" /proc/[0-9]*/cgroup | cut -d/ -f3 || true
}

# task_groups: the cgroups of single tasks, which have the tasks' ids in their names.
task_groups() {
	find /sys/fs/cgroup -type d -path "*/$GROUP*" -regextype posix-extended \
		-regex '.*[0-9a-f]{24}[^/]*' 2>/dev/null || true
}

# task_processes: the processes in those cgroups.
task_processes() {
	[ -n "${GROUP:-}" ] || return 0
	grep -lsE "$GROUP.*[0-9a-f]{24}" /proc/[0-9]*/cgroup | cut -d/ -f3 || true
}

# left_overs: prints what ended tasks have left on this machine, which should be nothing.
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

# there COMMAND...: runs a command in the daemon's network namespace.
there() {
	${NETNS:+nsenter "--net=/run/netns/$NETNS"} "$@"
}

# interfaces: this machine's ends of the tasks' veth pairs. The daemon's nft table, which exists
# once a task had a network, tells how their names begin.
interfaces() {
	local prefix

	prefix=$(there nft list table inet "$GROUP" 2>/dev/null | grep -o 'sb[0-9a-f][0-9a-f]-' | head -n 1 || true)
	[ -z "$prefix" ] || there ip -o link | grep -o " ${prefix}[^@: ]*" || true
}

clean() {
	[ -z "$(left_overs)" ]
}

# Retires all templates again and again, because one that was asked for a moment ago may come late.
no_templates() {
	sandboxctl template retire --all >/dev/null
	[ "$(sandboxctl --json template ls)" = '[]' ] && clean &&
		[ -z "$(find /sys/fs/cgroup -type d -path "*/$GROUP/*" \( -name 'parked-*' -o -name 'template-*' \))" ]
}

# retire_all: waits until no template and no parked clone is left that would be counted as a leak.
retire_all() {
	wait_until "$PATIENCE" no_templates || fail "$(sandboxctl template ls)$(left_overs)"
}

# role_pids: the pids of the roles that run.
role_pids() {
	cat "$WORK/pid"
	pgrep -P "$(cat "$WORK/pid")" -u _sandboxd,_sandboxd-log
}

# fds: how many files the roles have open together, without the pool of network namespaces, which is
# as full as there was time to fill it. netns: how many the pool has. rss: the roles' anonymous
# memory in KiB.
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
