#!/usr/bin/env bats
# Workers deployed by an unmodified wrangler, which is told where this node is by variables of its own.
# The tests go on from each other: each start of wrangler takes seconds.
# shellcheck disable=SC2154 # run sets status, output and stderr
load ../e2e/lib

setup_file() {
	local made

	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	made=$(sandboxctl project create shop --json)
	CLOUDFLARE_API_BASE_URL=$(http_url)/client/v4
	CLOUDFLARE_ACCOUNT_ID=$(jq -r .id <<<"$made")
	CLOUDFLARE_API_TOKEN=$(jq -r .token <<<"$made")
	export ADDRESS CLOUDFLARE_API_BASE_URL CLOUDFLARE_ACCOUNT_ID CLOUDFLARE_API_TOKEN
	export WRANGLER_SEND_METRICS=false WRANGLER_SEND_ERROR_REPORTS=false WRANGLER_HIDE_BANNER=true
	export CI=1 NO_COLOR=1 HOME=$WORK/home
	mkdir "$HOME" "$WORK/hello"
	cd "$WORK/hello" || return
	cat >wrangler.toml <<-'END'
		name = "hello"
		main = "src/entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		workers_dev = false
		routes = [{pattern = "hello.example.com/*", zone_name = "example.com"}]
		[triggers]
		crons = ["0 3 * * *"]
		[vars]
		WHO = "one"
		[env.blue]
		workers_dev = true
		vars = {WHO = "blue"}
		routes = []
		triggers = {crons = []}
	END
	mkdir src
	cat >src/entry.py <<-'END'
		from workers import Response, WorkerEntrypoint


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        return Response("hello %s %s" % (self.env.WHO, getattr(self.env, "KEY", "")))
	END
}

setup() {
	cd "$WORK/hello" || return
}

teardown_file() {
	local name

	for name in index offer; do
		[ ! -e "$WORK/$name.pid" ] || kill "$(cat "$WORK/$name.pid")" 2>/dev/null || true
	done
	sandboxctl deploy rm --project shop hello || true
	sandboxctl deploy rm --project shop hello-blue || true
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

wrangler_in() {
	node "${MODULES:?}/node_modules/wrangler/bin/wrangler.js" "$@" 2>&1
}

wrangler() {
	wrangler_in "$@" </dev/null
}

# ask HOST: what a worker answers there.
ask() {
	curl -sS --max-time 60 -H "Host: $1" "http://$ADDRESS/"
}

# ids: of the versions, the newest first.
ids() {
	sandboxctl --json deploy ls --project shop hello | jq -r ".[].id"
}

@test "a first deploy has its routes and crons" {
	run wrangler whoami
	[ "$status" = 0 ]
	[[ $output == *shop*"$CLOUDFLARE_ACCOUNT_ID"* ]]
	run wrangler deploy
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"Uploaded hello"* ]]
	[[ $output == *"hello.example.com/*"* ]]
	[[ $output == *"schedule: 0 3 * * *"* ]]
	[ "$(ask hello.example.com)" = "hello one " ]
	# Its own name is no address of it then.
	[ "$(curl -sS -o /dev/null -w '%{http_code}' -H "Host: hello.shop.localhost" "http://$ADDRESS/")" = 404 ]
}

@test "a second deploy is a version more, of which a traceback is none" {
	sed -i 's/WHO = "one"/WHO = "two"/' wrangler.toml
	run wrangler deploy --message "the second" --tag v2
	[ "$status" = 0 ]
	[ "$(ask hello.example.com)" = "hello two " ]
	cp src/entry.py "$WORK/entry.py"
	printf 'import json\n\n\ndef fails():\n    raise ValueError("startup of my own")\n\n\nfails()\n' >src/entry.py
	run wrangler deploy
	cp "$WORK/entry.py" src/entry.py
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"entry.py:5: ValueError: start-up of my own"* ]]
	[[ $output == *"Traceback (most recent call last)"*'File "'*'entry.py", line 8'*"[code: 10021]"* ]]
	[ "$(ask hello.example.com)" = "hello two " ]
	[ "$(ids | wc -l)" = 2 ]
}

