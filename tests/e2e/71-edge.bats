#!/usr/bin/env bats
# The edge: nginx in front of instances. A test program plays the front's part and that of instances.
# shellcheck disable=SC2154 # run sets status
load lib

EDGE_PY=$E2E/edge.py

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make
	alone
	# Longer than a log may be: a later test looks for what was put aside.
	truncate -s 65M "$STATE/edge/error.log"
	export FRONT=$WORK/front
	mkdir "$FRONT"
	# The front clears its own folder of instances.
	mkdir -m 2750 "$RUN/edge/test"
	echo 'ERR 503 nobody is there' >"$FRONT/answer"
	instance one
	instance two
	table
	front_start
	wait_until "$PATIENCE" answers
}

teardown_file() {
	local pid

	while read -r pid; do
		kill -KILL "$pid" 2>/dev/null || true
	done < <(cat "$WORK/pids" 2>/dev/null)
	pkill -KILL -f "^[^ ]*python3 $E2E/edge.py instance $RUN/" || true
	daemon_remove
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	rm -f "$FRONT/gate" "$FRONT/gone" "$FRONT/held" "$FRONT/served" "$FRONT/wakes"
	table
	put_table
}

# alone: from now on the daemon's own front cannot tell the edge anything; what it had to say it has.
alone() {
	wait_until "$PATIENCE" is_ready "$RUN/edge/edge.sock"
	mv "$RUN/edge/edge.sock" "$RUN/edge/test.sock"
}

is_ready() {
	[ "$(curl -sS -m "$PATIENCE" --unix-socket "$1" http://edge/table | jq .ready)" = true ]
}

# table: what there is in all tests: p/hello with two instances, and p/cold with none.
table() {
	cat >"$FRONT/table.json" <<-END
		{"workers": {
		  "p/hello": {"versions": [{"id": "v1", "percent": 100, "room": 100, "instances": [
		    {"id": "one", "path": "test/one.sock"}, {"id": "two", "path": "$RUN/edge/test/two.sock"}]}]},
		  "p/cold": {"versions": [{"id": "v1", "percent": 100, "room": 2, "instances": []}]}},
		 "hosts": {"shop.example.com": [{"path": "/*", "worker": "p/hello"}]}}
	END
}

front_start() {
	python3 "$EDGE_PY" front "$RUN" "$FRONT" >>"$WORK/front.log" 2>&1 3>&- 4>&- &
	echo $! >"$WORK/front.pid"
	cat "$WORK/front.pid" >>"$WORK/pids"
	disown
}

# instance NAME
instance() {
	python3 "$EDGE_PY" instance "$RUN/edge/test/$1.sock" "$1" "$FRONT" >>"$WORK/front.log" 2>&1 3>&- 4>&- &
	echo $! >"$WORK/$1.pid"
	cat "$WORK/$1.pid" >>"$WORK/pids"
	disown
	wait_until "$PATIENCE" test -S "$RUN/edge/test/$1.sock"
}

address() {
	cat "$RUN/edge-http"
}

# ask HOST PATH [CURL'S OPTION...]: the body.
ask() {
	curl -sS -m "$PATIENCE" --path-as-is -H "Host: $1" "http://$(address)$2" "${@:3}"
}

# asked STATUS HOST PATH [CURL'S OPTION...]: the answer must have the status; its body is in $output.
asked() {
	run ask "${@:2}" -w '\n%{http_code}'
	[ "${lines[-1]}" = "$1" ] || fail "$output"
}

answers() {
	[ "$(ask hello.p.localhost /who)" = one ]
}

edge() {
	curl -sS -m "$PATIENCE" --unix-socket "$RUN/edge/test.sock" "http://edge$1" "${@:2}"
}

# put PATH JSON: what the front would put there.
put() {
	run edge "$1" -X PUT -d "$2" -w '%{http_code}'
	[ "$output" = "${3:-204}" ] || [[ $output == *"${3:-204}" ]] || fail "$output"
}

