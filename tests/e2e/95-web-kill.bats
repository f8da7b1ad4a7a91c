#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the daemon's roles, of nginx and of instances at random moments, while an HTTP worker is asked and goes from
# one version to the other: no request is done twice, what was answered was done, and what was not says so.
#
#	KILLS  how many    KILLS_SEED  of the random moments (printed)
# shellcheck disable=SC2154 # run sets status and output
load lib

KILLS=${KILLS:-$(count 10 300)}

setup_file() {
	local name

	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	for name in one two; do
		mkdir "$WORK/$name"
		cat >"$WORK/$name/wrangler.toml" <<-'END'
			name = "counts"
			main = "entry.py"
			compatibility_date = "2026-03-01"
			compatibility_flags = ["python_workers"]
			kv_namespaces = [{binding = "KV"}]
			[sandbox]
			min = 2
		END
		# Each time that a request is done leaves a key of its own, long before the answer.
		cat >"$WORK/$name/entry.py" <<-END
			import asyncio
			import uuid

			from workers import Response, WorkerEntrypoint


			class Default(WorkerEntrypoint):
			    async def fetch(self, request):
			        once = uuid.uuid4().hex
			        await self.env.KV.put(request.url.split("/", 3)[3] + "/" + once, "$name")
			        await asyncio.sleep(5 if "/held" in request.url else 0.1)
			        return Response(once + "\n")
		END
		sandboxctl deploy "$WORK/$name" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
	done
	# A small project that is nobody else's load.
	export LOAD=3
}

teardown_file() {
	touch "$WORK/stop"
	daemon_remove
}

# ask ID: its status, what curl says of it, and the first line of the answer.
ask() {
	local status rc=0 body=$WORK/body-$1

	status=$(curl -sS --max-time 60 -o "$body" -w '%{http_code}' \
		-H 'Host: counts.default.localhost' "http://$(cat "$RUN/edge-http")/$1" 2>/dev/null) || rc=$?
	echo "$1 $status $rc $(head -n 1 "$body" 2>/dev/null)"
	rm -f "$body"
}

client() {
	local n

	for ((n = 0; ; n++)); do
		[ ! -e "$WORK/stop" ] || return 0
		ask "$1-$n" >>"$WORK/asked-$1"
	done
}

# What serves changes all the time; while a role is away it does not.
changes() {
	while [ ! -e "$WORK/stop" ]; do
		sandboxctl deploy rollback counts >/dev/null 2>&1 && echo changed >>"$WORK/changes"
	done
}

# end WHAT: kills a role, or an instance.
end() {
	local id

	[ "$1" = instance ] || { role_kill "$1"; return; }
	id=$(sandboxctl --json deploy info counts | jq -r '.instances[].id' | shuf -n 1) && [ -n "$id" ] &&
		sandboxctl cancel --force "$id" >/dev/null
}

# Another request was answered since.
answered_since() {
	[ "$(cat "$WORK"/asked-* | grep -c ' 200 0 ')" -gt "$1" ]
}

# done_of ID: how many times that request was done.
done_of() {
	sandboxctl --json kv key ls "$(sandboxctl --json kv ls | jq -r '.[] | select(.title == "counts-KV").id')" \
		--prefix "$1/" | jq length
}

was_done() {
	[ "$(done_of "$1")" -gt 0 ]
}

# kill_busy: ends the instances that have a request, which the others could be given.
kill_busy() {
	local ids

	ids=$(sandboxctl --json deploy info counts | jq -r '.instances[] | select(.in_flight > 0).id')
	[ -n "$ids" ] || return 1
	for id in $ids; do
		sandboxctl cancel --force "$id" >/dev/null
	done
}

@test "a request whose instance is killed is given to no other one" {
	local n

	for n in 1 2 3; do
		wait_until "$PATIENCE" two_are_up
		ask "held-$n" >"$WORK/held" 3>&- &
		wait_until "$PATIENCE" was_done "held-$n"
		wait_until "$PATIENCE" kill_busy
		wait $!
		[[ $(cat "$WORK/held") == "held-$n 502 0 502 "* ]] || fail "$(cat "$WORK/held")"
		[ "$(done_of "held-$n")" = 1 ]
	done
}

two_are_up() {
	[ "$(sandboxctl --json deploy info counts | jq '[.instances[] | select(.state == "up")] | length')" -ge 2 ]
}

@test "$KILLS times kill -9 of a role, nginx or an instance at a random moment, with requests under way" {
	local roles=(front instance edge logger instance monitor front edge instance all) seed=${KILLS_SEED:-$RANDOM} killed=0 n others=()

	for ((n = 0; n < LOAD; n++)); do
		client "$n" 3>&- 4>&- &
		others+=($!)
	done
	changes 3>&- 4>&- &
	others+=($!)
	echo "# KILLS_SEED=$seed" >&3
	RANDOM=$seed
	while [ "$killed" -lt "$KILLS" ]; do
		# Each role is killed while requests are answered again.
		wait_until "$PATIENCE" answered_since "$(cat "$WORK"/asked-* 2>/dev/null | grep -c ' 200 0 ' || true)"
		sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
		if end "${roles[killed % ${#roles[@]}]}"; then
			killed=$((killed + 1))
		fi
	done
	wait_until "$PATIENCE" answered_since "$(cat "$WORK"/asked-* | grep -c ' 200 0 ' || true)"
	touch "$WORK/stop"
	wait "${others[@]}"
	cat "$WORK"/asked-* >"$WORK/asked"
	echo "# $(wc -l <"$WORK/asked") requests, $(grep -vc ' 200 0 ' "$WORK/asked") not answered by the worker," \
		"$(wc -l <"$WORK/changes") changes of what serves" >&3
	[ -s "$WORK/changes" ]
}

@test "no request was done twice, and each that was answered was done" {
	local namespace

	wait_until "$PATIENCE" sandboxctl version
	namespace=$(sandboxctl --json kv ls | jq -r '.[] | select(.title == "counts-KV").id')
	sandboxctl --json kv key ls "$namespace" | jq -r '.[].name' | tr / ' ' | sort >"$WORK/done"
	[ -s "$WORK/done" ]
	[ -z "$(cut -d' ' -f1 "$WORK/done" | uniq -d)" ] || fail "$(cut -d' ' -f1 "$WORK/done" | uniq -d)"
	awk '$2 == 200 && $3 == 0 { print $1, $4 }' "$WORK/asked" | sort >"$WORK/answered"
	[ -z "$(comm -23 "$WORK/answered" "$WORK/done")" ] || fail "$(comm -23 "$WORK/answered" "$WORK/done")"
}

@test "what was not answered says why, but where nginx itself was gone" {
	# curl's 7, 52 and 56: refused, closed or reset.
	awk '$3 != 0 && $3 != 7 && $3 != 52 && $3 != 56' "$WORK/asked" >"$WORK/odd"
	awk '$3 == 0 && $2 != 200 && !($2 == $4 && /\(request [0-9a-f]+\)$/) && $2 != 500' "$WORK/asked" >>"$WORK/odd"
	[ ! -s "$WORK/odd" ] || fail "$(head -n 5 "$WORK/odd")"
}

@test "afterwards it is deployed and asked as before, and nothing is left" {
	sandboxctl deploy "$WORK/one" >"$WORK/deployed" 2>&1 || fail "$(cat "$WORK/deployed")"
	[[ $(ask last) == "last 200 0 "* ]]
	sandboxctl deploy rm counts
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}
