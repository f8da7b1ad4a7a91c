#!/usr/bin/env bats
# The tenant's verbs: queue and its --wait, log, status, retry, schedule, pause, and the lists.
# shellcheck disable=SC2154 # stderr is set by run
load daemon
load http
load tenant

@test "queue prints the id; log and status tell the rest" {
	uploaded echo 'import os, sys
print("got", open(os.environ["PAYLOAD_FILE"]).read())
sys.stderr.write("and this\n")'
	run --separate-stderr sandboxctl queue echo -p '{"n": 1}' --label first
	[ "$status" = 0 ]
	[[ $output =~ ^[0-9a-f]{24}$ ]] || fail "$output"
	[[ $stderr == *"sandboxctl log -f $output"* ]]
	wait_until "$PATIENCE" task_is "$output" complete
	[ "$(sandboxctl log "$output" | sort)" = $'and this\ngot {"n": 1}' ]
	[ "$(sandboxctl log -f "$output" 2>/dev/null)" = 'got {"n": 1}' ]
	[ "$(sandboxctl status "$output" --json | jq -c '[.status, .exit_code, .label, .code_name]')" = \
		'["complete",0,"first","echo"]' ]
	[[ $(sandboxctl status "$output") == *'status       complete'* ]]
	echo 'of a file' >payload
	[ "$(sandboxctl queue echo -f payload --wait 2>/dev/null)" = 'got of a file' ]
	[ "$(echo 'of a pipe' | sandboxctl queue echo -f - --wait 2>/dev/null)" = 'got of a pipe' ]
	[ "$(sandboxctl queue echo --json | jq -r '.id | length')" = 24 ]
	[ "$(sandboxctl queue echo --wait --json 2>/dev/null | jq -r .status)" = complete ]
}

@test "a log is one text, in the order of writing" {
	uploaded order 'import sys
for i in range(1, 40, 2):
    sys.stderr.write("%d\n" % i); print(i + 1)'
	sandboxctl queue order --wait >/dev/null 2>&1
	id=$(sandboxctl tasks --json | jq -r '[.[] | select(.code_name == "order")][0].id')
	[ "$(sandboxctl log "$id")" = "$(seq 40)" ]
	[ "$(sandboxctl log -f "$id" 2>/dev/null)" = "$(seq 2 2 40)" ]
}

@test "--wait follows live from the first line, and exits as the task does" {
	uploaded live "$GATE
print('first')
gate()
print('last'); sys.exit(7)"
	sandboxctl queue live --wait --label live >out 2>err &
	pid=$!
	wait_until "$PATIENCE" file_has out first
	[ "$(cat out)" = first ]
	signal_task "$(id_of live)" USR1
	reap $pid
	[ "$status" = 7 ]
	[ "$(cat out)" = $'first\nlast' ]
	grep -q 'task .*: error' err
}

@test "--wait goes on through a front that is killed, with no line twice or lost" {
	uploaded long "$GATE
for i in range(2000): print('line', i)
gate()
for i in range(2000, 4000): print('line', i)"
	sandboxctl queue long --wait --label long >out 2>err &
	pid=$!
	wait_until "$PATIENCE" file_has out 'line 1999'
	kill -KILL "$(role front)"
	wait_until "$PATIENCE" sandboxctl version
	signal_task "$(id_of long)" USR1
	reap $pid
	[ "$status" = 0 ] || fail "$(cat err)"
	cmp out <(seq -f 'line %.0f' 0 3999)
}

@test "--wait follows retries to the last one; what fails for good is a dead letter" {
	uploaded failing 'import sys; print("attempt"); sys.exit(3)' --retries 1 --retries-delay 1
	run --separate-stderr sandboxctl queue failing --wait
	[ "$status" = 3 ]
	[ "$output" = $'attempt\nattempt' ]
	[[ $stderr == *'it is tried again as'* && $stderr == *'dead letter'* ]] || fail "$stderr"
	id=$(sandboxctl dead-letters --code failing --json | jq -r '.[0].id')
	[ "$(sandboxctl status "$id" --json | jq .attempt)" = 2 ]
	run --separate-stderr sandboxctl retry "$id" --wait
	[ "$status" = 3 ]
}

@test "pause keeps tasks waiting, resume lets them go; delay and cancel-task" {
	uploaded held 'print("ran")'
	[ "$(sandboxctl pause held)" = Paused ]
	[ "$(sandboxctl pause held)" = 'Already paused' ]
	id=$(sandboxctl queue held 2>/dev/null)
	sandboxctl info held | grep -q '^paused  *yes'
	task_is "$id" queued
	# What is known only when it starts is not made up.
	[ "$(inspect "$id" '[.image, .policy, .limits, .image_digest, .policy_digest] | unique | tostring')" = '[null]' ]
	run sandboxctl inspect "$id"
	! grep -E '^(image|policy|limits) ' <<<"$output" || fail "$output"
	[ "$(sandboxctl resume held)" = Resumed ]
	wait_until "$PATIENCE" task_is "$id" complete
	[ "$(inspect "$id" '[.image, .policy, .limits, .image_digest, .policy_digest] | index(null)')" = null ]
	id=$(sandboxctl queue held --delay 1000 2>/dev/null)
	task_is "$id" queued
	sandboxctl cancel-task "$id"
	wait_until "$PATIENCE" task_is "$id" cancelled
	run --separate-stderr sandboxctl log -f "$id"
	[ "$status" = 0 ]
}