put_table() {
	put /hosts "$(jq -c .hosts "$FRONT/table.json")"
	put /workers/p/hello "$(jq -c '.workers["p/hello"]' "$FRONT/table.json")"
	put /workers/p/cold "$(jq -c '.workers["p/cold"]' "$FRONT/table.json")"
}

# processes_of_edge: the pids of nginx's first process, and of the others.
processes_of_edge() {
	role edge
	pgrep -P "$(role edge)"
}

idle() {
	[ "$(edge /table | jq -c .in_flight)" = '{}' ]
}

in_flight() {
	[ "$(edge /table | jq '[.in_flight[]] | add')" = "$1" ]
}

@test "nginx is confined as the other roles are" {
	for pid in $(processes_of_edge); do
		grep -q '^CapEff:[[:space:]]0*$' "/proc/$pid/status"
		grep -q '^CapPrm:[[:space:]]0*$' "/proc/$pid/status"
		grep -q '^NoNewPrivs:[[:space:]]1$' "/proc/$pid/status"
		# This machine may have a filter for all that is on it.
		[ "$(awk '/^Seccomp_filters/ { print $2 }' "/proc/$pid/status")" -gt \
			"$(awk '/^Seccomp_filters/ { print $2 }' "/proc/$(cat "$WORK/pid")/status")" ]
		[ "$(stat -c %U "/proc/$pid")" = _sandboxd-edge ] || [ "$(ps -o user:20= -p "$pid")" = _sandboxd-edge ]
		[ "$(readlink "/proc/$pid/ns/pid")" != "$(readlink /proc/self/ns/pid)" ]
	done
	[ "$(processes_of_edge | wc -l)" -ge 2 ]
	# Nobody but the front may say what there is, and nobody but it and the edge may reach instances.
	[ "$(stat -c '%U %a' "$RUN/edge/test.sock")" = '_sandboxd 600' ]
	[ "$(stat -c '%U %G %a' "$RUN/edge")" = '_sandboxd _sandboxd-edge 2750' ]
	[ "$(stat -c '%U %a' "$RUN/edge.conf")" = 'root 644' ]
}

@test "a worker is found by its own host, by a route, and by a whole URL" {
	asked 200 hello.p.localhost /who
	[ "${lines[0]}" = one ]
	asked 200 HELLO.P.localhost:8000 /who
	asked 200 shop.example.com /any/path
	asked 404 hello.q.localhost /who
	[[ $output == *"no worker is at this address (request "* ]]
	asked 404 localhost /
	put /hosts '{"shop.example.com": [{"path": "/*", "worker": "p/cold"}, {"path": "/api/*", "worker": "p/hello"},
		{"path": "/api/none", "worker": null}], "*.example.com": [{"path": "/x", "worker": "p/hello"}]}'
	asked 200 shop.example.com /api/a
	asked 200 shop.example.com /other/../api/a
	asked 200 shop.example.com /other/%2e%2E/api/a
	asked 404 shop.example.com /api/none
	asked 503 shop.example.com /api
	asked 200 deep.er.example.com /x
	asked 404 deep.er.example.com /xy
	# A host with a route has its other one too.
	asked 200 hello.p.localhost /who
}

@test "an instance is told who asks, and by which id" {
	asked 200 hello.p.localhost:81 '/echo?a=%2Fb' -H 'X-Forwarded-For: 6.6.6.6' -H 'CF-Connecting-IP: 6.6.6.6' \
		-H 'X-Request-ID: mine' -H 'Connection: X-Hop' -H 'X-Hop: 1' -H 'X_Under: 1' -H 'Proxy: 1' -H 'X-Own: 1'
	[[ $output == 'GET /echo?a=%2Fb HTTP/1.1'* ]]
	grep -qix 'x-forwarded-for: 127.0.0.1.' <<<"$output"
	grep -qix 'cf-connecting-ip: 127.0.0.1.' <<<"$output"
	grep -qix 'x-forwarded-proto: http.' <<<"$output"
	grep -qix 'host: hello.p.localhost:81.' <<<"$output"
	grep -qix 'x-own: 1.' <<<"$output"
	id=$(grep -iox 'x-request-id: [0-9a-f]\{32\}.' <<<"$output")
	[[ $output != *mine* && $output != *6.6.6.6* && $output != *X-Hop* && $output != *Under* && $output != *Proxy:* ]]
	id=$(tr -cd '0-9a-f' <<<"${id#*: }")
	wait_until "$PATIENCE" grep -q "hello.p.localhost p/hello v1 one $id GET 200 [0-9]* [0-9.]* \"/echo?a=%2Fb\"" \
		"$STATE/edge/access.log"
}

