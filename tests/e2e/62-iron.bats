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
	# In the Go client's form.
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
	# A task can be retried in any state: one that waits, one that runs, one that is cancelled.
	http POST "tasks/$next/retry"
	answered 200 'Queued up'
	code_make runs <<<'import time; time.sleep(1000)'
	task=$(queue runs)
	ends "$task" running
	http POST "tasks/$task/retry" -d '{"delay": 1000}'
	answered 200 'Queued up'
	http GET "tasks/$(get '.tasks[0].id')"
	[ "$(get '[.status, .original_task_id] | join(" ")')" = "queued $task" ]
	http POST "tasks/$task/cancel"
	ends "$task" cancelled
	http POST "tasks/$task/progress" -d '{"percent": 50, "msg": ""}'
	answered 200 'Progress set'
	http POST "tasks/$task/retry" -d '{"delay": 1000}'
	answered 200 'Queued up'
}

@test "cancel by the first id: the attempt that waits is cancelled, and none follows" {
	code_make wrong '{"retries": 3, "retries_delay": 1000}' <<<'import sys; sys.exit(1)'
	task=$(queue wrong)
	ends "$task" error
	next=$(get .retry_task_id)
	is "$next" queued
	http POST "tasks/$task/cancel"
	answered 200 Cancelled
	is "$next" cancelled
	[ -z "$(get '.retry_task_id // ""' || true)" ]
	is "$task" error
	# The operator's command with the same id.
	task=$(queue wrong)
	ends "$task" error
	next=$(get .retry_task_id)
	sandboxctl cancel "$task"
	is "$next" cancelled
}

@test "a queued task keeps the revision that it was queued with, and so do its attempts" {
	code_make kept '{"retries": 1, "config": "1"}' <<<'import sys; print("old"); sys.exit(1)'
	id=$(get .id)
	http POST "codes/$id/pause_task_queue"
	task=$(queue kept)
	code_make kept '{"config": "2"}' <<<'import os; print("new", open(os.environ["CONFIG_FILE"]).read())'
	newer=$(queue kept)
	http POST "codes/$id/resume_task_queue"
	ends "$task" error
	[ "$(get .code_rev)" = 1 ]
	next=$(get .retry_task_id)
	http GET "tasks/$task/log"
	[ "$body" = old ]
	ends "$next" error
	[ "$(get .code_rev)" = 1 ]
	http GET "tasks/$next/log"
	[ "$body" = old ]
	ends "$newer" complete
	http GET "tasks/$newer/log"
	[ "$body" = 'new 2' ]
	# A retry runs the worker's newest revision.
	http POST "tasks/$task/retry"
	ends "$(get '.tasks[0].id')" complete
}

