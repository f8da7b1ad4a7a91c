#!/usr/bin/env bats
# Services: from a folder and a manifest to replicas behind the edge; what becomes of them.
# shellcheck disable=SC2154,SC2016 # run sets status, output and stderr; texts are evaluated later
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	end_background
	services_remove
}

teardown_file() {
	daemon_remove
}

# An app that says which version and which replica it is, by a server of its own.
app() {
	mkdir -p "$1/code"
	cat >"$1/code/server.py" <<-END
		import http.server
		import os
		import socketserver
		import sys
		import time

		VERSION = "$2"


		class Handler(http.server.BaseHTTPRequestHandler):
		    def do_GET(self):
		        if self.path == "/die":
		            os._exit(3)
		        if self.path == "/slow":
		            time.sleep(2)
		        if self.path == "/env":
		            text = "\n".join("%s=%s" % pair for pair in sorted(os.environ.items()))
		        elif self.path == "/data":
		            with open(os.path.expanduser("~/data/count"), "a") as out:
		                out.write(VERSION + "\n")
		            text = open(os.path.expanduser("~/data/count")).read()
		        else:
		            text = "%s %s" % (VERSION, os.environ["DOTCLOUD_SERVICE_ID"])
		        print("asked for", self.path)
		        body = text.encode()
		        self.send_response(200)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)

		    def log_message(self, *words):
		        pass


		class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
		    request_queue_size = 1024


		print("server", VERSION, "begins")
		Server(("127.0.0.1", int(os.environ["PORT_HTTP"])), Handler).serve_forever()
	END
}

# manifest [JQ]: of the service shop/www.
manifest() {
	jq -n '{format: 1, app: "shop", name: "www", type: "custom", ports: [{name: "http", kind: "http"}],
		processes: [{name: "server", command: "exec python3 server.py"}]} | '"${1:-.}" >m.json
}

put() {
	local run

	sandboxctl service put "$1" --manifest m.json 2>progress && return
	run=$(sed -n 's/.*(sandboxctl logs \([0-9a-f]*\)).*/\1/p' progress)
	fail "$(cat progress; sandboxctl logs "$run" 2>&1)"
}

# get [PATH] [SERVICE]
get() {
	curl -sS --max-time 60 -H "Host: ${2:-www-shop}.default.localhost" "http://$ADDRESS/${1:-}"
}

info() {
	sandboxctl service info --json shop/www | jq -r "$1"
}

# is STATE REPLICAS-THAT-SERVE
is() {
	[ "$(info '"\(.state) \([.replicas[] | select(.serves)] | length)"')" = "$1 $2" ]
}

# load: asks again and again until WORK/stop is there; each answer that is no 200 is a line of WORK/bad.
load_begin() {
	rm -f "$WORK/stop" "$WORK/bad" "$WORK/good"
	touch "$WORK/bad"
	(
		while ! [ -e "$WORK/stop" ]; do
			out=$(curl -sS --max-time 60 -o /dev/null -w '%{http_code}' -H 'Host: www-shop.default.localhost' \
				"http://$ADDRESS/" 2>&1)
			if [ "$out" = 200 ]; then echo >>"$WORK/good"; else echo "$out" >>"$WORK/bad"; fi
		done
	) 3>&- &
	wait_until "$PATIENCE" file_lines "$WORK/good" 5
}

load_end() {
	touch "$WORK/stop"
	end_background
	[ ! -s "$WORK/bad" ] || fail "$(sort "$WORK/bad" | uniq -c)"
}

