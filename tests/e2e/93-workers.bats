#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many requests with a sandbox each: nothing of one is in another, no two of a snapshot's instances draw the
# same, and the daemon has as much of everything afterwards as before.
#
#	REQUESTS   how many with state and draws, of clones
#	INSTANCES  how many that are restored
# shellcheck disable=SC2154 # run sets status and output
load lib

REQUESTS=${REQUESTS:-$(count 80 10000)}
INSTANCES=${INSTANCES:-$(count 20 1000)}

setup_file() {
	local name

	export EDGE=127.0.0.1:0
	daemon_make web
	wait_until "$PATIENCE" test -s "$RUN/edge-http"
	ADDRESS=$(cat "$RUN/edge-http")
	export ADDRESS
	for name in forked restored; do
		mkdir "$WORK/$name"
		cat >"$WORK/$name/entry.py" <<-'END'
			import os
			import random
			import secrets
			import ssl
			import subprocess
			import sys
			import tempfile
			import uuid

			import numpy
			from workers import Response, WorkerEntrypoint

			seen = []
			CHILD = "print(hash('one'))"


			class Default(WorkerEntrypoint):
			    async def fetch(self, request):
			        old = len(seen) + len(os.listdir("/tmp")) + (os.environ.get("LEFT") is not None)
			        draws = [random.random(), random.getrandbits(64), numpy.random.random(),
			                 numpy.random.default_rng().random(), uuid.uuid4(), uuid.uuid1(), secrets.token_hex(8),
			                 ssl.RAND_bytes(8).hex(), os.urandom(8).hex(), os.path.basename(tempfile.mktemp())]
			        if "/child" in request.url:
			            draws.append(subprocess.run([sys.executable, "-c", CHILD], stdout=-1).stdout.decode().strip())
			        seen.append(request.url)
			        os.environ["LEFT"] = "1"
			        open("/tmp/left", "w").close()
			        return Response("%d %s\n" % (old, " ".join(map(str, draws))))
		END
		cat >"$WORK/$name/wrangler.toml" <<-END
			name = "$name"
			main = "entry.py"
			compatibility_date = "2026-03-01"
			compatibility_flags = ["python_workers"]
			[sandbox]
			isolation = "request"
			max = 8
			start = "$([ $name = forked ] && echo auto || echo restore)"
		END
		sandboxctl deploy "$WORK/$name" >"$WORK/deployed-$name" 2>"$WORK/progress" || fail "$(cat "$WORK/progress")"
		grep -q "^snapshot  *dedicated$" "$WORK/deployed-$name"
	done
	wait_until "$PATIENCE" forking
}

teardown_file() {
	daemon_remove
}

# ask NAME N [PATH]: prints N answers of the worker, four requests at a time.
ask() {
	local parallel

	for parallel in 1 2 3 4; do
		[ $(($2 / 4)) = 0 ] || curl -sS --max-time 600 -H "Host: $1.default.localhost" \
			"http://$ADDRESS/${3:-}?$parallel-[1-$(($2 / 4))]" >"$WORK/answers-$1-$parallel" &
	done
	wait
	cat "$WORK/answers-$1-"?
}

# started MODE: how many runs were started so.
started() {
	curl -sS -H "Authorization: OAuth $(cat "$WORK/operator")" "$(http_url)/metrics" |
		sed -n "s/^sandboxd_task_start_seconds_count{mode=\"$1\"} //p"
}

forking() {
	[ -s "$WORK/operator" ] || sandboxctl project token create default --operator --json | jq -r .token >"$WORK/operator"
	local before

	before=$(started fork)
	ask forked 4 >/dev/null
	[ "$(started fork)" -gt "$before" ]
}

# counts: what must not grow, as name=number.
counts() {
	local main

	main=$(cat "$WORK/pid")
	echo "fds=$(fds)"
	echo "mounts=$(wc -l <"/proc/$main/mountinfo")"
	echo "cgroups=$(find /sys/fs/cgroup -type d -path "*/$GROUP*" 2>/dev/null | wc -l)"
	echo "records=$(find "$RUN" | wc -l)"
	echo "processes=$(processes | wc -l)"
}

# settled: nothing is more than it was. Less it may be: a long run sees clones go that were parked.
settled() {
	counts >"$WORK/now"
	[ "$(wc -l <"$WORK/now")" = "$(wc -l <"$WORK/before")" ] &&
		paste -d= "$WORK/before" "$WORK/now" | awk -F= '$1 != $3 || $4 > $2 { more = 1 } END { exit more }'
}

# keepers: the anonymous memory in KiB of what holds the templates, and of their interpreters.
keepers() {
	local pid n=0

	for pid in $(processes); do
		! grep -q template- "/proc/$pid/cgroup" 2>/dev/null ||
			n=$((n + $(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status")))
	done
	echo "$n"
}

# unique FILE N: N lines, which say that they found nothing, and of which no two have a word in common.
unique() {
	[ "$(wc -l <"$1")" = "$2" ] || fail "$(wc -l <"$1") answers: $(head -n 3 "$1")"
	[ "$(cut -d' ' -f1 "$1" | sort -u)" = 0 ]
	[ -z "$(cut -d' ' -f2- "$1" | tr ' ' '\n' | sort | uniq -d)" ]
}

@test "$REQUESTS requests find nothing of each other and share no draw, and nothing has grown" {
	local before after forks

	# What is made only once is there, and as many clones are parked as there will be.
	ask forked 40 >"$WORK/first"
	unique "$WORK/first" 40
	wait_until "$PATIENCE" same_twice
	counts >"$WORK/before"
	before="$(rss) $(keepers)"
	forks=$(started fork)
	ask forked "$REQUESTS" >"$WORK/draws"
	cat "$WORK/first" >>"$WORK/draws"
	unique "$WORK/draws" $((REQUESTS / 4 * 4 + 40))
	[ "$(started fork)" -gt "$forks" ]
	wait_until "$PATIENCE" settled || diff "$WORK/before" <(counts)
	after="$(rss) $(keepers)"
	echo "# KiB of the roles and of the keepers: $before, then $after" >&3
	[ "${after% *}" -le $((${before% *} + 4096)) ] || fail "roles: $before KiB became $after KiB"
	[ "${after#* }" -le $((${before#* } + 2048)) ] || fail "keepers: $before KiB became $after KiB"
}

same_twice() {
	counts >"$WORK/now"
	cmp -s "$WORK/now" "$WORK/last" || { mv "$WORK/now" "$WORK/last" && return 1; }
}

@test "$INSTANCES instances that are restored share no draw, nor do they with clones" {
	local restored

	restored=$(started restore)
	ask restored "$INSTANCES" >>"$WORK/draws"
	[ "$(started restore)" -ge $((restored + INSTANCES / 4 * 4)) ]
	unique "$WORK/draws" $((REQUESTS / 4 * 4 + 40 + INSTANCES / 4 * 4))
}

@test "an interpreter that an instance starts has a hash seed of its own" {
	{
		ask forked 8 child
		ask restored 8 child
	} >"$WORK/children"
	unique "$WORK/children" 16
	[ "$(awk '{ print NF }' "$WORK/children" | sort -u)" = 12 ]
}
