#!/usr/bin/env bats
# The HTTP server: who is let in, what is bounded, logs as they come, metrics and the page.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # code for the sandbox; what run sets
load daemon
load http

# Makes the project default, and an operator's token.
setup_file() {
	daemon_make
	ONE=000000000000000000000000
	TOKEN=$(operator_token)
	TASKS=/api/projects/$ONE/tasks
	FRONT=$(role front)
	export ONE TOKEN TASKS FRONT
}

# auth PATH [CURL OPTION...]: as ask, with the operator's token.
auth() {
	ask "$1" -H "$(http_auth)" "${@:2}"
}

# texts FILE: what the events of a stream print, in order.
texts() {
	sed -n 's/^data: //p' "$1" | jq -rj '.text // empty'
}

# told FILE LINE: the events of a stream have printed this line.
told() {
	texts "$1" | grep -qxF -- "$2"
}

ended() {
	grep -q '^event: end' "$1"
}

@test "RUN/http tells where it listens, to everybody" {
	[ "$(stat -c %a "$RUN/http")" = 644 ]
	[[ $(cat "$RUN/http") =~ ^127\.0\.0\.1:[0-9]+$ ]]
	[ "$(auth /metrics)" = 200 ]
}

@test "a port that is taken: the start fails and names --http" {
	run timeout "$PATIENCE" "$DAEMON" --state "$BATS_TEST_TMPDIR/s" --run "$BATS_TEST_TMPDIR/r" \
		--cgroup "$GROUP-2" --http "$(cat "$RUN/http")"
	[ "$status" = 125 ]
	[[ $output == *"--http $(cat "$RUN/http")"*"another program"* ]]
}

@test "a wrong --http or --http-rate is refused by its name" {
	for address in '' 8080 localhost:1 127.0.0.1:65536 127.0.0.1:-1 '[::1]' '[::1:1' 1.2.3:4 127.0.0.1:1x; do
		run timeout "$PATIENCE" "$DAEMON" --state "$BATS_TEST_TMPDIR/s" \
			--run "$BATS_TEST_TMPDIR/r" --http "$address"
		[ "$status" = 125 ]
		[[ $output == *"--http $address: must be ADDRESS:PORT"* ]]
	done
	run timeout "$PATIENCE" "$DAEMON" --http-rate 0
	[ "$status" = 125 ]
	[[ $output == *--http-rate* ]]
}

@test "an empty --state, --run or --criu is refused by its name" {
	for option in --state --run --criu; do
		run timeout "$PATIENCE" "$DAEMON" "$option" ''
		[ "$status" = 125 ]
		[[ $output == *"$option: must not be empty"* ]]
	done
}

@test "what is not there, not so, not by him, not here" {
	[ "$(ask /2/nothing)" = 404 ]
	[ "$(cat body)" = '{"msg":"Not found"}' ]
	[ "$(ask /metrics -X POST)" = 405 ]
	[ "$(header Allow)" = "GET, HEAD" ]
	[ "$(ask "$TASKS")" = 401 ]
	[ -n "$(jq -r .msg body)" ]
	[ "$(ask "$TASKS" -H 'Authorization: OAuth nonsense')" = 401 ]
	[ "$(ask /metrics -H 'Host: evil.example')" = 421 ]
	for path in /a%2fb /%2e%2e/x /x%00 /%ff '/metrics?a=%' /a%0d%0ab; do
		[ "$(ask "$path" --path-as-is)" = 400 ]
		jq -e .msg body
	done
}

@test "a token is good in three forms, and another project's is as nothing" {
	local other

	other=$(sandboxctl project create other --json | jq -r .token)
	[ "$(auth "$TASKS")" = 200 ]
	[ "$(ask "$TASKS" -H "Authorization: bearer $TOKEN")" = 200 ]
	[ "$(ask "$TASKS?oauth=$TOKEN")" = 200 ]
	[ "$(ask "$TASKS?oauth=$other")" = 404 ]
	[ "$(cat body)" = '{"msg":"Not found"}' ]
	[ "$(ask "/api/projects/ffffffffffffffffffffffff/tasks?oauth=$other")" = 404 ]
	[ "$(cat body)" = '{"msg":"Not found"}' ]
	[ "$(ask "/api/node?oauth=$other")" = 403 ]
}

@test "each answer says its type, and that it is no page" {
	[ "$(ask /nothing)" = 404 ]
	[ "$(header Content-Type)" = application/json ]
	[ "$(header X-Content-Type-Options)" = nosniff ]
	[ "$(header Cache-Control)" = no-store ]
	[ -z "$(header Access-Control-Allow-Origin)" ]
	[ "$(auth /metrics -I -w '%{http_code} %{size_download}')" = '200 0' ]
	[ "$(header Content-Length)" -gt 1000 ]
}