@test "a folder becomes a service that answers; what it prints is in its log by replica" {
	app one 1
	manifest
	put one >out
	grep -q '^service  *shop/www$' out
	grep -q '^revision  *r1$' out
	[ "$(sandboxctl url shop/www)" = "http://www-shop.default.localhost:${ADDRESS##*:}" ]
	[ "$(get)" = '1 0' ]
	is up 1
	sandboxctl service logs shop/www >log
	grep -Eq '^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]: \[www\.0\] server 1 begins$' log
	grep -Eq '^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]: \[www\.0\] asked for /$' log
	get env >got
	grep -qx 'DOTCLOUD_PROJECT=shop' got
	grep -qx 'DOTCLOUD_SERVICE_NAME=www' got
	grep -qx 'DOTCLOUD_SERVICE_ID=0' got
	grep -qx "DOTCLOUD_WWW_HTTP_URL=http://www-shop.default.localhost:${ADDRESS##*:}/" got
	grep -qx 'PORT_HTTP=8080' got
}

@test "a new version takes the place of the old one, and rollback goes back, without a request that fails" {
	app one 1
	app two 2
	manifest '.instances = 2'
	put one
	load_begin
	put two
	[[ $(get) == 2\ * ]]
	sandboxctl service rollback shop/www >/dev/null
	[[ $(get) == 1\ * ]]
	sandboxctl service restart shop/www >/dev/null
	sandboxctl service deploy shop/www latest >/dev/null
	load_end
	[[ $(get) == 2\ * ]]
	run sandboxctl service revisions shop/www
	[[ ${lines[1]} == \*r2* ]]
	[[ ${lines[2]} == " r1"* ]]
}

@test "a version that does not start, or whose hook fails, changes nothing, and its output is shown" {
	app one 1
	app two 2
	manifest
	put one
	manifest '.postinstall = "echo the table is missing; exit 3"'
	run --separate-stderr sandboxctl service put two --manifest m.json
	[ "$status" = 125 ]
	[[ $stderr == *"  | the table is missing"* ]]
	[[ $stderr == *"start: www.0: postinstall: exit status 3"* ]]
	manifest '.processes[0].command = "exec python3 absent.py"'
	run --separate-stderr sandboxctl service put two --manifest m.json
	[ "$status" = 125 ]
	[[ $stderr == *"server: it ends as soon as it is started (exit status 2)"* ]]
	manifest '.processes[0].command = "sleep 1000" | .sandbox.start_s = 2'
	run --separate-stderr sandboxctl service put two --manifest m.json
	[ "$status" = 125 ]
	[[ $stderr == *"it was not ready within 2 s, and was at the stage wait"* ]]
	[ "$(get)" = '1 0' ]
	[ "$(sandboxctl service revisions --json shop/www | jq length)" = 1 ]
}

@test "postinstall runs in each replica, in ~/current with the environment, also without #! and mode" {
	app one 1
	mkdir -p one/code/sub
	mv one/code/server.py one/code/sub/
	# The file has no mode of a program; images have no tools but Python's.
	cat >one/code/sub/hook <<-'END'
		. ./more && echo "hook of $DOTCLOUD_SERVICE_ID in $MODE"
	END
	cat >one/code/sub/more <<-'END'
		python3 -c 'import json, os
		assert os.getcwd() == os.path.realpath(os.path.expanduser("~/code/sub"))
		text = open(os.path.expanduser("~/environment.json")).read()
		assert json.loads(text)["MODE"] == "x" and "\n    \"MODE\": \"x\"," in text
		assert "\nMODE: \"x\"\n" in open(os.path.expanduser("~/environment.yml")).read()'
	END
	manifest '.postinstall = "sh ./hook" | .approot = "sub" | .environment.MODE = "x" | .instances = 2'
	put one
	sandboxctl service logs shop/www >log
	grep -q '\[www\.0\] hook of 0 in x$' log
	grep -q '\[www\.1\] hook of 1 in x$' log
}