@test "requests of a bad form are refused, and none is taken for two" {
	python3 "$EDGE_PY" framing "$(address)" hello.p.localhost
	[ ! -e "$FRONT/served" ]
	wait_until "$PATIENCE" idle
}

@test "what an instance says is for the client alone, and its bad answers are a 502" {
	# nginx 1.22 finds out too late for words, newer ones do not.
	run -52 ask hello.p.localhost /bad/two-lengths || asked 502 hello.p.localhost /bad/two-lengths
	# What is no HTTP never reaches the client, who would take it for HTTP/0.9.
	run -52 ask hello.p.localhost /bad/no-http --http0.9
	run -52 ask hello.p.localhost /bad/interim
	run -52 ask hello.p.localhost /bad/switch
	# Chunks count where there is a length too; the client sees one of them.
	run ask hello.p.localhost /bad/length-and-chunks -D head
	[ "$(grep -ciE '^(content-length|transfer-encoding):' head)" = 1 ]
	for bad in long-head bad-header nothing; do
		echo "$bad"
		asked 502 hello.p.localhost "/bad/$bad"
		[[ $output == *'(request '* ]]
	done
	asked 200 hello.p.localhost /bad/accel
	[ "${lines[0]}" = plain ]
	asked 200 hello.p.localhost /bad/hop -D head
	grep -qi '^x-open: 1' head
	run ! grep -qi '^x-secret' head
	# A worker's own error is its own.
	asked 500 hello.p.localhost /bad/own-500 -D head
	[ "${lines[0]}" = 'my error' ]
	grep -qi '^x-mine: 1' head
	# The answer had begun.
	run ask hello.p.localhost /bad/bad-chunk
	[ "$status" != 0 ]
	wait_until "$PATIENCE" idle
}

@test "a request whose instance ends is not sent to another one" {
	asked 502 hello.p.localhost '/cut?once'
	[ "$(cat "$FRONT/served")" = once ]
}

@test "the instance with the fewest requests is chosen, below its room" {
	put /workers/p/hello '{"versions": [{"id": "v1", "percent": 100, "room": 1, "instances":
		[{"id": "one", "path": "test/one.sock"}, {"id": "two", "path": "test/two.sock"}]}]}'
	ask hello.p.localhost '/hold?1' >a &
	wait_until "$PATIENCE" file_lines "$FRONT/held" 1
	put /workers/p/hello '{"versions": [{"id": "v1", "percent": 100, "room": 100, "instances":
		[{"id": "one", "path": "test/one.sock"}, {"id": "two", "path": "test/two.sock"}]}]}'
	for _ in 1 2 3; do
		[ "$(ask hello.p.localhost /who)" = two ]
	done
	put /workers/p/hello '{"versions": [{"id": "v1", "percent": 100, "room": 1, "instances":
		[{"id": "one", "path": "test/one.sock"}, {"id": "two", "path": "test/two.sock"}]}]}'
	ask hello.p.localhost '/hold?2' >b &
	wait_until "$PATIENCE" file_lines "$FRONT/held" 2
	# Both are full: the third waits, and asks the front; whose no does not end it.
	ask hello.p.localhost /who >c &
	wait_until "$PATIENCE" grep -q 'WAKE p/hello v1 [0-9a-f]\{32\}$' "$FRONT/wakes"
	in_flight 2
	[ ! -s c ]
	touch "$FRONT/gate"
	wait
	[ "$(sort a b | paste -sd' ')" = 'one two' ]
	[ -s c ]
	wait_until "$PATIENCE" idle
}