@test "versions are listed, shown, uploaded, and deployed by percentages; and back" {
	run wrangler versions list
	echo "$output"
	[[ $output == *"the second"* && $output == *"v2"* ]]
	run wrangler versions view "$(ids | head -n 1)"
	echo "$output"
	[[ $output == *"2026-03-01"* && $output == *"env.WHO"* ]]
	sed -i 's/WHO = "two"/WHO = "three"/' wrangler.toml
	run wrangler versions upload --tag v3
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ask hello.example.com)" = "hello two " ]
	mapfile -t versions < <(ids)
	[ "${#versions[@]}" = 3 ]
	run wrangler versions deploy "${versions[0]}@30%" "${versions[1]}@70%" -y
	echo "$output"
	[ "$status" = 0 ]
	run wrangler rollback "${versions[2]}" -y -m "back to one"
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ask hello.example.com)" = "hello one " ]
	run wrangler deployments list
	echo "$output"
	[[ $output == *"(30%) ${versions[0]}"*"(70%) ${versions[1]}"*"back to one"*"(100%) ${versions[2]}"* ]]
}

# newest: the id of the newest version.
newest() {
	ids | head -n 1
}

# serve VERSION: it alone serves from now on.
serve() {
	wrangler versions deploy "$1@100%" -y >"$WORK/said" || fail "$(cat "$WORK/said")"
}

@test "secrets of a version are there when it serves, and not before" {
	local first

	first=$(sandboxctl --json deploy ls --project shop hello | jq -r '.[] | select(.serves).id')
	run wrangler_in versions secret put KEY <<<staged
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"Created version $(newest)"* ]]
	[ "$(ask hello.example.com)" = "hello one " ]
	serve "$(newest)"
	[ "$(ask hello.example.com)" = "hello three staged" ]
	run wrangler versions secret list
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *KEY* ]]
	echo '{"KEY": "of many", "OTHER": "1"}' >secrets.json
	run wrangler versions secret bulk secrets.json
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ask hello.example.com)" = "hello three staged" ]
	serve "$(newest)"
	[ "$(ask hello.example.com)" = "hello three of many" ]
	run wrangler versions view "$(newest)"
	[[ $output == *KEY*OTHER* ]]
	run wrangler versions secret delete KEY
	echo "$output"
	[ "$status" = 0 ]
	run wrangler versions view "$(newest)"
	[[ $output != *"Secret Name:"*KEY* && $output == *"Secret Name:"*OTHER* ]]
	serve "$(newest)"
	[ "$(ask hello.example.com)" = "hello three " ]
	# What a version had, it has again.
	serve "$first"
	[ "$(ask hello.example.com)" = "hello one " ]
}

@test "secrets are set, listed, kept by a deploy, and removed" {
	run wrangler_in secret put KEY <<<"of mine"
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ask hello.example.com)" = "hello one of mine" ]
	run wrangler secret list
	[[ $output == *'"name": "KEY"'* ]]
	run wrangler deploy --keep-vars --var X:1
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ask hello.example.com)" = "hello three of mine" ]
	run wrangler secret delete KEY
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ask hello.example.com)" = "hello three " ]
}

@test "an environment is a worker of its own; triggers alone; all is removed" {
	run wrangler deploy --env blue
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ask hello-blue.shop.localhost)" = "hello blue " ]
	sed -i 's/hello\.example/other.example/; s/0 3/0 4/' wrangler.toml
	run wrangler triggers deploy
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ask other.example.com)" = "hello three " ]
	[ "$(curl -sS -o /dev/null -w '%{http_code}' -H "Host: hello.example.com" "http://$ADDRESS/")" = 404 ]
	run wrangler delete --name hello
	echo "$output"
	[ "$status" = 0 ]
	run wrangler delete --name hello-blue --force
	echo "$output"
	[ "$status" = 0 ]
	[ "$(sandboxctl --json deploy ls --project shop)" = "[]" ]
}

@test "a secret of a worker that is not there yet, and what is not there at all" {
	run wrangler_in secret put KEY --name later <<<early
	echo "$output"
	[ "$status" = 0 ]
	[ "$(sandboxctl --json deploy ls --project shop | jq '.[] | select(.name == "later")')" = "" ]
	sandboxctl secret ls --project shop later | grep -q KEY
	run wrangler queues list
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"it is not there yet"* ]]
}

