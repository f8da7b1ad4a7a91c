#!/usr/bin/env bats
# sandboxctl serve: a whole configuration of workerd's in the foreground.
# shellcheck disable=SC2154,SC2030,SC2031 # run sets status, output and stderr; each test has a SERVED of its own
load lib

setup_file() {
	daemon_make web
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	SERVED=
}

teardown_file() {
	daemon_remove
}

# serve ARG...: begins it; its output is in out and err.
serve() {
	: >err
	# A shell has what it puts into the background ignore Ctrl-C.
	env --default-signal=INT "$CTL" serve "$@" >out 2>err &
	SERVED=$!
	wait_until "$PATIENCE" file_has err 'Ready on ' || fail "$(cat err)"
}

# url NAME: where its socket is.
url() {
	sed -n "s/^Ready on \(.*\) ($1)\$/\1/p" err
}

# The sample of the text, as it stands there.
sample() {
	cat >config.capnp <<-'END'
		using Workerd = import "/workerd/workerd.capnp";
		const config :Workerd.Config = (
		services = [
		(name = "main", worker = .pythonWorker),
		],
		sockets = [
		( name = "http",
		address = "*:8080",
		http = (),
		service = "main"
		),
		]
		);
		const pythonWorker :Workerd.Worker = (
		modules = [
		(name = "worker.py", pythonModule = embed "worker.py"),
		],
		compatibilityDate = "2024-01-01",
		compatibilityFlags = ["experimental", "python_workers"],
		);
	END
	cat >worker.py <<-'END'
		from js import Response
		from workers import WorkerEntrypoint
		class Default(WorkerEntrypoint):
		    def fetch(self, request):
		        return Response.new("Hello from Python!")
	END
}

@test "the sample of the text answers, and Ctrl-C ends all" {
	sample
	serve -s http=localhost:0 config.capnp
	[ "$(curl -sS -m "$PATIENCE" "$(url http)")" = 'Hello from Python!' ]
	[ "$(sandboxctl ps -q | wc -l)" = 1 ]
	kill -INT "$SERVED"
	wait "$SERVED"
	SERVED=
	wait_until "$PATIENCE" nothing_runs
	# The other one: what it requires is in the image.
	sed -i 's/^compatibilityFlags.*/&\nbindings = [\n(name = "requirements", json = "[\\"numpy\\", \\"requests\\"]"),\n],/' config.capnp
	sed -i '1i import numpy' worker.py
	serve -s http=unix:sock config.capnp
	[ "$(curl -sS -m "$PATIENCE" --unix-socket sock http://here/)" = 'Hello from Python!' ]
	kill -TERM "$SERVED"
	wait "$SERVED"
	SERVED=
	[ ! -e sock ]
}

