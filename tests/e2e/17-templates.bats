#!/usr/bin/env bats
# bats file_tags=v2
# Templates: what tasks are forked from is listed, retired, and made again by need.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

setup_file() {
	WARM=1 daemon_make
}

# templates JQ: of the list of all.
templates() {
	sandboxctl template ls --json | jq -e "$1"
}

# forked [OPTION...]: a task came out of a template.
forked() {
	sandboxctl run python --start fork --label forked "$@" --code 'print("right")' >out || return 1
	[ "$(cat out)" = right ] && [ "$(mode forked)" = fork ]
}

# ready PARKED [POLICY]: a template waits, with this many clones.
ready() {
	templates "any(.[]; .state == \"ready\" and .image == \"python\" and
		.policy == \"${2:-default}\" and .parked == $1)"
}

# id_ready: the id of the template of the image python under the default policy.
id_ready() {
	sandboxctl template ls --json |
		jq -er 'map(select(.state == "ready" and .policy == "default"))[0].id'
}

parked() {
	sandboxctl policy show "$1" --json | jq .fork.parked
}

@test "after image warm, a task that asks for a fork gets one" {
	wait_until "$PATIENCE" forked
	run --separate-stderr sandboxctl run python --start fork --label quiet --code 'print("right")'
	[ "$status" = 0 ]
	[ "$output" = right ]
	[ "$(mode quiet)" = fork ]
	[ -z "$stderr" ]
	[ "$(inspect "$(id_of quiet)" .start.requested)" = fork ]
	[ "$(inspect "$(id_of quiet)" .warning)" = null ]
	[[ $(sandboxctl inspect "$(id_of quiet)") == *"start        fork, "* ]]
}

@test "auto takes a fork where there is a template" {
	wait_until "$PATIENCE" forked
	sandboxctl run python --label auto --code 'print(1)'
	[ "$(mode auto)" = fork ]
}

@test "task.json may ask for it, and the other modes are still to be had" {
	wait_until "$PATIENCE" forked
	echo '{"code": "print(1)", "start": "fork"}' >task.json
	sandboxctl run python task.json --label file
	[ "$(mode file)" = fork ]
	for start in cold restore; do
		sandboxctl run python task.json --label "$start" --start "$start"
		[ "$(mode "$start")" = "$start" ]
	done
}

@test "template ls shows it ready, with the policy's number of parked clones" {
	wait_until "$PATIENCE" forked
	wait_until "$PATIENCE" ready "$(parked default)"
	run sandboxctl template ls
	[ "$status" = 0 ]
	[[ ${lines[0]} == ID*IMAGE*POLICY*STATE*PARKED*RUNNING*FORKS*MEMORY*USED*WARM ]]
	[[ ${lines[1]} == "$(id_ready)"*python*default*ready* ]]
	sandboxctl template ls --json | jq -e --arg digest "$(sandboxctl image inspect python --json | jq -r .digest)" '
		map(select(.state == "ready"))[0] |
		(.id | test("^[0-9a-f]{12}$")) and .image_digest == $digest and
		(.checkpoint | test("^[0-9a-f]{64}$")) and (.warm | type) == "array" and .running == 0 and
		.forks > 0 and .memory_bytes > 100000 and
		(.created_at | test("^[0-9-]{10}T[0-9:]{8}[.][0-9]+Z$")) and .used_at > .created_at'
}

@test "a task that runs is counted, and its end too" {
	wait_until "$PATIENCE" forked
	before=$(templates '[.[].forks] | add')
	id=$(detached python "$FOREVER" --start fork)
	wait_until "$PATIENCE" log_has "$id" ready
	templates '[.[].running] | add == 1'
	[ "$(templates '[.[].forks] | add')" = $((before + 1)) ]
	sandboxctl cancel --force "$id"
	sandboxctl wait "$id" || true
	wait_until "$PATIENCE" templates '[.[].running] | add == 0'
}

@test "template inspect, by an id or the first characters of one" {
	wait_until "$PATIENCE" forked
	id=$(id_ready)
	[ "$(sandboxctl template inspect --json "$id" | jq -r .id)" = "$id" ]
	run sandboxctl template inspect "${id:0:11}"
	[ "$status" = 0 ]
	[[ $output == *"$id"*python*default*ready*parked* ]]
}

