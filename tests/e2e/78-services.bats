#!/usr/bin/env bats
# Workers of a project that ask each other, rate limits, and what a version knows of itself.
# shellcheck disable=SC2154 # run sets status, output and stderr
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS
	cd "$BATS_FILE_TMPDIR" || return
	worker caller 'services = [{binding = "BACK", service = "back"}, {binding = "ADMIN", service = "back", entrypoint = "Admin"},
		{binding = "NONE", service = "none"}, {binding = "LOOP", service = "caller"}, {binding = "BY_BACK", service = "back", entrypoint = "Again"}]
		version_metadata = {binding = "ME"}
		ratelimits = [{name = "TEN", namespace_id = "7", simple = {limit = 3, period = 60}}]' <<-'END'
		from workers import Request, Response, WorkerEntrypoint


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        word, _, rest = request.url.split("/", 3)[3].partition("/")
		        env = self.env
		        if word == "me":
		            return Response.json({"id": env.ME.id, "tag": env.ME.tag, "timestamp": env.ME.timestamp})
		        if word == "limit":
		            return Response.json((await env.TEN.limit(key=rest)).success)
		        if word == "scheduled":
		            return Response((await env.BACK.scheduled(cron=rest)).outcome)
		        if word == "deep":
		            return await env.BY_BACK.fetch("http://x/" + rest)
		        binding = getattr(env, word)
		        url = "https://user@Inner.example:8443/" + rest
		        try:
		            if request.method == "GET":
		                answer = await binding.fetch(url, headers={"X-Mine": "\u00fcber", "X-Sandboxd-Depth": "99", "Host": "evil"})
		            else:
		                answer = await binding.fetch(url, method="PUT", body=await request.bytes())
		        except Exception as error:
		            return Response("raised %s" % error)
		        return answer
	END
	worker back 'services = [{binding = "CALLER", service = "caller"}]' <<-'END'
		import json
		import os

		from workers import Response, WorkerEntrypoint

		seen = []


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        path = request.url.split("/", 3)[3]
		        if path == "raise":
		            raise ValueError("of the other's own")
		        if path == "seen":
		            return Response.json(seen)
		        if path == "big":
		            return Response(b"x" * (20 << 20), headers={"X-Size": "20"})
		        if path == "huge":
		            return Response(b"x" * (27 << 20))
		        if path == "die":
		            os._exit(1)
		        body = await request.bytes()
		        told = {"url": request.url, "method": request.method, "headers": dict(request.headers), "body": len(body)}
		        return Response(json.dumps(told), status=203, headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Back", "\u00e9")])

		    async def scheduled(self, controller):
		        seen.append(controller.cron)
		        if controller.cron == "raise":
		            raise ValueError("no")


		class Admin(WorkerEntrypoint):
		    async def fetch(self, request):
		        return Response("admin of " + request.url)


		class Again(WorkerEntrypoint):
		    async def fetch(self, request):
		        depth = int(request.url.rsplit("/", 1)[1])
		        try:
		            return await self.env.CALLER.fetch("http://x/deep/%d" % (depth + 1))
		        except Exception as error:
		            return Response("%d: %s" % (depth, error))
	END
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return
}

