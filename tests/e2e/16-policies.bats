#!/usr/bin/env bats
# bats file_tags=v2-all
# Policies: what is listed and refused, and what each lets a task do.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load daemon
load far

# The host's network is a namespace of this file's own: the daemons of other files have the host's own
# interfaces forward, and stop that when they end.
setup_file() {
	export NETNS=policies-$$-$RANDOM
	ip netns add "$NETNS"
	there ip link set lo up
	daemon_make
}

# reached ADDRESS: what the server sends to this machine.
reached() {
	# shellcheck disable=SC2016 # its own words
	there timeout 10 bash -c 'cat <"/dev/tcp/$1/$2"' bash "$1" "$PORT"
}

teardown() {
	end_background
	far_remove
}

# Parked clones have an interface already, and must not be taken for one that was left behind.
teardown_file() {
	retire_all
	daemon_remove
	ip netns del "$NETNS"
}

@test "policy ls has the four" {
	run sandboxctl policy ls
	[ "$status" = 0 ]
	for name in build default network strict; do
		grep -q "^$name " <<<"$output"
	done
	[ "$(sandboxctl policy ls --json | jq -r '.[].name' | sort | tr '\n' ' ')" = "build default network strict " ]
}

@test "policy show prints the source" {
	diff <(sandboxctl policy show strict | jq -S .) <(jq -S . "$TOP/policies/strict.json")
	run sandboxctl policy show nosuch
	[ "$status" = 125 ]
	[[ $output == *nosuch* ]]
}

@test "policy check passes the four, without root" {
	for name in build default network strict; do
		cp "$TOP/policies/$name.json" .
		chmod 755 . && chmod 644 "$name.json"
		run "$CTL" policy check "$name.json"
		[ "$status" = 0 ]
	done
}

@test "policy check: each error names the field" {
	policies_refused <<-'EOT'
		.seccomp.syscalls[0].names = ["no_such_call"]|seccomp.syscalls[0].names[0]
		.seccomp.syscalls[0].action = "SCMP_ACT_MAYBE"|seccomp.syscalls[0].action
		.seccomp.defaultAction = 3|seccomp.defaultAction
		del(.seccomp)|seccomp
		.limits.memory = "lots"|limits.memory
		.limits.memory = "1K"|limits.memory
		.limits.max.memory = "16M"|limits
		.network.mode = "everything"|network.mode
		.network = {"mode": "egress", "allow": [{"to": "1.2.3.4.5", "proto": "tcp"}]}|network.allow[0].to
		.network = {"mode": "egress", "allow": [{"to": "any", "proto": "tcp", "ports": "90-80"}]}|network.allow[0].ports
		.colour = "red"|colour
	EOT
	: >empty.json
	run sandboxctl policy check empty.json
	[ "$status" = 125 ]
	run sandboxctl policy check none.json
	[ "$status" = 125 ]
	[[ $output == *none.json* ]]
}

@test "a policy that is not installed fails the task, and nothing is created" {
	before=$(sandboxctl ps --all --json | jq length)
	run --separate-stderr sandboxctl run python --policy nosuch --code 'print(1)'
	[ "$status" = 125 ]
	[ -z "$output" ]
	[[ $stderr == *nosuch* ]]
	[ "$(sandboxctl ps --all --json | jq length)" = "$before" ]
}

@test "a task may tighten the policy's limits and not pass its maxima" {
	run --separate-stderr sandboxctl run python --policy strict --memory 100G --code 1
	[ "$status" = 125 ]
	[[ $stderr == *--memory* ]]
	run --separate-stderr sandboxctl run python --policy strict --timeout 1000000 --code 1
	[ "$status" = 125 ]
	[[ $stderr == *--timeout* ]]
	echo '{"code": "1", "limits": {"memory": "100G"}}' >task.json
	run --separate-stderr sandboxctl run python task.json --policy strict
	[ "$status" = 125 ]
	[[ $stderr == *limits.memory* ]]
	run sandboxctl run python --policy strict --memory 64M --label tight --code 'print("ok")'
	[ "$output" = ok ]
	[ "$(inspect "$(id_of tight)" .limits.memory)" = $((64 << 20)) ]
	[ "$(inspect "$(id_of tight)" .policy)" = strict ]
}

