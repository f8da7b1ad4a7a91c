#!/usr/bin/env bats
# What scripts may rely on: the task objects of inspect --json and ps --all --json.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

setup_file() {
	WARM=1 daemon_make
}

TIME='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]+Z$'

@test "an ended task has every field, of the right type" {
	id=$(sandboxctl run -d python --code 'print("hi"); raise SystemExit(3)')
	sandboxctl wait "$id" || true
	sandboxctl inspect --json "$id" >"$BATS_TEST_TMPDIR/task"
	jq -e --arg id "$id" --arg time "$TIME" '
		.id == $id and (.project | type) == "string" and .image == "python" and
		.status == "error" and .exit_code == 3 and .signal == null and .verdict == "exit" and
		([.created_at, .started_at, .finished_at] | all(test($time))) and
		.created_at < .started_at and .started_at < .finished_at and
		(.start.mode | IN("cold", "restore", "fork")) and (.start.ms > 0) and
		(.usage.cpu_ms > 0) and (.usage.memory_peak_bytes > 100000) and
		.log == {"lines": 1, "bytes": 3, "dropped": 0, "removed": false}' "$BATS_TEST_TMPDIR/task"
}

@test "a running task has null where nothing is known yet" {
	id=$(detached python "$FOREVER")
	wait_until "$PATIENCE" log_has "$id" ready
	sandboxctl inspect --json "$id" | jq -e '
		.status == "running" and .exit_code == null and .signal == null and
		.finished_at == null and (.verdict == null or .verdict == "") and
		(.started_at | type) == "string" and (.start.ms | type) == "number"'
	sandboxctl cancel --force "$id"
	sandboxctl wait "$id" || true
}

@test "a signal is named" {
	id=$(sandboxctl run -d python --code 'import os; os.abort()')
	sandboxctl wait "$id" || true
	[ "$(inspect "$id" '[.exit_code, .signal, .verdict] | join(" ")')" = "134 6 signal" ]
}

@test "ms is the time in milliseconds from the request to the first user bytecode" {
	id=$(sandboxctl run -d python --code 'pass')
	sandboxctl wait "$id"
	[ "$(inspect "$id" '.start.ms > 0.5 and .start.ms < 60000')" = true ]
}

@test "ps --json has the running tasks, ps --all --json all, newest first" {
	one=$(sandboxctl run -d python --code 'pass' --label one)
	sandboxctl wait "$one"
	two=$(detached python "$FOREVER" --label two)
	wait_until "$PATIENCE" status_is "$two" running
	[ "$(sandboxctl ps --json | jq -r '.[].id')" = "$two" ]
	sandboxctl ps --all --json >"$BATS_TEST_TMPDIR/all"
	[ "$(jq -r '.[0].id' "$BATS_TEST_TMPDIR/all")" = "$two" ]
	[ "$(jq -r '.[1].id' "$BATS_TEST_TMPDIR/all")" = "$one" ]
	jq -e '[.[].created_at] as $t | $t == ($t | sort | reverse)' "$BATS_TEST_TMPDIR/all"
	# The same object as inspect's.
	diff <(jq -S '.[1] | keys' "$BATS_TEST_TMPDIR/all") \
		<(sandboxctl inspect --json "$one" | jq -S 'del(.history) | keys')
	sandboxctl cancel --force "$two"
	sandboxctl wait "$two" || true
}

@test "ps for people: a line a task" {
	id=$(sandboxctl run -d python --label 'a label' --code 'pass')
	sandboxctl wait "$id"
	run sandboxctl ps --all
	[[ ${lines[0]} == ID*IMAGE*STATUS*START*MS*CREATED*VERDICT*LABEL ]]
	[[ ${lines[1]} == "$id"*python*complete*ok*"a label" ]]
	[ "$(sandboxctl ps --all --quiet | head -n 1)" = "$id" ]
}

@test "inspect for people says how it ended" {
	id=$(sandboxctl run -d python --timeout 60 --code 'raise SystemExit(3)')
	sandboxctl wait "$id" || true
	run sandboxctl inspect "$id"
	[ "$status" = 0 ]
	[[ $output == *"$id"* ]]
	[[ $output == *"error, verdict exit, exit status 3"* ]]
	[[ $output == *"ms to the first user bytecode"* ]]
	[[ $output == *"timeout 60"* ]]
}

@test "several tasks: an object a line" {
	one=$(sandboxctl run -d python --code 'pass')
	two=$(sandboxctl run -d python --code 'pass')
	sandboxctl wait "$one" "$two"
	[ "$(sandboxctl inspect --json "$one" "$two" | jq -r .id)" = "$one"$'\n'"$two" ]
	[ "$(sandboxctl wait --json "$one" "$two" | jq -r .exit_code)" = $'0\n0' ]
}

@test "every verb that prints has --json" {
	for words in version ps "image ls" "image inspect python" "policy ls" "policy show default" doctor; do
		# shellcheck disable=SC2086 # several words
		sandboxctl $words --json | jq -e . >/dev/null || [ "$words" = doctor ]
	done
	sandboxctl run -d python --code 'pass' --json | jq -e .id
}
