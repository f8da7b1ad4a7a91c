#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a node holds when it is reset in the middle of its work; after.bats looks at it when the node
# has booted again. The daemon is left running.
load ../../e2e/lib
load ../../e2e/http

setup_file() {
	local name

	export EDGE=127.0.0.1:8080 HTTP=127.0.0.1:8081
	daemon_make python web
	project_make one
	for name in WORK STATE RUN GROUP SANDBOXD_STATE SANDBOXD_SOCKET EDGE HTTP ONE ONE_TOKEN; do
		printf 'export %s=%q\n' "$name" "${!name}"
	done >"$REBOOT"
}

setup() {
	cd "$WORK" || return
}

task_runs() {
	[ "$(rest GET "tasks/$(cat running)" | jq -r .status)" = running ]
}

@test "a service of two replicas writes into its data folder" {
	mkdir -p app/code
	cat >app/code/server.py <<-'END'
		import http.server
		import os

		class Handler(http.server.BaseHTTPRequestHandler):
		    def do_GET(self):
		        path = os.path.expanduser("~/data/seen")
		        with open(path, "a") as out:
		            out.write("x")
		            out.flush()
		            os.fsync(out.fileno())
		        with open(path) as file:
		            body = file.read().encode()
		        self.send_response(200)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)

		http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT_HTTP"])), Handler).serve_forever()
	END
	jq -n '{format: 1, app: "shop", name: "www", type: "custom", instances: 2, sandbox: {start_s: 250, image: "web"},
		ports: [{name: "http", kind: "http"}],
		processes: [{name: "server", command: "exec python3 server.py"}]}' >m.json
	sandboxctl service put app --manifest m.json
	wait_until "$PATIENCE" test -s "$RUN/edge-http" || fail "$(cat "$WORK/log")"
	[ "$(curl -sS -m "$PATIENCE" -H 'Host: www-shop.default.localhost' "http://$EDGE/")" = x ]
}

@test "a task runs, one waits for its hour, and a schedule for its next" {
	code_make work '{"retries": 3, "retries_delay": 0}' <<-'END'
		import os, time
		print("attempt", os.environ["TASK_ATTEMPT"], flush=True)
		if os.environ["TASK_ATTEMPT"] == "1":
		    time.sleep(3600)
	END
	rest POST tasks --data '{"tasks": [{"code_name": "work", "payload": "runs"}]}' | jq -r '.tasks[0].id' >running
	rest POST tasks --data '{"tasks": [{"code_name": "work", "payload": "waits", "delay": 86000}]}' |
		jq -r '.tasks[0].id' >waiting
	rest POST schedules --data '{"schedules": [{"code_name": "work", "payload": "s", "run_every": 86400,
		"start_at": "2099-01-01T00:00:00Z"}]}' | jq -r '.schedules[0].id' >scheduled
	wait_until "$PATIENCE" task_runs
}