# Workers with all bindings, a folder, a server of the test's own, and the way out.
configuration() {
	mkdir -p content/sub
	echo 'a file' >content/a.txt
	echo 'not for anybody' >outside.txt
	ln -s ../outside.txt content/link
	echo hidden >content/.hidden
	cat >config.capnp <<-'END'
		using Workerd = import "/workerd/workerd.capnp";
		const config :Workerd.Config = (
		  services = [
		    (name = "Main", worker = .main),
		    (name = "back", worker = (
		      modules = [(name = "back.py", pythonModule = embed "back.py")],
		      compatibilityDate = "2024-01-01")),
		    (name = "files", disk = (path = "content", writable = true)),
		    (name = "shown", disk = (path = "content")),
		    (name = "server", external = (address = "localhost:1", http = ())),
		    (name = "internet", network = (allow = ["local"])),
		  ],
		  sockets = [
		    (name = "http", address = "localhost:0", http = (), service = "Main"),
		    (name = "disk", address = "localhost:0", http = (), service = "shown"),
		    (name = "away", address = "unix:away.sock", http = (), service = "server"),
		    (name = "back", address = "localhost:0", http = (), service = "back"),
		    (name = "admin", address = "localhost:0", http = (), service = (name = "back", entrypoint = "Admin")),
		  ]
		);
		const main :Workerd.Worker = (
		  modules = [
		    (name = "main.py", pythonModule = embed "main.py"),
		    (name = "own.py", pythonModule = embed "own.py"),
		  ],
		  compatibilityDate = "2024-01-01",
		  bindings = [
		    (name = "TEXT", text = "some text"),
		    (name = "BYTES", data = 0x"00ff"),
		    (name = "JSON", json = "{\"a\": [1]}"),
		    (name = "VARIABLE", fromEnvironment = "SERVED_VARIABLE"),
		    (name = "KV", kvNamespace = "kv"),
		    (name = "BACK", service = "back"),
		    (name = "ADMIN", service = (name = "back", entrypoint = "Admin")),
		    (name = "FILES", service = "files"),
		    (name = "SERVER", service = "server"),
		  ],
		);
	END
	echo 'OWN = "own"' >own.py
	cat >back.py <<-'END'
		from workers import Response, WorkerEntrypoint

		crons = []


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        if request.url.endswith("/raise"):
		            raise ValueError("of back")
		        if request.url.endswith("/crons"):
		            return Response(str(crons))
		        return Response("back of %s %s: %s" % (request.method, request.url, await request.text()), status=202,
		                        headers={"x-back": "1"})


		class Admin(WorkerEntrypoint):
		    def fetch(self, request):
		        return Response("for workers alone")

		    def scheduled(self, controller):
		        crons.append(controller.cron)
	END
	cat >main.py <<-'END'
		import os
		import sys

		from workers import Response, WorkerEntrypoint, fetch

		import own


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        path = request.url.split("/", 3)[3]
		        if path == "bindings":
		            env = self.env
		            return Response.json([env.TEXT, bytes(env.BYTES.to_bytes()).hex(), env.JSON.to_py(), env.VARIABLE, own.OWN])
		        if path == "kv":
		            await self.env.KV.put("k", "v", metadata={"m": 1})
		            await self.env.KV.put("l", "w")
		            await self.env.KV.delete("l")
		            found = await self.env.KV.list()
		            return Response("%s %s %s" % (await self.env.KV.get("k"), await self.env.KV.get("none"),
		                                          [key["name"] for key in found["keys"]]))
		        if path == "back":
		            answer = await self.env.BACK.fetch("https://some.host/path?q=1", method="POST", body="text")
		            return Response("%s %d %s" % (await answer.text(), answer.status, answer.headers["x-back"]))
		        if path == "admin":
		            ran = await self.env.ADMIN.scheduled(cron="0 * * * *")
		            crons = await (await self.env.BACK.fetch("http://x/crons")).text()
		            try:
		                await self.env.BACK.fetch("http://x/raise")
		            except Exception as error:
		                return Response("%s %s %s, %s" % (await (await self.env.ADMIN.fetch("http://x/")).text(), ran.outcome, crons,
		                                                  error))
		        if path.startswith("files/"):
		            answer = await self.env.FILES.fetch("http://files/" + path[6:], method=request.method,
		                                                **({"body": await request.bytes()} if request.method == "PUT" else {}))
		            return Response(await answer.text(), status=answer.status)
		        if path == "server":
		            return Response(await (await self.env.SERVER.fetch("http://named.host/a")).text())
		        if path.startswith("out/"):
		            try:
		                return Response(await (await fetch("http://" + path[4:])).text())
		            except OSError as error:
		                return Response("OSError: %s" % error, status=502)
		        if path == "print":
		            print("from stdout")
		            print("\x1b]0;title\x07from stderr", file=sys.stderr)
		        if path == "die":
		            os._exit(7)
		        return Response("main")
	END
}

# A server of the test's own: it answers with what it was asked.
server() {
	cat >server.py <<-'END'
		import http.server

		class Handler(http.server.BaseHTTPRequestHandler):
		    def do_GET(self):
		        if self.path == "/redirect":
		            self.send_response(302)
		            self.send_header("Location", "/there")
		            self.end_headers()
		            return
		        body = ("%s %s" % (self.path, self.headers["Host"])).encode()
		        self.send_response(200)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)

		    def log_message(self, *args):
		        pass

		server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
		with open("port.new", "w") as out:
		    out.write(str(server.server_port))
		import os
		os.rename("port.new", "port")
		server.serve_forever()
	END
	python3 server.py 3>&- &
	SERVER=$!
	wait_until "$PATIENCE" test -s port
	PORT=$(cat port)
}

ask() {
	curl -sS -m "$PATIENCE" "$@"
}

