# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests of what goes out: another machine, beyond this one. It is a network namespace, named
# GROUP, behind a veth pair: 203.0.113.1, while this machine is 203.0.113.2.

far_make() {
	ip netns add "$GROUP"
	there ip link add "far-${GROUP##*-}" type veth peer name far netns "$GROUP"
	there ip addr add 203.0.113.2/30 dev "far-${GROUP##*-}"
	there ip link set "far-${GROUP##*-}" up
	ip -n "$GROUP" addr add 203.0.113.1/30 dev far
	ip -n "$GROUP" link set far up
	ip -n "$GROUP" link set lo up
}

# far_remove: for teardown; it may not be there.
far_remove() {
	# By name: the kernel removes a dead namespace's interfaces when it finds time, and the next
	# test's packets would still leave by this one's route.
	there ip link del "far-${GROUP##*-}" 2>/dev/null || true
	ip netns del "$GROUP" 2>/dev/null || true
}
