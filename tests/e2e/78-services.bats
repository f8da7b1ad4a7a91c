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

		kept = []


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
		        if word == "stream":
		            return await env.BACK.fetch("http://x/" + rest, method="PUT", body=request.body)
		        if word == "kept":
		            kept.append(await env.BACK.fetch("http://x/" + rest))
		            return Response(str(kept[-1].status))
		        if word == "dropped":
		            kept.clear()
		            return Response("")
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

		import js
		from pyodide.ffi import create_proxy, to_js
		from workers import Response, WorkerEntrypoint

		seen = []
		flood = {"pieces": 0, "closed": 0}


		def pull(controller):
		    flood["pieces"] += 1
		    controller.enqueue(to_js(b"x" * 65536))


		def cancel(_reason):
		    flood["closed"] += 1


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
		        if path == "flood":
		            return Response(js.ReadableStream.new(pull=create_proxy(pull), cancel=create_proxy(cancel)))
		        if path == "flooded":
		            return Response.json(flood)
		        if path == "echo":
		            return Response(request.body)
		        if path == "count":
		            size = 0
		            async for piece in request.body:
		                size += len(piece.to_bytes())
		            return Response(str(size))
		        if path == "breaks":
		            def breaks(controller):
		                flood["pieces"] += 1
		                if flood["pieces"] % 3 == 0:
		                    raise ValueError("in the middle")
		                controller.enqueue(to_js(b"some"))
		            return Response(js.ReadableStream.new(pull=create_proxy(breaks)))
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
	[ "$(ask BACK/huge | wc -c)" = $((27 << 20)) ]
	says ADMIN/x 'admin of https://inner.example:8443/x'
}

# memory: the most that the front has taken, in KiB.
memory() {
	sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(role front)/status"
}

# flooded FILTER: of what the worker back knows of its floods.
flooded() {
	ask BACK/flooded | jq -e "$1" >/dev/null
}

@test "bodies stream between workers both ways, as they come and no faster than they are read" {
	local before pieces

	# Each piece comes back before the next one is sent.
	python3 - "$ADDRESS" <<-'END'
		import socket, sys
		host, port = sys.argv[1].rsplit(":", 1)
		sock = socket.create_connection((host, int(port)), 60)
		sock.sendall(b"PUT /stream/echo HTTP/1.1\r\nHost: caller.default.localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
		got = b""
		for word in b"one", b"two", b"three":
		    sock.sendall(b"%x\r\n%b\r\n" % (len(word), word))
		    while word not in got:
		        more = sock.recv(65536)
		        assert more, got
		        got += more
		sock.sendall(b"0\r\n\r\n")
		while not got.endswith(b"\r\n0\r\n\r\n"):
		    more = sock.recv(65536)
		    assert more, got
		    got += more
		assert got.startswith(b"HTTP/1.1 200 "), got
	END
	# More than may be of one body in memory, and more than the front takes for it.
	ask BACK/x >/dev/null
	before=$(memory)
	head -c 60000000 /dev/zero >sixty
	[ "$(ask -T sixty stream/count)" = 60000000 ]
	ask BACK/flood | head -c 100000000 | wc -c | grep -qx 100000000
	[ $(($(memory) - before)) -lt 20000 ] || fail "from $before to $(memory)"
	# Whoever has read enough ends it at its source.
	wait_until "$PATIENCE" flooded '.closed == 1'
	# Nobody reads: it goes no further than the buffers on its way.
	pieces=$(ask BACK/flooded | jq .pieces)
	[ "$(ask kept/flood)" = 200 ]
	[ "$(ask kept/flood)" = 200 ]
	ask BACK/x >/dev/null
	flooded ".pieces < $pieces + 200"
	ask dropped
	wait_until "$PATIENCE" flooded '.closed == 3'
	# What breaks off there breaks off here.
	run -18 ask -o /dev/null BACK/breaks
}

@test "what goes wrong in another worker is an exception here, in words" {
	says BACK/raise "raised ValueError: of the other's own"
	says NONE/x "raised the binding NONE leads to the worker none, which this project has not deployed"
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