@test "an instance that cannot be reached is left out" {
	put /workers/p/hello '{"versions": [{"id": "v1", "percent": 100, "instances":
		[{"id": "dead", "path": "test/dead.sock"}, {"id": "two", "path": "test/two.sock"}]}]}'
	for _ in 1 2 3; do
		asked 200 hello.p.localhost /echo -d body
		[[ $output == *body* ]]
	done
	wait_until "$PATIENCE" idle
	# For a while, and not anew for each request.
	curl -sS -m "$PATIENCE" -o /dev/null -H 'Host: hello.p.localhost' "http://$(address)/who?[1-50]"
	[ "$(cat "$STATE/edge/error.log" "$STATE/edge/error.log.1" 2>/dev/null | grep -ac dead.sock)" -lt 50 ]
}

@test "versions are chosen by their percentages" {
	put /workers/p/hello '{"versions": [
		{"id": "v1", "percent": 80, "instances": [{"id": "one", "path": "test/one.sock"}]},
		{"id": "v2", "percent": 20, "instances": [{"id": "two", "path": "test/two.sock"}]}]}'
	curl -sS -m "$PATIENCE" -H 'Host: hello.p.localhost' "http://$(address)/[1-500]" >versions
	two=$(grep -c two versions)
	echo "$two of 500"
	# Less likely than one in a million to be wrong.
	[ "$two" -ge 55 ] && [ "$two" -le 150 ]
	[ "$(grep -c one versions)" = $((500 - two)) ]
}

@test "a request starts an instance where none is, and many share it" {
	put /workers/p/cold '{"versions": [{"id": "v1", "percent": 100, "instances": []}]}'
	echo 'START born' >"$FRONT/answer"
	curl -sS -Z -m "$PATIENCE" -H 'Host: cold.p.localhost' "http://$(address)/who?[1-40]" >born
	[ "$(sort born | uniq -c | xargs)" = '40 born' ]
	[ "$(cut -d' ' -f 1-3 "$FRONT/wakes" | sort -u)" = 'WAKE p/cold v1' ]
	# Each of nginx's processes has asked for itself, and for all of its requests.
	[ "$(wc -l <"$FRONT/wakes")" -le "$(pgrep -c -P "$(role edge)")" ]
	echo 'ERR 503 the import of main.py failed' >"$FRONT/answer"
	put /workers/p/cold '{"versions": [{"id": "v2", "percent": 100, "room": 2, "instances": []}]}'
	asked 503 cold.p.localhost /who -D head
	[[ ${lines[0]} == '503 the import of main.py failed (request '* ]]
	grep -qi '^retry-after: ' head
	# A front that is away is waited for.
	echo SILENCE >"$FRONT/answer"
	ask cold.p.localhost /who >late &
	wait_until "$PATIENCE" grep -q 'WAKE p/cold v2' "$FRONT/wakes"
	[ ! -s late ]
	echo 'OK test/two.sock two' >"$FRONT/answer"
	wait $!
	[ "$(cat late)" = two ]
}

@test "an instance that was told for one request is used until the front says anything of the worker" {
	# Each of nginx's processes may be told it.
	echo 'OK test/one.sock one' >"$FRONT/answer"
	for ((i = 0; i < 8; i++)); do
		[ "$(ask cold.p.localhost /who)" = one ]
	done
	echo 'ERR 503 nobody is there' >"$FRONT/answer"
	# What the front says is what it has said before: it has told of the instance and taken it out.
	put_table
	for ((i = 0; i < 8; i++)); do
		asked 503 cold.p.localhost /who
	done
}

@test "a request of isolation request has a connection of its own" {
	put /workers/p/hello '{"versions": [{"id": "v1", "percent": 100, "isolation": "request", "path": "test/one.sock"}]}'
	asked 200 hello.p.localhost /echo
	grep -qix 'connection: close.' <<<"$output"
	asked 200 hello.p.localhost /who
	wait_until "$PATIENCE" idle
	# The test's instance would have kept it open, as it does for others.
	curl -sS -m "$PATIENCE" -o /dev/null -D heads -H 'Host: hello.p.localhost' "http://$(address)/who?[1-20]"
	[ "$(grep -ci '^x-connection:' heads)" = 20 ]
	[ -z "$(grep -i '^x-connection:' heads | sort | uniq -d)" ]
	table
	put_table
	curl -sS -m "$PATIENCE" -o /dev/null -D heads -H 'Host: hello.p.localhost' "http://$(address)/who?[1-20]"
	[ -n "$(grep -i '^x-connection:' heads | sort | uniq -d)" ]
}

