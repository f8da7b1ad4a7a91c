#!/usr/bin/env bats
# Secrets of an HTTP worker: seen by its code, and nowhere else.
# shellcheck disable=SC2154 # run sets status, output and stderr
load lib

SECRET="quite-a-secret-$RANDOM$RANDOM"

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown_file() {
	sandboxctl deploy rm hello || true
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

ask() {
	curl -sS --max-time 60 -H 'Host: hello.default.localhost' "http://$ADDRESS/"
}

# holds_none TEXT: no file of the state folder has it, but for those of images. What is no secret is found.
holds_none() {
	grep -rqaF --exclude-dir=rootfs hello "$STATE"
	run grep -rlaF --exclude-dir=rootfs -D skip "$1" "$STATE" "$RUN"
	[ -z "$output" ]
}

@test "a secret is the worker's, across a change and a restart, and in no file, list or log" {
	mkdir hello
	cat >hello/wrangler.toml <<-END
		name = "hello"
		main = "entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		[secrets]
		required = ["TOKEN"]
	END
	cat >hello/entry.py <<-'END'
		from workers import Response, WorkerEntrypoint


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        print("asked")
		        return Response(self.env.TOKEN + " " + getattr(self.env, "LONG", "")[-4:])
	END
	run sandboxctl deploy hello
	[ "$status" != 0 ]
	[[ $output == *"not set: TOKEN: 'sandboxctl secret set hello NAME'"* ]]
	echo "$SECRET" | sandboxctl secret set hello TOKEN
	sandboxctl deploy hello >/dev/null 2>&1
	[ "$(ask)" = "$SECRET " ]
	[ "$(stat -c '%a %s %U' "$STATE/front/secret.key")" = "400 32 _sandboxd" ]
	[[ $(sandboxctl secret ls hello) == *TOKEN* ]]

	id=$(sandboxctl --json deploy ls | jq -r '.[0].instances[0].id')
	for text in "$(sandboxctl --json secret ls hello)" "$(sandboxctl --json inspect "$id")" "$(sandboxctl logs "$id")" \
		"$(sandboxctl --json deploy ls)" "$(ps axww -o args)" "$(cat /proc/[0-9]*/environ | tr '\0' '\n')"; do
		[[ $text != *"$SECRET"* ]]
	done

	# The next request sees a change, and a long one.
	printf %s "$SECRET-new" | sandboxctl secret put hello TOKEN
	[ "$(ask)" = "$SECRET-new " ]
	(head -c 40000 /dev/zero | tr '\0' x && printf last) >long
	sandboxctl secret set hello LONG --file long
	[ "$(ask)" = "$SECRET-new last" ]
	head -c 65533 /dev/zero | tr '\0' x >>long
	run sandboxctl secret set hello LONG --file long
	[ "$status" != 0 ]
	holds_none "$SECRET"

	daemon_stop
	holds_none "$SECRET"
	daemon_start
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	wait_until "$PATIENCE" answers "$SECRET-new last"
	sandboxctl secret rm hello LONG
	[ "$(ask)" = "$SECRET-new " ]
	run sandboxctl secret rm hello LONG
	[[ $output == *'no secret "LONG"'* ]]
}

answers() {
	[ "$(ask 2>&1)" = "$1" ]
}

@test "keys and values by the command: of any bytes, with what belongs to them, all out and in again" {
	id=$(sandboxctl kv create things)
	[[ $(sandboxctl kv ls) == *"$id"*things* ]]
	head -c 9000000 /dev/urandom >bytes
	sandboxctl kv key put things big --path bytes
	sandboxctl kv key get "$id" big | cmp - bytes
	sandboxctl kv key put things small "a value" --metadata '{"n": 1}' --expiration 4102444800
	printf 'from stdin' | sandboxctl kv key put things other
	[ "$(sandboxctl kv key get things other)" = "from stdin" ]
	[ "$(sandboxctl --json kv key get things other | jq -c .)" = '{"key":"other","value":"from stdin"}' ]
	run --separate-stderr sandboxctl --json kv key get things big
	[ "$status" = 125 ]
	[ -z "$output" ]
	[[ $stderr == *"big: its value is no text, which JSON cannot say: get it without --json" ]]
	[ "$(sandboxctl --json kv key ls things --prefix s | jq -c '.[0] | [.name, .expiration, .metadata]')" = \
		'["small",4102444800,"{\"n\": 1}"]' ]
	sandboxctl kv key ls things | grep -qxE 'small +2100-01-01T00:00:00Z +\{"n": 1\}'
	run --separate-stderr sandboxctl kv export things
	[[ $stderr == *"big: its value is no text"* ]]
	echo "$output" >all
	sandboxctl kv rm things
	run sandboxctl kv key get things small
	[ "$status" != 0 ]
	sandboxctl kv create things
	sandboxctl kv bulk put things all
	[ "$(sandboxctl kv export things)" = "$(cat all)" ]
	sandboxctl kv key rm things small
	[ "$(sandboxctl --json kv key ls things | jq -r '.[].name')" = other ]
	run sandboxctl kv key put things small x --ttl 5
	[[ $output == *"at least 60 seconds"* ]]
}
