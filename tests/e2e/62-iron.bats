#!/usr/bin/env bats
# IronWorker's REST API, /2, in the forms that its own clients send: the Ruby CLI, the Python client
# and the Go client.
# shellcheck disable=SC2154 # code and body are set by http
load daemon
load http

ID='^[0-9a-f]{24}$'
ZERO=0001-01-01T00:00:00Z

@test "the project: id and name, as the Ruby and Go CLIs ask first" {
	http GET ''
	answered 200
	[ "$body" = "{\"id\":\"$ONE\",\"name\":\"one\"}" ]
	[ "$(ask "/2/{}?oauth=$ONE_TOKEN")" = 200 ]
	[ "$(cat body)" = "$body" ]
}

@test "upload, list, show, revisions, download, stats, delete" {
	code_make life <<<'print(1)'
	answered 200 'Upload successful.'
	id=$(get .id)
	[[ $id =~ $ID ]]
	[ "$(get .rev)" = 1 ]
	cp life.zip first.zip
	code_make life '{"config": "{\"a\":1}", "max_concurrency": 3, "retries": 2, "retries_delay": 5}' <<<'print(2)'
	[ "$(get .id)" = "$id" ]
	[ "$(get .rev)" = 2 ]

	http GET "codes/$id"
	answered 200
	[ "$(get '[.id, .project_id, .name, .runtime, .rev, .max_concurrency, .retries, .retries_delay, .config, .image, .file_name] | join(" ")')" = \
		"$id $ONE life python 2 3 2 5 {\"a\":1} python life.py" ]
	[ "$(get .latest_checksum)" = "$(sha256sum <life.zip | cut -d' ' -f1)" ]
	[[ $(get .latest_history_id) =~ $ID ]]
	[[ $(get .latest_change) =~ ^20[0-9-]+T[0-9:.]+Z$ ]]
	http GET codes
	[ "$(get '.codes[0].id')" = "$id" ]

	http GET "codes/$id/revisions"
	[ "$(get '[.revisions[].rev] | join(" ")')" = '2 1' ]
	http GET "codes/$id/download"
	answered 200
	cmp body life.zip
	[[ $(header Content-Type) == application/zip* ]]
	http GET "codes/$id/download?revision=1"
	cmp body first.zip
	http GET "codes/$id/download?revision=3"
	answered 404
	http GET "codes/$id/download?revision=x"
	answered 400
	said revision

	task=$(queue life)
	ends "$task" complete
	http GET "codes/$id/stats"
	[ "$(get '[.complete, .queued, .running, .error] | join(" ")')" = '1 0 0 0' ]
	http DELETE "codes/$id"
	answered 200 Deleted
	http GET "codes/$id"
	answered 404
	http GET "codes/$id/download"
	answered 404
}

@test "lists: 30 by default, 100 at most, pages from 0" {
	code_make pages <<<'pass'
	jq -cn '{tasks: [range(35) | {code_name: "pages", label: "p\(.)", delay: 3600}]}' >many.json
	http POST tasks -d @many.json
	[ "$(get '.tasks | length')" = 35 ]
	http GET 'tasks?code_name=pages'
	[ "$(get '.tasks | length')" = 30 ]
	[ "$(get '.tasks[0].label')" = p34 ]
	http GET 'tasks?code_name=pages&page=1'
	[ "$(get '[.tasks[].label] | join(" ")')" = 'p4 p3 p2 p1 p0' ]
	http GET 'tasks?code_name=pages&per_page=0'
	[ "$(get '.tasks | length')" = 1 ]
	http GET 'tasks?code_name=pages&per_page=1000'
	[ "$(get '.tasks | length')" = 35 ]
	http GET 'tasks?code_name=pages&page=3&per_page=10'
	[ "$(get '.tasks | length')" = 5 ]
	http GET 'tasks?code_name=pages&label=p7'
	[ "$(get '[.tasks[].label] | join(" ")')" = p7 ]
	http GET 'tasks?code_name=pages&queued=1'
	[ "$(get '.tasks | length')" = 30 ]
	http GET 'tasks?code_name=pages&complete=1&running=1'
	[ "$(get '.tasks | length')" = 0 ]
	http GET "tasks?code_name=pages&from_time=$(($(date +%s) + 1000))"
	[ "$(get '.tasks | length')" = 0 ]
	http GET "tasks?code_name=pages&to_time=$(($(date +%s) + 1000))"
	[ "$(get '.tasks | length')" = 30 ]
	for wrong in page=-1 page=x per_page=-2 from_time=now; do
		http GET "tasks?$wrong"
		answered 400
		said "${wrong%=*}: must be"
	done
	http GET 'codes?per_page=1'
	[ "$(get '.codes | length')" = 1 ]
}