@test "bodies pass as they come, both ways, and a client's end reaches the instance" {
	python3 "$EDGE_PY" upload "$(address)" hello.p.localhost
	curl -sSN -m "$PATIENCE" -H 'Host: hello.p.localhost' "http://$(address)/stream" >stream &
	wait_until "$PATIENCE" grep -q first stream
	touch "$FRONT/gate"
	wait $!
	[ "$(cat stream)" = firstlast ]
	rm "$FRONT/gate"
	curl -sS -m "$PATIENCE" -H 'Host: hello.p.localhost' "http://$(address)/hold?left" &
	pid=$!
	wait_until "$PATIENCE" grep -q left "$FRONT/held"
	kill "$pid"
	wait_until "$PATIENCE" grep -q left "$FRONT/gone"
	curl -sS -m "$PATIENCE" -H 'Host: hello.p.localhost' "http://$(address)/endless" | head -c 100000 >/dev/null || true
	wait_until "$PATIENCE" grep -q endless "$FRONT/gone"
	wait_until "$PATIENCE" idle
}

@test "limits: a body's length, a time, a project's rate" {
	entry='"versions": [{"id": "v1", "percent": 100, "instances": [{"id": "one", "path": "test/one.sock"}]}]'
	put /workers/p/hello "{$entry, \"max_body\": 10}"
	asked 200 hello.p.localhost /echo -d 0123456789
	asked 413 hello.p.localhost /echo -d 01234567890
	put /workers/p/hello "{$entry, \"timeout_s\": 1}"
	asked 504 hello.p.localhost '/hold?slow'
	[[ $output == *'did not answer in time (request '* ]]
	wait_until "$PATIENCE" grep -q slow "$FRONT/gone"
	put /workers/p/hello "{$entry, \"rate\": 5}"
	curl -sS -m "$PATIENCE" -o /dev/null -w '%{http_code}\n' -H 'Host: hello.p.localhost' "http://$(address)/[1-200]" >codes
	grep -qx 200 codes
	grep -qx 429 codes
	wait_until "$PATIENCE" idle
}

# with_assets MORE...: p/hello with assets in STATE/assets/v1, of which more is said by these members.
with_assets() {
	put /workers/p/hello "{\"versions\": [{\"id\": \"v1\", \"percent\": 100, \"assets\": {\"path\": \"v1\"$*},
		\"instances\": [{\"id\": \"one\", \"path\": \"test/one.sock\"}]}]}"
}

