#!/usr/bin/env bats
# The handlers of HTTP workers that are called without a request.
# shellcheck disable=SC2154 # run sets status, output and stderr
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	mkdir -p "$WORK/jobs"
	cat >"$WORK/jobs/wrangler.toml" <<-'END'
		name = "jobs"
		main = "entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		kv_namespaces = [{binding = "KV"}]
		[triggers]
		crons = ["0 0 1 1 *", "0 0 29 2 *"]
	END
	cat >"$WORK/jobs/entry.py" <<-'END'
		from workers import Response, WorkerEntrypoint


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        return Response("")

		    async def scheduled(self, controller, env, ctx):
		        if controller.cron == "0 0 29 2 *":
		            raise ValueError("no such day")
		        await self.env.KV.put("cron", controller.cron)

		    async def test(self, controller, env, ctx):
		        assert await self.env.KV.get("cron") == "0 0 1 1 *"
	END
	sandboxctl deploy "$WORK/jobs" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
}

teardown_file() {
	sandboxctl deploy rm jobs || true
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

@test "a cron's handler is called, and what becomes of it is known" {
	# The test handler sees what scheduled has not done yet.
	run sandboxctl deploy test jobs
	[ "$status" = 1 ]
	[[ $output == *AssertionError* ]]
	sandboxctl deploy trigger jobs
	sandboxctl deploy test jobs
	run sandboxctl deploy trigger jobs --cron '0 0 29 2 *'
	[ "$status" = 1 ]
	[[ $output == *"scheduled exception after "*"entry.py"*"ValueError: no such day"* ]]
	sandboxctl deploy info jobs >shown
	grep -q '^cron  *0 0 1 1 \*: next 2.*-01-01T00:00:00Z last 2.*Z ok after ' shown
	grep -q '^cron  *0 0 29 2 \*: next .* exception after .*: ValueError: no such day$' shown
	id=$(sandboxctl --json deploy info jobs | jq -r '.instances[0].id')
	wait_until "$PATIENCE" log_has "$id" "ValueError: no such day"
	run sandboxctl deploy trigger jobs --cron 'what'
	[ "$status" != 0 ]
	[[ $output == *"cron:"* ]]
}

log_has() {
	sandboxctl logs "$1" 2>&1 | grep -qF "$2"
}