@test "a task: its shape, its payload, its log, and nothing of a schedule" {
	code_make shape <<-'EOT'
		import os, sys
		print(open(os.environ["PAYLOAD_FILE"]).read())
		print("to stderr", file=sys.stderr)
	EOT
	# The Go client's form.
	task=$(queue shape '{"payload": "{\"n\": 1}", "priority": -3, "timeout": 0, "delay": 0, "cluster": null, "label": null}')
	ends "$task" complete
	[ "$(get '[.id, .project_id, .code_name, .payload, .priority, .timeout, .delay, .percent, .label, .cluster, .code_rev] | map(tostring) | join("|")')" = \
		"$task|$ONE|shape|{\"n\": 1}|0|3600|0|0|||1" ]
	[[ $(get .code_id) =~ $ID ]]
	[[ $(get .code_history_id) =~ $ID ]]
	[ "$(get '.code_rev | type')" = string ]
	[ "$(get '.duration | type')" = number ]
	for key in created_at updated_at start_time end_time; do
		[[ $(get .$key) =~ ^20[0-9-]+T[0-9:.]+Z$ ]]
	done
	[ "$(get '[keys[] | select(IN("start_at", "end_at", "next_start", "last_run_time", "run_count", "run_every"))] | length')" = 0 ]

	http GET "tasks/$task/log"
	answered 200
	[[ $(header Content-Type) == text/plain* ]]
	[[ $body == *'{"n": 1}'* ]]
	[[ $body == *'to stderr'* ]]
	http GET "tasks/$task/outlog"
	[ "$body" = '{"n": 1}' ]
	http GET tasks
	[ "$(get '.tasks[0].payload == null')" = true ]
}

@test "a task that waits: no log, zero times, progress, cancel; cancel once more is no error" {
	code_make waits <<<pass
	task=$(queue waits '{"delay": 3600, "priority": 2, "timeout": 60, "label": "l", "cluster": "c"}')
	for path in log outlog; do
		http GET "tasks/$task/$path"
		answered 404
		said 'no log yet'
	done
	http GET "tasks/$task"
	[ "$(get '[.status, .start_time, .end_time, .delay, .priority, .timeout, .label, .cluster] | map(tostring) | join(" ")')" = \
		"queued $ZERO $ZERO 3600 2 60 l c" ]
	http POST "tasks/$task/progress" -d '{"percent": 40, "msg": "nearly half"}'
	answered 200 'Progress set'
	http GET "tasks/$task"
	[ "$(get '"\(.percent) \(.msg)"')" = '40 nearly half' ]
	http POST "tasks/$task/progress" -d '{"percent": 140}'
	answered 400
	said percent
	http POST "tasks/$task/cancel" -d ''
	answered 200 Cancelled
	ends "$task" cancelled
	http POST "tasks/$task/cancel"
	answered 200 Cancelled
}

@test "pause and resume: a paused code shows max_concurrency -1 and starts nothing" {
	code_make pauses '{"max_concurrency": 4}' <<<'print("ran")'
	id=$(get .id)
	http POST "codes/$id/pause_task_queue"
	answered 200 Paused
	http POST "codes/$id/pause_task_queue"
	answered 200 'Already paused'
	http GET "codes/$id"
	[ "$(get .max_concurrency)" = -1 ]
	task=$(queue pauses)
	code_make unpaused <<<'print("other")'
	ends "$(queue unpaused)" complete
	is "$task" queued
	http POST "codes/$id/resume_task_queue"
	answered 200 Resumed
	http POST "codes/$id/resume_task_queue"
	answered 200 'Already resumed'
	ends "$task" complete
	http GET "codes/$id"
	[ "$(get .max_concurrency)" = 4 ]
}

@test "cancel_all: what waits of a code, and of no other" {
	code_make all <<<pass
	id=$(get .id)
	code_make other <<<pass
	other=$(queue other '{"delay": 3600}')
	http POST tasks -d '{"tasks": [{"code_name": "all", "delay": 3600}, {"code_name": "all", "delay": 3600}]}'
	mapfile -t tasks < <(get '.tasks[].id')
	http POST "codes/$id/cancel_all"
	answered 200 Cancelled
	ends "${tasks[0]}" cancelled
	ends "${tasks[1]}" cancelled
	is "$other" queued
}

@test "retry: a new task that names the first" {
	code_make fails <<<'import sys; sys.exit(3)'
	task=$(queue fails '{"payload": "again"}')
	ends "$task" error
	[ "$(get .msg)" = 'exit status 3' ]
	http POST "tasks/$task/retry" -d '{"delay": 1000}'
	answered 200 'Queued up'
	next=$(get '.tasks[0].id')
	http GET "tasks/$next"
	[ "$(get '[.status, .payload, .original_task_id, .delay] | map(tostring) | join(" ")')" = "queued again $task 1000" ]
	http GET "tasks/$task"
	[ "$(get .retry_task_id)" = "$next" ]
	http POST "tasks/$next/retry"
	answered 409
}

