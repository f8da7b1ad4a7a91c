#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Schedules: tasks that come by themselves, each time once, also across restarts.
# shellcheck disable=SC2030,SC2031 # output and status are run's, in the same test
load daemon
load http

setup_file() {
	daemon_make
	project_make one
	code_make tick <<<'print("tick")'
}

# schedule JSON: makes a schedule; prints its id.
schedule() {
	rest POST '/api/{}/schedules' --data "{\"schedules\": [$1]}" | jq -r '.schedules[0].id'
}

# schedule_get ID [FILTER]
schedule_get() {
	rest GET "/api/{}/schedules/$1" | jq -r "${2:-.}"
}

# schedule_tasks ID [FILTER]: the tasks that the schedule has queued.
schedule_tasks() {
	rest GET '/api/{}/tasks?limit=100' |
		jq -r --arg id "$1" "[.tasks[] | select(.schedule_id == \$id)] | ${2:-length}"
}

# reached ID FIELD NUMBER: the schedule's field is at least this much.
reached() {
	[ "$(schedule_get "$1" ".$2")" -ge "$3" ]
}

is_status() {
	[ "$(schedule_get "$1" .status)" = "$2" ]
}

# each_once ID: the schedule has queued one task for each of its runs.
each_once() {
	[ "$(schedule_get "$1" .run_count)" = "$(schedule_tasks "$1")" ]
}

all_complete() {
	[ "$(schedule_tasks "$1" 'map(.status) | unique | join(" ")')" = complete ]
}

# past TIME: the time has passed.
past() {
	[ "$(date +%s)" -gt "$1" ]
}

stamp() {
	date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ
}

@test "a line with seconds: a task every second, until it has run as often as it may" {
	local id

	id=$(schedule '{"code_name": "tick", "cron": "* * * * * *", "run_times": 3}')
	[[ $id =~ ^[0-9a-f]{24}$ ]]
	wait_until "$PATIENCE" is_status "$id" complete
	[ "$(schedule_get "$id" .run_count)" = 3 ]
	[ "$(schedule_tasks "$id")" = 3 ]
	wait_until "$PATIENCE" all_complete "$id"
	# Each task was queued in another second.
	[ "$(schedule_tasks "$id" 'map(.created_at[:19]) | unique | length')" = 3 ]
}

@test "run_every from start_at on; payload, label and priority are the tasks'" {
	local id start

	start=$(($(date +%s) + 2))
	id=$(schedule "{\"code_name\": \"tick\", \"start_at\": \"$(stamp $start)\", \"run_every\": 2,
		\"run_times\": 2, \"payload\": \"{}\", \"label\": \"every\", \"priority\": 2}")
	[ "$(schedule_get "$id" '.next_start[:19]')" = "$(stamp $start | cut -c -19)" ]
	wait_until "$PATIENCE" reached "$id" run_count 1
	[ "$(schedule_get "$id" '.next_start[:19]')" = "$(stamp $((start + 2)) | cut -c -19)" ]
	wait_until "$PATIENCE" is_status "$id" complete
	[ "$(schedule_tasks "$id" 'map("\(.label) \(.priority)") | unique | .[]')" = 'every 2' ]
	[ "$(schedule_tasks "$id")" = 2 ]
}

@test "a time zone: next_start is that time there" {
	local id

	id=$(schedule '{"code_name": "tick", "cron": "30 9 * * *", "timezone": "Asia/Kolkata"}')
	[ "$(schedule_get "$id" .timezone)" = Asia/Kolkata ]
	[ "$(schedule_get "$id" .cron)" = '30 9 * * *' ]
	[ "$(schedule_get "$id" '.next_start[10:]')" = T04:00:00Z ]
	[ "$(TZ=Asia/Kolkata date -d "$(schedule_get "$id" .next_start)" +%H:%M)" = 09:30 ]
	[ "$(schedule_get "$(schedule '{"code_name": "tick", "cron": "@yearly"}')" .timezone)" = UTC ]
}

