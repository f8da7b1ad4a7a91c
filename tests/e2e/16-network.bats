#!/usr/bin/env bats
# What a task may take of the host's network, and what the daemon changes there. The host's network
# is a namespace of this file's own, and so is the machine beyond it.
load daemon
load far

setup_file() {
	export NETNS=node-$$-$RANDOM
	ip netns add "$NETNS"
	there ip link set lo up
	# The host is not a router.
	there sysctl -qw net.ipv4.ip_forward=0
	daemon_make
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	far_make
}

teardown() {
	end_background
	ip netns del "$GROUP-lan" 2>/dev/null || true
	far_remove
}

teardown_file() {
	daemon_remove
	ip netns del "$NETNS"
}

# policy NAME JQ: installs a policy that lets tasks reach the far machine, changed by the filter.
policy() {
	jq --arg name "$1" '.name = $name | .fork.parked = 0 | .network = {"mode": "egress", "allow":
		[{"to": "203.0.113.0/30"}]}' "$TOP/policies/network.json" | jq "$2" >policy.json
	sandboxctl policy install policy.json
}

# tracked: prints how many connections are in the host's table.
tracked() {
	there cat /proc/sys/net/netfilter/nf_conntrack_count
}

tracked_is() {
	[ "$(tracked)" = "$1" ]
}

# Asks the server for an answer, then sends something to so many other ports of that machine.
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
	serve 203.0.113.1 ip netns exec "$GROUP"
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
		# They do not count against the next task either, which gets all of its own.
		wait_until "$PATIENCE" tracked_is 0
	done
	there nft list counters table inet "$GROUP" | grep -A 2 'policy few' | grep -qE 'packets [1-9]'
	# The control: without the rules all of them are in the table.
	PORT=$PORT PATIENCE=$PATIENCE there /usr/bin/python3 -c "$MANY"
	[ "$(tracked)" -ge 3000 ]
	retire_all
}

@test "connections that are over count by how many begin a second" {
	serve 203.0.113.1 ip netns exec "$GROUP"
	policy slow '.network.connections = 20 | .network.connections_per_second = 1'
	sandboxctl run python --policy slow --start cold -e "PORT=$PORT" --code '
import os, socket, time
began = time.monotonic()
# One connection is let through, however long that takes; the dropped ones would never end.
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

# forwarding INTERFACE: prints 1 or 0.
forwarding() {
	there cat "/proc/sys/net/ipv4/conf/$1/forwarding"
}

# far_is_served: the far machine gets an answer from a third machine, lan, which it can only reach
# through this one.
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
	serve 198.51.100.1 ip netns exec "$GROUP-lan"
	# A router lets it through, and once this host is one, the daemon is not in its way.
	there sysctl -qw net.ipv4.ip_forward=1
	wait_until "$PATIENCE" far_is_served
	there sysctl -qw net.ipv4.ip_forward=0
	run far_is_served
	[ "$status" != 0 ]
	kill "$SERVER"
	serve 203.0.113.1 ip netns exec "$GROUP"
	policy out .
	run sandboxctl run python --policy out --start cold -e "PORT=$PORT" -e "PATIENCE=$PATIENCE" --code "$MANY"
	[ "$output" = served ]
	[ "$(forwarding all)$(forwarding "$uplink")$(forwarding lan)" = 010 ]
	kill "$SERVER"
	serve 198.51.100.1 ip netns exec "$GROUP-lan"
	run far_is_served
	[ "$status" != 0 ]
	# Another daemon than the one that has switched it on also switches it off.
	role_kill monitor
	daemon_stop
	[ "$(forwarding all)$(forwarding "$uplink")$(forwarding lan)" = 000 ]
	daemon_start
}

# build CODE: becomes a build with a network, which runs this.
build() {
	exec nsenter --net="/run/netns/$NETNS" "$CTL" image confine --network \
		"$STATE/images/by-name/python/rootfs" /usr/bin/python3 -Su -c "$1" 3>&- 4>&-
}

@test "a daemon and a build forward by one interface until both have ended, and so do sandboxes whose daemon is away" {
	local uplink=far-${GROUP##*-}

	policy both .
	jq --slurpfile both policy.json '.network = $both[0].network' "$TOP/policies/build.json" >build.json
	sandboxctl policy install build.json
	[ "$(forwarding "$uplink")" = 0 ]
	sandboxctl run python --policy both --start cold --code pass </dev/null
	(build pass)
	[ "$(forwarding "$uplink")" = 1 ]
	build 'import signal; print("up"); signal.pause()' >said 2>&1 &
	wait_until "$PATIENCE" file_has said up
	daemon_stop
	[ "$(forwarding "$uplink")" = 1 ]
	kill "$!"
	reap "$!"
	[ "$status" = 143 ] || fail "$(cat said)"
	[ "$(forwarding "$uplink")" = 0 ]
	daemon_start
	id=$(detached python "$GATE"'gate()' --policy both --start cold)
	wait_until "$PATIENCE" status_is "$id" running
	daemon_stop
	(build pass)
	[ "$(forwarding "$uplink")" = 1 ]
	daemon_start
	signal_task "$id" USR1
	sandboxctl wait "$id"
	daemon_stop
	[ "$(forwarding "$uplink")" = 0 ]
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