@test "one connection serves many requests, also after errors" {
	run curl -s -o /dev/null -o /dev/null -o /dev/null -w '%{http_code} %{num_connects}\n' \
		"$(http_url)/" "$(http_url)/nothing" "$(http_url)/dashboard"
	[ "$output" = $'200 1\n404 0\n200 0' ]
}

@test "headers of more than 16 KiB are refused" {
	[ "$(auth /metrics -H "X: $(head -c 15000 /dev/zero | tr '\0' a)")" = 200 ]
	[ "$(auth /metrics -H "X: $(head -c 17000 /dev/zero | tr '\0' a)")" = 431 ]
	[ "$(auth /metrics -H "X: $(head -c 90000 /dev/zero | tr '\0' a)")" = 431 ]
}

@test "a body of more than 8 MiB is refused, whether its length is said or not" {
	truncate -s 9M big
	[ "$(auth "$TASKS" --data-binary @big -H Expect:)" = 413 ]
	[ "$(auth "$TASKS" --data-binary @big -H 'Transfer-Encoding: chunked' -H Expect:)" = 413 ]
	[ "$(ask "$TASKS" --data-binary @big -H Expect:)" = 401 ]
	[ "$(role front)" = "$FRONT" ]
}

@test "a long body is read by a thread of the front's, which its filter lets it have" {
	local payload
	payload=$(head -c 60000 /dev/zero | tr '\0' p)
	printf '{"tasks": [{"code_name": "none", "payload": "%s"}]}' "$payload" >long
	[ "$(auth "$TASKS" --data-binary @long)" = 404 ]
	grep -q 'tasks\[0\].code_name: there is no worker' "$(http_dir)/body"
	[ "$(role front)" = "$FRONT" ]
}

@test "clients that say nothing, or the half of it, keep nobody out" {
	python3 - "$(cat "$RUN/http")" <<-'EOF'
		import socket, sys, urllib.request
		host, port = sys.argv[1].rsplit(":", 1)
		silent = []
		for i in range(700):
		    s = socket.create_connection((host, int(port)))
		    if i % 2:
		        try:
		            s.send(b"POST /api/projects/x/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Len")
		        except OSError:
		            pass
		    silent.append(s)
		    if i % 100 == 99:
		        urllib.request.urlopen("http://%s/" % sys.argv[1], timeout=60).read()
	EOF
	[ "$(auth /metrics)" = 200 ]
	[ "$(role front)" = "$FRONT" ]
}

@test "clients that leave in any phase leave nothing" {
	local before

	before=$(find "/proc/$FRONT/fd" | wc -l)
	python3 - "$(cat "$RUN/http")" "$TOKEN" "/api/projects/$ONE/codes" <<-'EOF'
		import socket, struct, sys
		host, port = sys.argv[1].rsplit(":", 1)
		form = ("POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: OAuth %s\r\n"
		        "Content-Type: multipart/form-data; boundary=X\r\nContent-Length: 100000\r\n\r\n"
		        "--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n%s"
		        % (sys.argv[3], sys.argv[2], "z" * 50000)).encode()
		for cut in list(range(1, 700, 9)) + list(range(1000, len(form), 7000)):
		    s = socket.create_connection((host, int(port)))
		    s.send(form[:cut])
		    if cut % 2:  # by a reset
		        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		    s.close()
	EOF
	wait_until "$PATIENCE" fds_are "$before"
	[ "$(role front)" = "$FRONT" ]
}

fds_are() {
	[ "$(find "/proc/$FRONT/fd" | wc -l)" -le "$1" ]
}

@test "no token is in the log, whatever was done with it" {
	local secret=secretsecretsecretsecretsecretsecretsecrets

	[ "$(ask "/api/node?oauth=$secret")" = 401 ]
	[ "$(ask "/api/node?oauth=$secret%")" = 400 ]
	[ "$(ask "/api/node" -H "Authorization: OAuth $secret")" = 401 ]
	[ "$(ask "/$secret?oauth=$TOKEN")" = 404 ]
	run ! grep -e "$secret" -e "$TOKEN" body head "$WORK/log"
}

