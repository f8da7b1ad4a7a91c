#!/usr/bin/env bats
# What an unmodified wrangler keeps in KV, sets as secrets and sees of a worker live. It asks by the edge.
# The tests go on from each other: each start of wrangler takes seconds.
# shellcheck disable=SC2154 # run sets status, output and stderr
load ../e2e/lib

setup_file() {
	local made

	export EDGE=127.0.0.1:0 MORE_OPTIONS='--api-name localhost'
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	made=$(sandboxctl project create shop --json)
	CLOUDFLARE_API_BASE_URL=http://localhost:${ADDRESS##*:}/client/v4
	CLOUDFLARE_ACCOUNT_ID=$(jq -r .id <<<"$made")
	CLOUDFLARE_API_TOKEN=$(jq -r .token <<<"$made")
	export ADDRESS CLOUDFLARE_API_BASE_URL CLOUDFLARE_ACCOUNT_ID CLOUDFLARE_API_TOKEN
	export WRANGLER_SEND_METRICS=false WRANGLER_SEND_ERROR_REPORTS=false WRANGLER_HIDE_BANNER=true
	export CI=1 NO_COLOR=1 HOME=$WORK/home
	mkdir "$HOME" "$WORK/seen"
	cat >"$WORK/seen/wrangler.toml" <<-'END'
		name = "seen"
		main = "entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		kv_namespaces = [{binding = "KV"}]
	END
	cat >"$WORK/seen/entry.py" <<-'END'
		from workers import Response, WorkerEntrypoint


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        print("somebody asks", request.url.split("/", 3)[3])
		        return Response("%s %s %s" % (await self.env.KV.get("a/b"), getattr(self.env, "ONE", ""),
		                                      getattr(self.env, "TWO", "")))
	END
	sandboxctl deploy --project shop "$WORK/seen" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
	# The namespace is there since the worker is.
	NAMESPACE=$(sandboxctl --json kv ls --project shop | jq -r '.[] | select(.title == "seen-KV") | .id')
	[ -n "$NAMESPACE" ]
	export NAMESPACE
}

setup() {
	cd "$WORK/seen" || return
}

teardown() {
	end_background
}

teardown_file() {
	sandboxctl deploy rm --project shop seen || true
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

wrangler() {
	node "${MODULES:?}/node_modules/wrangler/bin/wrangler.js" "$@" </dev/null
}

ask() {
	curl -sS --max-time 60 -H 'Host: seen.shop.localhost' "http://$ADDRESS/$1"
}

@test "wrangler kv: keys, and many at a time" {
	wrangler kv key put --remote --namespace-id "$NAMESPACE" a/b 'it is kept' --metadata '{"n": 1}'
	run --separate-stderr wrangler kv key get --remote --namespace-id "$NAMESPACE" a/b --text
	[ "$status" = 0 ]
	[ "$output" = 'it is kept' ]
	[ "$(ask x)" = 'it is kept  ' ]
	head -c 100000 /dev/urandom >bytes
	wrangler kv key put --remote --namespace-id "$NAMESPACE" bytes --path bytes --ttl 3600
	wrangler kv key get --remote --namespace-id "$NAMESPACE" bytes >got
	cmp bytes got
	jq -n '[range(150) | {key: "many/\(.)", value: "v\(.)"}] + [{key: "many/b", value: "AQID", base64: true}]' >many.json
	wrangler kv bulk put --remote --namespace-id "$NAMESPACE" many.json
	run --separate-stderr wrangler kv key list --remote --namespace-id "$NAMESPACE"
	[ "$(jq length <<<"$output")" = 153 ]
	run --separate-stderr wrangler kv key list --remote --namespace-id "$NAMESPACE" --prefix many/
	[ "$(jq length <<<"$output")" = 151 ]
	run --separate-stderr wrangler kv key list --remote --namespace-id "$NAMESPACE" --prefix a
	[ "$(jq -c '.[0].metadata' <<<"$output")" = '{"n":1}' ]
	echo '["many/7", "none"]' >keys.json
	run --separate-stderr wrangler kv bulk get --remote --namespace-id "$NAMESPACE" keys.json
	[[ $output == *v7* ]]
	jq '[.[].key]' many.json >keys.json
	wrangler kv bulk delete --remote --namespace-id "$NAMESPACE" --force keys.json
	wrangler kv key delete --remote --namespace-id "$NAMESPACE" a/b
	[ "$(sandboxctl --json kv key ls --project shop "$NAMESPACE" | jq -r '.[].name')" = bytes ]
	run wrangler kv key get --remote --namespace-id "$NAMESPACE" a/b --text
	[[ $output == *'Not Found'* ]]
}

@test "wrangler secret bulk: some are set, some stay, some go" {
	echo '{"ONE": "1", "TWO": "2"}' >secrets.json
	wrangler secret bulk secrets.json
	[ "$(ask x)" = 'None 1 2' ]
	echo '{"TWO": "22"}' >secrets.json
	wrangler secret bulk secrets.json
	[ "$(ask x)" = 'None 1 22' ]
}

is_seen() {
	ask hello >/dev/null
	grep -q 'somebody asks hello' tailed
}

@test "wrangler tail: a request is seen live, and the end of the worker ends it" {
	wrangler tail seen --format json --method GET >tailed 2>said &
	wait_until "$PATIENCE" is_seen
	jq -es '.[0] | .outcome == "ok" and .scriptName == "seen" and .logs[0].message == ["somebody asks hello"]
		and .exceptions == [] and (.event.request.url | endswith("/hello")) and .event.request.method == "GET"' tailed
	sandboxctl deploy rm --project shop seen
	reap $!
	[ "$status" = 0 ]
}