@test "workers, bindings, folders, servers and the way out of one configuration" {
	configuration
	server
	SERVED_VARIABLE='from outside' serve -e "server=127.0.0.1:$PORT" --kv kv.db
	main=$(url http)
	[ "$(ask "$main/bindings" | tr -d ' ')" = '["sometext","00ff",{"a":[1]},"fromoutside","own"]' ]
	[ "$(ask "$main/kv")" = "v None ['k']" ]
	[ "$(ask "$main/back")" = 'back of POST https://some.host/path?q=1: text 202 1' ]
	[ "$(ask "$main/admin")" = "for workers alone ok ['0 * * * *'], ValueError: of back" ]
	# What a worker may choose, a client may not.
	[[ $(ask -H 'X-Sandboxd-Depth: 1' -H 'X-Sandboxd-Entrypoint: Admin' "$(url back)/") == 'back of GET '* ]]
	# A socket of a named entrypoint.
	[ "$(ask "$(url admin)/")" = 'for workers alone' ]
	# A folder: what is in it, and nothing beside it.
	[ "$(ask "$main/files/a.txt")" = 'a file' ]
	[ "$(ask -o body -w '%{http_code}' "$main/files/link")" = 404 ]
	[ "$(ask -o body -w '%{http_code}' "$main/files/.hidden")" = 404 ]
	[ "$(ask -o body -w '%{http_code}' "$main/files/..%2foutside.txt")" = 404 ]
	[ "$(ask -o body -w '%{http_code}' -X PUT --data-binary new "$main/files/made/new.txt")" = 204 ]
	[ "$(cat content/made/new.txt)" = new ]
	[ "$(ask -o body -w '%{http_code}' -X DELETE "$main/files/made/new.txt")" = 204 ]
	[ ! -e content/made/new.txt ]
	# A socket that leads to a folder, or to another server.
	disk=$(url disk)
	[ "$(ask "$disk/a.txt")" = 'a file' ]
	[ "$(ask "$disk/" | tr -d ' ')" = '[{"name":"a.txt","type":"file"},{"name":"link","type":"symlink"},{"name":"made","type":"directory"},{"name":"sub","type":"directory"}]' ]
	[ "$(ask -o body -w '%{http_code}' -X PUT --data-binary x "$disk/a.txt")" = 405 ]
	[ "$(cat content/a.txt)" = 'a file' ]
	[ "$(ask --unix-socket away.sock http://away/x)" = '/x away' ]
	[ "$(ask "$main/server")" = '/a named.host' ]
	# fetch() goes where the configuration lets it.
	[ "$(ask "$main/out/127.0.0.1:$PORT/redirect")" = "/there 127.0.0.1:$PORT" ]
	[[ $(ask "$main/out/10.1.2.3/") == 'OSError: the address is not one'* ]]
	# What is printed is printed here, and harmless.
	[ "$(ask "$main/print")" = main ]
	wait_until "$PATIENCE" file_has out 'from stdout'
	wait_until "$PATIENCE" file_has err 'from stderr'
	# One that has ended is started again.
	ask "$main/die" || true
	wait_until "$PATIENCE" answers "$main/"
	grep -q 'main: its worker has ended (7), and is started again' err
	kill -TERM "$SERVED"
	wait "$SERVED"
	SERVED=
	# KV is still there.
	SERVED_VARIABLE=x serve -e "server=127.0.0.1:$PORT" --kv kv.db
	[ "$(ask "$(url http)/kv")" = "v None ['k']" ]
	kill "$SERVER"
}

answers() {
	[ "$(curl -s -m 5 "$1")" = main ]
}

@test "errors name the file and the line" {
	sample
	sed -i 's/"worker.py", pythonModule/"worker.js", esModule/' config.capnp
	run --separate-stderr sandboxctl serve
	[ "$status" = 125 ]
	[[ $stderr == *'config.capnp:15: the worker main: modules: has no pythonModule: a worker here is Python'* ]]
	sample
	echo 'from nowhere import x' >>worker.py
	run --separate-stderr sandboxctl serve -s http=localhost:0
	[ "$status" = 1 ]
	[[ $stderr == *"sandboxctl: main: worker.py:6: ModuleNotFoundError: No module named 'nowhere'"* ]]
	wait_until "$PATIENCE" nothing_runs
	run --separate-stderr sandboxctl serve none.capnp
	[ "$status" = 125 ]
	[[ $stderr == *'none.capnp: '* ]]
	sample
	run --separate-stderr sandboxctl serve -s http=nonsense:x config.capnp
	[ "$status" = 125 ]
	[[ $stderr == *'the socket http: nonsense:x: must be HOST:PORT'* ]]
	# A port that is taken is told with the way out, where a configuration has named it.
	serve -s http=localhost:0 config.capnp
	taken=$(url http)
	run --separate-stderr sandboxctl serve -s "http=localhost:${taken##*:}" config.capnp
	[ "$status" = 125 ]
	[[ $stderr == *"the socket http: localhost:${taken##*:}: is in use already: give it another address by -s http=HOST:PORT"* ]]
	run --separate-stderr sandboxctl serve config.capnp other
	[[ $stderr == *'there is no constant other of the type Workerd.Config: there is config'* ]]
}

