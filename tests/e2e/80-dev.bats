#!/usr/bin/env bats
# sandboxctl dev: a worker that is served while it is written.
# shellcheck disable=SC2154 # run sets status, output and stderr
load lib

setup_file() {
	daemon_make web
	mkdir -p "$WORK/app/src"
	cd "$WORK/app" || return
	export APP=$WORK/app
	cat >wrangler.toml <<-'END'
		name = "shop"
		main = "src/entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		kv_namespaces = [{binding = "KV"}]
		[vars]
		WHO = "configured"
		OTHER = "configured"
		MORE = "configured"
		[assets]
		directory = "public"
	END
	mkdir public
	echo 'an asset' >public/file.txt
	cat >src/entry.py <<-'END'
		from workers import Response, WorkerEntrypoint

		import text


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        path = request.url.split("/", 3)[3]
		        if path == "put":
		            await self.env.KV.put("key", await request.text(), metadata={"n": 1})
		        if path == "get":
		            return Response(str(await self.env.KV.get("key")))
		        if path == "vars":
		            return Response(" ".join((self.env.WHO, self.env.OTHER, self.env.MORE)))
		        if path == "fails":
		            raise ValueError("of the worker's own")
		        if path == "exit":
		            import os
		            os._exit(3)
		        if path in ("begins", "ends"):
		            print("begun" if path == "begins" else ", and ended\n", end="", flush=True)
		            return Response(text.TEXT)
		        print(f"seen {path}\n", end="", flush=True)
		        return Response(text.TEXT)

		    async def scheduled(self, controller):
		        print("cron", controller.cron, flush=True)
	END
	echo 'TEXT = "first"' >src/text.py
	printf 'OTHER=local\nMORE=local\n' >.dev.vars
}

teardown_file() {
	daemon_remove
}

setup() {
	cd "$APP" || return
	begin --var MORE=given
}

# begin [OPTION...]: starts dev in the current folder, and waits until it is ready. URL is where. AS: words of a
# command that executes it. READY: what else is said where it is not ready.
begin() {
	# What one before has said is not taken for this one's.
	: >"$BATS_TEST_TMPDIR/out"
	# Bats waits for whoever has its descriptor 3. In the background, the shell has SIGINT ignored.
	# shellcheck disable=SC2086
	env --default-signal=INT ${AS:-} "$CTL" dev --port 0 "$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	DEV=$!
	wait_until "$PATIENCE" said "${READY:-Ready on}" || fail "$(cat "$BATS_TEST_TMPDIR"/{out,err})"
	URL=$(sed -nE 's/^\[wrangler:info\] (Ready on|Not ready:) (http[^ ]*).*/\2/p' "$BATS_TEST_TMPDIR/out")
}

# end: as Ctrl-C does; its exit status.
end() {
	[ -n "${DEV:-}" ] || return 0
	kill -INT "$DEV" 2>/dev/null
	local status=0
	wait "$DEV" || status=$?
	DEV=''
	return "$status"
}

said() {
	grep -qE -- "$1" "$BATS_TEST_TMPDIR/out"
}

complained() {
	grep -qE -- "$1" "$BATS_TEST_TMPDIR/err"
}

# ask [CURL'S OPTION...] [PATH]
ask() {
	curl -sS --max-time 60 "${@:1:$#-1}" "$URL/${*: -1}"
}

answers() {
	[ "$(ask "$1")" = "$2" ]
}

shows() {
	ask "" | grep -qF -- "$1"
}

