#!/usr/bin/env bats
# scripts/sandboxd.service: what it lets the daemon do is enough, and no more than that. There need not
# be a systemd that runs: setpriv and a mount namespace do here what it would do.
load daemon
load far

setup_file() {
	UNIT=$TOP/scripts/sandboxd.service
	export EDGE=127.0.0.1:0 UNIT UNDER="bash $BATS_FILE_TMPDIR/under" NETNS=unit-$$-$RANDOM
	ip netns add "$NETNS"
	there ip link set lo up
	confinement >"$BATS_FILE_TMPDIR/under"
	daemon_make
}

teardown() {
	end_background
	far_remove
}

teardown_file() {
	retire_all
	daemon_remove
	ip netns del "$NETNS"
}

# unit KEY: all values of a key of the unit, on one line.
unit() {
	sed -n "s/^$1=//p" "$UNIT" | tr '\n' ' '
}

# confinement: prints a script that executes its arguments as systemd would by what the unit says: with
# its capabilities, in a mount namespace where only the state folder and the run folders can be written.
confinement() {
	local caps

	caps=$(unit CapabilityBoundingSet | tr '[:upper:]' '[:lower:]' | sed 's/ *$//; s/cap_/,+/g; s/ //g')
	[ "$(unit RuntimeDirectory)" = 'sandboxd sandboxd-network ' ]
	[ "$(unit NoNewPrivileges)$(unit ProtectSystem)$(unit ProtectHome)$(unit PrivateTmp)" = \
		'yes strict yes yes ' ]
	cat <<-EOF
		if [ -z "\${INSIDE:-}" ]; then
			export INSIDE=1
			exec unshare --mount --propagation slave bash "\$0" "\$@"
		fi
		set -e
		unset INSIDE
		for folder in "\$STATE" "\$RUN" /run/sandboxd-network; do
			mkdir -p "\$folder"
			mount --bind "\$folder" "\$folder"
		done
		while read -r _ _ _ _ point _; do
			case \$point in
			/proc* | /sys* | /dev* | "\$STATE" | "\$RUN" | /run/sandboxd-network) ;;
			*) mount -o remount,bind,ro "\$point" 2>/dev/null || true ;;
			esac
		done </proc/self/mountinfo
		mount -t tmpfs private-tmp /tmp
		mount -t tmpfs -o ro,mode=0 no-home /root
		mount -t tmpfs -o ro,mode=0 no-home /home
		# The confinement is in force.
		! touch /etc/sandboxd-unit-test 2>/dev/null
		exec setpriv --no-new-privs --bounding-set "-all$caps" -- "\$@"
	EOF
}

@test "systemd knows all that the unit says, and finds it no less confined than it was" {
	local limit=80 cap

	# Versions of systemd weigh settings differently; the sum is known for this version.
	[[ $(systemd-analyze --version) != 'systemd 252 '* ]] || limit=77
	# systemd-analyze wants the program to exist.
	sed "s|^ExecStart=.*|ExecStart=/bin/true|" "$UNIT" >sandboxd.service
	run systemd-analyze verify ./sandboxd.service
	[ "$status" = 0 ] && [ -z "$output" ] || fail "$output"
	# Where the daemon has no CAP_SYS_RESOURCE, these limits are its own, and would be those of all
	# tasks together.
	[ "$(unit LimitSIGPENDING)$(unit LimitMSGQUEUE)$(unit LimitMEMLOCK)" = 'infinity infinity infinity ' ]
	run systemd-analyze security --offline=true "--threshold=$limit" sandboxd.service
	[ "$status" = 0 ] || fail "$output"
	# The unit gives a reason for each capability.
	for cap in $(unit CapabilityBoundingSet); do
		sed -n 's/^#//p' "$UNIT" | grep -qw "${cap#CAP_}" || fail "$cap: the unit does not say what for"
	done
}

@test "the daemon has no more than the unit's capabilities, and no filter that its tracing would not bear" {
	local status_file have want

	status_file=/proc/$(role monitor)/status
	have=$(capsh --decode="$(awk '/^CapEff/ { print $2 }' "$status_file")" | sed 's/.*=//' | tr ',' '\n' | sort)
	want=$(unit CapabilityBoundingSet | tr '[:upper:] ' '[:lower:]\n' | sed '/^$/d' | sort)
	# What this machine does not have either is no difference.
	[ -z "$(comm -23 <(echo "$have") <(echo "$want"))" ]
	grep -qE '^NoNewPrivs:\s1' "$status_file"
	grep -qE '^Seccomp:\s0' "$status_file"
}

@test "tasks run in all start modes, with their folders and limits" {
	mkdir job
	echo 'print("from the folder")' >job/main.py
	echo '{"exec": "main.py", "dir": "job"}' >task.json
	WARM=1 forks python
	for start in $MODES; do
		[ "$(sandboxctl run python --start "$start" --label "unit-$start" --code 'print(6 * 7)' 2>&1)" = 42 ]
		[ "$(mode "unit-$start")" = "$start" ]
		[ "$(sandboxctl run python task.json --start "$start")" = 'from the folder' ]
		run sandboxctl run python --start "$start" --memory 64M --code 'x = bytearray(1 << 30)'
		[ "$status" = 137 ]
	done
	grep -c 'cannot\|denied\|not permitted' "$WORK/log" && fail "$(cat "$WORK/log")" || true
}

@test "the edge serves, in words while the front says nothing of workers" {
	there curl -sS -m "$PATIENCE" "http://$(cat "$RUN/edge-http")/" -H 'Host: a b' | grep -q '^400 .*(request '
	[ "$(pgrep -c -P "$(cat "$WORK/pid")" -u _sandboxd-edge)" = 1 ]
}

@test "a task with egress has its way out" {
	far_make
	ip netns exec "$GROUP" /usr/bin/python3 -c '
import socket
s = socket.create_server(("203.0.113.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b"served")
    c.close()' >port 3>&- 4>&- &
	wait_until "$PATIENCE" test -s port
	jq '.name = "out" | .network = {"mode": "egress", "allow": [{"to": "203.0.113.0/30"}]}' \
		"$TOP/policies/network.json" >out.json
	sandboxctl policy install out.json
	run sandboxctl run python --policy out -e "PORT=$(cat port)" -e "PATIENCE=$PATIENCE" --code '
import os, socket
s = socket.create_connection(("203.0.113.1", int(os.environ["PORT"])), float(os.environ["PATIENCE"]))
print(s.recv(10).decode())'
	[ "$output" = served ] || fail "$output"
}

@test "tasks outlive the daemon and its roles" {
	local id

	for start in $MODES; do
		id=$(detached python "$GATE"'
print("begun", flush=True)
gate()
print("ended")' --start "$start")
		wait_until "$PATIENCE" log_has "$id" begun
		wait_until "$PATIENCE" role_kill front
		wait_until "$PATIENCE" sandboxctl version
		wait_until "$PATIENCE" role_kill logger
		[ "$start" = cold ] && role_kill monitor
		signal_task "$id" USR1
		sandboxctl wait "$id"
		wait_until "$PATIENCE" log_has "$id" ended
	done
}
