#!/usr/bin/env bats
# Projects: made, listed, bounded and removed; their tokens; whose a task is.
# shellcheck disable=SC2154 # stderr is set by run
load daemon

# made NAME [OPTION...]: makes a project; prints its id.
made() {
	sandboxctl project create "$@" --json | jq -r .id
}

# project NAME FILTER
project() {
	sandboxctl project inspect "$1" --json | jq -c "$2"
}

# restarted: another front has taken over, which has read everything from the store.
restarted() {
	kill -KILL "$(role front)"
	wait_until "$PATIENCE" sandboxctl version
}

@test "create prints id, name and token, and nothing else; ls and inspect tell the rest" {
	run --separate-stderr sandboxctl project create first --json
	[ "$status" = 0 ]
	[ "$(jq -c keys <<<"$output")" = '["id","name","token"]' ]
	[[ $(jq -r .id <<<"$output") =~ ^[0-9a-f]{24}$ ]]
	[ "$(jq -r .name <<<"$output")" = first ]
	[[ $(jq -r .token <<<"$output") =~ ^[A-Za-z0-9_-]{43}$ ]]
	[ "$(sandboxctl project ls --json | jq -c 'map(.name)')" = '["default","first"]' ]
	[ "$(project first '[.id, .tasks, .codes, .schedules, .package_bytes, (.tokens | length)]')" = \
		"[$(jq .id <<<"$output"),{\"queued\":0,\"running\":0},0,0,0,1]" ]
	[ "$(project "$(jq -r .id <<<"$output")" .name)" = '"first"' ]
	[ "$(project default .id)" = '"000000000000000000000000"' ]
	[[ $(sandboxctl project ls) == *first*"$(jq -r .id <<<"$output")"* ]]
}

@test "text for a person: the lines of iron.json, with the port that the daemon has" {
	local address

	address=$(<"$RUN/http")
	[ "$(sandboxctl version --json | jq -r .sandboxd.http)" = "$address" ]
	run --separate-stderr sandboxctl project create second
	[ "$status" = 0 ]
	[ "$(sed 1,2d <<<"$output" | jq -c '[.project_id, (.token | length), .port, .host]')" = \
		"[$(project second .id),43,${address##*:},\"127.0.0.1\"]" ]
}

@test "names that cannot be names, or are taken" {
	local name

	refused 'is empty' project create ''
	for name in A 'a b' ../x a..b '-x' "$(printf 'a%.0s' {1..64})" $'a\nb' 'é' x/y; do
		refused 'is no project' project create -- "$name"
	done
	refused 'looks like an id' project create 0123456789abcdef01234567
	made taken
	refused 'there is a project taken already' project create taken
	refused 'there is a project default already' project create default
	refused 'no project "nothing"' project inspect nothing
	refused 'takes one name' project create a b
	refused "no 'mend'" project mend
}

@test "quotas: as given, changed, and refused" {
	made small --quota running=2 --quota memory=1G
	[ "$(project small .quota)" = "$(tr -d '\n\t' <<-'EOT'
		{"running":2,"queued":200000,"schedules":100,"memory":1073741824,"package_bytes":4294967296,
		"package_files":400000,"log_bytes":0,"kept_log_bytes":1073741824,"http_workers":500,"http_versions":100,"http_instances":0,"http_rate":0,
		"kv_bytes":1073741824,"services":100,"service_replicas":0,"service_versions":10,"service_data_bytes":1073741824,"background_items":1000000,"background_bytes":1073741824,"policies":["default","strict"],"images":["*"],"hosts":["*"]}
	EOT
	)" ]
	sandboxctl project quota small running=0 log_bytes=64K package_bytes=0 package_files=9 policies='*' images=python,iron >out
	grep -q '^quota .*package_files=9 .*memory=1G' out
	grep -qx 'policies  *\*' out
	grep -qx 'images  *python,iron' out
	restarted
	[ "$(project small .quota)" = "$(tr -d '\n\t' <<-'EOT'
		{"running":0,"queued":200000,"schedules":100,"memory":1073741824,"package_bytes":0,
		"package_files":9,"log_bytes":65536,"kept_log_bytes":1073741824,"http_workers":500,"http_versions":100,"http_instances":0,"http_rate":0,
		"kv_bytes":1073741824,"services":100,"service_replicas":0,"service_versions":10,"service_data_bytes":1073741824,"background_items":1000000,"background_bytes":1073741824,"policies":["*"],"images":["python","iron"],"hosts":["*"]}
	EOT
	)" ]
	# These may be made later.
	run --separate-stderr sandboxctl project quota small policies=default,absent images=python,nowhere
	[ "$status" = 0 ]
	[ "$stderr" = "sandboxctl: warning: policies: there is no policy \"absent\" (yet): 'sandboxctl policy ls' shows what there is
sandboxctl: warning: images: there is no image \"nowhere\" (yet): 'sandboxctl image ls' shows what there is" ] || fail "$stderr"
	run --separate-stderr sandboxctl project create early --quota images=nowhere --json
	[[ $stderr == *'there is no image "nowhere"'* ]] || fail "$stderr"
	sandboxctl project rm early
	run --separate-stderr sandboxctl project quota small policies='*' images=python
	[ -z "$stderr" ] || fail "$stderr"
	refused 'quota: policies[1]: must be a name' project quota small 'policies=default,*'
	refused 'quota: images[0]: must be' project quota small 'images=,'
	refused 'quota: fast: unknown key' project quota small fast=1
	refused 'quota: running: must be' project quota small running=-1
	refused 'quota: running: must be' project quota small running=many
	refused 'quota: memory: must be 0, which is no bound, or at least 16M' project quota small memory=1
	refused 'quota: memory: must be' project quota small memory=99999999999999999999
	refused 'quota: running is given twice' project quota small running=1 running=2
	refused 'is not KEY=VALUE' project quota small running
	refused 'quota: queued: must be' project create other --quota queued=x
	refused 'no project "other"' project quota other running=1
	[ "$(project small .quota.running)" = 0 ]
}

