#!/usr/bin/env bats
# Isolation "request": a run for each request, which finds nothing of another one.
# shellcheck disable=SC2154 # run sets status, output and stderr
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS
	mkdir "$WORK/each"
	cat >"$WORK/each/wrangler.toml" <<-'END'
		name = "each"
		main = "entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		kv_namespaces = [{binding = "KV"}]
		[sandbox]
		isolation = "request"
		max = 4
		timeout = "5s"
	END
	cat >"$WORK/each/entry.py" <<-'END'
		import os
		import random
		import time

		from workers import Response, WorkerEntrypoint

		seen = []


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        path = request.url.split("/", 3)[3]
		        if path == "kv":
		            if request.method == "PUT":
		                await self.env.KV.put("key", await request.text())
		            return Response(str(await self.env.KV.get("key")))
		        if path == "die":
		            os._exit(3)
		        if path == "hang":
		            time.sleep(600)
		        if path == "raise":
		            raise ValueError("of the worker's own")
		        old = len(seen) + os.path.exists("/tmp/seen")
		        seen.append(path)
		        open("/tmp/seen", "w").close()
		        return Response("%d %s %s\n" % (old, os.urandom(8).hex(), random.random()))
	END
	sandboxctl deploy "$WORK/each" >"$WORK/deployed" 2>"$WORK/progress" || fail "$(cat "$WORK/progress")"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown_file() {
	sandboxctl deploy rm each || true
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

# ask [CURL'S OPTION...] PATH: of the worker each.
ask() {
	curl -sS --max-time 60 -H 'Host: each.default.localhost' "${@:1:$#-1}" "http://$ADDRESS/${*: -1}"
}

status() {
	ask -o /dev/null -w '%{http_code}' "$1"
}

@test "200 requests find nothing of each other, and draw other numbers" {
	grep -q "^snapshot  *dedicated$" "$WORK/deployed"
	for n in 1 2 3 4; do
		ask "[1-50]" >"answers$n" &
	done
	wait
	cat answers? >all
	[ "$(wc -l <all)" = 200 ]
	[ "$(cut -d' ' -f1 all | sort -u)" = 0 ]
	[ "$(cut -d' ' -f2 all | sort -u | wc -l)" = 200 ]
	[ "$(cut -d' ' -f3 all | sort -u | wc -l)" = 200 ]
	wait_until "$PATIENCE" nothing_runs
}

@test "what is in KV is there for the next request" {
	[ "$(ask -X PUT -d "a value" kv)" = "a value" ]
	[ "$(ask kv)" = "a value" ]
}

@test "a request that fails has its own end, and its client an answer" {
	[ "$(status raise)" = 500 ]
	[ "$(status die)" = 502 ]
	# It does not even listen to its own timeout.
	[[ $(status hang) = 50[24] ]]
	wait_until "$PATIENCE" nothing_runs
	[ "$(status "")" = 200 ]
}

@test "an import that fails is told by the deploy, and the front's restart is survived" {
	cp -r "$WORK/each" broken
	echo 'import nothing_of_that_name' >>broken/entry.py
	run sandboxctl deploy broken
	[ "$status" != 0 ]
	[[ $output == *"entry.py:"*"nothing_of_that_name"* ]]
	[ "$(status "")" = 200 ]
	[ "$(find "$RUN/edge/v" -type s | wc -l)" = 1 ]
	kill -KILL "$(role front)"
	wait_until "$PATIENCE" answers
	sandboxctl deploy rm each
	wait_until "$PATIENCE" no_socket
	sandboxctl deploy "$WORK/each" >/dev/null 2>&1
	[ "$(status "")" = 200 ]
}

answers() {
	[ "$(status "" 2>/dev/null)" = 200 ]
}

no_socket() {
	[ -z "$(find "$RUN/edge/v" -type s)" ]
}
