#!/usr/bin/env bats
# Logs: live, late, many, filtered; every byte once and in order.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

setup_file() {
	WARM=1 daemon_make
}

@test "run streams: a line arrives while its task still waits" {
	sandboxctl run python --label live --code "$GATE
print('first')
gate()
print('second')" >out 2>&1 3>&- 4>&- &
	pid=$!
	# The task cannot go on before the gate opens, so what has come by now was sent live.
	wait_until "$PATIENCE" file_has out first
	labelled live running
	run ! grep second out
	signal_task "$(id_of live)" USR1
	wait $pid
	[ "$(cat out)" = $'first\nsecond' ]
}

@test "output without a newline arrives live too" {
	sandboxctl run python --label partial --code "$GATE
sys.stdout.write('no newline')
gate()" >out 2>&1 3>&- 4>&- &
	pid=$!
	wait_until "$PATIENCE" file_has out 'no newline'
	signal_task "$(id_of partial)" USR1
	wait $pid
}

@test "logs prints what an ended task said, each stream to its own" {
	id=$(sandboxctl run -d python --code 'import sys
print("to stdout")
sys.stderr.write("to stderr\n")')
	sandboxctl wait "$id"
	run --separate-stderr sandboxctl logs "$id"
	[ "$status" = 0 ]
	[ "$output" = "to stdout" ]
	[ "$stderr" = "to stderr" ]
	run --separate-stderr sandboxctl logs --stderr "$id"
	[ -z "$output" ]
	[ "$stderr" = "to stderr" ]
	run --separate-stderr sandboxctl logs --stdout "$id"
	[ "$output" = "to stdout" ]
	[ -z "$stderr" ]
	run --separate-stderr sandboxctl logs -f "$id"
	[ "$status" = 0 ]
	[ "$output" = "to stdout" ]
}

@test "logs without -f ends although the task goes on" {
	id=$(detached python "$FOREVER")
	wait_until "$PATIENCE" log_has "$id" ready
	run timeout "$PATIENCE" "$CTL" logs "$id"
	[ "$status" = 0 ]
	[ "$output" = ready ]
	status_is "$id" running
	sandboxctl cancel --force "$id"
}

@test "logs -f follows to the end, a late follower misses nothing" {
	id=$(detached python "$GATE
for i in range(1000):
    print('early %d' % i)
gate()
for i in range(1000):
    print('late %d' % i)")
	wait_until "$PATIENCE" log_has "$id" 'early 999'
	for i in 1 2 3; do
		sandboxctl logs -f "$id" >"out$i" 2>&1 3>&- 4>&- &
	done
	for i in 1 2 3; do
		wait_until "$PATIENCE" file_has "out$i" 'early 999'
	done
	signal_task "$id" USR1
	wait
	{ seq -f 'early %g' 0 999; seq -f 'late %g' 0 999; } >want
	for i in 1 2 3; do
		cmp "out$i" want
	done
}

@test "fifty followers at once all get everything" {
	id=$(detached python "$GATE
gate()
for i in range(5000):
    print('line %d' % i)")
	for i in $(seq 50); do
		sandboxctl logs -f "$id" >"out$i" 2>&1 3>&- 4>&- &
	done
	wait_until "$PATIENCE" signal_task "$id" USR1
	wait
	seq -f 'line %g' 0 4999 >want
	for i in $(seq 50); do
		cmp "out$i" want
	done
}

@test "a follower that does not read holds up neither task nor other followers" {
	mkfifo slow
	id=$(detached python "$GATE
gate()
for i in range(100000):
    print('line %d' % i)")
	# The pipe's reading end is open, and nothing is ever read from it.
	exec 9<>slow
	sandboxctl logs -f "$id" >slow 3>&- 4>&- &
	pid=$!
	wait_until "$PATIENCE" signal_task "$id" USR1
	run timeout "$PATIENCE" "$CTL" wait "$id"
	[ "$status" = 0 ]
	[ "$(sandboxctl logs "$id" | wc -l)" = 100000 ]
	kill $pid
	exec 9>&-
}

@test "--since leaves out what came before" {
	id=$(detached python "$GATE
print('before')
gate()
print('after')
gate()")
	wait_until "$PATIENCE" log_has "$id" before
	sleep 0.05
	now=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
	sleep 0.05
	signal_task "$id" USR1
	wait_until "$PATIENCE" log_has "$id" after
	[ "$(sandboxctl logs --since "$now" "$id")" = after ]
	[ "$(sandboxctl logs --since 1h "$id")" = $'before\nafter' ]
	[ "$(sandboxctl logs --since "$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%SZ)" "$id")" = "" ]
	signal_task "$id" USR1
	sandboxctl wait "$id"
}

@test "-t puts the time of arrival before each line, and times rise" {
	id=$(sandboxctl run -d python --code 'print("a"); print("b"); print("c")')
	sandboxctl wait "$id"
	sandboxctl logs -t "$id" >out
	[ "$(wc -l <out)" = 3 ]
	run ! grep -Ev '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]+Z [abc]$' out
	cut -d' ' -f1 out | sort -c
	[ "$(cut -d' ' -f2 out | tr -d '\n')" = abc ]
}

@test "several tasks, one after the other" {
	one=$(sandboxctl run -d python --code 'print(1)')
	two=$(sandboxctl run -d python --code 'print(2)')
	sandboxctl wait "$one" "$two"
	[ "$(sandboxctl logs "$one" "$two")" = $'1\n2' ]
}

@test "an unknown task is an error, not an empty log" {
	for words in "logs" "logs -f"; do
		# shellcheck disable=SC2086 # several words
		run --separate-stderr timeout "$PATIENCE" "$CTL" $words 0123456789abcdef01234567
		[ "$status" = 125 ]
		[[ $stderr == *0123456789abcdef01234567* ]]
	done
}

@test "the order of one stream is kept over many small writes" {
	run --separate-stderr sandboxctl run python --code '
import os
for i in range(20000):
    os.write(1, b"%d\n" % i)
    if i % 7 == 0:
        os.write(2, b"e%d\n" % i)'
	[ "$status" = 0 ]
	[ "$output" = "$(seq 0 19999)" ]
	[ "$(sha256sum <<<"$stderr")" = "$(seq -f 'e%g' 0 7 19999 | sha256sum)" ]
}

@test "stdout and stderr are one text in the order of writing, and can be told apart all the same" {
	for mode in $MODES; do
		id=$(detached python '
import sys, logging
for i in range(1, 60, 4):
    sys.stderr.write("%d\n" % i)
    print(i + 1)
    logging.error(i + 2)
    print(i + 3)' --start "$mode")
		sandboxctl wait "$id"
		[ "$(inspect "$id" .start.mode)" = "$mode" ]
		sandboxctl logs "$id" >both 2>&1
		sed -i s/ERROR:root:// both
		cmp both <(seq 60) || fail "$mode: $(cat both)"
		[ "$(sandboxctl logs --stderr "$id" 2>&1 | sed s/ERROR:root://)" = "$(seq 1 2 60)" ]
		[ "$(sandboxctl logs --stdout "$id")" = "$(seq 2 2 60)" ]
	done
}

@test "run 2>&1 keeps the order of whatever the task runs" {
	for mode in $MODES; do
		sandboxctl run python --start "$mode" --label order --code '
import os, sys
sys.stderr.write("1\n")
print("2")
os.system("i=3; while [ $i -lt 60 ]; do echo $i; echo $((i + 1)) >&2; i=$((i + 2)); done")' >both 2>&1
		cmp both <(seq 60) || fail "$mode: $(cat both)"
		[ "$(mode order)" = "$mode" ]
	done
}

@test "more than the log's limit is dropped, counted and said" {
	jq '.name = "smalllog" | .limits.log = "64K" | .limits.max.log = "64K"' "$TOP/policies/default.json" >small.json
	sandboxctl policy install small.json --name smalllog
	run --separate-stderr sandboxctl run python --policy smalllog --label capped --code '
for i in range(20000):
    print("x" * 99)'
	[ "$status" = 0 ]
	[ "${#output}" -le 66000 ]
	[ "${#output}" -ge 60000 ]
	[[ $stderr == *dropped* ]]
	id=$(id_of capped)
	[ "$(inspect "$id" .log.bytes)" = 2000000 ]
	[ "$(inspect "$id" .log.dropped)" -ge 1900000 ]
	run --separate-stderr sandboxctl logs "$id"
	[[ $stderr == *dropped* ]]
}

@test "lines, bytes and dropped are counted" {
	id=$(sandboxctl run -d python --code 'import sys; print("ab"); sys.stderr.write("c"); print("d")')
	sandboxctl wait "$id"
	[ "$(inspect "$id" '.log | [.lines, .bytes, .dropped] | join(" ")')" = "3 6 0" ]
}

@test "control characters are escaped on a terminal, and only there" {
	command -v script >/dev/null || fail "no script(1)"
	id=$(sandboxctl run -d python --code 'import os; os.write(1, b"\x1b[31mred\x07\n")')
	sandboxctl wait "$id"
	[ "$(sandboxctl logs "$id" | od -An -tx1 | tr -d ' \n')" = 1b5b33316d726564070a ]
	script -qec "$CTL logs $id" typescript </dev/null >/dev/null
	run ! grep -q $'\x1b\[31m' typescript
	grep -qF '[31mred' typescript
}

@test "nobody reads the output any longer: run ends its task" {
	sandboxctl run python --label closed --code '
import time
while True:
    print("x" * 1000)
    time.sleep(0.001)' 2>err 3>&- 4>&- | head -n 1 >/dev/null
	wait_until "$PATIENCE" labelled closed cancelled
}

@test "rm forgets a task and its log" {
	id=$(sandboxctl run -d python --code 'print(1)')
	sandboxctl wait "$id"
	sandboxctl rm "$id"
	run sandboxctl logs "$id"
	[ "$status" = 125 ]
	run sandboxctl inspect "$id"
	[ "$status" = 125 ]
	[ -z "$(find "$STATE/logs" -name "*$id*")" ]
}

@test "rm of a running task is refused" {
	id=$(detached python "$FOREVER")
	run sandboxctl rm "$id"
	[ "$status" = 125 ]
	sandboxctl cancel --force "$id"
	run sandboxctl wait "$id"
	[ "$status" = 137 ]
}