@test "--test calls each worker's test, prints what has failed, and says so by its status" {
	cat >config.capnp <<-'END'
		using Workerd = import "/workerd/workerd.capnp";
		const good :Workerd.Worker = (
		  modules = [(name = "good.py", pythonModule = embed "good.py")], compatibilityDate = "2024-01-01",
		  bindings = [(name = "OTHER", service = "other")]);
		const config :Workerd.Config = (services = [
		  (name = "good", worker = .good), (name = "bad", worker = (
		    modules = [(name = "bad.py", pythonModule = embed "bad.py")], compatibilityDate = "2024-01-01")),
		  (name = "other", worker = (
		    modules = [(name = "other.py", pythonModule = embed "other.py")], compatibilityDate = "2024-01-01")),
		]);
		const passes :Workerd.Config = (services = [(name = "good", worker = .good), (name = "other", worker = (
		  modules = [(name = "other.py", pythonModule = embed "other.py")], compatibilityDate = "2024-01-01"))]);
	END
	cat >good.py <<-'END'
		from workers import WorkerEntrypoint
		class Default(WorkerEntrypoint):
		    async def test(self, ctrl, env, ctx):
		        assert await (await self.env.OTHER.fetch("http://x/")).text() == "other"
	END
	printf '%s\n' 'def test(ctrl, env, ctx):' '    assert 1 == 2, "\x1b[31mnot so"' >bad.py
	printf '%s\n' 'from workers import Response' 'def on_fetch(request):' '    return Response("other")' >other.py
	run --separate-stderr sandboxctl serve --test config.capnp config
	[ "$status" = 1 ]
	grep -qE '^\[ PASS \] good \([0-9.]+ ms\)$' <<<"$output"
	grep -qE '^\[ FAIL \] bad \([0-9.]+ ms\): AssertionError: \\x1b\[31mnot so' <<<"$output"
	grep -q '^1 passed, 1 failed$' <<<"$output"
	[[ $stderr == *'bad.py", line 2, in test'*'AssertionError: '*'not so'* ]]
	[[ $output != *$'\x1b'* ]]
	PYTHON_TRACE=1 run --separate-stderr sandboxctl serve --test config.capnp passes
	[ "$status" = 0 ]
	grep -q '^1 passed, 0 failed$' <<<"$output"
	# PYTHON_TRACE: steps of the start, imports and calls, with milliseconds.
	grep -qE '^sandboxctl: \+[0-9.]+ ms build: read: .* \([0-9.]+ ms\)$' <<<"$stderr"
	grep -qE '^sandboxctl: \+[0-9.]+ ms good: started by (cold|restore|fork) \([0-9.]+ ms\)$' <<<"$stderr"
	grep -qE '^sandboxd: \+[0-9.]+ ms snapshot: [0-9]+ modules have been imported ahead$' <<<"$stderr"
	grep -qE '^sandboxd: \+[0-9.]+ ms import good in [0-9.]+ ms$' <<<"$stderr"
	grep -qE '^sandboxd: \+[0-9.]+ ms test returned in [0-9.]+ ms$' <<<"$stderr"
	wait_until "$PATIENCE" nothing_runs
}

@test "a member of the group sandboxd serves, and a restart of the daemon's front is survived" {
	sample
	chmod 755 .
	: >err
	setpriv --reuid=65534 --regid=65534 --groups="$(getent group sandboxd | cut -d: -f3)" \
		"$CTL" serve -s http=localhost:0 >out 2>err &
	SERVED=$!
	wait_until "$PATIENCE" file_has err 'Ready on ' || fail "$(cat err)"
	[ "$(ask "$(url http)")" = 'Hello from Python!' ]
	kill -9 "$(role front)"
	wait_until "$PATIENCE" file_has err 'the daemon went away, and is started again'
	wait_until "$PATIENCE" says_hello
	# Whatever ends the command, its runs end.
	kill -9 "$SERVED"
	wait "$SERVED" || true
	SERVED=
	wait_until "$PATIENCE" nothing_runs
}

says_hello() {
	[ "$(curl -s -m 5 "$(url http)")" = 'Hello from Python!' ]
}

@test "a folder with a wrangler.toml is served, too" {
	printf '%s\n' 'name = "from-toml"' 'main = "entry.py"' 'compatibility_date = "2024-01-01"' '[vars]' 'A = "b"' >wrangler.toml
	printf '%s\n' '[assets]' 'directory = "public"' 'binding = "FILES"' 'html_handling = "none"' >>wrangler.toml
	printf '%s\n' 'from workers import Response, fetch' 'async def on_fetch(request, env):' \
		'    if request.url.endswith("/file"):' '        return await env.FILES.fetch("http://any/sub/page.html")' \
		'    return Response(env.A)' >entry.py
	mkdir -p public/sub
	echo '<b>page</b>' >public/sub/page.html
	serve -s http=localhost:0 .
	[ "$(ask "$(url http)")" = b ]
	# Its assets are answered before it, and by their binding.
	[ "$(ask -w '%{content_type}' "$(url http)/sub/page.html")" = $'<b>page</b>\ntext/html; charset=utf-8' ]
	[ "$(ask "$(url http)/file")" = '<b>page</b>' ]
	[ "$(ask -X POST "$(url http)/sub/page.html")" = b ]
}