@test "replicas have turns; scale changes how many there are, and their memory" {
	app one 1
	manifest
	put one
	sandboxctl scale shop/www=3
	wait_until "$PATIENCE" is up 3
	for _ in 1 2 3 4 5 6; do get; echo; done | sort | uniq -c >asked
	[ "$(wc -l <asked)" = 3 ]
	sandboxctl scale shop/www=1 shop/www:memory=96M 2>/dev/null
	wait_until "$PATIENCE" is up 1
	[ "$(info .memory)" = $((96 << 20)) ]
	[ "$(inspect "$(info '.replicas[] | select(.serves) | .run')" .limits.memory)" = $((96 << 20)) ]
	refused 'is no service' scale =3
	refused 'there is no service shop/absent' scale shop/absent=3
}

@test "a replica that dies is replaced, and requests wait for it" {
	app one 1
	manifest '.sandbox.drain_s = 5'
	put one
	run=$(info '.replicas[0].run')
	signal_task "$run" KILL
	wait_until "$PATIENCE" eval '[ "$(info .restarts)" = 1 ]'
	[ "$(get)" = '1 0' ]
	[ "$(info '.replicas[0].run')" != "$run" ]
	# A process that dies is started again in its replica.
	run=$(info '.replicas[0].run')
	run curl -sS --max-time 60 -o /dev/null -w '%{http_code}' -H 'Host: www-shop.default.localhost' "http://$ADDRESS/die"
	[ "$output" = 502 ]
	[ "$(get)" = '1 0' ]
	[ "$(info '.replicas[0].run')" = "$run" ]
	sandboxctl service restart shop/www.0
	wait_until "$PATIENCE" eval '[ "$(info ".replicas[0].run")" != '"$run"' ]'
	[ "$(get)" = '1 0' ]
}

@test "a health path that stops answering is a death" {
	app one 1
	cat >one/code/server.py <<-'END'
		import http.server, os

		class Handler(http.server.BaseHTTPRequestHandler):
		    def do_GET(self):
		        if self.path == "/break":
		            open("/tmp/broken", "w").close()
		        status = 500 if self.path == "/health" and os.path.exists("/tmp/broken") else 200
		        self.send_response(status)
		        self.send_header("Content-Length", "0")
		        self.end_headers()

		http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT_HTTP"])), Handler).serve_forever()
	END
	manifest '.health = {path: "/health", interval_s: 1, timeout_s: 5, failures: 2}'
	put one
	run=$(info '.replicas[0].run')
	get break
	wait_until "$PATIENCE" eval '[ "$(info ".replicas[0].run")" != '"$run"' ]'
	wait_until "$PATIENCE" is up 1
}

@test "~/data is the service's: its replicas share it, and it outlives versions and replicas" {
	app one 1
	app two 2
	manifest '.instances = 2'
	put one
	for _ in 1 2 3; do get data >got; done
	[ "$(wc -l <got)" = 3 ]
	put two
	[ "$(get data | sort | uniq -c | tr -s ' \n' ' ')" = ' 3 1 1 2 ' ]
	# Another service has a folder of its own, and what is set-uid there gains nothing.
	run=$(info '.replicas[0].run')
	grep -q ' /work/data .*nosuid,nodev' "/proc/$(payload "$run")/mountinfo"
	sandboxctl service rm shop/www
	wait_until "$PATIENCE" nothing_runs
	put one
	[ "$(get data)" = 1 ]
}

@test "variables of the app beat the file's, and reach its replicas by new ones" {
	app one 1
	manifest '.environment = {A: "file", B: "file"}'
	put one
	sandboxctl service env set A=set C='with space' --app shop
	get env >got
	grep -qx 'A=set' got
	grep -qx 'B=file' got
	grep -qx 'C=with space' got
	[ "$(sandboxctl service env list --app shop)" = "$(printf 'A=set\nC=with space')" ]
	sandboxctl service env unset C --app shop
	! get env | grep -q '^C=' || false
	refused 'DOTCLOUD_X: must be a name' service env set DOTCLOUD_X=1 --app shop
}