@test "a log is followed by events from its first line to its end" {
	local id

	id=$(detached python "$GATE"'
print("first")
gate()
sys.stderr.write("</script>\x1b[31m\n")
sys.stdout.buffer.write(b"\xff \xc3\xa4\n")
')
	stream "$id" events
	wait_until "$PATIENCE" told events first
	run ! ended events
	signal_task "$id" USR1
	wait_until "$PATIENCE" ended events
	reap $!
	[ "$(texts events | grep -c .)" = 3 ]
	[[ $(texts events) == *$'\xef\xbf\xbd \xc3\xa4'* ]]
	grep -q '^event: stderr$' events
	grep -qF '\u001b[31m' events
	tail -n 3 events | grep -qF 'data: {"complete":true}'
}

@test "events go on after the one that was seen last, and none is told twice" {
	local id last

	id=$(detached python "$GATE"'
for i in range(3):
    sys.stdout.write("%d\n" % i)
    gate()
')
	stream "$id" one
	wait_until "$PATIENCE" told one 0
	kill $!
	last=$(sed -n 's/^id: //p' one | tail -n 1)
	signal_task "$id" USR1
	wait_until "$PATIENCE" log_has "$id" 1
	stream "$id" two -H "Last-Event-ID: $last"
	wait_until "$PATIENCE" told two 1
	signal_task "$id" USR1
	wait_until "$PATIENCE" log_has "$id" 2
	signal_task "$id" USR1
	wait_until "$PATIENCE" ended two
	[ "$(texts two)" = $'1\n2' ]
	request "$TASKS/$id/events?last_event_id=$last" -H "$(http_auth)" >three
	[ "$(texts three)" = $'1\n2' ]
	[ "$(auth "$TASKS/$id/events" -H 'Last-Event-ID: x')" = 400 ]
}

@test "a logger that is killed costs a follower nothing" {
	local id logger

	id=$(detached python "$GATE"'
for i in range(1000):
    print("line", i, flush=True)
    if i == 500:
        gate()
')
	stream "$id" events
	wait_until "$PATIENCE" told events 'line 500'
	logger=$(role logger)
	kill -KILL "$logger"
	wait_until "$PATIENCE" gone "$logger"
	signal_task "$id" USR1
	wait_until "$PATIENCE" ended events
	reap $!
	[ "$(texts events)" = "$(seq -f 'line %.0f' 0 999)" ]
}

@test "a front that is killed: the next one listens at the same place" {
	local was

	was=$(http_url)
	kill -KILL "$(role front)"
	wait_until "$PATIENCE" sandboxctl version
	[ "$(http_url)" = "$was" ]
	[ "$(auth /metrics)" = 200 ]
}

@test "a reader that does not read holds up nobody" {
	local id

	id=$(detached python 'print("x" * 4000000)' --log-limit 16M 2>/dev/null ||
		detached python 'print("x" * 4000000)')
	sandboxctl wait "$id" >/dev/null
	stream "$id" fifo --limit-rate 1k
	[ "$(auth /metrics)" = 200 ]
	stream "$id" quick
	wait_until "$PATIENCE" ended quick
	run ! ended fifo
	kill %1
}

@test "metrics: an operator's alone, also on loopback" {
	[ "$(ask /metrics)" = 401 ]
	run ! grep -q sandboxd_ body
	[ "$(ask /metrics -H "Authorization: OAuth $(sandboxctl project token create default --json | jq -r .token)")" = 403 ]
	run ! grep -q sandboxd_ body
	[ "$(ask /metrics -H "Authorization: Bearer $TOKEN")" = 200 ]
	grep -q '^sandboxd_project_queued_tasks{project="default"} ' body
}

@test "metrics: names, types and numbers as Prometheus reads them" {
	local before

	[ "$(auth /metrics)" = 200 ]
	[ "$(header Content-Type)" = 'text/plain; version=0.0.4; charset=utf-8' ]
	before=$(metric 'sandboxd_task_verdicts_total{verdict="exit"}')
	sandboxctl run python --start cold --code 'raise SystemExit(3)' || true
	[ "$(auth /metrics)" = 200 ]
	[ "$(metric 'sandboxd_task_verdicts_total{verdict="exit"}')" = $((before + 1)) ]
	[ "$(metric 'sandboxd_task_start_seconds_count{mode="cold"}')" -ge 1 ]
	[ "$(metric 'sandboxd_task_start_seconds_bucket{mode="cold",le="+Inf"}')" = \
		"$(metric 'sandboxd_task_start_seconds_count{mode="cold"}')" ]
	[ "$(metric 'sandboxd_role_up{role="logger"}')" = 1 ]
	[ "$(metric 'sandboxd_role_open_fds{role="front"}')" -ge 5 ]
	[ "$(metric 'sandboxd_role_resident_memory_bytes{role="front"}')" -ge 1000000 ]
	python3 - <<-'EOF'
		import re
		types, seen = {}, set()
		for line in open("body").read().splitlines():
		    if line.startswith("# TYPE "):
		        name, kind = line.split()[2:]
		        assert name not in types, name
		        types[name] = kind
		        assert name.endswith("_total") == (kind == "counter"), name
		    elif not line.startswith("# HELP "):
		        m = re.fullmatch(r'(sandboxd_[a-z_]+)(\{([a-z]+="[^"\n]*",?)+\})? ([0-9.]+)', line)
		        assert m, line
		        base = re.sub("_(bucket|sum|count)$", "", m[1])
		        assert base in types or m[1] in types, line
		        assert line.rsplit(" ", 1)[0] not in seen, line
		        seen.add(line.rsplit(" ", 1)[0])
	EOF
}

metric() {
	awk -v name="$1" '$1 == name { print $2 }' body
}

@test "the page: its type, its policy, its tag; and nothing else of this machine" {
	mkdir -p share/dashboard/lib
	echo '<p>page' >share/dashboard/index.html
	echo 'x = 1' >share/dashboard/lib/a.js
	echo secret >share/dashboard/a.txt
	echo secret >share/secret.js
	echo secret >share/dashboard/.hidden.js
	ln -s ../secret.js share/dashboard/link.js
	ln -s .. share/dashboard/up
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" share share/dashboard
	daemon_stop
	SANDBOXD_SHARE=$PWD/share daemon_start
	[ "$(ask /)" = 200 ]
	[ "$(cat body)" = '<p>page' ]
	[ "$(header Content-Type)" = 'text/html; charset=utf-8' ]
	[[ $(header Content-Security-Policy) == "default-src 'none'; script-src 'self';"* ]]
	[ "$(ask / -H "If-None-Match: $(header ETag)")" = 304 ]
	[ "$(ask /dashboard/lib/a.js)" = 200 ]
	[ "$(header Content-Type)" = 'text/javascript; charset=utf-8' ]
	for path in a.txt link.js up/secret.js .hidden.js lib none.js lib/none.js; do
		[ "$(ask "/dashboard/$path")" = 404 ]
	done
	for path in ../secret.js %2e%2e/secret.js ..%2fsecret.js; do
		[ "$(ask "/dashboard/$path" --path-as-is)" = 400 ]
	done
	daemon_stop
	SANDBOXD_SHARE=/nonexistent daemon_start
	[ "$(ask /)" = 404 ]
	[[ $(jq -r .msg body) == *"make install"* ]]
	[ "$(role front)" = "$(pgrep -P "$(cat "$WORK/pid")" -u _sandboxd)" ]
}

@test "a project that asks too often is told when to come again; operators are not" {
	local one two

	one=$(sandboxctl project create rate-one --json)
	two=$(sandboxctl project create rate-two --json)
	daemon_stop
	MORE_OPTIONS='--http-rate 1' daemon_start
	one=$(jq -r .token <<<"$one")
	[ "$(ask "/api/whoami?oauth=$one")" = 200 ]
	wait_until "$PATIENCE" refused "$one"
	[[ $(header Retry-After | tail -n 1) =~ ^[0-9]+$ ]]
	[ "$(ask "/api/whoami?oauth=$(jq -r .token <<<"$two")")" = 200 ]
	[ "$(auth /api/whoami)" = 200 ]
	daemon_stop
	daemon_start
}

# refused TOKEN: of thirty requests on one connection, which take less than thirty seconds on the busiest
# machine, one was one too many.
refused() {
	local urls

	mapfile -t urls < <(for _ in {1..30}; do printf '%s\n' -o /dev/null "$(http_url)/api/whoami?oauth=$1"; done)
	curl -sS -m "$PATIENCE" -D "$(http_dir)/head" -w '%{http_code}\n' "${urls[@]}" | grep -qx 429
}

@test "--http: another address, or none" {
	daemon_stop
	HTTP=none daemon_start
	[ ! -e "$RUN/http" ]
	sandboxctl run python --code 'print(1)'
	daemon_stop
	if grep -q ' lo$' /proc/net/if_inet6; then
		HTTP='[::1]:0' daemon_start
		[[ $(http_url) == http://\[::1\]:* ]]
		[ "$(auth /metrics)" = 200 ]
		daemon_stop
	fi
	# The address is not loopback, so any host name is accepted.
	HTTP=0.0.0.0:0 daemon_start
	[ "$(ask /metrics)" = 401 ]
	[ "$(auth /metrics -H 'Host: node.example')" = 200 ]
	daemon_stop
	[ ! -e "$RUN/http" ]
	daemon_start
}

@test "the front is as confined as before" {
	[ "$(awk '/^Seccomp:/ { print $2 }' "/proc/$(role front)/status")" = 2 ]
	[ "$(awk '/^CapEff:/ { print $2 }' "/proc/$(role front)/status")" = 0000000000000000 ]
	run ! grep -E 'front (died|exited)' <(grep -v 'signal 9' "$WORK/log")
}