teardown_file() {
	sandboxctl deploy rm caller || true
	sandboxctl deploy rm back || true
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

nothing_runs() {
	[ -z "$(sandboxctl ps --quiet)" ]
}

# worker NAME LINES: deploys a worker whose source is read from stdin.
worker() {
	mkdir -p "$1"
	printf '%s\n' "name = \"$1\"" 'main = "entry.py"' 'compatibility_date = "2026-03-01"' \
		'compatibility_flags = ["python_workers"]' >"$1/wrangler.toml"
	printf '%s\n' "$2" | tr -d '\t' >>"$1/wrangler.toml"
	cat >"$1/entry.py"
	sandboxctl deploy "$1" --tag "tag-of-$1" >"$1.out" 2>"$1.progress" || fail "$(cat "$1.progress")"
}

# ask [CURL'S OPTION...] PATH: of the worker caller.
ask() {
	curl -sS --max-time "$PATIENCE" -H 'Host: caller.default.localhost' "${@:1:$#-1}" "http://$ADDRESS/${*: -1}"
}

# says PATH TEXT: what the worker caller answers.
says() {
	local text

	text=$(ask "$1")
	[ "$text" = "$2" ] || fail "$1: $text"
}

@test "one worker asks another one: URL, fields, bodies, and what comes back" {
	# The deploy of the first one came before there was a second one.
	grep -q 'back.*not deployed' caller.out caller.progress
	[ "$(ask -D head -o body -w '%{http_code}' BACK/a%2Fb?q=1)" = 203 ]
	[ "$(jq -r .url body)" = 'https://inner.example:8443/a%2Fb?q=1' ]
	[ "$(jq -r '.method, .headers["x-mine"]' body)" = "$(printf 'GET\nüber')" ]
	[ "$(jq -r '.headers | keys | map(select(test("sandboxd"))) | length' body)" = 0 ]
	grep -qi '^set-cookie: a=1' head
	grep -qi '^set-cookie: b=2' head
	grep -qi '^x-back: é' head
	head -c 5000000 /dev/zero >five
	[ "$(ask --data-binary @five BACK/x | jq -c '[.method, .body]')" = '["PUT",5000000]' ]
	[ "$(ask BACK/big | wc -c)" = $((20 << 20)) ]
	says ADMIN/x 'admin of https://inner.example:8443/x'
}

@test "what goes wrong in another worker is an exception here, in words" {
	says BACK/raise "raised ValueError: of the other's own"
	says NONE/x "raised the binding NONE leads to the worker none, which this project has not deployed"
	[[ $(ask BACK/huge) == "raised the other worker's answer is longer than 26 MiB"* ]]
	[[ $(ask BACK/die) == "raised 502 "* ]]
	says ADMIN/again 'admin of https://inner.example:8443/again'
	# To the world it is a 500 as ever.
	run ! curl -sS -H 'Host: back.default.localhost' -H 'X-Sandboxd-Depth: 1' "http://$ADDRESS/raise" -o own --fail
	run ! grep -q "own" own
}

@test "workers that call each other for ever are stopped" {
	[[ $(ask deep/0) == "7: "*"Subrequest depth limit exceeded. This request recursed through Workers too many times."* ]]
}

@test "scheduled of another worker" {
	says 'scheduled/one' ok
	says 'scheduled/raise' exception
	ask BACK/seen | jq -e 'index("one") and index("raise")'
}

limited() {
	for _ in 1 2 3 4 5; do
		ask "limit/$1"
		echo
	done
}

@test "a rate limit counts a key over all instances" {
	[ "$(limited key | sort | uniq -c | xargs)" = '2 false 3 true' ]
	says limit/other true
	# Another instance, and the same count.
	sandboxctl deploy caller
	says limit/key false
	says limit/ true
}

# knows_itself SNAPSHOT [MODE]: the worker caller, deployed anew, whose instance starts in this mode.
knows_itself() {
	sandboxctl deploy caller --tag "tag of $1" >out
	grep -q "^snapshot  *$1$" out
	ask me >answer
	[ "$(jq -r .tag answer)" = "tag of $1" ]
	[ "$(jq -r .id answer)" = "$(sandboxctl --json deploy ls caller | jq -r '.[0].id')" ]
	[[ $(jq -r .timestamp answer) == 20??-??-??T??:??:??*Z ]]
	[ -z "${2-}" ] || [ "$(inspect "$(sandboxctl --json deploy ls |
		jq -r '.[] | select(.name == "caller").instances[0].id')" .start.mode)" = "$2" ]
}

@test "a version knows itself, however it was started" {
	printf '[sandbox]\nstart = "restore"\n' >>caller/wrangler.toml
	knows_itself dedicated restore
	sed -i 's/^start = .*/start = "cold"/' caller/wrangler.toml
	knows_itself dedicated cold
	sed -i '/^start = /d' caller/wrangler.toml
	knows_itself dedicated
	sed -i '1i import random; random.random()' caller/entry.py
	knows_itself package
	printf 'isolation = "request"\n' >>caller/wrangler.toml
	knows_itself package
	# Another worker is asked from there, too.
	says ADMIN/each 'admin of https://inner.example:8443/each'
}