@test "assets are uploaded before the worker" {
	mkdir -p site/deep
	echo "<p>home" >site/index.html
	cp site/index.html site/deep/same.html
	printf '/*\n  X-By: wrangler\n' >site/_headers
	echo '/old /deep/same 301' >site/_redirects
	cat >assets.toml <<-'END'
		name = "assets"
		main = "src/entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		[assets]
		directory = "site"
		binding = "ASSETS"
		[vars]
		WHO = "assets"
	END
	run wrangler deploy --config assets.toml
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"Uploaded 1 of 1 asset"* ]]
	[ "$(ask assets.shop.localhost)" = '<p>home' ]
	curl -sS -D head -H 'Host: assets.shop.localhost' "http://$ADDRESS/old"
	grep -q '^HTTP/1.1 301' head
	grep -qi '^location: /deep/same' head
	grep -qi '^x-by: wrangler' head
	# A version that differs by a secret alone has them too.
	run wrangler_in versions secret put KEY --config assets.toml <<<staged
	echo "$output"
	[ "$status" = 0 ]
	sandboxctl deploy rollback --project shop assets \
		"$(sandboxctl --json deploy ls --project shop assets | jq -r '.[0].id')"
	[ "$(ask assets.shop.localhost)" = '<p>home' ]
	# Without a main there is nothing else.
	sed '/^main\|^binding\|flags\|vars\|WHO/d' assets.toml >alone.toml
	run wrangler deploy --config alone.toml
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ask assets.shop.localhost)" = '<p>home' ]
	[ "$(sandboxctl --json deploy ls --project shop | jq '.[] | select(.name == "assets").instances | length')" = 0 ]
	sandboxctl deploy rm --project shop assets
}

@test "a wheel of python_modules that is for WebAssembly becomes a native one of the same version" {
	local info=python_modules/ccc-3.0.dist-info

	python3 "$E2E/wheels.py" "$WORK/index/simple/ccc" ccc 3.0
	python3 "$E2E/package_index.py" index "$WORK/index" 127.0.0.1 0 >"$WORK/index.log" 2>&1 3>&- 4>&- &
	echo $! >"$WORK/index.pid"
	wait_until "$PATIENCE" file_has "$WORK/index.log" Serving
	printf '%s\n' '[global]' 'retries = 0' \
		"index-url = http://127.0.0.1:$(sed -n 's/^Serving //p' "$WORK/index.log")/simple" >"$WORK/pip.conf"
	mkdir -p python_modules/ccc "$info"
	echo 'VERSION = "of WebAssembly"' >python_modules/ccc/__init__.py
	printf 'Metadata-Version: 2.1\nName: ccc\nVersion: 3.0\n' >"$info/METADATA"
	printf 'Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp313-cp313-pyodide_2025_0_wasm32\n' >"$info/WHEEL"
	printf '%s,,\n' ccc/__init__.py "${info#*/}/METADATA" "${info#*/}/WHEEL" "${info#*/}/RECORD" >"$info/RECORD"
	mkdir wheels
	cat >wheels/entry.py <<-'END'
		import ccc
		from workers import Response, WorkerEntrypoint


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        return Response(ccc.VERSION)
	END
	sed '/^\[assets/,/^binding/d; s/assets/wheels/; s,src/,wheels/,' assets.toml >wheels.toml
	run wrangler deploy --config wheels.toml
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"ccc==3.0 in python_modules is for another machine"*"no package index here"* ]]
	PIP_CONFIG_FILE=$WORK/pip.conf "$CTL" deploy index 3>&- 4>&- &
	echo $! >"$WORK/offer.pid"
	wait_until "$PATIENCE" test -s "$RUN/index.json"
	run wrangler deploy --config wheels.toml
	echo "$output"
	[ "$status" = 0 ]
	[ "$(ask wheels.shop.localhost)" = 3.0 ]
	sandboxctl deploy rm --project shop wheels
	kill "$(cat "$WORK/offer.pid")"
	wait_until "$PATIENCE" test ! -e "$RUN/index.json"
	rm -r python_modules
}
