#!/usr/bin/env bats
# An HTTP worker looked at live.
# shellcheck disable=SC2154 # run sets status, output and stderr
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS
	write_worker live instance 1
	sandboxctl deploy "$WORK/live" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
}

# write_worker NAME ISOLATION NUMBER: two requests at a time need two instances, as each takes one.
write_worker() {
	mkdir -p "$WORK/$1"
	cat >"$WORK/$1/wrangler.toml" <<-END
		name = "$1"
		main = "entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		[triggers]
		crons = ["0 0 1 1 *"]
		[sandbox]
		isolation = "$2"
	END
	[ "$2" = request ] || printf 'concurrency = 1\nmax = 2\n' >>"$WORK/$1/wrangler.toml"
	cat >"$WORK/$1/entry.py" <<-END
		import asyncio
		import js
		from workers import Response, WorkerEntrypoint

		NUMBER = $3
		waits = None


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        path = request.url.split("/", 3)[3]
		        if path == "wait":
		            print("waits")
		            while True:
		                await asyncio.sleep(3600)
		        print("of", NUMBER, path, "\\x1b[1m")
		        js.console.warn("careful")
		        if path == "raise":
		            raise ValueError("no luck")
		        return Response("ok")

		    async def scheduled(self, controller, env, ctx):
		        print("by the clock")
	END
}

teardown() {
	end_background
}

teardown_file() {
	sandboxctl deploy rm live || true
	sandboxctl deploy rm each || true
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

# ask WORKER PATH
ask() {
	curl -sS --max-time 60 -H "Host: $1.default.localhost" "http://$ADDRESS/$2"
}

# look WORKER OPTION...: tails it in the background, into seen, until it is connected.
look() {
	sandboxctl tail "$@" >seen 2>said &
	wait_until "$PATIENCE" is_seen "$1"
}

# A request whose print is seen shows that somebody looks.
is_seen() {
	ask "$1" hello >/dev/null
	grep -q hello seen
}

@test "requests, prints and exceptions of all instances and versions are seen, until the worker is removed" {
	look live
	ask live raise >/dev/null
	wait_until "$PATIENCE" grep -q 'ValueError: no luck' seen
	# What a sandbox prints does nothing to a terminal.
	grep -qF 'log: of 1 raise \x1b[1m' seen
	grep -q 'warn: careful' seen
	grep -Eq '^[0-9:.]{12} GET http://live.default.localhost.*/raise 500 exception [0-9.]+ ms request [^ ]+ instance [0-9a-f]{24}$' seen
	# The traceback stands below its request's id.
	id=$(sed -n 's/.* 500 exception .* request \([^ ]*\) instance .*/\1/p' seen)
	grep -q "^  $id exception: .*entry.py" seen
	# One instance has a request that does not end: the next one is another's.
	first=$(sed -n 's/.* instance //p' seen | head -1)
	curl -sS --max-time 60 -H "Host: live.default.localhost" "http://$ADDRESS/wait" >/dev/null 2>&1 &
	wait_until "$PATIENCE" another_is_seen "$first"
	sandboxctl deploy trigger live
	wait_until "$PATIENCE" grep -q 'log: by the clock' seen
	grep -Eq '^[0-9:.]{12} scheduled 0 0 1 1 \* ok request ' seen
	# A new version's too.
	write_worker live instance 2
	sandboxctl deploy "$WORK/live" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
	ask live again
	wait_until "$PATIENCE" grep -qF 'log: of 2 again' seen
	sandboxctl deploy rm live
	wait_until "$PATIENCE" grep -q 'the worker was removed' said
}

another_is_seen() {
	ask live other >/dev/null
	sed -n 's/.* instance //p' seen | grep -qv "$1"
}

@test "with a sandbox for each request, and as JSON of what is wanted" {
	write_worker each request 3
	sandboxctl deploy "$WORK/each" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
	look each --format json --search hello --status ok --method get
	ask each raise >/dev/null
	ask each hello
	wait_until "$PATIENCE" two_hellos
	jq -e 'select(.url | endswith("/raise"))' seen >/dev/null && false
	jq -es '.[0] | .outcome == "ok" and .status == 200 and .worker == "each" and .logs[0].level == "log"
		and (.logs[0].text | startswith("of 3 hello")) and .exceptions == []' seen
	run sandboxctl tail each --status good
	[ "$status" != 0 ]
	[[ $output == *"status:"* ]]
	run sandboxctl tail nobody
	[ "$status" != 0 ]
	[[ $output == *"there is no HTTP worker"* ]]
}

two_hellos() {
	[ "$(grep -c hello seen)" -ge 2 ]
}
