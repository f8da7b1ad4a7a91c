#!/usr/bin/env bats
# bats file_tags=v2-all
# Checkpoints: made by hand or by need, used where they fit, and never a wrong result
# where they do not.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

teardown() {
	end_background
	# Tests damage checkpoints and replace CRIU, so the next test begins with new ones.
	if [ -n "${FAKE_CRIU:-}" ]; then
		unset FAKE_CRIU
		daemon_stop
		daemon_start
	fi
}

warning() {
	inspect "$(id_of "$1")" .warning
}

checkpoints() {
	find "$STATE/checkpoints" -mindepth 1 -maxdepth 1 -type d -regextype posix-extended \
		-regex '.*/[0-9a-f]{64}'
}

# Removes all checkpoints; more than once, because the daemon may be making or using one in the
# background.
forget_checkpoints() {
	checkpoints | xargs -r rm -rf || return
	[ -z "$(checkpoints)" ]
}

# fresh: the only checkpoint is a new one of the image python under the default policy.
fresh() {
	wait_until "$PATIENCE" forget_checkpoints
	sandboxctl image warm python --force >/dev/null
}

# bats test_tags=v2
@test "auto warms by itself: the first task is cold, later ones are forked" {
	wait_until "$PATIENCE" forget_checkpoints
	sandboxctl run python --label first --code 'print(1)'
	[ "$(mode first)" = cold ]
	wait_until "$PATIENCE" later fork
}

# later MODE: a task of the same kind is started in this mode at last.
later() {
	sandboxctl run python --label later --code 'print(1)' >/dev/null
	[ "$(mode later)" = "$1" ]
}

@test "image warm says what it did, and does it once" {
	wait_until "$PATIENCE" forget_checkpoints
	run sandboxctl image warm python --json
	[ "$status" = 0 ]
	[ "$(jq .existed <<<"$output")" = false ]
	[ "$(jq '.dump_ms > 0 and .bytes > 0' <<<"$output")" = true ]
	[ "$(sandboxctl image warm python --json | jq .existed)" = true ]
	[ "$(sandboxctl image warm python --json --force | jq .existed)" = false ]
	[ "$(checkpoints | wc -l)" = 1 ]
}

@test "checkpoints are root's alone, with a manifest and digests" {
	fresh
	dir=$(checkpoints)
	[ "$(stat -c '%a %u' "$dir")" = "755 0" ]
	[ -s "$dir/manifest.json" ]
	jq -e . "$dir/manifest.json"
	[ "$(stat -c '%a %u' "$STATE/checkpoints")" = "700 0" ]
}

# bats test_tags=v2
@test "a restored task does what a cold one does" {
	fresh
	cat >same.py <<-'EOT'
		import json, os, sys
		print(sys.argv[9:], open(os.environ["PAYLOAD_FILE"]).read(), os.getcwd(), sorted(os.environ))
		print(__name__, sys.flags, sys.path, sys.stdin.read() == "", os.getpid(), os.umask(0o22))
		print(sorted(name for name in globals()))
		sys.stderr.write("to stderr\n")
		sys.exit(5)
	EOT
	echo '{"exec": "same.py", "args": ["a"], "payload": {"k": 1}, "env": {"X": "y"}}' >task.json
	run --separate-stderr sandboxctl run python task.json --start cold
	[ "$status" = 5 ]
	cold=$output
	[ "$stderr" = "to stderr" ]
	run --separate-stderr sandboxctl run python task.json --start restore --label same
	[ "$status" = 5 ]
	[ "$stderr" = "to stderr" ]
	diff <(echo "$cold") <(echo "$output")
	[ "$(mode same)" = restore ]
}

@test "tracebacks, sys.exit, abort and TERM are the same in both modes" {
	fresh
	for code in '1/0' 'import sys; sys.exit("words")' 'import os; os.abort()' 'print("' \
		'import atexit; atexit.register(print, "at exit")' \
		'import signal, os; os.kill(os.getpid(), signal.SIGTERM)' 'raise KeyboardInterrupt'; do
		run --separate-stderr sandboxctl run python --start cold --code "$code"
		cold="$status $output $(grep -v '^sandboxctl: task' <<<"$stderr" || true)"
		run --separate-stderr sandboxctl run python --start restore --code "$code"
		restored="$status $output $(grep -v '^sandboxctl: task' <<<"$stderr" || true)"
		diff <(echo "$cold") <(echo "$restored")
	done
}

