#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a task may do to its surroundings, seen from outside: images with hostile paths or a
# hostile interpreter, what is left when a task ends, core handlers, terminals, clones.

load lib.bash

setup_file() {
	security_setup
	cp -r "$SECURITY/bombs" "$WORK/bombs"
	warm python
}

# craft NAME COMMAND: makes a copy of the image python (hard links), changes it by a shell command that
# runs in its root, and gives it a made-up digest.
craft() {
	local digest
	digest=$(printf '%s' "$1" | sha256sum | cut -d' ' -f1)

	CRAFTED=$STATE/images/$digest
	cp -al "$(dirname "$(rootfs python)")" "$CRAFTED"
	ln -sfn "../$digest" "$STATE/images/by-name/$1"
	(cd "$CRAFTED/rootfs" && eval "$2")
}

# contained: what may become of a crafted image's task: it prints its own output, or ends with status 125
# and a reason. Nothing on this machine may have changed, and the daemon must serve the next task.
contained() {
	local status=0 before=$WORK/bait-before after=$WORK/bait-after

	mkdir -p "$WORK/bait"
	echo bait >"$WORK/bait/file"
	listing "$WORK/bait" >"$before"
	timeout 60 "$CTL" run "$1" --start cold --code 'import os
for path in ("/work", "/tmp", "/dev", "/proc", "/sys", "/run"):
    for name in ("file", "made"):
        try:
            os.close(os.open(os.path.join(path, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
        except OSError:
            pass
print("contained")' >"$WORK/out/$1" 2>"$WORK/out/$1.err" </dev/null || status=$?
	listing "$WORK/bait" >"$after"
	diff "$before" "$after" || fail "$1 reached a file of this machine"
	if [ "$status" = 0 ]; then
		[ "$(cat "$WORK/out/$1")" = contained ] || fail "$1: wrong output"
	else
		[ "$status" = 125 ] || fail "$1: exit status $status: $(cat "$WORK/out/$1.err")"
		[ -s "$WORK/out/$1.err" ] || fail "$1: refused without words"
	fi
	[ "$("$CTL" run python --code 'print(1)')" = 1 ]
	refute grep -q "$WORK/bait" /proc/self/mountinfo
}

@test "image: mount points that are symlinks out of it are refused or contained" {
	local n

	for n in proc sys dev tmp run work; do
		craft "link-$n" "rm -rf $n && ln -s '$WORK/bait' $n"
		contained "link-$n"
		craft "up-$n" "rm -rf $n && ln -s '../../../../../../../..$WORK/bait' $n"
		contained "up-$n"
	done
}

@test "image: mount points that are links to each other, files, or missing" {
	craft proc-etc 'rm -rf proc && ln -s etc proc' && contained proc-etc
	craft dev-proc 'rm -rf dev && ln -s proc/self dev' && contained dev-proc
	craft tmp-proc 'rm -rf tmp && ln -s /proc/1/root tmp' && contained tmp-proc
	craft run-run 'rm -rf run && ln -s run run' && contained run-run
	craft work-file 'rm -rf work && touch work' && contained work-file
	craft no-work 'rm -rf work' && contained no-work
	craft no-proc 'rm -rf proc' && contained no-proc
	craft work-fifo 'rm -rf work && mkfifo work' && contained work-fifo
	craft hosts-link "ln -sf '$WORK/bait/file' etc/hosts" && contained hosts-link
	craft hosts-folder 'rm etc/hosts && mkdir etc/hosts' && contained hosts-folder
	craft no-hosts 'rm etc/hosts' && contained no-hosts
	craft etc-link "mv etc usr/etc && ln -s usr/etc etc" && contained etc-link
}

@test "image: nodes and files where the devices go" {
	craft dev-null-link "mkdir -p dev && ln -sf '$WORK/bait/file' dev/null" && contained dev-null-link
	craft dev-null-dir 'mkdir -p dev/null' && contained dev-null-dir
	craft dev-mem 'mkdir -p dev && mknod -m 666 dev/mem c 1 1 && mknod -m 666 usr/mem c 1 1'
	contained dev-mem
	# The image's file system is mounted without devices.
	run "$CTL" run dev-mem --start cold --code 'open("/usr/mem", "rb")'
	[ "$status" -eq 1 ]
	[[ $output == *PermissionError* ]]
}

@test "image: an interpreter or runtime that is a link out of it is looked for inside" {
	craft python-link "rm usr/bin/python3* && ln -s '$WORK/bait/file' usr/bin/python3"
	run "$CTL" run python-link --start cold --code 'print(1)'
	[[ $status -eq 125 || $status -eq 126 || $status -eq 127 ]]
	craft runtime-link "rm -rf usr/lib/sandbox-runtime && ln -s '$WORK/bait' usr/lib/sandbox-runtime"
	run "$CTL" run runtime-link --start cold --code 'print(1)'
	[ "$status" -ne 0 ]
	[ "$("$CTL" run python --code 'print(1)')" = 1 ]
}

@test "image: image.bin that is cut, longer, a link, a FIFO, or someone else's is refused" {
	local change

	for change in 'truncate -s 100 image.bin' 'truncate -s 1000000 image.bin' \
		'mv image.bin b && ln -s b image.bin' 'rm image.bin && mkfifo image.bin' \
		'chown 65534 image.bin' 'chmod 666 image.bin' 'rm image.bin' \
		'shred -n 1 image.bin'; do
		craft image-bin "cd .. && cp image.bin own && mv own image.bin && $change"
		run timeout 30 "$CTL" run image-bin --start cold --code 'print(1)'
		[ "$status" -eq 125 ] || fail "$change: exit status $status: $output"
		[ "$("$CTL" run python --code 'print(1)')" = 1 ]
		rm -r "$CRAFTED"
	done
}

@test "image: a setuid file in it gains nothing" {
	local code='import os; print(0 in os.getresuid() + os.getresgid())'

	craft suid 'cp --remove-destination -L usr/bin/python3 usr/bin/suid-python
		chmod 6755 usr/bin/suid-python'
	run "$CTL" run suid --start cold --code "
import subprocess
subprocess.run(['/usr/bin/suid-python', '-c', '$code'])"
	[ "$status" -eq 0 ]
	[ "$output" = False ]
	# The control: outside a sandbox the program does gain root.
	run chroot --userspec=65534:65534 --groups= "$CRAFTED/rootfs" /usr/bin/suid-python -c "$code"
	[ "$output" = True ]
}

@test "runtime: an interpreter that floods and abuses the pipes of the init harms nobody" {
	local body

	for body in 'head -c 100000000 /dev/zero >&4; echo S >&4' 'yes "S 18446744073709551615" >&4' \
		'printf "S 99999999999999999999999999\n" >&4' 'exec 4>&- 3<&-; sleep 1' \
		'printf PPPP >&4; kill -STOP $$' 'cat <&3 >/dev/null; exit 9' 'printf "S -1\nS 0\n\0" >&4'; do
		craft hostile-python "rm usr/bin/python3*; printf '#!/bin/sh\n%s\n' '$body' >usr/bin/python3
			chmod 755 usr/bin/python3"
		run timeout 60 "$CTL" run hostile-python --start cold --timeout 3 --code 'print(1)'
		[[ $status -ne 0 || $output == "" ]] || fail "$body: status 0 and output $output"
		"$CTL" version >/dev/null || fail "$body: the daemon is gone"
		[ "$("$CTL" run python --code 'print(1)')" = 1 ]
		rm -r "$CRAFTED"
	done
}

@test "image: unchanged after all that tasks try" {
	local before=$WORK/image-before after=$WORK/image-after mode

	listing "$(rootfs python)" >"$before"
	for mode in $SECURITY_MODES; do
		"$CTL" run python --start "$mode" --code '
import os
for top, dirs, files in os.walk("/"):
    dirs[:] = [d for d in dirs if top != "/" or d not in ("proc", "sys", "tmp", "work")]
    for name in files:
        path = os.path.join(top, name)
        for change in (lambda: os.close(os.open(path, os.O_WRONLY)), lambda: os.chmod(path, 0o777),
                       lambda: os.utime(path), lambda: os.unlink(path),
                       lambda: os.rename(path, "/tmp/x"), lambda: os.setxattr(path, "user.x", b"1")):
            try:
                change()
            except OSError:
                pass'
	done
	listing "$(rootfs python)" >"$after"
	cmp "$before" "$after"
}

@test "end: descendants that fork twice, leave the session and ignore signals are gone" {
	local mode marker

	for mode in $SECURITY_MODES; do
		marker=orphan-$mode-$$
		task "$WORK/bombs" orphans.py
		run "$CTL" run python "$WORK/bombs/task.json" --start "$mode" -- "$marker"
		[ "$output" = left ]
		wait_until "$PATIENCE" none_named "$marker"
	done
}

@test "end: the same when it is cancelled in the middle" {
	local marker=orphan-cancelled-$$ id

	task "$WORK/bombs" orphans.py
	id=$("$CTL" --json run python --detach --label "$marker" --code "
import os, signal, sys, time
for number in range(1, 65):
    if number not in (9, 19, 32, 33):
        signal.signal(number, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        os.execv(sys.executable, ['$marker', '-c', 'import time; time.sleep(600)', '$marker'])
time.sleep(600)" | jq -r .id)
	wait_until "$PATIENCE" some_named "$marker"
	"$CTL" cancel --force "$id"
	"$CTL" wait "$id" || true
	wait_until "$PATIENCE" none_named "$marker"
}

@test "kill(-1) in one task leaves its neighbour, the init and the daemon alone" {
	local id

	id=$("$CTL" --json run python --detach --code 'import time; time.sleep(600)' | jq -r .id)
	wait_until "$PATIENCE" status_is "$id" running
	run "$CTL" run python --code '
import os, signal
if os.fork() == 0:
    os.kill(-1, signal.SIGKILL)
    os._exit(0)
import time
time.sleep(600)'
	[ "$status" -eq 137 ]
	[ "$("$CTL" --json inspect "$id" | jq -r .status)" = running ]
	"$CTL" cancel --force "$id"
}

@test "kill(0) in one task leaves the others alone: no session is shared" {
	local id mode

	for mode in $SECURITY_MODES; do
		ready_for "$mode" python
		id=$("$CTL" run python --start "$mode" --label "group-$mode" --detach --code "$GATE
print('ready', flush=True)
gate()
print('went on')")
		wait_until "$PATIENCE" log_has "$id" ready
		run "$CTL" run python --start "$mode" --label "group-$mode" --code '
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpgrp(), os.getsid(0), flush=True)
os.kill(0, signal.SIGTERM)'
		[ "$status" = 0 ]
		[ "$output" = "2 2" ] || fail "$mode: process group and session $output"
		signal_task "$id" USR1
		"$CTL" wait "$id"
		log_has "$id" "went on"
		[ "$(modes_of "group-$mode" | sort -u)" = "$mode" ]
	done
}

@test "core: a crash starts no handler of this machine's" {
	local pattern handler=$WORK/handler before root

	# The kernel starts a core handler outside of all namespaces, where the root of these tests may
	# be a folder.
	root=$(awk '$5 == "/" { print $4; exit }' /proc/self/mountinfo)
	[ -w /proc/sys/kernel/core_pattern ]
	pattern=$(cat /proc/sys/kernel/core_pattern)
	printf '#!/bin/sh\necho "$@" >>%s/cores\n' "${root%/}$WORK" >"$handler"
	chmod 755 "$handler"
	echo "|${root%/}$handler %P %e" >/proc/sys/kernel/core_pattern
	# The control: a crash outside a sandbox does start the handler.
	(ulimit -c unlimited && exec /usr/bin/python3 -c 'import os; os.abort()') || true
	wait_until "$PATIENCE" test -s "$WORK/cores" || true
	before=$(wc -l <"$WORK/cores")
	run "$CTL" run python --code '
import os, resource
for limit in resource.RLIM_INFINITY, 0:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
    except (ValueError, OSError):
        pass
if os.fork() == 0:
    os.abort()
os.wait()
os.abort()'
	echo "$pattern" >/proc/sys/kernel/core_pattern
	[ "$status" -eq 134 ]
	[ "$before" -ge 1 ]
	[ "$(wc -l <"$WORK/cores")" = "$before" ]
}

@test "terminal: escape sequences do not reach it raw, and reach a pipe as they are" {
	task "$WORK/bombs" output.py
	"$CTL" run python "$WORK/bombs/task.json" -- escapes >"$WORK/out/raw"
	grep -q $'\x1b\[2J' "$WORK/out/raw"
	script -qec "'$CTL' run python '$WORK/bombs/task.json' -- escapes" /dev/null >"$WORK/out/tty" </dev/null
	refute grep -qP '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]' <(tr -d '\r' <"$WORK/out/tty")
	refute grep -qaF $'\xc2\x9b' "$WORK/out/tty"
	refute grep -qaF $'\xe2\x80\xae' "$WORK/out/tty"
}

# clones MODE: four tasks at once; what one writes to memory, /tmp and the work folder, no other sees.
clones() {
	local i ids=()

	ready_for "$1" python
	for i in 1 2 3 4; do
		ids+=("$("$CTL" --json run python --start "$1" --detach --label "clone-$1-$i" --code "
import json, os, sys, time
assert not hasattr(json, 'mark'), 'another clone wrote here'
json.mark = $i
json.decoder.mark = [$i] * 1000
open('/tmp/mark', 'x').write('$i')
open('mark', 'x').write('$i')
time.sleep(1)
print(json.mark, set(json.decoder.mark), open('/tmp/mark').read(), sorted(os.listdir('.')))" |
			jq -r .id)")
	done
	for i in 1 2 3 4; do
		"$CTL" wait "${ids[i - 1]}"
		[ "$("$CTL" logs "${ids[i - 1]}")" = "$i {$i} $i ['mark']" ]
		[ "$(modes_of "clone-$1-$i" | sort -u)" = "$1" ]
	done
}

@test "clones: what one restored task writes, no other sees" {
	clones restore
}

@test "clones: what one forked task writes, neither another one nor the template sees" {
	clones fork
	# From the same template, after them.
	clones fork
}