@test "webhook: the raw body is the payload" {
	code_make hook <<<'import os; print(open(os.environ["PAYLOAD_FILE"]).read(), end="")'
	printf 'a=1&b="\n\303\244' >raw
	http POST 'tasks/webhook?code_name=hook&priority=1' --data-binary @raw -H 'Content-Type: application/x-www-form-urlencoded'
	answered 200 'Queued up.'
	task=$(get .id)
	ends "$task" complete
	[ "$(get .priority)" = 1 ]
	http GET "tasks/$task/outlog"
	cmp body raw
	http POST 'tasks/webhook' -d x
	answered 400
	said code_name
	http POST 'tasks/webhook?code_name=none' -d x
	answered 404
	head -c 65537 /dev/zero | tr '\0' x >big
	http POST 'tasks/webhook?code_name=hook' --data-binary @big
	answered 413
	said 65536
	printf 'a\0b' >nul
	http POST 'tasks/webhook?code_name=hook' --data-binary @nul
	answered 400
}

@test "sync: the answer comes with the task's end, after its retries" {
	code_make later '{"retries": 1}' <<-'EOT'
		import os, sys
		sys.exit(0 if os.environ["TASK_ATTEMPT"] == "2" else 1)
	EOT
	http POST tasks -d '{"tasks": [{"code_name": "later", "sync": true}]}'
	answered 200 'Queued up'
	task=$(get '.tasks[0].id')
	[ "$(get '.tasks[0].status')" = complete ]
	is "$(get '.tasks[0].id')" error
	[ "$(get .id)" = "$task" ]
	is "$(get .retry_task_id)" complete
}

@test "out of memory: IronWorker's words, with the task's own limit" {
	code_make oom <<-'EOT'
		x = bytearray(1 << 30)
		for i in range(0, len(x), 4096):
		    x[i] = 1
	EOT
	task=$(queue oom)
	ends "$task" error
	[ "$(get .msg)" = 'ERROR: WORKER RAM LIMIT EXCEEDED (320M)' ]
}

@test "all of a request's tasks, or none" {
	code_make batch <<<pass
	http GET 'tasks?code_name=batch'
	[ "$(get '.tasks | length')" = 0 ]
	http POST tasks -d '{"tasks": [{"code_name": "batch"}, {"code_name": "batch", "priority": 3}]}'
	answered 400
	said 'tasks[1].priority'
	http POST tasks -d '{"tasks": [{"code_name": "batch"}, {"code_name": "none"}]}'
	answered 404
	said 'tasks[1].code_name'
	for wrong in '' '{' '[]' '{"tasks": {}}' '{"tasks": [{"code_name": "batch"}]} x'; do
		http POST tasks -d "$wrong"
		answered 400
	done
	http POST tasks -d "$(jq -cn '{tasks: [{code_name: "batch", payload: ("x" * 65537)}]}')"
	answered 400
	said 'tasks[0].payload'
	http GET 'tasks?code_name=batch'
	[ "$(get '.tasks | length')" = 0 ]
}

@test "what is not there: 404, for every id" {
	for path in codes/$TWO codes/x codes/$TWO/revisions codes/$TWO/stats tasks/$TWO tasks/x tasks/$TWO/log schedules/$TWO; do
		http GET "$path"
		answered 404
		[ "$(get '.msg | type')" = string ]
	done
	for path in codes/$TWO/cancel_all tasks/$TWO/cancel tasks/$TWO/retry schedules/$TWO/cancel; do
		http POST "$path"
		answered 404
	done
}

@test "stacks are the images" {
	http GET /2/stacks
	answered 200
	[ "$(get 'index("python") != null')" = true ]
	code_make stacked '{"image": null, "stack": "python"}' <<<'print(1)'
	ends "$(queue stacked)" complete
}

@test "schedules: made, shown, changed, cancelled" {
	code_make plan <<<pass
	http POST schedules -d '{"schedules": [{"code_name": "plan", "payload": "p", "start_at": "2037-01-02T03:04:05Z", "end_at": "2038-01-02 03:04:05 -0700", "run_every": 3600, "run_times": 7, "priority": 1}]}'
	answered 200 Scheduled
	id=$(get '.schedules[0].id')
	[[ $id =~ $ID ]]
	http GET "schedules/$id"
	[ "$(get '[.id, .project_id, .code_name, .status, .start_at, .end_at, .run_every, .run_times, .run_count, .last_run_time, .payload, .priority] | map(tostring) | join(" ")')" = \
		"$id $ONE plan scheduled 2037-01-02T03:04:05Z 2038-01-02T10:04:05Z 3600 7 0 $ZERO p 1" ]
	http GET schedules
	[ "$(get '.schedules[0].id')" = "$id" ]
	http PUT "schedules/$id" -d '{"run_times": 9}'
	answered 200 Updated
	http GET "schedules/$id"
	[ "$(get '[.run_times, .run_every, .payload] | map(tostring) | join(" ")')" = '9 3600 p' ]
	http PUT "schedules/$id" -d '{"run_every": 5}'
	answered 400
	said run_every
	http POST "schedules/$id/cancel"
	answered 200 Cancelled
	http GET "schedules/$id"
	[ "$(get .status)" = cancelled ]
	http POST "schedules/$id/cancel"
	answered 200 Cancelled
	http POST schedules -d '{"schedules": [{"code_name": "plan", "run_every": 59}]}'
	answered 400
	said 'schedules[0].run_every'
	http POST schedules -d '{"schedules": [{"code_name": "none", "run_every": 60}]}'
	answered 404
}
