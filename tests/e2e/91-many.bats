#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Thousands of tasks of all kinds: the daemon has as many fds, mounts, cgroups and processes
# afterwards as before, and no more memory.
#
#	TASKS  how many

load daemon

TASKS=${TASKS:-$(count 400 10000)}

setup_file() {
	export WARM=1

	daemon_make
	mkdir "$WORK/package"
	echo 'print("from a package")' >"$WORK/package/main.py"
	echo '{"exec": "main.py", "dir": "."}' >"$WORK/package/task.json"
}

# one N: runs a task of the kind whose turn N is; its status must be the expected one.
one() {
	local status=0 want=0

	case $(($1 % 20)) in
	0) sandboxctl run python "$WORK/package/task.json" ;;
	1) want=3 && sandboxctl run python --code 'raise SystemExit(3)' ;;
	2) sandboxctl run python --policy network --code 'print(1)' ;;
	3) want=139 && sandboxctl run python --code 'import os; os.kill(os.getpid(), 11)' ;;
	4) want=1 && sandboxctl run python --code 'open("/tmp/x", "wb").write(bytes(1 << 30))' ;;
	5 | 6 | 7) sandboxctl run python --start cold --code 'print(1)' ;;
	8) sandboxctl run python --code 'import os; os.fork() or os.setsid() or __import__("time").sleep(99)' ;;
	*) sandboxctl run python --code 'print(1)' ;;
	esac >/dev/null 2>&1 || status=$?
	[ "$status" = "$want" ] || echo "task $1: status $status, not $want"
}

# some FROM TO: runs these tasks, two at a time; prints those with a wrong status.
some() {
	export -f one sandboxctl

	seq "$1" "$2" | xargs -P 2 -I{} bash -c 'one {}' 3>&-
}

# counts: what must not grow, as name=number; memory and time are compared apart.
counts() {
	local main

	main=$(cat "$WORK/pid")
	echo "fds=$(fds)"
	echo "mounts=$(wc -l <"/proc/$main/mountinfo")"
	echo "cgroups=$(find /sys/fs/cgroup -type d -path "*/$GROUP*" 2>/dev/null | wc -l)"
	echo "processes=$(pgrep -c -P "$main")"
	echo "records=$(find "$RUN" | wc -l)"
	echo "interfaces=$(interfaces | wc -l)"
	echo "nft=$(nft list ruleset 2>/dev/null | grep -c sbx)"
	echo "zombies=$(pgrep -c -r Z -P "$main")"
}

settled() {
	[ "$(counts)" = "$(cat "$WORK/before")" ]
}

@test "$TASKS tasks of all kinds end as they should" {
	# What is made only once exists before anything is counted.
	some 1 100 >"$WORK/wrong"
	# Parked clones have a cgroup and a network already.
	retire_all
	counts >"$WORK/before"
	rss >"$WORK/rss"
	some 101 "$TASKS" >>"$WORK/wrong"
	cat "$WORK/wrong"
	[ ! -s "$WORK/wrong" ]
}

@test "no fd, mount, cgroup, process, interface or file more than before" {
	sandboxctl template retire --all >/dev/null
	wait_until "$PATIENCE" settled || diff "$WORK/before" <(counts)
	# The pool is bounded (NETNS_POOL).
	[ "$(netns)" -le 16 ] || fail "$(netns) network namespaces"
}

@test "no growth of memory" {
	local before after

	before=$(cat "$WORK/rss") after=$(rss)
	[ "$after" -le $((before + 4096)) ] || fail "$before KiB became $after KiB"
}

@test "all are on record, and a list of them does not stay in memory" {
	local before after

	before=$(rss)
	for _ in 1 2 3; do
		[ "$(sandboxctl ps --all --json | jq length)" -ge "$TASKS" ]
	done
	after=$(rss)
	[ "$after" -le $((before + 4096)) ] || fail "$before KiB became $after KiB"
}
