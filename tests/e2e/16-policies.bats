#!/usr/bin/env bats
# bats file_tags=v2
# Policies: what is listed and refused, and what each lets a task do.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for the sandbox
load lib

setup_file() {
	daemon_make
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	[ -z "${SERVER:-}" ] || kill "$SERVER" 2>/dev/null || true
	ip addr del 203.0.113.1/32 dev lo 2>/dev/null || true
}

teardown_file() {
	daemon_remove
}

@test "policy ls has the three" {
	run sandboxctl policy ls
	[ "$status" = 0 ]
	for name in default network strict; do
		grep -q "^$name " <<<"$output"
	done
	[ "$(sandboxctl policy ls --json | jq -r '.[].name' | sort | tr '\n' ' ')" = "default network strict " ]
}

@test "policy show prints the source" {
	diff <(sandboxctl policy show strict | jq -S .) <(jq -S . "$TOP/policies/strict.json")
	run sandboxctl policy show nosuch
	[ "$status" = 125 ]
	[[ $output == *nosuch* ]]
}

@test "policy check passes the three, without root" {
	for name in default network strict; do
		cp "$TOP/policies/$name.json" .
		chmod 755 . && chmod 644 "$name.json"
		run "$CTL" policy check "$name.json"
		[ "$status" = 0 ]
	done
}

@test "policy check: each error names the field" {
	local edit want
	while IFS='|' read -r edit want; do
		jq "$edit" "$TOP/policies/default.json" >bad.json
		run --separate-stderr sandboxctl policy check bad.json
		echo "$edit -> $status $stderr"
		[ "$status" = 125 ]
		[[ $stderr == *"$want"* ]]
	done <<-'EOT'
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
	[[ $stderr == *limits.memory* ]]
	run --separate-stderr sandboxctl run python --policy strict --timeout 1000000 --code 1
	[ "$status" = 125 ]
	[[ $stderr == *limits.timeout* ]]
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

# A server on this machine at an address that is neither private nor its own network's.
serve() {
	ip addr add 203.0.113.1/32 dev lo
	PYTHONUNBUFFERED=1 /usr/bin/python3 -c '
import socket
s = socket.create_server(("203.0.113.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    c, peer = s.accept()
    c.sendall(b"served")
    c.close()' >port 3>&- 4>&- &
	SERVER=$!
	wait_until "$PATIENCE" test -s port
	PORT=$(cat port)
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

@test "network: out to what the policy allows, by NAT" {
	[ -x /usr/bin/python3 ] || fail "no Python to serve with"
	serve
	jq '.name = "one" | .network = {"mode": "egress", "allow": [{"to": "203.0.113.1/32", "proto": "tcp"}]}' \
		"$TOP/policies/network.json" >one.json
	sandboxctl policy install one.json
	run timeout "$PATIENCE" "$CTL" run python --policy one -e "TARGET=203.0.113.1:$PORT" --code "$CONNECT"
	[ "$output" = served ]
	# A host's own other address, private, is not in the list.
	run timeout "$PATIENCE" "$CTL" run python --policy one -e "TARGET=10.255.255.1:$PORT" --code "$CONNECT"
	[ "$output" != served ]
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

@test "network: another port is dropped" {
	serve
	jq --argjson p $((PORT == 9 ? 10 : 9)) '.name = "port" | .network = {"mode": "egress", "allow":
		[{"to": "203.0.113.1/32", "proto": "tcp", "ports": $p}]}' "$TOP/policies/network.json" >port.json
	sandboxctl policy install port.json
	run timeout "$PATIENCE" "$CTL" run python --policy port -e "TARGET=203.0.113.1:$PORT" --code "$CONNECT"
	[ "$output" != served ]
}

@test "network: the host's own loopback is out of reach" {
	/usr/bin/python3 -c '
import socket
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
s.accept()' >port 3>&- 4>&- &
	SERVER=$!
	wait_until "$PATIENCE" test -s port
	run timeout "$PATIENCE" "$CTL" run python --policy network -e "TARGET=127.0.0.1:$(cat port)" --code "$CONNECT"
	[ "$output" = refused ]
}

@test "network: it works after a restore too, and interfaces are gone afterwards" {
	serve
	jq '.name = "one" | .network = {"mode": "egress", "allow": [{"to": "203.0.113.1/32", "proto": "tcp"}]}' \
		"$TOP/policies/network.json" >one.json
	sandboxctl policy install one.json
	sandboxctl image warm python --policy one
	run timeout "$PATIENCE" "$CTL" run python --start restore --policy one --label netrestore \
		-e "TARGET=203.0.113.1:$PORT" --code "$CONNECT"
	[ "$output" = served ]
	[ "$(inspect "$(id_of netrestore)" .start.mode)" = restore ]
	wait_until "$PATIENCE" clean || fail "$(left_overs)"
}

@test "default: nothing is reachable" {
	serve
	run timeout "$PATIENCE" "$CTL" run python -e "TARGET=203.0.113.1:$PORT" --code "$CONNECT"
	[ "$output" = refused ]
}