@test "a policy of one's own: an OCI seccomp profile drops in" {
	jq '.name = "nosleep" | .seccomp.syscalls = [{"names": ["clock_nanosleep", "nanosleep"],
		"action": "SCMP_ACT_ERRNO", "errnoRet": 95}] + [.seccomp.syscalls[] |
		.names -= ["clock_nanosleep", "nanosleep"] | select(.names | length > 0)]' \
		"$TOP/policies/default.json" >nosleep.json
	sandboxctl policy install nosleep.json
	run sandboxctl run python --policy nosleep --code '
import time
try:
    time.sleep(1)
except OSError as e:
    print(e.errno)'
	[ "$output" = 95 ]
}

@test "strict: no sockets, and Python works" {
	run sandboxctl run python --policy strict --code '
import socket, threading
for family in socket.AF_UNIX, socket.AF_INET:
    try:
        socket.socket(family)
        print("a socket")
    except OSError as e:
        print(type(e).__name__)
threading.Thread(target=lambda: print("thread")).start()'
	[ "$status" = 0 ]
	[[ $output != *"a socket"* ]]
	[[ $output == *thread* ]]
}

@test "an error that the policy is the reason of names it, in each mode; others do not" {
	sandboxctl image warm python --policy strict >/dev/null
	forks python --policy strict
	for mode in $MODES; do
		while IFS='|' read -r code words; do
			run --separate-stderr sandboxctl run python --policy strict --start "$mode" --label why --code "$code"
			echo "$mode: $code: $stderr"
			[ "$status" = 1 ]
			[ "$(mode why)" = "$mode" ]
			said=$(grep '^sandbox: ' <<<"$stderr" || true)
			[ "$said" = "${words:+sandbox: policy 'strict' refuses $words}" ]
		done <<-'EOT'
			import socket; socket.socket()|socket(AF_INET, SOCK_STREAM)
			import urllib.request; urllib.request.urlopen("http://127.0.0.1/")|socket(AF_INET, SOCK_STREAM)
			import os; os.chroot("/tmp")|chroot
			import os; os.chown("/work", 0, 0)|
			import os; os.kill(1, 9)|
			1 / 0|
		EOT
	done
	run --separate-stderr sandboxctl run python --policy strict --code '
import socket
try:
    socket.socket()
except PermissionError:
    print("caught")'
	[ "$output$stderr" = caught ]
}

# internet: makes another machine with a server.
internet() {
	far_make
	serve 203.0.113.1 ip netns exec "$GROUP"
	# The control: this machine reaches the server, so when a task does not, its policy keeps it from
	# it.
	[ "$(reached 203.0.113.1)" = served ]
}

# egress NAME JQ: installs a policy that lets tasks reach 203.0.113.1, changed by the filter.
egress() {
	jq --arg name "$1" '.name = $name | .network = {"mode": "egress", "allow":
		[{"to": "203.0.113.0/30", "proto": "tcp"}]}' "$TOP/policies/network.json" | jq "${2:-.}" >egress.json
	sandboxctl policy install egress.json
}

# connect POLICY TARGET [OPTION...]: prints what a task under this policy gets from the target.
connect() {
	run timeout "$PATIENCE" "$CTL" run python --policy "$1" -e "TARGET=$2" "${@:3}" --code "$CONNECT"
	echo "$1 $2: $output"
}

CONNECT='
import os, socket
host, port = os.environ["TARGET"].rsplit(":", 1)
try:
    s = socket.create_connection((host, int(port)), timeout=3)
    print(s.recv(20).decode())
except OSError as e:
    print("refused" if not isinstance(e, socket.timeout) else "dropped")
'

# bats test_tags=v2
@test "network: out to what the policy allows, by NAT" {
	internet
	egress out
	connect out "203.0.113.1:$PORT"
	[ "$output" = served ]
	# Not to an address that the policy does not name.
	connect out "198.51.100.1:$PORT"
	[ "$output" != served ]
	# Parked clones have an interface already.
	retire_all
}

