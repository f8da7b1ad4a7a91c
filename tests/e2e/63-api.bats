#!/usr/bin/env bats
# /api: what IronWorker's API has not. Every answer is held against openapi.json.
# shellcheck disable=SC2154 # code and body are set by http
load daemon
load http

# api METHOD PATH [CURL OPTION...]: as http, below /api; PATH without a / is project one's.
api() {
	local path=$2

	[ "${path:0:1}" = / ] || path=/{}${path:+/$path}
	path=$(http_path "/api$path")
	http "$1" "$path" "${@:3}"
	case $(header Content-Type) in
	*json*) /usr/bin/python3 -IS "$E2E/openapi.py" check "$TOP/supervisor/front/api/openapi.json" "$1" "$path" "$code" <<<"$body" ;;
	esac
}

operator() {
	TOKEN=$OPERATOR_TOKEN api "$@"
}

@test "the description is served as it is, to everybody" {
	TOKEN='' http GET /api/openapi.json
	answered 200
	cmp body "$TOP/supervisor/front/api/openapi.json"
	TOKEN='' api GET /version
	answered 200
}

@test "whoami and projects: a tenant sees its own, an operator all" {
	api GET /whoami
	[ "$(get '"\(.project.id) \(.project.name) \(.operator)"')" = "$ONE one false" ]
	operator GET /whoami
	[ "$(get '"\(.project.name) \(.operator)"')" = 'default true' ]
	api GET /projects
	[ "$(get '[.projects[].name] | join(" ")')" = one ]
	operator GET /projects
	[ "$(get '[.projects[].name] | sort | join(" ")')" = 'default one two' ]
	api GET ''
	[ "$(get .name)" = one ]
}

@test "an operator creates a project, bounds it, gives and takes tokens, removes it" {
	operator POST /projects -d '{"name": "three", "quota": {"queued": 2, "memory": "1G"}}'
	answered 201
	id=$(get .id) token=$(get .token)
	[ "${#token}" = 43 ]
	TOKEN=$token api GET "/projects/$id"
	[ "$(get '"\(.quota.queued) \(.quota.memory)"')" = '2 1073741824' ]
	operator PUT "/projects/$id/quota" -d '{"queued": 3}'
	[ "$(get '"\(.quota.queued) \(.quota.memory)"')" = '3 1073741824' ]
	operator PUT "/projects/$id/quota" -d '{"policies": ["absent", "default"]}'
	[ "$(get '.warnings | length')" = 1 ]
	get '.warnings[0]' | grep -q 'no policy "absent"'
	operator PUT "/projects/$id/quota" -d '{"colour": 3}'
	answered 400
	said colour

	operator POST "/projects/$id/tokens" -d '{"label": "second"}'
	answered 201
	second=$(get .token) second_id=$(get .id)
	TOKEN=$second api GET "/projects/$id"
	answered 200
	operator GET "/projects/$id/tokens"
	[ "$(get '[.tokens[].label] | index("second") != null')" = true ]
	[[ $body != *"$second"* ]]
	operator DELETE "/projects/$id/tokens/$second_id"
	answered 200
	TOKEN=$second api GET "/projects/$id"
	answered 401

	operator POST /projects -d '{"name": "three"}'
	answered 409
	operator POST /projects -d '{"name": "four", "nom": 1}'
	answered 400
	said nom
	operator DELETE "/projects/$id"
	answered 200 Deleted
	operator GET "/projects/$id"
	answered 404
	TOKEN=$token api GET /whoami
	answered 401
}

@test "unknown keys and numbers in quotes are errors here" {
	code_make strict <<<pass
	api POST tasks -d '{"tasks": [{"code_name": "strict", "colour": 1}]}'
	answered 400
	said 'tasks[0].colour: unknown key'
	api POST tasks -d '{"tasks": [{"code_name": "strict", "priority": "1"}]}'
	answered 400
	said 'tasks[0].priority'
	api POST codes -F 'data={"name": "strict", "file_name": "strict.py", "image": "python", "colour": 1}' -F file=@strict.zip
	answered 400
	said 'data: colour'
	api POST codes -F 'data={"name": "strict", "file_name": "strict.py", "image": "python"}' -F file=@strict.zip
	answered 200 'Upload successful.'
	api GET codes
	answered 200
	api GET "codes/$(get '.codes[0].id')/revisions"
	[ "$(get '.revisions | length')" = 2 ]
}

