#!/usr/bin/env bats
# Many tasks: nothing grows with them. (9x has thousands.)
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

setup_file() {
	WARM=1 daemon_make
}

N=$(count 100 1000)

# many MODE: runs N tasks, four at a time. Each prints its number, in two writes as Python's print does,
# and a shell puts them on one line.
many() {
	seq "$N" | xargs -P 4 -I{} sh -c 'echo "$("$CTL" run python --start "$1" --code "print($2)")"' sh "$1" {} |
		sort -n | cmp - <(seq "$N")
}

mounts() {
	wc -l <"/proc/$(role monitor)/mountinfo"
}

as_before() {
	[ "$(fds)" -le $((fds + 4)) ] && [ "$(mounts)" = "$mounts" ] &&
		[ "$(processes | wc -l)" = "$processes" ]
}

@test "$N tasks in each start mode: fds, mounts, processes and memory stay" {
	for mode in $MODES; do
		many "$mode"
	done
	retire_all
	fds=$(fds) mounts=$(mounts) rss=$(rss) processes=$(processes | wc -l)
	for mode in $MODES; do
		many "$mode"
	done
	retire_all
	wait_until "$PATIENCE" as_before ||
		fail "fds $fds $(fds), mounts $mounts $(mounts), processes $processes $(processes | wc -l)"
	# Records of ended tasks are kept on disk, not in memory.
	[ "$(rss)" -le $((rss + 2048)) ] || fail "$rss KiB became $(rss)"
}

@test "every one of them is remembered" {
	[ "$(sandboxctl ps --all --json | jq length)" -ge $((6 * N)) ]
	[ "$(sandboxctl ps --all --json | jq '[.[] | select(.exit_code != 0)] | length')" = 0 ]
}

@test "more at once than may run: all get their turn" {
	local ids=()
	for i in $(seq 80); do
		ids+=("$(sandboxctl run -d python --code "print($i)")")
	done
	sandboxctl wait "${ids[@]}" >/dev/null
	[ "$(sandboxctl logs "${ids[@]}")" = "$(seq 80)" ]
}
