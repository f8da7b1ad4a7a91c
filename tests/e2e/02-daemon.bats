#!/usr/bin/env bats
# The daemon's own life: how it starts, what it answers, how it ends.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon

@test "version says both versions" {
	run --separate-stderr sandboxctl version
	[ "$status" = 0 ]
	[[ $output == *"sandboxctl $(cat "$TOP/VERSION")"* ]]
	[[ $output == *"sandboxd   $(cat "$TOP/VERSION")"* ]]
	[ -z "$stderr" ]
	[ "$(sandboxctl version --json | jq -r .sandboxd.version)" = "$(cat "$TOP/VERSION")" ]
}

@test "ps is an empty table, and an empty array" {
	run sandboxctl ps
	[ "$status" = 0 ]
	[[ $output == "ID "*"LABEL" ]]
	[ "$(sandboxctl ps --json)" = "[]" ]
}

@test "doctor finds the daemon, the state folder and the image" {
	run sandboxctl doctor
	grep -qE '^OK +daemon ' <<<"$output"
	grep -qE "^OK +state folder +$STATE" <<<"$output"
	grep -qE '^OK +images +1: python' <<<"$output"
	grep -qE '^OK +policies +4: build default network strict$' <<<"$output"
}

@test "doctor says what the daemon or the host gives all tasks of one user less of" {
	local -x UNDER='prlimit --sigpending=2000 setpriv --bounding-set=-sys_resource' level=WARN

	daemon_stop
	daemon_start
	run sandboxctl doctor
	UNDER=''
	daemon_stop
	daemon_start
	grep -qE '^WARN +limits .* 2000 pending signals \(1024 of a task\)' <<<"$output" || fail "$output"
	grep -q 'LimitSIGPENDING=' <<<"$output" || fail "$output"
	# Where the daemon may, it sets these limits.
	! grep -q 'unlimited.*unlimited.*unlimited' < <(grep -E '^Max (pending|msgq|locked)' \
		"/proc/$(role monitor)/limits" | awk '{ print $(NF - 2) }' | tr '\n' ' ') || level=OK
	grep -qE "^$level +limits" < <(sandboxctl doctor) || fail "$(sandboxctl doctor)"
	level=WARN
	[ "$(cat /proc/sys/fs/inotify/max_user_instances)" -lt 2048 ] ||
		[ "$(cat /proc/sys/fs/inotify/max_user_watches)" -lt 524288 ] || level=OK
	grep -qE "^$level +inotify" <<<"$output" || fail "$output"
}

@test "doctor looks at the criu that the daemon was started with" {
	local FAKE_CRIU=$WORK/criu

	printf '#!/bin/sh\necho Version: 9.87\n' >"$FAKE_CRIU"
	chmod 755 "$FAKE_CRIU"
	daemon_stop
	daemon_start
	run sandboxctl doctor
	FAKE_CRIU=''
	daemon_stop
	daemon_start
	grep -qE "^OK +criu +$WORK/criu 9.87, " <<<"$output" || fail "$output"
	# A criu that belongs to another user is not executed, because root would run it.
	chown 65534 "$RUN/criu"
	printf '%s' "$WORK/criu" >"$RUN/criu"
	run sandboxctl doctor
	[[ $output != *"$WORK/criu"* ]]
}

@test "three roles, three programs: the monitor is root, front and logger are not" {
	[ "$(ps -o comm= -p "$(role monitor)")" = sandboxd ]
	[ "$(ps -o user= -p "$(role monitor)")" = root ]
	for name in front logger; do
		pid=$(role $name)
		[ "$(realpath "/proc/$pid/exe")" = "$(realpath "$SANDBOXD_LIBEXEC/sandboxd-$name")" ]
		# The role has no uid, gid or capability of root's, and no way back to one.
		[ "$(awk '/^(Uid|Gid):/ { print ($2 && $3 && $4 && $5) }' "/proc/$pid/status" | sort -u)" = 1 ]
		[ "$(awk '/^Cap(Prm|Eff|Inh|Amb):/ { print $2 }' "/proc/$pid/status" | sort -u)" = 0000000000000000 ]
		[ "$(awk '/^NoNewPrivs:/ { print $2 }' "/proc/$pid/status")" = 1 ]
	done
}

# libraries PID: the shared objects that a process maps, without a sanitizer and what the sanitizer maps.
libraries() {
	local of_asan='^lib(asan|ubsan|stdc\+\+|gcc_s|m|rt|dl|pthread)\.'

	grep -q libasan "/proc/$1/maps" || of_asan='^$'
	awk '$6 ~ /\.so/ { print $6 }' "/proc/$1/maps" | sed 's,.*/,,' | sort -u | grep -vE "$of_asan"
}

