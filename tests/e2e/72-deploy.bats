#!/usr/bin/env bats
# HTTP workers: deployed, asked through the edge, changed under load, rolled back, and after deaths.
# shellcheck disable=SC2154 # run sets status, output and stderr
load lib

setup_file() {
	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS
	cd "$BATS_FILE_TMPDIR" || return
	worker one
	sandboxctl deploy one >"$WORK/deployed" 2>"$WORK/progress" || fail "$(cat "$WORK/progress")"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown_file() {
	sandboxctl deploy rm hello || true
	wait_until "$PATIENCE" nothing_runs || true
	daemon_remove
}

# worker TEXT [NAME]: a folder TEXT with a worker that answers TEXT.
worker() {
	mkdir -p "$1/src"
	cat >"$1/wrangler.toml" <<-END
		name = "${2:-hello}"
		main = "src/entry.py"
		compatibility_date = "2026-03-01"
		compatibility_flags = ["python_workers"]
		kv_namespaces = [{binding = "KV"}]
		routes = ["${2:-hello}.example.com/x*"]
		[triggers]
		crons = ["0 3 * * *"]
		[vars]
		WHO = "$1"
	END
	cat >"$1/src/entry.py" <<-'END'
		import os

		from workers import Response, WorkerEntrypoint


		class Default(WorkerEntrypoint):
		    async def fetch(self, request):
		        path = request.url.split("/", 3)[3]
		        if path == "pid":
		            return Response(open("/proc/sys/kernel/hostname").read().strip())
		        if path == "raise":
		            raise ValueError("of the worker's own")
		        if path == "put":
		            await self.env.KV.put("key", await request.text(), metadata={"n": 1})
		            return Response("put")
		        if path == "get":
		            return Response(str(await self.env.KV.get("key")))
		        return Response("hello " + self.env.WHO)
	END
}

# ask [CURL'S OPTION...] PATH: of the worker hello.
ask() {
	curl -sS --max-time 60 -H 'Host: hello.default.localhost' "${@:1:$#-1}" "http://$ADDRESS/${*: -1}"
}

versions() {
	sandboxctl --json deploy ls hello | jq -r "$1"
}

instance() {
	sandboxctl --json deploy ls | jq -r '.[] | select(.name == "hello").instances[0].id // empty'
}

answers() {
	[ "$(ask "" 2>&1)" = "$1" ]
}

@test "a deploy tells each step, and where the worker answers" {
	for step in unpack read pack build store snapshot start switch; do
		[ "$(grep -c "^$step " "$WORK/progress")" = 1 ]
	done
	[ "$(grep -c ' $' "$WORK/progress")" = 0 ]
	grep -q "^url  *http://hello.default.localhost:${ADDRESS##*:}$" "$WORK/deployed"
	grep -q "^snapshot  *dedicated$" "$WORK/deployed"
	grep -qx 'route        hello.example.com/x\*' "$WORK/deployed"
	grep -qx 'cron         0 3 \* \* \*' "$WORK/deployed"
	[ "$(ask "")" = "hello one" ]
	# What the node calls itself, with the port.
	[ "$(curl -sS -H "Host: hello.default.localhost:${ADDRESS##*:}" "http://$ADDRESS/")" = "hello one" ]
	[ "$(curl -sS -o /dev/null -w '%{http_code}' -H 'Host: other.default.localhost' "http://$ADDRESS/")" = 404 ]
	# Its instance was started from the snapshot, and is known as what it is.
	[ "$(inspect "$(instance)" .status)" = running ]
	[ "$(inspect "$(instance)" .start.mode)" != cold ]
}

@test "an exception is a 500 of the worker's, with its traceback in the log alone" {
	[ "$(ask -o answer -w '%{http_code}' raise)" = 500 ]
	run ! grep -q "own" answer
	id=$(instance)
	wait_until "$PATIENCE" log_has "$id" "ValueError: of the worker's own"
	[ "$(ask "")" = "hello one" ]
}

log_has() {
	sandboxctl logs "$1" 2>&1 | grep -qF "$2"
}

@test "what is put into KV is there for the next instance" {
	[ "$(ask -d "a value" put)" = put ]
	[ "$(ask get)" = "a value" ]
	sandboxctl cancel --force "$(instance)"
	wait_until "$PATIENCE" answers "hello one"
	[ "$(ask get)" = "a value" ]
}

@test "every step that fails leaves what serves, and says where" {
	worker broken
	sed -i 's/src.entry/src\/other/' broken/wrangler.toml
	run sandboxctl deploy broken
	[ "$status" != 0 ]
	[[ $output == *"main"*"src/other.py"*"src/entry.py"* ]]
	worker broken
	echo 'x = [' >broken/wrangler.toml
	run sandboxctl deploy broken
	[ "$status" != 0 ]
	[[ $output == *"wrangler.toml:"* ]]
	worker broken
	echo 'import nothing_of_that_name' >>broken/src/entry.py
	run sandboxctl deploy broken
	[ "$status" != 0 ]
	[[ $output == *"nothing_of_that_name"* ]]
	[ "$(ask "")" = "hello one" ]
	[ "$(versions length)" = 1 ]
	run sandboxctl deploy split hello 10
	[[ $output == *"split takes 4 words"* ]]
	run sandboxctl deploy rm
	[[ $output == *"rm takes 1 word"* ]]
	# Nothing is changed by a dry run.
	worker two
	sandboxctl deploy --dry-run two
	[ "$(ask "")" = "hello one" ]
	[ "$(versions length)" = 1 ]
}

has_stored() {
	grep -q '^store ' told
}

@test "a deploy whose command is ended goes no further" {
	worker slow slow
	echo 'import time; time.sleep(15)' >>slow/src/entry.py
	"$CTL" deploy slow 2>told 3>&- &
	wait_until "$PATIENCE" has_stored
	kill -TERM $!
	wait $! || true
	# It keeps nobody from the next one, and no version of it comes.
	worker slow slow
	wait_until 10 sandboxctl deploy slow
	[ "$(sandboxctl --json deploy ls slow | jq -c '[.[].number]')" = "[1]" ]
	sandboxctl deploy rm slow
}

@test "a folder without a configuration is not sent, and a file is no folder" {
	mkdir nothing
	for words in 'deploy nothing' 'dev nothing'; do
		# shellcheck disable=SC2086
		run sandboxctl --socket /nowhere $words
		[ "$status" = 125 ]
		[[ $output == 'sandboxctl: nothing: there is no configuration: wrangler.toml, '* ]]
	done
	worker one
	run sandboxctl deploy one/wrangler.toml
	[[ $output == *'one/wrangler.toml: must be the folder of a configuration: '* ]]
}

@test "a configuration of another name is read in place of the folder's own" {
	worker named named
	sed 's/^name = .*/name = "named-live"/' named/wrangler.toml >named/live.toml
	echo 'name = 1 2' >named/wrangler.toml
	sandboxctl deploy --config named/live.toml
	[ "$(sandboxctl --json deploy ls | jq -c '[.[].name | select(startswith("named"))]')" = '["named-live"]' ]
	# Of the current folder, too; and errors have its name.
	echo 'name = 5' >named/other.toml
	cd named || return
	sandboxctl deploy -c live.toml --dry-run
	run sandboxctl deploy -c other.toml
	[ "$status" = 125 ]
	[[ $output == *"other.toml:1: "* ]]
	run sandboxctl deploy -c live.toml .
	[[ $output == *"the folder is that of --config: leave '.' away"* ]]
	run sandboxctl deploy -c .
	[[ $output == *"--config must be a file"* ]]
	run sandboxctl deploy -c missing.toml
	[[ $output == *"missing.toml: No such file"* ]]
	sandboxctl deploy rm named-live
}

@test "help is had behind every word" {
	for words in deploy 'deploy ls' 'deploy one' 'dev one' 'serve one' 'kv key put' 'secret set'; do
		# shellcheck disable=SC2086
		run sandboxctl $words --help
		[ "$status" = 0 ]
		[[ $output == "usage: sandboxctl ${words%% *}"* ]]
	done
}

# load: asks without a pause until the file `enough` is there; what was not answered is in `bad`.
load_begin() {
	rm -f enough bad count
	(
		n=0
		while [ ! -e enough ]; do
			text=$(ask "" 2>&1) || echo "failed: $text" >>bad
			[[ $text == "hello "* ]] || echo "$text" >>bad
			n=$((n + 1))
			echo "$n" >count
		done
	) 3>&- 4>&- &
	load=$!
	wait_until "$PATIENCE" test -s count
}

load_end() {
	touch enough
	wait "$load"
	! [ -s bad ] || fail "$(head -n 3 bad)"
}

@test "a new version, two by percentage and a rollback lose no request" {
	worker two
	load_begin
	sandboxctl deploy two >/dev/null 2>&1
	[ "$(ask "")" = "hello two" ]
	mapfile -t ids < <(versions '.[].id')
	[ "${#ids[@]}" = 2 ]
	sandboxctl deploy split hello "${ids[0]}" 50 "${ids[1]:0:8}"
	wait_until "$PATIENCE" answers "hello one"
	wait_until "$PATIENCE" answers "hello two"
	sandboxctl deploy rollback hello "${ids[1]}"
	wait_until "$PATIENCE" only_one
	load_end
	run sandboxctl deploy rollback hello nothing
	[ "$status" != 0 ]
}

# Twenty in a row are of the first version.
only_one() {
	for ((i = 0; i < 20; i++)); do
		[ "$(ask "")" = "hello one" ] || return 1
	done
}

@test "requests go on while the front is killed, and deploys after it" {
	before=$(instance)
	load_begin
	kill -KILL "$(role front)"
	wait_until "$PATIENCE" sandboxctl version
	load_end
	# The instance is the one of before, and is watched again.
	wait_until "$PATIENCE" is_up "$before"
	worker three
	sandboxctl deploy three --message "after it" --tag v3 >/dev/null 2>&1
	[ "$(ask "")" = "hello three" ]
	[ "$(versions '.[0] | .message + " " + .tag')" = "after it v3" ]
	sandboxctl deploy ls hello | grep -q " 20[0-9-]*T[0-9:]*Z  after it$"
}

is_up() {
	[ "$(sandboxctl --json deploy ls | jq -r --arg id "$1" '.[].instances[] | select(.id == $id).state')" = up ]
}

@test "a folder is deployed over HTTP, as a tar and as a zip, by a project's token" {
	local made id token url

	made=$(sandboxctl project create over --json)
	id=$(jq -r .id <<<"$made") token=$(jq -r .token <<<"$made")
	url=$(http_url)/api/projects/$id/http/deploy
	worker http over
	tar -C http -cf http.tar .
	(cd http && zip -qr ../http.zip .)
	curl -sS --max-time 60 -H "Authorization: Bearer $token" -F 'data={"vars": {"WHO": "tar"}};type=application/json' \
		-F file=@http.tar "$url" >reply
	[ "$(jq -r '[.name, .number] | @csv' reply)" = '"over",1' ] || fail "$(cat reply)"
	[ "$(curl -sS -H 'Host: over.over.localhost' "http://$ADDRESS/")" = "hello tar" ]
	curl -sS --max-time 60 -H "Authorization: Bearer $token" -F file=@http.zip "$url" >reply
	[ "$(curl -sS -H 'Host: over.over.localhost' "http://$ADDRESS/")" = "hello http" ]
	# What is wrong is said; and another project's token has no place there.
	curl -sS -H "Authorization: Bearer $token" -F 'data={"vras": {}}' -F file=@http.tar "$url" | jq -r .msg | grep vras
	[ "$(curl -sS -H "Authorization: Bearer $token" -F data={} "$url" | jq -r .msg | cut -d: -f1,2)" = "file: must be there" ]
	made=$(sandboxctl project create other --json)
	[ "$(curl -sS -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $(jq -r .token <<<"$made")" -F file=@http.tar "$url")" = 404 ]
	sandboxctl deploy rm --project over over
	sandboxctl project rm other
}

@test "a worker is removed, and its instances end" {
	worker four other
	sandboxctl deploy four >/dev/null 2>&1
	id=$(sandboxctl --json deploy ls | jq -r '.[] | select(.name == "other").instances[0].id')
	sandboxctl deploy rm other
	wait_until "$PATIENCE" is_unknown other
	wait_until "$PATIENCE" ended "$id"
	run sandboxctl deploy rm other
	[ "$status" != 0 ]
}

is_unknown() {
	[ "$(curl -sS -o /dev/null -w '%{http_code}' -H "Host: $1.default.localhost" "http://$ADDRESS/")" = 404 ]
}

ended() {
	[ "$(inspect "$1" .finished_at)" != null ]
}

# The last one: where the edge listens is another port after it.
@test "instances go on while the daemon is restarted, and are seen by the worker's name" {
	text=$(ask "")
	before=$(instance)
	[ "$(sandboxctl --json inspect "$before" | jq -r .label)" = hello ]
	daemon_stop
	daemon_start
	ADDRESS=$(cat "$RUN/edge-http")
	wait_until "$PATIENCE" is_up "$before"
	[ "$(ask "")" = "$text" ]
	[ "$(instance)" = "$before" ]
}
