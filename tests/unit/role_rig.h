/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets to a role that the test runs in a child process. */
#ifndef TESTS_UNIT_ROLE_RIG_H
#define TESTS_UNIT_ROLE_RIG_H

#include "tests/unit/rig.h"

#include <poll.h>

#include "wire/chan.h"

#define RIG_WAIT_MS 20000

RIG_UNUSED static void rig_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, RIG_WAIT_MS), 1);
}

RIG_UNUSED static bool rig_quiet(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 0;
}

/* Gives a role a new peer, as the monitor does. monitor: the monitor's end of its socket to the
 * role. Returns the peer's end. */
RIG_UNUSED static int rig_peer_new(int monitor)
{
	union proto_msg m = {0};
	int pair[2];

	assert_int_equal(proto_socketpair(pair), 0);
	proto_init(&m, ROLE_PEER);
	assert_int_equal(proto_send(monitor, &m, &pair[1], 1), 0);
	(void)close(pair[1]);
	return pair[0];
}

#endif