@test "no two restored tasks draw the same" {
	fresh
	for _ in $(seq 20); do
		sandboxctl run python --start restore --code '
import os, random, secrets, ssl, tempfile, uuid
print(random.random())
print(uuid.uuid4())
print(uuid.uuid1())
print(secrets.token_hex(8))
print(ssl.RAND_bytes(8).hex())
print(tempfile.mktemp())
print(os.urandom(8).hex())' >>draws
	done
	[ "$(wc -l <draws)" = 140 ]
	[ "$(sort draws | uniq -d | wc -l)" = 0 ]
}

# bats test_tags=v2
@test "memory after a restore is billed to the task" {
	fresh
	run sandboxctl run python --start restore --memory 64M --label billed --code '
x = []
while True:
    x.append(bytearray(1 << 20))'
	[ "$status" = 137 ]
	[ "$(inspect "$(id_of billed)" .verdict)" = oom ]
}

# falls_back WHAT: one task with --start auto is started cold, has the right result, and gets one
# warning.
falls_back() {
	run --separate-stderr timeout "$PATIENCE" "$CTL" run python --label "fallback-$1" --code 'print("right")'
	echo "$1: $status $output $stderr"
	[ "$status" = 0 ] || return 1
	[ "$output" = right ] || return 1
	[ "$(mode "fallback-$1")" = cold ] || return 1
}

# damaged WHAT COMMAND...: a checkpoint that the command has changed is not used.
damaged() {
	local what=$1

	shift
	fresh
	daemon_stop
	(cd "$(checkpoints)" && "$@")
	daemon_start
	falls_back "$what" || return 1
	[[ $stderr == *warning* ]] || return 1
	[ "$(grep -c warning <<<"$stderr")" = 1 ] || return 1
	[ "$(warning "fallback-$what")" != null ]
}

biggest() {
	find . -type f -name '*.img' -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2
}

flip() {
	/usr/bin/python3 -c '
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(100)
    b = f.read(1)
    f.seek(100)
    f.write(bytes([b[0] ^ 1]))' "$1"
}

@test "a flipped bit in CRIU's files: cold, right, one warning" {
	damaged flipped eval 'flip "$(biggest)"'
}

@test "a flipped bit in the heap: cold, right, one warning" {
	damaged heap eval 'flip "$(find . -name "*heap*" -type f | head -n 1)"'
}

@test "a truncated file: cold, right, one warning" {
	damaged truncated eval 'truncate -s 50 "$(biggest)"'
}

@test "a missing file: cold, right, one warning" {
	damaged missing eval 'rm "$(biggest)"'
}

@test "an added file: cold, right, one warning" {
	damaged added touch extra.img
}

@test "a file that became a link: cold, right, one warning" {
	damaged link eval 'f=$(biggest); mv "$f" ../moved; ln -s ../moved "$f"'
	rm -f "$STATE/checkpoints/moved"
}

@test "a manifest that is rubbish: cold, right, one warning" {
	damaged manifest eval 'echo "{" >manifest.json'
}

@test "another image's checkpoint in its place: cold, right" {
	has_image iron || fail "no image iron"
	fresh
	image_link iron
	sandboxctl image warm iron >/dev/null
	mine=$(checkpoints | head -n 1)
	other=$(checkpoints | tail -n 1)
	daemon_stop
	mv "$mine" "$mine.x" && mv "$other" "$mine" && mv "$mine.x" "$other"
	daemon_start
	falls_back swapped
}

@test "no checkpoint and --start restore: cold, right, said" {
	# The daemon is stopped first, because it may be making a checkpoint in the background.
	daemon_stop
	wait_until "$PATIENCE" forget_checkpoints
	daemon_start
	run --separate-stderr sandboxctl run python --start restore --label none --code 'print("right")'
	[ "$status" = 0 ]
	[ "$output" = right ]
	[ "$(mode none)" = cold ]
	[[ $stderr == *warning* ]]
}