@test "a server gets the listening socket itself, and says when it is ready" {
	mkdir -p fd/code
	cat >fd/code/server.py <<-'END'
		import os
		import socket

		assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_FDNAMES"] == "http"
		assert os.environ["LISTEN_PID"] == str(os.getpid())
		listening = socket.socket(fileno=3)
		notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
		while True:
		    sock = listening.accept()[0]
		    sock.recv(65536)
		    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nfd")
		    sock.close()
	END
	manifest '.ports[0].give = "fd" | .ready = "notify"'
	put fd
	[ "$(get)" = fd ]
}

@test "a worker without a port runs, and code that is called" {
	mkdir -p worker/code
	printf 'import time\n\ndef run():\n    print("called")\n    time.sleep(1000)\n' >worker/code/jobs.py
	jq -n '{format: 1, app: "shop", name: "jobs", type: "python-worker", entry: "jobs:run"}' >m.json
	put worker
	wait_until "$PATIENCE" eval 'sandboxctl service logs shop/jobs | grep -q "\[jobs\.0\] called$"'
	[ -z "$(sandboxctl url shop/jobs)" ]
}

@test "no HTTP worker gets the address of a service, and no service that of a worker" {
	app one 1
	manifest
	put one
	mkdir worker
	printf '%s\n' 'name = "www-shop"' 'main = "entry.py"' 'compatibility_date = "2026-03-01"' \
		'compatibility_flags = ["python_workers"]' >worker/wrangler.toml
	printf '%s\n' 'from workers import Response, WorkerEntrypoint' 'class Default(WorkerEntrypoint):' \
		'    def fetch(self, request):' '        return Response("of the worker")' >worker/entry.py
	run sandboxctl deploy worker
	[ "$status" = 125 ]
	[[ $output == *"name: the service shop/www answers at the address of a worker www-shop: use another name"* ]]
	[ "$(sandboxctl --json deploy ls)" = "[]" ]
	# Also a front that has read the service from its store.
	kill -9 "$(role front)"
	wait_until "$PATIENCE" sandboxctl service ls
	run sandboxctl deploy worker
	[[ $output == *"use another name"* ]]
	[ "$(get)" = '1 0' ]
	# The other way round.
	sandboxctl service rm shop/www
	sandboxctl deploy worker
	run sandboxctl service put one --manifest m.json
	[ "$status" = 125 ]
	[[ $output == *"the HTTP worker www-shop has the address of the service: use another name"* ]]
	[ "$(get)" = "of the worker" ]
	sandboxctl deploy rm www-shop
}

@test "logs -f shows all replicas, also those that come, until nobody wants it" {
	app one 1
	manifest '.instances = 2'
	put one
	sandboxctl service logs -f shop/www >log 3>&- &
	wait_until "$PATIENCE" eval 'grep -q "\[www\.0\] server" log && grep -q "\[www\.1\] server" log'
	sandboxctl scale shop/www=3
	wait_until "$PATIENCE" grep -q '\[www\.2\] server' log
	sandboxctl service restart shop/www >/dev/null
	wait_until "$PATIENCE" eval '[ "$(grep -c "\[www\.0\] server" log)" = 2 ]'
}

@test "roles that are killed leave the replicas as they are, and no request fails while the front comes back" {
	app one 1
	manifest '.instances = 2'
	put one
	runs=$(info '[.replicas[].run] | sort | join(" ")')
	load_begin
	for role in front logger; do
		role_kill "$role"
		wait_until "$PATIENCE" is up 2
		[ "$(info '[.replicas[].run] | sort | join(" ")')" = "$runs" ]
	done
	load_end
	# The edge ends with the monitor, and listens elsewhere then.
	role_kill monitor
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	wait_until "$PATIENCE" is up 2
	[ "$(info '[.replicas[].run] | sort | join(" ")')" = "$runs" ]
	[[ $(get) == 1\ * ]]
	role_kill edge
	wait_until "$PATIENCE" eval '[[ $(get) == 1\ * ]]'
	[ "$(info '[.replicas[].run] | sort | join(" ")')" = "$runs" ]
}