@test "retire takes it away, its tasks go on, and the next task still works" {
	wait_until "$PATIENCE" forked
	id=$(id_ready)
	task=$(detached python "$GATE"'
print("ready", flush=True)
gate()
print("went on")' --start fork)
	wait_until "$PATIENCE" log_has "$task" ready
	run sandboxctl template retire "$id"
	[ "$status" = 0 ]
	[[ $output == *"$id"*retired* ]]
	templates "all(.[]; .id != \"$id\" or (.state == \"retired\" and .parked == 0))"
	run --separate-stderr sandboxctl run python --start fork --label next --code 'print("right")'
	[ "$status" = 0 ]
	[ "$output" = right ]
	grep -lqsz "sandboxd: init of $task" /proc/[0-9]*/cmdline
	signal_task "$task" USR1
	[ "$(sandboxctl wait "$task")" = 0 ]
	log_has "$task" "went on"
	wait_until "$PATIENCE" templates "all(.[]; .id != \"$id\")"
	wait_until "$PATIENCE" forked
	[ "$(id_ready)" != "$id" ]
}

@test "retire --all takes all, and is no error when there is none" {
	wait_until "$PATIENCE" forked
	sandboxctl template retire --all --json | jq -e 'length > 0 and all(.[]; .state == "retired")'
	wait_until "$PATIENCE" templates 'all(.[]; .state != "ready")'
	run sandboxctl template retire --all
	[ "$status" = 0 ]
	# What was parked is gone with it.
	wait_until "$PATIENCE" templates 'all(.[]; .parked == 0)'
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

@test "fork.parked of 0: nothing waits, and a fork is made when it is asked for" {
	jq '.name = "unparked" | .fork = {"parked": 0}' "$TOP/policies/default.json" >unparked.json
	sandboxctl policy install unparked.json
	[ "$(parked unparked)" = 0 ]
	sandboxctl image warm python --policy unparked
	wait_until "$PATIENCE" forked --policy unparked
	ready 0 unparked
}

# slow ID: a template's keeper has so little of a processor from now on that a clone takes it a
# few tenths of a second, whatever the machine.
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

# unparked: a template whose clones are made when they are asked for, in $id.
unparked() {
	jq '.name = "unparked" | .fork = {"parked": 0}' "$TOP/policies/default.json" >unparked.json
	sandboxctl policy install unparked.json
	sandboxctl image warm python --policy unparked
	wait_until "$PATIENCE" forked --policy unparked
	id=$(sandboxctl template ls --json |
		jq -er 'map(select(.state == "ready" and .policy == "unparked"))[0].id')
}

# keeper ID: its pid, as this machine sees it.
keeper() {
	local pid

	for pid in $(find /sys/fs/cgroup -path "*/$GROUP/template-$1/cgroup.procs" -exec cat {} + | sort -un); do
		[[ $(tr '\0' ' ' <"/proc/$pid/cmdline") != 'sandboxd: template'* ]] || { echo "$pid" && return; }
	done
	return 1
}

@test "a keeper that is silent is not asked any more, and its tasks are restored" {
	unparked
	stopped=$(keeper "$id")
	kill -STOP "$stopped"
	run --separate-stderr sandboxctl run python --policy unparked --start fork --code 'print("right")'
	kill -CONT "$stopped"
	[ "$status $output" = "0 right" ]
	[[ $stderr == *"restored: the template was retired"* ]]
	templates "all(.[]; .id != \"$id\" or .state == \"retired\")"
}

# hangs: tasks of a template whose keeper is stopped: one that has printed and ended, one that runs.
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

# ends ID: exit status, status and verdict of a task, when it has ended.
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

# score PID: its place in the OOM killer's list.
score() {
	cat "/proc/$1/oom_score_adj"
}

@test "the OOM killer takes a keeper last, and what comes out of it like any other task" {
	was=$(score "$(role monitor)")
	echo 300 >"/proc/$(role monitor)/oom_score_adj"
	sandboxctl template retire --all
	unparked
	task=$(detached python "$FOREVER" --start fork --policy unparked)
	cold=$(detached python "$FOREVER" --start cold --policy unparked)
	wait_until "$PATIENCE" log_has "$task" ready
	wait_until "$PATIENCE" log_has "$cold" ready
	# Without CAP_SYS_RESOURCE it may not be below zero.
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

@test "a keeper that is slow, and is asked for many at a time, is not taken for a silent one" {
	unparked
	slow "$id"
	tasks=()
	# No more than wait in its socket.
	for _ in {1..22}; do
		tasks+=("$(detached python 'print("right")' --start fork --policy unparked)")
	done
	for task in "${tasks[@]}"; do
		[ "$(sandboxctl wait "$task")" = 0 ]
		[ "$(inspect "$task" .start.mode)" = fork ] || fail "$(inspect "$task" .warning)"
	done
	sandboxctl template retire "$id"
}

# waited [OPTION...]: the process of a new task was there before the task.
waited() {
	local now began

	read -r now _ </proc/uptime
	began=$(sandboxctl run python --start fork "$@" --code 'import os
print(int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK"))')
	[ "$(jq -n "$began < $now - 0.01")" = true ]
}

both_waited() {
	waited && waited --memory 128M
}

@test "clones wait for what the last tasks were like, for two kinds in turn too" {
	wait_until "$PATIENCE" forked
	wait_until "$PATIENCE" both_waited
	wait_until "$PATIENCE" both_waited
	wait_until "$PATIENCE" ready "$(parked default)"
}

# waiting FILE...: these files of all groups of clones that wait.
waiting() {
	local names=() file

	for file; do
		names+=(-o -name "$file")
	done
	find /sys/fs/cgroup -path "*/$GROUP/parked-*/*" \( "${names[@]:1}" \) -exec cat {} +
}

quiet() {
	[ "$(waiting pids.max | sort -u)" = 2 ] &&
		[[ $(waiting cpu.cfs_quota_us cpu.max | sort -u) == 1000* ]] &&
		[ "$(waiting memory.limit_in_bytes memory.max | sort -u)" = $((64 << 20)) ]
}

@test "what waits for a task is one process and its init, with a hundredth of a processor and 64 MiB" {
	wait_until "$PATIENCE" forked
	wait_until "$PATIENCE" quiet
	# With a task it has what that has.
	waited
	sandboxctl run python --start fork --label bounds --memory 300M --code 'import os, threading, time
x = bytearray(200 << 20)
threads = [threading.Thread(target=time.sleep, args=(.01,)) for _ in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
print("room")' >out
	[ "$(cat out)" = room ]
	[ "$(mode bounds)" = fork ]
}

# retired_with_task: a template that goes has a task that runs for as long as the test.
retired_with_task() {
	wait_until "$PATIENCE" forked
	held+=("$(detached python 'import signal
signal.pause()' --start fork --label "held-${#held[@]}")")
	wait_until "$PATIENCE" mode_is "held-$((${#held[@]} - 1))" fork
	sandboxctl template retire --all >/dev/null
}

mode_is() {
	[ "$(mode "$1")" = "$2" ]
}

@test "templates that are gone but for their tasks take no room from others" {
	held=()
	jq '.name = "other"' "$TOP/policies/default.json" >other.json
	sandboxctl policy install other.json
	sandboxctl image warm python --policy other
	for _ in {1..16}; do
		retired_with_task
	done
	templates '[.[] | select(.state == "retired")] | length >= 16'
	both_ready() {
		sandboxctl run python --start fork --code 'print(1)' && sandboxctl run python --start fork --policy other --code 'print(1)' &&
			templates '[.[] | select(.state == "ready") | .policy] | contains(["default", "other"])'
	}
	wait_until "$PATIENCE" both_ready
	for task in "${held[@]}"; do
		sandboxctl cancel --force "$task"
	done
	wait_until "$PATIENCE" templates 'all(.[]; .state != "retired")'
}

@test "fork.parked: what is wrong is refused with its path" {
	local edit want
	while IFS='|' read -r edit want; do
		jq "$edit" "$TOP/policies/default.json" >bad.json
		run --separate-stderr sandboxctl policy check bad.json
		echo "$edit -> $status $stderr"
		[ "$status" = 125 ]
		[[ $stderr == *"$want"* ]]
	done <<-'EOT'
		.fork = 4|fork: must be an object
		.fork.parked = 9|fork.parked: must be from 0 to 8
		.fork.parked = "4"|fork.parked
		.fork.ahead = 4|fork.ahead: unknown key
	EOT
	[[ $(sandboxctl policy ls) == *PARKED* ]]
}

@test "an unknown template is refused, and named" {
	for words in "inspect 000000000000" "retire 000000000000" "retire nosuch" "inspect nosuch"; do
		# shellcheck disable=SC2086 # several words
		run --separate-stderr sandboxctl template $words
		[ "$status" = 125 ]
		[ -z "$output" ]
		[[ $stderr == *"${words#* }"* ]]
	done
}

@test "a wrong command line is 125 and says what is wrong" {
	local words
	while read -r words; do
		# shellcheck disable=SC2086 # several words
		run --separate-stderr sandboxctl template ${words%%:*}
		echo "$words -> $status $stderr"
		[ "$status" = 125 ]
		[ -z "$output" ]
		[[ $stderr == *"${words##*: }"* ]]
	done <<-'EOT'
		: needs a word more
		frob : no 'frob'
		ls me : takes no argument: 'me'
		inspect : names no template
		inspect --frob : no option '--frob'
		retire : takes ids, or --all alone
		retire --all abcd : takes ids, or --all alone
		retire --frob : no option --frob
	EOT
	run sandboxctl help template
	[ "$status" = 0 ]
	[[ $output == *"sandboxctl template ls"* ]]
	grep -q '^  template ' <(sandboxctl help)
}

@test "without a daemon: 125, and the socket is named" {
	for words in ls "inspect abcd" "retire abcd" "retire --all"; do
		# shellcheck disable=SC2086 # several words
		run --separate-stderr sandboxctl --socket "$PWD/none" template $words
		[ "$status" = 125 ]
		[ -z "$output" ]
		[[ $stderr == *"$PWD/none"* ]]
	done
}