# with_criu BODY: the daemon uses a shell script in place of criu; the real criu is $REAL.
with_criu() {
	local real

	real=${SANDBOXD_CRIU:-/usr/local/lib/sandboxd/criu}/sbin/criu
	[ -x "$real" ] || real=$(command -v criu)
	printf '#!/bin/bash\nREAL=%q\n%s\n' "$real" "$1" >"$WORK/criu"
	chmod 755 "$WORK/criu"
	daemon_stop
	FAKE_CRIU=$WORK/criu
	daemon_start
}

@test "a CRIU that dies: cold, right" {
	fresh
	with_criu 'case " $* " in *" swrk "*) exit 1 ;; *) exec "$REAL" "$@" ;; esac'
	falls_back dies
}

@test "a CRIU that dies of a signal: cold, right" {
	fresh
	with_criu 'case " $* " in *" swrk "*) kill -SEGV $$ ;; *) exec "$REAL" "$@" ;; esac'
	falls_back crashes
}

@test "a CRIU that hangs: cold, right, and it is not left behind" {
	fresh
	with_criu 'case " $* " in *" swrk "*) exec sleep 10000 ;; *) exec "$REAL" "$@" ;; esac'
	falls_back hangs
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
	run ! pgrep -f 'sleep 10000'
}

@test "no CRIU at all: everything runs cold" {
	with_criu 'exit 1'
	falls_back none
	run sandboxctl image warm python --force
	[ "$status" = 125 ]
}

@test "imports that a task names are warm in its own checkpoint" {
	echo '{"code": "import sys; print(\"decimal\" in sys.modules)", "warm": {"imports": ["decimal"]}}' >task.json
	sandboxctl run python task.json --label warmed >/dev/null
	wait_until "$PATIENCE" warmed
}

warmed() {
	[ "$(sandboxctl run python task.json --label warmed)" = True ] && [ "$(mode warmed)" = fork ]
}

# used_again DIR: the checkpoint was used, by its date, which the test had set to long ago.
used_again() {
	[ "$(stat -c %Y "$1")" -gt 1000000000 ]
}

@test "of too many checkpoints one goes of the project that has most; forks use theirs too" {
	local mine mode n folder

	fresh
	mine=$(checkpoints)
	forks python
	for mode in restore fork; do
		touch -d @1000 "$mine"
		sandboxctl run python --start "$mode" --label used --code 'print(1)'
		[ "$(mode used)" = "$mode" ]
		wait_until "$PATIENCE" used_again "$mine"
	done
	# The oldest checkpoint is the only one of its project; the others are another project's.
	for n in {1..64}; do
		folder=$(printf '%s/checkpoints/%064x' "$STATE" "$n")
		mkdir "$folder"
		chgrp "$((2000000 + 65536 * (n == 1 ? 8 : 7)))" "$folder"
		touch -d "@$((n + 2000))" "$folder"
	done
	sandboxctl image warm python --imports decimal
	[ "$(checkpoints | wc -l)" = 65 ]
	[ -d "$mine" ]
	[ -d "$(printf '%s/checkpoints/%064x' "$STATE" 1)" ]
	[ ! -d "$(printf '%s/checkpoints/%064x' "$STATE" 2)" ]
	# The group of a checkpoint's folder says whose it is; this one is everybody's.
	[ "$(stat -c %u:%g:%a "$mine")" = "0:$((2000000 + 65536 * 4096)):755" ]
	wait_until "$PATIENCE" forget_checkpoints
}

@test "an import that cannot be done makes no checkpoint, and the task starts cold" {
	run sandboxctl image warm python --imports no_such_module
	[ "$status" = 125 ]
	[[ $output == *no_such_module* ]]
	echo '{"code": "print(1)", "warm": {"imports": ["no_such_module"]}}' >task.json
	run sandboxctl run python task.json --label nomodule
	[ "$status" = 0 ]
	[ "$(mode nomodule)" = cold ]
}