@test "network: another port is dropped" {
	internet
	egress port "$(printf '.network.allow[0].ports = %d' $((PORT == 9 ? 10 : 9)))"
	connect port "203.0.113.1:$PORT"
	[ "$output" = dropped ]
}

@test "network: deny comes before allow" {
	internet
	egress deny '.network.deny = [{"to": "203.0.113.1/32"}]'
	connect deny "203.0.113.1:$PORT"
	[ "$output" = dropped ]
}

@test "network: this machine itself is out of reach, by loopback and by its addresses" {
	internet
	kill "$SERVER"
	egress out
	serve 203.0.113.2 nsenter "--net=/run/netns/$NETNS"
	connect out "203.0.113.2:$PORT"
	[ "$output" != served ]
	kill "$SERVER"
	serve 127.0.0.1 nsenter "--net=/run/netns/$NETNS"
	connect out "127.0.0.1:$PORT"
	[ "$output" = refused ]
}

@test "network: it works after a restore too, and interfaces are gone afterwards" {
	internet
	egress restored
	sandboxctl image warm python --policy restored
	connect restored "203.0.113.1:$PORT" --start restore --label netrestore
	[ "$output" = served ]
	[ "$(inspect "$(id_of netrestore)" .start.mode)" = restore ]
	# Parked clones have an interface already.
	retire_all
}

@test "network: tasks do not reach each other" {
	egress out
	one=$(detached python '
import socket
s = socket.create_server(("0.0.0.0", 4444))
t = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
t.connect(("203.0.113.1", 9))
print(t.getsockname()[0])
while True:
    s.accept()[0].sendall(b"served")' --policy out)
	wait_until "$PATIENCE" log_has "$one" 10.
	connect out "$(sandboxctl logs "$one"):4444"
	[ "$output" = dropped ]
	sandboxctl cancel --force "$one"
	sandboxctl wait "$one" || true
}

# Prints what the task can reach: its own servers, the ADDRESS:PORTs in its arguments by streams, and
# other addresses by datagrams.
REACH='
import os, socket, sys
for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
    with socket.create_server((address, 0), family=family) as server:
        with socket.create_connection(server.getsockname()[:2]) as client:
            client.sendall(b"own")
            print(server.accept()[0].recv(3).decode(), address)
for target in sys.argv[-3:]:
    host, port = target.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=5) as client:
            print(target, client.recv(20))
    except OSError as e:
        print(target, e.strerror)
for address in "192.0.2.1", "255.255.255.255", "224.0.0.1", "2001:db8::1":
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        if family == socket.AF_INET:
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            datagrams.sendto(b"x", (address, 53))
            print(address, "datagram: sent")
        except OSError as e:
            print(address, "datagram:", e.strerror)
with open("/proc/net/dev") as table:
    print("interfaces:", *[line.split(":")[0].strip() for line in table if ":" in line])
'

@test "default: servers of its own on lo, and nothing beyond it, in each mode" {
	internet
	far=203.0.113.1:$PORT
	kill "$SERVER"
	serve 203.0.113.2 nsenter "--net=/run/netns/$NETNS"
	here=203.0.113.2:$PORT
	kill "$SERVER"
	serve 127.0.0.1 nsenter "--net=/run/netns/$NETNS"
	[ "$(reached 127.0.0.1)" = served ]
	sandboxctl image warm python >/dev/null
	forks python
	for mode in $MODES; do
		run --separate-stderr timeout "$PATIENCE" "$CTL" run python --start "$mode" --label lo \
			--code "$REACH" -- "$far" "$here" "127.0.0.1:$PORT"
		echo "$mode: $output $stderr"
		[ "$(mode lo)" = "$mode" ]
		[ "$output" = "own 127.0.0.1
own ::1
$far Network is unreachable
$here Network is unreachable
127.0.0.1:$PORT Connection refused
192.0.2.1 datagram: Network is unreachable
255.255.255.255 datagram: Network is unreachable
224.0.0.1 datagram: Network is unreachable
2001:db8::1 datagram: Network is unreachable
interfaces: lo" ]
	done
}
