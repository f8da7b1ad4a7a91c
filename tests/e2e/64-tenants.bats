#!/usr/bin/env bats
# Every endpoint that openapi.json describes, with the wrong project's token, with none, and with
# the right token and another project's ids: nothing is told, and nothing changes.
# shellcheck disable=SC2154 # code and body are set by http
load daemon
load http

@test "the tenant matrix" {
	code_make secret <<<'print("secret")'
	CODE=$(get .id)
	TASK=$(queue secret '{"delay": 3600, "payload": "secret"}')
	http POST schedules -d '{"schedules": [{"code_name": "secret", "start_at": "2037-01-01T00:00:00Z"}]}'
	SCHEDULE=$(get '.schedules[0].id')
	export CODE TASK SCHEDULE
	http GET "codes/$CODE"
	before=$body
	http GET "tasks/$TASK"
	before+=$body
	http GET "schedules/$SCHEDULE"
	before+=$body

	run python3 "$E2E/openapi.py" tenants "$TOP/supervisor/front/api/openapi.json" "$(http_url)"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output != *secret* ]]

	http GET "codes/$CODE"
	after=$body
	http GET "tasks/$TASK"
	after+=$body
	http GET "schedules/$SCHEDULE"
	after+=$body
	[ "$before" = "$after" ]
}

@test "an operator's token is good for every project" {
	export TOKEN=$OPERATOR_TOKEN
	for project in "$ONE" "$TWO"; do
		http GET "/2/projects/$project/codes"
		answered 200
		http GET "/api/projects/$project/tasks"
		answered 200
	done
	http GET "/2/projects/$(printf 'f%.0s' {1..24})/codes"
	answered 404
}

@test "workers name what the operator allows: when uploaded, queued, scheduled, and when they start" {
	local late

	upload() {
		http POST codes -F "data={\"name\": \"out\", \"command\": \"true\", $1}"
	}
	upload '"image": "python", "policy": "network"'
	answered 403
	said 'data: policy: workers of the project one may not name "network"'
	said 'sandboxctl project quota one policies=...); they may name default,strict'
	TOKEN=$OPERATOR_TOKEN upload '"image": "python", "policy": "network"'
	answered 403
	sandboxctl project quota one policies=default,network images=python
	upload '"image": "python", "policy": "strict"'
	answered 403
	cp -P "$STATE/images/by-name/python" "$STATE/images/by-name/other"
	TOKEN=$OPERATOR_TOKEN http GET /2/stacks
	[ "$(get 'join(" ")')" = 'other python' ]
	http GET /2/stacks
	[ "$(get 'join(" ")')" = python ]
	rm "$STATE/images/by-name/other"
	upload '"image": "nothing"'
	answered 403
	said 'data: image: workers of the project one may not name "nothing"'
	upload '"image": "python", "policy": "network"'
	answered 200
	http POST "codes/$(get .id)/pause_task_queue"
	late=$(queue out)

	# Policies that are taken from a project are refused to its waiting tasks too, and to all that
	# would come.
	sandboxctl project quota one policies=default,strict
	http POST tasks -d '{"tasks": [{"code_name": "out"}]}'
	answered 403
	said 'policy: workers of the project one may not name "network"'
	http POST schedules -d '{"schedules": [{"code_name": "out", "run_every": 60}]}'
	answered 403
	said 'may not name "network"'
	http POST "codes/$(rest GET codes | jq -r '.codes[] | select(.name == "out") | .id')/resume_task_queue"
	ends "$late" error
	[[ $(sandboxctl inspect "$late" --json | jq -r .error) == 'policy: workers of the project one may not'* ]]
	http POST "tasks/$late/retry" -d ''
	answered 403
	# An operator may name any policy.
	[ "$(sandboxctl run python --project one --policy network --code 'print(1)')" = 1 ]
	sandboxctl project quota one images='*'
}

@test "an image's own policy is judged too" {
	sandboxctl project quota two policies=strict
	PROJECT=TWO http POST codes -F 'data={"name": "c", "image": "python", "command": "true"}'
	answered 403
	said 'policy: workers of the project two may not name "default"'
	PROJECT=TWO http POST codes -F 'data={"name": "c", "image": "python", "command": "true", "policy": "strict"}'
	answered 200
	# The same when the list is changed after the upload.
	sandboxctl project quota two policies=default,strict
	PROJECT=TWO http POST codes -F 'data={"name": "late", "image": "python", "command": "true"}'
	answered 200
	sandboxctl project quota two policies=strict
	PROJECT=TWO http POST tasks -d '{"tasks": [{"code_name": "late"}]}'
	answered 403
	said 'the worker late: policy: workers of the project two may not name "default"'
	PROJECT=TWO http POST schedules -d '{"schedules": [{"code_name": "late", "run_every": 60}]}'
	answered 403
	said 'policy: workers of the project two may not name "default"'
	sandboxctl project quota two policies=default,strict
}

@test "logs beyond what a project may keep: the oldest go, and their tasks stay and say so" {
	local task tasks=()

	log_removed() {
		[ "$(sandboxctl inspect "$1" --json | jq .log.removed)" = true ]
	}
	# log_away TASK: the logger was asked to remove the log, and has.
	log_away() {
		[ -z "$(find "$STATE/logs" -name "$1")" ]
	}
	sandboxctl project quota one kept_log_bytes=256K
	code_make talks <<<'print("x" * 60000)'
	for _ in {1..5}; do
		task=$(queue talks)
		ends "$task" complete
		tasks+=("$task")
	done
	# Each log takes 60 KiB, with its index and folder: three of five have room.
	wait_until "$PATIENCE" log_removed "${tasks[1]}"
	http GET "tasks/${tasks[0]}/log"
	answered 404 'Not found: what this task has printed is kept no longer'
	http GET "/api/{}/tasks/${tasks[0]}/events"
	answered 404
	said 'project keeps 256K of them'
	refused 'quota "kept_log_bytes"' logs "${tasks[0]}"
	[ "$(sandboxctl inspect "${tasks[0]}" --json | jq -c '.log | [.lines, .bytes]')" = '[1,60001]' ]
	wait_until "$PATIENCE" log_away "${tasks[0]}"
	http GET "tasks/${tasks[4]}/log"
	[ "${#body}" -ge 60000 ]
	[ "$(sandboxctl project inspect one --json | jq '.log_bytes <= 262144 and .log_bytes > 180000')" = true ]

	# A new front counts anew and comes to the same result.
	kill -KILL "$(role front)"
	wait_until "$PATIENCE" sandboxctl version
	[ "$(sandboxctl project inspect one --json | jq '.log_bytes <= 262144 and .log_bytes > 180000')" = true ]
	sandboxctl project quota one kept_log_bytes=64K
	wait_until "$PATIENCE" log_removed "${tasks[4]}"
	wait_until "$PATIENCE" log_away "${tasks[4]}"
	sandboxctl project quota one kept_log_bytes=1G
}

@test "tokens are in no log and in no error" {
	TOKEN="${ONE_TOKEN}x" http GET codes
	answered 401
	[[ $body != *"$ONE_TOKEN"* ]]
	run ! grep -rqF -e "$ONE_TOKEN" -e "$OPERATOR_TOKEN" "$WORK/log" "$STATE/front"
}
