#!/usr/bin/env bats
# What is seen of HTTP workers (metrics, info), their quotas by project, and their snapshots made anew.
# shellcheck disable=SC2154 # run sets status, output and stderr
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	TOKEN=$(sandboxctl project token create default --operator --json | jq -r .token)
	export ADDRESS TOKEN
	cd "$BATS_FILE_TMPDIR" || return
	worker one
	worker two
	sandboxctl deploy one >"$WORK/deployed" 2>"$WORK/progress" || fail "$(cat "$WORK/progress")"
	sandboxctl deploy two >/dev/null 2>"$WORK/progress" || fail "$(cat "$WORK/progress")"
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return
}

teardown_file() {
	sandboxctl deploy rm one || true
	sandboxctl deploy rm two || true
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

# worker NAME [LINE...]: a folder with a worker of that name; the lines are of its wrangler.toml.
worker() {
	mkdir -p "$1"
	cat >"$1/wrangler.toml" <<-END
		name = "$1"
		main = "entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
	END
	[ $# = 1 ] || printf '%s\n' "${@:2}" >>"$1/wrangler.toml"
	cat >"$1/entry.py" <<-'END'
		from workers import Response, WorkerEntrypoint


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        if request.url.endswith("/raise"):
		            raise ValueError("no")
		        return Response("hello")
	END
}

# ask WORKER PATH: the status of the answer.
ask() {
	curl -sS --max-time 60 -o /dev/null -w '%{http_code}\n' -H "Host: $1.default.localhost" "http://$ADDRESS/$2"
}

metrics() {
	curl -sSf -H "Authorization: OAuth $TOKEN" "$(http_url)/metrics"
}

# metric NAME-WITH-LABELS VALUE
metric() {
	metrics | grep -qxF "sandboxd_$1 $2"
}

@test "requests, errors, instances and deploys are in /metrics, in info and in ls" {
	for _ in 1 2 3 4; do
		[ "$(ask one "")" = 200 ]
	done
	[ "$(ask one raise)" = 500 ]
	labels='project="default",worker="one"'
	wait_until "$PATIENCE" metric "http_worker_requests_total{$labels}" 5
	metrics >all
	grep -qxF "sandboxd_http_worker_responses_total{$labels,class=\"2xx\"} 4" all
	grep -qxF "sandboxd_http_worker_responses_total{$labels,class=\"5xx\"} 1" all
	grep -qxF "sandboxd_http_worker_request_seconds_bucket{$labels,le=\"+Inf\"} 5" all
	grep -qxF "sandboxd_http_worker_request_seconds_count{$labels} 5" all
	grep -qxF "sandboxd_http_worker_instances{$labels,state=\"up\"} 1" all
	grep -qxF "sandboxd_http_worker_versions{$labels} 1" all
	grep -qxF "sandboxd_http_worker_routes{$labels} 0" all
	grep -qxF "sandboxd_http_workers 2" all
	grep -qxF 'sandboxd_http_deploys_total{outcome="ok",step=""} 2' all
	[ "$(grep -c '^sandboxd_http_instance_start_seconds_count' all)" = 3 ]
	# Each name has its words once, before its values.
	[ -z "$(grep '^# TYPE' all | sort | uniq -d)" ]
	wait_until "$PATIENCE" has_told
	grep -qE '^requests     5, of which 4xx: 0, 5xx: 1; [0-9.]+ ms on average; 0 restarts, [0-9]+ wakes$' told
	# What the edge has counted is asked for anew.
	[ "$(ask one "")" = 200 ]
	wait_until "$PATIENCE" edge_has 6
	sandboxctl deploy info one | grep -q '^requests     6, '
	# An instance that dies is a restart; what the edge has counted stays.
	id=$(sandboxctl --json deploy info one | jq -r '.instances[0].id')
	sandboxctl cancel --force "$id"
	wait_until "$PATIENCE" metric "http_worker_restarts_total{$labels}" 1
}

edge_has() {
	curl -sS --unix-socket "$RUN/edge/edge.sock" http://edge/stats | jq -e "any(.workers[]; .requests == $1)"
}

# What an instance says of its requests may come a second later.
has_told() {
	sandboxctl deploy info one >told &&
		grep -qE '^instance     [0-9a-f]{24} up, 5 requests, 0 now, (cold|restore|fork) in [0-9.]+ ms, ready after [0-9.]+ ms$' told
}

@test "requests a second beyond the project's quota are answered 429, over all its workers" {
	sandboxctl project quota default http_rate=3 >/dev/null
	wait_until "$PATIENCE" is_limited
	wait_until "$PATIENCE" is_shared
	# So are those that the edge answers itself, by a file.
	mkdir -p "$WORK/files/public"
	echo there >"$WORK/files/public/file.txt"
	printf 'name = "files"\ncompatibility_date = "2026-03-01"\n[assets]\ndirectory = "public"\n' \
		>"$WORK/files/wrangler.toml"
	sandboxctl deploy "$WORK/files" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
	wait_until "$PATIENCE" are_files_limited
	sandboxctl deploy rm files
	# The project's list says what there is.
	sandboxctl project inspect default | grep -q 'http_rate=3'
	sandboxctl project quota default http_rate=0 >/dev/null
	wait_until "$PATIENCE" is_not_limited
}

burst() {
	local i

	for ((i = 0; i < 10; i++)); do
		ask one "" &
		ask two "" &
	done
	wait
}

burst_files() {
	local i

	for ((i = 0; i < 20; i++)); do
		ask files file.txt &
	done
	wait
}

are_files_limited() {
	burst_files >statuses
	[ "$(sort -u statuses | tr '\n' ' ')" = "200 429 " ]
}

# In one of two bursts, of which one lies in one second, no more than three got through.
is_limited() {
	burst >statuses
	[ "$(sort -u statuses | tr '\n' ' ')" = "200 429 " ] &&
		curl -sS -H 'Host: two.default.localhost' "http://$ADDRESS/" | grep -q 'more requests a second than its quota'
}

# is_shared: in a second in which the one has had all that there is, the other has none, with its only request.
is_shared() {
	local now=$EPOCHSECONDS each=(-sS -m "$PATIENCE" -o /dev/null -w '%{http_code}\n' "http://$ADDRESS/" -H) all=() i

	while [ "$EPOCHSECONDS" = "$now" ]; do sleep 0.02; done
	for ((i = 0; i < 8; i++)); do
		all+=("${each[@]}" 'Host: one.default.localhost' --next)
	done
	[ "$(curl "${all[@]}" "${each[@]}" 'Host: two.default.localhost' | tail -n 1)" = 429 ]
}

is_not_limited() {
	burst >statuses
	[ "$(sort -u statuses)" = 200 ]
}

@test "what the edge has counted begins anew with nginx, and is still told" {
	wait_until "$PATIENCE" two_has 4xx '[1-9]'
	role_kill edge
	wait_until "$PATIENCE" two_answers
	wait_until "$PATIENCE" two_has 4xx '0$'
	wait_until "$PATIENCE" two_has 2xx '[1-9]'
}

# two_has CLASS NUMBER: some of the bursts before were refused.
two_has() {
	metrics | grep -q "^sandboxd_http_worker_responses_total{project=\"default\",worker=\"two\",class=\"$1\"} $2"
}

two_answers() {
	[ "$(ask two "" 2>/dev/null)" = 200 ]
}

@test "which hosts a project may have is the operator's list, and they are nobody else's" {
	sandboxctl project create other --quota 'hosts=shop.example,*.shop.example' >/dev/null
	worker three 'routes = ["a.shop.example/*"]'
	run sandboxctl deploy three
	[ "$status" != 0 ]
	[[ $output == *"routes: a.shop.example: this host is kept for another project"*"sandboxctl project quota default hosts="* ]]
	sandboxctl deploy three --project other >/dev/null
	[ "$(curl -sS -H 'Host: a.shop.example' "http://$ADDRESS/")" = hello ]
	worker four 'routes = ["elsewhere.example/*"]'
	run sandboxctl deploy four --project other
	[ "$status" != 0 ]
	[[ $output == *"the project other has routes of these hosts alone: shop.example,*.shop.example"* ]]
	run sandboxctl project quota other hosts=a.example/x
	[ "$status" != 0 ]
	[[ $output == *"hosts[0]: must be a host such as"* ]]
	sandboxctl project rm other --force
}

@test "a deploy beyond a quota is refused, and says what to do" {
	sandboxctl project quota default http_workers=2 >/dev/null
	worker five
	run sandboxctl deploy five
	[ "$status" != 0 ]
	[[ $output == *"the project has 2 HTTP workers, and its quota \"http_workers\" is 2: remove one"* ]]
	[[ $output == *"sandboxctl project quota default http_workers=N"* ]]
	sandboxctl project quota default http_workers=500 >/dev/null
	# What its versions take is among what packages take.
	[ "$(sandboxctl --json project inspect default | jq '.package_bytes >= 4096')" = true ]
}

@test "a deploy that fails at the start names the run whose log has the traceback" {
	worker six
	echo 'nothing_of_that_name' >>six/entry.py
	run --separate-stderr sandboxctl deploy six
	[ "$status" != 0 ]
	[[ $stderr == *"start: entry.py:"*"nothing_of_that_name"*"(sandboxctl logs "* ]]
	# It is told with the traceback, which begins with the worker's own code.
	[[ $stderr == *$'\nTraceback (most recent call last):\n  File "/session/metadata/entry.py", line '*$'\nNameError: '*$'\nsandboxctl: start: '* ]] ||
		fail "$stderr"
	id=$(grep -o 'sandboxctl logs [0-9a-f]*' <<<"$stderr" | cut -d' ' -f3)
	wait_until "$PATIENCE" log_has "$id" "NameError"
	sandboxctl logs "$id" 2>&1 | grep -q Traceback
	wait_until "$PATIENCE" metric 'http_deploys_total{outcome="failed",step="start"}' 1
}

checkpoints() {
	find "$STATE/checkpoints" -mindepth 1 -maxdepth 1 -name '[0-9a-f]*' | wc -l
}

is_ready() {
	[ "$(sandboxctl --json deploy ls one | jq -r '.[0] | .snapshot + " " + .snapshot_state')" = "dedicated ready" ] &&
		[ "$(checkpoints)" -ge 1 ]
}

# The last one: where the edge listens is another port after it.
@test "a version whose checkpoint is no good any more gets another, before anybody asks for it" {
	sandboxctl deploy ls one | grep -q "  3\.[0-9]*  *dedicated  "
	daemon_stop
	rm -rf "$STATE"/checkpoints/*
	daemon_start
	wait_until "$PATIENCE" is_ready
	ADDRESS=$(cat "$RUN/edge-http")
	id=$(sandboxctl --json deploy info one | jq -r '.instances[0].id // empty')
	[ -z "$id" ] || sandboxctl cancel --force "$id"
	wait_until "$PATIENCE" answers
	[ "$(sandboxctl --json deploy info one | jq -r '.instances[-1].start_mode')" != cold ]
}

answers() {
	[ "$(ask one "")" = 200 ]
}
