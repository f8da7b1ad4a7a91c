#!/usr/bin/env bats
# Assets of HTTP workers: which file answers, what wins over the worker, and what the worker itself gets.
# shellcheck disable=SC2154 # run sets status, output and stderr
load lib

SITE=$E2E/../assets

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return
}

teardown_file() {
	local name

	for name in $(sandboxctl --json deploy ls | jq -r '.[].name'); do
		sandboxctl deploy rm "$name" || true
	done
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

# ask HOST [CURL'S OPTION...] PATH
ask() {
	curl -sS --max-time "$PATIENCE" --path-as-is -H "Host: $1.default.localhost" "${@:2:$#-2}" "http://$ADDRESS${*: -1}"
}

status() {
	ask "$1" -o "$BATS_TEST_TMPDIR/body" -D "$BATS_TEST_TMPDIR/head" -w '%{http_code}' "${@:2}"
}

# header NAME: of the answer that status has asked for.
header() {
	tr -d '\r' <"$BATS_TEST_TMPDIR/head" | sed -n "s/^$1: //Ip"
}

# site NAME [LINE OF [assets]...]: deploys the site alone.
site() {
	mkdir -p "$1"
	ln -sfn "$SITE/site" "$1/link"
	cp -r "$SITE/site" "$1/public"
	printf '%s\n' "name = \"$1\"" 'compatibility_date = "2026-03-01"' '[assets]' 'directory = "public"' "${@:2}" >"$1/wrangler.toml"
	rm "$1/link"
	sandboxctl deploy "$1" >"$1.out" 2>"$1.progress" || fail "$(cat "$1.progress")"
}

@test "files answer as the platform's own program has them, and nothing runs for it" {
	jq -r '.configs[] | join(" ")' "$SITE/cases.json" >configs
	while read -r html missing; do
		site "$html-$missing" "html_handling = \"$html\"" "not_found_handling = \"$missing\""
	done <configs
	grep -q '^snapshot  *none$' ./*.out
	python3 "$SITE/ask.py" "$ADDRESS" "$SITE/expected.jsonl"
	[ -z "$(sandboxctl ps --quiet)" ]
}

# worker NAME [LINE OF [assets]...]: deploys a worker that says what it was asked, with the site.
worker() {
	mkdir -p "$1"
	cp -r "$SITE/site" "$1/public"
	printf '%s\n' "name = \"$1\"" 'main = "entry.py"' 'compatibility_date = "2026-03-01"' \
		'compatibility_flags = ["python_workers"]' '[assets]' 'directory = "public"' 'binding = "FILES"' "${@:2}" >"$1/wrangler.toml"
	cat >"$1/entry.py" <<-'END'
		from workers import Request, Response, WorkerEntrypoint


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        path = "/" + request.url.split("/", 3)[3]
		        if not path.startswith("/files"):
		            return Response("worker " + request.method + " " + path)
		        path, _, method = path.partition("!")
		        url = "https://anything" + path[6:]
		        if method == "manual":
		            return await self.env.FILES.fetch(url, redirect="manual")
		        return await self.env.FILES.fetch(Request(url, method=method or "GET", headers=request.headers))
	END
	sandboxctl deploy "$1" >"$1.out" 2>"$1.progress" || fail "$(cat "$1.progress")"
}

@test "files win over the worker, which has the rest, and gets them by its binding" {
	worker shop
	[ "$(ask shop /style.css)" = style.css ]
	[ "$(ask shop /)" = index.html ]
	[ "$(ask shop /none?q=1)" = 'worker GET /none?q=1' ]
	[ "$(ask shop -d x /style.css)" = 'worker POST /style.css' ]
	# A redirect is an asset's, too.
	[ "$(status shop /old)" = 301 ]
	# By the binding: the same rules. A redirect is followed, or seen.
	[ "$(ask shop /files/style.css)" = style.css ]
	[ "$(ask shop /files/about.html)" = about.html ]
	[ "$(status shop '/files/about.html!manual')" = 307 ]
	[ "$(header location)" = /about ]
	[ "$(status shop /files/about)" = 200 ]
	[ "$(header content-type)" = 'text/html; charset=utf-8' ]
	[ "$(header x-one)" = 1 ]
	etag=$(header etag)
	[ "$(status shop -H "If-None-Match: $etag" /files/about)" = 304 ]
	[ "$(status shop /files/none)" = 404 ]
	[ "$(status shop '/files/about!POST')" = 405 ]
	[ "$(status shop '/files/about!HEAD')" = 200 ]
	for path in '/files/..%2f..%2frules.json' /files/%2e%2e/rules.json; do
		run ask shop "$path"
		[[ $output != *style.css* && $output != *redirects* ]] || fail "$path: $output"
	done
}

@test "an ETag is of the content: conditions, HEAD and ranges" {
	[ "$(status shop /style.css)" = 200 ]
	etag=$(header etag)
	[[ $etag == '"'*'"' ]]
	[ -z "$(header last-modified)" ]
	[ "$(status shop -H "If-None-Match: $etag" /style.css)" = 304 ]
	[ "$(header etag)" = "$etag" ]
	[ "$(header x-all)" = yes ]
	[ "$(status shop -H "If-None-Match: W/$etag" /style.css)" = 304 ]
	[ "$(status shop -H 'If-None-Match: "other"' /style.css)" = 200 ]
	[ "$(status shop -H 'If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT' /style.css)" = 200 ]
	[ "$(status shop -I /style.css)" = 200 ]
	[ "$(header content-length)" = 10 ]
	[ "$(status shop -H 'Range: bytes=0-4' /style.css)" = 206 ]
	[ "$(cat "$BATS_TEST_TMPDIR/body")" = style ]
	[ -z "$(header cache-control)" ]
	[ "$(status shop -H "If-Range: $etag" -H 'Range: bytes=6-' /style.css)" = 206 ]
	[ "$(status shop -H 'If-Range: "other"' -H 'Range: bytes=6-' /style.css)" = 200 ]
	[ "$(status shop -H 'Range: bytes=100-' /style.css)" = 416 ]
	# Another content of the same length; and the same content in another version.
	echo style.CSS >shop/public/style.css
	[ "$(status shop /data.json)" = 200 ]
	data=$(header etag)
	sandboxctl deploy shop
	[ "$(status shop -H "If-None-Match: $etag" /style.css)" = 200 ]
	[ "$(cat "$BATS_TEST_TMPDIR/body")" = style.CSS ]
	[ "$(status shop -H "If-None-Match: $data" /data.json)" = 304 ]
	sandboxctl deploy rollback shop
	[ "$(status shop -H "If-None-Match: $etag" /style.css)" = 304 ]
}

@test "run_worker_first: for all paths, or for some; and where a browser opens a page" {
	worker first 'run_worker_first = true'
	[ "$(ask first /style.css)" = 'worker GET /style.css' ]
	[ "$(ask first /files/style.css)" = style.css ]
	worker first 'run_worker_first = ["/a*", "/b/*/c", "!/app.js"]' 'not_found_handling = "single-page-application"'
	[ "$(ask first /about)" = 'worker GET /about' ]
	[ "$(ask first /b/x/y/c)" = 'worker GET /b/x/y/c' ]
	[ "$(ask first /style.css)" = style.css ]
	[ "$(status first /app.js)" = 307 ]
	# Patterns say which paths are the worker's, so what is missing elsewhere is the page.
	[ "$(ask first /none)" = index.html ]
	worker first 'not_found_handling = "single-page-application"'
	[ "$(ask first /none)" = 'worker GET /none' ]
	[ "$(ask first -H 'Sec-Fetch-Mode: navigate' /none)" = index.html ]
	[ "$(ask first /files/none)" = index.html ]
}

assets() {
	find "$STATE/assets" -mindepth 1 -maxdepth 1 | wc -l
}

serves() {
	[ "$(ask shop /noext 2>&1)" = noext ]
}

@test "assets are there after deaths and restarts, and go with the worker; a failed deploy leaves none" {
	before=$(assets)
	kill -KILL "$(role front)"
	wait_until "$PATIENCE" serves
	daemon_stop
	daemon_start
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	wait_until "$PATIENCE" serves
	[ "$(assets)" = "$before" ]
	cp -r shop broken
	sed -i 's/"shop"/"broken"/' broken/wrangler.toml
	echo 'raise ValueError("no")' >>broken/entry.py
	run ! sandboxctl deploy broken
	[ "$(assets)" = "$before" ]
	# The package came back whole: the same folder again is a deploy like any.
	sandboxctl deploy rm shop
	[ "$(assets)" -lt "$before" ]
	[ "$(status shop /noext)" = 404 ]
	sandboxctl deploy shop
	[ "$(ask shop /noext)" = noext ]
	for name in $(sandboxctl --json deploy ls | jq -r '.[].name'); do
		sandboxctl deploy rm "$name"
	done
	[ "$(assets)" = 0 ]
}