@test "what is root, or makes sandboxes, maps no library that reads what others write" {
	local pid title titles='' readers='jansson|sqlite|microhttpd|archive|zip|xml|ssl|gnutls|icu'

	detached python 'import time; time.sleep(600)' --start cold --label maps >/dev/null
	wait_until "$PATIENCE" status_is "$(id_of maps)" running
	sandboxctl image warm python >/dev/null
	forks python
	for pid in "$(role monitor)" $(pgrep -P "$(role monitor)"); do
		[ "$(realpath "/proc/$pid/exe")" = "$(realpath "$DAEMON")" ] || continue
		title=$(tr '\0' ' ' <"/proc/$pid/cmdline")
		titles+=" $title"
		! libraries "$pid" | grep -iE "$readers" || fail "$title"
		[ "$(libraries "$pid" | wc -l)" -le 16 ] || fail "$title: $(libraries "$pid")"
	done
	# A process of each kind was looked at.
	[[ $titles == *'sandboxd: monitor'* && $titles == *'sandboxd: init of'* && $titles == *'sandboxd: template'* ]]
	! libraries "$(role logger)" | grep -iE "$readers" || fail logger
	# The control: libraries finds such a library where there is one.
	libraries "$(role front)" | grep -q sqlite
	libraries "$(role front)" | grep -q libzip
	sandboxctl cancel --force "$(id_of maps)"
}

@test "sandboxd without the programs of its roles says what is missing" {
	local alone=$BATS_TEST_TMPDIR/sbin

	mkdir "$alone"
	cp "$DAEMON" "$alone/sandboxd"
	run -125 "$alone/sandboxd" --state "$BATS_TEST_TMPDIR/state" --run "$BATS_TEST_TMPDIR/run" --http none --edge-http none
	[[ $output == *"sandboxd-front is neither in $alone nor in $alone/../libexec/sandboxd: install all"* ]]
	for name in front logger; do
		run -125 "$SANDBOXD_LIBEXEC/sandboxd-$name"
		[[ $output == "sandboxd-$name "*"not to be called by hand"* ]]
	done
}

@test "an upgrade of its files does not mix versions: a role that dies comes back as it was" {
	local DAEMON=$BATS_TEST_TMPDIR/sbin/sandboxd libexec=$BATS_TEST_TMPDIR/libexec/sandboxd was

	mkdir -p "$BATS_TEST_TMPDIR/sbin" "$libexec"
	cp "$SANDBOXD_BUILD/usr/local/sbin/sandboxd" "$DAEMON"
	cp "$SANDBOXD_LIBEXEC"/sandboxd-* "$libexec/"
	daemon_stop
	daemon_start
	was=$(stat -Lc %i "/proc/$(role front)/exe")
	cp /bin/false "$libexec/next"
	mv "$libexec/next" "$libexec/sandboxd-front"
	role_kill front
	wait_until "$PATIENCE" sandboxctl version
	[ "$(stat -Lc %i "/proc/$(role front)/exe")" = "$was" ]
	# After the next start the file is the one that is there by then.
	cp "$SANDBOXD_LIBEXEC/sandboxd-front" "$libexec/next"
	mv "$libexec/next" "$libexec/sandboxd-front"
	daemon_stop
	daemon_start
	[ "$(stat -Lc %i "/proc/$(role front)/exe")" != "$was" ]
	DAEMON=$SANDBOXD_BUILD/usr/local/sbin/sandboxd
	daemon_stop
	daemon_start
}

@test "the control socket is for root and the group sandboxd alone" {
	[ "$(stat -c '%a %U %G' "$SANDBOXD_SOCKET")" = "660 root sandboxd" ]
	run setpriv --reuid=65534 --regid=65534 --clear-groups "$CTL" ps
	[ "$status" = 125 ]
	[[ $output == *"group sandboxd"* ]]
}

@test "a member of the group sandboxd may run tasks" {
	run setpriv --reuid=65534 --regid=65534 --groups="$(getent group sandboxd | cut -d: -f3)" \
		"$CTL" run python --code 'print("hello")'
	[ "$status" = 0 ]
	[ "$output" = hello ]
}

@test "a second daemon in the same run folder is refused, and the first one lives" {
	mapfile -t options < <(daemon_options)
	run timeout "$PATIENCE" "$DAEMON" "${options[@]}"
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	[[ $output == *sandboxd* ]]
	sandboxctl version
}

@test "a second daemon with the same state folder is refused, and the first one lives" {
	run timeout "$PATIENCE" "$DAEMON" --state "$STATE" --run "$BATS_TEST_TMPDIR/run" \
		--cgroup "${GROUP}2" --http none --edge-http none
	[ "$status" = 125 ]
	[[ $output == *"another sandboxd runs with --state $STATE"* ]]
	sandboxctl version
}