@test "tasks by pages: each once, newest first, whatever comes meanwhile" {
	code_make many <<<pass
	api POST tasks -d "$(jq -cn '{tasks: [range(7) | {code_name: "many", label: "m\(.)", delay: 3600}]}')"
	api GET 'tasks?code_name=many&limit=3'
	seen=$(get '[.tasks[].label] | join(" ")')
	before=$(get .before)
	queue many '{"delay": 3600, "label": "new"}' >/dev/null
	api GET "tasks?code_name=many&limit=3&before=$before"
	seen+=" $(get '[.tasks[].label] | join(" ")')"
	api GET "tasks?code_name=many&limit=3&before=$(get .before)"
	seen+=" $(get '[.tasks[].label] | join(" ")')"
	[ "$seen" = 'm6 m5 m4 m3 m2 m1 m0' ]
	[ "$(jq -r .before <<<"$body")" = null ]
	api GET 'tasks?code_name=many&status=queued,running&label=m3'
	[ "$(get '.tasks | length')" = 1 ]
	api GET 'tasks?code_name=many&status=complete'
	[ "$(get '.tasks | length')" = 0 ]
	api GET 'tasks?code_name=many&from=2037-01-01T00:00:00Z'
	[ "$(get '.tasks | length')" = 0 ]
	for wrong in status=done limit=0 limit=101 before=x from=soon; do
		api GET "tasks?$wrong"
		answered 400
		said "${wrong%=*}"
	done
}

@test "one task: start, timings, verdict, usage, history and payload" {
	code_make whole <<<'print("x")'
	task=$(queue whole '{"payload": "the payload"}')
	ends "$task" complete
	api GET "tasks/$task"
	answered 200
	[ "$(get '[.project, .status, .verdict, .payload, .code_name, .revision, .attempt, .exit_code] | map(tostring) | join(" ")')" = \
		'one complete ok the payload whole 1 1 0' ]
	get '.start.mode, .start.ms, .wait_ms, .duration_ms, .usage.cpu_ms' >/dev/null
	[ "$(get '[.history[].event] | (index("accepted") < index("started")) and (index("started") < index("complete"))')" = true ]
	api GET "tasks/$task/log"
	[ "$body" = x ]
}

@test "dead letters: what has failed with no retry left" {
	code_make dead '{"retries": 1}' <<<'import sys; sys.exit(4)'
	first=$(queue dead)
	ends "$first" error
	second=$(get .retry_task_id)
	ends "$second" error
	api GET 'dead_letters?code_name=dead'
	[ "$(get '[.tasks[] | .id, .original_task_id, .dead_letter] | map(tostring) | join(" ")')" = "$second $first true" ]
	[ "$(get '.tasks[0].msg')" = 'exit status 4' ]
	api POST "tasks/$second/retry"
	answered 200
	third=$(get '.tasks[0].id')
	ends "$third" error
	api GET "tasks/$third"
	[ "$(get .original_task_id)" = "$first" ]
}

@test "a log live, as events, from any point on" {
	code_make live <<-'EOT'
		import sys, time
		print("one", flush=True)
		print("two", file=sys.stderr, flush=True)
		while True:
		    time.sleep(100)
	EOT
	task=$(queue live)
	stream "$task" events
	stream=$!
	wait_until "$PATIENCE" file_has events two
	file_has events 'event: stdout'
	file_has events 'event: stderr'
	[ "$(grep -c '^event: end' events)" = 0 ]
	last=$(grep -A9 'event: stdout' events | sed -n 's/^id: *//p' | head -n 1)
	http POST "tasks/$task/cancel"
	wait "$stream"
	file_has events 'event: end'
	stream "$task" rest -H "Last-Event-ID: $last"
	wait $!
	run ! file_has rest '"one'
	file_has rest two
}

@test "a queue that is full: 503, to be tried again, and nothing of the request is queued" {
	operator PUT quota -d '{"queued": 2}'
	code_make full <<<pass
	tasks() {
		jq -cn --argjson n "$1" '{tasks: [range($n) | {code_name: "full", delay: 3600}]}'
	}
	http GET 'tasks?queued=1&per_page=100'
	operator PUT quota -d "{\"queued\": $(($(get '.tasks | length') + 2))}"
	api POST tasks -d "$(tasks 3)"
	answered 503
	said quota
	[ -n "$(header Retry-After)" ]
	api POST tasks -d "$(tasks 2)"
	answered 200
	api POST tasks -d "$(tasks 1)"
	answered 503
	operator PUT quota -d '{"queued": 0}'
	api POST tasks -d "$(tasks 1)"
	answered 200
}