@test "schedules: made, listed, changed; what is wrong names the option or field" {
	uploaded timed 'print("tick")'
	run --separate-stderr sandboxctl schedule timed --cron '* * * * * *' --timezone Europe/Berlin --run-times 1 -p x
	[ "$status" = 0 ] || fail "$stderr"
	id=$output
	[ "$(sandboxctl schedules --json | jq -c '.[0] | [.cron, .timezone, .run_times, .code_name, .payload]')" = \
		'["* * * * * *","Europe/Berlin",1,"timed","x"]' ]
	ticked() { [ "$(sandboxctl tasks --code timed --status complete --json | jq length)" = 1 ]; }
	wait_until "$PATIENCE" ticked
	sandboxctl schedule timed --start-at 2099-01-01T00:00:00Z --run-every 60 >id 2>/dev/null
	[ "$(sandboxctl update "$(cat id)" --run-every 90)" = Updated ]
	[ "$(sandboxctl schedules --json | jq -c '.[0] | [.run_every, .start_at]')" = '[90,"2099-01-01T00:00:00Z"]' ]
	[[ $(sandboxctl schedules) == *"$(cat id)"*'every 90 s'* ]]
	sandboxctl update "$(cat id)" --cron '0 7 * * mon' --timezone Europe/Berlin
	[ "$(sandboxctl schedules --json | jq -c '.[0] | [.run_every, .cron, .timezone]')" = '[0,"0 7 * * mon","Europe/Berlin"]' ]
	sandboxctl update "$(cat id)" --run-every 90
	[ "$(sandboxctl schedules --json | jq -c '.[0] | [.run_every, .cron, .timezone]')" = '[90,"",""]' ]
	refused 'run-every: must be a number' schedule timed --run-every x
	refused cron schedule timed --cron 'x * * * *'
	refused 'names nothing to change' update "$id"
}

@test "lists, pages, webhook, stacks" {
	uploaded many pass
	for i in 1 2 3; do
		sandboxctl queue many --label "l$i" >/dev/null 2>&1
	done
	[ "$(sandboxctl tasks --code many --limit 2 --json | jq -c 'map(.label)')" = '["l3","l2"]' ]
	[ "$(sandboxctl tasks --label l1 --json | jq -c 'map(.code_name)')" = '["many"]' ]
	[ "$(sandboxctl codes --json | jq -c 'map(.name) | contains(["many"])')" = true ]
	sandboxctl stacks | grep -qx python
	run --separate-stderr sandboxctl webhook many
	[[ $output == "$(http_url)/2/projects/"*/tasks/webhook\?code_name=many ]] || fail "$output"
	token=$(jq -r .token iron.json)
	[[ $output$stderr != *"$token"* ]]
	url=$(sandboxctl webhook many --with-token)
	[ "$(curl -sS -d '{"hook":1}' "$url" | jq -r .msg)" = 'Queued up.' ]
}

@test "wrong words: what is wrong, 125, nothing on stdout" {
	refused 'names no worker' queue
	refused "there is no option --nope" queue x --nope
	refused '--priority: must be a number from 0 to 2' queue x --priority 3
	refused "'12' is no task's id" status 12
	refused 'there is no option --run-every here' queue x --run-every 5
	refused nowhere queue nowhere
	refused '' log 000000000000000000000000
}

@test "an empty text is refused for every option and word, by its name" {
	local words

	while IFS=: read -ra words; do
		refused "${words[0]}: must not be empty" "${words[@]:1}" ''
		refused "${words[0]}: must not be empty" "${words[@]:1:${#words[@]}-2}" "${words[0]}="
	done <<-'EOT'
		--cron:schedule:x:--cron
		--timezone:schedule:x:--cron:* * * * *:--timezone
		--start-at:schedule:x:--start-at
		--payload:schedule:x:--payload
		--payload:queue:x:--payload
		--label:queue:x:--label
		--cluster:queue:x:--cluster
		--delay:queue:x:--delay
		--name:upload:x:--name
		--policy:upload:x:--policy
		--image:upload:x:--image
		--code:tasks:--code
		--label:tasks:--label
		--status:tasks:--status
		--token:codes:--token
		--project-id:codes:--project-id
		--payload:run:python:--code:1:--payload
		--label:run:python:--code:1:--label
		--policy:run:python:--code:1:--policy
		--project:run:python:--code:1:--project
		--env:run:python:--code:1:--env
		--code:run:python:--code
		--since:logs:x:--since
		--label:project:token:create:x:--label
	EOT
	refused "behind 'queue', is empty" queue ''
	refused '-p: must not be empty' queue x -p ''
	# An argument of the task's own may be empty.
	[ "$(sandboxctl run python -e EMPTY= --code 'import os, sys; print(os.environ["EMPTY"] == sys.argv[-1])' -- '')" = True ]
}