@test "assets win over the worker, and nothing beside them is served" {
	files=$STATE/assets/v1/files
	mkdir -p "$files/deep" "$STATE/assets/other/files"
	echo page >"$files/index.html"
	echo deep >"$files/deep/index.html"
	echo 'x = 1' >"$files/app.js"
	echo 'y = 1' >"$files/apple.js"
	echo secret | tee "$STATE/assets/v1/secret" "$STATE/assets/secret" >"$STATE/assets/other/files/secret"
	ln -s ../secret "$files/link"
	ln -s .. "$files/up"
	ln -s "$STATE/assets/other" "$STATE/assets/linked"
	mkdir "$STATE/assets/within"
	ln -s ../other/files "$STATE/assets/within/files"
	printf '%s' '{"redirects": [["/a\n", "/b", 301], ["/go", "/x", "no"], 7], "headers": [["/app.js",
		[["Content-Length", "1"], ["X-Sandboxd-Depth", "1"], ["bad name", "1"], ["X-Fine", "1"], [null, 1]], [1, null]]]}' \
		>"$STATE/assets/v1/rules.json"
	with_assets
	asked 200 hello.p.localhost / -D head
	[ "${lines[0]}" = page ]
	grep -qi '^content-type: text/html; charset=utf-8' head
	asked 200 hello.p.localhost /deep/
	[ "${lines[0]}" = deep ]
	asked 200 hello.p.localhost /app.js -D heads
	[ "${lines[0]}" = 'x = 1' ]
	grep -qi '^x-fine: 1' heads
	run ! grep -qi '^x-sandboxd\|^bad name' heads
	# Neither a step up nor a link leads anywhere else: what is no file is the worker's.
	for path in /../secret /..%2fsecret /%2e%2e/secret /deep/../../secret /link /deep/%2e%2e%2f%2e%2e%2fsecret \
		/up/secret /up/files/app.js '/..%5csecret' '/deep/..%2f..%2fsecret' /%2e%2e%2fother/files/secret /rules.json \
		/deep/..%2fapp.js /deep%2f..%2fapp.js '/deep/.%2findex.html'; do
		run ask hello.p.localhost "$path"
		[[ ${lines[0]} == one || ${lines[0]} == 400* ]] || fail "$path: $output"
	done
	for path in /link%00 '/app.js%00.html'; do
		asked 400 hello.p.localhost "$path"
	done
	asked 404 hello.p.localhost /.sandboxd/assets/app.js
	for name in linked within ../assets/other other/files .; do
		put /workers/p/hello "{\"versions\": [{\"id\": \"v1\", \"assets\": {\"path\": \"$name\", \"only\": true}}]}"
		run ask hello.p.localhost /secret
		[[ $output != *secret* ]] || fail "$name: $output"
	done
	# What is no asset is the worker's, and so is what is not asked for by GET.
	with_assets
	asked 200 hello.p.localhost '/echo/%2Fx//./%41?q=1'
	[[ ${lines[0]} == 'GET /echo/%2Fx//./%41?q=1 HTTP/1.1'* ]] || fail "$output"
	asked 200 hello.p.localhost /echo -d body
	[[ $output == *body* ]]
	asked 200 hello.p.localhost /app.js -X POST
	[ "${lines[0]}" = one ]
	with_assets ', "run_worker_first": true'
	asked 200 hello.p.localhost /app.js
	[ "${lines[0]}" = one ]
	with_assets ', "run_worker_first": ["/app*", "!/app.js"]'
	asked 200 hello.p.localhost /app.js
	[ "${lines[0]}" = 'x = 1' ]
	asked 200 hello.p.localhost /apple.js
	[ "${lines[0]}" = one ]
	put /workers/p/hello '{"versions": [{"id": "v1", "assets": {"path": "v1", "only": true}}]}'
	asked 404 hello.p.localhost /none
	asked 404 hello.p.localhost /none -X POST
	asked 405 hello.p.localhost /app.js -X POST
	put /workers/p/hello '{"versions": []}'
	asked 404 hello.p.localhost /app.js
	wait_until "$PATIENCE" idle
}

@test "a file is no request of an instance" {
	mkdir -p "$STATE/assets/v2/files"
	echo file >"$STATE/assets/v2/files/file"
	put /workers/p/hello '{"versions": [{"id": "v1", "percent": 100, "isolation": "request", "path": "test/one.sock",
		"assets": {"path": "v2"}}]}'
	curl -sS -m "$PATIENCE" -H 'Host: hello.p.localhost' "http://$(address)/hold?file" &
	wait_until "$PATIENCE" grep -q file "$FRONT/held"
	asked 200 hello.p.localhost /file
	[ "${lines[0]}" = file ]
	[ "$(edge /instances/p/hello/v1/- | jq .in_flight)" = 1 ]
	touch "$FRONT/gate"
	wait $!
	rm "$FRONT/gate"
	wait_until "$PATIENCE" idle
}

