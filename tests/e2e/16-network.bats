#!/usr/bin/env bats
# What a task may take of the host's network, and what the daemon changes there. The host's network
# is a namespace of this file's own, and so is the machine beyond it.
load daemon
load far

setup_file() {
	export NETNS=node-$$-$RANDOM
	ip netns add "$NETNS"
	there ip link set lo up
	# As on a host that is no router.
	there sysctl -qw net.ipv4.ip_forward=0
	daemon_make
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	far_make
}

teardown() {
	[ -z "${SERVER:-}" ] || kill "$SERVER" 2>/dev/null || true
	ip netns del "$GROUP-lan" 2>/dev/null || true
	far_remove
}

teardown_file() {
	daemon_remove
	ip netns del "$NETNS"
}

# policy NAME JQ: lets tasks out to the far machine, as the filter changes it.
policy() {
	jq --arg name "$1" '.name = $name | .fork.parked = 0 | .network = {"mode": "egress", "allow":
		[{"to": "203.0.113.0/30"}]}' "$TOP/policies/network.json" | jq "$2" >policy.json
	sandboxctl policy install policy.json
}

# serve NETNS ADDRESS: a server there that says "served" to whoever comes, by TCP and UDP; its port
# is in PORT.
serve() {
	rm -f port
	ip netns exec "$1" /usr/bin/python3 -c '
import socket, sys, threading
tcp = socket.create_server((sys.argv[1], 0), backlog=1000)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(tcp.getsockname())
def answer():
    while True:
        udp.sendto(b"served", udp.recvfrom(100)[1])
threading.Thread(target=answer, daemon=True).start()
print(tcp.getsockname()[1], flush=True)
while True:
    c, peer = tcp.accept()
    c.sendall(b"served")
    c.close()' "$2" >port 3>&- 4>&- &
	SERVER=$!
	wait_until "$PATIENCE" test -s port
	PORT=$(cat port)
}

# tracked: how many connections the host's table has.
tracked() {
	there cat /proc/sys/net/netfilter/nf_conntrack_count
}

tracked_is() {
	[ "$(tracked)" = "$1" ]
}

# Asks the server for an answer, then sends to so many other ports of that machine.
MANY='
import os, socket
def send_many(n):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(float(os.environ["PATIENCE"]))
    s.sendto(b"x", ("203.0.113.1", int(os.environ["PORT"])))
    answer = s.recv(100)
    for port in range(1, n + 1):
        s.sendto(b"x", ("203.0.113.1", port))
    print(answer.decode())
send_many(3000)
'

# bats test_tags=v2-all
@test "a task has no more connections at a time than its policy says, and leaves none behind" {
	serve "$GROUP" 203.0.113.1
	policy few '.network.connections = 50 | .network.connections_per_second = 60000'
	for start in $MODES; do
		[ "$start" = cold ] || sandboxctl image warm python --policy few >/dev/null
		id=$(detached python "$GATE$MANY"'
print("sent", flush=True)
gate()' --policy few --start "$start" -e "PORT=$PORT" -e "PATIENCE=$PATIENCE")
		wait_until "$PATIENCE" log_has "$id" sent
		log_has "$id" served
		n=$(tracked)
		echo "$start: $n connections"
		[ "$n" -ge 40 ] && [ "$n" -le 50 ]
		signal_task "$id" USR1
		sandboxctl wait "$id"
		# Nor are they the next one's, which has all of its own.
		wait_until "$PATIENCE" tracked_is 0
	done
	there nft list counters table inet "$GROUP" | grep -A 2 'policy few' | grep -qE 'packets [1-9]'
	# Without the rules all of them are there.
	PORT=$PORT PATIENCE=$PATIENCE there /usr/bin/python3 -c "$MANY"
	[ "$(tracked)" -ge 3000 ]
	retire_all
}

@test "connections that are over count by how many begin a second" {
	serve "$GROUP" 203.0.113.1
	policy slow '.network.connections = 20 | .network.connections_per_second = 1'
	sandboxctl run python --policy slow --start cold -e "PORT=$PORT" --code '
import os, socket, time
began = time.monotonic()
# One is let through, however long it takes; those that are dropped would take for ever.
with socket.create_connection(("203.0.113.1", int(os.environ["PORT"])), timeout=60) as s:
    assert s.recv(100) == b"served"
served, refused = 1, 0
for _ in range(80):
    try:
        with socket.create_connection(("203.0.113.1", int(os.environ["PORT"])), timeout=0.03) as s:
            while s.recv(100):
                served += 1
    except OSError:
        refused += 1
allowed = 20 + time.monotonic() - began + 1
print(served, refused, allowed)
assert served <= allowed and refused, (served, refused, allowed)'
}

# forwarding INTERFACE: 1 or 0.
forwarding() {
	there cat "/proc/sys/net/ipv4/conf/$1/forwarding"
}

# far_is_served: by a third machine, lan, that it can only reach through this one.
far_is_served() {
	[ "$(ip netns exec "$GROUP" timeout 1 bash -c "cat </dev/tcp/198.51.100.1/$PORT")" = served ]
}

@test "the host forwards for sandboxes alone, and not at all when the daemon has stopped" {
	local uplink=far-${GROUP##*-}

	ip netns add "$GROUP-lan"
	there ip link add lan type veth peer name lan netns "$GROUP-lan"
	there ip addr add 198.51.100.2/30 dev lan
	there ip link set lan up
	ip -n "$GROUP-lan" addr add 198.51.100.1/30 dev lan
	ip -n "$GROUP-lan" link set lan up
	ip -n "$GROUP-lan" route add default via 198.51.100.2
	ip -n "$GROUP" route add 198.51.100.0/30 via 203.0.113.2
	serve "$GROUP-lan" 198.51.100.1
	# A router lets it through, and once it is one the daemon is not in its way.
	there sysctl -qw net.ipv4.ip_forward=1
	wait_until "$PATIENCE" far_is_served
	there sysctl -qw net.ipv4.ip_forward=0
	run far_is_served
	[ "$status" != 0 ]
	kill "$SERVER"
	serve "$GROUP" 203.0.113.1
	policy out .
	run sandboxctl run python --policy out --start cold -e "PORT=$PORT" -e "PATIENCE=$PATIENCE" --code "$MANY"
	[ "$output" = served ]
	[ "$(forwarding all)$(forwarding "$uplink")$(forwarding lan)" = 010 ]
	kill "$SERVER"
	serve "$GROUP-lan" 198.51.100.1
	run far_is_served
	[ "$status" != 0 ]
	# Also by another daemon than the one that has changed it.
	role_kill monitor
	daemon_stop
	[ "$(forwarding all)$(forwarding "$uplink")$(forwarding lan)" = 000 ]
	daemon_start
}

# bats test_tags=v2
@test "what has a way out has no address of IPv6, and no neighbours to fill the machine's table with" {
	policy no-six .
	run sandboxctl run python --policy no-six --code '
import errno, socket
print([line.split()[-1] for line in open("/proc/net/if_inet6")])
try:
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"", ("fe80::1", 9, 0, socket.if_nametoindex("eth0")))
except OSError as error:
    print(errno.errorcode[error.errno])' </dev/null
	[ "$output" = "['lo']"$'\n'ENETUNREACH ] || fail "$output"
}