@test "tokens: made, listed without their text, revoked; only a hash is on disk" {
	local id token

	made keyed
	run --separate-stderr sandboxctl project token create keyed --label 'of the CI' --json
	[ "$status" = 0 ]
	token=$(jq -r .token <<<"$output") id=$(jq -r .id <<<"$output")
	[ "${#token}" = 43 ]
	[ "$(sandboxctl project token ls keyed --json | jq -c 'map([.label, .operator, .used_at])')" = \
		'[["first",false,null],["of the CI",false,null]]' ]
	restarted
	run sandboxctl project token ls keyed
	[[ $output == *"$id"*'of the CI'* ]]
	[[ $output != *"$token"* ]]
	run grep -rlaF -e "$token" "$STATE/front" "$WORK/log"
	[ "$status" = 1 ] || fail "the token is in $output"
	sandboxctl project token revoke keyed "$id"
	restarted
	[ "$(sandboxctl project token ls keyed --json | jq length)" = 1 ]
	refused "has no token $id" project token revoke keyed "$id"
	[ "$(sandboxctl project token create default --operator --json | jq .operator)" = true ]
	refused 'operator: only the project "default"' project token create keyed --operator
	refused 'label' project token create keyed --label "$(printf 'a%.0s' {1..64})"
	for _ in {2..64}; do
		sandboxctl project token create keyed >/dev/null 2>&1
	done
	refused 'has 64 tokens' project token create keyed
}

@test "run --project: its task, by name in ps and inspect; others are refused" {
	local id

	id=$(made runner)
	sandboxctl run python --code 'print(1)' --project runner --label mine
	[ "$(inspect "$(id_of mine)" .project)" = runner ]
	sandboxctl run python --code 'print(1)' --project "$id" --label mine-too
	[ "$(sandboxctl ps --all --json | jq -r '.[] | select(.label == "mine-too") | .project')" = runner ]
	sandboxctl run python --code 'print(1)' --label nobodys
	[ "$(inspect "$(id_of nobodys)" .project)" = default ]
	refused 'project: there is no project "other"' run python --code 'print(1)' --project other
}

@test "quotas hold for tasks: log_bytes, running, memory" {
	local first second

	made bound --quota log_bytes=4K --quota running=1 --quota memory=400M
	sandboxctl run python --code 'print("x" * 100000)' --project bound --label long >out || true
	[ "$(inspect "$(id_of long)" .limits.log)" = 4096 ]
	[ "$(inspect "$(id_of long)" .log.dropped)" -gt 90000 ]
	refused 'quota "memory" is 400M' run python --code 'print(1)' --project bound --memory 512M
	first=$(detached python 'import time; time.sleep(600)' --project bound --memory 64M)
	second=$(detached python 'print("second")' --project bound --memory 64M)
	wait_until "$PATIENCE" status_is "$first" running
	status_is "$second" queued
	[ "$(project bound .tasks)" = '{"queued":1,"running":1}' ]
	# The task of another project does not wait for it.
	[ "$(sandboxctl run python --code 'print(2)')" = 2 ]
	status_is "$second" queued
	sandboxctl cancel --force "$first"
	wait_until "$PATIENCE" status_is "$second" complete
	[ "$(project bound .tasks)" = '{"queued":0,"running":0}' ]
}

@test "rm: not while tasks run, unless by force; then nothing of it is left" {
	local id task ended

	id=$(made short)
	sandboxctl run python --code 'print("said")' --project short --label ended
	ended=$(id_of ended)
	task=$(detached python 'import time; time.sleep(600)' --project short)
	wait_until "$PATIENCE" status_is "$task" running
	refused 'tasks of the project short wait or run (1)' project rm short
	[ "$(project short .id)" = "\"$id\"" ]
	sandboxctl project rm short --force
	refused 'no project "short"' project inspect short
	refused "no task $task" inspect "$task"
	refused "no task $ended" logs "$ended"
	wait_until "$PATIENCE" nothing_named "$STATE/logs" "$ended"
	restarted
	refused 'no project' project inspect "$id"
	[ "$(sandboxctl ps --all --json | jq -r --arg t "$task" 'map(select(.id == $t)) | length')" = 0 ]
	refused 'default project cannot be removed' project rm default --force
	made short
	sandboxctl project rm short
}

# nothing_named FOLDER TEXT
nothing_named() {
	[ -z "$(find "$1" -name "*$2*")" ]
}
