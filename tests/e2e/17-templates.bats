#!/usr/bin/env bats
# bats file_tags=v2-all
# Templates: what tasks are forked from is listed, retired, and made again by need.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon
load templates

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
	# Its parked clones have ended with it.
	wait_until "$PATIENCE" templates 'all(.[]; .parked == 0)'
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

# bats test_tags=v2
@test "fork.parked of 0: nothing waits, and a fork is made when it is asked for" {
	unparked
	[ "$(parked unparked)" = 0 ]
	ready 0 unparked
}

# waited [OPTION...]: the process of a new task was there before the task was.
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

# waiting FILE...: prints these files of the cgroups of all parked clones.
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

# bats test_tags=v2
@test "what waits for a task is one process and its init, with a hundredth of a processor and 64 MiB" {
	wait_until "$PATIENCE" forked
	wait_until "$PATIENCE" quiet
	# A clone that has a task has the task's limits.
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

# retired_with_task: retires a template that has a task which runs as long as the test.
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
	policies_refused <<-'EOT'
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
		: what? (ls, inspect, retire)
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