@test "what was missed while the daemon was down is made up for by one task" {
	local id once start

	start=$(($(date +%s) + 3))
	once=$(schedule "{\"code_name\": \"tick\", \"start_at\": \"$(stamp $start)\"}")
	id=$(schedule "{\"code_name\": \"tick\", \"start_at\": \"$(stamp $start)\", \"run_every\": 1}")
	daemon_stop
	wait_until "$PATIENCE" past $((start + 3))
	daemon_start
	wait_until "$PATIENCE" is_status "$once" complete
	wait_until "$PATIENCE" reached "$id" run_count 1
	rest POST "/api/{}/schedules/$id/cancel" >/dev/null
	[ "$(schedule_tasks "$once")" = 1 ]
	each_once "$id"
	# At least four times of the schedule had passed: none of its tasks was queued for them.
	[ "$(schedule_tasks "$id" "map(select(.created_at[:19] < \"$(stamp $((start + 4)) | cut -c -19)\")) | length")" = 0 ]
}

@test "kill -9 of the front while one comes every second: every time once" {
	local id n

	id=$(schedule '{"code_name": "tick", "cron": "* * * * * *"}')
	for n in 1 2 3 4; do
		wait_until "$PATIENCE" reached "$id" run_count "$n"
		kill -KILL "$(role front)"
		wait_until "$PATIENCE" reached "$id" run_count "$n"
	done
	rest POST "/api/{}/schedules/$id/cancel" >/dev/null
	each_once "$id"
	wait_until "$PATIENCE" all_complete "$id"
	[ "$(schedule_tasks "$id" 'map(.created_at[:19]) | group_by(.) | map(length) | max')" -le 2 ]
}

@test "a cancelled schedule queues nothing more, for good" {
	local id other n

	id=$(schedule '{"code_name": "tick", "cron": "* * * * * *"}')
	other=$(schedule '{"code_name": "tick", "cron": "* * * * * *"}')
	wait_until "$PATIENCE" reached "$id" run_count 1
	[ "$(rest POST "/api/{}/schedules/$id/cancel" | jq -r .msg)" = Cancelled ]
	n=$(schedule_tasks "$id")
	wait_until "$PATIENCE" reached "$other" run_count $((n + 3))
	[ "$(schedule_tasks "$id")" = "$n" ]
	[ "$(schedule_get "$id" .run_count)" = "$n" ]
	is_status "$id" cancelled
	run rest PUT "/api/{}/schedules/$id" --data '{"run_times": 9}'
	[ "$status" != 0 ]
	[[ $output == *'is cancelled: make a new one'* ]]
	rest POST "/api/{}/schedules/$other/cancel" >/dev/null
}

@test "update: the new payload and times, and the count goes on" {
	local id

	code_make payload <<<'import os, sys; print(open(os.environ["PAYLOAD_FILE"]).read())'
	id=$(schedule '{"code_name": "payload", "payload": "old"}')
	wait_until "$PATIENCE" is_status "$id" complete
	[ "$(rest PUT "/api/{}/schedules/$id" --data '{"payload": "new", "run_every": 1, "run_times": 2}' |
		jq -r .msg)" = Updated ]
	wait_until "$PATIENCE" reached "$id" run_count 2
	is_status "$id" complete
	wait_until "$PATIENCE" all_complete "$id"
	[ "$(for task in $(schedule_tasks "$id" '.[].id'); do rest GET "tasks/$task/log"; done |
		sort | xargs)" = 'new old' ]
}

@test "a paused code: nothing is queued, the schedule says why, and one comes when it goes on" {
	local code id

	code_make held <<<'pass'
	code=$(rest GET codes | jq -r '.codes[] | select(.name == "held") | .id')
	rest POST "codes/$code/pause_task_queue" >/dev/null
	id=$(schedule '{"code_name": "held", "cron": "* * * * * *", "run_times": 1}')
	says_why() { [ "$(schedule_get "$id" .msg)" = 'its worker is paused' ]; }
	wait_until "$PATIENCE" says_why
	[ "$(schedule_tasks "$id")" = 0 ]
	rest POST "codes/$code/resume_task_queue" >/dev/null
	wait_until "$PATIENCE" is_status "$id" complete
	[ "$(schedule_tasks "$id")" = 1 ]
	[ -z "$(schedule_get "$id" .msg)" ]
}

@test "a code that goes ends its schedules" {
	local code id

	code_make going <<<'pass'
	code=$(rest GET codes | jq -r '.codes[] | select(.name == "going") | .id')
	id=$(schedule '{"code_name": "going", "cron": "@yearly"}')
	rest DELETE "codes/$code" >/dev/null
	is_status "$id" cancelled
	[ "$(schedule_get "$id" .msg)" = 'its worker was deleted' ]
}

# refused TEXT JSON
refused() {
	run --separate-stderr rest POST '/api/{}/schedules' --data "{\"schedules\": [$2]}"
	[ "$status" = 22 ]
	[[ $(jq -r .msg <<<"$output") == *"$1"* ]] || fail "$output"
}

@test "what is wrong is named with its place" {
	refused 'cron: hour: character 3: is more than 23' '{"code_name": "tick", "cron": "0 24 * * *"}'
	refused '3 fields, where 5 are needed' '{"code_name": "tick", "cron": "* * *"}'
	refused 'there is no such time in the next 8 years' '{"code_name": "tick", "cron": "0 0 30 2 *"}'
	refused 'timezone: there is no zone "Mars/Base" in' \
		'{"code_name": "tick", "cron": "@daily", "timezone": "Mars/Base"}'
	refused 'timezone: "../../etc/passwd" is not the name of a time zone' \
		'{"code_name": "tick", "cron": "@daily", "timezone": "../../etc/passwd"}'
	refused 'there is no worker "none"' '{"code_name": "none"}'
	refused 'end_at: has passed' '{"code_name": "tick", "end_at": "2001-01-01T00:00:00Z"}'
	refused 'start_at: must be a time' '{"code_name": "tick", "start_at": "soon"}'
	run rest POST schedules --data '{"schedules": [{"code_name": "tick", "run_every": 59}]}'
	[ "$status" = 22 ]
	[[ $output == *run_every* ]]
}

@test "as many as the project may have, and no more" {
	sandboxctl project quota one schedules="$(($(sandboxctl project inspect one --json | jq .schedules) + 2))"
	schedule '{"code_name": "tick", "cron": "@yearly"}'
	schedule '{"code_name": "tick", "cron": "@yearly"}'
	refused 'have not ended: cancel some' '{"code_name": "tick", "cron": "@yearly"}'
}
