/* SPDX-License-Identifier: Apache-2.0 */
/* A client's connection to a server of this machine. */
#ifndef TESTS_UNIT_HTTP_DIAL_H
#define TESTS_UNIT_HTTP_DIAL_H

#include "tests/unit/rig.h"

#include <netinet/in.h>
#include <sys/socket.h>

static int http_dial(uint16_t port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

#endif
