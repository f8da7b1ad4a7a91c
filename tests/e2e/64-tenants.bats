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

	run python3 "$E2E/openapi.py" tenants "$TOP/supervisor/front/openapi.json" "$(http_url)"
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

@test "tokens are in no log and in no error" {
	TOKEN="${ONE_TOKEN}x" http GET codes
	answered 401
	[[ $body != *"$ONE_TOKEN"* ]]
	run ! grep -rqF -e "$ONE_TOKEN" -e "$OPERATOR_TOKEN" "$WORK/log" "$STATE/front"
}
