#!/usr/bin/env bats
# What code sees of `js`, `pyodide` and `workers` is the same in an instance of each start mode: the cases of
# tests/pyodide, which the real ones have confirmed, run in a handler.
# shellcheck disable=SC2154 # run sets status, output and stderr
load lib

setup_file() {
	export EDGE=127.0.0.1:0 FAKE_CRIU=$BATS_FILE_TMPDIR/criu
	# With a criu of another version there are no snapshots.
	printf '#!/bin/sh\necho Version: 1.0\n' >"$FAKE_CRIU"
	chmod 755 "$FAKE_CRIU"
	daemon_make web web313
	mkdir "$WORK/facts"
	cp "$TOP/tests/pyodide/cases.py" "$WORK/facts/"
	cp -r "$TOP/tests/pyodide/cases" "$WORK/facts/pyodide_cases"
	cp -r "$TOP/tests/pyodide/sdk" "$WORK/facts/sdk_cases"
	cp "$E2E/facts.py" "$WORK/facts/entry.py"
	cp "$E2E/facts_pytest.py" "$WORK/facts/"
	cat >"$WORK/facts/wrangler.toml" <<-'END'
		name = "facts"
		main = "entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		kv_namespaces = [{binding = "KV"}]
		[sandbox]
		image = "web"
	END
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown_file() {
	sandboxctl deploy rm facts || true
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

ask() {
	curl -sS --max-time 120 -H 'Host: facts.default.localhost' "http://$(cat "$RUN/edge-http")/$1"
}

instance() {
	sandboxctl --json deploy ls | jq -r '.[0].instances[] | select(.state == "up").id' | head -n 1
}

mode() {
	inspect "$(instance)" .start.mode
}

# agrees: all cases print what they should, and the log has what the top level has printed, once.
agrees() {
	local id text

	text=$(ask cases)
	[ "$(jq .wrong <<<"$text")" = '[]' ] || fail "$text"
	[ "$(jq .count <<<"$text")" -gt 150 ]
	id=$(instance)
	wait_until "$PATIENCE" log_has "$id" 'printed by the top level'
	[ "$(sandboxctl logs "$id" 2>&1 | grep -c 'printed by the top level')" = 1 ]
}

log_has() {
	sandboxctl logs "$1" 2>&1 | grep -qF "$2"
}

# another: the instance is ended, and the next one is not it.
another() {
	before=$(instance)
	sandboxctl cancel --force "$before"
	wait_until "$PATIENCE" is_another
}

is_another() {
	[ "$(ask '')" = up ] && [ -n "$(instance)" ] && [ "$(instance)" != "$before" ]
}

@test "cold" {
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	run --separate-stderr sandboxctl deploy "$WORK/facts"
	[ "$status" = 0 ] || fail "$stderr"
	grep -q '^snapshot  *none$' <<<"$output" || fail "$output$stderr"
	agrees
	[ "$(mode)" = cold ]
}

@test "restored and forked" {
	daemon_stop
	FAKE_CRIU='' daemon_start
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	run --separate-stderr sandboxctl deploy "$WORK/facts"
	[ "$status" = 0 ] || fail "$stderr"
	grep -q '^snapshot  *dedicated$' <<<"$output" || fail "$output$stderr"
	sandboxctl template retire --all
	another
	[ "$(mode)" = restore ]
	agrees
	wait_until "$PATIENCE" is_forked
	agrees
}

is_forked() {
	another
	[ "$(mode)" = fork ]
}

@test "files are where the platform has them, and a way out is named that is not there" {
	# The cases have left a fetch of their own.
	another
	[ "$(ask place)" = '/session/metadata/entry.py /session/metadata /session/metadata/python_modules' ]
	[[ "$(ask out)" == *"OSError"*"policy 'default'"* ]] || fail "$(ask out)"
}

# pytest_runs: in one request, in which it waits for what other requests of the same instance bring.
pytest_runs() {
	ask pytest >report &
	wait_until "$PATIENCE" begun
	[ "$(ask go)" = gone ]
	wait $!
	[ "$(cat report)" = 'pytest has ended with 0' ] || fail "$(cat report; sandboxctl logs "$(instance)")"
}

begun() {
	[ "$(ask begun)" = True ]
}

@test "a whole pytest runs in a handler while the instance serves others" {
	pytest_runs
}

@test "all of it with Python 3.13" {
	sed -i 's/"web"/"web313"/' "$WORK/facts/wrangler.toml"
	run --separate-stderr sandboxctl deploy "$WORK/facts"
	[ "$status" = 0 ] || fail "$stderr"
	[[ $stderr == *'Python 3.13 of the image web313'* ]] || fail "$stderr"
	pytest_runs
	agrees
}

@test "KV gives what Cloudflare's own gives" {
	mkdir kv
	cp "$TOP/tests/miniflare/worker.py" kv/
	cat >kv/wrangler.toml <<-'END'
		name = "kv"
		main = "worker.py"
		compatibility_date = "2026-03-01"
		kv_namespaces = [{binding = "KV"}]
	END
	run --separate-stderr sandboxctl deploy kv
	[ "$status" = 0 ] || fail "$stderr"
	curl -sS --max-time 120 -H 'Host: kv.default.localhost' --data-binary "@$TOP/tests/miniflare/kv.json" \
		"http://$(cat "$RUN/edge-http")/" >wrong
	sandboxctl deploy rm kv
	[ "$(jq length wrong)" = 0 ] || fail "$(cat wrong)"
}
