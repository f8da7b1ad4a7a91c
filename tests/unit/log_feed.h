/* SPDX-License-Identifier: Apache-2.0 */
/* Gives bytes to a log's reader by a socket, as the logger does; for unit tests and fuzzing. */
#ifndef TESTS_UNIT_LOG_FEED_H
#define TESTS_UNIT_LOG_FEED_H

#include <stdlib.h>
#include <sys/param.h>
#include <sys/socket.h>

#include "wire/log_client.h"

/* What a socket takes at once. */
#define LOG_FEED_MAX (32u << 10)

/* 0: all was read, and there may be more; LOG_CLIENT_END; -errno. */
static int log_feed(struct log_client *c, const void *bytes, size_t len, struct err *e)
{
	const uint8_t *p = bytes;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	do {
		const size_t n = MIN(len, LOG_FEED_MAX);

		if (util_write_all(pair[1], p, n) < 0)
			abort();
		r = log_client_read(c, pair[0], e);
		p += n;
		len -= n;
	} while (r == -EAGAIN && len > 0);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return r == -EAGAIN ? 0 : r;
}

#endif