@test "schedules: cron with a time zone, and each second" {
	code_make cron <<<pass
	api POST schedules -d '{"schedules": [{"code_name": "cron", "cron": "30 6 * * mon-fri", "timezone": "Europe/Berlin"}, {"code_name": "cron", "run_every": 1, "start_at": "2037-01-01T00:00:00Z"}]}'
	answered 200 Scheduled
	first=$(get '.schedules[0].id')
	api GET "schedules/$first"
	[ "$(get '"\(.cron) \(.timezone)"')" = '30 6 * * mon-fri Europe/Berlin' ]
	[[ $(get .next_start) =~ T0[45]:30:00Z$ ]]
	api GET schedules
	[ "$(get '[.schedules[].code_name] | join(" ")')" = 'cron cron' ]
	api POST schedules -d '{"schedules": [{"code_name": "cron", "cron": "61 * * * *"}]}'
	answered 400
	said cron
	api PUT "schedules/$first" -d '{"timezone": "UTC"}'
	answered 200 Updated
	api POST "schedules/$first/cancel"
	answered 200 Cancelled
}

@test "images, policies, templates, checkpoints" {
	operator GET /images
	[ "$(get '[.images[].name] | join(" ")')" = python ]
	get '.images[0].python' >/dev/null
	operator GET /policies
	[ "$(get '[.policies[].name] | join(" ")')" = 'build default network strict' ]
	operator GET /policies/strict
	get '.source.seccomp.defaultAction' >/dev/null
	operator GET /policies/none
	answered 404
	operator POST /images/python/warm
	answered 202
	operator POST /images/none/warm
	answered 404
	has_template() {
		operator GET /templates
		[ "$(get '.templates[0].state')" = ready ]
	}
	code_make warmed <<<pass
	ends "$(queue warmed)" complete
	wait_until "$PATIENCE" has_template
	template=$(get '.templates[0].id') checkpoint=$(get '.templates[0].checkpoint')
	operator GET /checkpoints
	[ "$(get "[.checkpoints[].key] | index(\"$checkpoint\") != null")" = true ]
	[ "$(get '[.checkpoints[] | select(.bytes > 0 and .dump_ms > 0)] | length > 0')" = true ]
	# Asked for once more, the checkpoint exists already, and its numbers are the same.
	sandboxctl image warm python
	operator GET /checkpoints
	[ "$(get '[.checkpoints[] | select(.bytes > 0 and .dump_ms > 0)] | length > 0')" = true ]
	operator DELETE "/templates/$template"
	answered 200 Retired
	operator DELETE /templates/000000000000
	answered 404
	operator DELETE /templates/x
	answered 400 "request: id: must be a template's id: 12 hex digits"
}

@test "the node: counts, start times by mode, a sample a second" {
	local last

	code_make node <<<pass
	ends "$(queue node)" complete
	sampled() {
		operator GET /node
		[ "$(get '[.samples[].ended] | add > 0')" = true ]
	}
	wait_until "$PATIENCE" sampled
	[ "$(get '[.starts[].count] | add > 0')" = true ]
	[ "$(get '.memory | .total_bytes > .available_bytes and .front_bytes > 0')" = true ]
	last=$(get '.samples[-1].time')
	operator GET "/node?since=$last"
	[ "$(get "[.samples[].time | tostring | select(. < \"$last\")] | length")" = 0 ]
	operator GET '/node?since=soon'
	answered 400
}

@test "HTTP workers: their secrets, and what they keep" {
	api GET http/workers
	answered 200
	[ "$(get '.workers | length')" = 0 ]
	api GET http/workers/nothing/versions
	answered 404
	api POST http/workers/nothing/trigger -d '{"cron": "0 0 1 1 *"}'
	answered 404
	api POST http/workers/nothing/trigger -d '{"cron": "never"}'
	answered 400
	said 'cron: '
	api PUT http/workers/hello/secrets/TOKEN -d '{"value": "hush-hush"}'
	answered 200 Set
	api GET http/workers/hello/secrets
	[ "$(get '[.secrets[].name] | join(" ")')" = TOKEN ]
	[[ $body != *hush* ]]
	api PUT http/workers/hello/secrets/1 -d '{"value": "x"}'
	answered 400
	said 'secret: must be letters'
	api DELETE http/workers/hello/secrets/TOKEN
	answered 200 Removed
	api DELETE http/workers/hello/secrets/TOKEN
	answered 404

	api POST http/kv/namespaces -d '{"title": "things"}'
	answered 201
	id=$(get .id)
	sandboxctl kv key put --project one "$id" a-b value
	api GET "http/kv/namespaces/$id/keys"
	[ "$(get '[.keys[].name] | join(" ")')" = a-b ]
	api DELETE "http/kv/namespaces/$id/values/a-b"
	answered 200
	api GET http/kv/namespaces/things/keys
	[ "$(get '.keys | length')" = 0 ]
	api DELETE http/kv/namespaces/things
	answered 200 Deleted
	api GET http/kv/namespaces
	[ "$(get '.namespaces | length')" = 0 ]
}