@test "what only the front may say of a request nobody else can" {
	asked 200 hello.p.localhost /echo -H 'X-Sandboxd-Depth: 3' -H 'X-Sandboxd-Entrypoint: Admin' -H 'X-Other: 1'
	[[ $output == *X-Other* ]]
	[[ ${output,,} != *sandboxd-depth* && ${output,,} != *sandboxd-entrypoint* ]] || fail "$output"
	asked 200 hello.p.localhost /.sandboxd/fetch -H 'X-Sandboxd-Worker: p/cold' -H 'X-Sandboxd-Target: /' -H 'X-Sandboxd-Host: x'
	[ "${lines[0]}" = one ] || [ "${lines[0]}" = two ]
}

@test "behind what is asked for a worker the edge reads nothing, whatever it says of the connection" {
	python3 - "$RUN/edge/test.sock" >answers <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(b"GET /.sandboxd/fetch HTTP/1.1\r\nHost: edge\r\nX-Sandboxd-Host: h\r\n"
		          b"X-Sandboxd-Scheme: http\r\nX-Sandboxd-Target: /who\r\nX-Sandboxd-Worker: p/hello\r\n"
		          b"X-Sandboxd-Depth: 1\r\nConnection: keep-alive\r\nX-Sandboxd-Assets: {\"path\":\"v2\"}\r\n\r\n"
		          b"PUT /workers/p/stolen HTTP/1.1\r\nHost: edge\r\nContent-Length: 2\r\n\r\n{}")
		while part := s.recv(65536):
		    sys.stdout.buffer.write(part)
	END
	[ "$(grep -c ^HTTP/ answers)" = 1 ] || fail "$(cat answers)"
	grep -qE '^HTTP/1.1 200' answers
	grep -qE '^(one|two)$' answers
	[ "$(edge /table | jq '.workers["p/stolen"]')" = null ]
}

@test "the table refuses what is wrong, and says what it has and what was asked" {
	put /workers/p/bad '{"versions": [{"percent": 1}]}' 400
	[[ $output == *'each needs an id'* ]]
	put /workers/p/bad 'no' 400
	put /hosts '{"a": [{"path": "no-slash", "worker": "p/x"}]}' 400
	put /nothing '{}' 404
	# Who says that all was said names all workers.
	put /workers/p/other '{"versions": []}'
	put /ready '{"workers": ["p/hello", "p/cold"]}'
	[ "$(edge /table | jq -c '.workers | keys')" = '["p/cold","p/hello"]' ]
	asked 404 bad.p.localhost /
	asked 200 hello.p.localhost /who
	[ "$(edge /table | jq -r '.workers["p/hello"].versions[0].instances | length, (.. | .ready? // empty)' | head -n 1)" = 2 ]
	edge /stats | jq -e '.workers["p/hello"] | .requests >= 1 and .status["2"] >= 1 and (.buckets | add) == .requests'
	edge /workers/p/cold -X DELETE
	asked 404 cold.p.localhost /
}

# served_twice: numbers of requests that an instance has had more than once.
served_twice() {
	sort "$FRONT/served" | uniq -d | head
}

edge_replaced() {
	[ -n "$(role edge)" ] && [ "$(role edge)" != "$1" ] && answers
}

@test "kill -9 of nginx under load: nothing is refused, and nothing is done twice" {
	python3 "$EDGE_PY" load "$(address)" hello.p.localhost 6000 >counts &
	load=$!
	for _ in 1 2 3; do
		wait_until "$PATIENCE" file_lines "$FRONT/served" 100
		old=$(role edge)
		all=$(processes_of_edge)
		kill -KILL "$old"
		wait_until "$PATIENCE" edge_replaced "$old"
		# With it went the processes that it had.
		for pid in $all; do
			wait_until "$PATIENCE" gone "$pid"
		done
	done
	# And one of its processes alone.
	pgrep -P "$(role edge)" | head -n 1 | xargs kill -KILL
	wait "$load"
	cat counts
	[ -z "$(served_twice)" ]
	jq -e '.["not connected"] == null and .["200"] >= 5900 and (keys - ["200", "cut off"] == [])' counts
	grep -q 'edge died of signal 9' "$WORK/log"
	# What the dead had counted is forgotten.
	wait_until "$PATIENCE" idle
}

