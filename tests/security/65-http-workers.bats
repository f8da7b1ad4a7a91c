#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# HTTP workers that are hostile: what one of them does to its own connections, sockets and processes
# is its own end at most, and its neighbour answers.

load lib.bash

setup_file() {
	export EDGE=127.0.0.1:0
	security_setup web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS
	for name in evil victim; do
		mkdir "$WORK/$name"
		cp "$SECURITY/workers/$name.py" "$WORK/$name/entry.py"
		printf '%s\n' "name = \"$name\"" 'main = "entry.py"' \
			'compatibility_date = "2026-03-01"' \
			'compatibility_flags = ["python_workers"]' \
			'kv_namespaces = [{binding = "KV"}]' >"$WORK/$name/wrangler.toml"
		"$CTL" deploy "$WORK/$name" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
	done
}

teardown_file() {
	"$CTL" deploy rm evil || true
	"$CTL" deploy rm victim || true
	"$CTL" deploy rm globs || true
	for name in sleeps-1 sleeps-2 sleeps-3; do
		"$CTL" deploy rm "$name" 2>/dev/null || true
	done
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

# ask WORKER PATH
ask() {
	curl -sS -m "$PATIENCE" -H "Host: $1.default.localhost" "http://$ADDRESS/$2"
}

# answers WORKER: it does, if not at once: an instance that has been ended is followed by another.
answers() {
	[ "$(ask "$1" hello)" = "hello of $1" ]
}

@test "a worker reaches no socket of the daemon's, of the edge's or of its neighbour's" {
	ask evil "reach?run=$RUN" >"$WORK/reach"
	cat "$WORK/reach"
	[ "$(grep -c . "$WORK/reach")" -ge 5 ]
	run ! grep -q REACHED "$WORK/reach"
	# The control: the same code where nothing confines it.
	/usr/bin/python3 "$SECURITY/workers/evil.py" "$RUN" | grep -q REACHED
}

@test "what is no frame, and frames without end, end the instance that sends them" {
	for what in junk asks loads; do
		echo "$what"
		run ask evil "$what"
		wait_until "$PATIENCE" answers evil
		answers victim
	done
}

@test "a worker that forks and dies leaves nothing, and the next request is served" {
	before=$(ask evil processes)
	ask evil fork
	[ "$(ask evil processes)" = $((before + 3)) ]
	run ask evil die
	wait_until "$PATIENCE" answers evil
	answers victim
	[ "$(ask evil processes)" = "$before" ]
	# Nor outside of its sandbox: as many runs as workers, and each is one that serves.
	[ "$("$CTL" ps --quiet | wc -l)" -le 2 ]
}

@test "what a client writes into a key or a log ends no instance, whoever looks at it" {
	[ "$(ask victim count)" = 1 ]
	"$CTL" tail victim --format json >"$WORK/tail" 2>"$WORK/tail-errors" &
	wait_until "$PATIENCE" tailed hello
	ask victim 'key?a%00b' >"$WORK/key"
	grep -q 'NUL character cannot be sent' "$WORK/key" || fail "$(cat "$WORK/key")"
	[[ $(ask victim 'key?b') == "found: "* ]]
	[ "$(ask victim 'say?x%00y')" = "hello of victim" ]
	wait_until "$PATIENCE" grep -q 'x.*y' "$WORK/tail"
	# The same instance, with what it had.
	[ "$(ask victim count)" = 2 ]
	end_background
}

# tailed PATH: the one who looks is told of requests.
tailed() {
	ask victim "$1" >/dev/null
	[ -s "$WORK/tail" ]
}

@test "patterns that are long to match hold up nobody, and match what they say" {
	local n

	mkdir -p "$WORK/globs/public"
	cp "$SECURITY/workers/victim.py" "$WORK/globs/entry.py"
	echo file >"$WORK/globs/public/x1y2z"
	echo file >"$WORK/globs/public/x1y2"
	{
		printf '%s\n' 'name = "globs"' 'main = "entry.py"' 'compatibility_date = "2026-03-01"' \
			'compatibility_flags = ["python_workers"]' '[assets]' 'directory = "public"'
		# What comes close to fitting at each place.
		printf 'run_worker_first = ["/x*y*z"'
		for n in $(seq 99); do
			printf ', "/*%s%s*"' "$(printf 'a%.0s' $(seq 230))" "b$n"
		done
		printf ']\n'
	} >"$WORK/globs/wrangler.toml"
	"$CTL" deploy "$WORK/globs" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
	[ "$(ask globs x1y2z)" = "hello of victim" ]
	[ "$(ask globs x1y2)" = file ]
	printf 'url = http://%s/%s\n' "$ADDRESS" "$(printf 'a%.0s' $(seq 15000))" >"$WORK/long"
	for n in $(seq 64); do
		curl -sS -o "$WORK/far.$n" -H 'Host: globs.default.localhost' -K "$WORK/long" &
	done
	for n in $(seq 4); do
		answers victim
	done
	wait
	for n in $(seq 64); do
		[ "$(cat "$WORK/far.$n")" = "hello of victim" ]
	done
}

# held: the attacker has asked for all of its connections once.
held() {
	grep -q open "$WORK/held"
}

# slow N [NAME...]: an attacker in the background, whose pid is SLOW.
slow() {
	/usr/bin/python3 "$SECURITY/slow.py" "${ADDRESS%:*}" "${ADDRESS##*:}" "$@" >"$WORK/held" 2>&1 3>&- &
	SLOW=$!
	wait_until "$PATIENCE" held || fail "$(cat "$WORK/held")"
}

@test "a client that opens connections, and ends no head, keeps no other one out" {
	local answered=0

	slow 17000
	for _ in {1..20}; do
		[ "$(curl -sS -m "$PATIENCE" --interface 127.0.0.2 -H 'Host: victim.default.localhost' "http://$ADDRESS/hello")" = \
			"hello of victim" ] && answered=$((answered + 1))
	done
	kill "$SLOW"
	wait "$SLOW" || true
	[ "$answered" = 20 ]
}

# is_refused: this address has no request more.
is_refused() {
	[ "$(curl -s -m "$PATIENCE" -o /dev/null -w '%{http_code}' -H 'Host: victim.default.localhost' "http://$ADDRESS/hello")" = 429 ]
}

@test "requests of one address at a time are bounded, and those of another one are served" {
	local name served

	# Each has one request, and two thousand wait for it.
	for name in sleeps-1 sleeps-2 sleeps-3; do
		mkdir "$WORK/$name"
		printf '%s\n' "name = \"$name\"" 'main = "entry.py"' 'compatibility_date = "2026-03-01"' \
			'compatibility_flags = ["python_workers"]' '[sandbox]' 'max = 1' 'concurrency = 1' >"$WORK/$name/wrangler.toml"
		printf '%s\n' 'import asyncio' 'async def on_fetch(request):' '    await asyncio.sleep(600)' >"$WORK/$name/entry.py"
		"$CTL" deploy "$WORK/$name" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
	done
	slow 4300 sleeps-{1,2,3}.default.localhost
	wait_until "$PATIENCE" is_refused
	served=$(curl -s -m "$PATIENCE" --interface 127.0.0.2 -H 'Host: victim.default.localhost' "http://$ADDRESS/hello") || true
	kill "$SLOW"
	wait "$SLOW" || true
	for name in sleeps-1 sleeps-2 sleeps-3; do
		"$CTL" deploy rm "$name"
	done
	[ "$served" = "hello of victim" ]
	wait_until "$PATIENCE" answers victim
}
