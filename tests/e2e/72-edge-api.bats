#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The API and the dashboard at a host of the edge's, by HTTP and by TLS.
# shellcheck disable=SC2154 # run sets status
load daemon
load http

API=sandboxd.example.com

setup_file() {
	CERTIFICATES=$(mktemp -d /var/tmp/sandboxd-e2e-keys.XXXXXX)
	export CERTIFICATES EDGE=127.0.0.1:0 HTTP=none
	chmod 755 "$CERTIFICATES"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$API" \
		-addext "subjectAltName=DNS:$API" -keyout "$BATS_FILE_TMPDIR/key" -out "$BATS_FILE_TMPDIR/cert" 2>/dev/null
	cat "$BATS_FILE_TMPDIR/cert" "$BATS_FILE_TMPDIR/key" >"$CERTIFICATES/$API.pem"
	chmod 600 "$CERTIFICATES/$API.pem"
	export MORE_OPTIONS="--edge-https 127.0.0.1:0 --certificates $CERTIFICATES --api-name $API"
	daemon_make
	http_projects
	wait_until "$PATIENCE" serves || fail "$(cat "$WORK/log" "$STATE/edge/error.log")"
}

teardown_file() {
	daemon_remove
	rm -rf "$CERTIFICATES"
}

# by http|https PATH [CURL OPTION...]
by() {
	local at=edge-$1

	curl -sS --max-time "$PATIENCE" --connect-to "::$(cat "$RUN/$at")" --cacert "$CERTIFICATES/$API.pem" \
		"${@:3}" "$1://$API$2"
}

serves() {
	[ "$(by http / -o /dev/null -w '%{http_code}')" = 200 ]
}

@test "the dashboard and the API are there, by HTTP and by TLS, and at this host alone" {
	for way in http https; do
		by "$way" / | grep -q '<title>'
		[ "$(by "$way" /api/whoami -H "$(http_auth)" | jq -r .project.id)" = "$ONE" ]
		[ "$(by "$way" /api/whoami -o body -w '%{http_code}')" = 401 ]
		jq -e .msg body
	done
	[ ! -e "$RUN/http" ]
	[[ $(curl -sS --max-time "$PATIENCE" "http://$(cat "$RUN/edge-http")/") == '404 no worker'* ]]
}

@test "a worker is uploaded, a task queued, and its log followed to its end" {
	local id

	printf 'import time\nfor i in range(3):\n    print("line", i, flush=True)\n' >hello.py
	python3 -c 'import os, zipfile
z = zipfile.ZipFile("hello.zip", "w")
z.write("hello.py")
z.writestr("big", os.urandom(3 << 20))
z.close()'
	by https "/2/projects/$ONE/codes" -H "$(http_auth)" -F 'data={"name": "hello", "image": "python", "runtime": "python", "file_name": "hello.py"}' \
		-F file=@hello.zip >reply
	jq -e '.msg | startswith("Upload")' reply || fail "$(cat reply)"
	id=$(by https "/2/projects/$ONE/tasks" -H "$(http_auth)" -d '{"tasks": [{"code_name": "hello", "payload": ""}]}' |
		jq -r '.tasks[0].id')
	by https "/api/projects/$ONE/tasks/$id/events" -H "$(http_auth)" >events || fail "$(cat events)"
	[ "$(sed -n 's/^data: //p' events | jq -rj '.text // empty')" = $'line 0\nline 1\nline 2' ] || fail "$(cat events)"
	tail -n 3 events | grep -qF 'data: {"complete":true}'
}

@test "a body of 8 MiB comes through, one that is longer is refused in JSON" {
	head -c 8388000 /dev/zero | tr '\0' ' ' >spaces
	[ "$(by https "/2/projects/$ONE/tasks" -H "$(http_auth)" --data-binary @spaces -o body -w '%{http_code}')" = 400 ]
	jq -e .msg body
	cat spaces spaces >longer
	[ "$(by https "/2/projects/$ONE/tasks" -H "$(http_auth)" --data-binary @longer -o body -w '%{http_code}')" = 413 ]
	jq -e .msg body
}

@test "what is not HTTP as it should be does not reach the API" {
	python3 - "$(cat "$RUN/edge-http")" "$API" <<-'EOF'
		import socket, sys
		host, port = sys.argv[1].rsplit(":", 1)
		def ask(text):
		    s = socket.create_connection((host, int(port)))
		    s.sendall(text)
		    s.shutdown(socket.SHUT_WR)
		    return b"".join(iter(lambda: s.recv(65536), b""))
		line = b"POST /api/whoami HTTP/1.1\r\nHost: %s\r\n" % sys.argv[2].encode()
		for status, text in (
		        (400, line + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
		        (400, line + b"Content-Length: x\r\n\r\n"),
		        (400, line + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
		        (431, line + b"X: " + b"a" * 70000 + b"\r\n\r\n")):
		    got = ask(text)
		    # One answer, and it is nginx's.
		    assert got.startswith(b"HTTP/1.1 %d" % status) and got.count(b"HTTP/1.1") == 1, (text[:100], got)
		    assert b"Server: nginx" in got, got
	EOF
}

@test "clients that say nothing, or the half of it, keep nobody out" {
	python3 - "$(cat "$RUN/edge-http")" "$API" <<-'EOF'
		import socket, sys
		host, port = sys.argv[1].rsplit(":", 1)
		silent = []
		def connect():
		    s = socket.create_connection((host, int(port)))
		    silent.append(s)
		    return s
		for i in range(700):
		    s = connect()
		    if i % 2:
		        s.send(b"POST /api/whoami HTTP/1.1\r\nHost: %s\r\nContent-Len" % sys.argv[2].encode())
		s = connect()
		s.settimeout(60)
		s.send(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % sys.argv[2].encode())
		assert s.recv(100).startswith(b"HTTP/1.1 200"), "the page"
	EOF
}

@test "a front that is killed: the next request waits for the next front" {
	kill -KILL "$(role front)"
	[ "$(by https /api/whoami -H "$(http_auth)" --retry 3 | jq -r .project.id)" = "$ONE" ]
}

# are_logged: both of the requests that are asked for below, whatever else is logged of them.
are_logged() {
	[ "$(grep -c '"/api/projects/nobodys' "$STATE/edge/access.log")" = 2 ]
}

@test "no token is in a log of the edge's" {
	by http "/api/projects/nobodys?oauth=$ONE_TOKEN" | jq -e .msg
	by http "/api/projects/nobodys?oauth=$ONE_TOKEN" -H 'Expect: nonsense' -o body || true
	# Each process of nginx has lines of its own that wait to be written.
	wait_until "$PATIENCE" are_logged
	run ! grep -r "$ONE_TOKEN" "$STATE/edge" "$WORK/log"
}

@test "a name that is none is refused" {
	run timeout "$PATIENCE" "$DAEMON" --state "$PWD/s" --run "$PWD/r" --cgroup "$GROUP-2" --api-name UPPER
	[ "$status" = 125 ]
	[[ $output == *"--api-name: a host's name"* ]]
}