# A server that prints each request on stderr, is busy twice, and then answers in turn: 200, a text that
# is not JSON, and an error without a message.
SERVER='
import http.server
answers = [(503, ""), (429, ""), (200, "{\"msg\":\"Queued up\",\"tasks\":[{\"id\":\"" + 24 * "a" + "\"}]}"),
           (200, "<html>"), (500, "\x1b[2J")]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(self.path, self.headers["Authorization"], body.decode(), flush=True)
        status, text = answers.pop(0)
        self.send_response(status)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()'

@test "the exact request; a busy server is asked again; what is not sandboxd is told so" {
	python3 -c "$SERVER" >asked 3>&- 4>&- &
	server=$!
	wait_until "$PATIENCE" test -s asked
	echo '{"project_id": "p1", "token": "t-1", "dev": {"project_id": "p2"}}' >iron.json
	export IRON_PORT
	IRON_PORT=$(head -n 1 asked)
	run --separate-stderr sandboxctl queue x -e dev -p '{"a": 1}' --priority 2
	[ "$output" = aaaaaaaaaaaaaaaaaaaaaaaa ] || fail "$stderr"
	[ "$(sed 1d asked | sort -u)" = \
		'/api/projects/p2/tasks OAuth t-1 {"tasks":[{"payload":"{\"a\": 1}","priority":2,"code_name":"x"}]}' ]
	[ "$(sed 1d asked | wc -l)" = 3 ]
	refused 'does not answer with JSON: is it sandboxd?' queue x
	refused 'HTTP status 500' queue x
	kill "$server"
	refused 'no daemon answers' queue x
}

@test "a reader that leaves ends log and --wait, as other tools; the task goes on" {
	uploaded lines "$FOREVER"
	id=$(sandboxctl queue lines 2>/dev/null)
	set +e
	sandboxctl log -f "$id" 2>/dev/null | head -n 1 >out &
	pid=$!
	set -e
	wait_until "$PATIENCE" file_has out ready
	task_is "$id" running
	sandboxctl cancel-task "$id"
	reap $pid
	wait_until "$PATIENCE" task_is "$id" cancelled
}

@test "cancel-schedule, cancel-all and rm-worker end what they name" {
	uploaded ended pass
	schedule=$(sandboxctl schedule ended --start-at 2099-01-01T00:00:00Z 2>/dev/null)
	other=$(sandboxctl schedule ended --start-at 2099-01-01T00:00:00Z 2>/dev/null)
	sandboxctl cancel-schedule "$schedule"
	[ "$(sandboxctl schedules --json | jq -c '[.[] | {(.id): .status}] | add | [.["'"$schedule"'"], .["'"$other"'"]]')" = \
		'["cancelled","scheduled"]' ]
	refused 'there is no schedule with this id' cancel-schedule aaaaaaaaaaaaaaaaaaaaaaaa
	refused 'names no schedule' cancel-schedule
	sandboxctl pause ended
	task=$(sandboxctl queue ended 2>/dev/null)
	[ "$(sandboxctl cancel-all ended)" = Cancelled ]
	task_is "$task" cancelled
	sandboxctl rm-worker ended
	refused "there is no worker 'ended'" info ended
	[ "$(sandboxctl schedules --json | jq -r '.[] | select(.id == "'"$other"'").status')" = cancelled ]
}

@test "what is wrong is told in the command line's words" {
	uploaded told pass
	[ "$(sandboxctl webhook told --json | jq -r .url)" = "$(sandboxctl webhook told 2>/dev/null)" ]
	refused "there is no worker 'untold'" webhook untold
	refused 'sandboxctl: NAME: there is no worker "untold"' queue untold
	refused 'give one, once' queue told -p a -f b
	refused '--label needs a value' queue told --label
	refused '--wait=x: takes no value' queue told --wait=x
	refused 'there is no option --frob' queue told --frob
	refused 'there is no option --cron here' queue told --cron x
	refused 'takes only --delay and --wait' retry aaaaaaaaaaaaaaaaaaaaaaaa --priority 1
	id=$(sandboxctl queue told 2>/dev/null)
	[[ $(sandboxctl inspect "$id") == *'worker       told ('*'), attempt 1, retries left 0'* ]]
	refused 'there is no task with this id' status aaaaaaaaaaaaaaaaaaaaaaaa
	refused 'there is no project aaaaaaaaaaaaaaaaaaaaaaaa, or the token of' codes --project-id aaaaaaaaaaaaaaaaaaaaaaaa
}