@test "a code is changed without its file, and what is not named stays" {
	code_make change '{"retries": 2, "config": "{\"a\":1}", "env_vars": {"A": "b"}}' <<<'import os; print(os.environ["A"])'
	id=$(get .id)
	sum=$(sha256sum <change.zip | cut -d' ' -f1)
	for form in -F --json; do
		max=$((${#form} + 3))
		if [ $form = -F ]; then
			http POST codes -F "data={\"name\": \"change\", \"max_concurrency\": $max}"
		else
			http POST codes -H 'Content-Type: application/json' -d "{\"name\": \"change\", \"max_concurrency\": $max}"
		fi
		answered 200 'Upload successful.'
		[ "$(get .id)" = "$id" ]
		http GET "codes/$id"
		[ "$(get '[.max_concurrency, .retries, .config, .env_vars.A, .file_name, .image, .latest_checksum] | join(" ")')" = \
			"$max 2 {\"a\":1} b change.py python $sum" ]
	done
	task=$(queue change)
	ends "$task" complete
	http POST codes -F 'data={"name": "nobody", "image": "python", "max_concurrency": 1}'
	answered 400
	said file_name
}

@test "a payload comes as it was sent, whatever its numbers, keys and escapes" {
	code_make payload <<<'import os; print(open(os.environ["PAYLOAD_FILE"]).read(), end="")'
	odd='{"b":0.10, "a" : 18446744073709551615,"b":1E400,"n":-0.0,"u":"\u00e9\ud83d/\/é","deep":[[[{}]]]}'
	printf '%s' "$odd" >odd
	tasks=()
	for path in tasks /api/{}/tasks; do
		http POST "$path" -d "{\"tasks\": [{\"code_name\": \"payload\"}, {\"code_name\": \"payload\", \"payload\": $odd }]}"
		answered 200 'Queued up'
		tasks+=("$(get '.tasks[1].id')")
	done
	http POST 'tasks/webhook?code_name=payload' --data-binary @odd
	tasks+=("$(get .id)")
	for path in schedules /api/{}/schedules; do
		http POST "$path" -d "{\"schedules\": [{\"code_name\": \"payload\", \"payload\": 1.50}]}"
		answered 200 Scheduled
		schedule=$(get '.schedules[0].id')
		http PUT "schedules/$schedule" -d "{\"payload\": $odd, \"start_at\": \"2037-01-02T03:04:05Z\"}"
		http GET "schedules/$schedule"
		[ "$(get .payload)" = "$odd" ]
	done
	for task in "${tasks[@]}"; do
		ends "$task" complete
		[ "$(get .payload)" = "$odd" ]
		http GET "tasks/$task/outlog"
		cmp body odd
	done
	for bad in 01 1.e5 '{"a":1,}' "{'a':1}" NaN; do
		http POST tasks -d "{\"tasks\": [{\"code_name\": \"payload\", \"payload\": $bad}]}"
		answered 400
		said 'line 1'
	done
}

@test "an empty text is refused in each field, by its name, but where clients send it for none" {
	code_make empties <<<pass
	http POST schedules -d '{"schedules": [{"code_name": "empties", "start_at": "2037-01-02T03:04:05Z"}]}'
	# METHOD PATH FIELD, and the status under /2 and under /api
	run python3 - "$(cat "$RUN/http")" "projects/$ONE" "$ONE_TOKEN" 3<<-EOT <<-'EOF'
		POST codes name 400 400
		POST codes runtime 200 400
		POST codes file_name 200 400
		POST codes command 200 400
		POST codes stack 200 400
		POST codes image 200 400
		POST codes policy 400 400
		POST codes config 200 400
		POST codes max_concurrency 400 400
		POST codes retries 400 400
		POST codes retries_delay 400 400
		POST codes default_priority 400 400
		POST codes env_vars 400 400
		POST tasks code_name 400 400
		POST tasks payload 200 400
		POST tasks label 200 400
		POST tasks cluster 200 400
		POST tasks priority 400 400
		POST tasks timeout 400 400
		POST tasks delay 400 400
		POST tasks sync 400 400
		POST schedules code_name 400 400
		POST schedules payload 200 400
		POST schedules label 200 400
		POST schedules cluster 200 400
		POST schedules cron 400 400
		POST schedules timezone 400 400
		POST schedules start_at 400 400
		POST schedules end_at 400 400
		POST schedules run_every 400 400
		POST schedules run_times 400 400
		POST schedules priority 400 400
		PUT schedules/$(get '.schedules[0].id') code_name 400 400
		PUT schedules/$(get '.schedules[0].id') cron 400 400
		PUT schedules/$(get '.schedules[0].id') timezone 400 400
		PUT schedules/$(get '.schedules[0].id') start_at 400 400
		PUT schedules/$(get '.schedules[0].id') end_at 400 400
		PUT schedules/$(get '.schedules[0].id') label 200 400
		POST tasks/webhook? code_name 400 400
		POST tasks/webhook?code_name=empties& label 400 400
		POST tasks/webhook?code_name=empties& cluster 400 400
		POST tasks/webhook?code_name=empties& priority 400 400
		POST tasks/webhook?code_name=empties& timeout 400 400
		POST tasks/webhook?code_name=empties& delay 400 400
		GET tasks? code_name 200 400
		GET tasks? label 400 400
		GET tasks? per_page 400 200
		GET tasks? from_time 400 200
		GET tasks? queued 400 200
		GET tasks? status 200 400
		GET tasks? before 200 400
		GET tasks? from 200 400
		GET tasks? limit 200 400
		GET codes? page 400 400
		GET schedules? per_page 400 400
	EOT
		import http.client, json, sys
		at, project, token = sys.argv[1:]
		of = {"codes": {"name": "empties"}, "tasks": {"code_name": "empties", "delay": 1000},
		      "schedules": {"code_name": "empties", "start_at": "2037-01-02T03:04:05Z"}}
		server = http.client.HTTPConnection(at)
		for line in open(3):
		    method, path, field, *want = line.split()
		    for under, status in zip(("2", "api"), want):
		        body = dict(of.get(path, {}), **{field: ""})
		        if path in ("tasks", "schedules"):
		            body = {path: [body]}
		        query = path.partition("?")[1] and field + "="
		        server.request(method, "/%s/%s/%s%s" % (under, project, path, query), "" if query else json.dumps(body),
		                       {"Authorization": "OAuth " + token, "Content-Type": "application/json"})
		        answer = server.getresponse()
		        said = json.load(answer)
		        if answer.status != int(status) or status == "400" and field + ":" not in said["msg"]:
		            print(under, line.strip(), answer.status, said)
	EOF
	[ "$status" = 0 ] && [ -z "$output" ] || fail "$output"
}

@test "a client that sends no more gets its answer; a target may have a host in it" {
	code_make half <<<'import time; time.sleep(0.2)'
	run python3 - "$(cat "$RUN/http")" "/2/projects/$ONE" "$ONE_TOKEN" <<-'EOT'
		import socket, sys
		at, path, token = sys.argv[1:]
		host, port = at.rsplit(":", 1)
		def ask(line, body):
		    s = socket.create_connection((host, int(port)), timeout=100)
		    s.sendall(("%s HTTP/1.1\r\nHost: %s\r\nAuthorization: OAuth %s\r\nConnection: close\r\n"
		               "Content-Length: %d\r\n\r\n%s" % (line, at, token, len(body), body)).encode())
		    s.shutdown(socket.SHUT_WR)
		    answer = b"".join(iter(lambda: s.recv(65536), b"")).decode()
		    print(answer.split(" ")[1], answer.split("\r\n\r\n")[1])
		ask("POST %s/tasks" % path, '{"tasks": [{"code_name": "half", "sync": true}]}')
		ask("GET http://%s%s" % (at, path), "")
		ask("GET http://evil.example%s" % path, "")
	EOT
	[ "$status" = 0 ] || fail "$output"
	[[ ${lines[0]} == '200 '*'"status":"complete"'* ]] || fail "$output"
	[[ ${lines[1]} == "200 {\"id\":\"$ONE\""* ]] || fail "$output"
	[[ ${lines[2]} == '421 '* ]] || fail "$output"
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
	[ "$(get '. == sort')" = true ]
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
	# IronWorker's own value for "no end", and what other clients write for it.
	for never in 2262-04-11T23:47:16Z 9999-12-31T23:59:59Z $ZERO; do
		http POST schedules -d "{\"schedules\": [{\"code_name\": \"plan\", \"run_every\": 3600, \"start_at\": \"2037-01-02T03:04:05Z\", \"end_at\": \"$never\"}]}"
		answered 200 Scheduled
		http GET "schedules/$(get '.schedules[0].id')"
		[ "$(get .end_at)" = $ZERO ]
	done
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