@test "kill -9 of an instance under load: each request is answered, and none by two" {
	instance three
	put /workers/p/hello '{"versions": [{"id": "v1", "percent": 100, "room": 3, "instances":
		[{"id": "three", "path": "test/three.sock"}, {"id": "two", "path": "test/two.sock"}, {"id": "one", "path": "test/one.sock"}]}]}'
	python3 "$EDGE_PY" load "$(address)" hello.p.localhost 4000 >counts &
	load=$!
	wait_until "$PATIENCE" file_lines "$FRONT/served" 500
	kill -KILL "$(cat "$WORK/three.pid")"
	wait "$load"
	cat counts
	[ -z "$(served_twice)" ]
	# Those that it had are a 502, in words.
	jq -e '.["200"] >= 3980 and (keys - ["200", "502"] == [])' counts
	wait_until "$PATIENCE" idle
}

@test "a log that is long is put aside, and nginx goes on in a new one" {
	wait_until "$PATIENCE" test -s "$STATE/edge/error.log.1"
	wait_until "$PATIENCE" test -e "$STATE/edge/error.log"
	[ "$(stat -c %s "$STATE/edge/error.log.1")" -ge $((65 << 20)) ]
	asked 502 hello.p.localhost '/cut?logged'
	wait_until "$PATIENCE" grep -q '/cut?logged' "$STATE/edge/error.log"
}

@test "the daemon's end ends nginx, and the next one serves" {
	old=$(processes_of_edge)
	daemon_stop
	for pid in $old; do
		wait_until "$PATIENCE" gone "$pid"
	done
	[ ! -e "$RUN/edge-http" ]
	daemon_start
	alone
	put_table
	wait_until "$PATIENCE" answers
	old=$(processes_of_edge)
	kill -KILL "$(cat "$WORK/pid")"
	for pid in $old; do
		wait_until "$PATIENCE" gone "$pid"
	done
	daemon_start
	alone
	put_table
	wait_until "$PATIENCE" answers
}

# plain_nginx PORT: an nginx with nothing but the one instance in its configuration.
plain_nginx() {
	local plain=$WORK/plain

	mkdir "$plain"
	chown _sandboxd-edge "$plain"
	cat >"$WORK/plain.conf" <<-END
		daemon off; pid $plain/pid; error_log $plain/error.log; worker_processes $(nproc);
		events { worker_connections 1024; }
		http {
		  access_log $plain/access.log combined buffer=64k flush=1s;
		  $(printf "%s_temp_path $plain/%s; " client_body body proxy proxy fastcgi f uwsgi u scgi s)
		  upstream one { server unix:$RUN/edge/test/one.sock; keepalive 64; }
		  keepalive_requests 1000000;
		  server { listen 127.0.0.1:$1; location / {
		    proxy_pass http://one; proxy_http_version 1.1; proxy_set_header Connection ""; } }
		}
	END
	setpriv --reuid _sandboxd-edge --regid _sandboxd-edge --clear-groups \
		nginx -e "$plain/error.log" -c "$WORK/plain.conf" 3>&- 4>&- &
	echo $! >"$WORK/plain.pid"
	wait_until "$PATIENCE" curl -s -o /dev/null "http://127.0.0.1:$1/"
}

@test "many connections are served; how fast is only told, beside plain nginx" {
	put /workers/p/hello '{"versions": [{"id": "v1", "percent": 100, "instances": [{"id": "one", "path": "test/one.sock"}]}]}'
	port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
	plain_nginx "$port"
	wrk -t1 -c16 -d1 -H 'Host: hello.p.localhost' "http://$(address)/who" >ours
	wrk -t1 -c16 -d1 "http://127.0.0.1:$port/who" >plain
	kill "$(cat "$WORK/plain.pid")"
	echo "# requests a second of one instance: $(awk '/^Requests/ { print $2 }' ours) by the edge," \
		"$(awk '/^Requests/ { print $2 }' plain) by plain nginx" >&3
	run ! grep -E 'Non-2xx|Socket errors' ours
	wait_until "$PATIENCE" idle
}