@test "it is ready, answers, logs requests with their status, and shows what the worker prints" {
	[[ $URL =~ ^http://localhost:[0-9]+$ ]]
	[ "$(ask page)" = first ]
	[ "$(ask file.txt)" = 'an asset' ]
	wait_until "$PATIENCE" said '^seen page$'
	wait_until "$PATIENCE" said '^\[wrangler:info\] GET /page 200 OK \([0-9]+ms\)$'
	run ask -o /dev/null -w '%{http_code}' fails
	[ "$output" = 500 ]
	wait_until "$PATIENCE" said '^\[wrangler:info\] GET /fails 500 Internal Server Error \([0-9]+ms\)$'
	wait_until "$PATIENCE" complained "ValueError: of the worker's own"
	ask -H 'Accept: text/html' fails | grep -qF '<b>   16              raise ValueError(&quot;of the worker&#39;s own&quot;)</b>'
	# A worker that has ended by itself is started again.
	ask exit || true
	wait_until "$PATIENCE" complained 'the worker has ended \(exit status 3\)'
	[ "$(ask "")" = first ]
}

@test "a line of the worker's is whole, also where it is printed in pieces" {
	[ "$(ask begins)" = first ]
	wait_until "$PATIENCE" log_has begun
	[ -n "$(ask vars)" ]
	wait_until "$PATIENCE" said '^\[wrangler:info\] GET /vars 200 OK \([0-9]+ms\)$'
	[ "$(ask ends)" = first ]
	wait_until "$PATIENCE" said '^begun, and ended$'
	# What has no end when the worker ends gets one.
	[ "$(ask begins)" = first ]
	wait_until "$PATIENCE" log_has $'ended\nbegun'
	ask exit || true
	wait_until "$PATIENCE" complained 'the worker has ended'
	[ "$(ask page)" = first ]
	wait_until "$PATIENCE" said '^begun$'
}

# log_has TEXT: the node has it of a run.
log_has() {
	local id

	for id in $(sandboxctl ps --quiet); do
		[[ $(sandboxctl logs "$id") != *"$1"* ]] || return 0
	done
	return 1
}

@test "a change is served at once, and no request is refused meanwhile" {
	local asking

	while [ ! -e "$BATS_TEST_TMPDIR/stop" ]; do
		ask "" >>"$BATS_TEST_TMPDIR/answers" 2>&1 || echo refused >>"$BATS_TEST_TMPDIR/answers"
		echo >>"$BATS_TEST_TMPDIR/answers"
	done 3>&- &
	asking=$!
	wait_until "$PATIENCE" grep -q first "$BATS_TEST_TMPDIR/answers"
	for text in second third fourth; do
		echo "TEXT = '$text'" >src/text.py
		wait_until "$PATIENCE" answers "" "$text"
	done
	# By a name of its own, as editors write, and a file that was not there.
	echo 'from other import TEXT' >src/text.new
	echo 'TEXT = "of another file"' >src/other.py
	mv src/text.new src/text.py
	wait_until "$PATIENCE" answers "" "of another file"
	touch "$BATS_TEST_TMPDIR/stop"
	wait "$asking"
	run sort -u "$BATS_TEST_TMPDIR/answers"
	[ "${lines[*]}" = 'first fourth of another file second third' ] || fail "$output"
	said '^\[wrangler:info\] Local server updated and ready \([0-9]+ ms\)$'
	rm src/other.py
	echo 'TEXT = "first"' >src/text.py
	wait_until "$PATIENCE" answers "" first
}

@test "a broken change shows where, and is mended by the next one" {
	printf 'TEXT = "first"\nTEXT = = 1\n' >src/text.py
	wait_until "$PATIENCE" shows 'SyntaxError: invalid syntax'
	ask -H 'Accept: text/html' "" | grep -qF '<b>    2  TEXT = = 1</b>'
	complained 'text.py", line 2'
	echo 'TEXT = "mended"' >src/text.py
	wait_until "$PATIENCE" answers "" mended
	# What cannot be built is no instance's to tell.
	sed -i 's/^main = .*/main = "src\/missing.py"/' wrangler.toml
	wait_until "$PATIENCE" shows '> '
	ask "" | grep -qE '^> +2  main = "src/missing.py"$'
	complained 'wrangler.toml:2: .*src/missing.py'
	said 'Local server updated, and not ready: there is an error'
	sed -i 's/^main = .*/main = "src\/entry.py"/' wrangler.toml
	echo 'TEXT = "first"' >src/text.py
	wait_until "$PATIENCE" answers "" first
}

@test "what is broken from the beginning is not called ready, until it is mended" {
	local broken

	end
	mkdir -p "$BATS_TEST_TMPDIR/new/src"
	cp wrangler.toml "$BATS_TEST_TMPDIR/new"
	mkdir "$BATS_TEST_TMPDIR/new/public"
	cd "$BATS_TEST_TMPDIR/new" || return
	# The configuration, and then the module.
	for broken in 'rm src/entry.py' 'echo "x = = 1" >src/entry.py'; do
		cp "$APP"/src/*.py src
		eval "$broken"
		READY='Not ready: .* shows what is wrong' begin
		! said 'Ready on'
		[ "$(ask -o /dev/null -w '%{http_code}' "")" = 500 ]
		cp "$APP"/src/*.py src
		wait_until "$PATIENCE" said "^\[wrangler:info\] Ready on $URL\$"
		[ "$(ask "")" = first ]
		end
	done
}

# imported_ahead: after another change of the worker.
imported_ahead() {
	printf 'import sys\nTEXT = str("sqlite3" in sys.modules)  # %s\nimport sqlite3\n' "$RANDOM" >src/text.py
	answers "" True
}

@test "what the source imports is behind the instances that follow the first one" {
	wait_until "$PATIENCE" imported_ahead
	end
	begin
	[ "$(ask "")" = True ]
	echo 'TEXT = "first"' >src/text.py
	wait_until "$PATIENCE" answers "" first
}

@test "KV is kept in the project's folder, or where it is told" {
	ask --data-binary kept put
	[ "$(ask get)" = kept ]
	end
	[ -s .wrangler/state/kv.sqlite ]
	begin
	[ "$(ask get)" = kept ]
	end
	begin --persist-to "$BATS_TEST_TMPDIR/state"
	[ "$(ask get)" = None ]
	[ -s "$BATS_TEST_TMPDIR/state/kv.sqlite" ]
}

@test "a project's links lead its KV nowhere else" {
	local name

	cp -r "$APP" "$BATS_TEST_TMPDIR/links"
	cd "$BATS_TEST_TMPDIR/links" || return
	rm -rf .wrangler
	mkdir -p ../other/state
	for name in .wrangler .wrangler/state; do
		mkdir -p "$(dirname "$name")"
		ln -s "$BATS_TEST_TMPDIR/other$([ "$name" = .wrangler ] || echo /state)" "$name"
		run sandboxctl dev --port 0 .
		[ "$status" = 125 ]
		[[ $output == *"leads elsewhere by a link: remove it"* ]] || fail "$output"
		rm "$name"
	done
	mkdir -p .wrangler/state
	for name in kv.sqlite kv.sqlite-wal kv.sqlite-shm kv.sqlite-journal; do
		echo mine >../mine
		ln -s ../../../mine ".wrangler/state/$name"
		run sandboxctl dev --port 0 .
		[ "$status" = 125 ]
		[[ $output == *"$name: is no plain file"* ]] || fail "$output"
		rm ".wrangler/state/$name"
		[ "$(cat ../mine)" = mine ]
	done
	[ -z "$(find ../other -type f)" ]
}

@test "variables of the command line go over .dev.vars, and those over the configuration" {
	[ "$(ask vars)" = "configured local given" ]
	printf 'OTHER="changed # it"\n' >.dev.vars
	wait_until "$PATIENCE" answers vars "configured changed # it given"
	printf 'OTHER=local\nMORE=local\n' >.dev.vars
	wait_until "$PATIENCE" answers vars "configured local given"
}

@test "cron triggers can be had by a request" {
	[ "$(ask 'cdn-cgi/local/scheduled?cron=*+*+*+*+*')" = ok ]
	wait_until "$PATIENCE" said '^cron \* \* \* \* \*$'
	[ "$(ask '__scheduled?cron=x')" = first ]
	end
	begin --test-scheduled
	[ "$(ask '__scheduled?cron=x')" = 'Ran scheduled event' ]
	wait_until "$PATIENCE" said '^cron x$'
}

@test "another configuration's folder is the project's; a socket that is taken is told" {
	sed 's/^name = .*/name = "other"/; s/configured/another/' wrangler.toml >"$APP/other.toml"
	end
	cd /
	begin --config "$APP/other.toml"
	[ "$(ask vars)" = "another local local" ]
	run "$CTL" dev "$APP" --port "${URL##*:}"
	[ "$status" = 125 ]
	[[ $output == *"${URL##*:}"* ]]
	rm "$APP/other.toml"
}

# two_folders: the workers front and prices, of which one has bindings to the other.
two_folders() {
	mkdir -p "$BATS_TEST_TMPDIR/front" "$BATS_TEST_TMPDIR/prices"
	cd "$BATS_TEST_TMPDIR" || return
	cat >front/wrangler.toml <<-'END'
		name = "front"
		main = "entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		services = [{binding = "PRICES", service = "prices"}, {binding = "ADMIN", service = "prices", entrypoint = "Admin"}]
	END
	cat >front/entry.py <<-'END'
		from workers import Response, WorkerEntrypoint


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        path = request.url.split("/", 3)[3]
		        try:
		            if path == "admin":
		                ran = await self.env.ADMIN.scheduled(cron="0 * * * *")
		                return Response(await (await self.env.ADMIN.fetch("http://x/")).text() + " " + ran.outcome)
		            answer = await self.env.PRICES.fetch("https://some.host/tea?n=1", method="POST", body="two")
		            return Response("%d %s" % (answer.status, await answer.text()))
		        except Exception as error:
		            return Response("raised: %s" % error)
	END
	printf '%s\n' 'name = "prices"' 'main = "entry.py"' 'compatibility_date = "2026-03-01"' \
		'compatibility_flags = ["python_workers"]' '[vars]' 'COIN = "pence"' >prices/wrangler.toml
	echo 'COIN=cents' >prices/.dev.vars
	cat >prices/entry.py <<-'END'
		from workers import Response, WorkerEntrypoint

		crons = []


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        if "/raises" in request.url:
		            raise ValueError("of prices")
		        body = await request.text()
		        return Response("%s %s %s: 320 %s" % (request.method, request.url, body, self.env.COIN), status=203)


		class Admin(WorkerEntrypoint):
		    def fetch(self, request):
		        return Response("crons %s" % crons)

		    def scheduled(self, controller):
		        crons.append(controller.cron)
	END
}

@test "bindings to services lead to the workers of other folders, which are looked at, too" {
	end
	two_folders
	begin --config front/wrangler.toml -c prices --var COIN=given
	[ "$(ask "")" = '203 POST https://some.host/tea?n=1 two: 320 cents' ]
	[ "$(ask admin)" = "crons ['0 * * * *'] ok" ]
	wait_until "$PATIENCE" said '^\[wrangler:info\] GET / 200 OK'
	wait_until "$PATIENCE" said '^\[wrangler:info\] prices: POST /tea\?n=1 203'
	# What a worker may choose, a client may not.
	[[ $(ask -H 'X-Sandboxd-Depth: 16' -H 'X-Sandboxd-Entrypoint: Admin' "") == '203 POST '* ]]
	sed -i 's/320/330/' prices/entry.py
	wait_until "$PATIENCE" answers "" '203 POST https://some.host/tea?n=1 two: 330 cents'
	wait_until "$PATIENCE" said '^\[wrangler:info\] prices: Local server updated and ready'
	# What it raises is raised, and one that has ended by itself is started by who asks for it.
	sed -i 's,some.host/tea,some.host/raises,' front/entry.py
	wait_until "$PATIENCE" answers_like 'raised: ValueError: of prices'
	sed -i 's/^crons = \[\]/crons = [][0]/' prices/entry.py
	wait_until "$PATIENCE" answers_like 'raised: entry.py cannot be imported: IndexError: '
	sed -i 's/^crons = .*/crons = []/' prices/entry.py
	sed -i 's/raise ValueError.*/__import__("os")._exit(3)/' prices/entry.py
	wait_until "$PATIENCE" ends_prices
	sed -i 's,some.host/raises,some.host/tea,; s/n=1/n=2/' front/entry.py
	wait_until "$PATIENCE" answers "" '203 POST https://some.host/tea?n=2 two: 330 cents'
	# One that cannot be built says so by the binding's name.
	sed -i 's/^main = .*/main = "missing.py"/' prices/wrangler.toml
	wait_until "$PATIENCE" answers_like 'raised: the binding PRICES leads to the worker prices, which cannot be built: wrangler.toml:2: '
	sed -i 's/^main = .*/main = "entry.py"/' prices/wrangler.toml
	wait_until "$PATIENCE" answers admin "crons ['0 * * * *'] ok"
	end
	[ ! -e prices/.wrangler ]
	# Without its folder.
	begin --config front/wrangler.toml
	[[ $(ask "") == 'raised: the binding PRICES leads to the worker prices, which does not run here: give its folder, too, by one more -c'* ]]
}

ends_prices() {
	ask "" >/dev/null
	complained 'prices: the worker has ended \(exit status 3\)'
}

answers_like() {
	[[ $(ask "") == "$1"* ]]
}

@test "what is required is resolved once, and again when something else is" {
	end
	mkdir -p "$BATS_TEST_TMPDIR/index/simple" "$BATS_TEST_TMPDIR/app"
	cd "$BATS_TEST_TMPDIR" || return
	export HOME=$BATS_TEST_TMPDIR PIP_CONFIG_FILE=$BATS_TEST_TMPDIR/pip.conf
	unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX
	python3 "$E2E/wheels.py" index/simple/ccc ccc 3.0
	python3 "$E2E/wheels.py" index/simple/ddd ddd 1.5
	python3 "$E2E/package_index.py" index index 127.0.0.1 0 >index.log 2>&1 3>&- 4>&- &
	wait_until "$PATIENCE" file_has index.log Serving
	printf '%s\n' '[global]' 'retries = 0' "index-url = http://127.0.0.1:$(sed -n 's/^Serving //p' index.log)/simple" >pip.conf
	cd app || return
	printf '%s\n' 'name = "hello"' 'main = "entry.py"' 'compatibility_date = "2024-04-01"' >wrangler.toml
	entry 1
	echo ccc >requirements.txt
	begin
	[ "$(ask "")" = '1 True False' ]
	local asked
	asked=$(wc -l <../index.log)
	entry 2
	wait_until "$PATIENCE" answers "" '2 True False'
	[ "$(wc -l <../index.log)" = "$asked" ]
	echo ddd >>requirements.txt
	wait_until "$PATIENCE" answers "" '2 True True'
}

# entry N: a worker that says N, and whether it has the modules ccc and ddd.
entry() {
	cat >entry.py <<-END
		from importlib.util import find_spec
		from js import Response

		def on_fetch(request):
		    return Response.new("$1 %s %s" % (find_spec("ccc") is not None, find_spec("ddd") is not None))
	END
}

@test "whoever the control socket lets in may use it" {
	local group

	end
	group=$(stat -c %g "$RUN/control.sock")
	cp -r "$APP" "$WORK/nobodys"
	rm -rf "$WORK/nobodys/.wrangler"
	chown -R nobody "$WORK/nobodys"
	cd "$WORK/nobodys" || return
	AS="setpriv --reuid nobody --regid $group --clear-groups" begin
	[ "$(ask "")" = first ]
	[ "$(stat -c %U .wrangler/state/kv.sqlite)" = nobody ]
}

@test "its end leaves nothing behind" {
	[ "$(ask "")" = first ]
	[ -n "$(sandboxctl ps --quiet)" ]
	end
	wait_until "$PATIENCE" nothing_runs
	run ask ""
	[ "$status" -ne 0 ]
	# Nor does its death.
	begin
	kill -KILL "$DEV"
	wait "$DEV" || true
	DEV=''
	wait_until "$PATIENCE" nothing_runs
}