@test "a second daemon with the same cgroup is refused, and a task of the first one goes on" {
	local id

	id=$(detached python 'import time; time.sleep(600)')
	wait_until "$PATIENCE" status_is "$id" running
	run timeout "$PATIENCE" "$DAEMON" --state "$BATS_TEST_TMPDIR/state" \
		--run "$BATS_TEST_TMPDIR/run" --cgroup "$GROUP" --http none --edge-http none
	[ "$status" = 125 ]
	[[ $output == *"another sandboxd runs with --cgroup $GROUP"* ]]
	status_is "$id" running
	sandboxctl cancel --force "$id"
	[ "$(sandboxctl wait "$id" || true)" = 137 ]
}

@test "a wrong option is said, and nothing is started" {
	run timeout "$PATIENCE" "$DAEMON" --frobnicate
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	[[ $output == *frobnicate* ]]
}

@test "without root it does not start, and says so" {
	run setpriv --reuid=65534 --regid=65534 --clear-groups timeout "$PATIENCE" "$DAEMON" \
		--state "$BATS_TEST_TMPDIR/s" --run "$BATS_TEST_TMPDIR/r"
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	[[ $output == *root* ]]
}

@test "TERM ends the roles, and the next start answers again" {
	local front logger

	front=$(role front) logger=$(role logger)
	daemon_stop
	wait_until "$PATIENCE" gone "$front"
	wait_until "$PATIENCE" gone "$logger"
	run sandboxctl version
	[ "$status" = 125 ]
	daemon_start
}

@test "--max-running: as many run, and the next one waits" {
	local ids=()

	daemon_stop
	MORE_OPTIONS='--max-running 1' daemon_start
	for _ in 1 2; do
		ids+=("$(detached python 'import time; time.sleep(600)')")
	done
	wait_until "$PATIENCE" status_is "${ids[0]}" running
	status_is "${ids[1]}" queued
	sandboxctl cancel --force "${ids[@]}"
	daemon_stop
	daemon_start
}

@test "--max-running: a wrong number is refused by the option's name" {
	for n in 0 -1 many 1x 1000000; do
		run "$DAEMON" --max-running "$n"
		[ "$status" != 0 ]
		[[ $output == *--max-running* ]]
	done
}

@test "--detach returns when the daemon answers" {
	daemon_stop
	mapfile -t options < <(daemon_options)
	timeout "$PATIENCE" "$DAEMON" "${options[@]}" --detach </dev/null >>"$WORK/log" 2>&1 3>&- 4>&-
	sandboxctl version
	cp "$RUN/sandboxd.pid" "$WORK/pid"
	[ "$(ps -o comm= -p "$(cat "$WORK/pid")")" = sandboxd ]
	daemon_stop
	daemon_start
}

@test "--detach fails, and says why, where a role's program cannot be executed" {
	local role

	mkdir -p own/sbin own/libexec/sandboxd
	cp "$DAEMON" own/sbin/sandboxd
	for role in front logger; do
		cp "$SANDBOXD_LIBEXEC"/sandboxd-{front,logger} own/libexec/sandboxd/
		chmod 644 "own/libexec/sandboxd/sandboxd-$role"
		run own/sbin/sandboxd --state s --run r --cgroup "${GROUP}2" --http none --edge-http none --detach 3>&- 4>&-
		[ "$status" = 125 ] || fail "$status $output"
		[[ $output == *"monitor: error: execute sandboxd-$role: Permission denied"*'not started; see'* ]] ||
			fail "$output"
	done
}

@test "--detach: folders are taken from where it is started" {
	local pid

	cd "$BATS_TEST_TMPDIR"
	timeout "$PATIENCE" "$DAEMON" --state s --run r --cgroup "${GROUP}2" --http none --edge-http none --criu /nonexistent --detach \
		</dev/null >>"$WORK/log" 2>&1 3>&- 4>&-
	read -r pid <r/sandboxd.pid
	run "$CTL" --socket "$PWD/r/control.sock" version
	kill "$pid"
	[ "$status" = 0 ]
	# What is wrong is told once.
	[ "$(grep -c 'no checkpoints: /nonexistent cannot be run' r/sandboxd.log)" = 1 ] || fail "$(cat r/sandboxd.log)"
	wait_until "$PATIENCE" gone "$pid"
	[ -d s/front ]
	[ ! -e /s ] && [ ! -e /r ]
}

@test "it tells systemd when it is ready" {
	daemon_stop
	[ -x /usr/bin/python3 ] || fail "no Python to listen with"
	# Listens on a datagram socket, as systemd does, and writes the first message to a file.
	/usr/bin/python3 - "$WORK/notify" "$WORK/said" 3>&- 4>&- <<-'EOT' &
		import socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		s.bind(sys.argv[1])
		said = ""
		while "READY=1" not in said:
		    said += s.recv(4096).decode()
		open(sys.argv[2], "w").write(said)
	EOT
	wait_until "$PATIENCE" test -S "$WORK/notify"
	NOTIFY_SOCKET=$WORK/notify daemon_start
	wait_until "$PATIENCE" file_has "$WORK/said" READY=1
	rm -f "$WORK/notify" "$WORK/said"
}
