# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Another machine, beyond this one, for tests of what leaves it. It is a network namespace called
# GROUP behind a veth pair: that machine has 203.0.113.1, this one 203.0.113.2.

# Of two test files that run at a time, and have no NETNS of their own, one waits for the other: both
# would have the same addresses.
far_make() {
	if [ -z "${NETNS:-}" ]; then
		mkdir -p /run/lock
		exec {FAR_LOCK}>/run/lock/sandboxd-tests-far
		flock "$FAR_LOCK"
	fi
	ip netns add "$GROUP"
	there ip link add "far-${GROUP##*-}" type veth peer name far netns "$GROUP"
	there ip addr add 203.0.113.2/30 dev "far-${GROUP##*-}"
	there ip link set "far-${GROUP##*-}" up
	ip -n "$GROUP" addr add 203.0.113.1/30 dev far
	ip -n "$GROUP" link set far up
	ip -n "$GROUP" link set lo up
}

# far_remove: for teardown, also when far_make was not called.
far_remove() {
	# The interface is removed by its name: the kernel removes those of a dead namespace some
	# time later, and until then the next test's packets would leave by this one's route.
	there ip link del "far-${GROUP##*-}" 2>/dev/null || true
	ip netns del "$GROUP" 2>/dev/null || true
	if [ -n "${FAR_LOCK:-}" ]; then
		exec {FAR_LOCK}>&-
		unset FAR_LOCK
	fi
}

# serve ADDRESS [COMMAND...]: starts a server, under the command, that sends "served" to every client, by
# TCP and UDP; its port is put into PORT, and its pid into SERVER.
serve() {
	rm -f port
	"${@:2}" /usr/bin/python3 -c '
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
    c.close()' "$1" >port 3>&- 4>&- &
	# shellcheck disable=SC2034 # the test uses both
	SERVER=$!
	wait_until "$PATIENCE" test -s port
	# shellcheck disable=SC2034
	PORT=$(cat port)
}
