#!/usr/bin/env bats
# bats file_tags=v2-all
# Keepers, the processes that templates are: one that hangs, is silent or slow costs no task.
# shellcheck disable=SC2154,SC2016 # stderr is set by run; code for the sandbox
load daemon
load templates

# slow ID: gives a template's keeper so little of a processor that a clone takes a few tenths of a second
# on any machine.
slow() {
	local file quota

	quota=$(inspect "$(id_of forked)" .start.ms | awk '{ q = $1 * 80; print int(q < 1000 ? 1000 : q > 50000 ? 50000 : q) }')
	while read -r file; do
		case $file in
		*/cpu.max) echo "$quota 100000" >"$file" ;;
		*) echo "$quota" >"$file" ;;
		esac
	done < <(find /sys/fs/cgroup -path "*/$GROUP/template-$1/*" \( -name cpu.max -o -name cpu.cfs_quota_us \))
}

# keeper ID: the keeper's pid in this machine's pid namespace.
keeper() {
	local pid

	for pid in $(find /sys/fs/cgroup -path "*/$GROUP/template-$1/cgroup.procs" -exec cat {} + | sort -un); do
		[[ $(tr '\0' ' ' <"/proc/$pid/cmdline") != 'sandboxd: template'* ]] || { echo "$pid" && return; }
	done
	return 1
}

@test "a keeper that is silent is not asked again, and its tasks are restored" {
	unparked
	stopped=$(keeper "$id")
	kill -STOP "$stopped"
	run --separate-stderr sandboxctl run python --policy unparked --start fork --code 'print("right")'
	kill -CONT "$stopped"
	[ "$status $output" = "0 right" ]
	[[ $stderr == *"restored: the template was retired"* ]]
	templates "all(.[]; .id != \"$id\" or .state == \"retired\")"
}

# hangs: stops the keeper of a template with two tasks, one that has printed and ended and one that runs.
hangs() {
	unparked
	ended=$(detached python "$GATE"'
print("ready", flush=True)
gate()
sys.exit(3)' --start fork --policy unparked)
	runs=$(detached python "$FOREVER" --start fork --policy unparked)
	wait_until "$PATIENCE" log_has "$ended" ready
	wait_until "$PATIENCE" log_has "$runs" ready
	kill -STOP "$(keeper "$id")"
	signal_task "$ended" USR1
}

# ends ID: waits for a task's end; prints its exit status, status and verdict.
ends() {
	timeout "$PATIENCE" "$CTL" wait "$1" >/dev/null || true
	inspect "$1" '.exit_code, .status, .verdict' | xargs
}

@test "a keeper that hangs is killed when it does not see a task's end; that keeps its verdict" {
	hangs
	[ "$(ends "$ended")" = "3 error exit" ]
	[ "$(ends "$runs")" = "125 error lost" ]
	grep -q "template $id: its keeper hangs" "$WORK/log"
	wait_until "$PATIENCE" forked --policy unparked
	sandboxctl template retire --all
}

@test "a keeper that hangs keeps no task from being cancelled, also under another monitor" {
	hangs
	sandboxctl cancel --force "$runs"
	[ "$(ends "$runs")" = "137 cancelled cancelled" ]
	[ "$(ends "$ended")" = "3 error exit" ]
	hangs
	kill -KILL "$(cat "$WORK/pid")"
	wait_until "$PATIENCE" gone "$(cat "$WORK/pid")"
	daemon_start
	sandboxctl cancel --force "$runs"
	[ "$(ends "$runs")" = "137 cancelled cancelled" ]
	[ "$(ends "$ended")" = "3 error exit" ]
	wait_until "$PATIENCE" forked --policy unparked
	sandboxctl template retire --all
}

# score PID: the process's oom_score_adj, by which the OOM killer chooses.
score() {
	cat "/proc/$1/oom_score_adj"
}

# bats test_tags=v2
@test "the OOM killer takes a keeper last, and what comes out of it like any other task" {
	was=$(score "$(role monitor)")
	echo 300 >"/proc/$(role monitor)/oom_score_adj"
	sandboxctl template retire --all
	unparked
	task=$(detached python "$FOREVER" --start fork --policy unparked)
	cold=$(detached python "$FOREVER" --start cold --policy unparked)
	wait_until "$PATIENCE" log_has "$task" ready
	wait_until "$PATIENCE" log_has "$cold" ready
	# Without CAP_SYS_RESOURCE the score cannot be below zero.
	want=$( (echo -999 >/proc/self/oom_score_adj) 2>/dev/null && echo -999 || echo 0)
	[ "$(score "$(keeper "$id")")" = "$want" ]
	[ "$(score "$(payload "$task")") $(score "$(payload "$cold")")" = "500 500" ]
	for one in "$task" "$cold"; do
		[ "$(score "$(grep -lsz "^sandboxd: init of $one" /proc/[0-9]*/cmdline | cut -d / -f 3)")" = 300 ]
		sandboxctl cancel --force "$one"
		sandboxctl wait "$one" || true
	done
	echo "$was" >"/proc/$(role monitor)/oom_score_adj"
	sandboxctl template retire --all
}

@test "a keeper that is slow, and is asked for 48 at a time, is not taken for a silent one" {
	unparked
	slow "$id"
	tasks=()
	# More requests than a socket of the usual size holds; this one holds them.
	for _ in {1..48}; do
		tasks+=("$(detached python 'print("right")' --start fork --policy unparked)")
	done
	for task in "${tasks[@]}"; do
		[ "$(sandboxctl wait "$task")" = 0 ]
		[ "$(inspect "$task" .start.mode)" = fork ] || fail "$(inspect "$task" .warning)"
	done
	sandboxctl template retire "$id"
}
