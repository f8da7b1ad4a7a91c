#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A checkpoint freezes what was random in it. No two tasks that come out of one draw the same.

#
#	RESTORES, FORKS  how many of each

load lib.bash

RESTORES=${RESTORES:-$(count 200 1000)}
FORKS=${FORKS:-$(count 300 8000)}
# Modules that are warmed, so that their state is in the checkpoint.
IMPORTS='["random","uuid","tempfile","secrets","ssl","multiprocessing","numpy","bson","sqlite3"]'

setup_file() {
	security_setup iron python
	cp -r "$SECURITY/probes" "$WORK/probes"
	task "$WORK/probes" draws.py "{\"warm\": {\"imports\": $IMPORTS}}"
}

@test "control: two raw clones of one interpreter do draw the same" {
	run /usr/bin/python3 -c '
import ctypes, os, random
libc = ctypes.CDLL(None)
for _ in range(2):
    if libc.syscall(56, 17, 0, 0, 0, 0) == 0:
        print(random.random(), flush=True)
        os._exit(0)
    os.wait()'
	[ "$(echo "$output" | sort -u | wc -l)" = 1 ]
}

# draw MODE COUNT: writes to a file what so many tasks draw, two at a time.
draw() {
	local modes

	# shellcheck disable=SC2016 # the inner shell's own variables
	seq "$2" | MODE=$1 xargs -P 2 -I{} sh -c '
		"$CTL" run iron "$WORK/probes/task.json" --start "$MODE" --label "unique-$MODE" >"$WORK/out/one-{}" &&
			cat "$WORK/out/one-{}" && rm "$WORK/out/one-{}"' >>"$WORK/out/draws-$1"
	modes=$(modes_of "unique-$1" | sort | uniq -c)
	[ "$modes" = "$(printf '%7d %s' "$2" "$1")" ] || fail "started as: $modes"
}

@test "$RESTORES restores share no draw, and their clock is right" {
	local since

	"$CTL" image warm iron --imports "$(jq -r 'join(",")' <<<"$IMPORTS")" >/dev/null
	since=$(date +%s)
	draw restore "$RESTORES"
	NOT_BEFORE=$since "$SECURITY/duplicates.py" "$WORK/out/draws-restore" "$RESTORES"
}

@test "$FORKS forks of one template share no draw, nor do they with restores" {
	local since

	since=$(date +%s)
	wait_until "$PATIENCE" draws_forked iron
	draw fork "$FORKS"
	NOT_BEFORE=$since "$SECURITY/duplicates.py" "$WORK/out/draws-fork" "$FORKS"
	cat "$WORK/out/draws-restore" >>"$WORK/out/draws-fork"
	NOT_BEFORE=0 "$SECURITY/duplicates.py" "$WORK/out/draws-fork" $((RESTORES + FORKS))
}

# draws_forked IMAGE: tasks of this image are forked.
draws_forked() {
	"$CTL" run "$1" "$WORK/probes/task.json" --start fork --label "forked-$1" >/dev/null &&
		[ "$(field "forked-$1" .start.mode)" = fork ]
}

@test "restores at the same moment share no draw" {
	local since

	since=$(date +%s)
	# shellcheck disable=SC2016 # the inner shell's own variables
	seq 40 | xargs -P 8 -I{} sh -c '
		"$CTL" run iron "$WORK/probes/task.json" --start restore >"$WORK/out/draw-{}"'
	cat "$WORK"/out/draw-* >"$WORK/out/parallel"
	NOT_BEFORE=$since "$SECURITY/duplicates.py" "$WORK/out/parallel" 40
}

@test "an image whose modules have drawn at import shares no draw after it" {
	local digest=00000000000000000000000000000000000000000000000000000000000000aa n since

	cp -al "$(dirname "$(rootfs iron)")" "$STATE/images/$digest"
	ln -sfn "../$digest" "$STATE/images/by-name/drawn"
	# Every generator has drawn before the dump, above all OpenSSL's.
	cat >"$STATE/images/$digest/rootfs/usr/lib/python3/dist-packages/drawn.py" <<-'END'
		import random, secrets, sqlite3, ssl, tempfile, uuid, multiprocessing
		import numpy
		from bson import ObjectId
		random.random(), numpy.random.random(), secrets.token_hex(), ssl.RAND_bytes(16)
		tempfile.mktemp(), uuid.uuid1(), uuid.uuid4(), ObjectId()
		random.gauss(0, 1), numpy.random.normal()
		sqlite3.connect(":memory:").execute("select random()").fetchone()
		sequence = numpy.random.SeedSequence()
		generator = numpy.random.Generator(numpy.random.MT19937())
	END
	task "$WORK/probes" draws.py '{"warm": {"imports": ["drawn"]}}'
	"$CTL" image warm drawn --imports drawn >/dev/null
	since=$(date +%s)
	for ((n = 0; n < 50; n++)); do
		"$CTL" run drawn "$WORK/probes/task.json" --start restore --label drawn >>"$WORK/out/drawn"
	done
	NOT_BEFORE=$since "$SECURITY/duplicates.py" "$WORK/out/drawn" 50
	[ "$(modes_of drawn | sort -u)" = restore ]
	wait_until "$PATIENCE" draws_forked drawn
	for ((n = 0; n < 50; n++)); do
		"$CTL" run drawn "$WORK/probes/task.json" --start fork --label drawn-fork >>"$WORK/out/drawn"
	done
	NOT_BEFORE=$since "$SECURITY/duplicates.py" "$WORK/out/drawn" 100
	[ "$(modes_of drawn-fork | sort -u)" = fork ]
}

@test "a write through random's second Gaussian value is not shared either" {
	local n

	for n in 1 2 3; do
		"$CTL" run drawn --start restore --code 'import random; print(random.gauss(0, 1))' >>"$WORK/out/gauss"
		"$CTL" run drawn --start restore --code 'import numpy; print(numpy.random.normal())' >>"$WORK/out/gauss"
	done
	[ "$(sort -u "$WORK/out/gauss" | wc -l)" = 6 ]
}

@test "hostname, pid files and folders are each task's own" {
	local n

	for n in 1 2 3; do
		"$CTL" run python --start restore --code 'import os, socket; print(socket.gethostname(), os.environ["TASK_ID"], os.uname().nodename)' >>"$WORK/out/names"
	done
	[ "$(sort -u "$WORK/out/names" | wc -l)" = 3 ]
}
